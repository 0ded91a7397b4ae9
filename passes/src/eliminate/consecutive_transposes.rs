//! Transposes of transposes.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Merges a `Transpose` of a `Transpose` into one, or into none when they undo each other.
    ///
    /// Axis i of the result is axis `perm2[i]` of the value between, which is axis `perm1[perm2[i]]`
    /// of the input.
    ///
    /// ```onnx
    /// g (float[2,3,4] x) => (float[3,4,2] y)
    /// {
    ///     a = Transpose<perm = [2, 0, 1]>(x)
    ///     y = Transpose<perm = [2, 0, 1]>(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x) => (float[3,4,2] y)
    /// {
    ///     y = Transpose<perm = [1, 2, 0]>(x)
    /// }
    /// ```
    pub struct EliminateConsecutiveTransposes
    name: "eliminate-consecutive-transposes",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateConsecutiveTransposes {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Transpose"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let inner = graph.producer(graph[root].input(0).or_no_match()?).or_no_match()?;
        if !graph[inner].is("Transpose") {
            return Err(Skip::NoMatch);
        }
        let x = graph[inner].input(0).or_no_match()?;
        let (first, second) = (permutation(graph, inner), permutation(graph, root));
        let (first, second) = first.zip(second).or_skip("the number of axes is unknown")?;
        let axis = |&axis: &i64| first.get(usize::try_from(axis).ok()?).copied();
        let merged: Option<Vec<i64>> = second.iter().map(axis).collect();
        let merged = merged.filter(|merged| merged.len() == first.len());
        let merged = merged.or_no_match()?;
        let in_order = merged.iter().copied().eq(0..merged.len() as i64);
        if in_order && graph.can_replace(y, x) {
            patch.replace(y, x);
            return Ok(());
        }
        require(!in_order, "the graph output has to keep its name")?;
        let transpose = NewNode::like(graph, root).with_input(0, x).attribute("perm", merged);
        let transpose = patch.node(transpose);
        patch.replace(y, transpose);
        Ok(())
    }
}

fn permutation(graph: &Graph, node: NodeId) -> Option<Vec<i64>> {
    if let Some(perm) = graph[node].ints("perm") {
        return Some(perm.to_vec());
    }
    let rank = graph.ty(graph[node].input(0)?).rank()?;
    Some((0..rank as i64).rev().collect())
}

#[cfg(test)]
mod tests {
    use super::EliminateConsecutiveTransposes;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_a_pair_that_undoes_itself() {
        assert_snapshot!(rewrite(&EliminateConsecutiveTransposes {}, "
            g (float[2,3,4] x) => (float[2,3,4] y)
            {
                a = Relu(x)
                b = Transpose(a)
                y = Transpose<perm = [2, 1, 0]>(b)
            }
        "), @r"
        eliminate-consecutive-transposes: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn merges_past_a_transpose_that_is_read_elsewhere() {
        assert_snapshot!(rewrite(&EliminateConsecutiveTransposes {}, "
            g (float[2,3,4] x) => (float[3,4,2] y, float[4,2,3] z)
            {
                a = Transpose<perm = [2, 0, 1]>(x)
                y = Transpose<perm = [2, 0, 1]>(a)
                z = Abs(a)
            }
        "), @r"
        eliminate-consecutive-transposes: 1 rewrites
        g (float[2,3,4] x) => (float[3,4,2] y, float[4,2,3] z)
        {
            a = Transpose <perm = [2, 0, 1]> (x)
            y = Transpose <perm = [1, 2, 0]> (x)
            z = Abs(a)
        }
        ");
    }

    #[test]
    fn keeps_a_pair_between_an_input_and_an_output() {
        assert_snapshot!(rewrite(&EliminateConsecutiveTransposes {}, "
            g (float[2,3] x) => (float[2,3] y)
            {
                a = Transpose(x)
                y = Transpose(a)
            }
        "), @r"
        eliminate-consecutive-transposes: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pair_of_unknown_rank() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConsecutiveTransposes {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[2,3] x) => (float[2,3] y)
            {
                a = custom.Mystery(x)
                b = Transpose(a)
                y = Transpose(b)
            }
        "#), @r"
        eliminate-consecutive-transposes: 0 rewrites
        skipped 1: the number of axes is unknown
        unchanged
        ");
    }
}
