//! Models of every kind of coupling.
use super::At::{Readers, Source};
use super::removes_exactly;

const BOTH: &[super::At] = &[Source, Readers];

#[test]
fn a_chain() {
    let found = removes_exactly(
        "g (float[2,3,8,8] x) => (float[2,4,4,4] y)
        <float[8,3,3,3] w1, float[8] b1, float[6,8,3,3] w2, float[4,6,1,1] w3, float[4] b3> {
            a = Conv(x, w1, b1)
            b = Relu(a)
            c = Conv(b, w2)
            d = Relu(c)
            y = Conv(d, w3, b3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\nc: 6 of 6\ny: 0 of 4");
}

#[test]
fn a_function_that_does_not_keep_zero() {
    removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,4,4] y)
        <float[8,3,3,3] w1, float[8] b1, float[4,8,1,1] w2, float[8,1,1] s> {
            a = Conv(x, w1, b1)
            b = Sigmoid(a)
            c = Add(b, s)
            y = Conv(c, w2)
        }",
        &[Readers],
    );
}

#[test]
fn batch_normalization() {
    removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,3,3] w1, float[8] s, float[8] h, float[8] m, float[8] v = {1, 2, 3, 4, 5, 6, 7, 8}, float[4,8,1,1] w2> {
            a = Conv<pads = [1, 1, 1, 1]>(x, w1)
            b = BatchNormalization(a, s, h, m, v)
            c = Relu(b)
            y = Conv(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn a_residual_stream_is_one_group() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w0, float[6,8,1,1] w1, float[8,6,1,1] w2, float[8,8,1,1] w3, float[4,8,1,1] w4> {
            s0 = Conv(x, w0)
            a = Conv(s0, w1)
            b = Relu(a)
            c = Conv(b, w2)
            s1 = Add(s0, c)
            d = Conv(s1, w3)
            s2 = Add(d, s1)
            y = Conv(s2, w4)
        }",
        BOTH,
    );
    assert_eq!(found, "s0, c, d: 8 of 8\na: 6 of 6\ny: 0 of 4");
}

#[test]
fn a_residual_with_downsampling() {
    removes_exactly(
        "g (float[2,3,8,8] x) => (float[2,4,4,4] y)
        <float[8,3,1,1] w0, float[10,8,3,3] w1, float[10,8,1,1] w2, float[4,10,1,1] w3> {
            s = Conv(x, w0)
            a = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(s, w1)
            b = Conv<strides = [2, 2]>(s, w2)
            c = Add(a, b)
            d = Relu(c)
            y = Conv(d, w3)
        }",
        BOTH,
    );
}

#[test]
fn dense_connections() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[6,3,1,1] w0, float[4,6,1,1] w1, float[5,10,1,1] w2, float[4,15,1,1] w3,
         float[10] s, float[10] h, float[10] m, float[10] v = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}> {
            a = Conv(x, w0)
            b = Conv(a, w1)
            ab = Concat<axis = 1>(a, b)
            n = BatchNormalization(ab, s, h, m, v)
            r = Relu(n)
            c = Conv(r, w2)
            abc = Concat<axis = 1>(a, b, c)
            y = Conv(abc, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\nb: 4 of 4\nc: 5 of 5\ny: 0 of 4");
}

#[test]
fn concat_along_another_axis_ties() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,12,6] y)
        <float[6,3,1,1] w0, float[6,3,1,1] w1, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            b = Conv(x, w1)
            c = Concat<axis = 2>(a, b)
            y = Conv(c, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a, b: 6 of 6\ny: 0 of 4");
}

#[test]
fn depthwise_convolutions_follow() {
    let found = removes_exactly(
        "g (float[2,3,8,8] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w1, float[8,1,3,3] w2, float[8] b2, float[4,8,1,1] w3> {
            a = Conv(x, w1)
            b = Conv<group = 8>(a, w2, b2)
            c = Relu(b)
            y = Conv(c, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\ny: 0 of 4");
}

#[test]
fn a_depthwise_multiplier() {
    removes_exactly(
        "g (float[2,3,8,8] x) => (float[2,4,6,6] y)
        <float[5,3,1,1] w1, float[10,1,3,3] w2, float[10] b2, float[4,10,1,1] w3> {
            a = Conv(x, w1)
            b = Conv<group = 5>(a, w2, b2)
            y = Conv(b, w3)
        }",
        BOTH,
    );
}

#[test]
fn a_convolution_of_one_channel_is_not_depthwise() {
    removes_exactly(
        "g (float[2,1,6,6] x) => (float[2,4,6,6] y)
        <float[6,1,1,1] w1, float[1,6,1,1] w2, float[6,1,1,1] w3, float[4,6,1,1] w4> {
            a = Conv(x, w1)
            b = Conv(a, w2)
            c = Conv(b, w3)
            y = Conv(c, w4)
        }",
        BOTH,
    );
}

#[test]
fn inverted_residuals() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[5,3,1,1] w0, float[10,5,1,1] w1, float[10,1,3,3] w2, float[5,10,1,1] w3, float[4,5,1,1] w4> {
            s = Conv(x, w0)
            a = Conv(s, w1)
            b = Clip(a)
            c = Conv<group = 10, pads = [1, 1, 1, 1]>(b, w2)
            d = Relu(c)
            e = Conv(d, w3)
            f = Add(s, e)
            y = Conv(f, w4)
        }",
        BOTH,
    );
    assert_eq!(found, "s, e: 5 of 5\na: 10 of 10\ny: 0 of 4");
}

#[test]
fn grouped_convolutions_lose_the_same_number_per_group() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,4,4] y)
        <float[12,3,1,1] w1, float[9,4,3,3] w2, float[9] b2, float[4,9,1,1] w3> {
            a = Conv(x, w1)
            b = Relu(a)
            c = Conv<group = 3>(b, w2, b2)
            d = Relu(c)
            y = Conv(d, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 12 of 12\nc: 9 of 9\ny: 0 of 4");
}

#[test]
fn channel_shuffle() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[12,3,1,1] w1, float[12,1,3,3] w2, float[4,12,1,1] w3,
         int64[5] split = {2, 2, 6, 6, 6}, int64[4] back = {2, 12, 6, 6}> {
            a = Conv(x, w1)
            b = Reshape(a, split)
            c = Transpose<perm = [0, 2, 1, 3, 4]>(b)
            d = Reshape(c, back)
            e = Conv<group = 12, pads = [1, 1, 1, 1]>(d, w2)
            y = Conv(e, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn squeeze_and_excitation() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[8,3,1,1] w0, float[4,8,1,1] w1, float[4] b1, float[8,4,1,1] w2, float[8] b2, float[4,8,1,1] w3> {
            a = Conv(x, w0)
            p = GlobalAveragePool(a)
            h = Conv(p, w1, b1)
            r = Relu(h)
            g = Conv(r, w2, b2)
            s = HardSigmoid(g)
            m = Mul(a, s)
            y = Conv(m, w3)
        }",
        &[Readers],
    );
    assert_eq!(found, "a, g: 8 of 8\nh: 4 of 4\ny: 0 of 4");
}

#[test]
fn flatten_multiplies_columns() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,5] y)
        <float[6,3,3,3] w1, float[6] b1, float[5,24] w2, float[5] b2> {
            a = Conv(x, w1, b1)
            b = Relu(a)
            c = Flatten(b)
            y = Gemm<transB = 1>(c, w2, b2)
        }",
        BOTH,
    );
}

#[test]
fn flatten_of_channels_last() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,5] y)
        <float[6,3,3,3] w1, float[24,5] w2> {
            a = Conv(x, w1)
            b = Transpose<perm = [0, 2, 3, 1]>(a)
            c = Flatten(b)
            y = Gemm(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn pooled_features() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,5] y)
        <float[6,3,3,3] w1, float[5,6] w2, float[5] b2> {
            a = Conv(x, w1)
            b = GlobalAveragePool(a)
            c = Flatten(b)
            y = Gemm<transB = 1>(c, w2, b2)
        }",
        BOTH,
    );
}

#[test]
fn averaged_and_reshaped_features() {
    removes_exactly(
        "g (float[N,3,4,4] x) => (float[N,5] y)
        <float[6,3,3,3] w1, float[6,5] w2, int64[2] shape = {-1, 6}, int64[2] axes = {2, 3}> {
            a = Conv(x, w1)
            b = ReduceMean<keepdims = 0>(a, axes)
            c = Reshape(b, shape)
            y = MatMul(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn a_weight_used_twice_is_cut_once() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[6,3,1,1] w0, float[6,6,1,1] w, float[4,6,1,1] w3> {
            a = Conv(x, w0)
            b = Conv(a, w)
            c = Relu(b)
            d = Conv(c, w)
            y = Conv(d, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a, b, d: 6 of 6\ny: 0 of 4");
}

#[test]
fn siamese_branches_share_their_channels() {
    removes_exactly(
        "g (float[2,3,6,6] x, float[2,3,6,6] z) => (float[2,4,6,6] y)
        <float[6,3,1,1] w, float[6] b, float[4,12,1,1] w3> {
            a = Conv(x, w, b)
            c = Conv(z, w, b)
            d = Concat<axis = 1>(a, c)
            y = Conv(d, w3)
        }",
        BOTH,
    );
}

#[test]
fn split_slice_and_gather() {
    let found = removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[12,3,1,1] w0, int64[3] sizes = {4, 3, 5}, float[4,4,1,1] w1, float[4,3,1,1] w2,
         int64[1] starts = {-4}, int64[1] ends = {9223372036854775807}, int64[1] axes = {1}, float[4,4,1,1] w3,
         int64[4] picks = {2, 0, -1, 2}, float[4,4,1,1] w4> {
            a = Conv(x, w0)
            p, q, r = Split<axis = 1>(a, sizes)
            s = Slice(r, starts, ends, axes)
            t = Gather<axis = 1>(r, picks)
            u = Conv(p, w1)
            v = Conv(q, w2)
            w = Conv(s, w3)
            z = Conv(t, w4)
            uv = Add(u, v)
            uvw = Add(uv, w)
            y = Add(uvw, z)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 12 of 12\nu, v, w and 1 more: 0 of 4");
}

#[test]
fn a_split_without_sizes_gets_them() {
    removes_exactly(
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[12,3,1,1] w0, float[4,6,1,1] w1, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            p, q = Split<axis = 1, num_outputs = 2>(a)
            u = Conv(p, w1)
            v = Conv(q, w2)
            y = Sub(u, v)
        }",
        BOTH,
    );
}

#[test]
fn transposed_convolutions() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,9,9] y)
        <float[6,3,1,1] w0, float[6,5,3,3] w1, float[5] b1, float[4,5,1,1] w2> {
            a = Conv(x, w0)
            b = ConvTranspose<strides = [2, 2]>(a, w1, b1)
            c = Relu(b)
            y = Conv(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn slopes_of_prelu() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,1,1] slope, float[1] shared, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            b = PRelu(a, slope)
            c = PRelu(b, shared)
            y = Conv(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn instance_normalization() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6] s, float[6] h, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            b = InstanceNormalization(a, s, h)
            c = Relu(b)
            y = Conv(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn group_normalization_as_exported_loses_whole_groups() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[12,3,1,1] w0, int64[3] groups = {0, 4, -1}, float[4] one = {1, 1, 1, 1}, float[4] zero = {0, 0, 0, 0},
         int64[4] back = {2, 12, 4, 4}, float[12,1,1] s, float[12,1,1] h, float[4,12,1,1] w2> {
            a = Conv(x, w0)
            b = Reshape(a, groups)
            c = InstanceNormalization(b, one, zero)
            d = Reshape(c, back)
            e = Mul(d, s)
            f = Add(e, h)
            y = Conv(f, w2)
        }",
        &[Readers],
    );
    assert_eq!(found, "a: 4 of 4\ny: 0 of 4");
}

#[test]
fn a_perceptron_with_products_in_every_form() {
    let found = removes_exactly(
        "g (float[4,7] x) => (float[4,3] y)
        <float[7,9] w1, float[9] b1, float[8,9] w2, float[1,8] b2, float[8,10] w3, float[10] b3, float[10,3] w4> {
            a = MatMul(x, w1)
            b = Add(a, b1)
            c = Relu(b)
            d = Gemm<transB = 1>(c, w2, b2)
            e = Relu(d)
            f = Gemm(e, w3, b3)
            g = Relu(f)
            y = MatMul(g, w4)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 9 of 9\nd: 8 of 8\nf: 10 of 10\ny: 0 of 3");
}

#[test]
fn a_product_with_the_weight_on_the_left() {
    removes_exactly(
        "g (float[7,4] x) => (float[3,4] y)
        <float[9,7] w1, float[9,1] b1, float[3,9] w2> {
            a = MatMul(w1, x)
            b = Add(a, b1)
            y = MatMul(w2, b)
        }",
        BOTH,
    );
}

#[test]
fn padded_channels() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[10,3,1,1] w1, int64[8] pads = {0, 1, 0, 0, 0, 3, 0, 0}, float[4,10,1,1] w2> {
            a = Conv(x, w0)
            b = Pad(a, pads)
            c = Conv(x, w1)
            d = Add(b, c)
            y = Conv(d, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a, c: 10 of 10\ny: 0 of 4");
}

#[test]
fn depth_to_space_in_both_orders() {
    for mode in ["DCR", "CRD"] {
        let found = removes_exactly(
            &format!(
                "g (float[2,3,4,4] x) => (float[2,4,8,8] y)
                <float[20,3,1,1] w0, float[4,5,1,1] w2> {{
                    a = Conv(x, w0)
                    b = DepthToSpace<blocksize = 2, mode = \"{mode}\">(a)
                    y = Conv(b, w2)
                }}"
            ),
            BOTH,
        );
        assert_eq!(found, "a: 5 of 5\ny: 0 of 4");
    }
}

#[test]
fn space_to_depth() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,2,2] y)
        <float[5,3,1,1] w0, float[4,20,1,1] w2> {
            a = Conv(x, w0)
            b = SpaceToDepth<blocksize = 2>(a)
            y = Conv(b, w2)
        }",
        BOTH,
    );
}

#[test]
fn channels_last() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,5] y)
        <float[6,3,1,1] w0, float[6] b, float[6,5] w2> {
            a = Conv(x, w0)
            b1 = Transpose<perm = [0, 2, 3, 1]>(a)
            c = Mul(b1, b)
            y = MatMul(c, w2)
        }",
        BOTH,
    );
}

#[test]
fn resized_and_pooled_maps() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,8,8] y)
        <float[6,3,1,1] w0, float[4] scales = {1, 1, 2, 2}, int64[4] sizes = {2, 6, 8, 8}, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            u = Resize<mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\">(a, , scales)
            m = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(u)
            y = Conv(m, w2)
        }",
        BOTH,
    );
}

#[test]
fn inserted_and_removed_axes() {
    removes_exactly(
        "g (float[2,3,4] x) => (float[2,5,4] y)
        <float[6,3,1] w0, int64[1] at = {2}, float[6,1,1] s, float[5,6,1] w2> {
            a = Conv(x, w0)
            b = Unsqueeze(a, at)
            c = Mul(b, s)
            d = Squeeze(c, at)
            y = Conv(d, w2)
        }",
        BOTH,
    );
}

#[test]
fn an_embedding_loses_columns() {
    let found = removes_exactly(
        "g (int64[2,5] ids) => (float[2,5,3] y)
        <float[2,8] table, float[8,6] w1, float[6,3] w2> {
            e = Gather(table, ids)
            h = MatMul(e, w1)
            r = Relu(h)
            y = MatMul(r, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "e: 8 of 8\nh: 6 of 6\ny: 0 of 3");
}

#[test]
fn repeated_gates() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[1,3,1,1] w1, int64[4] shape = {2, 6, 4, 4}, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            g = Conv(x, w1)
            e = Expand(g, shape)
            m = Mul(a, e)
            y = Conv(m, w2)
        }",
        BOTH,
    );
}

#[test]
fn quantized_weights_keep_their_scales() {
    removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,6,1,1] w1, float[6] s = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, float t = {0.05}, float[4,6,1,1] w2, int8 z = {0}, int8[6] zs = {0, 0, 0, 0, 0, 0}> {
            a = Conv(x, w0)
            aq = QuantizeLinear(a, t, z)
            ad = DequantizeLinear(aq, t, z)
            w1q = QuantizeLinear<axis = 0>(w1, s, zs)
            w1d = DequantizeLinear<axis = 0>(w1q, s, zs)
            b = Conv(ad, w1d)
            y = Conv(b, w2)
        }",
        &[Readers],
    );
}

#[test]
fn a_quantized_weight_on_a_residual_stream_has_rows_and_columns() {
    let source = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, int8[6,6,1,1] w1, float[6] s = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, int8[6] z = {0, 0, 0, 0, 0, 0},
         float[4,6,1,1] w2> {
            a = Conv(x, w0)
            w = DequantizeLinear<axis = 0>(w1, s, z)
            b = Conv(a, w)
            c = Add(a, b)
            y = Conv(c, w2)
        }";
    let model = crate::testing::model(source);
    let analysis = crate::prune::Analysis::of(&model.graph);
    insta::assert_snapshot!(analysis.groups[0], @r"
    a, b: 6 of 6 channels can go
      made by `w0` axis 0 of `a`
      made by `w1` axis 0 of `b`
      read by `w1` axis 1 of `b`
      read by `w2` axis 1 of `y`
      along `s` axis 0 of `w`
      along `z` axis 0 of `w`
    ");
}
