//! Operators on integers: what they do to channels is what the operators on the numbers they stand
//! for do, and a scale or zero point per channel rides along.
use super::site::Site;
use super::{elementwise, join, linear, quantize, reduce, spatial};
use crate::prune::elements::Axis;
use lapidary_ir::ValueId;
use lapidary_ir::schema::{IntegerOperator, QuantizedSlots, integer_operator};

/// States what an operator on integers does; none when the node is another operator.
pub(super) fn rule(site: &mut Site<'_>) -> Option<&'static str> {
    if let Some(operator) = integer_operator(site.node()) {
        return Some(stands_for(site, operator));
    }
    let (domain, standard) = (site.node().domain.as_str(), site.node().is_standard());
    match site.node().op_type.as_str() {
        "ConvInteger" if standard => {
            let zero_points = filter(site).map(|filter| vec![(3, filter)]);
            Some(product(site, zero_points.unwrap_or_default(), linear::conv))
        }
        "MatMulInteger" if standard => {
            let zero_points =
                [rows(site).map(|axis| (2, axis)), columns(site).map(|axis| (3, axis))];
            Some(product(site, zero_points.into_iter().flatten().collect(), linear::matmul))
        }
        "DynamicQuantizeLinear" if standard => Some(dynamic(site)),
        "QuantizeLinear" | "DequantizeLinear" if domain == "com.microsoft" => {
            Some(quantize::linear(site))
        }
        _ => None,
    }
}

/// The operator on numbers, on the operands of this one.
fn stands_for(site: &mut Site<'_>, operator: &IntegerOperator) -> &'static str {
    let node = site.node();
    let operands: Vec<QuantizedSlots> = operator.operands_of(node).collect();
    for (place, slots) in operands.iter().enumerate() {
        let Some((integers, rank)) = site.input(slots.integers) else { continue };
        let axis = operator.scale_axis(node, place, rank);
        for slot in [slots.scale, slots.zero_point] {
            companion(site, slot, integers, rank, axis);
        }
    }
    let mut slots: Vec<Option<usize>> = operator.unquantized.into_iter().map(Some).collect();
    slots.extend(operands.iter().map(|slots| Some(slots.integers)));
    slots.extend(operator.bias.map(Some));
    site.read_as(slots);
    match operator.float {
        "Conv" => linear::conv(site),
        "MatMul" => linear::matmul(site),
        "Gemm" => linear::gemm(site),
        "Add" | "Mul" | "Where" => elementwise::broadcast(site),
        "Concat" => join::concat(site),
        "AveragePool" | "GlobalAveragePool" => spatial::pool(site),
        "LeakyRelu" | "Sigmoid" => elementwise::unary(site),
        "Softmax" => reduce::along_axis(site),
        _ => "has no rule for channels",
    }
}

/// A scale or zero point: one number, one per element of `axis`, or shaped like the integers.
fn companion(
    site: &mut Site<'_>,
    slot: usize,
    integers: ValueId,
    rank: usize,
    axis: Option<usize>,
) {
    let Some((companion, own)) = site.input(slot) else { return };
    let single = |site: &Site<'_>| site.extent(Axis::new(companion, 0)) == Some(1);
    match (own, axis) {
        (1, Some(axis)) if !single(site) => {
            site.ride(Axis::new(companion, 0), Axis::new(integers, axis));
        }
        (2.., _) if own == rank => {
            for axis in 0..rank {
                elementwise::along(site, Axis::new(companion, axis), Axis::new(integers, axis));
            }
        }
        _ => {}
    }
}

/// A product of integers, with zero points in some slots along axes of its operands.
fn product(
    site: &mut Site<'_>,
    zero_points: Vec<(usize, Axis)>,
    rule: fn(&mut Site<'_>) -> &'static str,
) -> &'static str {
    for (slot, along) in zero_points {
        let rank = site.shape(along.value).len();
        companion(site, slot, along.value, rank, Some(along.axis));
    }
    site.read_as(vec![Some(0), Some(1)]);
    rule(site)
}

/// The axis of filters of a convolution.
fn filter(site: &Site<'_>) -> Option<Axis> {
    Some(Axis::new(site.input(1)?.0, 0))
}

/// The rows of the left matrix.
fn rows(site: &Site<'_>) -> Option<Axis> {
    let (left, rank) = site.input(0)?;
    Some(Axis::new(left, rank.checked_sub(2)?))
}

/// The columns of the right matrix.
fn columns(site: &Site<'_>) -> Option<Axis> {
    let (right, rank) = site.input(1)?;
    Some(Axis::new(right, rank.checked_sub(1)?))
}

/// y = round(x / s) + z with s and z from the smallest and the largest number of x and 0. Channels
/// of zeros are neither, so the others keep their integers without them.
fn dynamic(site: &mut Site<'_>) -> &'static str {
    if let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) {
        site.tie_all(x, y, rank, &[]);
    }
    "has axes that do not line up"
}
