//! Constants of one number inside decomposed operators.
use super::weights;
use lapidary_ir::{ElemType, Graph, NodeId, Tensor, ValueId};

/// The operand of a commutative node and the constant number on its other side.
pub(super) fn either(graph: &Graph, id: NodeId) -> Option<(ValueId, f64)> {
    right(graph, id).or_else(|| left(graph, id))
}

/// The left operand of a node and the constant number on its right.
pub(super) fn right(graph: &Graph, id: NodeId) -> Option<(ValueId, f64)> {
    operand(graph, id, 0, 1)
}

/// The right operand of a node and the constant number on its left.
pub(super) fn left(graph: &Graph, id: NodeId) -> Option<(ValueId, f64)> {
    operand(graph, id, 1, 0)
}

/// A constant that broadcasts to the other operand without adding dimensions.
fn operand(graph: &Graph, id: NodeId, other: usize, slot: usize) -> Option<(ValueId, f64)> {
    let constant = graph.constant_input(id, slot)?;
    let value = number(constant)?;
    let other = graph[id].input(other)?;
    let fits =
        constant.rank() == 0 || graph.ty(other).rank().is_some_and(|rank| constant.rank() <= rank);
    fits.then_some((other, value))
}

/// The only element of a tensor of one number.
pub(super) fn number(tensor: &Tensor) -> Option<f64> {
    if tensor.len() != 1 {
        return None;
    }
    let integer = || tensor.as_i64().map(|integer| integer as f64);
    weights::values(tensor).map_or_else(integer, |values| values.first().copied())
}

/// Whether a constant of a model that computes in `elem_type` stands for the number `expected`.
///
/// A product of two rounded factors is allowed the error of both.
pub(super) fn is_near(found: f64, expected: f64, elem_type: Option<ElemType>) -> bool {
    let tolerance = match elem_type {
        Some(ElemType::FLOAT16) => 1e-3,
        Some(ElemType::BFLOAT16) => 8e-3,
        _ => 1e-6,
    };
    (found - expected).abs() <= tolerance * expected.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_may_be_rounded_to_its_type() {
        let third = 1.0 / 3.0;
        assert!(is_near(f64::from(third as f32), third, Some(ElemType::FLOAT)));
        assert!(!is_near(0.3333, third, Some(ElemType::FLOAT)));
        assert!(is_near(0.3333, third, Some(ElemType::FLOAT16)));
        assert!(!is_near(f64::NAN, third, Some(ElemType::FLOAT16)));
    }

    #[test]
    fn a_number_is_any_tensor_of_one_element() {
        assert_eq!(number(&Tensor::new(&[1, 1], &[0.5f32])), Some(0.5));
        assert_eq!(number(&Tensor::scalar(3i64)), Some(3.0));
        assert_eq!(number(&Tensor::vector(&[1f32, 2.0])), None);
    }
}
