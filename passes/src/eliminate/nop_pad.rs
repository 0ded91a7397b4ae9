//! Padding by nothing.
use super::{integers, pass_through};
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Pad` that adds nothing on any side.
    ///
    /// ```onnx
    /// g (float[2,3] x) => (float[2,3] y)
    /// <int64[4] pads = {0, 0, 0, 0}>
    /// {
    ///     a = Relu(x)
    ///     b = Pad(a, pads)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3] x) => (float[2,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopPad
    name: "eliminate-nop-pad",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopPad {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Pad"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let attribute = if graph.opset() < 2 { "paddings" } else { "pads" };
        let pads = integers(graph, root, 1, attribute).or_skip("the pads are no constant")?;
        if pads.iter().any(|&pad| pad != 0) {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopPad;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_pad_by_one() {
        assert_snapshot!(rewrite(&EliminateNopPad {}, "
            g (float[2,3] x) => (float[2,4] y)
            <int64[4] pads = {0, 0, 0, 1}>
            {
                y = Pad(x, pads)
            }
        "), @r"
        eliminate-nop-pad: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pad_the_caller_decides() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopPad {}, "
            g (float[2,3] x, int64[4] pads) => (float[N,M] y)
            {
                y = Pad(x, pads)
            }
        "), @r"
        eliminate-nop-pad: 0 rewrites
        skipped 1: the pads are no constant
        unchanged
        ");
    }
}
