//! Arithmetic with constants, node after node.
use super::chain::Chain;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes one multiplication and one addition of consecutive `Mul`, `Div`, `Neg`, `Add` and `Sub`
    /// with constants.
    ///
    /// (x · a + b) · c + d = x · (a · c) + (b · c + d)
    ///
    /// Constants that cancel each other are left alone: (x + k) − k is a way to round.
    ///
    /// ```onnx
    /// g (float[1,3,2,2] x) => (float[1,3,2,2] y)
    /// <float n = {4}, float[3,1,1] mean = {1, 2, 3}, float[3,1,1] deviation = {2, 4, 8}>
    /// {
    ///     a = Div(x, n)
    ///     b = Sub(a, mean)
    ///     y = Div(b, deviation)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,2,2] x) => (float[1,3,2,2] y)
    /// <float[3,1,1] y_scale = {0.125, 0.0625, 0.03125}, float[3,1,1] y_shift = {-0.5, -0.5, -0.375}>
    /// {
    ///     y_mul = Mul(x, y_scale)
    ///     y = Add(y_mul, y_shift)
    /// }
    /// ```
    pub struct FuseConsecutiveAffine
    name: "fuse-consecutive-affine",
    accuracy: Rounding,
    emits: ["Mul", "Add", "Sub"],
}

impl Rule for FuseConsecutiveAffine {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg", "Add", "Sub"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let chain = Chain::ending_with(graph, root)?;
        let y = graph[root].output(0).or_no_match()?;
        let (scale, shift) = chain.constants()?;
        require(graph.opset() >= 7, "operands broadcast in another way before opset 7")?;

        let name = graph.value(y).name();
        let scale = scale.map(|scale| patch.initializer(format!("{name}_scale"), scale));
        let shift = shift.map(|shift| patch.initializer(format!("{name}_shift"), shift));
        let x = chain.x;
        let result = match (scale, shift) {
            (None, Some(shift)) if chain.subtracts() => NewNode::new("Sub").input(shift).input(x),
            (None, Some(shift)) => NewNode::new("Add").input(x).input(shift),
            (Some(scale), None) => NewNode::new("Mul").input(x).input(scale),
            (Some(scale), Some(shift)) => {
                let product = NewNode::new("Mul").input(x).input(scale);
                let product = patch.node(product.output_name(format!("{name}_mul")));
                NewNode::new("Add").input(product).input(shift)
            }
            (None, None) => return Err(Skip::NoMatch),
        };
        let result = patch.node(result);
        patch.replace(y, result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn multiplies_once() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[3] a = {1, 2, 3}, float b = {2}>
            {
                m = Div(x, b)
                n = Mul(a, m)
                y = Neg(n)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 2 rewrites
        g (float[2,3] x) => (float[2,3] y)
        <float[3] y_scale = {-0.5, -1, -1.5}>
        {
            y = Mul(x, y_scale)
        }
        ");
    }

    #[test]
    fn subtracts_once() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[3] a = {1, 2, 3}, float b = {2}>
            {
                m = Sub(a, x)
                y = Add(m, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 1 rewrites
        g (float[2,3] x) => (float[2,3] y)
        <float[3] y_shift = {3, 4, 5}>
        {
            y = Sub(y_shift, x)
        }
        ");
    }

    #[test]
    fn keeps_a_product_and_a_sum() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[3] a, float b>
            {
                m = Mul(x, a)
                y = Add(m, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_what_another_node_reads() {
        let source = "
            g (float[2,3] x) => (float[2,3] y, float[2,3] m)
            <float[3] a, float b>
            {
                m = Mul(x, a)
                y = Mul(m, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_way_to_round() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float k = {12582912}>
            {
                m = Add(x, k)
                y = Sub(m, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites
        skipped 1: the constants cancel each other
        unchanged
        ");
    }

    #[test]
    fn keeps_a_row_and_a_column() {
        let source = "
            g (float[8,8] x) => (float[8,8] y)
            <float[8,1] a, float[8] b>
            {
                m = Mul(x, a)
                y = Mul(m, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites
        skipped 1: the constants would grow
        unchanged
        ");
    }

    #[test]
    fn keeps_a_way_to_avoid_overflow() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float a = {1e30}>
            {
                m = Mul(x, a)
                y = Mul(m, a)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites
        skipped 1: the constants leave the range of their type
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int64[2,3] x) => (int64[2,3] y)
            <int64 a = {2}>
            {
                m = Add(x, a)
                y = Add(m, a)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_the_broadcasting_of_old_operators() {
        let source = r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[2,4] x) => (float[2,4] y)
            <float[4] k>
            {
                c = Mul<broadcast = 1>(x, k)
                y = Mul<broadcast = 1>(c, k)
            }
        "#;
        assert_snapshot!(rewrite_unexecuted(&FuseConsecutiveAffine {}, source), @r"
        fuse-consecutive-affine: 0 rewrites
        skipped 1: operands broadcast in another way before opset 7
        unchanged
        ");
    }
}
