//! What becomes integers, on small graphs.
use super::super::testing::{calibration, model, plan};
use super::*;
use insta::assert_snapshot;

const CONV_RELU: &str = "
    g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    <float[2,2,1,1] w1 = {127, 0, 0, 254}, float[2] b1 = {1, 2}, float[1,2,1,1] w2 = {1, 127}>
    {
        c = Conv(x, w1, b1)
        r = Relu(c)
        y = Conv(r, w2)
    }
";

#[test]
fn a_conv_and_its_relu_are_one_unit() {
    assert_snapshot!(plan(CONV_RELU, &[("r", 0.0, 510.0)]), @r"
    3 of 3 nodes run on integers
      Conv `c`: integer
      Relu `r`: integer
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `r`: uint8, scale 2, zero point 0, observed 0 to 510
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 2
    weights `w2`: int8, axis 0, scales 1 to 1
    bias `b1`: int32, scales 1 to 2
    ");
}

#[test]
fn limits_cap_the_range_they_are_absorbed_in() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float[1,1,1,1] w = {127}, float low = {0}, float high = {6}>
        {
            c = Conv(x, w)
            r = Clip(c, low, high)
            y = Conv(r, w)
        }
    ";
    let plan = plan(source, &[("r", 0.0, 6.000_001)]);
    assert_eq!(plan.integer_nodes(), 3);
    let r = plan.values.iter().find(|value| value.name == "r").expect("it is quantized");
    assert_eq!(r.zero_point, 0);
    assert!(r.scale * 255.0 <= 6.0);
}

#[test]
fn limits_without_zero_between_them_are_computed() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float[1,1,1,1] w = {127}, float low = {1}, float high = {6}>
        {
            c = Conv(x, w)
            r = Clip(c, low, high)
            y = Conv(r, w)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    2 of 3 nodes run on integers
      Conv `c`: integer
      Clip `r`: float, 0 is not between the limits
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    value `r`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn limits_that_are_computed_themselves_stay() {
    let source = "
        g (float[1,1,4,4] x, float high) => (float[1,1,4,4] y)
        <float[1,1,1,1] w = {127}>
        {
            c = Conv(x, w)
            y = Clip(c, , high)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    1 of 2 nodes run on integers
      Conv `c`: integer
      Clip `y`: float, the limits are not constant
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn a_residual_is_added_on_integers_with_its_relu() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}, float[1,1,1,1] w3 = {127}>
        {
            a = Conv(x, w1)
            ra = Relu(a)
            b = Conv(ra, w2)
            s = Add(b, ra)
            r = Relu(s)
            y = Conv(r, w3)
        }
    ";
    assert_snapshot!(plan(source, &[("ra", 0.0, 255.0), ("r", 0.0, 510.0)]), @r"
    6 of 6 nodes run on integers
      Conv `a`: integer
      Relu `ra`: integer
      Conv `b`: integer
      Add `s`: integer
      Relu `r`: integer
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `ra`: uint8, scale 1, zero point 0, observed 0 to 255
    value `b`: uint8, scale 1, zero point 128, observed -128 to 127
    value `r`: uint8, scale 2, zero point 0, observed 0 to 510
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 0, scales 1 to 1
    weights `w3`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn what_moves_numbers_shares_their_scale() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,1,2] y)
        <float[1,1,1,1] w1 = {127}, float[1,2,1,1] w2 = {127, 1}, int64[4] shape = {1, 2, 1, 2}>
        {
            a = Conv(x, w1)
            p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            r = Reshape(p, shape)
            y = Conv(r, w2)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    4 of 4 nodes run on integers
      Conv `a`: integer
      MaxPool `p`: integer
      Reshape `r`: integer
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `a`: uint8, scale 1, zero point 128, observed -128 to 127
    value `p`: uint8, scale and zero point of `a`
    value `r`: uint8, scale and zero point of `a`
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn a_pool_whose_indices_are_wanted_stays() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i)
        <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}>
        {
            a = Conv(x, w1)
            p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            y = Conv(p, w2)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    2 of 3 nodes run on integers
      Conv `a`: integer
      MaxPool `p`: float, the indices of the largest numbers are wanted
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `a`: uint8, scale 1, zero point 128, observed -128 to 127
    value `p`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn the_gate_of_a_silu_has_a_fixed_scale() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}>
        {
            c = Conv(x, w1)
            gate = Sigmoid(c)
            m = Mul(c, gate)
            y = Conv(m, w2)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    4 of 4 nodes run on integers
      Conv `c`: integer
      Sigmoid `gate`: integer
      Mul `m`: integer
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    value `gate`: uint8, scale 0.00390625, zero point 0, observed -128 to 127
    value `m`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn a_concat_is_quantized_whole_or_not_at_all() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,2,4,4] z)
        <float[1,1,1,1] w1 = {127}, float[1,2,1,1] w2 = {127, 1}, float[1,1,4,4] k>
        {
            a = Conv(x, w1)
            j = Concat<axis = 1>(x, a)
            y = Conv(j, w2)
            z = Concat<axis = 1>(a, k)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    3 of 4 nodes run on integers
      Conv `a`: integer
      Concat `j`: integer
      Conv `y`: integer
      Concat `z`: float, `k` is constant
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `a`: uint8, scale 1, zero point 128, observed -128 to 127
    value `j`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn the_last_gemm_writes_floats() {
    let source = "
        g (float[1,2] x) => (float[1,2] y, float[1,2] z)
        <float[2,2] w = {127, 1, 254, 1}, float[2] b = {1, 2}>
        {
            h = Gemm<transB = 1>(x, w, b)
            r = Relu(h)
            y = MatMul(r, w)
            z = Gemm<alpha = 2.0>(r, w)
        }
    ";
    assert_snapshot!(plan(source, &[("r", 0.0, 255.0)]), @r"
    3 of 4 nodes run on integers
      Gemm `h`: integer
      Relu `r`: integer
      MatMul `y`: integer
      Gemm `z`: float, alpha or beta is not 1
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `r`: uint8, scale 1, zero point 0, observed 0 to 255
    weights `w`: int8, axis 0, scales 1 to 2
    weights `w`: int8, axis 1, scales 0.007874016 to 2
    bias `b`: int32, scales 1 to 2
    ");
}

#[test]
fn operators_without_integer_kernels_read_and_write_floats() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1] y, float[1,1,4,4] z)
        <float[1,1,1,1] w = {127}, float[1,1] w2 = {127}, int64[2] axes = {2, 3}>
        {
            c = Conv(x, w)
            m = ReduceMean<keepdims = 0>(c, axes)
            y = Gemm(m, w2)
            t = Tanh(c)
            z = ConvTranspose(t, w)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    2 of 5 nodes run on integers
      Conv `c`: integer
      ReduceMean `m`: float, ONNX Runtime computes ReduceMean in floating point
      Gemm `y`: integer
      Tanh `t`: float, ONNX Runtime computes Tanh in floating point
      ConvTranspose `z`: float, ONNX Runtime has no integer kernel for ConvTranspose
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    value `m`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    weights `w2`: int8, axis 1, scales 1 to 1
    ");
}

#[test]
fn arithmetic_far_from_products_stays() {
    let source = "
        g (float[1,4] x) => (float[1,4] y)
        {
            s = Add(x, x)
            y = Sigmoid(s)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    0 of 2 nodes run on integers
      Add `s`: float, it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers
      Sigmoid `y`: float, it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers
    ");
}

#[test]
fn a_product_whose_result_is_not_read_as_integers_writes_floats() {
    let source = "
        g (float[1,4,4] x) => (float[1,4,4] y)
        <float[4,4] w1, float[4,4] w2, int64[3] shape = {1, 4, 4}>
        {
            m = MatMul(x, w1)
            r = Reshape(m, shape)
            s = Add(r, x)
            t = Tanh(s)
            y = MatMul(t, w2)
        }
    ";
    let plan = plan(source, &[]);
    let integers: Vec<&str> =
        plan.nodes.iter().filter(|node| node.integer).map(|node| node.node.as_str()).collect();
    assert_eq!(integers, ["m", "y"]);
    let values: Vec<&str> = plan.values.iter().map(|value| value.name.as_str()).collect();
    assert_eq!(values, ["x", "t"]);
}

#[test]
fn what_is_always_zero_or_not_finite_is_not_quantized() {
    let dead = plan(CONV_RELU, &[("r", 0.0, 0.0)]);
    assert_snapshot!(dead, @r"
    0 of 3 nodes run on integers
      Conv `c`: float, `r` is always 0
      Relu `r`: float, what it reads is not computed on integers
      Conv `y`: float, `r` is always 0
    ");
    let infinite = plan(CONV_RELU, &[("x", f32::NEG_INFINITY, 1.0)]);
    assert_eq!(infinite.nodes[0].reason.as_deref(), Some("`x` has a range that is not finite"));
    let unknown = model(CONV_RELU);
    let unknown =
        QuantizationPlan::new(&unknown.graph, &Calibration::EMPTY, &QuantizeOptions::default());
    assert_eq!(unknown.nodes[0].reason.as_deref(), Some("`x` was not observed"));
    assert!(unknown.is_empty());
}

#[test]
fn an_excluded_node_stays_with_what_only_it_needs() {
    let model = model(CONV_RELU);
    let exclude = ["r", "nothing"].map(|name| name.parse().expect("a name")).to_vec();
    let options = QuantizeOptions { exclude, ..QuantizeOptions::default() };
    let plan = QuantizationPlan::new(&model.graph, &calibration(&model, &[]), &options);
    assert_snapshot!(plan, @r"
    2 of 3 nodes run on integers
      Conv `c`: integer
      Relu `r`: float, excluded
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    value `r`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w1`: int8, axis 0, scales 1 to 2
    weights `w2`: int8, axis 0, scales 1 to 1
    bias `b1`: int32, scales 1 to 2
    no node is `nothing`
    ");
}

#[test]
fn an_old_operator_set_is_refused() {
    let old = format!("<ir_version: 6, opset_import: [\"\" : 11]>{CONV_RELU}");
    let plan = plan(&old, &[]);
    assert!(plan.is_empty());
    let expected = "per-axis DequantizeLinear needs opset 13, the model has 11";
    assert!(plan.nodes.iter().all(|node| node.reason.as_deref() == Some(expected)));
}

#[test]
fn an_old_format_is_refused() {
    let old = model(&format!("<ir_version: 6, opset_import: [\"\" : 13]>{CONV_RELU}"));
    let ranges = calibration(&old, &[]);
    let plan = QuantizationPlan::of_model(&old, &ranges, &QuantizeOptions::default());
    assert!(plan.is_empty());
    let expected = "per-axis DequantizeLinear needs IR version 7, the model has 6";
    assert!(plan.nodes.iter().all(|node| node.reason.as_deref() == Some(expected)));
}

#[test]
fn products_of_another_form_stay() {
    let source = "
        g (float[2,2] x, float[2] c, float16[2,2] k, float[2,4] o) => (
            float[2,2] y1, float[2,2] y2, float[2,2] y3, float16[2,2] y4, float[2,2,2] y5, float[2,2] y6,
            float[2] y7
        )
        <float[2,2] w, float[1,2] b, float16[2,2] u, float[2,2,2] t, float[2] v>
        {
            y1 = Gemm(x, x)
            y2 = Gemm(x, w, c)
            y3 = Gemm(x, w, b)
            y4 = MatMul(k, u)
            y5 = MatMul(x, t)
            y6 = Gemm<transA = 1>(x, w)
            y7 = MatMul(x, v)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    0 of 7 nodes run on integers
      Gemm `y1`: float, the right operand is not constant
      Gemm `y2`: float, the bias is not constant
      Gemm `y3`: float, the bias is not one number per channel
      MatMul `y4`: float, the weights are float16
      MatMul `y5`: float, the weights are not a matrix
      Gemm `y6`: float, the left operand is transposed
      MatMul `y7`: float, the weights have no channels
    ");
}

#[test]
fn pools_and_interpolations_without_kernels_stay() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,2,2] p, float[1,1,8,8] r, float[1,1,4,4] s)
        <float[1,1,1,1] w = {127}, float[4] scales = {1, 1, 2, 2}>
        {
            c = Conv(x, w)
            p = AveragePool<kernel_shape = [2, 2], dilations = [2, 2]>(c)
            r = Resize<mode = \"linear\">(c, , scales)
            s = Softmax(c)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    1 of 4 nodes run on integers
      Conv `c`: integer
      AveragePool `p`: float, the pool is dilated
      Resize `r`: float, ONNX Runtime interpolates in floating point
      Softmax `s`: float, a step of 1/256 is too coarse for the tail of Softmax
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn a_large_bias_widens_the_scale_of_its_channel() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,2,4,4] y)
        <float[2,1,1,1] w = {127, 127}, float[2] b = {1, 4294967296}>
        {
            y = Conv(x, w, b)
        }
    ";
    let plan = plan(source, &[]);
    assert_eq!(plan.weights[0].scales, [1.0, 4.0]);
    assert_eq!(plan.biases[0].scales, [1.0, 4.0]);
}

#[test]
fn weights_that_are_not_finite_stay() {
    let source = "
        g (float[1,2] x, float[2] c) => (float[1,1] y, float[1,1] z, float[1,2] v)
        <float[2,1] w = {1, inf}, float[2,1] u, float[2] b = {1, nan}, float[2,2] t>
        {
            y = MatMul(x, w)
            z = Gemm<transA = 1>(u, u)
            v = Gemm(x, t, b)
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    0 of 3 nodes run on integers
      MatMul `y`: float, the weights are not finite
      Gemm `z`: float, the left operand is constant
      Gemm `v`: float, the bias is not finite
    ");
}

#[test]
fn products_in_subgraphs_are_named() {
    let source = "
        g (bool c, float[2,2] x) => (float[2,2] y)
        <float[2,2] w = {127, 1, 254, 1}>
        {
            p = MatMul(x, w)
            y = If(c) <
                then_branch = t () => (a) { a = MatMul(p, w) },
                else_branch = e () => (b) { b = MatMul(p, p) }
            >
        }
    ";
    assert_snapshot!(plan(source, &[]), @r"
    1 of 4 nodes run on integers
      MatMul `p`: integer
      If `y`: float, ONNX Runtime computes If in floating point
      MatMul `a`: float, it is in a subgraph, whose values are not calibrated
      MatMul `b`: float, it is in a subgraph, whose values are not calibrated
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 1, scales 0.007874016 to 2
    ");
}
