//! Cuts that don't fit: every one of them is an error, none a broken model.
use crate::prune::{Analysis, ApplyError, ChannelPlan, Rewrite};
use crate::testing::model;

/// What is said against a plan that removes channel 1 of the first group but for what `spoil` takes away.
fn refusal(source: &str, spoil: impl FnOnce(&mut ChannelPlan)) -> String {
    refusal_of(source, &[1], spoil)
}

/// The same for other channels.
fn refusal_of(source: &str, gone: &[usize], spoil: impl FnOnce(&mut ChannelPlan)) -> String {
    let mut model = model(source);
    let analysis = Analysis::of(&model.graph);
    let mut plan = analysis.plan_removing(&[(0, gone.to_vec())]).expect("the channel can go");
    plan.clone().apply(&mut model.clone()).expect("the whole plan fits");
    spoil(&mut plan);
    match plan.apply(&mut model) {
        Err(ApplyError::Invalid(violations)) => {
            violations.iter().map(|violation| violation.message.clone()).collect::<Vec<_>>()[0]
                .clone()
        }
        Err(error) => error.to_string(),
        Ok(()) => panic!("a cut that does not fit was carried out"),
    }
}

/// Leaves a value as long as it was.
fn spare(value: &str) -> impl FnOnce(&mut ChannelPlan) {
    let value = value.to_owned();
    move |plan| {
        let before = plan.axes.len();
        plan.axes.retain(|axis| axis.value != value);
        assert!(plan.axes.len() < before, "`{value}` would have been cut");
    }
}

/// Leaves the numbers in nodes as they were.
fn no_numbers(plan: &mut ChannelPlan) {
    let before = plan.rewrites.len();
    plan.rewrites.retain(|rewrite| !matches!(rewrite, Rewrite::Count { .. }));
    assert!(plan.rewrites.len() < before, "numbers would have been written");
}

const CONVOLUTIONS: &str = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
    <float[6,3,1,1] w0, float[6] b0, float[6] s, float[6] h, float[6] m, float[6] v = {1, 1, 1, 1, 1, 1}, float[6,1,1] e,
     float[4,6,1,1] w1> {
        a = Conv(x, w0, b0)
        n = BatchNormalization(a, s, h, m, v)
        c = Add(n, e)
        y = Conv(c, w1)
    }";

#[test]
fn a_convolution_that_reads_another_number_of_channels() {
    insta::assert_snapshot!(refusal(CONVOLUTIONS, spare("w1")), @"node `y` (Conv): input 1 `w1` has 6 channels per group, expected 5 / 1 = 5");
    insta::assert_snapshot!(refusal(CONVOLUTIONS, spare("w0")), @"node `a` (Conv): input 2 `b0` has shape [5], expected [6], one per output channel");
}

#[test]
fn a_bias_or_a_statistic_of_another_length() {
    insta::assert_snapshot!(refusal(CONVOLUTIONS, spare("b0")), @"node `a` (Conv): input 2 `b0` has shape [6], expected [5], one per output channel");
    insta::assert_snapshot!(refusal(CONVOLUTIONS, spare("m")), @"node `n` (BatchNormalization): input 3 `m` has shape [6], expected [5], one per channel");
    insta::assert_snapshot!(refusal(CONVOLUTIONS, spare("e")), @"node `c` (Add): input 1 `e` has shape [6, 1, 1], expected one that broadcasts with input 0 `n` [2, 5, 4, 4]");
}

#[test]
fn a_depthwise_convolution_that_counts_its_old_channels() {
    let source = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,1,3,3] w1, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            b = Conv<group = 6, pads = [1, 1, 1, 1]>(a, w1)
            y = Conv(b, w2)
        }";
    insta::assert_snapshot!(refusal(source, no_numbers), @"node `b` (Conv): input 0 `a` has 5 channels, expected a multiple of the 6 groups");
    insta::assert_snapshot!(refusal(source, spare("w1")), @"node `b` (Conv): input 1 `w1` has 6 output channels, expected a multiple of the 5 groups");
}

#[test]
fn a_grouped_convolution_whose_columns_stay() {
    let source = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[4,3,1,1] w1, float[4,4,1,1] w2> {
            a = Conv(x, w0)
            b = Conv<group = 2>(a, w1)
            y = Conv(b, w2)
        }";
    let no_columns = |plan: &mut ChannelPlan| {
        plan.rewrites.retain(|rewrite| !matches!(rewrite, Rewrite::GroupedColumns { .. }));
    };
    insta::assert_snapshot!(refusal_of(source, &[1, 3], no_columns), @"node `b` (Conv): input 1 `w1` has 3 channels per group, expected 4 / 2 = 2");
}

#[test]
fn a_transposed_convolution_that_reads_another_number_of_channels() {
    let source = "g (float[2,3,4,4] x) => (float[2,6,4,4] y)
        <float[3,3,1,1] w0, float[3,6,1,1] w1> {
            a = Conv(x, w0)
            y = ConvTranspose(a, w1)
        }";
    insta::assert_snapshot!(refusal(source, spare("w1")), @"node `y` (ConvTranspose): input 1 `w1` has 3 input channels, expected 2");
}

#[test]
fn a_product_whose_inner_sizes_differ() {
    let matmul = "g (float[2,3] x) => (float[2,4] y) <float[3,6] w0, float[6,4] w1> {
            a = MatMul(x, w0)
            y = MatMul(a, w1)
        }";
    insta::assert_snapshot!(refusal(matmul, spare("w1")), @"node `y` (MatMul): input 1 `w1` has inner dimension 6, expected 5 as input 0 `a`");
    let gemm = "g (float[2,3] x) => (float[2,4] y) <float[6,3] w0, float[6] b0, float[4,6] w1> {
            a = Gemm<transB = 1>(x, w0, b0)
            y = Gemm<transB = 1>(a, w1)
        }";
    insta::assert_snapshot!(refusal(gemm, spare("w1")), @"node `y` (Gemm): input 1 `w1` has inner dimension 6, expected 5 as input 0 `a`");
    insta::assert_snapshot!(refusal(gemm, spare("b0")), @"node `a` (Gemm): input 2 `b0` has shape [6], expected one that broadcasts to [2, 5]");
}

#[test]
fn a_reshape_or_a_split_that_counts_old_channels() {
    let reshape = "g (float[2,3,4,4] x) => (float[2,4] y)
        <float[6,3,1,1] w0, float[96,4] w1, int64[2] s = {2, 96}> {
            a = Conv(x, w0)
            b = Reshape(a, s)
            y = MatMul(b, w1)
        }";
    insta::assert_snapshot!(refusal(reshape, no_numbers), @"node `b` (Reshape): shape [2, 96] has 192 elements, expected 160 as input 0 `a` [2, 5, 4, 4]");
    let split = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[4,3,1,1] w1, int64[2] s = {3, 3}> {
            a = Conv(x, w0)
            b, c = Split<axis = 1>(a, s)
            d = Conv(b, w1)
            e = Conv(c, w1)
            y = Add(d, e)
        }";
    insta::assert_snapshot!(refusal(split, no_numbers), @"node `b` (Split): sizes [3, 3] add up to 6, expected 4, axis 1 of input 0 `a`");
}

#[test]
fn heads_that_are_counted_as_before() {
    let places = "g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo, int64[4] heads = {2, 5, 4, 3}, int64[3] merged = {2, 5, 12}> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            vh = Reshape(v, heads)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            kt = Transpose<perm = [0, 2, 3, 1]>(kh)
            vt = Transpose<perm = [0, 2, 1, 3]>(vh)
            s = MatMul(qt, kt)
            p = Softmax(s)
            c = MatMul(p, vt)
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }";
    insta::assert_snapshot!(refusal(places, no_numbers), @"node `qh` (Reshape): shape [2, 5, 4, 3] has 120 elements, expected 90 as input 0 `q` [2, 5, 9]");
    insta::assert_snapshot!(refusal(places, spare("wv")), @"node `vh` (Reshape): shape [2, 5, 3, 3] has 90 elements, expected 120 as input 0 `v` [2, 5, 12]");
    let one = "<ir_version: 11, opset_import: [\"\" : 23]>
        g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            c = Attention<q_num_heads = 4, kv_num_heads = 4>(q, k, v)
            y = MatMul(c, wo)
        }";
    insta::assert_snapshot!(refusal(one, no_numbers), @"node `c` (Attention): input 0 `q` has width 9, expected a multiple of 4 heads");
}
