//! `Pad` before `AveragePool`.
use super::padding;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Lets an `AveragePool` pad with the zeros that a `Pad` puts around its input.
    ///
    /// pads' = pads + amounts, and the zeros count.
    ///
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,3,8,8] y)
    /// <int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
    /// {
    ///     padded = Pad(x, amounts)
    ///     y = AveragePool<kernel_shape = [3, 3]>(padded)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,3,8,8] y)
    /// {
    ///     y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)
    /// }
    /// ```
    pub struct FusePadAveragePool
    name: "fuse-pad-average-pool",
    accuracy: Rounding,
    emits: ["AveragePool"],
}

pattern! {
    struct Site {
        pad = Pad(x: ValueId, amounts: Option<ValueId>, value: Option<ValueId>, axes: Option<ValueId>);
        y = AveragePool(pad);
    }
}

impl Rule for FusePadAveragePool {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["AveragePool"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let pool = &graph[root];
        let kernel = pool.ints("kernel_shape").or_no_match()?;
        require(graph.opset() >= 7, "AveragePool counts padding from opset 7 on")?;
        require(pool.int("ceil_mode").unwrap_or(0) == 0, "AveragePool rounds its size up")?;
        let before = padding::pads(pool, kernel.len())?;
        let counted = pool.int("count_include_pad").unwrap_or(0) != 0;
        require(
            counted || before.iter().all(|&pad| pad == 0),
            "AveragePool pads without counting",
        )?;
        let zeros = padding::spatial_zeros(graph, site.pad, kernel.len() + 2)?;
        let pads = padding::sum(&before, &zeros);
        let inside = pads.iter().zip(kernel.iter().cycle()).all(|(pad, extent)| pad < extent);
        require(inside, "a window would see padding alone")?;

        let y = pool.output(0).or_no_match()?;
        let fused = NewNode::like(graph, root)
            .with_input(0, site.x)
            .without_attribute("auto_pad")
            .attribute("pads", pads)
            .attribute("count_include_pad", 1_i64);
        let fused = patch.node(fused);
        patch.replace(y, fused);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn adds_to_zeros_that_count_already() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,5,5] y)
            <int64[8] amounts = {0, 0, 1, 1, 0, 0, 0, 0}>
            {
                padded = Pad(x, amounts)
                y = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1>(padded)
            }
        ";
        assert_snapshot!(rewrite(&FusePadAveragePool {}, source), @r"
        fuse-pad-average-pool: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,3,5,5] y)
        {
            y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [2, 2, 1, 1], count_include_pad = 1> (x)
        }
        ");
    }

    #[test]
    fn keeps_a_pool_that_pads_without_counting() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,10,10] y)
            <int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
            {
                padded = Pad(x, amounts)
                y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(padded)
            }
        ";
        assert_snapshot!(rewrite(&FusePadAveragePool {}, source), @r"
        fuse-pad-average-pool: 0 rewrites
        skipped 1: AveragePool pads without counting
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pool_that_rounds_its_size_up() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,5,5] y)
            <int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
            {
                padded = Pad(x, amounts)
                y = AveragePool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(padded)
            }
        ";
        assert_snapshot!(rewrite(&FusePadAveragePool {}, source), @r"
        fuse-pad-average-pool: 0 rewrites
        skipped 1: AveragePool rounds its size up
        unchanged
        ");
    }

    #[test]
    fn keeps_padding_as_wide_as_the_window() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,11,11] y)
            <int64[8] amounts = {0, 0, 2, 2, 0, 0, 2, 2}>
            {
                padded = Pad(x, amounts)
                y = AveragePool<kernel_shape = [2, 2]>(padded)
            }
        ";
        assert_snapshot!(rewrite(&FusePadAveragePool {}, source), @r"
        fuse-pad-average-pool: 0 rewrites
        skipped 1: a window would see padding alone
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pool_too_old_to_count() {
        let source = r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[1,3,8,8] x) => (float[1,3,8,8] y)
            {
                padded = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(x)
                y = AveragePool<kernel_shape = [3, 3]>(padded)
            }
        "#;
        assert_snapshot!(rewrite(&FusePadAveragePool {}, source), @r"
        fuse-pad-average-pool: 0 rewrites
        skipped 1: AveragePool counts padding from opset 7 on
        unchanged
        ");
    }
}
