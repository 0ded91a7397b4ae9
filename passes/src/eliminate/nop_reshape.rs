//! Changes of shape that change nothing.
use super::{elements, pass_through};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze` whose result has the shape of its
    /// input.
    ///
    /// Dimensions are compared one by one, symbolic ones too. When all but one are known to be
    /// equal, the last is, because the number of elements is.
    ///
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// <int64[2] shape = {-1, 4}>
    /// {
    ///     a = Relu(x)
    ///     b = Reshape(a, shape)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopReshape
    name: "eliminate-nop-reshape",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopReshape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape", "Flatten", "Squeeze", "Unsqueeze"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let before = graph.value(node.input(0).or_no_match()?);
        let before = before.shape().or_skip("the rank of the input is unknown")?;
        let after = match node.op_type.as_str() {
            "Reshape" => reshaped(graph, root, before),
            _ => graph.value(node.output(0).or_no_match()?).shape().map(<[Dim]>::to_vec),
        };
        let after = after.or_skip("the new shape is unknown")?;
        require(is_same_shape(before, &after), "the new shape is not known to be the old one")?;
        pass_through(graph, root, patch)
    }
}

/// The shape a `Reshape` asks for; the dimension it leaves open is unknown.
fn reshaped(graph: &Graph, root: NodeId, before: &[Dim]) -> Option<Vec<Dim>> {
    let copies_zero = graph[root].int("allowzero").unwrap_or(0) == 0;
    let asked = elements(graph, root, 1)?.iter().enumerate();
    let dim = |(axis, dim): (usize, &Dim)| match dim.value() {
        Some(0) if copies_zero => before.get(axis).cloned(),
        Some(-1) => Some(Dim::UNKNOWN),
        _ => Some(dim.clone()),
    };
    asked.map(dim).collect()
}

/// Whether two shapes of the same number of elements are equal. A dimension only the second one
/// knows is worth keeping.
fn is_same_shape(before: &[Dim], after: &[Dim]) -> bool {
    if before.len() != after.len() {
        return false;
    }
    let pairs = || before.iter().zip(after);
    let mut open = pairs().filter(|(before, after)| before != after);
    match (open.next(), open.next()) {
        (None, _) => true,
        (Some((_, open)), None) => open.value().is_none() && pairs().all(|(_, dim)| *dim != 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopReshape;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_a_flatten_of_a_matrix() {
        assert_snapshot!(rewrite(&EliminateNopReshape {}, "
            g (float[N,4] x) => (float[N,4] y)
            {
                a = Relu(x)
                b = Flatten(a)
                y = Abs(b)
            }
        "), @r"
        eliminate-nop-reshape: 1 rewrites
        g (float[N,4] x) => (float[N,4] y)
        {
            a = Relu(x)
            y = Abs(a)
        }
        ");
    }

    #[test]
    fn removes_a_reshape_to_the_symbolic_shape_of_the_input() {
        assert_snapshot!(rewrite(&EliminateNopReshape {}, "
            g (float[N,M] x) => (float[N,M] y)
            {
                a = Relu(x)
                shape = Shape(x)
                b = Reshape(a, shape)
                y = Abs(b)
            }
        "), @r"
        eliminate-nop-reshape: 1 rewrites
        g (float[N,M] x) => (float[N,M] y)
        {
            a = Relu(x)
            y = Abs(a)
        }
        ");
    }

    #[test]
    fn keeps_a_reshape_that_may_exchange_dimensions() {
        assert_snapshot!(rewrite(&EliminateNopReshape {}, "
            g (float[N,M] x) => (float[P,Q] y)
            {
                a = Transpose(x)
                shape = Shape(a)
                y = Reshape(x, shape)
            }
        "), @r"
        eliminate-nop-reshape: 0 rewrites
        skipped 1: the new shape is not known to be the old one
        unchanged
        ");
    }

    #[test]
    fn keeps_a_reshape_of_or_to_an_unknown_shape() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopReshape {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[3,4] x, int64[2] shape) => (float[3,4] y, float[P,Q] z)
            <int64[2] dims = {3, 4}>
            {
                a = custom.Mystery(x)
                y = Reshape(a, dims)
                z = Reshape(x, shape)
            }
        "#), @r"
        eliminate-nop-reshape: 0 rewrites
        skipped 1: the new shape is unknown
        skipped 1: the rank of the input is unknown
        unchanged
        ");
    }
}
