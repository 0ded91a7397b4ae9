//! Concatenations of concatenations.
use crate::slices::position;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Operand, Patch, ValueId};

crate::pass! {
    /// Merges a `Concat` into the only one that reads it, when both are along the same axis.
    ///
    /// ```onnx
    /// g (float[N,1] a, float[N,2] b, float[N,3] c) => (float[N,6] y)
    /// {
    ///     left = Concat<axis = -1>(a, b)
    ///     y = Concat<axis = 1>(left, c)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,1] a, float[N,2] b, float[N,3] c) => (float[N,6] y)
    /// {
    ///     y = Concat<axis = 1>(a, b, c)
    /// }
    /// ```
    pub struct FuseConsecutiveConcats
    name: "fuse-consecutive-concats",
    accuracy: Exact,
    emits: [],
}

impl Rule for FuseConsecutiveConcats {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Concat"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let inputs: Vec<ValueId> = graph[root].inputs().iter().flatten().copied().collect();
        let concat = |value: &ValueId| graph.producer(*value).filter(|&id| graph[id].is("Concat"));
        if !inputs.iter().any(|value| concat(value).is_some()) {
            return Err(Skip::NoMatch);
        }
        let merges = |value: &ValueId| concat(value).filter(|_| graph.only_use(*value).is_some());
        let any = inputs.iter().any(|value| merges(value).is_some());
        require(any, "the first concatenation is read by something else")?;
        let along = axis(graph, root).or_skip("the number of axes is unknown")?;
        let merges = |value: &ValueId| merges(value).filter(|&id| axis(graph, id) == Some(along));
        let any = inputs.iter().any(|value| merges(value).is_some());
        require(any, "the axes are not known to be the same")?;
        let mut operands: Vec<Operand> = Vec::new();
        for value in &inputs {
            match merges(value) {
                None => operands.push((*value).into()),
                Some(id) => {
                    operands.extend(graph[id].inputs().iter().flatten().map(|&v| Operand::from(v)));
                }
            }
        }
        let concat = NewNode::like(graph, root).truncate_inputs(0);
        let concat = patch.node(operands.into_iter().fold(concat, NewNode::input));
        patch.replace(y, concat);
        Ok(())
    }
}

fn axis(graph: &Graph, concat: NodeId) -> Option<usize> {
    let rank = graph.ty(graph[concat].output(0)?).rank()?;
    position(graph[concat].int("axis").unwrap_or(1), rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_other_axes_and_what_is_read_twice() {
        assert_snapshot!(rewrite(&FuseConsecutiveConcats {}, "
            g (float[2,2] x) => (float[4,4] y, float[6,2] z, float[4,2] b)
            {
                a = Concat<axis = 1>(x, x)
                y = Concat<axis = 0>(a, a)
                b = Concat<axis = 0>(x, x)
                z = Concat<axis = 0>(b, x)
                c = Concat<axis = 1>(x, x)
                w = Concat<axis = 0>(c, c)
                v = Concat<axis = 1>(x, x)
            }
        "), @r"
        fuse-consecutive-concats: 0 rewrites
        skipped 3: the first concatenation is read by something else
        unchanged
        ");
    }

    #[test]
    fn keeps_a_concat_along_another_axis_or_of_unknown_rank() {
        assert_snapshot!(rewrite_unexecuted(&FuseConsecutiveConcats {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[2,2] x, float[2,4] w) => (float[4,4] y, float z)
            {
                a = Concat<axis = 1>(x, x)
                y = Concat<axis = 0>(a, w)
                m = custom.Mystery(x)
                b = Concat<axis = 1>(m, m)
                z = Concat<axis = 1>(b, m)
            }
        "#), @r"
        fuse-consecutive-concats: 0 rewrites
        skipped 1: the axes are not known to be the same
        skipped 1: the number of axes is unknown
        unchanged
        ");
    }
}
