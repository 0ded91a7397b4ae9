//! Pools whose size is rounded up: windows beyond the input.
use super::change::{Entry, Reason, Site, adapt};
use lapidary_ir::Patch;

pub(super) const CHANGES: &[Entry] =
    &[adapt(19, &["AveragePool"], windows), adapt(22, &["AveragePool", "MaxPool"], windows)];

/// With sizes rounded up, windows that start in the padding behind are dropped, and what a window
/// that reaches beyond the padding is divided by was not defined. Where there are none the pools
/// are the same.
fn windows(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    const UNKNOWN: Reason = "its size is rounded up (ceil_mode), and the windows beyond the input are not known to be the same";
    let node = site.node();
    if node.int("ceil_mode").unwrap_or(0) == 0 {
        return Ok(());
    }
    if node.string("auto_pad").is_some_and(|mode| mode != "NOTSET") {
        return Err(UNKNOWN);
    }
    let shape = site.graph.value(site.input(0)?).ty().shape.as_ref().ok_or(UNKNOWN)?;
    let kernel = node.ints("kernel_shape").ok_or(UNKNOWN)?;
    let rank = kernel.len();
    if shape.len() != rank + 2 {
        return Err(UNKNOWN);
    }
    let list = |name: &str, axis: usize, default: i64| {
        node.ints(name).map_or(Some(default), |values| values.get(axis).copied())
    };
    let averages = node.is("AveragePool") && node.int("count_include_pad").unwrap_or(0) != 0;
    for (axis, &kernel) in kernel.iter().enumerate() {
        let size = shape[axis + 2].value();
        let (stride, dilation) = (list("strides", axis, 1), list("dilations", axis, 1));
        let (before, behind) = (list("pads", axis, 0), list("pads", rank + axis, 0));
        let facts = (size, stride, dilation, before, behind);
        let (Some(size), Some(stride), Some(dilation), Some(before), Some(behind)) = facts else {
            return Err(UNKNOWN);
        };
        let span = dilation.checked_mul(kernel - 1).and_then(|span| span.checked_add(1));
        let room =
            span.and_then(|span| size.checked_add(before)?.checked_add(behind)?.checked_sub(span));
        let Some(room) = room.filter(|&room| room >= 0 && stride > 0) else { return Err(UNKNOWN) };
        let over = room % stride;
        let last = room - over + if over == 0 { 0 } else { stride };
        if last >= size + before || (averages && over != 0) {
            return Err(UNKNOWN);
        }
    }
    Ok(())
}
