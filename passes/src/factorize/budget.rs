//! Ranks of many sites within one budget.
use super::curve::{Point, Resource};

/// What is least possible is more than the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OutOfReach {
    /// The least share of the cost.
    pub(super) least: f64,
}

/// The point of every site with the least sum of losses whose cost is at most `share` of all; none for a site that
/// stays whole. `whole` is the cost of the sites as they are, `curves` what they may become, a frontier each.
///
/// Sites go down the lower convex hulls of their curves, always the one that loses least per unit of cost; then what
/// is left of the budget buys back what gains most. Without rounding to whole ranks the first alone is optimal.
pub(super) fn allocate(
    curves: &[Vec<Point>],
    whole: &[u64],
    share: f64,
    resource: Resource,
) -> Result<Vec<Option<Point>>, OutOfReach> {
    let all: u64 = whole.iter().sum();
    let budget = (share * all as f64).floor() as u64;
    let cheapest =
        |(curve, &whole): (&Vec<Point>, &u64)| curve.first().map_or(whole, |p| resource.of(p));
    let least: u64 = curves.iter().zip(whole).map(cheapest).sum();
    if least > budget {
        return Err(OutOfReach { least: least as f64 / all.max(1) as f64 });
    }
    let mut steps: Vec<(f64, usize, Point)> = Vec::new();
    for (site, (curve, &whole)) in curves.iter().zip(whole).enumerate() {
        steps.extend(hull(curve, whole, resource).into_iter().map(|(slope, p)| (slope, site, p)));
    }
    // Slopes of a hull grow, so a site's own steps stay in order.
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<Option<Point>> = vec![None; curves.len()];
    let mut cost = all;
    for (_, site, point) in steps {
        if cost <= budget {
            break;
        }
        cost -= cost_of(&chosen, whole, site, resource) - resource.of(&point);
        chosen[site] = Some(point);
    }
    buy_back(curves, whole, resource, budget - cost, &mut chosen);
    Ok(chosen)
}

fn cost_of(chosen: &[Option<Point>], whole: &[u64], site: usize, resource: Resource) -> u64 {
    chosen[site].as_ref().map_or(whole[site], |point| resource.of(point))
}

/// The corners of the lower convex hull of loss over cost, from the whole site down, with what each loses per unit of
/// cost against the one before.
fn hull(curve: &[Point], whole: u64, resource: Resource) -> Vec<(f64, Point)> {
    let mut corners: Vec<(f64, Point)> = Vec::new();
    for point in curve.iter().rev() {
        let slope = |from: Option<&Point>| {
            let (cost, loss) = from.map_or((whole, 0.0), |p| (resource.of(p), p.discarded));
            (point.discarded - loss) / cost.saturating_sub(resource.of(point)).max(1) as f64
        };
        while let Some((before, last)) = corners.last()
            && slope(Some(last)) <= *before
        {
            corners.pop();
        }
        let slope = slope(corners.last().map(|(_, point)| point));
        corners.push((slope, *point));
    }
    corners
}

/// Raises ranks, or leaves sites whole again, as long as `rest` pays for it: first what gains most per unit of cost.
fn buy_back(
    curves: &[Vec<Point>],
    whole: &[u64],
    resource: Resource,
    mut rest: u64,
    chosen: &mut [Option<Point>],
) {
    loop {
        let mut best: Option<(f64, usize, Option<Point>, u64)> = None;
        for (site, curve) in curves.iter().enumerate() {
            let Some(now) = chosen[site] else { continue };
            let options = curve.iter().copied().map(Some).chain([None]);
            for option in options {
                let (cost, loss) =
                    option.map_or((whole[site], 0.0), |p| (resource.of(&p), p.discarded));
                let Some(more) = cost.checked_sub(resource.of(&now)) else { continue };
                if more == 0 || more > rest || loss > now.discarded {
                    continue;
                }
                let gain = (now.discarded - loss) / more as f64;
                if best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                    best = Some((gain, site, option, more));
                }
            }
        }
        let Some((_, site, option, more)) = best else { return };
        chosen[site] = option;
        rest -= more;
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::Rank;
    use super::*;

    /// The points of a matrix of `size` × `size` whose singular values fall by `ratio`.
    fn curve(size: usize, ratio: f64) -> (Vec<Point>, u64) {
        let energies: Vec<f64> = (0..size).map(|index| ratio.powi(2 * index as i32)).collect();
        let total: f64 = energies.iter().sum();
        let point = |rank: usize| Point {
            rank: Rank::One(rank),
            parameters: (2 * rank * size) as u64,
            macs: 0,
            discarded: energies[rank..].iter().sum::<f64>() / total,
        };
        ((1..size.div_ceil(2)).map(point).collect(), (size * size) as u64)
    }

    fn cost(chosen: &[Option<Point>], whole: &[u64]) -> (u64, f64) {
        let pairs = chosen.iter().zip(whole);
        let cost = pairs.map(|(point, &whole)| point.map_or(whole, |point| point.parameters)).sum();
        (cost, chosen.iter().flatten().map(|point| point.discarded).sum())
    }

    #[test]
    fn the_budget_is_met_within_one_rank_and_never_exceeded() {
        let (curves, whole): (Vec<_>, Vec<_>) =
            [curve(40, 0.9), curve(64, 0.95), curve(32, 0.5), curve(64, 0.99)].into_iter().unzip();
        let all: u64 = whole.iter().sum();
        for share in [0.2, 0.35, 0.5, 0.6, 0.75, 0.9] {
            let chosen = allocate(&curves, &whole, share, Resource::Parameters);
            let chosen = chosen.expect("the budget is large enough");
            let (cost, _) = cost(&chosen, &whole);
            let budget = (share * all as f64) as u64;
            assert!(cost <= budget && budget - cost < 128, "{share}: {cost} of {budget}");
        }
    }

    #[test]
    fn small_problems_are_solved_nearly_as_well_as_by_trying_everything() {
        let (curves, whole): (Vec<_>, Vec<_>) =
            [curve(12, 0.7), curve(16, 0.9), curve(10, 0.8)].into_iter().unzip();
        let all: u64 = whole.iter().sum();
        for share in [0.3, 0.45, 0.6, 0.8] {
            let budget = (share * all as f64) as u64;
            let chosen = allocate(&curves, &whole, share, Resource::Parameters);
            let (_, found) = cost(&chosen.expect("it is within reach"), &whole);
            let options = |site: usize| {
                curves[site].iter().copied().map(Some).chain([None]).collect::<Vec<_>>()
            };
            let mut best = f64::INFINITY;
            for a in options(0) {
                for b in options(1) {
                    for c in options(2) {
                        let (cost, loss) = cost(&[a, b, c], &whole);
                        if cost <= budget {
                            best = best.min(loss);
                        }
                    }
                }
            }
            assert!(found <= 1.25 * best + 1e-12, "{share}: {found}, best is {best}");
        }
    }

    #[test]
    fn a_budget_below_rank_one_is_out_of_reach() {
        let (points, whole) = curve(10, 0.9);
        let found = allocate(&[points], &[whole], 0.1, Resource::Parameters);
        assert_eq!(found, Err(OutOfReach { least: 0.2 }));
    }
}
