//! Blocks of channels moved into space.
use super::region::require_closed;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `DepthToSpace` of a `Transpose` between two `Reshape`s.
    ///
    /// Channels `[N, C·b², H, W]` become `[N, C, H·b, W·b]`, the blocks b × b taken from before the channels
    /// (`DCR`) or from behind them (`CRD`).
    ///
    /// ```onnx
    /// g (float[1,8,2,3] x) => (float[1,2,4,6] y)
    /// <int64[6] blocks = {1, 2, 2, 2, 2, 3}, int64[4] shape = {1, 2, 4, 6}>
    /// {
    ///     split = Reshape(x, blocks)
    ///     moved = Transpose <perm = [0, 1, 4, 2, 5, 3]> (split)
    ///     y = Reshape(moved, shape)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,8,2,3] x) => (float[1,2,4,6] y)
    /// {
    ///     y = DepthToSpace <blocksize = 2, mode = "CRD"> (x)
    /// }
    /// ```
    pub struct FuseDepthToSpace
    name: "fuse-depth-to-space",
    accuracy: Exact,
    emits: ["DepthToSpace"],
}

impl Rule for FuseDepthToSpace {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Transpose"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        // Where split channels, block rows and block columns are, and the name of that.
        let (mode, channel, rows) = match graph[root].ints("perm") {
            Some([0, 3, 4, 1, 5, 2]) => ("DCR", 3, 1),
            Some([0, 1, 4, 2, 5, 3]) => ("CRD", 1, 2),
            _ => return Err(Skip::NoMatch),
        };
        let split = graph[root].input(0).or_no_match()?;
        let first = graph.producer(split).filter(|&id| graph[id].is("Reshape")).or_no_match()?;
        let moved = graph[root].output(0).or_no_match()?;
        let last = graph.only_use(moved).filter(|only| graph[only.node].is("Reshape"));
        let last = last.or_no_match()?.node;
        let (x, y) = (graph[first].input(0).or_no_match()?, graph[last].output(0).or_no_match()?);

        require(graph.opset() >= 11, "DepthToSpace has no mode before opset 11")?;
        let shape = |value: ValueId| graph.ty(value).shape.as_deref();
        let shapes = shape(x).zip(shape(split)).zip(shape(y));
        let ((from, blocks), to) = shapes.or_skip("the shapes are not known")?;
        let block = blocks.get(rows).and_then(Dim::value).filter(|&block| block > 1);
        let block = Dim::from(block.or_skip("the size of a block is not known")?);
        let moves = from.len() == 4
            && to.len() == 4
            && blocks.len() == 6
            && blocks[rows + 1] == block
            && (&from[0], &from[2], &from[3]) == (&blocks[0], &blocks[4], &blocks[5])
            && from[1] == blocks[channel].clone() * block.clone() * block.clone()
            && (&to[0], &to[1]) == (&blocks[0], &blocks[channel])
            && to[2] == blocks[4].clone() * block.clone()
            && to[3] == blocks[5].clone() * block.clone();
        require(moves, "the shapes are not those of blocks moved into space")?;
        let leaves = [Some(x), graph[first].input(1), graph[last].input(1)];
        let leaves: Vec<ValueId> = leaves.into_iter().flatten().collect();
        require_closed(graph, last, &leaves)?;

        let node = NewNode::new("DepthToSpace").named(graph[root].name.clone()).input(x);
        let node = node.attribute("blocksize", block.value().unwrap_or(1)).attribute("mode", mode);
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

    fn report(opset: i64, perm: &str, blocks: &str, outputs: &str) -> String {
        let source = format!(
            "<ir_version: 6, opset_import: [\"\" : {opset}]>
             g (float[N,8,2,3] x) => (float[N,2,4,6] y{outputs})
             <int64[6] blocks = {{{blocks}}}, int64[4] shape = {{-1, 2, 4, 6}}> {{
                split = Reshape(x, blocks) moved = Transpose <perm = [{perm}]> (split) y = Reshape(moved, shape)
             }}"
        );
        rewrite(&FuseDepthToSpace {}, &source)
    }

    #[test]
    fn knows_blocks_before_channels() {
        assert_snapshot!(report(13, "0, 3, 4, 1, 5, 2", "-1, 2, 2, 2, 2, 3", ""), @r#"
        fuse-depth-to-space: 1 rewrites
        g (float[N,8,2,3] x) => (float[N,2,4,6] y)
        {
            y = DepthToSpace <blocksize = 2, mode = "DCR"> (x)
        }
        "#);
    }

    #[test]
    fn keeps_other_permutations_and_blocks() {
        assert_snapshot!(report(13, "0, 3, 4, 2, 5, 1", "-1, 2, 2, 2, 2, 3", ""), @r"
        fuse-depth-to-space: 0 rewrites (no match)
        unchanged
        ");
        assert_snapshot!(report(13, "0, 1, 4, 2, 5, 3", "-1, 2, 2, 2, 3, 2", ""), @r"
        fuse-depth-to-space: 0 rewrites
        skipped 1: the shapes are not those of blocks moved into space
        unchanged
        ");
    }

    #[test]
    fn keeps_opset_10() {
        assert_snapshot!(report(10, "0, 1, 4, 2, 5, 3", "-1, 2, 2, 2, 2, 3", ""), @r"
        fuse-depth-to-space: 0 rewrites
        skipped 1: DepthToSpace has no mode before opset 11
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let outputs = ", float[N,2,2,2,2,3] split";
        assert_snapshot!(report(13, "0, 1, 4, 2, 5, 3", "-1, 2, 2, 2, 2, 3", outputs), @r"
        fuse-depth-to-space: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
