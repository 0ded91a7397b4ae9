//! `InstanceNormalization`.
use super::centered::Centered;
use super::channel_tail::ChannelTail;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes an `InstanceNormalization` of the arithmetic that computes one.
    ///
    /// With d = x − mean(x) over all dimensions but batch and channel, and a scale or a bias per channel:
    /// y = d / √(mean(d²) + epsilon) · scale + bias.
    ///
    /// ```onnx
    /// g (float[1,2,3,3] x) => (float[1,2,3,3] y)
    /// <int64[2] axes = {2, 3}, float epsilon = {0.5}, float[2,1,1] scale = {1, 2}, float[2,1,1] bias = {3, 4}>
    /// {
    ///     mean = ReduceMean(x, axes)
    ///     difference = Sub(x, mean)
    ///     square = Mul(difference, difference)
    ///     variance = ReduceMean(square, axes)
    ///     sum = Add(variance, epsilon)
    ///     deviation = Sqrt(sum)
    ///     normalized = Div(difference, deviation)
    ///     scaled = Mul(normalized, scale)
    ///     y = Add(scaled, bias)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,3,3] x) => (float[1,2,3,3] y)
    /// <float[2] y_scale = {1, 2}, float[2] y_bias = {3, 4}>
    /// {
    ///     y = InstanceNormalization <epsilon = 0.5> (x, y_scale, y_bias)
    /// }
    /// ```
    pub struct FuseInstanceNormalization
    name: "fuse-instance-normalization",
    accuracy: Rounding,
    emits: ["InstanceNormalization"],
}

impl Rule for FuseInstanceNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        Centered::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let Centered { x, trailing, epsilon } = Centered::find(graph, root)?;
        let rank = graph.ty(x).rank().unwrap_or(0);
        if rank < 3 || trailing != rank - 2 {
            return Err(Skip::NoMatch);
        }
        let tail = ChannelTail::of(graph, graph[root].output(0).or_no_match()?)?;
        require(tail.is_there(), "there is neither scale nor bias per channel")?;
        let float = graph.ty(x).elem_type == Some(ElemType::FLOAT);
        require(float, "elements are not known to be float")?;
        require(graph.opset() >= 6, "InstanceNormalization is another operator before opset 6")?;

        let [scale, bias] = tail.parameters(graph, patch)?;
        let node = NewNode::new("InstanceNormalization")
            .named(graph[root].name.clone())
            .input(x)
            .input(scale)
            .input(bias)
            .attribute("epsilon", epsilon);
        let node = patch.node(node);
        patch.replace(tail.y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    fn source(opset: i64, elem_type: &str, channels: &str, end: &str) -> String {
        format!(
            "<ir_version: 8, opset_import: [\"\" : {opset}]>
             g ({elem_type}[1,{channels},4] x) => ({elem_type}[1,{channels},4] y)
             <{elem_type} e = {{0.5}}, {elem_type}[2,1] s = {{1, 2}}> {{
                m = ReduceMean<axes = [2]>(x) d = Sub(x, m) q = Mul(d, d)
                v = ReduceMean<axes = [2]>(q) a = Add(v, e) r = Sqrt(a) {end}
             }}"
        )
    }

    #[test]
    fn needs_one_of_scale_and_bias() {
        let source = source(13, "float", "2", "n = Div(d, r) y = Add(n, s)");
        assert_snapshot!(rewrite(&FuseInstanceNormalization {}, &source), @r"
        fuse-instance-normalization: 1 rewrites
        g (float[1,2,4] x) => (float[1,2,4] y)
        <float[2] y_scale = {1, 1}, float[2] y_bias = {1, 2}>
        {
            y = InstanceNormalization <epsilon = 0.5> (x, y_scale, y_bias)
        }
        ");
    }

    #[test]
    fn leaves_a_bare_normalization_to_layer_normalization() {
        let source = source(13, "float", "2", "y = Div(d, r)");
        assert_snapshot!(rewrite(&FuseInstanceNormalization {}, &source), @r"
        fuse-instance-normalization: 0 rewrites
        skipped 1: there is neither scale nor bias per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_an_unknown_number_of_channels() {
        let source = source(13, "float", "C", "n = Div(d, r) y = Add(n, s)");
        assert_snapshot!(rewrite_unexecuted(&FuseInstanceNormalization {}, &source), @r"
        fuse-instance-normalization: 0 rewrites
        skipped 1: the number of channels is not known
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = source(13, "double", "2", "n = Div(d, r) y = Add(n, s)");
        assert_snapshot!(rewrite(&FuseInstanceNormalization {}, &source), @r"
        fuse-instance-normalization: 0 rewrites
        skipped 1: elements are not known to be float
        unchanged
        ");
    }

    #[test]
    fn keeps_opset_5() {
        let source = source(5, "float", "2", "n = Div(d, r) y = Add(n, s)");
        assert_snapshot!(rewrite_unexecuted(&FuseInstanceNormalization {}, &source), @r"
        fuse-instance-normalization: 0 rewrites
        skipped 1: InstanceNormalization is another operator before opset 6
        unchanged
        ");
    }
}
