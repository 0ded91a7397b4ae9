//! Softmax, whose meaning changed with operator set 13.
use super::Written;
use super::arithmetic::arithmetic;
use super::unit::{Reason, Unit};
use lapidary_ir::schema;

/// `QLinearSoftmax` is told the operator set; its axis is the last one unless given.
pub(super) fn softmax(unit: &Unit<'_>) -> Result<Written, Reason> {
    let opset = unit.graph.opset();
    let usual = schema::default_int("Softmax", opset, "axis");
    let axis = unit.node.int("axis").or(usual).ok_or("the axis is not known")?;
    arithmetic(unit, "QLinearSoftmax", |node| {
        node.attribute("axis", axis).attribute("opset", opset)
    })
}
