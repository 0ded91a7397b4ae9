//! What the pipeline does with models that are quantized already.
use crate::quantize::dynamic::{DynamicOptions, QuantizeDynamicInteger};
use crate::quantize::weight_only::{QuantizeWeights, WeightOptions};
use crate::testing::{assert_same_outputs, parse, print, rewrite_unexecuted};
use crate::{Accuracy, Context, driver, pipeline};
use insta::assert_snapshot;

/// The optimized model, which computes the same, and the reasons a pass gave.
fn optimized(source: &str, pass: &str) -> (String, Vec<String>) {
    let original = parse(source);
    let mut model = original.clone();
    let mut context = Context { validate_each: true, ..Context::default() };
    driver::run_to_fixpoint(pipeline::OPTIMIZE, &mut model, &mut context).expect("it runs");
    assert_same_outputs(&original, &model, Accuracy::Rounding);
    let records = context.records.iter().filter(|record| record.pass == pass);
    let reasons = records.flat_map(|record| record.skips.keys().cloned()).collect();
    (print(&model), reasons)
}

#[test]
fn integers_are_never_turned_back_into_floats() {
    let (graph, _) = optimized(
        "<ir_version: 8, opset_import: [\"\" : 13]>
        g (float[1,2] x) => (float[1,2] y, float[1,2] z)
        <int8[2,2] w = {1, 2, 3, 4}, float s = {0.5}, int32[2] b = {5, 6}, int8[2,2] v = {1, 2, 3, 4},
            int8[2,2] u = {1, 2, 3, 4}>
        {
            k = DequantizeLinear(w, s)
            c = DequantizeLinear(b, s)
            y = Gemm(x, k, c)
            l = DequantizeLinear(v, s)
            t = Transpose<perm = [1, 0]>(l)
            o = DequantizeLinear(u, s)
            n = Add(t, o)
            z = MatMul(x, n)
        }",
        "",
    );
    assert_snapshot!(graph, @r"
    g (float[1,2] x) => (float[1,2] y, float[1,2] z)
    <int8[2,2] w = {1, 2, 3, 4}, float s = {0.5}, int32[2] b = {5, 6}>
    {
        k = DequantizeLinear(w, s)
        c = DequantizeLinear(b, s)
        y = Gemm(x, k, c)
        t = Transpose <perm = [1, 0]> (k)
        n = Add(t, k)
        z = MatMul(x, n)
    }
    ");
}

#[test]
fn weights_of_quantization_aware_training_become_integers() {
    let (graph, _) = optimized(
        "<ir_version: 8, opset_import: [\"\" : 13]>
        g (float[1,3,2,2] x) => (float[1,2,2,2] y)
        <float[2,3,1,1] w = {1, -2, 3, 0.25, 0.75, -200}, float[2] s = {1, 0.5}, float[1] xs = {0.1}>
        {
            one = Constant<value = uint8[1] {128}>()
            z = Constant<value = int32[2] {0, 0}>()
            z8 = Cast<to = 3>(z)
            low = Constant<value = uint8 {0}>()
            high = Constant<value = uint8 {127}>()
            q = QuantizeLinear(x, xs, one)
            limited = Clip(q, low, high)
            d = DequantizeLinear(limited, xs, one)
            wq = QuantizeLinear<axis = 0>(w, s, z8)
            wd = DequantizeLinear<axis = 0>(wq, s, z8)
            y = Conv(d, wd)
        }",
        "",
    );
    assert_snapshot!(graph, @r"
    g (float[1,3,2,2] x) => (float[1,2,2,2] y)
    <float[2] s = {1, 0.5}, float xs = {0.1}, uint8 one = {128}, uint8 low = {0}, uint8 high = {127},
        int8[2] z8 = {0, 0}, int8[2,3,1,1] wq = {1, -2, 3, 0, 2, -128}>
    {
        q = QuantizeLinear(x, xs, one)
        limited = Clip(q, low, high)
        d = DequantizeLinear(limited, xs, one)
        wd = DequantizeLinear <axis = 0> (wq, s, z8)
        y = Conv(d, wd)
    }
    ");
}

#[test]
fn a_normalization_behind_quantized_weights_stays_and_is_named() {
    let (graph, reasons) = optimized(
        "<ir_version: 8, opset_import: [\"\" : 17]>
        g (float[1,1,2,2] x) => (float[1,2,2,2] y)
        <float[2,1,1,1] w = {1, -2}, float[2] s = {1, 0.5}, int8[2] z = {0, 0}, float[2] scale = {2, 3},
            float[2] b = {1, 2}, float[2] mean = {3, 4}, float[2] var = {1, 4}, float[2] bias = {1, 1}>
        {
            wq = QuantizeLinear<axis = 0>(w, s, z)
            wd = DequantizeLinear<axis = 0>(wq, s, z)
            c = Conv(x, wd, bias)
            y = BatchNormalization(c, scale, b, mean, var)
        }",
        "fuse-conv-batch-normalization",
    );
    assert_snapshot!(graph, @r"
    g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    <float[2] s = {1, 0.5}, int8[2] z = {0, 0}, float[2] scale = {2, 3}, float[2] b = {1, 2},
        float[2] mean = {3, 4}, float[2] var = {1, 4}, float[2] bias = {1, 1},
        int8[2,1,1,1] wq = {1, -4}>
    {
        wd = DequantizeLinear <axis = 0> (wq, s, z)
        c = Conv(x, wd, bias)
        y = BatchNormalization(c, scale, b, mean, var)
    }
    ");
    assert_eq!(reasons, ["the weights are quantized"]);
}

#[test]
fn weights_that_are_integers_are_not_quantized_without_samples() {
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
        g (float[1,32] x) => (int32[1,32] y)
        <int8[32,32] w = {{{}}}, float s = {{0.5}}>
        {{
            k = DequantizeLinear(w, s)
            m = MatMul(x, k)
            q, t, z = DynamicQuantizeLinear(m)
            y = MatMulInteger(q, w, z)
        }}",
        vec!["1"; 1024].join(", ")
    );
    let dynamic = QuantizeDynamicInteger { options: DynamicOptions::DEFAULT };
    let weights = QuantizeWeights { options: WeightOptions::DEFAULT };
    assert_snapshot!(rewrite_unexecuted(&dynamic, &source), @r"
    quantize-dynamic-integer: 0 rewrites
    skipped 1: it is quantized already
    skipped 1: its weights are quantized already
    unchanged
    ");
    assert_snapshot!(rewrite_unexecuted(&weights, &source), @r"
    quantize-weights: 0 rewrites
    skipped 1: it is quantized already
    skipped 1: its weights are quantized already
    unchanged
    ");
}
