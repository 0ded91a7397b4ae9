//! Operators that put elements side by side, or take them apart again.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};

/// Data of the model, cut like an initializer.
pub(super) fn constant(site: &mut Site<'_>) -> &'static str {
    if let Some((y, rank)) = site.output(0)
        && site.constant(y).is_some()
    {
        (0..rank).for_each(|axis| site.free(Axis::new(y, axis)));
    }
    "holds data that is not a tensor"
}

/// One number everywhere, as often as the shape says.
pub(super) fn constant_of_shape(site: &mut Site<'_>) -> &'static str {
    let why = "makes a shape that is computed at run time; run `optimize` first";
    let Some((y, rank)) = site.output(0) else { return why };
    let Some(shape) = site.list(0, "shape").filter(|shape| shape.values.len() == rank) else {
        return why;
    };
    for entry in 0..rank {
        let axis = Axis::new(y, entry);
        let Some(extent) = site.extent(axis) else { continue };
        site.free(axis);
        site.count(shape.place(entry), axis, (0, extent), 1);
    }
    why
}

/// Input k starts behind the inputs before it.
pub(super) fn concat(site: &mut Site<'_>) -> &'static str {
    let why = "joins axes of a size that is not known";
    let Some((y, rank)) = site.output(0) else { return why };
    let Some(axis) = site.axis(1, rank) else { return why };
    let joined = Axis::new(y, axis);
    let mut offset = Some(0);
    for slot in 0..site.operand_count() {
        let Some((x, _)) = site.input(slot) else { return why };
        site.tie_all(x, y, rank, &[axis]);
        let part = Axis::new(x, axis);
        let extent = site.extent(part);
        if let (Some(left), Some(len), Some(total)) = (offset, extent, site.extent(joined))
            && left + len <= total
        {
            site.tie_by(part, joined, Map::Run { left: 0, right: left, len });
        }
        offset = offset.zip(extent).map(|(offset, extent)| offset + extent);
    }
    why
}

/// Output k takes as many elements as it has; the sizes are written out afterwards.
pub(super) fn split(site: &mut Site<'_>) -> &'static str {
    let why = "splits an axis into sizes that are not known";
    let Some((x, rank)) = site.input(0) else { return why };
    let Some(axis) = site.axis(0, rank) else { return why };
    let count = site.node().outputs().len();
    let whole = Axis::new(x, axis);
    let written = site.list(1, "split").map(|list| list.values);
    let computed = site.node().input(1).is_some() && written.is_none();
    let sizes: Option<Vec<usize>> = match written {
        Some(sizes) => sizes.iter().map(|&size| usize::try_from(size).ok()).collect(),
        None => (0..count).map(|slot| site.extent(Axis::new(site.output(slot)?.0, axis))).collect(),
    };
    for slot in 0..count {
        if let Some((y, _)) = site.output(slot) {
            site.tie_all(x, y, rank, &[axis]);
        }
    }
    let (Some(sizes), Some(total)) = (sizes, site.extent(whole)) else { return why };
    if computed || sizes.len() != count || sizes.iter().sum::<usize>() != total {
        return why;
    }
    let mut start = 0;
    for (slot, len) in sizes.into_iter().enumerate() {
        if let Some((y, _)) = site.output(slot) {
            site.tie_by(whole, Axis::new(y, axis), Map::Run { left: start, right: 0, len });
        }
        let place = if site.graph.opset() < 13 {
            Place::Ints("split", slot)
        } else {
            Place::Input(1, slot)
        };
        site.count(place, whole, (start, start + len), 1);
        start += len;
    }
    why
}

/// Constants before and after; the elements between are those of the input.
pub(super) fn pad(site: &mut Site<'_>) -> &'static str {
    let why = "pads the axis by an amount that is not known";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    let axes = match site.node().input(3) {
        None => (0..rank).map(Some).collect(),
        Some(axes) => {
            let Some(axes) = site.constant(axes).and_then(|axes| axes.to_i64()) else { return why };
            axes.iter().map(|&axis| from_front(axis, rank)).collect::<Vec<_>>()
        }
    };
    let Some(pads) = site.list(1, "pads") else { return why };
    if pads.values.len() != 2 * axes.len() {
        return why;
    }
    let constant = site.node().string("mode").unwrap_or("constant") == "constant";
    for axis in (0..rank).filter(|axis| !axes.contains(&Some(*axis))) {
        site.tie(Axis::new(x, axis), Axis::new(y, axis));
    }
    for (entry, axis) in axes.iter().enumerate() {
        let Some(axis) = *axis else { return why };
        let (inner, outer) = (Axis::new(x, axis), Axis::new(y, axis));
        let [before, after] = [pads.values[entry], pads.values[axes.len() + entry]];
        if before == 0 && after == 0 {
            site.tie(inner, outer);
            continue;
        }
        let (Ok(before), Ok(after)) = (usize::try_from(before), usize::try_from(after)) else {
            continue;
        };
        let (Some(len), Some(total)) = (site.extent(inner), site.extent(outer)) else { continue };
        if !constant || before + len + after != total {
            continue;
        }
        site.tie_by(inner, outer, Map::Run { left: 0, right: before, len });
        site.count(pads.place(entry), outer, (0, before), 1);
        site.count(pads.place(axes.len() + entry), outer, (before + len, total), 1);
    }
    "pads the axis with its own elements"
}
