//! Concatenation.
use super::super::pairs::Conversion;
use super::unit::{Parts, Reason, Unit, are_same};
use super::{Written, movement};
use lapidary_ir::Patch;

/// Operands of the scale of the result are joined as they are; others need an operator that scales them.
pub(super) fn concat(unit: &Unit<'_>) -> Result<Written, Reason> {
    let count = unit.node.inputs().len();
    let operands: Result<Vec<Conversion>, Reason> =
        (0..count).map(|slot| unit.operand(slot)).collect();
    let (operands, result) = (operands?, unit.result()?);
    if operands.iter().all(|&operand| are_same(unit.graph, operand, result)) {
        let integers: Result<Vec<_>, Reason> =
            operands.iter().map(|&operand| unit.integers(operand)).collect();
        return movement::on_integers(unit, &integers?, Patch::default(), &[Some(result)]);
    }
    let operator = unit.operator("QLinearConcat")?;
    let all: Vec<Conversion> = operands.iter().copied().chain([result]).collect();
    unit.same_type(&all)?;
    let parts = Parts { operands: &operands, bias: None, result: Some(result) };
    unit.write(Patch::default(), operator, &parts, |node| node)
}
