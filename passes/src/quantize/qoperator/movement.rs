//! Operators that move or select numbers, and do the same to integers.
use super::super::pairs::{Conversion, quantizer};
use super::Written;
use super::unit::{Reason, Unit, are_same};
use lapidary_ir::{NewNode, Patch, ValueId};

/// Operators whose outputs hold numbers of the first input alone, or padding.
pub(super) const MOVEMENT: [&str; 17] = [
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "Identity",
    "MaxPool",
    "Pad",
    "ReduceMax",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The operator set from which on MaxPool and ReduceMax take integers of 8 bits.
const INTEGER_MAXIMUM: i64 = 12;

/// The same operator on integers, when all it writes is quantized as what it reads.
pub(super) fn moved(unit: &Unit<'_>) -> Result<Written, Reason> {
    takes_integers(unit)?;
    let read = unit.operand(0)?;
    let outputs = unit.node.outputs().iter();
    let results: Result<Vec<_>, Reason> = outputs
        .map(|&output| output.map_or(Ok(None), |output| result(unit, read, output)))
        .collect();
    on_integers(unit, &[unit.integers(read)?], Patch::default(), &results?)
}

/// Whether the operator means the same on integers.
fn takes_integers(unit: &Unit<'_>) -> Result<(), Reason> {
    let node = unit.node;
    match node.op_type.as_str() {
        "MaxPool" | "ReduceMax" if unit.graph.opset() < INTEGER_MAXIMUM => Err(format!(
            "{} of integers needs opset {INTEGER_MAXIMUM}, the model has {}",
            node.op_type,
            unit.graph.opset()
        )),
        "MaxPool" if node.output(1).is_some() => {
            Err("the indices of the largest numbers are wanted".into())
        }
        "Resize" if node.string("mode").unwrap_or("nearest") != "nearest" => {
            Err("it interpolates".into())
        }
        "Pad" if node.string("mode").unwrap_or("constant") == "constant" => padding(unit),
        _ => Ok(()),
    }
}

/// Padding with 0 is padding with the zero point.
fn padding(unit: &Unit<'_>) -> Result<(), Reason> {
    let zero = match unit.node.input(2) {
        None => unit.node.input(1).is_some(),
        Some(value) => unit.graph.constant(value).and_then(|value| value.as_f32()) == Some(0.0),
    };
    if zero { Ok(()) } else { Err("it does not pad with 0".into()) }
}

/// The conversion of an output, unless nothing reads it.
fn result(
    unit: &Unit<'_>,
    read: Conversion,
    output: ValueId,
) -> Result<Option<Conversion>, Reason> {
    if unit.graph.value(output).is_unused() {
        return Ok(None);
    }
    let written = quantizer(unit.graph, output)?;
    match are_same(unit.graph, read, written) {
        true => Ok(Some(written)),
        false => {
            let name = unit.name(Some(output));
            Err(format!("`{name}` is quantized otherwise than what it is moved from"))
        }
    }
}

/// The operator with integers for its first inputs, and in place of the integers of its outputs.
pub(super) fn on_integers(
    unit: &Unit<'_>,
    integers: &[ValueId],
    mut patch: Patch,
    results: &[Option<Conversion>],
) -> Result<Written, Reason> {
    let mut node = NewNode::like(unit.graph, unit.id);
    for (slot, &integers) in integers.iter().enumerate() {
        node = node.with_input(slot, integers);
    }
    if unit.node.is("Pad") && unit.node.string("mode").unwrap_or("constant") == "constant" {
        node = node.with_input(2, unit.zero_point(&mut patch, unit.operand(0)?)?);
    }
    let first = patch.node(node);
    for (slot, result) in results.iter().enumerate() {
        let Some(result) = result else { continue };
        patch.replace(unit.integers(*result)?, patch.output(first, slot));
    }
    Ok(Written { patch, op_type: Some(unit.node.op_type.clone()) })
}
