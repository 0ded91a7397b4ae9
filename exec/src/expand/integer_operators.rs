//! Operators on integers with scales next to them, as the operator they stand for between conversions.
//!
//! Those of ONNX Runtime the runtime does not know. Its own QLinearConv and QLinearMatMul are right up to one step, since they
//! multiply by a fixed-point scale, and take two to six times as long as the floating-point kernels; between conversions the
//! numbers are those of the other form of a quantized model.
use super::part;
use lapidary_ir::schema::{IntegerOperator, QuantizedSlots, integer_operator};
use lapidary_ir::{Graph, NewNode, Node, NodeId, Operand, Patch, Tensor};

/// Whether the operator computes with integers and scales next to them.
pub(super) fn applies(graph: &Graph, id: NodeId) -> bool {
    integer_operator(&graph[id]).is_some()
}

/// y = quantize(operator(dequantize(x), …))
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let operator = integer_operator(node)?;
    if node.int("channels_last").unwrap_or(0) != 0 || !softmax_is_in_force(graph, node) {
        return None;
    }
    let mut patch = Patch::default();
    let mut float = NewNode::like(graph, id)
        .domain("")
        .op_type(operator.float)
        .without_attribute("opset")
        .without_attribute("channels_last")
        .truncate_inputs(0);
    if let Some(slot) = operator.unquantized {
        float = float.input(node.input(slot)?);
    }
    let operands: Vec<QuantizedSlots> = operator.operands_of(node).collect();
    for (place, &slots) in operands.iter().enumerate() {
        let axis = axis(graph, node, operator, place)?;
        let what = format!("operand_{place}");
        float = float.input(dequantize(graph, id, &mut patch, slots, axis, &what)?);
    }
    if has_more(node, operator, &operands) {
        return None;
    }
    if let Some(bias) = operator.bias.and_then(|slot| node.input(slot)) {
        let scales = patch.initializer("bias_scale", bias_scales(graph, node, &operands)?);
        let dequantize = part(graph, id, "DequantizeLinear", "bias").attribute("axis", 0i64);
        let dequantized = patch.node(dequantize.input(bias).input(scales));
        float = float.input(dequantized);
    }
    let computed = patch.node(float);
    let scale = operator.result.and_then(|(scale, zero)| Some((node.input(scale)?, zero)));
    let Some((scale, zero_point)) = scale else {
        patch.replace(node.output(0)?, computed);
        return operator.result.is_none_or(|_| operator.may_write_float).then_some(patch);
    };
    let mut quantize = part(graph, id, "QuantizeLinear", "quantized").input(computed).input(scale);
    quantize = match node.input(zero_point) {
        Some(zero_point) => quantize.input(zero_point),
        None => quantize.input(zero(graph, node, operands.first()?, &mut patch)?),
    };
    let quantized = patch.node(quantize);
    patch.replace(node.output(0)?, quantized);
    Some(patch)
}

/// Whether a Softmax is that of the operator set of the model: before 13 it meant another thing.
fn softmax_is_in_force(graph: &Graph, node: &Node) -> bool {
    node.int("opset").is_none_or(|opset| (opset < 13) == (graph.opset() < 13))
}

/// Whether there is an input that no operand is read from.
fn has_more(node: &Node, operator: &IntegerOperator, operands: &[QuantizedSlots]) -> bool {
    let slots = operands.iter().flat_map(|slots| [slots.integers, slots.scale, slots.zero_point]);
    let result = operator.result.into_iter().flat_map(|(scale, zero_point)| [scale, zero_point]);
    let known: Vec<usize> =
        slots.chain(result).chain(operator.bias).chain(operator.unquantized).collect();
    (0..node.inputs().len()).any(|slot| node.input(slot).is_some() && !known.contains(&slot))
}

fn dequantize(
    graph: &Graph,
    id: NodeId,
    patch: &mut Patch,
    slots: QuantizedSlots,
    axis: Option<i64>,
    what: &str,
) -> Option<Operand> {
    let node = &graph[id];
    let conversion = part(graph, id, "DequantizeLinear", what);
    let mut conversion =
        conversion.input(node.input(slots.integers)?).input(node.input(slots.scale)?);
    if let Some(zero_point) = node.input(slots.zero_point) {
        conversion = conversion.input(zero_point);
    }
    if let Some(axis) = axis {
        conversion = conversion.attribute("axis", axis);
    }
    Some(patch.node(conversion))
}

/// The axis of the scales of an operand, if they are several. The outer none says that it is not known.
fn axis(
    graph: &Graph,
    node: &Node,
    operator: &IntegerOperator,
    place: usize,
) -> Option<Option<i64>> {
    let slots = operator.operands(place + 1).nth(place)?;
    let scale = graph.ty(node.input(slots.scale)?).dims()?;
    if scale.iter().product::<i64>() == 1 {
        return Some(None);
    }
    let rank = graph.ty(node.input(slots.integers)?).rank()?;
    Some(Some(operator.scale_axis(node, place, rank)? as i64))
}

/// The steps of a bias: the product of the scales of what is multiplied.
fn bias_scales(graph: &Graph, node: &Node, operands: &[QuantizedSlots]) -> Option<Tensor> {
    let scales = |slots: &QuantizedSlots| graph.constant(node.input(slots.scale)?)?.to_f32();
    let (left, right) = (scales(operands.first()?)?, scales(operands.get(1)?)?);
    let &[left] = left.as_slice() else { return None };
    let products: Vec<f32> = right.iter().map(|right| left * right).collect();
    match products.as_slice() {
        &[product] => Some(Tensor::scalar(product)),
        products => Some(Tensor::vector(products)),
    }
}

/// 0 in the type of an operand.
fn zero(graph: &Graph, node: &Node, slots: &QuantizedSlots, patch: &mut Patch) -> Option<Operand> {
    let elem_type = graph.ty(node.input(slots.integers)?).elem_type?;
    let zero = Tensor::from_bytes(elem_type, Vec::new(), vec![0u8].into()).ok()?;
    Some(patch.initializer("zero_point", zero))
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    const IMPORTS: &str = r#"<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>"#;

    /// A graph that computes `operator` on integers, and one that computes `plain` between conversions.
    fn assert_stands_for(constants: &str, shape: &str, operator: &str, plain: &str) {
        let interface = format!(
            "{IMPORTS} g (float[{shape}] a, float[{shape}] b) => (float y)
            <float s = {{0.05}}, uint8 z = {{120}}, float t = {{0.1}}, uint8 u = {{3}}, {constants}>"
        );
        let quantized = "qa = QuantizeLinear(a, s, z) qb = QuantizeLinear(b, t, u)";
        let numbers = "da = DequantizeLinear(qa, s, z) db = DequantizeLinear(qb, t, u)";
        let back = "y = DequantizeLinear(q, t, u)";
        assert_same(
            &interface,
            &format!("{quantized} q = {operator} {back}"),
            &format!("{quantized} {numbers} f = {plain} q = QuantizeLinear(f, t, u) {back}"),
        );
    }

    #[test]
    fn element_wise_operators_and_pools() {
        let cases = [
            ("com.microsoft.QLinearAdd(qa, s, z, qb, t, u, t, u)", "Add(da, db)"),
            ("com.microsoft.QLinearMul(qa, s, z, qb, t, u, t, u)", "Mul(da, db)"),
            ("com.microsoft.QLinearWhere(c, qa, s, z, qb, t, u, t, u)", "Where(c, da, db)"),
            (
                "com.microsoft.QLinearConcat<axis = 1>(t, u, qa, s, z, qb, t, u)",
                "Concat<axis = 1>(da, db)",
            ),
            ("com.microsoft.QLinearSigmoid(qa, s, z, t, u)", "Sigmoid(da)"),
            (
                "com.microsoft.QLinearLeakyRelu<alpha = 0.2>(qa, s, z, t, u)",
                "LeakyRelu<alpha = 0.2>(da)",
            ),
            (
                "com.microsoft.QLinearSoftmax<axis = 1, opset = 17>(qa, s, z, t, u)",
                "Softmax<axis = 1>(da)",
            ),
            ("com.microsoft.QLinearGlobalAveragePool(qa, s, z, t, u)", "GlobalAveragePool(da)"),
            (
                "com.microsoft.QLinearAveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(qa, s, z, t, u)",
                "AveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(da)",
            ),
        ];
        for (operator, plain) in cases {
            assert_stands_for("bool[1,2,1,1] c = {1, 0}", "1,2,4,4", operator, plain);
        }
    }

    #[test]
    fn products_with_scales_per_channel() {
        let constants = "int8[2,2,3,3] w = {1, -2, 3, -4, 5, -6, 7, -8, 9, 10, -20, 30, -40, 50, -60, 70, -80, 90,
             11, -22, 33, -44, 55, -66, 77, -88, 99, 5, 4, 3, 2, 1, 0, -1, -2, -3}, float[2] ws = {0.01, 0.02},
             int8[2] wz = {0, 0}, int32[2] wb = {100, -500}, float[2] wt = {0.0005, 0.001}";
        assert_stands_for(
            &format!("{constants}, int8[1] none = {{0}}"),
            "1,2,4,4",
            "QLinearConv<pads = [1, 1, 1, 1]>(qa, s, z, w, ws, wz, t, u, wb)",
            "Conv<pads = [1, 1, 1, 1]>(da, dw, dwb) dw = DequantizeLinear<axis = 0>(w, ws, wz)
             dwb = DequantizeLinear<axis = 0>(wb, wt)",
        );
        let constants = "int8[4,2] w = {1, -2, 3, -4, 5, -6, 7, -8}, float[2] ws = {0.1, 0.2}, int8[2] wz = {0, 1},
             int32[2] wb = {100, -50}, float[2] wt = {0.005, 0.01}, int8[2,4] v = {1, -2, 3, -4, 5, -6, 7, -8}";
        let dw = "dw = DequantizeLinear<axis = 1>(w, ws, wz)";
        let dv = "dv = DequantizeLinear<axis = 0>(v, ws, wz)";
        let dwb = "dwb = DequantizeLinear<axis = 0>(wb, wt)";
        let cases = [
            ("QLinearMatMul(qa, s, z, w, ws, wz, t, u)".to_owned(), format!("MatMul(da, dw) {dw}")),
            (
                "com.microsoft.QGemm(qa, s, z, w, ws, wz, wb, t, u)".to_owned(),
                format!("Gemm(da, dw, dwb) {dw} {dwb}"),
            ),
            (
                "com.microsoft.QGemm<transB = 1>(qa, s, z, v, ws, wz, , t, u)".to_owned(),
                format!("Gemm<transB = 1>(da, dv) {dv}"),
            ),
            (
                "QuantizeLinear(n, t, u) n = com.microsoft.QGemm(qa, s, z, w, ws, wz, wb)".to_owned(),
                format!("Gemm(da, dw, dwb) {dw} {dwb}"),
            ),
            (
                "QuantizeLinear(n, t, u) n = com.microsoft.MatMulIntegerToFloat(qa, w, s, ws, z, wz)".to_owned(),
                format!("MatMul(da, dw) {dw}"),
            ),
        ];
        for (operator, plain) in cases {
            assert_stands_for(constants, "3,4", &operator, &plain);
        }
    }

    #[test]
    fn convolutions_with_groups_strides_and_dilations() {
        let filter: Vec<String> =
            (0..8 * 2 * 3 * 3).map(|i| (i * 89 % 255 - 127).to_string()).collect();
        let filter = filter.join(", ");
        let constants = format!(
            "int8[8,2,3,3] w = {{{filter}}}, float[8] ws = {{0.001, 0.002, 0.0015, 0.0007, 0.003, 0.0011, 0.0013, 0.0017}},
             int8[8] wz = {{0, 0, 0, 0, 0, 0, 0, 0}}, int8 v = {{7}}, float vs = {{0.002}}"
        );
        for attributes in [
            "group = 4, pads = [1, 1, 1, 1]",
            "group = 4, strides = [2, 2], pads = [0, 1, 1, 0]",
            "group = 4, dilations = [2, 2], auto_pad = \"SAME_UPPER\"",
        ] {
            for (scale, zero, axis) in [("ws", "wz", "<axis = 0>"), ("vs", "v", "")] {
                assert_stands_for(
                    &constants,
                    "2,8,9,9",
                    &format!("QLinearConv<{attributes}>(qa, s, z, w, {scale}, {zero}, t, u)"),
                    &format!(
                        "Conv<{attributes}>(da, dw) dw = DequantizeLinear{axis}(w, {scale}, {zero})"
                    ),
                );
            }
        }
    }

    #[test]
    fn what_moves_integers_runs_on_them() {
        let cases = [
            "MaxPool<kernel_shape = [2, 2], pads = [1, 1, 1, 1]>(X)",
            "Transpose<perm = [0, 2, 1, 3]>(X)",
            "Reshape(X, shape)",
            "Flatten(X)",
            "Slice(X, one, two, one)",
            "Gather<axis = 1>(X, one)",
            "ReduceMax<axes = [2]>(X)",
            "DepthToSpace<blocksize = 2>(X)",
            "Resize<mode = \"nearest\">(X, , scales)",
            "Expand(X, big)",
            "Concat<axis = 1>(X, X)",
            "Pad(X, pads, Z)",
            "Squeeze(X, zero)",
            "Unsqueeze(X, zero)",
            "Tile(X, big)",
            "SpaceToDepth<blocksize = 2>(X)",
        ];
        let constants = "int64[2] shape = {4, -1}, int64[1] one = {1}, int64[1] two = {2}, int64[1] zero = {0},
             float[4] scales = {1, 1, 2, 2}, int64[4] big = {2, 4, 4, 4}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1},
             float none = {0}";
        for (s, z) in [("s", "z"), ("s", "n")] {
            for case in cases {
                let interface = format!(
                    "{IMPORTS} g (float[1,4,4,4] x) => (float y)
                    <float s = {{0.05}}, uint8 z = {{120}}, int8 n = {{-5}}, {constants}>"
                );
                let q = format!("q = QuantizeLinear(x, {s}, {z})");
                let on = |x: &str, z: &str| case.replace('X', x).replace('Z', z);
                let (integer, float) = (on("q", z), on("d", "none"));
                assert_same(
                    &interface,
                    &format!("{q} m = {integer} y = DequantizeLinear(m, {s}, {z})"),
                    &format!("{q} d = DequantizeLinear(q, {s}, {z}) y = {float}"),
                );
            }
        }
    }
}
