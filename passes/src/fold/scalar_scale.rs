//! Scales of conversions.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, Port, ValueId};

crate::pass! {
    /// Makes the only scale of a `QuantizeLinear` or `DequantizeLinear` a scalar.
    ///
    /// Exporters write one scale for a whole tensor as a list of one number. ONNX Runtime refuses
    /// models in which operators such as Add become integer kernels with such scales.
    ///
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[2,3] x) => (uint8[2,3] y)
    /// <float[1] s = {0.5}, uint8[1] z = {3}>
    /// {
    ///     y = QuantizeLinear(x, s, z)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[2,3] x) => (uint8[2,3] y)
    /// <float s = {0.5}, uint8 z = {3}>
    /// {
    ///     y = QuantizeLinear(x, s, z)
    /// }
    /// ```
    pub struct FoldScalarScale
    name: "fold-scalar-scale",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldScalarScale {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["QuantizeLinear", "DequantizeLinear"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (scale, zero_point) = (node.input(1).or_no_match()?, node.input(2));
        let single = |value: ValueId| graph.constant(value).filter(|tensor| tensor.len() == 1);
        let listed = |value: ValueId| single(value).is_some_and(|tensor| tensor.dims() == [1]);
        single(scale).or_no_match()?;
        if !listed(scale) && !zero_point.is_some_and(listed) {
            return Err(Skip::NoMatch);
        }
        require(!has_blocks(graph, root), "the scale is that of a block")?;
        let known = zero_point.is_none_or(|zero_point| single(zero_point).is_some());
        require(known, "the zero point is not one constant")?;
        for (slot, value) in [(1, Some(scale)), (2, zero_point)] {
            if let Some(value) = value.filter(|&value| listed(value)) {
                let tensor = graph.constant(value).or_no_match()?;
                let scalar = tensor.reshaped(Vec::new()).ok().or_no_match()?;
                match is_own(graph, value) {
                    true => patch.set_tensor(value, scalar),
                    false => {
                        let copy = patch.initializer(graph.value(value).name(), scalar);
                        patch.set_input(root, slot, Some(copy));
                    }
                }
            }
        }
        Ok(())
    }
}

fn has_blocks(graph: &Graph, id: NodeId) -> bool {
    graph[id].int("block_size").unwrap_or(0) != 0
}

/// Whether conversions alone read a value, as scale or zero point of a whole tensor.
fn is_own(graph: &Graph, value: ValueId) -> bool {
    let converts = |id: NodeId| {
        let node = &graph[id];
        (node.is("QuantizeLinear") || node.is("DequantizeLinear")) && !has_blocks(graph, id)
    };
    let found = graph.value(value);
    !found.is_output()
        && found.initializer().is_some()
        && found.uses().all(|used| converts(used.node) && used.port != Port::Input(0))
}

#[cfg(test)]
mod tests {
    use super::FoldScalarScale;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn a_scale_that_others_share_is_copied() {
        assert_snapshot!(rewrite(&FoldScalarScale {}, "
            <ir_version: 8, opset_import: [\"\" : 13]>
            g (float[2,3] x) => (float[2,3] y, float[1] k)
            <float[1] s = {0.5}, uint8[1] z = {3}>
            {
                q = QuantizeLinear(x, s, z)
                y = DequantizeLinear<axis = 0>(q, s, z)
                k = Neg(s)
            }
        "), @r"
        fold-scalar-scale: 2 rewrites
        g (float[2,3] x) => (float[2,3] y, float[1] k)
        <float[1] s = {0.5}, uint8 z = {3}, float s_1 = {0.5}, float s_2 = {0.5}>
        {
            q = QuantizeLinear(x, s_1, z)
            y = DequantizeLinear <axis = 0> (q, s_2, z)
            k = Neg(s)
        }
        ");
    }

    #[test]
    fn keeps_blocks_and_what_is_computed() {
        assert_snapshot!(rewrite_unexecuted(&FoldScalarScale {}, "
            <ir_version: 10, opset_import: [\"\" : 21]>
            g (float[2] x, float[1] t, uint8[1] z) => (uint8[2] a, uint8[2] b, uint8[2] c, uint8[2] d)
            <float[1] s = {0.5}, float[2] two = {1, 2}>
            {
                a = QuantizeLinear<axis = 0, block_size = 2>(x, s)
                b = QuantizeLinear(x, t)
                c = QuantizeLinear<axis = 0>(x, s, z)
                d = QuantizeLinear<axis = 0>(x, two)
            }
        "), @r"
        fold-scalar-scale: 0 rewrites
        skipped 1: the scale is that of a block
        skipped 1: the zero point is not one constant
        unchanged
        ");
    }
}
