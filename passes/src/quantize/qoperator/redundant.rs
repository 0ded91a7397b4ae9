//! What has nothing left to do.
use super::super::pairs::{dequantizer, implies, quantizer};
use super::Written;
use super::unit::{Reason, Unit, are_same};
use lapidary_ir::{Graph, NodeId, Patch};

/// A Relu or Clip between conversions of the same parameters that represent nothing outside of its limits.
pub(super) fn limited(unit: &Unit<'_>) -> Result<Written, Reason> {
    let read = unit.operand(0)?;
    let output = unit.node.output(0).ok_or("it computes nothing")?;
    let written = quantizer(unit.graph, output)?;
    implies(unit.graph, unit.id, written)?;
    if !are_same(unit.graph, read, written) {
        let name = unit.name(Some(output));
        return Err(format!("`{name}` is quantized otherwise than what is limited"));
    }
    let mut patch = Patch::default();
    let (before, after) = (unit.integers(read)?, unit.integers(written)?);
    if unit.graph.value(after).is_output() {
        return Err(format!("`{}` is an output of the model", unit.name(Some(after))));
    }
    patch.replace(after, before);
    Ok(Written { patch, op_type: None })
}

/// A `QuantizeLinear` that gives back the integers its operand was dequantized from.
pub(super) fn meeting(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    if node.op_type != "QuantizeLinear" {
        return None;
    }
    let read = dequantizer(graph, node.input(0)?)?;
    let written = super::super::pairs::Conversion::new(graph, id);
    let after = node.output(0)?;
    if !are_same(graph, read, written) || graph.value(after).is_output() {
        return None;
    }
    let mut patch = Patch::default();
    patch.replace(after, graph[read.id].input(0)?);
    Some(patch)
}
