//! Operators on integers, with scales and zero points next to them.
use super::At::{Readers, Source};
use super::refusals::reasons;
use super::{cuts, removes_exactly, removes_from, told};
use crate::prune::{Analysis, Grain};
use crate::quantize::qoperator::OperatorForm;
use crate::quantize::testing::calibration;
use crate::quantize::{QuantizationPlan, QuantizeOptions};
use crate::testing::model;

const BOTH: &[super::At] = &[Source, Readers];

/// A model between conversions: `nodes` make the integers `c` of scale t and zero point u from `q`.
fn quantized(input: &str, output: &str, constants: &str, nodes: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 17, \"com.microsoft\" : 1]>
        g (float[{input}] x) => (float[{output}] y)
        <float s = {{0.02}}, uint8 z = {{128}}, float t = {{0.05}}, uint8 u = {{120}}, float ws = {{0.01}},
         int8 wz = {{0}}, {constants}> {{
            q = QuantizeLinear(x, s, z)
            {nodes}
            y = DequantizeLinear(c, t, u)
        }}"
    )
}

/// Scales s, zero points z and a bias b for eight channels, under a name of their own: what is shared is one channel.
fn eight(name: &str) -> String {
    format!(
        "float[8] s{name} = {{0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02}},
        int8[8] z{name} = {{0, 0, 0, 0, 0, 0, 0, 0}}, int32[8] b{name} = {{10, -20, 30, 40, -50, 60, 70, 80}}"
    )
}

/// A network as our own quantization writes it for the runtime.
#[test]
fn what_quantization_writes_loses_channels() {
    let mut model = model(
        "g (float[2,3,6,6] x) => (float[2,4] y)
        <float[8,3,3,3] w1, float[8] b1, float[8,8,3,3] w2, float[8,1,3,3] w3, float[6,8,1,1] w4,
         float[4,6] w5, float[4] b5> {
            a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
            r = Relu(a)
            b = Conv<pads = [1, 1, 1, 1]>(r, w2)
            c = Add(r, b)
            d = Relu(c)
            e = Conv<group = 8>(d, w3)
            f = Conv(e, w4)
            p = GlobalAveragePool(f)
            h = Flatten(p)
            y = Gemm<transB = 1>(h, w5, b5)
        }",
    );
    let calibration = calibration(&model, &[("x", -2.0, 2.0)]);
    let options = QuantizeOptions::default();
    let plan = QuantizationPlan::new(&model.graph, &calibration, &options);
    plan.apply(&mut model).expect("the plan is for this graph");
    let mut integers = model.clone();
    let form = OperatorForm::write(&mut integers, options.target).expect("the form can be written");
    assert!(form.written.contains_key("QLinearConv"), "{:?}", form.written);
    let found = told(&Analysis::of(&model.graph));
    assert_eq!(found, "a, b_conv: 8 of 8\nf_conv: 6 of 6\ny: 0 of 4");
    let found = removes_from(&integers, BOTH, Grain::default());
    assert_eq!(
        found,
        "r_QuantizeLinear_Output_qlinearconv, b_conv: 8 of 8\nf_conv: 6 of 6\ny_qgemm: 0 of 4"
    );
}

#[test]
fn a_vector_of_one_number_is_no_tie() {
    let found = removes_exactly(
        &quantized(
            "2,3,6,6",
            "2,4,6,6",
            "int8[8,3,1,1] w1, int8[8,8,1,1] w2, int8[4,8,1,1] w3, int8[8] z8 = {0, 0, 0, 0, 0, 0, 0, 0},
             float[8] s1 = {0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02},
             float[8] s2 = {0.02, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02}",
            "a = QLinearConv(q, s, z, w1, s1, z8, t, u)
             b = QLinearConv(a, t, u, w2, s2, z8, t, u)
             c = QLinearConv(b, t, u, w3, ws, wz, t, u)",
        ),
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nb: 8 of 8\nc: 0 of 4");
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w1, float[8,8,1,1] w2, float[4,8,1,1] w3, float[4,8,1,1] w4, float[8] zero = {0, 0, 0, 0, 0, 0, 0, 0}> {
            a = Conv(x, w1, zero)
            b = Conv(a, w2, zero)
            d = Mul(b, b)
            p = Conv(b, w3)
            k = Transpose<perm = [0, 2, 3, 1]>(d)
            m = Add(k, zero)
            n = Transpose<perm = [0, 3, 1, 2]>(m)
            r = Conv(n, w4)
            y = Add(p, r)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nb: 8 of 8\np, r: 0 of 4");
}

#[test]
fn convolutions_with_a_scale_per_filter() {
    let found = removes_exactly(
        &quantized(
            "2,3,6,6",
            "2,4,4,4",
            &format!(
                "int8[8,3,3,3] w1, {}, int8[4,8,1,1] w2, int32[4] b2 = {{1, 2, 3, 4}}",
                eight("8")
            ),
            "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
             c = QLinearConv(a, t, u, w2, ws, wz, t, u, b2)",
        ),
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nc: 0 of 4");
}

#[test]
fn groups_of_integers() {
    let found = removes_exactly(
        &quantized(
            "2,3,6,6",
            "2,4,4,4",
            &format!(
                "int8[8,3,1,1] w1, {}, int8[8,1,3,3] w2, {}, int8[8,4,1,1] w3, {}, int8[4,8,1,1] w4",
                eight("8"),
                eight("k"),
                eight("m")
            ),
            "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
             b = QLinearConv<group = 8>(a, t, u, w2, sk, zk, t, u)
             d = QLinearConv<group = 2>(b, t, u, w3, sm, zm, t, u, bm)
             c = QLinearConv(d, t, u, w4, ws, wz, t, u)",
        ),
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nd: 8 of 8\nc: 0 of 4");
}

#[test]
fn matrices_with_a_scale_per_column() {
    let found = removes_exactly(
        &quantized(
            "5,3",
            "5,4",
            &format!("int8[3,8] w1, {}, int8[8,8] w2, {}, int8[4,8] w3", eight("8"), eight("k")),
            "a = QLinearMatMul(q, s, z, w1, s8, z8, t, u)
             b = com.microsoft.QGemm(a, t, u, w2, sk, zk, bk, t, u)
             c = com.microsoft.QGemm<transB = 1>(b, t, u, w3, ws, wz, , t, u)",
        ),
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nb: 8 of 8\nc: 0 of 4");
}

#[test]
fn operators_of_the_runtime_between_convolutions() {
    let found = removes_exactly(
        &quantized(
            "2,3,6,6",
            "2,4,1,1",
            &format!("int8[8,3,1,1] w1, {}, int8[8,3,1,1] w2, int8[4,16,1,1] w3", eight("8")),
            "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
             b = QLinearConv(q, s, z, w2, s8, z8, t, u)
             d = com.microsoft.QLinearAdd(a, t, u, b, t, u, t, u)
             e = com.microsoft.QLinearLeakyRelu<alpha = 0.2>(d, t, u, t, u)
             f = com.microsoft.QLinearAveragePool<kernel_shape = [2, 2]>(e, t, u, t, u)
             h = com.microsoft.QLinearMul(f, t, u, f, t, u, t, u)
             i = com.microsoft.QLinearConcat<axis = 1>(t, u, f, t, u, h, t, u)
             j = com.microsoft.QLinearGlobalAveragePool(i, t, u, t, u)
             c = QLinearConv(j, t, u, w3, ws, wz, t, u)",
        ),
        BOTH,
    );
    assert_eq!(found, "a, b: 8 of 8\nc: 0 of 4");
}

#[test]
fn gates_of_integers() {
    let found = removes_exactly(
        &quantized(
            "2,3,6,6",
            "2,4,6,6",
            &format!("int8[8,3,1,1] w1, {}, int8[4,8,1,1] w2", eight("8")),
            "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
             h = com.microsoft.QLinearSigmoid(a, t, u, t, u)
             k = com.microsoft.QLinearMul(a, t, u, h, t, u, t, u)
             c = QLinearConv(k, t, u, w2, ws, wz, t, u)",
        ),
        &[Readers],
    );
    assert_eq!(found, "a: 8 of 8\nc: 0 of 4");
}

#[test]
fn products_of_integers_and_their_sums() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <int8[8,3,1,1] w1, int8 wz = {0}, float[8,1,1] scale = {0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2}, float[4,8,1,1] w2> {
            q, s, z = DynamicQuantizeLinear(x)
            a = ConvInteger(q, w1, z, wz)
            f = Cast<to = 1>(a)
            g = Mul(f, s)
            h = Mul(g, scale)
            y = Conv(h, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\ny: 0 of 4");
}

#[test]
fn products_of_matrices_of_integers() {
    let found = removes_exactly(
        "<ir_version: 10, opset_import: [\"\" : 17, \"com.microsoft\" : 1]>
        g (float[5,3] x) => (float[5,4] y)
        <int8[3,8] w1, int8[8] z1 = {0, 0, 0, 0, 0, 0, 0, 0}, int8[8,8] w2, int8[8,4] w3, int8 wz = {0},
         int8[8] z2 = {0, 0, 0, 0, 0, 0, 0, 0}, float[8] s2 = {0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02},
         float ws = {0.1}, float t = {20}, uint8 u = {128}> {
            q, s, z = DynamicQuantizeLinear(x)
            a = MatMulInteger(q, w1, z, z1)
            f = Cast<to = 1>(a)
            p = QuantizeLinear(f, t, u)
            b = com.microsoft.MatMulIntegerToFloat(p, w2, t, s2, u, z2)
            k = QuantizeLinear(b, t, u)
            y = com.microsoft.MatMulIntegerToFloat(k, w3, t, ws, u, wz)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nb: 8 of 8\ny: 0 of 4");
}

#[test]
fn weights_stored_as_integers() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,4,4] y)
        <int8[8,3,3,3] q1, float[8] s1 = {0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02},
         int8[8] z1 = {0, 0, 0, 0, 0, 0, 0, 0}, float[8] b1, int8[4,8,1,1] q2, float s2 = {0.1}> {
            w1 = DequantizeLinear<axis = 0>(q1, s1, z1)
            a = Conv(x, w1, b1)
            r = Relu(a)
            w2 = DequantizeLinear(q2, s2)
            y = Conv(r, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\ny: 0 of 4");
}

#[test]
fn products_that_quantize_what_they_read() {
    let (found, cut) = cuts(
        "<ir_version: 10, opset_import: [\"\" : 17, \"com.microsoft\" : 1]>
        g (float[5,3] x) => (float[5,4] y)
        <int8[3,6] w1, float[6] s1, int8[6] z1, float[6] b1, int8[6,4] w2, float s2, int8 z2, float[4] b2> {
            a = com.microsoft.DynamicQuantizeMatMul(x, w1, s1, z1, b1)
            y = com.microsoft.DynamicQuantizeMatMul(a, w2, s2, z2, b2)
        }",
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(cut, "w1 [3, 4], s1 [4], z1 [4], b1 [4], w2 [4, 4], s2 [], z2 [], b2 [4]");
}

#[test]
fn recurrent_layers_of_integers() {
    let (found, cut) = cuts(
        "<ir_version: 10, opset_import: [\"\" : 17, \"com.microsoft\" : 1]>
        g (float[5,2,3] x) => (float[5,2,2,4] y)
        <int8[2,3,24] w, int8[2,6,24] r, float[2,48] b, float[2,24] ws, int8[2,24] wz, float[2] rs, int8[2] rz,
         float[6,4] v> {
            h = com.microsoft.DynamicQuantizeLSTM<hidden_size = 6, direction = \"bidirectional\">(
                x, w, r, b, , , , , ws, wz, rs, rz)
            y = MatMul(h, v)
        }",
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
    assert_eq!(
        cut,
        "w [2, 3, 16], r [2, 4, 16], b [2, 32], ws [2, 16], wz [2, 16], rs [2], rz [2], v [4, 4]"
    );
}

#[test]
fn scales_along_no_known_axis_stop() {
    let found = reasons(&quantized(
        "2,3,6,6",
        "2,4,6,6",
        &format!(
            "int8[8,3,1,1] w1, {}, float[6] odd, uint8[6] nought, int8[4,8,1,1] w2",
            eight("8")
        ),
        "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
         b = com.microsoft.QLinearLeakyRelu(a, odd, nought, t, u)
         c = QLinearConv(b, t, u, w2, ws, wz, t, u)",
    ));
    assert!(found.contains("`b` (QLinearLeakyRelu) has scales or a bias that are not"), "{found}");
}

#[test]
fn a_softmax_of_integers_combines() {
    let found = reasons(&quantized(
        "5,3",
        "5,4",
        &format!("int8[3,8] w1, {}, int8[8,4] w2", eight("8")),
        "a = QLinearMatMul(q, s, z, w1, s8, z8, t, u)
         b = com.microsoft.QLinearSoftmax<axis = 1, opset = 13>(a, t, u, t, u)
         c = QLinearMatMul(b, t, u, w2, ws, wz, t, u)",
    ));
    assert!(found.contains("`b` (QLinearSoftmax) combines all elements of the axis"), "{found}");
}

#[test]
fn channels_behind_the_positions_are_not_guessed_at() {
    let found = reasons(&quantized(
        "2,3,6,6",
        "2,8,1,1",
        &format!("int8[8,3,1,1] w1, {}", eight("8")),
        "a = QLinearConv(q, s, z, w1, s8, z8, t, u, b8)
         c = com.microsoft.QLinearGlobalAveragePool<channels_last = 1>(a, t, u, t, u)",
    ));
    assert!(found.contains("`c` (QLinearGlobalAveragePool) slides a window"), "{found}");
}

#[test]
fn blocks_of_scales_stay_and_other_axes_follow() {
    let source = |axis: usize| {
        let scales = ["2,6", "4,3"][axis];
        format!(
            "g (float[5,3] x) => (float[5,6] y)
            <float[3,4] w0, int8[4,6] w, float[{scales}] s> {{
                a = MatMul(x, w0)
                d = DequantizeLinear<axis = {axis}, block_size = 2>(w, s)
                y = MatMul(a, d)
            }}"
        )
    };
    let found = reasons(&source(0));
    assert!(found.contains("`d` (DequantizeLinear) has scales of blocks"), "{found}");
    assert_eq!(removes_exactly(&source(1), &[Source]), "a: 4 of 4\ny: 0 of 6");
}
