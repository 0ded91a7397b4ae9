//! Operators that combine the elements of an axis.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;

const COMBINES: &str = "combines all elements of the axis";

/// Functions of a sum over what is zero where the element is.
const SUMS: [&str; 5] = ["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSum", "ReduceSumSquare"];

/// Ties the axes of `x` that are not in `gone` to those of the output.
fn remaining(site: &mut Site<'_>, gone: &[usize], keep: bool) {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return };
    let mut next = 0;
    for axis in 0..rank {
        if !gone.contains(&axis) {
            site.tie(Axis::new(x, axis), Axis::new(y, next));
        }
        next += usize::from(keep || !gone.contains(&axis));
    }
}

/// Reduced axes combine, a sum without those that are zero anyway; the others stay.
pub(super) fn reduce(site: &mut Site<'_>) -> &'static str {
    let why = "reduces axes that are not known";
    let Some((x, rank)) = site.input(0) else { return why };
    let axes = match (site.list(1, "axes"), site.node().input(1)) {
        (Some(axes), _) => axes.values,
        (None, Some(_)) => return why,
        (None, None) => Vec::new(),
    };
    let reduced: Option<Vec<usize>> =
        match (axes.is_empty(), site.node().int("noop_with_empty_axes")) {
            (true, Some(1)) => Some(Vec::new()),
            (true, _) => Some((0..rank).collect()),
            (false, _) => axes.iter().map(|&axis| from_front(axis, rank)).collect(),
        };
    let Some(reduced) = reduced else { return why };
    if SUMS.contains(&site.node().op_type.as_str()) {
        reduced.iter().for_each(|&axis| site.free(Axis::new(x, axis)));
    }
    remaining(site, &reduced, site.node().int("keepdims").unwrap_or(1) != 0);
    COMBINES
}

/// One axis is searched.
pub(super) fn arg(site: &mut Site<'_>) -> &'static str {
    let Some((_, rank)) = site.input(0) else { return COMBINES };
    if let Some(axis) = site.axis(0, rank) {
        remaining(site, &[axis], site.node().int("keepdims").unwrap_or(1) != 0);
    }
    COMBINES
}

/// One axis is combined, the shape stays.
pub(super) fn along_axis(site: &mut Site<'_>) -> &'static str {
    let Some((_, rank)) = site.input(0) else { return COMBINES };
    let node = site.node();
    let axis = match node.op_type.as_str() {
        "CumSum" => {
            let axis = node.input(1).and_then(|axis| site.constant(axis));
            axis.and_then(|axis| from_front(axis.as_i64()?, rank))
        }
        // Before opset 13, Softmax flattens the axes from `axis` on into one.
        _ if node.int("opset").unwrap_or(site.graph.opset()) < 13 => {
            let Some(first) = site.axis(1, rank) else { return COMBINES };
            remaining(site, &(first..rank).collect::<Vec<_>>(), true);
            return COMBINES;
        }
        _ => site.axis(-1, rank),
    };
    if let Some(axis) = axis {
        remaining(site, &[axis], true);
    }
    COMBINES
}

/// Each channel reads its neighbours.
pub(super) fn across_channels(site: &mut Site<'_>) -> &'static str {
    remaining(site, &[1], true);
    "reads neighbouring channels"
}
