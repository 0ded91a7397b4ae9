//! Operators that work element by element.
use super::site::Site;
use crate::prune::elements::Axis;
use lapidary_ir::ValueId;

const UNALIGNED: &str = "has axes that do not line up";

/// Every output has the axes of the input.
pub(super) fn unary(site: &mut Site<'_>) -> &'static str {
    let Some((x, rank)) = site.input(0) else { return UNALIGNED };
    for slot in 0..site.node().outputs().len() {
        if let Some((y, found)) = site.output(slot)
            && found == rank
        {
            site.tie_all(x, y, rank, &[]);
        }
    }
    UNALIGNED
}

/// Of the second input only the element type is read.
pub(super) fn cast_like(site: &mut Site<'_>) -> &'static str {
    if let Some((like, rank)) = site.input(1) {
        (0..rank).for_each(|axis| site.free(Axis::new(like, axis)));
    }
    unary(site)
}

/// Shapes align at the right; what has extent 1 is read by every element of the output.
pub(super) fn broadcast(site: &mut Site<'_>) -> &'static str {
    let Some((y, rank)) = site.output(0) else { return UNALIGNED };
    if site.node().is_standard() && site.graph.opset() < 7 {
        return same_shapes(site, y, rank);
    }
    for slot in 0..site.operand_count() {
        let Some((x, own)) = site.input(slot) else { continue };
        for axis in 0..own.min(rank) {
            along(site, Axis::new(x, own - 1 - axis), Axis::new(y, rank - 1 - axis));
        }
    }
    UNALIGNED
}

/// Before operator set 7 an attribute said what the axes of a smaller operand are; only operands of
/// the same rank line up without it.
fn same_shapes(site: &mut Site<'_>, y: ValueId, rank: usize) -> &'static str {
    for slot in 0..site.operand_count() {
        if let Some((x, own)) = site.input(slot)
            && own == rank
        {
            site.tie_all(x, y, rank, &[]);
        }
    }
    "broadcasts as before operator set 7"
}

/// Ties an axis to the one it broadcasts to.
pub(super) fn along(site: &mut Site<'_>, input: Axis, output: Axis) {
    if site.extent(input) == Some(1) {
        return site.free(input);
    }
    site.tie(input, output);
}
