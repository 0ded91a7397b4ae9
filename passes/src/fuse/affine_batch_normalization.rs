//! Constants per channel before `BatchNormalization`.
use super::affine::{self, Affine, Channels};
use super::linear::{constant, update};
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds constants that are multiplied and added per channel into the `BatchNormalization` that
    /// reads them.
    ///
    /// From `Mul`, `Div`, `Neg`, `Add` and `Sub`. With d = scale / sqrt(var + epsilon):
    /// (x · s + t − mean) · d + shift = (x − mean) · (d · s) + (shift + d · (mean · s + t − mean)).
    ///
    /// ```onnx
    /// g (float[2,1,3] x) => (float[2,1,3] y)
    /// <float s = {2}, float[1] scale = {6}, float[1] shift = {1}, float[1] mean = {1}, float[1] var = {4}>
    /// {
    ///     a = Mul(x, s)
    ///     y = BatchNormalization<epsilon = 0.0>(a, scale, shift, mean, var)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,1,3] x) => (float[2,1,3] y)
    /// <float[1] scale = {12}, float[1] shift = {4}, float[1] mean = {1}, float[1] var = {4}>
    /// {
    ///     y = BatchNormalization <epsilon = 0.0> (x, scale, shift, mean, var)
    /// }
    /// ```
    pub struct FuseAffineBatchNormalization
    name: "fuse-affine-batch-normalization",
    accuracy: Rounding,
    emits: [],
}

impl Rule for FuseAffineBatchNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let value = graph[root].input(0).or_no_match()?;
        graph.only_use(value).or_no_match()?;
        let node = graph.producer(value).or_no_match()?;
        affine::constant_slot(graph, node)?.or_no_match()?;
        let x = affine::data(graph, node)?;
        let [scale, shift, mean] = [1, 2, 3].map(|slot| constant(graph, root, slot));
        let (scale, shift) = scale.zip(shift).or_no_match()?;
        let mean = mean.and_then(|mean| weights::values(&mean.tensor)).or_no_match()?;
        let norm = Affine::batch_normalization(graph, root, mean.len())?;

        let rank = graph.ty(value).rank().or_skip("rank is not known")?;
        let channels = Channels { rank, axis: 1, count: mean.len() };
        let affine = Affine::of(graph, node, channels)?;
        require(
            affine::keeps_shape(graph, node, x, channels),
            "the constant may enlarge the shape",
        )?;
        let shifts = weights::values(&shift.tensor).or_no_match()?;
        let shifts: Vec<f64> = (0..mean.len())
            .map(|channel| {
                let before = mean[channel] * affine.scale[channel] + affine.shift[channel];
                shifts[channel] + norm.scale[channel] * (before - mean[channel])
            })
            .collect();
        let finite = affine.is_finite() && shifts.iter().all(|shift| shift.is_finite());
        require(finite, "scale or shift is not finite")?;

        let scaled = weights::scale(&scale.tensor, |index| affine.scale[index])?;
        let shifted = weights::tensor(shift.tensor.elem_type(), shift.tensor.dims(), &shifts)?;
        let scaled = update(graph, patch, &scale, scaled)?;
        let shifted = update(graph, patch, &shift, shifted)?;
        patch.set_input(root, 0, Some(x.into()));
        patch.set_input(root, 1, Some(scaled));
        patch.set_input(root, 2, Some(shifted));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn folds_a_sum_per_channel() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y)
            <float[3,1] t, float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}>
            {
                z = Add(x, t)
                y = BatchNormalization(z, a, b, m, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineBatchNormalization {}, source), @r"
        fuse-affine-batch-normalization: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[3] a = {-0.34375, -0.046875, 0.109375}, float[3] b = {1.1245109, -0.10669748, 0.10345492},
            float[3] m = {0.015625, -0.296875, -0.9375}, float[3] v = {1, 2, 3}>
        {
            y = BatchNormalization(x, a, b, m, v)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_that_repeats_a_channel() {
        let source = "
            g (float[2,1,4] x) => (float[2,3,4] y)
            <float[3,1] t, float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}>
            {
                z = Add(x, t)
                y = BatchNormalization(z, a, b, m, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineBatchNormalization {}, source), @r"
        fuse-affine-batch-normalization: 0 rewrites
        skipped 1: the constant may enlarge the shape
        unchanged
        ");
    }

    #[test]
    fn keeps_a_division_by_zero() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y)
            <float[3,1] t = {1, 0, 2}, float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}>
            {
                z = Div(x, t)
                y = BatchNormalization(z, a, b, m, v)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseAffineBatchNormalization {}, source), @r"
        fuse-affine-batch-normalization: 0 rewrites
        skipped 1: scale or shift is not finite
        unchanged
        ");
    }

    #[test]
    fn keeps_a_value_of_unknown_rank() {
        let source = "
            g (float[] x) => (float[] y)
            <float t, float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}>
            {
                z = Mul(x, t)
                y = BatchNormalization(z, a, b, m, v)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseAffineBatchNormalization {}, source), @r"
        fuse-affine-batch-normalization: 0 rewrites
        skipped 1: rank is not known
        unchanged
        ");
    }

    #[test]
    fn keeps_what_another_node_reads() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y, float[2,3,4] z)
            <float t, float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}>
            {
                z = Mul(x, t)
                y = BatchNormalization(z, a, b, m, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineBatchNormalization {}, source), @r"
        fuse-affine-batch-normalization: 0 rewrites (no match)
        unchanged
        ");
    }
}
