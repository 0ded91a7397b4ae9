//! Operators of ONNX Runtime's own domain.
use super::At::{Readers, Source};
use super::removes_exactly;
use crate::prune::Analysis;
use crate::testing::parse;
use lapidary_ir::text::print_node;

const BOTH: &[super::At] = &[Source, Readers];

/// A model of the standard operators and those of ONNX Runtime.
fn model(interface: &str, nodes: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 18, \"com.microsoft\" : 1]> g {interface} {{ {nodes} }}"
    )
}

/// The model without channel 1 of every group that can lose it: shapes of weights, then nodes.
fn without_one(source: &str) -> String {
    let mut model = parse(source);
    model.graph.infer();
    let analysis = Analysis::of(&model.graph);
    let lists: Vec<(usize, Vec<usize>)> = analysis
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.removable.contains(&1))
        .map(|(number, _)| (number, vec![1]))
        .collect();
    let plan = analysis.plan_removing(&lists).expect("these channels can go");
    plan.apply(&mut model).expect("the plan fits");
    let graph = &model.graph;
    let weights = graph
        .initializers()
        .map(|(value, data)| format!("{} {:?}", graph.value(value).name(), data.dims()));
    let nodes = graph.topological_order().into_iter().map(|id| print_node(graph, id));
    let lines: Vec<String> = weights.chain(nodes.map(|text| text.trim().to_owned())).collect();
    format!("{plan}{}", lines.join("\n"))
}

#[test]
fn packed_attention_loses_columns_of_all_three() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y) <float[12,32] w, float[32] b, float[16,12] wo>",
        "a = com.microsoft.Attention<num_heads = 4, qkv_hidden_sizes = [8, 8, 16]>(x, w, b)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    a: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    w [12, 24]
    b [24]
    wo [12, 12]
    a = com.microsoft.Attention <num_heads = 3, qkv_hidden_sizes = [6, 6, 12]> (x, w, b)
    y = MatMul(a, wo)
    ");
}

#[test]
fn packed_attention_of_equal_sizes() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y) <float[12,24] w, float[24] b, float[8,12] wo>",
        "a = com.microsoft.Attention<num_heads = 4>(x, w, b)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    a: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    w [12, 18]
    b [18]
    wo [6, 12]
    a = com.microsoft.Attention <num_heads = 3> (x, w, b)
    y = MatMul(a, wo)
    ");
}

#[test]
fn multi_head_attention_loses_heads() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo>",
        "q = MatMul(x, wq)
        k = MatMul(x, wk)
        v = MatMul(x, wv)
        a = com.microsoft.MultiHeadAttention<num_heads = 4>(q, k, v)
        y = MatMul(a, wo)",
    );
    assert_eq!(removes_exactly(&source, BOTH), "q, k, v: 4 of 4\ny: 0 of 12");
}

#[test]
fn multi_head_attention_of_one_operand() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y)
        <float[12,36] w, int64[5] s = {0, 0, 4, 3, 3}, float[12,12] wo>",
        "p = MatMul(x, w)
        q = Reshape(p, s)
        a = com.microsoft.MultiHeadAttention<num_heads = 4>(q)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    p: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    w [12, 27]
    wo [9, 12]
    s_1 [5]
    p = MatMul(x, w)
    q = Reshape(p, s_1)
    a = com.microsoft.MultiHeadAttention <num_heads = 3> (q)
    y = MatMul(a, wo)
    ");
}

#[test]
fn the_bias_of_multi_head_attention_loses_three_parts() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y)
        <float[12,8] wq, float[12,8] wk, float[12,12] wv, float[28] b, float[12,12] wo, float[1,4,5,5] t>",
        "q = MatMul(x, wq)
        k = MatMul(x, wk)
        v = MatMul(x, wv)
        a = com.microsoft.MultiHeadAttention<num_heads = 4>(q, k, v, b, , t)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    q, k, v: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    wq [12, 6]
    wk [12, 6]
    wv [12, 9]
    b [21]
    wo [9, 12]
    t [1, 3, 5, 5]
    q = MatMul(x, wq)
    k = MatMul(x, wk)
    v = MatMul(x, wv)
    a = com.microsoft.MultiHeadAttention <num_heads = 3> (q, k, v, b, , t)
    y = MatMul(a, wo)
    ");
}

#[test]
fn grouped_query_attention_loses_shared_heads() {
    let source = model(
        "(float[1,5,12] x, int32[1] n, int32 t) => (float[1,5,12] y)
        <float[12,32] wq, float[12,16] wk, float[12,16] wv, float[32,12] wo, float[0] e>",
        "q = MatMul(x, wq)
        k = MatMul(x, wk)
        v = MatMul(x, wv)
        a, pk, pv = com.microsoft.GroupQueryAttention<num_heads = 8, kv_num_heads = 4>(q, k, v, , , n, t)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    q, k, v: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    wq [12, 24]
    wk [12, 12]
    wv [12, 12]
    wo [24, 12]
    e [0]
    q = MatMul(x, wq)
    k = MatMul(x, wk)
    v = MatMul(x, wv)
    a, pk, pv = com.microsoft.GroupQueryAttention <num_heads = 6, kv_num_heads = 3> (q, k, v, , , n, t)
    y = MatMul(a, wo)
    ");
}

#[test]
fn grouped_query_attention_of_one_operand() {
    let source = model(
        "(float[1,5,12] x, int32[1] n, int32 t) => (float[1,5,12] y)
        <float[12,64] w, float[32,12] wo>",
        "q = MatMul(x, w)
        a, pk, pv = com.microsoft.GroupQueryAttention<num_heads = 8, kv_num_heads = 4>(q, , , , , n, t)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    q: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    w [12, 48]
    wo [24, 12]
    q = MatMul(x, w)
    a, pk, pv = com.microsoft.GroupQueryAttention <num_heads = 6, kv_num_heads = 3> (q, , , , , n, t)
    y = MatMul(a, wo)
    ");
}

#[test]
fn rotation_keeps_heads_whole() {
    let source = model(
        "(float[2,5,12] x, int64[2,5] at) => (float[2,5,12] y)
        <float[12,16] wq, float[12,16] wk, float[12,16] wv, float[16,12] wo, float[9,2] c, float[9,2] s>",
        "q = MatMul(x, wq)
        k = MatMul(x, wk)
        v = MatMul(x, wv)
        qr = com.microsoft.RotaryEmbedding(q, at, c, s)
        kr = com.microsoft.RotaryEmbedding<num_heads = 4>(k, at, c, s)
        a = com.microsoft.MultiHeadAttention<num_heads = 4>(qr, kr, v)
        y = MatMul(a, wo)",
    );
    insta::assert_snapshot!(without_one(&source), @r"
    q, k, v: keep 3 of 4
    y: keep 12 of 12
      12 stay: `y` is a graph output
    wq [12, 12]
    wk [12, 12]
    wv [12, 12]
    wo [12, 12]
    c [9, 2]
    s [9, 2]
    q = MatMul(x, wq)
    k = MatMul(x, wk)
    v = MatMul(x, wv)
    qr = com.microsoft.RotaryEmbedding(q, at, c, s)
    kr = com.microsoft.RotaryEmbedding <num_heads = 3> (k, at, c, s)
    a = com.microsoft.MultiHeadAttention <num_heads = 3> (qr, kr, v)
    y = MatMul(a, wo)
    ");
}

#[test]
fn a_fused_convolution_is_one_with_an_addend() {
    let source = model(
        "(float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w0, float[8,3,1,1] w1, float[8] b1, float[4,8,1,1] w2>",
        "z = Conv(x, w0)
        a = com.microsoft.FusedConv<activation = \"Relu\">(x, w1, b1, z)
        y = Conv(a, w2)",
    );
    insta::assert_snapshot!(without_one(&source), @r#"
    z, a: keep 7 of 8
    y: keep 4 of 4
      4 stay: `y` is a graph output
    w0 [7, 3, 1, 1]
    w1 [7, 3, 1, 1]
    b1 [7]
    w2 [4, 7, 1, 1]
    z = Conv(x, w0)
    a = com.microsoft.FusedConv <activation = "Relu"> (x, w1, b1, z)
    y = Conv(a, w2)
    "#);
    let alone = model(
        "(float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w1, float[8] b1, float[4,8,1,1] w2>",
        "a = com.microsoft.FusedConv<activation = \"Relu\">(x, w1, b1)
        y = Conv(a, w2)",
    );
    assert_eq!(removes_exactly(&alone, BOTH), "a: 8 of 8\ny: 0 of 4");
}

#[test]
fn fused_products_and_activations() {
    let source = model(
        "(float[2,12] x) => (float[2,12] y)
        <float[8,12] w0, float[8] b0, float[8,6] w1, float[6] b1, float[6,12] w2>",
        "a = com.microsoft.FusedGemm<transB = 1, activation = \"Relu\">(x, w0, b0)
        b = com.microsoft.FusedMatMul<alpha = 0.5>(a, w1)
        c = com.microsoft.BiasGelu(b, b1)
        d = com.microsoft.QuickGelu(c)
        e = com.microsoft.FastGelu(d, b1)
        f = com.microsoft.Gelu(e)
        y = MatMul(f, w2)",
    );
    insta::assert_snapshot!(without_one(&source), @r#"
    a: keep 7 of 8
    b: keep 5 of 6
    y: keep 12 of 12
      12 stay: `y` is a graph output
    w0 [7, 12]
    b0 [7]
    w1 [7, 5]
    b1 [5]
    w2 [5, 12]
    a = com.microsoft.FusedGemm <transB = 1, activation = "Relu"> (x, w0, b0)
    b = com.microsoft.FusedMatMul <alpha = 0.5> (a, w1)
    c = com.microsoft.BiasGelu(b, b1)
    d = com.microsoft.QuickGelu(c)
    e = com.microsoft.FastGelu(d, b1)
    f = com.microsoft.Gelu(e)
    y = MatMul(f, w2)
    "#);
    let transposed = model(
        "(float[2,12] x) => (float[2,6] y) <float[8,12] w0, float[6,8] w1>",
        "a = com.microsoft.FusedMatMul<transB = 1>(x, w0)
        y = com.microsoft.FusedMatMul<transB = 1, alpha = 0.5>(a, w1)",
    );
    assert_eq!(removes_exactly(&transposed, BOTH), "a: 8 of 8\ny: 0 of 6");
}

#[test]
fn statistics_over_channels_hold_them() {
    let source = model(
        "(float[2,5,12] x) => (float[2,5,12] y)
        <float[12,8] w0, float[12,8] w1, float[8] s, float[8,12] w2>",
        "a = MatMul(x, w0)
        b = MatMul(x, w1)
        c = com.microsoft.SkipSimplifiedLayerNormalization(a, b, s)
        y = MatMul(c, w2)",
    );
    let mut found = parse(&source);
    found.graph.infer();
    insta::assert_snapshot!(Analysis::of(&found.graph), @r"
    a: 0 of 8 channels can go
      made by `w0` axis 1 of `a`
      8 stay: `c` (SkipSimplifiedLayerNormalization) computes statistics over the axis
    b: 0 of 8 channels can go
      made by `w1` axis 1 of `b`
      8 stay: `c` (SkipSimplifiedLayerNormalization) computes statistics over the axis
    y: 0 of 12 channels can go
      made by `w2` axis 1 of `y`
      12 stay: `y` is a graph output
    ");
    let embedding = model(
        "(int32[2,5] i, int32[2,5] s) => (float[2,5,12] y)
        <float[9,8] words, float[7,8] places, float[2,8] kinds, float[8] g, float[8] b, float[8,12] w>",
        "e, m = com.microsoft.EmbedLayerNormalization(i, s, words, places, kinds, g, b)
        y = MatMul(e, w)",
    );
    let mut found = parse(&embedding);
    found.graph.infer();
    insta::assert_snapshot!(Analysis::of(&found.graph), @r"
    y: 0 of 12 channels can go
      made by `w` axis 1 of `y`
      12 stay: `y` is a graph output
    ");
}
