//! Roots of sums of squares.
use super::power::squared;
use super::region::require_closed;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `ReduceL2` of the root of a sum of squares.
    ///
    /// √Σ x²
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,1] y)
    /// <int64[1] axes = {1}>
    /// {
    ///     square = Mul(x, x)
    ///     sum = ReduceSum(square, axes)
    ///     y = Sqrt(sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,1] y)
    /// <int64[1] axes = {1}>
    /// {
    ///     y = ReduceL2(x, axes)
    /// }
    /// ```
    pub struct FuseReduceL2
    name: "fuse-reduce-l2",
    accuracy: Rounding,
    emits: ["ReduceL2"],
}

impl Rule for FuseReduceL2 {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Sqrt"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let sum = graph[root].input(0).and_then(|sum| graph.producer(sum)).or_no_match()?;
        let square = graph[sum].input(0).filter(|_| graph[sum].is("ReduceSum")).or_no_match()?;
        let x = squared(graph, square).or_no_match()?;
        let float = graph.ty(x).elem_type == Some(ElemType::FLOAT);
        require(float, "elements are not known to be float")?;
        let opset = graph.opset();
        require(!(13..18).contains(&opset), "ReduceSum and ReduceL2 take their axes differently")?;
        let axes = graph[sum].input(1);
        let leaves: Vec<ValueId> = [Some(x), axes].into_iter().flatten().collect();
        require_closed(graph, root, &leaves)?;

        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::like(graph, sum).op_type("ReduceL2").with_input(0, x);
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn knows_powers_and_keeps_attributes() {
        let source = "
            g (float[2,4] x) => (float y)
            <float two = {2}>
            {
                square = Pow(x, two)
                sum = ReduceSum <keepdims = 0> (square)
                y = Sqrt(sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseReduceL2 {}, source), @r"
        fuse-reduce-l2: 1 rewrites
        g (float[2,4] x) => (float y)
        {
            y = ReduceL2 <keepdims = 0> (x)
        }
        ");
    }

    #[test]
    fn keeps_axes_that_would_have_to_move() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            g (float[2,4] x) => (float[2,1] y)
            <int64[1] axes = {1}>
            {
                square = Mul(x, x)
                sum = ReduceSum(square, axes)
                y = Sqrt(sum)
            }
        "#;
        assert_snapshot!(rewrite(&FuseReduceL2 {}, source), @r"
        fuse-reduce-l2: 0 rewrites
        skipped 1: ReduceSum and ReduceL2 take their axes differently
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] x) => (double[1,1] y)
            {
                square = Mul(x, x)
                sum = ReduceSum(square)
                y = Sqrt(sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseReduceL2 {}, source), @r"
        fuse-reduce-l2: 0 rewrites
        skipped 1: elements are not known to be float
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[1,1] y, float[1,1] sum)
            {
                square = Mul(x, x)
                sum = ReduceSum(square)
                y = Sqrt(sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseReduceL2 {}, source), @r"
        fuse-reduce-l2: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
