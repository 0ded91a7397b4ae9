//! `LpNormalization`.
use super::super::region::require_closed;
use super::reduction::Reduction;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes an `LpNormalization` of a quotient by a norm.
    ///
    /// y = x / Σ |x| or y = x / √Σ x², the sum along one axis.
    ///
    /// Opt-in: where x is 0 all along the axis the quotient is no number and runtimes return 0.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <int64[1] axes = {-1}>
    /// {
    ///     norm = ReduceL2(x, axes)
    ///     y = Div(x, norm)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = LpNormalization <axis = -1, p = 2> (x)
    /// }
    /// ```
    pub struct FuseLpNormalization
    name: "fuse-lp-normalization",
    accuracy: Rounding,
    emits: ["LpNormalization"],
}

impl Rule for FuseLpNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Div"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let (x, norm) = (graph[root].input(0), graph[root].input(1));
        let (x, norm) = (x.or_no_match()?, norm.or_no_match()?);
        let of = |op_type| Reduction::of(graph, norm, op_type);
        let (reduction, p) = of("ReduceL2")
            .map(|norm| (norm, 2))
            .or_else(|| Some((of("ReduceL1")?, 1)))
            .or_no_match()?;
        if reduction.x != x {
            return Err(Skip::NoMatch);
        }
        let float = graph.ty(x).elem_type.is_some_and(lapidary_ir::ElemType::is_float);
        require(float, "elements are not floating-point")?;
        let axis = reduction.axis().or_skip("the norm is over several axes")?;
        require_closed(graph, root, &[x])?;

        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("LpNormalization").named(graph[root].name.clone()).input(x);
        let node = patch.node(node.attribute("axis", axis).attribute("p", p));
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    /// The report for the norm of a tensor along axes.
    fn report(elem_type: &str, axes: &str, outputs: &str) -> String {
        let count = axes.split(',').count();
        let source = format!(
            "g ({elem_type}[2,3,4] x) => ({outputs}) <int64[{count}] axes = {{{axes}}}> {{
                n = ReduceL1(x, axes) y = Div(x, n)
             }}"
        );
        rewrite(&FuseLpNormalization {}, &source)
    }

    #[test]
    fn knows_the_sum_of_magnitudes() {
        assert_snapshot!(report("float", "1", "float[2,3,4] y"), @r"
        fuse-lp-normalization: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        {
            y = LpNormalization <axis = 1, p = 1> (x)
        }
        ");
    }

    #[test]
    fn keeps_integers_and_several_axes() {
        assert_snapshot!(report("float", "1, 2", "float[2,3,4] y"), @r"
        fuse-lp-normalization: 0 rewrites
        skipped 1: the norm is over several axes
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        assert_snapshot!(report("float", "1", "float[2,3,4] y, float[2,1,4] n"), @r"
        fuse-lp-normalization: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
