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

/// Before operator set 7 an attribute said which axes those of a smaller operand are; operands of the
/// same rank line up without it, and a single number has no axes to line up.
fn same_shapes(site: &mut Site<'_>, y: ValueId, rank: usize) -> &'static str {
    let why = "broadcasts as before operator set 7";
    let operands: Option<Vec<_>> =
        (0..site.operand_count()).map(|operand| site.input(operand)).collect();
    let Some(operands) = operands else { return why };
    let single =
        |site: &Site<'_>, x, own| (0..own).all(|axis| site.extent(Axis::new(x, axis)) == Some(1));
    if operands.iter().any(|&(x, own)| own != rank && !single(site, x, own)) {
        return why;
    }
    for (x, own) in operands {
        if own == rank {
            site.tie_all(x, y, rank, &[]);
        }
    }
    why
}

/// Ties an axis to the one it broadcasts to.
pub(super) fn along(site: &mut Site<'_>, input: Axis, output: Axis) {
    if site.extent(input) == Some(1) {
        return site.free(input);
    }
    site.tie(input, output);
}
