//! The knapsack with a choice per group, by dynamic programming.
//!
//! L_g(b), the least loss of the first g groups that save at least b, is
//!
//! L_g(b) = min over the choices c of group g of loss(c) + L_{g−1}(b − saved(c)), L_0(0) = 0, L(b < 0) = L(0),
//!
//! with savings in parts of what is wanted, rounded down so that nothing is counted that is not saved.

/// Parts in which savings are counted.
const PARTS: usize = 2048;

/// What a group loses and saves by a number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) steps: usize,
    pub(super) loss: f64,
    pub(super) saved: f64,
}

/// The steps of every group with the least loss that save as much as is wanted; none if nothing does.
pub(super) fn cheapest(groups: &[Vec<Choice>], wanted: f64) -> Option<Vec<usize>> {
    if wanted <= 0.0 {
        return Some(vec![0; groups.len()]);
    }
    let parts = |saved: f64| (saved / wanted * PARTS as f64).clamp(0.0, PARTS as f64) as usize;
    let mut least = vec![f64::INFINITY; PARTS + 1];
    least[0] = 0.0;
    let mut chosen: Vec<Vec<(usize, usize)>> = Vec::with_capacity(groups.len());
    for choices in groups {
        let mut next = vec![f64::INFINITY; PARTS + 1];
        let mut from = vec![(0, 0); PARTS + 1];
        for choice in choices {
            let saved = parts(choice.saved);
            for (before, &loss) in least.iter().enumerate().filter(|(_, loss)| loss.is_finite()) {
                let after = PARTS.min(before + saved);
                if loss + choice.loss < next[after] {
                    next[after] = loss + choice.loss;
                    from[after] = (before, choice.steps);
                }
            }
        }
        least = next;
        chosen.push(from);
    }
    if !least[PARTS].is_finite() {
        return None;
    }
    let mut at = PARTS;
    let mut steps = vec![0; groups.len()];
    for (group, from) in chosen.iter().enumerate().rev() {
        (at, steps[group]) = from[at];
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(choices: &[(f64, f64)]) -> Vec<Choice> {
        let whole = Choice { steps: 0, loss: 0.0, saved: 0.0 };
        let others = choices.iter().enumerate();
        let others = others.map(|(at, &(loss, saved))| Choice { steps: at + 1, loss, saved });
        std::iter::once(whole).chain(others).collect()
    }

    #[test]
    fn the_choice_is_the_best_of_all() {
        let groups = [
            group(&[(1.0, 4.0), (2.5, 9.0)]),
            group(&[(0.9, 3.0), (3.0, 6.0)]),
            group(&[(2.0, 5.0), (2.1, 7.0)]),
        ];
        for wanted in [1.0, 2.0, 4.0, 8.0, 16.0] {
            let mut best = f64::INFINITY;
            for code in 0..27 {
                let picks = [groups[0][code % 3], groups[1][code / 3 % 3], groups[2][code / 9]];
                let saved: f64 = picks.iter().map(|choice| choice.saved).sum();
                if saved >= wanted {
                    best = best.min(picks.iter().map(|choice| choice.loss).sum());
                }
            }
            let found = cheapest(&groups, wanted).expect("it can be saved");
            let loss: f64 = found.iter().zip(&groups).map(|(&steps, own)| own[steps].loss).sum();
            assert!((loss - best).abs() < 1e-12, "{wanted}: {found:?}");
        }
        assert_eq!(cheapest(&groups, 22.5), None);
        assert_eq!(cheapest(&groups, 0.0), Some(vec![0, 0, 0]));
    }
}
