//! Quantizations of what was dequantized.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, Tensor};
use std::sync::Arc;

crate::pass! {
    /// Removes a `QuantizeLinear` that gets back the integers a `DequantizeLinear` was given.
    ///
    /// With the same scale and zero point, round((q − z) · s / s) + z is q: two roundings of a
    /// 32-bit float move a number of 16 bits by less than a half.
    ///
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[4] x) => (float[4] y)
    /// <float s = {0.1}, uint8 z = {128}>
    /// {
    ///     q = QuantizeLinear(x, s, z)
    ///     d = DequantizeLinear(q, s, z)
    ///     p = QuantizeLinear(d, s, z)
    ///     y = DequantizeLinear(p, s, z)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[4] x) => (float[4] y)
    /// <float s = {0.1}, uint8 z = {128}>
    /// {
    ///     q = QuantizeLinear(x, s, z)
    ///     y = DequantizeLinear(q, s, z)
    /// }
    /// ```
    pub struct EliminateConsecutiveQuantizations
    name: "eliminate-consecutive-quantizations",
    accuracy: Exact,
    emits: [],
}

/// The most that an integer of 16 bits differs from its zero point.
const REACH: f32 = 65536.0;

impl Rule for EliminateConsecutiveQuantizations {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["QuantizeLinear"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (x, y) = (node.input(0).or_no_match()?, node.output(0).or_no_match()?);
        let inner = graph.producer(x).filter(|&id| graph[id].is("DequantizeLinear"));
        let inner = inner.or_no_match()?;
        let q = graph[inner].input(0).or_no_match()?;
        let scales = constants(graph, inner, 1).zip(constants(graph, root, 1));
        let (inner_scale, scale) = scales.or_skip("a scale is not constant")?;
        let scale = scale.filter(|scale| inner_scale.is_some_and(|it| it.same_content(scale)));
        let scale = scale.or_skip("the scales differ")?;
        let numbers = scale.to_vec::<f32>().or_skip("the scale is not of type float")?;
        let exact = |scale: &f32| scale.is_normal() && (scale * REACH).is_finite();
        let exact = numbers.iter().all(exact);
        require(exact, "a scale is too small or too large")?;
        let zero_points = constants(graph, inner, 2).zip(constants(graph, root, 2));
        let (inner_zero, zero) = zero_points.or_skip("a zero point is not constant")?;
        let same = match (inner_zero, zero) {
            (Some(inner), Some(zero)) => inner.same_content(zero),
            (inner, zero) => [inner, zero].into_iter().flatten().all(|zero| is_zero(zero)),
        };
        require(same, "the zero points differ")?;
        let along = |id: NodeId| {
            let axis = graph[id].int("axis").unwrap_or(1);
            let rank = graph.ty(x).rank().map_or(0, |rank| rank as i64);
            let axis = if axis < 0 { axis + rank } else { axis };
            (graph[id].int("block_size").unwrap_or(0), if scale.rank() == 0 { 0 } else { axis })
        };
        require(along(inner) == along(root), "the axes or blocks differ")?;
        let types = graph.ty(q).elem_type.zip(graph.ty(y).elem_type);
        require(types.is_some_and(|(q, y)| q == y), "the integers are of another type")?;
        require(graph.can_replace(y, q), "both integers keep their names")?;
        patch.replace(y, q);
        Ok(())
    }
}

/// The constant in a slot, or that there is none; nothing when what is there is computed.
fn constants(graph: &Graph, id: NodeId, slot: usize) -> Option<Option<&Arc<Tensor>>> {
    match graph[id].input(slot) {
        None => Some(None),
        Some(value) => graph.constant(value).map(Some),
    }
}

fn is_zero(tensor: &Tensor) -> bool {
    tensor.bytes().is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
}

#[cfg(test)]
mod tests {
    use super::EliminateConsecutiveQuantizations;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn axes_count_from_either_end_and_a_zero_point_of_0_may_be_left_out() {
        assert_snapshot!(rewrite(&EliminateConsecutiveQuantizations {}, "
            <ir_version: 8, opset_import: [\"\" : 13]>
            g (float[2,2] x) => (float[2,2] y, float[2,2] d)
            <float[2] s = {0.1, 3}, float[2] t = {0.1, 3}, uint8[2] z = {0, 0}>
            {
                q = QuantizeLinear<axis = -1>(x, s, z)
                d = DequantizeLinear<axis = -1>(q, s, z)
                p = QuantizeLinear(d, t)
                y = DequantizeLinear(p, t)
            }
        "), @r"
        eliminate-consecutive-quantizations: 1 rewrites
        g (float[2,2] x) => (float[2,2] y, float[2,2] d)
        <float[2] s = {0.1, 3}, float[2] t = {0.1, 3}, uint8[2] z = {0, 0}>
        {
            q = QuantizeLinear <axis = -1> (x, s, z)
            d = DequantizeLinear <axis = -1> (q, s, z)
            y = DequantizeLinear(q, t)
        }
        ");
    }

    #[test]
    fn keeps_what_differs() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConsecutiveQuantizations {}, "
            <ir_version: 10, opset_import: [\"\" : 21]>
            g (uint8[2,2] q, float t, uint8 u, float16 h) => (
                uint8[2,2] a, uint8[2,2] b, uint8[2,2] c, uint8[2,2] d, uint8[2,2] e, int8[2,2] f,
                uint8[2,2] i, uint8[2,2] j, uint8[2,2] k
            )
            <float s = {0.1}, float r = {0.2}, uint8 z = {1}, uint8 w = {2}, float[2] v = {1, 2},
                float tiny = {1e-40}, float16 half = {0.5}>
            {
                x = DequantizeLinear(q, s, z)
                a = QuantizeLinear(x, r, z)
                b = QuantizeLinear(x, s, w)
                c = QuantizeLinear(x, t, z)
                d = QuantizeLinear(x, s, u)
                x1 = DequantizeLinear<axis = 0>(q, v)
                e = QuantizeLinear<axis = 1>(x1, v)
                x2 = DequantizeLinear(q, s)
                f = QuantizeLinear<output_dtype = 3>(x2, s)
                x3 = DequantizeLinear(q, tiny)
                i = QuantizeLinear(x3, tiny)
                x4 = DequantizeLinear(q, half)
                j = QuantizeLinear(x4, half)
                k = QuantizeLinear(x2, s)
            }
        "), @r"
        eliminate-consecutive-quantizations: 0 rewrites
        skipped 1: a scale is not constant
        skipped 1: a scale is too small or too large
        skipped 1: a zero point is not constant
        skipped 1: both integers keep their names
        skipped 1: the axes or blocks differ
        skipped 1: the integers are of another type
        skipped 1: the scale is not of type float
        skipped 1: the scales differ
        skipped 1: the zero points differ
        unchanged
        ");
    }
}
