//! `GroupNormalization`.
use super::super::weights;
use super::channel_tail::ChannelTail;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `GroupNormalization` of an `InstanceNormalization` over groups of channels.
    ///
    /// The groups are made by a `Reshape` and undone by another; scale and bias per channel follow.
    ///
    /// Opt-in: ONNX Runtime computes the operator in more steps than these.
    ///
    /// ```onnx
    /// g (float[1,4,3,3] x) => (float[1,4,3,3] y)
    /// <int64[3] groups = {0, 2, -1}, float[2] ones = {1, 1}, float[2] zeros = {0, 0},
    ///  int64[4] shape = {1, 4, 3, 3}, float[4,1,1] scale = {1, 2, 3, 4}, float[4,1,1] bias = {5, 6, 7, 8}>
    /// {
    ///     grouped = Reshape(x, groups)
    ///     normalized = InstanceNormalization(grouped, ones, zeros)
    ///     restored = Reshape(normalized, shape)
    ///     scaled = Mul(restored, scale)
    ///     y = Add(scaled, bias)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,4,3,3] x) => (float[1,4,3,3] y)
    /// <float[4] y_scale = {1, 2, 3, 4}, float[4] y_bias = {5, 6, 7, 8}>
    /// {
    ///     y = GroupNormalization <num_groups = 2> (x, y_scale, y_bias)
    /// }
    /// ```
    pub struct FuseGroupNormalization
    name: "fuse-group-normalization",
    accuracy: Rounding,
    emits: ["GroupNormalization"],
}

impl Rule for FuseGroupNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["InstanceNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (grouped, y) = (node.input(0).or_no_match()?, node.output(0).or_no_match()?);
        let reshape = graph.producer(grouped).filter(|&id| graph[id].is("Reshape"));
        let x = graph[reshape.or_no_match()?].input(0).or_no_match()?;
        let restore = graph.only_use(y).filter(|only| graph[only.node].is("Reshape"));
        let restored = graph[restore.or_no_match()?.node].output(0).or_no_match()?;

        require(graph.opset() >= 21, "GroupNormalization scales whole groups before opset 21")?;
        require(graph.only_use(grouped).is_some(), "an intermediate value is read elsewhere")?;
        let all = |slot, number| {
            let parameter =
                graph.constant_input(root, slot).and_then(|tensor| weights::values(tensor));
            parameter.is_some_and(|values| values.iter().all(|&value| value == number))
        };
        require(all(1, 1.0) && all(2, 0.0), "groups have a scale or a bias of their own")?;
        let groups =
            groups(graph, x, grouped).or_skip("the groups are not known to be of channels")?;
        let same = graph.ty(x).shape.is_some() && graph.ty(x).shape == graph.ty(restored).shape;
        require(same, "the shape is not known to be restored")?;
        let tail = ChannelTail::of(graph, restored)?;

        let [scale, bias] = tail.parameters(graph, patch)?;
        let node = NewNode::like(graph, root)
            .op_type("GroupNormalization")
            .with_input(0, x)
            .with_input(1, scale)
            .with_input(2, bias)
            .attribute("num_groups", groups);
        let node = patch.node(node);
        patch.replace(tail.y, node);
        Ok(())
    }
}

/// The number of groups, if `grouped` splits the channels of `x` and nothing else.
fn groups(graph: &Graph, x: ValueId, grouped: ValueId) -> Option<i64> {
    let (from, to) = (graph.ty(x).shape.as_deref()?, graph.ty(grouped).shape.as_deref()?);
    let (groups, channels) = (to.get(1)?.value()?, from.get(1)?.value()?);
    let count = |dims: &[Dim]| dims.iter().cloned().fold(Dim::from(1), |count, dim| count * dim);
    let divides = groups > 0 && channels % groups == 0;
    let same_batch = from[0] == to[0] && count(&from[1..]) == count(&to[1..]);
    (divides && same_batch).then_some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    fn report(opset: i64, groups: &str, ones: &str, outputs: &str, last: &str) -> String {
        let source = format!(
            "<ir_version: 10, opset_import: [\"\" : {opset}]>
             g (float[1,4,3,2] x) => ({outputs})
             <int64[3] groups = {{{groups}}}, float[2] ones = {{{ones}}}, float[2] zeros = {{0, 0}},
              int64[4] shape = {{{last}}}> {{
                grouped = Reshape(x, groups) n = InstanceNormalization<epsilon = 0.5>(grouped, ones, zeros)
                y = Reshape(n, shape)
             }}"
        );
        rewrite(&FuseGroupNormalization {}, &source)
    }

    #[test]
    fn needs_neither_scale_nor_bias() {
        assert_snapshot!(report(21, "1, 2, 12", "1, 1", "float[1,4,3,2] y", "1, 4, 3, 2"), @r"
        fuse-group-normalization: 1 rewrites
        g (float[1,4,3,2] x) => (float[1,4,3,2] y)
        <float[4] y_scale = {1, 1, 1, 1}, float[4] y_bias = {0, 0, 0, 0}>
        {
            y = GroupNormalization <epsilon = 0.5, num_groups = 2> (x, y_scale, y_bias)
        }
        ");
    }

    #[test]
    fn keeps_opset_20() {
        assert_snapshot!(report(20, "1, 2, 12", "1, 1", "float[1,4,3,2] y", "1, 4, 3, 2"), @r"
        fuse-group-normalization: 0 rewrites
        skipped 1: GroupNormalization scales whole groups before opset 21
        unchanged
        ");
    }

    #[test]
    fn keeps_parameters_of_groups() {
        assert_snapshot!(report(21, "1, 2, 12", "1, 2", "float[1,4,3,2] y", "1, 4, 3, 2"), @r"
        fuse-group-normalization: 0 rewrites
        skipped 1: groups have a scale or a bias of their own
        unchanged
        ");
    }

    #[test]
    fn keeps_another_shape() {
        assert_snapshot!(report(21, "1, 2, 12", "1, 1", "float[1,4,2,3] y", "1, 4, 2, 3"), @r"
        fuse-group-normalization: 0 rewrites
        skipped 1: the shape is not known to be restored
        unchanged
        ");
        assert_snapshot!(report(21, "2, 2, 6", "1, 1", "float[1,4,3,2] y", "1, 4, 3, 2"), @r"
        fuse-group-normalization: 0 rewrites
        skipped 1: the groups are not known to be of channels
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let outputs = "float[1,4,3,2] y, float[1,2,12] grouped";
        assert_snapshot!(report(21, "1, 2, 12", "1, 1", outputs, "1, 4, 3, 2"), @r"
        fuse-group-normalization: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
