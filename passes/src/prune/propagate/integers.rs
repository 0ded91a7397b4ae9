//! Operators on integers: what they do to channels is what the operators on the numbers they stand
//! for do, and a scale or zero point per channel rides along.
use super::site::Site;
use super::{elementwise, join, linear, quantize, recurrent, reduce, spatial};
use crate::prune::elements::Axis;
use lapidary_ir::schema::{IntegerOperator, QuantizedSlots, integer_operator};

/// An operator on integers, as the operator on the numbers they stand for.
struct Reading {
    /// The input slots of the operands of that operator.
    operands: Vec<Option<usize>>,
    /// The slots of scales and zero points, with the axis of integers several of them run along.
    companions: Vec<(usize, Axis)>,
    /// A bias per element of the last axis of the result, which that operator does not have.
    bias: Option<usize>,
    rule: fn(&mut Site<'_>) -> &'static str,
}

/// States what an operator on integers does; none when the node is another operator.
pub(super) fn rule(site: &mut Site<'_>) -> Option<&'static str> {
    if let Some(operator) = integer_operator(site.node()) {
        let reading = stands_for(site, operator);
        return Some(reading.map_or("has no rule for channels", |reading| follow(site, reading)));
    }
    let domain = if site.node().is_standard() { "" } else { site.node().domain.as_str() };
    let along = |slots: &[usize], axis: Option<Axis>| -> Vec<(usize, Axis)> {
        slots.iter().filter_map(|&slot| Some((slot, axis?))).collect()
    };
    let operands = vec![Some(0), Some(1)];
    let reading = match (domain, site.node().op_type.as_str()) {
        ("", "ConvInteger") => {
            let companions = along(&[3], filters(site));
            Reading { operands, companions, bias: None, rule: linear::conv }
        }
        ("", "MatMulInteger") => {
            let companions = [along(&[2], rows(site)), along(&[3], columns(site))].concat();
            Reading { operands, companions, bias: None, rule: linear::matmul }
        }
        ("com.microsoft", "DynamicQuantizeMatMul") => {
            let companions = along(&[2, 3], columns(site));
            Reading { operands, companions, bias: Some(4), rule: linear::matmul }
        }
        ("com.microsoft", "DynamicQuantizeLSTM") => return Some(recurrent::quantized_lstm(site)),
        ("com.microsoft", "QuantizeLinear" | "DequantizeLinear") => {
            return Some(quantize::linear(site));
        }
        ("", "DynamicQuantizeLinear") => return Some(dynamic(site)),
        _ => return None,
    };
    Some(follow(site, reading))
}

/// How an operator reads its operands.
fn stands_for(site: &Site<'_>, operator: &IntegerOperator) -> Option<Reading> {
    let node = site.node();
    let quantized: Vec<QuantizedSlots> = operator.operands_of(node).collect();
    let mut operands: Vec<Option<usize>> = operator.unquantized.into_iter().map(Some).collect();
    operands.extend(quantized.iter().map(|slots| Some(slots.integers)));
    operands.extend(operator.bias.map(Some));
    let mut companions = Vec::new();
    for (place, slots) in quantized.iter().enumerate() {
        let Some((integers, rank)) = site.input(slots.integers) else { continue };
        if let Some(axis) = operator.scale_axis(node, place, rank) {
            let axis = Axis::new(integers, axis);
            companions.extend([(slots.scale, axis), (slots.zero_point, axis)]);
        }
    }
    let rule = match operator.float {
        "Conv" => linear::conv,
        "MatMul" => linear::matmul,
        "Gemm" => linear::gemm,
        "Add" | "Mul" | "Where" => elementwise::broadcast,
        "Concat" => join::concat,
        "AveragePool" | "GlobalAveragePool" => spatial::pool,
        "LeakyRelu" | "Sigmoid" => elementwise::unary,
        "Softmax" => reduce::along_axis,
        _ => return None,
    };
    let bias = (operator.op_type == "MatMulIntegerToFloat").then_some(6);
    Some(Reading { operands, companions, bias, rule })
}

/// States what the operator on numbers does. Where something of several elements rides along nothing that is
/// known, all stays.
fn follow(site: &mut Site<'_>, reading: Reading) -> &'static str {
    let Reading { operands, companions, bias, rule } = reading;
    for (slot, axis) in companions {
        companion(site, slot, axis);
    }
    if let Some((bias, 1)) = bias.and_then(|slot| site.input(slot))
        && let Some((y, rank @ 1..)) = site.output(0)
    {
        site.ride(Axis::new(bias, 0), Axis::new(y, rank - 1));
    }
    let rest = (0..site.node().inputs().len()).filter(|slot| !operands.contains(&Some(*slot)));
    let unclear =
        rest.filter_map(|slot| site.node().input(slot)).any(|value| !site.is_clear(value));
    if unclear {
        return "has scales or a bias that are not followed";
    }
    site.read_as(operands);
    rule(site)
}

/// A scale or zero point: one number, one per element of `axis`, or of the rank of the integers.
fn companion(site: &mut Site<'_>, slot: usize, axis: Axis) {
    let Some((companion, own)) = site.input(slot) else { return };
    let rank = site.shape(axis.value).len();
    if own == 1 && site.extent(Axis::new(companion, 0)) != Some(1) {
        site.ride(Axis::new(companion, 0), axis);
    } else if own == rank {
        for place in 0..rank {
            elementwise::along(site, Axis::new(companion, place), Axis::new(axis.value, place));
        }
    }
}

/// The filters of a convolution.
fn filters(site: &Site<'_>) -> Option<Axis> {
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
