//! Which of a ranked list to take back, by trying.
//!
//! A set is a list of places in the ranking, in ascending order; place 0 is the first to take back.

/// A small set that holds: the shortest beginning of the ranking by binary search, from which then every
/// member that is not needed is left out, the last ones first. The empty set is known not to hold. None
/// if not even all together hold.
///
/// Takes at most 1 + ⌈log₂ `count`⌉ trials for the beginning, and one for each of its members. The last
/// set found to hold is the result.
///
/// # Errors
/// Those of a trial.
pub fn fewest<E>(
    count: usize,
    mut holds: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Option<Vec<usize>>, E> {
    let all: Vec<usize> = (0..count).collect();
    if count == 0 || !holds(&all)? {
        return Ok(None);
    }
    let (mut too_few, mut enough) = (0, count);
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        match holds(&all[..middle])? {
            true => enough = middle,
            false => too_few = middle,
        }
    }
    let mut kept = all[..enough].to_vec();
    // Without its last member the beginning is known not to hold.
    for place in (0..enough - 1).rev() {
        let fewer: Vec<usize> = kept.iter().copied().filter(|&other| other != place).collect();
        if holds(&fewer)? {
            kept = fewer;
        }
    }
    Ok(Some(kept))
}

/// A large set that holds: every place in turn is taken if the set still holds with it. None if not even
/// the empty set holds.
///
/// # Errors
/// Those of a trial.
pub fn most<E>(
    count: usize,
    mut holds: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Option<Vec<usize>>, E> {
    let mut kept = Vec::new();
    if !holds(&kept)? {
        return Ok(None);
    }
    for place in 0..count {
        kept.push(place);
        if !holds(&kept)? {
            kept.pop();
        }
    }
    Ok(Some(kept))
}

/// Distances of a curve from its chord that are no bend.
const ROUNDING: f64 = 1e-9;

/// Where a falling curve y₀ … yₙ bends most: the k with the largest distance below the straight line between
/// its ends, (1 − k/n) − (yₖ − yₙ) / (y₀ − yₙ); 0 for a curve that does not fall below the line. Numbers that
/// are not finite are cut off at the beginning.
///
/// Satopää, Albrecht, Irwin, Raghavan: Finding a "Kneedle" in a Haystack, 2011, for convex falling curves.
#[must_use]
pub fn knee(curve: &[f64]) -> usize {
    let start = curve.iter().rposition(|y| !y.is_finite()).map_or(0, |last| last + 1);
    let (Some(&first), Some(&last)) = (curve.get(start), curve.last()) else {
        return curve.len().saturating_sub(1);
    };
    let steps = curve.len() - start - 1;
    if steps == 0 || first <= last {
        return start;
    }
    let below = |k: usize| {
        let line = 1.0 - k as f64 / steps as f64;
        line - (curve[start + k] - last) / (first - last)
    };
    let (best, _) = (0..=steps)
        .map(|k| (k, below(k)))
        .fold((0, 0.0), |best, next| if next.1 > best.1 + ROUNDING { next } else { best });
    start + best
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Noise of products on integers that adds up, and one that is felt only beside another.
    const NOISE: [f64; 6] = [50.0, 3.0, 20.0, 1.0, 5.0, 0.5];

    fn noise(float: &[usize]) -> f64 {
        let integer = |place: &usize| !float.contains(place);
        (0..NOISE.len()).filter(integer).map(|place| NOISE[place]).sum()
    }

    fn found(limit: f64) -> (Option<Vec<usize>>, usize) {
        let mut trials = 0;
        let holds = |float: &[usize]| {
            trials += 1;
            Ok::<_, Infallible>(noise(float) <= limit)
        };
        let Ok(found) = fewest(NOISE.len(), holds);
        (found, trials)
    }

    #[test]
    fn the_beginning_is_found_and_what_is_not_needed_left_out() {
        // 0, 1 and 2 are the beginning that holds; without 1 it still does.
        assert_eq!(found(10.0).0, Some(vec![0, 2]));
        assert_eq!(found(30.0).0, Some(vec![0]));
        assert_eq!(found(6.6).0, Some(vec![0, 1, 2]));
        assert_eq!(found(0.0).0, Some(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(found(-1.0).0, None);
    }

    #[test]
    fn trials_are_few_and_the_last_that_holds_is_the_result() {
        // All; 3; 1; 2; then without 1, without 0.
        assert_eq!(found(10.0).1, 6);
        assert_eq!(found(-1.0).1, 1);
        for limit in [0.0, 0.5, 1.0, 5.0, 9.0, 25.0, 29.5, 70.0] {
            let mut last = None;
            let holds = |float: &[usize]| {
                let holds = noise(float) <= limit;
                if holds {
                    last = Some(float.to_vec());
                }
                Ok::<_, Infallible>(holds)
            };
            let Ok(found) = fewest(NOISE.len(), holds);
            assert_eq!(found, last, "limit {limit}");
        }
    }

    #[test]
    fn no_member_of_the_result_can_be_left_out() {
        for tenths in 0..800 {
            let limit = f64::from(tenths) / 10.0;
            let Some(kept) = found(limit).0 else { panic!("all in float have no noise") };
            assert!(noise(&kept) <= limit);
            for member in kept.iter().filter(|_| kept.len() > 1) {
                let fewer: Vec<usize> = kept.iter().copied().filter(|m| m != member).collect();
                assert!(noise(&fewer) > limit, "limit {limit}: {member} of {kept:?} is idle");
            }
        }
    }

    #[test]
    fn failures_of_trials_end_the_search() {
        assert_eq!(fewest(3, |_| Err("no")), Err("no"));
        assert_eq!(most(3, |_| Err("no")), Err("no"));
        assert_eq!(fewest(0, |_| Ok::<_, Infallible>(true)), Ok(None));
    }

    #[test]
    fn a_budget_is_filled_in_order_with_what_fits() {
        let bytes = [40, 10, 25, 5];
        let filled = |budget: usize| {
            let holds = |float: &[usize]| {
                let sum: usize = 100 + float.iter().map(|&place| bytes[place]).sum::<usize>();
                Ok::<_, Infallible>(sum <= budget)
            };
            let Ok(found) = most(bytes.len(), holds);
            found
        };
        assert_eq!(filled(99), None);
        assert_eq!(filled(100), Some(vec![]));
        assert_eq!(filled(130), Some(vec![1, 3]));
        assert_eq!(filled(150), Some(vec![0, 1]));
        assert_eq!(filled(180), Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn the_knee_is_where_the_curve_is_farthest_below_its_chord() {
        // Distances: 0, 0.75 − 0.2, 0.5 − 0.1, 0.25 − 0.05, 0.
        assert_eq!(knee(&[20.0, 4.0, 2.0, 1.0, 0.0]), 1);
        assert_eq!(knee(&[10.0, 9.0, 1.0, 0.5, 0.0]), 2);
        assert_eq!(knee(&[4.0, 3.0, 2.0, 1.0]), 0, "a straight line has none");
        assert_eq!(knee(&[f64::INFINITY, 20.0, 4.0, 2.0, 1.0, 0.0]), 2);
        assert_eq!(knee(&[f64::NAN, f64::INFINITY]), 1);
        assert_eq!(knee(&[1.0]), 0);
        assert_eq!(knee(&[]), 0);
    }
}
