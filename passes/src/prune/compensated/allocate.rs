//! How many channels of each group go.
//!
//! Two ways, of which the one with less loss by the curves is taken.
//!
//! * Greedy: from where every group is whole, the jump along a curve that adds the least loss for what it saves is
//!   taken, over any number of points of the curve, until the cost fits.
//! * Dynamic programming ([`budgets`](super::budgets)) over what each group saves with the others as they are in the
//!   best choice so far; where costs of groups depend on each other, that is done again from its own result.
//!
//! Then single steps are given back as long as the cost still fits, those first that take back the most loss for what
//! they cost.
use super::budgets::{Choice, cheapest};
use crate::prune::resources::Ledger;

/// The loss of a group by the number of steps taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve {
    /// Steps and losses, both ascending, without the start at 0.
    points: Vec<(usize, f64)>,
}

impl Curve {
    /// Adds a point behind the others; a loss that is less than one before counts as that.
    pub(super) fn push(&mut self, steps: usize, loss: f64) {
        let least = self.points.last().map_or(0.0, |&(_, loss)| loss);
        self.points.push((steps, loss.max(least)));
    }

    /// The same with a part of every loss.
    pub(super) fn scaled(&self, part: f64) -> Self {
        Self { points: self.points.iter().map(|&(steps, loss)| (steps, part * loss)).collect() }
    }

    /// The loss after so many steps, on straight lines between the points.
    pub(super) fn loss(&self, steps: usize) -> f64 {
        let mut before = (0, 0.0);
        for &point in &self.points {
            if steps <= point.0 {
                let share = (steps - before.0) as f64 / (point.0 - before.0).max(1) as f64;
                return if share == 0.0 {
                    before.1
                } else {
                    before.1 + share * (point.1 - before.1)
                };
            }
            before = point;
        }
        before.1
    }
}

/// What the steps of a group take off the axes of a ledger, step by step.
pub(super) type Elements = Vec<Vec<(usize, usize)>>;

/// How often budgets are found with what groups save beside each other's.
const ROUNDS: usize = 4;

/// The most numbers of steps of a group that budgets choose among.
const CHOICES: usize = 24;

/// Steps for every group such that the cost is at most `budget`, or as many as there are.
pub(super) fn allocate(
    ledger: &Ledger,
    extents: &[usize],
    groups: &[Elements],
    curves: &[Curve],
    budget: f64,
) -> Vec<usize> {
    let complete = |taken| complete(ledger, extents, groups, curves, budget, taken);
    let loss = |taken: &[usize]| -> f64 {
        curves.iter().zip(taken).map(|(curve, &steps)| curve.loss(steps)).sum()
    };
    let mut best = complete(vec![0; groups.len()]);
    for _ in 0..ROUNDS {
        let choices = choices(ledger, extents, groups, curves, &best);
        let wanted = ledger.total(extents) - budget;
        let Some(taken) = cheapest(&choices, wanted) else { break };
        let taken = complete(taken);
        let fits = ledger.total(&after(extents, groups, &taken)) <= budget;
        if !fits || loss(&taken) >= loss(&best) {
            break;
        }
        best = taken;
    }
    best
}

/// What every group loses and saves by some numbers of steps, the others as they are in `taken`. What groups save
/// beside each other is less than what they save one after another; it is scaled so that `taken` saves what it does.
fn choices(
    ledger: &Ledger,
    extents: &[usize],
    groups: &[Elements],
    curves: &[Curve],
    taken: &[usize],
) -> Vec<Vec<Choice>> {
    let current = after(extents, groups, taken);
    let alone = |group: usize, steps: usize| {
        let mut whole = current.clone();
        shift(&mut whole, &together(&groups[group][..taken[group]]), true);
        ledger.saved(&whole, &together(&groups[group][..steps]))
    };
    let beside: f64 = taken.iter().enumerate().map(|(group, &steps)| alone(group, steps)).sum();
    let saved = ledger.total(extents) - ledger.total(&current);
    let scale = if beside > 0.0 { saved / beside } else { 1.0 };
    let of_group = |group: usize| {
        let all = groups[group].len();
        let by = all.div_ceil(CHOICES).max(1);
        let counts = (0..=all).filter(|steps| steps % by == 0 || *steps == all);
        let choice = |steps| Choice {
            steps,
            loss: curves[group].loss(steps),
            saved: scale * alone(group, steps),
        };
        counts.map(choice).collect()
    };
    (0..groups.len()).map(of_group).collect()
}

/// Takes more steps, one group at a time, until the cost fits, and gives back what it can.
fn complete(
    ledger: &Ledger,
    extents: &[usize],
    groups: &[Elements],
    curves: &[Curve],
    budget: f64,
    mut taken: Vec<usize>,
) -> Vec<usize> {
    let mut extents = after(extents, groups, &taken);
    let mut cost = ledger.total(&extents);
    while cost > budget {
        let mut best: Option<(f64, usize, usize, f64)> = None;
        for (group, curve) in curves.iter().enumerate() {
            for &(to, loss) in curve.points.iter().filter(|(to, _)| *to > taken[group]) {
                let gone = together(&groups[group][taken[group]..to]);
                let saved = ledger.saved(&extents, &gone);
                let price = (loss - curve.loss(taken[group])) / saved.max(f64::MIN_POSITIVE);
                if saved > 0.0 && best.is_none_or(|(least, ..)| price < least) {
                    best = Some((price, group, to, saved));
                }
            }
        }
        let Some((_, group, to, saved)) = best else { break };
        shift(&mut extents, &together(&groups[group][taken[group]..to]), false);
        taken[group] = to;
        cost -= saved;
    }
    give_back(ledger, &mut extents, groups, curves, budget, &mut taken);
    taken
}

fn give_back(
    ledger: &Ledger,
    extents: &mut [usize],
    groups: &[Elements],
    curves: &[Curve],
    budget: f64,
    taken: &mut [usize],
) {
    loop {
        let cost = ledger.total(extents);
        let mut best: Option<(f64, usize)> = None;
        for (group, curve) in curves.iter().enumerate() {
            let Some(last) = taken[group].checked_sub(1) else { continue };
            let mut whole = extents.to_owned();
            shift(&mut whole, &groups[group][last], true);
            let more = ledger.saved(&whole, &groups[group][last]);
            if cost + more > budget {
                continue;
            }
            let gain = (curve.loss(last + 1) - curve.loss(last)) / more.max(f64::MIN_POSITIVE);
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, group));
            }
        }
        let Some((_, group)) = best else { return };
        taken[group] -= 1;
        shift(extents, &groups[group][taken[group]], true);
    }
}

/// The extents after so many steps of every group.
pub(super) fn after(extents: &[usize], groups: &[Elements], taken: &[usize]) -> Vec<usize> {
    let mut extents = extents.to_vec();
    for (steps, &taken) in groups.iter().zip(taken) {
        shift(&mut extents, &together(&steps[..taken]), false);
    }
    extents
}

/// What several steps take off the axes.
fn together(steps: &[Vec<(usize, usize)>]) -> Vec<(usize, usize)> {
    let mut sums = std::collections::BTreeMap::new();
    for &(place, count) in steps.iter().flatten() {
        *sums.entry(place).or_insert(0) += count;
    }
    sums.into_iter().collect()
}

/// Takes elements off the extents, or puts them back.
pub(super) fn shift(extents: &mut [usize], elements: &[(usize, usize)], back: bool) {
    for &(place, count) in elements {
        extents[place] =
            if back { extents[place] + count } else { extents[place].saturating_sub(count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Analysis, Resource};
    use crate::quantize::testing::model;

    #[test]
    fn losses_lie_on_lines_between_points() {
        let mut curve = Curve::default();
        curve.push(2, 1.0);
        curve.push(4, 0.5);
        curve.push(8, 3.0);
        let losses = [0, 1, 2, 3, 4, 6, 8].map(|steps| curve.loss(steps));
        assert_eq!(losses, [0.0, 0.5, 1.0, 1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_cost_just_fits_and_the_cheap_group_pays() {
        let model = model(
            "g (float[1,10] x) => (float[1,10] y)
            <float[10,40] a, float[40,10] b, float[10,40] c, float[40,10] d>
            {
                h = MatMul(x, a)
                i = MatMul(h, b)
                j = MatMul(i, c)
                y = MatMul(j, d)
            }",
        );
        let analysis = Analysis::of(&model.graph);
        let ledger = Ledger::of(&model, &analysis, Resource::Macs);
        let extents = ledger.extents(&analysis.extents);
        assert_eq!(ledger.total(&extents), 1600.0);
        let steps = |group: usize| -> Elements {
            let group = &analysis.groups[group];
            let channels = group.channels.iter().take(group.size - 1);
            channels.map(|&channel| ledger.elements(&analysis, &[channel])).collect()
        };
        let groups: Vec<Elements> = (0..3).map(steps).collect();
        let curve = |losses: [f64; 3], most: usize| {
            let mut curve = Curve::default();
            let points = [most / 4, most / 2, most].into_iter().zip(losses);
            points.for_each(|(steps, loss)| curve.push(steps, loss));
            curve
        };
        // The first group costs more from the start, the third only when most of it goes.
        let curves = [
            curve([9.0, 18.0, 40.0], 39),
            curve([90.0, 99.0, 999.0], 9),
            curve([0.1, 0.2, 90.0], 39),
        ];
        let taken = allocate(&ledger, &extents, &groups, &curves, 1220.0);
        assert_eq!(taken, [0, 0, 19]);
        let taken = allocate(&ledger, &extents, &groups, &curves, 1000.0);
        let cost = ledger.total(&after(&extents, &groups, &taken));
        assert!(cost <= 1000.0 && cost > 980.0, "{taken:?} {cost}");
        assert_eq!(taken[1], 0);
    }
}
