//! Which channels go, given how important each is.
//!
//! Per group of n channels, keep = ⌈(1 − ratio) · n⌉, no less than the minimum, rounded up to a
//! multiple. Where blocks have to keep equally many, channels are sorted into buckets by the
//! blocks they are in, and every bucket loses the same number; then every block does. What is
//! chosen is checked against every axis and every balance; the least important go first, ties by
//! number.
use super::analysis::{Analysis, Group};
use super::elements::Axis;
use super::relations::Balance;
use super::rounding::Rounding;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// How many channels go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// The share of each group that goes, from 0 to 1.
    pub ratio: f64,
    /// Channels every axis keeps at least; 0 counts as 1.
    pub min_channels: usize,
    /// What numbers of channels a group keeps where it can.
    pub round_to: Rounding,
}

/// What goes of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) removed: Vec<usize>,
    /// Why less goes than asked for.
    pub(crate) note: Option<&'static str>,
}

/// The number of elements every axis still has.
pub(crate) type Extents = BTreeMap<Axis, usize>;

/// Chooses for every group, in order.
pub(crate) fn select(
    analysis: &Analysis,
    scores: &[Vec<f64>],
    selection: &Selection,
) -> Vec<Choice> {
    let mut extents = analysis.extents.clone();
    let mut choices = Vec::with_capacity(analysis.groups.len());
    for (group, scores) in analysis.groups.iter().zip(scores) {
        let minimum = selection.min_channels.max(1);
        let wanted = to_remove(group.size, minimum, selection.ratio);
        let wanted = (wanted, minimum, selection.round_to.multiple(analysis, group));
        choices.push(choose(analysis, group, scores, wanted, &mut extents));
    }
    choices
}

/// Chooses so many channels of a group, of which every axis keeps a minimum and of the group a multiple stays.
pub(crate) fn choose(
    analysis: &Analysis,
    group: &Group,
    scores: &[f64],
    (wanted, minimum, multiple): (usize, usize, usize),
    extents: &mut Extents,
) -> Choice {
    if wanted == 0 || group.removable.is_empty() {
        return Choice::default();
    }
    let balances = balances_of(analysis, group);
    let buckets = buckets(analysis, group, &balances, scores);
    let mut each = wanted / buckets.len();
    let mut taken: Vec<Vec<usize>> = Vec::with_capacity(buckets.len());
    let mut left = extents.clone();
    for bucket in &buckets {
        let mut chosen = Vec::new();
        for &number in bucket {
            if chosen.len() == each {
                break;
            }
            if take(analysis, group.channels[number], minimum, &mut left) {
                chosen.push(number);
            }
        }
        each = each.min(chosen.len());
        taken.push(chosen);
    }
    while each > 0 && !(group.size - each * buckets.len()).is_multiple_of(multiple) {
        each -= 1;
    }
    let mut removed: Vec<usize> =
        taken.iter().flat_map(|chosen| chosen[..each].iter().copied()).collect();
    removed.sort_unstable();
    if unbalanced(analysis, group, &balances, &removed).is_some() {
        return Choice { removed: Vec::new(), note: Some("no choice keeps every block equal") };
    }
    for &number in &removed {
        take(analysis, group.channels[number], minimum, extents);
    }
    let note =
        (removed.len() < wanted).then_some("pins, blocks, rounding or the minimum keep more");
    Choice { removed, note }
}

/// Channels of a group that go at a ratio.
pub(crate) fn to_remove(size: usize, minimum: usize, ratio: f64) -> usize {
    let keep = ((1.0 - ratio.clamp(0.0, 1.0)) * size as f64 - 1e-9).ceil();
    size.saturating_sub((keep as usize).max(minimum))
}

/// The balances that hold for channels of a group.
pub(crate) fn balances_of(analysis: &Analysis, group: &Group) -> Vec<Balance> {
    let own: rustc_hash::FxHashSet<usize> = group.channels.iter().copied().collect();
    let touches =
        |balance: &&Balance| analysis.owners[&balance.axis].iter().any(|c| own.contains(c));
    analysis.balances.iter().filter(touches).copied().collect()
}

/// The removable channels by the blocks they have elements in, least important first.
pub(crate) fn buckets(
    analysis: &Analysis,
    group: &Group,
    balances: &[Balance],
    scores: &[f64],
) -> Vec<Vec<usize>> {
    let mut buckets: BTreeMap<Vec<Vec<usize>>, Vec<usize>> = BTreeMap::new();
    for &number in &group.removable {
        let channel = group.channels[number];
        let signature = balances.iter().map(|balance| per_block(analysis, balance, &[channel]));
        buckets.entry(signature.collect()).or_default().push(number);
    }
    let mut buckets: Vec<Vec<usize>> = buckets.into_values().collect();
    for bucket in &mut buckets {
        bucket.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
    }
    buckets
}

/// How many elements channels have in each block of a balanced axis.
fn per_block(analysis: &Analysis, balance: &Balance, channels: &[usize]) -> Vec<usize> {
    let block = (analysis.extents[&balance.axis] / balance.blocks).max(1);
    let mut counts = vec![0; balance.blocks];
    for &channel in channels {
        for &(axis, index) in &analysis.channels[channel].elements {
            if axis == balance.axis {
                counts[index / block] += 1;
            }
        }
    }
    counts
}

/// A balance that does not hold when these channels of a group go.
pub(crate) fn unbalanced(
    analysis: &Analysis,
    group: &Group,
    balances: &[Balance],
    removed: &[usize],
) -> Option<Balance> {
    let channels: Vec<usize> = removed.iter().map(|&number| group.channels[number]).collect();
    let uneven = |balance: &&Balance| {
        let counts = per_block(analysis, balance, &channels);
        counts.windows(2).any(|pair| pair[0] != pair[1])
    };
    balances.iter().find(uneven).copied()
}

/// Takes a channel off every axis it is on, unless one would keep fewer than `minimum`.
pub(crate) fn take(
    analysis: &Analysis,
    channel: usize,
    minimum: usize,
    extents: &mut Extents,
) -> bool {
    let mut counts: FxHashMap<Axis, usize> = FxHashMap::default();
    let elements = &analysis.channels[channel].elements;
    elements.iter().for_each(|&(axis, _)| *counts.entry(axis).or_default() += 1);
    if elements.iter().any(|(axis, _)| extents[axis] < counts[axis] + minimum) {
        return false;
    }
    for (axis, _) in elements {
        if let (Some(count), Some(left)) = (counts.remove(axis), extents.get_mut(axis)) {
            *left -= count;
        }
    }
    true
}
