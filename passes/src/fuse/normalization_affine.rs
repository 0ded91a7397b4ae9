//! A normalization followed by constants per channel.
use super::affine::{self, Affine, Channels};
use super::linear::{constant, update};
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

crate::pass! {
    /// Folds constants that are multiplied and added per channel into the normalization before them.
    ///
    /// From `Mul`, `Div`, `Neg`, `Add`, `Sub` and an inference-mode `BatchNormalization`, into the
    /// parameters of `BatchNormalization`, `LayerNormalization`, `RMSNormalization`,
    /// `InstanceNormalization` and `GroupNormalization`:
    /// (n · scale + bias) · s + t = n · (scale · s) + (bias · s + t).
    ///
    /// ```onnx
    /// g (float[2,3] x) => (float[2,3] y)
    /// <float[3] scale = {1, 2, 3}, float[3] bias = {1, 2, 3}, float[3] s = {2, 2, 3}, float t = {0.5}>
    /// {
    ///     n = LayerNormalization(x, scale, bias)
    ///     a = Mul(n, s)
    ///     y = Add(a, t)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3] x) => (float[2,3] y)
    /// <float[3] scale = {2, 4, 9}, float[3] bias = {2.5, 4.5, 9.5}>
    /// {
    ///     y = LayerNormalization(x, scale, bias)
    /// }
    /// ```
    pub struct FuseNormalizationAffine
    name: "fuse-normalization-affine",
    accuracy: Rounding,
    emits: [],
}

impl Rule for FuseNormalizationAffine {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg", "Add", "Sub", "BatchNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let value = affine::data(graph, root)?;
        graph.only_use(value).or_no_match()?;
        let norm = graph.producer(value).or_no_match()?;
        let scale = constant(graph, norm, 1).or_no_match()?;
        let channels = channels(graph, norm, value, scale.tensor.dims())?;
        let affine = Affine::of(graph, root, channels)?;
        require(affine.is_finite(), "scale or shift is not finite")?;

        let y = graph[root].output(0).or_no_match()?;
        if !affine.is_shift() {
            let scaled = weights::scale(&scale.tensor, |index| affine.scale[index])?;
            let scaled = update(graph, patch, &scale, scaled)?;
            patch.set_input(norm, 1, Some(scaled));
        }
        let bias = graph[norm].input(2).map(|_| constant(graph, norm, 2).or_no_match());
        let bias = bias.transpose()?;
        if bias.is_some() || !affine.is_scale() {
            require(!graph[norm].is("RMSNormalization"), "RMSNormalization adds nothing")?;
            let before = match &bias {
                Some(bias) => weights::values(&bias.tensor).or_no_match()?,
                None => vec![0.0; channels.count],
            };
            require(before.len() == channels.count, "scale and bias have other lengths")?;
            let pairs = affine.scale.iter().zip(&affine.shift);
            let after: Vec<f64> = before.iter().zip(pairs).map(|(b, (s, t))| b * s + t).collect();
            let elem_type = scale.tensor.elem_type();
            let tensor = weights::tensor(elem_type, &[after.len() as i64], &after)?;
            let after = match &bias {
                Some(bias) => update(graph, patch, bias, tensor)?,
                None => patch.initializer(format!("{}_bias", graph.value(y).name()), tensor),
            };
            patch.set_input(norm, 2, Some(after));
        }
        patch.replace(y, value);
        Ok(())
    }
}

/// The channels of `value`, made by the normalization `norm` with a scale of dimensions `scale`.
fn channels(graph: &Graph, norm: NodeId, value: ValueId, scale: &[i64]) -> Result<Channels, Skip> {
    let node = &graph[norm];
    let rank = graph.ty(value).rank();
    let &[count] = scale else { return Err(Skip::NoMatch) };
    let count = usize::try_from(count).ok().or_no_match()?;
    match node.op_type.as_str() {
        _ if !node.is_standard() => return Err(Skip::NoMatch),
        "LayerNormalization" | "RMSNormalization" => {
            let rank = rank.unwrap_or(1);
            let axis = node.int("axis").unwrap_or(-1);
            require(axis == -1 || axis == rank as i64 - 1, "more than one axis is normalized")?;
            return Ok(Channels { rank, axis: rank.saturating_sub(1), count });
        }
        "BatchNormalization" => drop(Affine::batch_normalization(graph, norm, count)?),
        "GroupNormalization" => {
            require(graph.opset() >= 21, "GroupNormalization scales groups before opset 21")?;
        }
        "InstanceNormalization" => {}
        _ => return Err(Skip::NoMatch),
    }
    Ok(Channels { rank: rank.or_skip("rank is not known")?, axis: 1, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn merges_two_batch_normalizations() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y)
            <float[3] a, float[3] b, float[3] m, float[3] v = {1, 2, 3}, float[3] c, float[3] d, float[3] n, float[3] w = {3, 2, 1}>
            {
                z = BatchNormalization(x, a, b, m, v)
                y = BatchNormalization(z, c, d, n, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[3] a = {-0.04341396, -0.012947479, 0.017089758},
            float[3] b = {0.32925826, 0.82516634, -0.48828152}, float[3] m = {0.015625, -0.296875, -0.9375},
            float[3] v = {1, 2, 3}>
        {
            y = BatchNormalization(x, a, b, m, v)
        }
        ");
    }

    #[test]
    fn makes_a_bias_where_there_is_none() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[3] scale, float[3] t>
            {
                n = LayerNormalization(x, scale)
                y = Sub(t, n)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 1 rewrites
        g (float[2,3] x) => (float[2,3] y)
        <float[3] scale = {0.71875, -0.234375, 0.34375}, float[3] y_bias = {-0.453125, 0.390625, -0.09375}>
        {
            y = LayerNormalization(x, scale, y_bias)
        }
        ");
    }

    #[test]
    fn scales_an_instance_normalization() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y)
            <float[3] scale, float[3] bias, float[3,1] s>
            {
                n = InstanceNormalization(x, scale, bias)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[3] scale = {0.46044922, 0.095214844, -0}, float[3] bias = {-0.17016602, 0.19042969, 0}>
        {
            y = InstanceNormalization(x, scale, bias)
        }
        ");
    }

    #[test]
    fn scales_a_group_normalization() {
        let source = "
            g (float[2,4,4] x) => (float[2,4,4] y)
            <float[4] scale, float[4] bias, float[4,1] s>
            {
                n = GroupNormalization<num_groups = 2>(x, scale, bias)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 1 rewrites
        g (float[2,4,4] x) => (float[2,4,4] y)
        <float[4] scale = {0.46044922, 0.095214844, -0, 0.27294922},
            float[4] bias = {-0.17016602, 0.19042969, 0, 0.41992188}>
        {
            y = GroupNormalization <num_groups = 2> (x, scale, bias)
        }
        ");
    }

    #[test]
    fn keeps_a_sum_behind_a_root_mean_square() {
        let source = r#"
            <ir_version: 11, opset_import: ["" : 23]>
            g (float[2,3] x) => (float[2,3] y)
            <float[3] scale, float[3] t>
            {
                n = RMSNormalization(x, scale)
                y = Add(n, t)
            }
        "#;
        assert_snapshot!(rewrite_unexecuted(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: RMSNormalization adds nothing
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_along_another_axis() {
        let source = "
            g (float[2,3,3] x) => (float[2,3,3] y)
            <float[3] scale, float[3] bias, float[3] s>
            {
                n = InstanceNormalization(x, scale, bias)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_division_by_zero() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[3] scale, float[3] s = {1, 0, 1}>
            {
                n = LayerNormalization(x, scale)
                y = Div(n, s)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: scale or shift is not finite
        unchanged
        ");
    }

    #[test]
    fn keeps_another_normalized_axis() {
        let source = "
            g (float[2,3,1] x) => (float[2,3,1] y)
            <float[1] scale, float s>
            {
                n = LayerNormalization<axis = 1>(x, scale)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: more than one axis is normalized
        unchanged
        ");
    }

    #[test]
    fn keeps_parameters_of_other_lengths() {
        let source = "
            g (float[2,3] x) => (float[2,3] y)
            <float[1] scale, float[3] bias, float s>
            {
                n = LayerNormalization(x, scale, bias)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: scale and bias have other lengths
        unchanged
        ");
    }

    #[test]
    fn keeps_a_value_of_unknown_rank() {
        let source = "
            g (float[] x) => (float[] y)
            <float[3] scale, float[3] bias, float s>
            {
                n = InstanceNormalization(x, scale, bias)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: rank is not known
        unchanged
        ");
    }

    #[test]
    fn keeps_what_another_node_reads() {
        let source = "
            g (float[2,3] x) => (float[2,3] y, float[2,3] n)
            <float[3] scale, float s>
            {
                n = LayerNormalization(x, scale)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_scale_for_each_group() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 18]>
            g (float[2,4,4] x) => (float[2,4,4] y)
            <float[2] scale, float[2] bias, float s>
            {
                n = GroupNormalization<num_groups = 2>(x, scale, bias)
                y = Mul(n, s)
            }
        "#;
        assert_snapshot!(rewrite_unexecuted(&FuseNormalizationAffine {}, source), @r"
        fuse-normalization-affine: 0 rewrites
        skipped 1: GroupNormalization scales groups before opset 21
        unchanged
        ");
    }
}
