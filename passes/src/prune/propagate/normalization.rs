//! Normalizations: exact where the statistics belong to single channels.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};

const STATISTICS: &str = "computes statistics over the axis";

/// y = scale · (x − mean) / √(var + ε) + bias, every operand one value per channel.
pub(super) fn batch(site: &mut Site<'_>) -> &'static str {
    if site.node().int("training_mode").unwrap_or(0) != 0 {
        return STATISTICS;
    }
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else {
        return STATISTICS;
    };
    let Some(vectors) = vectors(site, 1..5) else { return STATISTICS };
    site.tie_all(x, y, rank, &[]);
    vectors.into_iter().for_each(|vector| site.ride(vector, Axis::new(x, 1)));
    STATISTICS
}

/// Statistics of each channel of each sample, over the spatial axes.
pub(super) fn instance(site: &mut Site<'_>) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else {
        return STATISTICS;
    };
    let Some(vectors) = vectors(site, 1..3) else { return STATISTICS };
    let spatial: Vec<usize> = (2..rank).collect();
    site.tie_all(x, y, rank, &spatial);
    vectors.into_iter().for_each(|vector| site.ride(vector, Axis::new(x, 1)));
    STATISTICS
}

/// The operands in these slots, if all have one axis: before operator set 9, `spatial` 0 gave every
/// position statistics of its own.
fn vectors(site: &Site<'_>, slots: std::ops::Range<usize>) -> Option<Vec<Axis>> {
    let vector = |slot| match site.input(slot) {
        Some((vector, 1)) => Some(Axis::new(vector, 0)),
        _ => None,
    };
    slots.map(vector).collect()
}

/// Statistics over the C/g channels of a group: a group goes as a whole, or they change.
pub(super) fn group(site: &mut Site<'_>) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else {
        return STATISTICS;
    };
    let channels = Axis::new(x, 1);
    let groups = site.node().int("num_groups").and_then(|groups| usize::try_from(groups).ok());
    let (Some(groups), Some(extent)) = (groups, site.extent(channels)) else { return STATISTICS };
    if groups == 0 || !extent.is_multiple_of(groups) {
        return STATISTICS;
    }
    let per = extent / groups;
    let spatial: Vec<usize> = (2..rank).collect();
    site.tie_all(x, y, rank, &spatial);
    let first_of_group = (0..extent).map(|element| (element / per * per, element)).collect();
    site.tie_by(channels, channels, Map::Pairs(first_of_group));
    site.count(Place::Int("num_groups"), channels, (0, extent), per);
    for slot in 1..3 {
        let Some((vector, 1)) = site.input(slot) else { continue };
        let vector = Axis::new(vector, 0);
        if site.extent(vector) == Some(extent) {
            site.ride(vector, channels);
        } else if site.extent(vector) == Some(groups) {
            let map = Map::Digits { total: extent, left: (per, groups), right: (1, extent) };
            site.tie_by(vector, channels, map);
        }
    }
    STATISTICS
}

/// Statistics over the axes from `axis` on; the axes before it are independent.
pub(super) fn layer(site: &mut Site<'_>) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else {
        return STATISTICS;
    };
    if let Some(first) = site.axis(-1, rank) {
        let normalized: Vec<usize> = (first..rank).collect();
        site.tie_all(x, y, rank, &normalized);
    }
    STATISTICS
}

/// y = x / ‖x‖ along an axis: the norm is the same without what is zero, which stays zero.
pub(super) fn lp(site: &mut Site<'_>) -> &'static str {
    if let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) {
        site.tie_all(x, y, rank, &[]);
    }
    STATISTICS
}

/// Statistics over some axes, of each element of the others: by default, of each channel.
pub(super) fn mean_variance(site: &mut Site<'_>) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else {
        return STATISTICS;
    };
    let axes = site.node().ints("axes").unwrap_or(&[0, 2, 3]);
    let over: Option<Vec<usize>> = axes.iter().map(|&axis| from_front(axis, rank)).collect();
    if let Some(over) = over {
        site.tie_all(x, y, rank, &over);
    }
    STATISTICS
}
