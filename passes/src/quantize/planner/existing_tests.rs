//! Plans next to what is quantized already.
use super::super::testing::{calibration, model, quantize};
use super::super::{QuantizationPlan, QuantizeOptions, Target};
use insta::assert_snapshot;

/// The plan without any observation.
fn unobserved(source: &str, target: Target) -> QuantizationPlan {
    let options = QuantizeOptions { target, ..QuantizeOptions::default() };
    QuantizationPlan::new(&model(source).graph, &super::Calibration::EMPTY, &options)
}

/// The plan where everything was observed from −128 to 127.
fn observed(source: &str) -> QuantizationPlan {
    observed_for(source, Target::OnnxRuntimeX86)
}

fn observed_for(source: &str, target: Target) -> QuantizationPlan {
    let model = model(source);
    let options = QuantizeOptions { target, ..QuantizeOptions::default() };
    QuantizationPlan::new(&model.graph, &calibration(&model, &[]), &options)
}

/// A convolution as quantization-aware training leaves it: the bias is float.
const TRAINED: &str = "
    g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    <float s = {0.5}, uint8 z = {128}, int8[2,1,1,1] w = {3, -128}, float[2] ws = {0.25, 2},
        int8[2] wz = {0, 0}, float[2] b = {1, -3}>
    {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        k = DequantizeLinear<axis = 0>(w, ws, wz)
        c = Conv(d, k, b)
        r = Relu(c)
        p = QuantizeLinear(r, s, z)
        y = DequantizeLinear(p, s, z)
    }
";

#[test]
fn what_was_trained_quantized_only_gets_its_biases() {
    assert_snapshot!(unobserved(TRAINED, Target::OnnxRuntimeX86), @r"
    0 of 7 nodes run on integers
      QuantizeLinear `q`: quantized already
      DequantizeLinear `d`: quantized already
      DequantizeLinear `k`: quantized already
      Conv `c`: quantized already
      Relu `r`: quantized already
      QuantizeLinear `p`: quantized already
      DequantizeLinear `y`: quantized already
    bias `b`: int32, scales 0.125 to 1
    ");
    assert!(unobserved(TRAINED, Target::TensorRt).biases.is_empty(), "its biases are float");
}

#[test]
fn integers_and_scales_stay_and_the_bias_is_in_their_steps() {
    assert_snapshot!(quantize(TRAINED, &[]), @r"
    g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    <float s = {0.5}, uint8 z = {128}, int8[2,1,1,1] w = {3, -128}, float[2] ws = {0.25, 2},
        int8[2] wz = {0, 0}, int32[2] b_quantized = {8, -3}, float[2] b_scale = {0.125, 1}>
    {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        k = DequantizeLinear <axis = 0> (w, ws, wz)
        b_DequantizeLinear_Output = DequantizeLinear <axis = 0> (b_quantized, b_scale)
        c = Conv(d, k, b_DequantizeLinear_Output)
        r = Relu(c)
        p = QuantizeLinear(r, s, z)
        y = DequantizeLinear(p, s, z)
    }
    ");
}

#[test]
fn a_bias_that_does_not_fit_stays() {
    let large = TRAINED.replace("b = {1, -3}", "b = {1, -3e9}");
    assert_snapshot!(unobserved(&large, Target::OnnxRuntimeX86), @r"
    0 of 7 nodes run on integers
      QuantizeLinear `q`: quantized already
      DequantizeLinear `d`: quantized already
      DequantizeLinear `k`: quantized already
      Conv `c`: quantized already; its bias stays float: it does not fit into 32 bits next to its weights
      Relu `r`: quantized already
      QuantizeLinear `p`: quantized already
      DequantizeLinear `y`: quantized already
    ");
    let blocks = TRAINED.replace("wz = {0, 0}", "wz = {0, 1}");
    let plan = unobserved(&blocks, Target::OnnxRuntimeX86);
    let reason = plan.nodes[3].reason.as_deref();
    let expected = "quantized already; its bias stays float: the weights are not symmetric per \
        output channel";
    assert_eq!(reason, Some(expected));
}

#[test]
fn what_is_float_behind_takes_the_scale_that_is_there() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float s = {0.5}, uint8 z = {128}, float[1,1,1,1] w = {127}, float[1,1,1,1] v = {254}>
        {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            m = MaxPool<kernel_shape = [1, 1]>(d)
            c = Conv(m, w)
            r = Relu(c)
            p = QuantizeLinear(r, s, z)
            e = DequantizeLinear(p, s, z)
            y = Conv(e, v)
        }
    ";
    assert_snapshot!(observed(source), @r"
    4 of 8 nodes run on integers
      QuantizeLinear `q`: quantized already
      DequantizeLinear `d`: quantized already
      MaxPool `m`: integer
      Conv `c`: integer
      Relu `r`: integer
      QuantizeLinear `p`: quantized already
      DequantizeLinear `e`: quantized already
      Conv `y`: integer
    value `d`: uint8, scale 0.5, zero point 128, quantized already
    value `m`: uint8, scale and zero point of `d`
    value `r`: uint8, scale 0.5, zero point 128, quantized already
    value `e`: uint8, scale 0.5, zero point 128, quantized already
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    weights `v`: int8, axis 0, scales 2 to 2
    ");
    assert_snapshot!(quantize(source, &[]), @r"
    g (float[1,1,4,4] x) => (float[1,1,4,4] y)
    <float s = {0.5}, uint8 z = {128}, int8[1,1,1,1] w_quantized = {127}, float[1] w_scale = {1},
        int8[1] w_zero_point = {0}, int8[1,1,1,1] v_quantized = {127}, float[1] v_scale = {2},
        int8[1] v_zero_point = {0}, float d_scale = {0.5}, uint8 d_zero_point = {128},
        float y_scale = {1}, uint8 y_zero_point = {128}>
    {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        m_float = MaxPool <kernel_shape = [1, 1]> (d)
        m_QuantizeLinear_Output = QuantizeLinear(m_float, d_scale, d_zero_point)
        m = DequantizeLinear(m_QuantizeLinear_Output, d_scale, d_zero_point)
        w_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w_quantized, w_scale, w_zero_point)
        c = Conv(m, w_DequantizeLinear_Output)
        r = Relu(c)
        p = QuantizeLinear(r, s, z)
        e = DequantizeLinear(p, s, z)
        v_DequantizeLinear_Output = DequantizeLinear <axis = 0> (v_quantized, v_scale, v_zero_point)
        y_float = Conv(e, v_DequantizeLinear_Output)
        y_QuantizeLinear_Output = QuantizeLinear(y_float, y_scale, y_zero_point)
        y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
    }
    ");
}

#[test]
fn a_value_some_read_quantized_is_quantized_for_all_with_the_same_scale() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,1,4,4] t)
        <float s = {0.5}, uint8 z = {128}, float[1,1,1,1] w = {127}, int8[1,1,1,1] v = {2}>
        {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            k = DequantizeLinear(v, s)
            y = Conv(d, k)
            t = Conv(x, w)
        }
    ";
    assert_snapshot!(quantize(source, &[]), @r"
    g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,1,4,4] t)
    <float s = {0.5}, uint8 z = {128}, int8[1,1,1,1] v = {2}, int8[1,1,1,1] w_quantized = {127},
        float[1] w_scale = {1}, int8[1] w_zero_point = {0}, float x_scale = {0.5},
        uint8 x_zero_point = {128}, float t_scale = {1}, uint8 t_zero_point = {128}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
        d = DequantizeLinear(x_QuantizeLinear_Output, s, z)
        k = DequantizeLinear(v, s)
        y = Conv(d, k)
        w_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w_quantized, w_scale, w_zero_point)
        t_float = Conv(x_DequantizeLinear_Output, w_DequantizeLinear_Output)
        t_QuantizeLinear_Output = QuantizeLinear(t_float, t_scale, t_zero_point)
        t = DequantizeLinear(t_QuantizeLinear_Output, t_scale, t_zero_point)
    }
    ");
}

#[test]
fn a_value_with_two_scales_or_none_is_left_alone() {
    let source = "
        g (float[1,1,4,4] x, float t) => (uint8[1,1,4,4] q, uint8[1,1,4,4] p, float[1,1,4,4] y, float[1,1,4,4] v)
        <float s = {0.5}, float r = {0.25}, uint8 z = {128}, float[1,1,1,1] w = {127}>
        {
            q = QuantizeLinear(x, s, z)
            p = QuantizeLinear(x, r, z)
            y = Conv(x, w)
            d = DequantizeLinear(q, t, z)
            v = Conv(d, w)
        }
    ";
    assert_snapshot!(observed(source), @r"
    0 of 5 nodes run on integers
      QuantizeLinear `q`: quantized already
      QuantizeLinear `p`: quantized already
      Conv `y`: float, `x` is quantized in two ways already
      DequantizeLinear `d`: quantized already
      Conv `v`: float, `d` is quantized already, not with one constant scale
    ");
}

#[test]
fn numbers_are_not_moved_into_another_scale() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,1,16] u)
        <float s = {0.5}, uint8 z = {128}, float[1,1,1,1] w = {127}, int64[3] shape = {1, 1, 16}>
        {
            c = Conv(x, w)
            m = Reshape(c, shape)
            q = QuantizeLinear(m, s, z)
            u = DequantizeLinear(q, s, z)
            y = Conv(c, w)
        }
    ";
    assert_snapshot!(observed(source), @r"
    2 of 5 nodes run on integers
      Conv `c`: integer
      Reshape `m`: float, its result `m` is quantized already
      QuantizeLinear `q`: quantized already
      DequantizeLinear `u`: quantized already
      Conv `y`: integer
    value `x`: uint8, scale 1, zero point 128, observed -128 to 127
    value `c`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    ");
    let joined = "
        g (float[1,1,4,4] x, float[1,1,4,4] a) => (float[1,1,4,4] y)
        <float s = {0.5}, uint8 z = {128}, float[1,2,1,1] w = {127, 1}>
        {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            j = Concat<axis = 1>(d, a)
            y = Conv(j, w)
        }
    ";
    assert_snapshot!(observed_for(joined, Target::Qnn), @r"
    1 of 4 nodes run on integers
      QuantizeLinear `q`: quantized already
      DequantizeLinear `d`: quantized already
      Concat `j`: float, it is joined with `d`, which is quantized already
      Conv `y`: integer
    value `j`: uint8, scale 1, zero point 128, observed -128 to 127
    value `y`: uint8, scale 1, zero point 128, observed -128 to 127
    weights `w`: int8, axis 0, scales 1 to 1
    ");
}

#[test]
fn operators_on_integers_pass_through() {
    let source = "
        <ir_version: 8, opset_import: [\"\" : 17]>
        g (float[1,2] x) => (float[1,2] y)
        <float s = {0.5}, uint8 z = {128}, int8[2,2] w = {1, 2, 3, 4}, int8 wz = {0}, int32[2] b>
        {
            q, qs, qz = DynamicQuantizeLinear(x)
            i = MatMulInteger(q, w, qz, wz)
            f = Cast<to = 1>(i)
            p = QuantizeLinear(f, s, z)
            m = QLinearMatMul(p, s, z, w, s, wz, s, z)
            y = DequantizeLinear(m, s, z)
        }
    ";
    assert_snapshot!(observed(source), @r"
    0 of 6 nodes run on integers
      DynamicQuantizeLinear `q`: quantized already
      MatMulInteger `i`: quantized already
      Cast `f`: float, ONNX Runtime computes Cast in floating point
      QuantizeLinear `p`: quantized already
      QLinearMatMul `m`: quantized already
      DequantizeLinear `y`: quantized already
    ");
}

#[test]
fn an_excluded_node_keeps_its_bias() {
    let model = model(TRAINED);
    let exclude = vec!["c".parse().expect("a name")];
    let options = QuantizeOptions { exclude, ..QuantizeOptions::default() };
    let plan = QuantizationPlan::new(&model.graph, &super::Calibration::EMPTY, &options);
    assert!(plan.biases.is_empty());
    assert_eq!(plan.nodes[3].reason.as_deref(), Some("quantized already, and excluded"));
}

#[test]
fn without_samples_only_biases_are_added() {
    let source = "
        g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,1,4,4] t)
        <float s = {0.5}, uint8 z = {128}, float[1,1,1,1] w = {127}>
        {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            c = Conv(d, w)
            p = QuantizeLinear(c, s, z)
            y = DequantizeLinear(p, s, z)
            t = Tanh(d)
        }
    ";
    assert_snapshot!(unobserved(source, Target::OnnxRuntimeX86), @r"
    0 of 6 nodes run on integers
      QuantizeLinear `q`: quantized already
      DequantizeLinear `d`: quantized already
      Conv `c`: float, there are no samples to quantize it with
      QuantizeLinear `p`: quantized already
      DequantizeLinear `y`: quantized already
      Tanh `t`: float, ONNX Runtime computes Tanh in floating point
    ");
    assert_eq!(observed(source).integer_nodes(), 1, "its scales are there");
}
