use crate::validate::testing::Build;

/// What is wrong with the shapes of the only node of a model of operator set 17.
fn faults(build: Build) -> Vec<String> {
    faults_in(17, build)
}

fn faults_in(opset: i64, build: Build) -> Vec<String> {
    let violations = build.output("y").model(opset).validate();
    assert!(violations.iter().all(|violation| violation.invariant == 10), "{violations:?}");
    violations.into_iter().map(|violation| violation.message).collect()
}

fn input(dims: &[i64]) -> Build {
    Build::default().input("x", dims)
}

fn conv(x: &[i64], w: &[i64], b: &[i64]) -> Build {
    input(x).zeros("w", w).zeros("b", b).node("Conv", &["x", "w", "b"], &["y"]).named("conv1")
}

#[test]
fn a_conv_whose_channels_were_pruned_on_one_side_is_found() {
    let message = "node `conv1` (Conv): input 1 `w` has 3 channels per group, expected 16 / 2 = 8";
    assert_eq!(faults(conv(&[1, 16, 8, 8], &[4, 3, 3, 3], &[4]).int("group", 2)), [message]);
    assert!(faults(conv(&[1, 16, 8, 8], &[4, 8, 3, 3], &[4]).int("group", 2)).is_empty());
    assert!(faults(conv(&[1, -1, 8, 8], &[4, 8, 3, 3], &[4]).int("group", 2)).is_empty());
}

#[test]
fn a_conv_whose_groups_do_not_divide_channels_is_found() {
    assert_eq!(
        faults(conv(&[1, 15, 8, 8], &[5, 7, 3, 3], &[5]).int("group", 2)),
        [
            "node `conv1` (Conv): input 0 `x` has 15 channels, expected a multiple of the 2 groups",
            "node `conv1` (Conv): input 1 `w` has 5 output channels, expected a multiple of the 2 groups",
        ]
    );
    assert_eq!(
        faults(conv(&[1, 3, 8, 8], &[4, 3, 3, 3], &[4]).int("group", 0)),
        ["node `conv1` (Conv): group is 0, expected 1 or more"]
    );
}

#[test]
fn a_conv_with_a_bias_of_another_length_is_found() {
    assert_eq!(
        faults(conv(&[1, 3, 8, 8], &[4, 3, 3, 3], &[5])),
        ["node `conv1` (Conv): input 2 `b` has shape [5], expected [4], one per output channel"]
    );
}

#[test]
fn the_third_input_of_an_integer_conv_is_no_bias() {
    let build = input(&[1, 3, 8, 8]).zeros("w", &[4, 3, 3, 3]).zeros("z", &[]);
    assert!(faults(build.node("ConvInteger", &["x", "w", "z"], &["y"])).is_empty());
}

#[test]
fn a_conv_whose_ranks_or_window_disagree_is_found() {
    assert_eq!(
        faults(conv(&[1, 3, 8], &[4, 3, 3, 3], &[4])),
        ["node `conv1` (Conv): input 1 `w` has rank 4, expected 3 as input 0 `x`"]
    );
    assert_eq!(
        faults(
            conv(&[1, 3, 8, 8], &[4, 3, 3, 3], &[4])
                .ints("kernel_shape", &[5, 3])
                .ints("pads", &[1, 1])
        ),
        [
            "node `conv1` (Conv): attribute `pads` has 2 values, expected 4",
            "node `conv1` (Conv): kernel_shape is [5, 3], expected [3, 3] as input 1 `w`",
        ]
    );
}

#[test]
fn a_transposed_conv_counts_input_channels_first() {
    let build = |w: &[i64]| {
        input(&[1, 8, 5, 5])
            .zeros("w", w)
            .zeros("b", &[6])
            .node("ConvTranspose", &["x", "w", "b"], &["y"])
            .int("group", 2)
    };
    assert!(faults(build(&[8, 3, 3, 3])).is_empty());
    assert_eq!(
        faults(build(&[6, 4, 3, 3])),
        [
            "node `convtranspose` (ConvTranspose): input 1 `w` has 6 input channels, expected 8",
            "node `convtranspose` (ConvTranspose): input 2 `b` has shape [6], expected [8], one per output channel",
        ]
    );
}

#[test]
fn inner_dimensions_of_products_are_compared() {
    let build = |x: &[i64], w: &[i64]| input(x).zeros("w", w).node("MatMul", &["x", "w"], &["y"]);
    assert!(faults(build(&[7, 2, 4], &[4, 5])).is_empty());
    assert!(faults(build(&[4], &[4])).is_empty());
    assert_eq!(
        faults(build(&[2, 4], &[5, 4])),
        ["node `matmul` (MatMul): input 1 `w` has inner dimension 5, expected 4 as input 0 `x`"]
    );
    assert_eq!(
        faults(build(&[7, 2, 4], &[6, 4, 5])),
        [
            "node `matmul` (MatMul): input 0 `x` [7, 2, 4] and input 1 `w` [6, 4, 5] do not broadcast in front of the matrices"
        ]
    );
}

#[test]
fn gemm_minds_its_transpositions_and_addend() {
    let build = |c: &[i64]| {
        let build = input(&[4, 2]).zeros("w", &[5, 4]).zeros("c", c);
        build.node("Gemm", &["x", "w", "c"], &["y"]).int("transA", 1)
    };
    assert!(faults(build(&[5]).int("transB", 1)).is_empty());
    assert_eq!(
        faults(build(&[5])),
        [
            "node `gemm` (Gemm): input 1 `w` has inner dimension 5, expected 4 as input 0 `x`",
            "node `gemm` (Gemm): input 2 `c` has shape [5], expected one that broadcasts to [2, 4]",
        ]
    );
}

#[test]
fn vectors_of_a_batch_normalization_have_an_entry_per_channel() {
    let build = input(&[1, 4, 8]).zeros("s", &[4]).zeros("v", &[3]);
    let build = build.node("BatchNormalization", &["x", "s", "v", "s", "s"], &["y"]).named("bn");
    assert_eq!(
        faults(build),
        [
            "node `bn` (BatchNormalization): input 2 `v` has shape [3], expected [4], one per channel"
        ]
    );
}

#[test]
fn scales_of_a_group_normalization_are_per_group_until_21() {
    let build = || {
        let build = input(&[1, 6, 8]).zeros("s", &[2]);
        build.node("GroupNormalization", &["x", "s", "s"], &["y"]).named("gn").int("num_groups", 2)
    };
    assert!(faults_in(18, build()).is_empty());
    assert_eq!(faults_in(21, build()).len(), 2);
}

#[test]
fn concat_compares_ranks_and_the_other_axes() {
    let build = |w: &[i64]| input(&[2, 3]).zeros("w", w).node("Concat", &["x", "w"], &["y"]);
    assert!(faults(build(&[2, 9]).int("axis", -1)).is_empty());
    assert_eq!(
        faults(build(&[2]).int("axis", 1)),
        ["node `concat` (Concat): input 1 `w` has rank 1, expected 2 as input 0 `x`"]
    );
    assert_eq!(
        faults(build(&[4, 9]).int("axis", 1)),
        [
            "node `concat` (Concat): input 1 `w` has shape [4, 9], expected that of input 0 `x` [2, 3] but for axis 1"
        ]
    );
    assert_eq!(
        faults(build(&[4, 9]).int("axis", 2)),
        ["node `concat` (Concat): axis is 2, expected one of 2 dimensions"]
    );
}

#[test]
fn shapes_that_do_not_broadcast_are_found() {
    let build = |w: &[i64]| input(&[2, -1, 4]).zeros("w", w).node("Add", &["x", "w"], &["y"]);
    assert!(faults(build(&[3, 1])).is_empty());
    assert!(faults(build(&[])).is_empty());
    assert_eq!(
        faults(build(&[3])),
        [
            "node `add` (Add): input 1 `w` has shape [3], expected one that broadcasts with input 0 `x` [2, ?, 4]"
        ]
    );
    assert!(faults_in(6, build(&[3])).is_empty(), "operator set 6 broadcasts by attributes");
}

#[test]
fn a_slope_or_a_scale_does_not_enlarge_its_input() {
    let build = input(&[1, 4]).zeros("w", &[3, 1]).node("PRelu", &["x", "w"], &["y"]);
    assert_eq!(
        faults(build),
        [
            "node `prelu` (PRelu): input 1 `w` has shape [3, 1], expected one that broadcasts to input 0 `x` [1, 4]"
        ]
    );
}

#[test]
fn reshape_keeps_the_number_of_elements() {
    let build =
        |shape: &[i64]| input(&[2, 6]).integers("s", shape).node("Reshape", &["x", "s"], &["y"]);
    for valid in [&[3, 4][..], &[0, -1], &[-1], &[2, 3, 2]] {
        assert!(faults(build(valid)).is_empty(), "{valid:?}");
    }
    assert_eq!(
        faults(build(&[5, -1])),
        [
            "node `reshape` (Reshape): shape [5, -1] has 5 elements, expected 12 as input 0 `x` [2, 6]"
        ]
    );
    assert_eq!(
        faults(build(&[2, 6, 0])),
        [
            "node `reshape` (Reshape): shape [2, 6, 0] copies dimension 2, which input 0 `x` [2, 6] does not have"
        ]
    );
    assert_eq!(
        faults(build(&[-1, -1])),
        ["node `reshape` (Reshape): shape is [-1, -1], expected at most one -1 and nothing below"]
    );
}

#[test]
fn the_sizes_of_a_split_add_up() {
    let build =
        |sizes: &[i64]| input(&[6, 2]).integers("s", sizes).node("Split", &["x", "s"], &["y", "z"]);
    assert!(faults(build(&[2, 4])).is_empty());
    assert_eq!(
        faults(build(&[2, 3, 2])),
        [
            "node `split` (Split): 3 sizes are given, expected 2, one per output",
            "node `split` (Split): sizes [2, 3, 2] add up to 7, expected 6, axis 0 of input 0 `x`",
        ]
    );
}

#[test]
fn a_permutation_has_every_axis_once() {
    let build = |perm: &[i64]| input(&[6, 2]).node("Transpose", &["x"], &["y"]).ints("perm", perm);
    assert!(faults(build(&[1, 0])).is_empty());
    assert_eq!(
        faults(build(&[1, 1])),
        ["node `transpose` (Transpose): perm is [1, 1], expected each of the 2 axes once"]
    );
}

fn quantize(scale: &[i64], zero_point: &[i64]) -> Build {
    let build = input(&[4, 8]).zeros("s", scale).zeros("z", zero_point);
    build.node("QuantizeLinear", &["x", "s", "z"], &["y"]).named("q")
}

#[test]
fn a_scale_per_axis_has_the_length_of_the_axis() {
    assert!(faults(quantize(&[], &[])).is_empty());
    assert!(faults(quantize(&[1], &[1])).is_empty());
    assert!(faults(quantize(&[8], &[8])).is_empty());
    assert!(faults(quantize(&[4], &[4]).int("axis", 0)).is_empty());
    assert_eq!(
        faults(quantize(&[4], &[4])),
        [
            "node `q` (QuantizeLinear): input 1 `s` has shape [4], expected [8], one per entry of axis 1"
        ]
    );
    assert_eq!(
        faults(quantize(&[8], &[4])),
        ["node `q` (QuantizeLinear): input 2 `z` has shape [4], expected [8] as input 1 `s`"]
    );
}

#[test]
fn a_scale_per_block_has_an_entry_per_block() {
    let build = |scale: &[i64]| quantize(scale, scale).int("axis", 1).int("block_size", 4);
    assert!(faults_in(21, build(&[4, 2])).is_empty());
    assert_eq!(
        faults_in(21, build(&[4, 3])),
        ["node `q` (QuantizeLinear): input 1 `s` has shape [4, 3], expected [4, 2], blocks of 4"]
    );
}

/// What is wrong with one attention of `op_type`, with inputs of zeros.
fn attention(op_type: &str, shapes: &[&[i64]], ints: &[(&str, i64)]) -> Vec<String> {
    let names = ["q", "k", "v"];
    let mut build = Build::default();
    for (name, shape) in names.iter().zip(shapes) {
        build = build.input(name, shape);
    }
    build = build.node(op_type, &names[..shapes.len()], &["y"]);
    for &(name, value) in ints {
        build = build.int(name, value);
    }
    faults_in(23, build)
}

#[test]
fn heads_divide_what_they_are_heads_of() {
    let heads = [("q_num_heads", 4), ("kv_num_heads", 2)];
    let faults = |shapes: &[&[i64]]| attention("Attention", shapes, &heads);
    assert!(faults(&[&[1, 5, 12], &[1, 5, 6], &[1, 5, 8]]).is_empty());
    assert_eq!(
        faults(&[&[1, 5, 9], &[1, 5, 6], &[1, 5, 8]]),
        ["node `attention` (Attention): input 0 `q` has width 9, expected a multiple of 4 heads"]
    );
    assert_eq!(
        faults(&[&[1, 5, 12], &[1, 5, 8], &[1, 5, 8]]),
        ["node `attention` (Attention): input 1 `k` has heads of 4, expected 3"]
    );
    let uneven = attention("Attention", &[&[1, 4, 5, 3], &[1, 3, 5, 2], &[1, 2, 5, 7]], &[]);
    assert_eq!(
        uneven,
        [
            "node `attention` (Attention): input 1 `k` has size of a head 2, expected 3 as input 0 `q`",
            "node `attention` (Attention): input 2 `v` has number of heads 2, expected 3 as input 1 `k`",
            "node `attention` (Attention): 4 heads of queries share 3 of keys, expected a multiple",
        ]
    );
}

/// What is wrong with the shapes of a node of ONNX Runtime's own domain.
fn faults_of_microsoft(inputs: &str, node: &str) -> Vec<String> {
    let text = format!(
        "<ir_version: 10, opset_import: [\"\" : 17, \"com.microsoft\" : 1]> g ({inputs}) => (float[N] y) {{ y = com.microsoft.{node} }}"
    );
    let mut model = crate::text::parse(&text).expect("the text is valid");
    model.graph.infer();
    let violations = model.validate().into_iter().filter(|violation| violation.invariant == 10);
    violations.map(|violation| violation.message).collect()
}

#[test]
fn heads_of_onnx_runtimes_attention_divide_too() {
    let packed = "float[1,5,12] x, float[12,36] w, float[36] b";
    assert!(faults_of_microsoft(packed, "Attention<num_heads = 4>(x, w, b)").is_empty());
    insta::assert_debug_snapshot!(faults_of_microsoft(packed, "Attention<num_heads = 5>(x, w, b)"), @r#"
    [
        "node `y` (Attention): input 1 `w` has 36 columns, expected a multiple of 3 times 5 heads",
    ]
    "#);
    insta::assert_debug_snapshot!(
        faults_of_microsoft(
            "float[1,5,13] x, float[12,36] w, float[35] b",
            "Attention<num_heads = 4, qkv_hidden_sizes = [8, 8, 16]>(x, w, b)"
        ),
        @r#"
    [
        "node `y` (Attention): input 1 `w` has number of inputs 12, expected 13 as input 0 `x`",
        "node `y` (Attention): input 2 `b` has shape [35], expected [36], one per column of the weight",
        "node `y` (Attention): qkv_hidden_sizes is [8, 8, 16], expected a sum of 36",
    ]
    "#
    );
    let three = "float[1,5,12] q, float[1,5,12] k, float[1,5,8] v, float[32] b";
    assert!(faults_of_microsoft(three, "MultiHeadAttention<num_heads = 4>(q, k, v, b)").is_empty());
    insta::assert_debug_snapshot!(
        faults_of_microsoft(
            "float[1,5,12] q, float[1,5,8] k, float[1,5,6] v, float[32] b",
            "MultiHeadAttention<num_heads = 4>(q, k, v, b)"
        ),
        @r#"
    [
        "node `y` (MultiHeadAttention): input 2 `v` has width 6, expected a multiple of 4 heads",
        "node `y` (MultiHeadAttention): input 1 `k` has heads of 2, expected 3",
        "node `y` (MultiHeadAttention): input 3 `b` has shape [32], expected [30], one per element of queries, keys and values",
    ]
    "#
    );
    insta::assert_debug_snapshot!(
        faults_of_microsoft(
            "float[1,5,12] q, float[1,5,9] k, int32[1] n, int32 t",
            "GroupQueryAttention<num_heads = 4, kv_num_heads = 3>(q, k, k, , , n, t)"
        ),
        @r#"
    [
        "node `y` (GroupQueryAttention): 4 heads of queries share 3 of keys, expected a multiple",
    ]
    "#
    );
    insta::assert_debug_snapshot!(
        faults_of_microsoft(
            "float[1,3,4,4] x, float[6,2,1,1] w",
            "FusedConv<activation = \"Relu\">(x, w)"
        ),
        @r#"
    [
        "node `y` (FusedConv): input 1 `w` has 2 channels per group, expected 3 / 1 = 3",
    ]
    "#
    );
}
