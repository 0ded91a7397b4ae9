//! `CastLike` to a known type.
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Turns a `CastLike` into a `Cast` where the type to convert to is known.
    ///
    /// The result no longer depends on the second input, so that a constant can be folded.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <int64[1] two = {2}>
    /// {
    ///     a = CastLike(two, x)
    ///     y = Mul(x, a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <int64[1] two = {2}>
    /// {
    ///     a = Cast<to = 1>(two)
    ///     y = Mul(x, a)
    /// }
    /// ```
    pub struct FoldCastLike
    name: "fold-cast-like",
    accuracy: Exact,
    emits: ["Cast"],
}

impl Rule for FoldCastLike {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["CastLike"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let y = node.output(0).or_no_match()?;
        let like = node.input(1).or_no_match()?;
        let ElemType(to) = graph.ty(like).elem_type.or_skip("the type to convert to is unknown")?;
        // The attributes that say how to round are the same for both operators.
        let cast = NewNode::like(graph, root).op_type("Cast").truncate_inputs(1);
        let cast = patch.node(cast.attribute("to", i64::from(to)));
        patch.replace(y, cast);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FoldCastLike;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_one_to_an_unknown_type() {
        assert_snapshot!(rewrite_unexecuted(&FoldCastLike {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[3] x) => (float[3] y)
            {
                a = custom.Mystery(x)
                y = CastLike(x, a)
            }
        "#), @r"
        fold-cast-like: 0 rewrites
        skipped 1: the type to convert to is unknown
        unchanged
        ");
    }
}
