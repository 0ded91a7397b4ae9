//! Arithmetic with neutral elements.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Removes `x + 0`, `x - 0`, `x * 1`, `x / 1` and `x ^ 1`.
    ///
    /// The constant must not give the result a larger shape than `x` has. The sum of −0 and +0 is
    /// +0, so the sign of a zero may change.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[1] zero = {0}>
    /// {
    ///     a = Relu(x)
    ///     b = Add(zero, a)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopArithmetic
    name: "eliminate-nop-arithmetic",
    accuracy: Rounding,
    emits: [],
}

impl Rule for EliminateNopArithmetic {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Add", "Sub", "Mul", "Div", "Pow"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let y = node.output(0).or_no_match()?;
        let neutral = if matches!(node.op_type.as_str(), "Add" | "Sub") { 0 } else { 1 };
        let commutes = matches!(node.op_type.as_str(), "Add" | "Mul");
        let slots: &[usize] = if commutes { &[1, 0] } else { &[1] };
        let is_neutral = |slot: &&usize| {
            graph.constant_input(root, **slot).is_some_and(|tensor| is_all(tensor, neutral))
        };
        let slot = *slots.iter().find(is_neutral).or_no_match()?;
        require(graph.opset() >= 7, "opsets before 7 broadcast in another way")?;
        let x = node.input(1 - slot).or_no_match()?;
        let constant = graph.constant_input(root, slot).or_no_match()?;
        require(fits_into(constant, graph, x), "the constant may enlarge the shape")?;
        require(graph.can_replace(y, x), "the graph output has to keep its name")?;
        patch.replace(y, x);
        Ok(())
    }
}

/// Whether every element is the number 0 or 1.
pub(super) fn is_all(tensor: &Tensor, wanted: u8) -> bool {
    if tensor.is_empty() {
        return false;
    }
    if let Some(floats) = tensor.elem_type().is_float().then(|| tensor.to_f32()).flatten() {
        // The narrowing of doubles to f32 would take numbers close to 1 for 1.
        return match tensor.to_vec::<f64>() {
            Some(doubles) => doubles.iter().all(|&double| double == f64::from(wanted)),
            None => floats.iter().all(|&float| float == f32::from(wanted)),
        };
    }
    tensor.to_i64().is_some_and(|numbers| numbers.iter().all(|&number| number == i64::from(wanted)))
}

/// Whether broadcasting with the constant leaves the shape of `x` as it is.
fn fits_into(constant: &Tensor, graph: &Graph, x: ValueId) -> bool {
    if constant.rank() == 0 {
        return true;
    }
    let Some(shape) = graph.value(x).shape() else { return false };
    let dims = shape.iter().rev().zip(constant.dims().iter().rev());
    constant.rank() <= shape.len()
        && dims.into_iter().all(|(dim, constant)| *constant == 1 || dim == constant)
}

#[cfg(test)]
mod tests {
    use super::EliminateNopArithmetic;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_each_operation_with_its_neutral_element() {
        assert_snapshot!(rewrite(&EliminateNopArithmetic {}, "
            g (float[2,3] x) => (float[2,3] y)
            <float zero = {0}, float[3] one = {1, 1, 1}>
            {
                a = Relu(x)
                b = Sub(a, zero)
                c = Mul(one, b)
                d = Div(c, one)
                y = Pow(d, one)
            }
        "), @r"
        eliminate-nop-arithmetic: 4 rewrites
        g (float[2,3] x) => (float[2,3] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_a_difference_from_0_and_a_quotient_of_1() {
        assert_snapshot!(rewrite(&EliminateNopArithmetic {}, "
            g (float[2,3] x) => (float[2,3] y, float[2,3] z)
            <float zero = {0}, float one = {1}>
            {
                y = Sub(zero, x)
                z = Div(one, x)
            }
        "), @r"
        eliminate-nop-arithmetic: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_sum_that_repeats_its_input() {
        assert_snapshot!(rewrite(&EliminateNopArithmetic {}, "
            g (float[1,3] x) => (float[2,3] y)
            <float[2,1] zero = {0, 0}>
            {
                a = Relu(x)
                y = Add(a, zero)
            }
        "), @r"
        eliminate-nop-arithmetic: 0 rewrites
        skipped 1: the constant may enlarge the shape
        unchanged
        ");
    }

    #[test]
    fn keeps_a_product_with_an_input() {
        assert_snapshot!(rewrite(&EliminateNopArithmetic {}, "
            g (float[1,3] x) => (float[1,3] y)
            <float one = {1}>
            {
                y = Mul(x, one)
            }
        "), @r"
        eliminate-nop-arithmetic: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }

    #[test]
    fn keeps_sums_of_opset_6() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopArithmetic {}, r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[1,3] x) => (float[1,3] y)
            <float[1,3] zero = {0, 0, 0}>
            {
                a = Relu(x)
                y = Add(a, zero)
            }
        "#), @r"
        eliminate-nop-arithmetic: 0 rewrites
        skipped 1: opsets before 7 broadcast in another way
        unchanged
        ");
    }
}
