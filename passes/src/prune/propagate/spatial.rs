//! Operators that work on each channel's plane.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;

const WINDOW: &str = "slides a window over the axis";

/// Batch and channels stay, except where positions are told: those count channels too.
pub(super) fn pool(site: &mut Site<'_>) -> &'static str {
    let Some((x, rank @ 2..)) = site.input(0) else { return WINDOW };
    let last = site.node().int("channels_last").unwrap_or(0) != 0;
    let channels = if last { rank - 1 } else { 1 };
    let told = site.node().output(1).is_some_and(|positions| {
        let positions = site.graph.value(positions);
        positions.is_output() || positions.uses().len() != 0
    });
    for slot in 0..site.node().outputs().len() {
        let Some((y, _)) = site.output(slot) else { continue };
        site.tie(Axis::new(x, 0), Axis::new(y, 0));
        if told {
            site.pin(Axis::new(x, channels), "tells positions, which count channels");
            site.pin(Axis::new(y, channels), "tells positions, which count channels");
        } else {
            site.tie(Axis::new(x, channels), Axis::new(y, channels));
        }
    }
    WINDOW
}

/// Of each region, every channel: y of `[regions, channels, …]`.
pub(super) fn regions(site: &mut Site<'_>) -> &'static str {
    if let (Some((x, 4)), Some((y, 4))) = (site.input(0), site.output(0)) {
        site.tie(Axis::new(x, 1), Axis::new(y, 1));
    }
    "pools regions along the axis"
}

/// An axis scaled by 1 stays; where its size is written, the size is written anew.
pub(super) fn resize(site: &mut Site<'_>) -> &'static str {
    let why = "resizes the axis";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    if site.node().string("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
        return why;
    }
    let axes: Vec<Option<usize>> = match site.node().ints("axes") {
        Some(axes) => axes.iter().map(|&axis| from_front(axis, rank)).collect(),
        None => (0..rank).map(Some).collect(),
    };
    let sizes = site.node().input(3).filter(|_| site.node().op_type == "Resize");
    let written = site.list(3, "sizes").filter(|_| sizes.is_some());
    for axis in 0..rank {
        let (inner, outer) = (Axis::new(x, axis), Axis::new(y, axis));
        let entry = axes.iter().position(|&resized| resized == Some(axis));
        let (Some(extent), true) = (site.extent(inner), site.extent(inner) == site.extent(outer))
        else {
            if entry.is_none() {
                site.tie(inner, outer);
            }
            continue;
        };
        match (entry, sizes, &written) {
            (None, ..) | (Some(_), None, _) => site.tie(inner, outer),
            (Some(entry), Some(_), Some(sizes)) if entry < sizes.values.len() => {
                site.tie(inner, outer);
                site.count(sizes.place(entry), outer, (0, extent), 1);
            }
            _ => {}
        }
    }
    why
}

/// Every channel is sampled at the same places.
pub(super) fn grid_sample(site: &mut Site<'_>) -> &'static str {
    if let (Some((x, _)), Some((y, _))) = (site.input(0), site.output(0)) {
        site.tie_all(x, y, 2, &[]);
    }
    "samples along the axis"
}
