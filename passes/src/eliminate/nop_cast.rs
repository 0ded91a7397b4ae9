//! Conversions to the type a value has.
use super::pass_through;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Cast` or `CastLike` to the type its input has.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     b = Cast<to = 1>(a)
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
    pub struct EliminateNopCast
    name: "eliminate-nop-cast",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopCast {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Cast", "CastLike"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let elem_type = |slot| graph[root].input(slot).and_then(|id| graph.ty(id).elem_type);
        let from = elem_type(0).or_skip("the type of the input is unknown")?;
        let to = match graph[root].is("Cast") {
            true => graph[root].int("to").and_then(|to| i32::try_from(to).ok()).map(ElemType),
            false => elem_type(1),
        };
        require(to.is_some(), "the type to convert to is unknown")?;
        if to != Some(from) {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopCast;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_a_cast_like_of_equal_types() {
        assert_snapshot!(rewrite(&EliminateNopCast {}, "
            g (float[3] x, float[1] like) => (float[3] y)
            {
                a = Relu(x)
                b = CastLike(a, like)
                y = Abs(b)
            }
        "), @r"
        eliminate-nop-cast: 1 rewrites
        g (float[3] x, float[1] like) => (float[3] y)
        {
            a = Relu(x)
            y = Abs(a)
        }
        ");
    }

    #[test]
    fn keeps_a_cast_to_another_type() {
        assert_snapshot!(rewrite(&EliminateNopCast {}, "
            g (float[3] x) => (double[3] y)
            {
                y = Cast<to = 11>(x)
            }
        "), @r"
        eliminate-nop-cast: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_casts_of_unknown_types() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopCast {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[3] x) => (float[3] y, float[3] z)
            {
                a = custom.Mystery(x)
                y = Cast<to = 1>(a)
                z = CastLike(x, a)
            }
        "#), @r"
        eliminate-nop-cast: 0 rewrites
        skipped 1: the type of the input is unknown
        skipped 1: the type to convert to is unknown
        unchanged
        ");
    }
}
