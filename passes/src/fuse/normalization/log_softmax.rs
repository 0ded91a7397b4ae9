//! `LogSoftmax`.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Makes a `LogSoftmax` of the logarithm of a `Softmax`.
    ///
    /// log(softmax(x)) = x − log(sum(eˣ))
    ///
    /// Opt-in: where the `Softmax` is too small for its type, the logarithm is −∞ and the result of the
    /// operator is a number.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     probability = Softmax <axis = -1> (x)
    ///     y = Log(probability)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = LogSoftmax <axis = -1> (x)
    /// }
    /// ```
    pub struct FuseLogSoftmax
    name: "fuse-log-softmax",
    accuracy: Rounding,
    emits: ["LogSoftmax"],
}

pattern! {
    struct Site {
        probability = Softmax(x: ValueId);
        y = Log(probability);
    }
}

impl Rule for FuseLogSoftmax {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Log"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let narrow = graph.ty(site.x).elem_type.and_then(lapidary_ir::ElemType::bits);
        require(narrow.is_some_and(|bits| bits >= 32), "a Softmax of 16 bits is often 0")?;
        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::like(graph, site.probability).op_type("LogSoftmax");
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_softmax_that_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] p)
            {
                p = Softmax(x)
                y = Log(p)
            }
        ";
        assert_snapshot!(rewrite(&FuseLogSoftmax {}, source), @r"
        fuse-log-softmax: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_float16() {
        let source = "
            g (float16[2,4] x) => (float16[2,4] y)
            {
                p = Softmax(x)
                y = Log(p)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseLogSoftmax {}, source), @r"
        fuse-log-softmax: 0 rewrites
        skipped 1: a Softmax of 16 bits is often 0
        unchanged
        ");
    }
}
