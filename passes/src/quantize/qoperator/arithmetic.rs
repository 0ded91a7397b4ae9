//! Operators that compute with integers of different scales.
use super::Written;
use super::unit::{Parts, Reason, Unit};
use lapidary_ir::{NewNode, Patch};

/// y = quantize(operator(dequantize(x), …)), of one type of integers.
pub(super) fn arithmetic(
    unit: &Unit<'_>,
    name: &str,
    edit: impl FnOnce(NewNode) -> NewNode,
) -> Result<Written, Reason> {
    let operator = unit.operator(name)?;
    let first = operator.unquantized.map_or(0, |slot| slot + 1);
    let count = unit.node.inputs().len() - first;
    let operands: Result<Vec<_>, Reason> = operator
        .operands(count)
        .enumerate()
        .map(|(place, _)| unit.operand(first + place))
        .collect();
    let (operands, result) = (operands?, unit.result()?);
    let all: Vec<_> = operands.iter().copied().chain([result]).collect();
    unit.same_type(&all)?;
    let parts = Parts { operands: &operands, bias: None, result: Some(result) };
    unit.write(Patch::default(), operator, &parts, edit)
}
