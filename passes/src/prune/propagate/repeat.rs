//! Operators that repeat axes.
use super::elementwise::along;
use super::site::Site;
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};

/// What has extent 1 is repeated, as often as the shape says.
pub(super) fn expand(site: &mut Site<'_>) -> &'static str {
    let why = "expands to a shape that is computed at run time; run `optimize` first";
    let (Some((x, own)), Some((y, rank))) = (site.input(0), site.output(0)) else { return why };
    let list = site.list(1, "shape");
    let shape: Option<Vec<Option<i64>>> = match &list {
        Some(list) => Some(list.values.iter().map(|&value| Some(value)).collect()),
        None => site.known(1),
    };
    let Some(shape) = shape.filter(|shape| shape.len() <= rank && own <= rank) else { return why };
    let unwritten = |entry: usize| list.is_none() && !site.is_written(1, entry);
    let first = rank - shape.len();
    let held: Vec<bool> = (0..rank)
        .map(|axis| axis >= first && shape[axis - first] != Some(1) && unwritten(axis - first))
        .collect();
    for axis in 0..own {
        let (inner, outer) = (Axis::new(x, axis), Axis::new(y, rank - own + axis));
        if !held[outer.axis] || site.extent(outer).is_none() {
            along(site, inner, outer);
        } else if site.extent(inner) == Some(1) {
            site.free(inner);
        }
    }
    for (entry, &value) in shape.iter().enumerate() {
        let axis = Axis::new(y, first + entry);
        let Some(extent) = site.extent(axis).filter(|_| value != Some(1)) else { continue };
        if held[axis.axis] {
            continue;
        }
        site.free(axis);
        site.count(Place::Input(1, entry), axis, (0, extent), 1);
    }
    why
}

/// What has extent 1 is repeated; an axis repeated once stays. Of an axis of n elements repeated
/// as a whole, out i is in i mod n.
pub(super) fn tile(site: &mut Site<'_>) -> &'static str {
    let why = "repeats the axis";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    let Some(repeats) = site.list(1, "repeats") else { return why };
    for (axis, &count) in repeats.values.iter().enumerate().take(rank) {
        let (inner, outer) = (Axis::new(x, axis), Axis::new(y, axis));
        if count == 1 {
            site.tie(inner, outer);
            continue;
        }
        match (site.extent(inner), site.extent(outer)) {
            (Some(1), Some(extent)) => {
                site.free(outer);
                site.count(repeats.place(axis), outer, (0, extent), 1);
            }
            (Some(extent), Some(total)) => {
                let pairs = (0..total).map(|element| (element % extent.max(1), element));
                site.tie_by(inner, outer, Map::Pairs(pairs.collect()));
            }
            _ => {}
        }
    }
    why
}
