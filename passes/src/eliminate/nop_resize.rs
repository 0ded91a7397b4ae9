//! Resizing to the same size.
use super::{elements, pass_through};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Resize` or `Upsample` by the factor 1.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,1,4,4] y)
    /// <float[4] scales = {1, 1, 1, 1}>
    /// {
    ///     a = Relu(x)
    ///     b = Resize<mode = "nearest">(a, , scales)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,1,4,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopResize
    name: "eliminate-nop-resize",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopResize {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Resize", "Upsample"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let crops = node.string("coordinate_transformation_mode") == Some("tf_crop_and_resize");
        require(!crops, "it crops to a region")?;
        let scales_slot = if node.is("Resize") && graph.opset() >= 11 { 2 } else { 1 };
        let scales = match node.floats("scales") {
            Some(scales) => Some(scales.to_vec()),
            None => graph.constant_input(root, scales_slot).and_then(|scales| scales.to_f32()),
        };
        let same = match scales.filter(|scales| !scales.is_empty()) {
            Some(scales) => scales.iter().all(|&scale| scale == 1.0),
            None => has_same_sizes(graph, root).or_skip("scales and sizes are unknown")?,
        };
        if !same {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

/// Whether the wanted sizes are those of the input, if known.
fn has_same_sizes(graph: &Graph, root: NodeId) -> Option<bool> {
    let sizes = elements(graph, root, 3)?;
    let shape = graph.value(graph[root].input(0)?).shape()?;
    if let Some(axes) = graph[root].ints("axes") {
        let dim = |&axis: &i64| {
            let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
            shape.get(usize::try_from(axis).ok()?)
        };
        return Some(
            axes.len() == sizes.len()
                && axes.iter().zip(sizes).all(|(axis, size)| dim(axis) == Some(size)),
        );
    }
    Some(sizes == shape)
}

#[cfg(test)]
mod tests {
    use super::EliminateNopResize;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn removes_one_to_the_size_of_the_input() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopResize {}, r#"
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <int64[4] sizes = {1, 1, 4, 4}>
            {
                a = Relu(x)
                y = Resize<mode = "linear">(a, , , sizes)
            }
        "#), @r"
        eliminate-nop-resize: 1 rewrites
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_one_by_2() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopResize {}, r#"
            g (float[1,1,4,4] x) => (float[1,1,8,8] y)
            <float[4] scales = {1, 1, 2, 2}>
            {
                y = Resize<mode = "nearest">(x, , scales)
            }
        "#), @r"
        eliminate-nop-resize: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_one_that_crops() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopResize {}, r#"
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[4] scales = {1, 1, 1, 1}, float[8] roi = {0, 0, 0.5, 0.5, 1, 1, 1, 1}>
            {
                y = Resize<coordinate_transformation_mode = "tf_crop_and_resize">(x, roi, scales)
            }
        "#), @r"
        eliminate-nop-resize: 0 rewrites
        skipped 1: it crops to a region
        unchanged
        ");
    }

    #[test]
    fn keeps_one_of_unknown_size() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopResize {}, r#"
            g (float[1,1,4,4] x, float[4] scales) => (float[N,C,H,W] y)
            {
                y = Resize<mode = "nearest">(x, , scales)
            }
        "#), @r"
        eliminate-nop-resize: 0 rewrites
        skipped 1: scales and sizes are unknown
        unchanged
        ");
    }
}
