use super::super::testing::model;
use super::super::{
    Calibration, Prediction, QuantizationPlan, QuantizeOptions, Target, WeightFormat,
};
use super::testing::{assert_same_within_a_step, quantized, rewritten};
use super::*;
use insta::assert_snapshot;
use lapidary_exec::{ExecError, RandomInputs};

const X86: Target = Target::OnnxRuntimeX86;

const BLOCK: &str = "
    g (float[1,16,6,6] x) => (float[1,10] y)
    <float[16,16,3,3] w1, float[16] b1, float[16,16,3,3] w2, float[16,1,3,3] w3, float[16,10] w4, float[10] b4>
    {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        ra = Relu(a)
        b = Conv <pads = [1, 1, 1, 1]> (ra, w2)
        s = Add(b, x)
        r = Relu(s)
        c = Conv <group = 16, strides = [2, 2]> (r, w3)
        g = Sigmoid(c)
        m = Mul(c, g)
        p = GlobalAveragePool(m)
        f = Flatten(p)
        y = Gemm(f, w4, b4)
    }
";

/// A block, calibrated on what it is compared on.
fn block(target: Target) -> Model {
    let original = model(BLOCK);
    let inputs = RandomInputs::default().generate(&original).expect("inputs can be made");
    let sample = std::iter::once(Ok::<_, ExecError>(inputs));
    let calibration = Calibration::collect(&original, sample).expect("the original runs");
    let options = QuantizeOptions { target, ..QuantizeOptions::default() };
    let mut quantized = original;
    let plan = QuantizationPlan::new(&quantized.graph, &calibration, &options);
    plan.apply(&mut quantized).expect("the plan is for this graph");
    quantized
}

#[test]
fn a_convolution_swallows_what_limits_it() {
    let source = "
        g (float[1,2,4,4] x) => (float[1,1,4,4] y)
        <float[2,2,1,1] w1 = {127, 0, 0, 254}, float[2] b1 = {1, 2}, float[1,2,1,1] w2 = {1, 127}>
        {
            c = Conv(x, w1, b1)
            r = Relu(c)
            y = Conv(r, w2)
        }
    ";
    assert_snapshot!(quantized(Target::Generic, source, &[("r", 0.0, 510.0)]), @r"
    2 QLinearConv
    g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    <int8[2,2,1,1] w1_quantized = {127, 0, 0, 127}, float[2] w1_scale = {1, 2},
        int8[2] w1_zero_point = {0, 0}, int8[1,2,1,1] w2_quantized = {1, 127}, float[1] w2_scale = {1},
        int8[1] w2_zero_point = {0}, int32[2] b1_quantized = {1, 1}, float x_scale = {1},
        uint8 x_zero_point = {128}, float r_scale = {2}, uint8 r_zero_point = {0}, float y_scale = {1},
        uint8 y_zero_point = {128}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        r_QuantizeLinear_Output = QLinearConv(x_QuantizeLinear_Output, x_scale, x_zero_point, w1_quantized, w1_scale, w1_zero_point, r_scale, r_zero_point, b1_quantized)
        y_QuantizeLinear_Output = QLinearConv(r_QuantizeLinear_Output, r_scale, r_zero_point, w2_quantized, w2_scale, w2_zero_point, y_scale, y_zero_point)
        y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
    }
    ");
}

#[test]
fn products_of_matrices() {
    let source = "
        g (float[2,4] x) => (float[2,2] y, float[2,2] z, float[2,2] t)
        <float[4,2] a = {127, 1, 2, 3, 4, 5, 6, 254}, float[2,2] b = {127, 5, -7, 254}, float[2] c = {3, -4}>
        {
            p = MatMul(x, a)
            q = Gemm <transB = 1> (p, b, c)
            t = Tanh(q)
            y = MatMul(q, b)
            z = Gemm(q, b, c)
        }
    ";
    assert_snapshot!(quantized(X86, source, &[("p", -8.0, 7.0), ("q", -1000.0, 1000.0)]), @r"
    1 MatMulIntegerToFloat
    2 QGemm
    1 QLinearMatMul
    g (float[2,4] x) => (float[2,2] y, float[2,2] z, float[2,2] t)
    <int8[4,2] a_quantized = {127, 0, 2, 2, 4, 2, 6, 127}, float[2] a_scale = {1, 2},
        int8[2] a_zero_point = {0, 0}, int8[2,2] b_quantized = {127, 5, -4, 127},
        float[2] b_scale = {1, 2}, int8[2] b_zero_point = {0, 0},
        int8[2,2] b_quantized_1 = {127, 2, -7, 127}, float[2] b_scale_1 = {1, 2},
        int8[2] b_zero_point_1 = {0, 0}, int32[2] c_quantized = {51, -34},
        int32[2] c_quantized_1 = {0, 0}, float x_scale = {1}, uint8 x_zero_point = {128},
        float p_scale = {0.05882353}, uint8 p_zero_point = {136}, float q_scale = {7.8431373},
        uint8 q_zero_point = {127}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        p_QuantizeLinear_Output = QLinearMatMul(x_QuantizeLinear_Output, x_scale, x_zero_point, a_quantized, a_scale, a_zero_point, p_scale, p_zero_point)
        q_QuantizeLinear_Output = com.microsoft.QGemm <transB = 1> (p_QuantizeLinear_Output, p_scale, p_zero_point, b_quantized, b_scale, b_zero_point, c_quantized, q_scale, q_zero_point)
        q = DequantizeLinear(q_QuantizeLinear_Output, q_scale, q_zero_point)
        t = Tanh(q)
        y = com.microsoft.MatMulIntegerToFloat(q_QuantizeLinear_Output, b_quantized_1, q_scale, b_scale_1, q_zero_point, b_zero_point_1)
        z = com.microsoft.QGemm(q_QuantizeLinear_Output, q_scale, q_zero_point, b_quantized_1, b_scale_1, b_zero_point_1, c_quantized_1)
    }
    ");
    assert_snapshot!(quantized(Target::Generic, source, &[("p", -8.0, 7.0), ("q", -1000.0, 1000.0)]), @r"
    1 QLinearMatMul
    left 2 Gemm: ONNX has no product of integers with a bias but QLinearConv
    left 1 MatMul: ONNX has no product of integers that writes numbers
    g (float[2,4] x) => (float[2,2] y, float[2,2] z, float[2,2] t)
    <int8[4,2] a_quantized = {127, 0, 2, 2, 4, 2, 6, 127}, float[2] a_scale = {1, 2},
        int8[2] a_zero_point = {0, 0}, int8[2,2] b_quantized = {127, 5, -4, 127},
        float[2] b_scale = {1, 2}, int8[2] b_zero_point = {0, 0},
        int8[2,2] b_quantized_1 = {127, 2, -7, 127}, float[2] b_scale_1 = {1, 2},
        int8[2] b_zero_point_1 = {0, 0}, int32[2] c_quantized = {51, -34},
        float[2] c_scale = {0.05882353, 0.11764706}, int32[2] c_quantized_1 = {0, 0},
        float[2] c_scale_1 = {7.8431373, 15.686275}, float x_scale = {1}, uint8 x_zero_point = {128},
        float p_scale = {0.05882353}, uint8 p_zero_point = {136}, float q_scale = {7.8431373},
        uint8 q_zero_point = {127}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        p_QuantizeLinear_Output = QLinearMatMul(x_QuantizeLinear_Output, x_scale, x_zero_point, a_quantized, a_scale, a_zero_point, p_scale, p_zero_point)
        p = DequantizeLinear(p_QuantizeLinear_Output, p_scale, p_zero_point)
        b_DequantizeLinear_Output = DequantizeLinear <axis = 0> (b_quantized, b_scale, b_zero_point)
        c_DequantizeLinear_Output = DequantizeLinear <axis = 0> (c_quantized, c_scale)
        q_float = Gemm <transB = 1> (p, b_DequantizeLinear_Output, c_DequantizeLinear_Output)
        q_QuantizeLinear_Output = QuantizeLinear(q_float, q_scale, q_zero_point)
        q = DequantizeLinear(q_QuantizeLinear_Output, q_scale, q_zero_point)
        t = Tanh(q)
        b_DequantizeLinear_Output_1 = DequantizeLinear <axis = 1> (b_quantized_1, b_scale_1, b_zero_point_1)
        y = MatMul(q, b_DequantizeLinear_Output_1)
        c_DequantizeLinear_Output_1 = DequantizeLinear <axis = 0> (c_quantized_1, c_scale_1)
        z = Gemm(q, b_DequantizeLinear_Output_1, c_DequantizeLinear_Output_1)
    }
    ");
}

#[test]
fn a_product_that_is_read_as_numbers_writes_them() {
    let source = "
        g (float[2,4] x) => (float[2,2] y, float[2,2] z)
        <float[4,2] a = {127, 1, 2, 3, 4, 5, 6, 254}, float[2] c = {3, -4}>
        {
            p = MatMul(x, a)
            y = Tanh(p)
            q = Gemm(x, a, c)
            z = Tanh(q)
        }
    ";
    assert_snapshot!(quantized(X86, source, &[]), @r"
    1 MatMulIntegerToFloat
    1 QGemm
    g (float[2,4] x) => (float[2,2] y, float[2,2] z)
    <int8[4,2] a_quantized = {127, 0, 2, 2, 4, 2, 6, 127}, float[2] a_scale = {1, 2},
        int8[2] a_zero_point = {0, 0}, int32[2] c_quantized = {3, -2}, float x_scale = {1},
        uint8 x_zero_point = {128}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        p = com.microsoft.MatMulIntegerToFloat(x_QuantizeLinear_Output, a_quantized, x_scale, a_scale, x_zero_point, a_zero_point)
        y = Tanh(p)
        q = com.microsoft.QGemm(x_QuantizeLinear_Output, x_scale, x_zero_point, a_quantized, a_scale, a_zero_point, c_quantized)
        z = Tanh(q)
    }
    ");
    assert_snapshot!(quantized(Target::Generic, source, &[]), @r"
    left 1 Gemm: ONNX has no product of integers with a bias but QLinearConv
    left 1 MatMul: ONNX has no product of integers that writes numbers
    g (float[2,4] x) => (float[2,2] y, float[2,2] z)
    <int8[4,2] a_quantized = {127, 0, 2, 2, 4, 2, 6, 127}, float[2] a_scale = {1, 2},
        int8[2] a_zero_point = {0, 0}, int32[2] c_quantized = {3, -2}, float[2] c_scale = {1, 2},
        float x_scale = {1}, uint8 x_zero_point = {128}>
    {
        a_DequantizeLinear_Output = DequantizeLinear <axis = 1> (a_quantized, a_scale, a_zero_point)
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
        p = MatMul(x_DequantizeLinear_Output, a_DequantizeLinear_Output)
        y = Tanh(p)
        c_DequantizeLinear_Output = DequantizeLinear <axis = 0> (c_quantized, c_scale)
        q = Gemm(x_DequantizeLinear_Output, a_DequantizeLinear_Output, c_DequantizeLinear_Output)
        z = Tanh(q)
    }
    ");
}

#[test]
fn arithmetic_of_onnx_runtime() {
    let source = "
        g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,1,1] p)
        <float[2,2,1,1] w = {127, 0, 0, 254}>
        {
            c = Conv(x, w)
            s = Sigmoid(c)
            m = Mul(c, s)
            a = Add(m, c)
            l = LeakyRelu <alpha = 0.125> (a)
            y = Conv(l, w)
            g = AveragePool <kernel_shape = [2, 2]> (y)
            p = GlobalAveragePool(g)
        }
    ";
    let ranges = [("c", -20.0, 20.0), ("m", -1.0, 20.0), ("a", -1.0, 22.0), ("l", -1.0, 22.0)];
    assert_snapshot!(quantized(X86, source, &ranges), @r"
    1 QLinearAdd
    1 QLinearAveragePool
    2 QLinearConv
    1 QLinearGlobalAveragePool
    1 QLinearLeakyRelu
    1 QLinearMul
    1 QLinearSigmoid
    g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,1,1] p)
    <int8[2,2,1,1] w_quantized = {127, 0, 0, 127}, float[2] w_scale = {1, 2},
        int8[2] w_zero_point = {0, 0}, float x_scale = {1}, uint8 x_zero_point = {128},
        float c_scale = {0.15686275}, uint8 c_zero_point = {127}, float s_scale = {0.00390625},
        uint8 s_zero_point = {0}, float m_scale = {0.08235294}, uint8 m_zero_point = {12},
        float a_scale = {0.09019608}, uint8 a_zero_point = {11}, float l_scale = {0.09019608},
        uint8 l_zero_point = {11}, float y_scale = {1}, uint8 y_zero_point = {128}, float g_scale = {1},
        uint8 g_zero_point = {128}, float p_scale = {1}, uint8 p_zero_point = {128}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        c_QuantizeLinear_Output = QLinearConv(x_QuantizeLinear_Output, x_scale, x_zero_point, w_quantized, w_scale, w_zero_point, c_scale, c_zero_point)
        s_QuantizeLinear_Output = com.microsoft.QLinearSigmoid(c_QuantizeLinear_Output, c_scale, c_zero_point, s_scale, s_zero_point)
        m_QuantizeLinear_Output = com.microsoft.QLinearMul(c_QuantizeLinear_Output, c_scale, c_zero_point, s_QuantizeLinear_Output, s_scale, s_zero_point, m_scale, m_zero_point)
        a_QuantizeLinear_Output = com.microsoft.QLinearAdd(m_QuantizeLinear_Output, m_scale, m_zero_point, c_QuantizeLinear_Output, c_scale, c_zero_point, a_scale, a_zero_point)
        l_QuantizeLinear_Output = com.microsoft.QLinearLeakyRelu <alpha = 0.125> (a_QuantizeLinear_Output, a_scale, a_zero_point, l_scale, l_zero_point)
        y_QuantizeLinear_Output = QLinearConv(l_QuantizeLinear_Output, l_scale, l_zero_point, w_quantized, w_scale, w_zero_point, y_scale, y_zero_point)
        y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
        g_QuantizeLinear_Output = com.microsoft.QLinearAveragePool <kernel_shape = [2, 2]> (y_QuantizeLinear_Output, y_scale, y_zero_point, g_scale, g_zero_point)
        p_QuantizeLinear_Output = com.microsoft.QLinearGlobalAveragePool(g_QuantizeLinear_Output, g_scale, g_zero_point, p_scale, p_zero_point)
        p = DequantizeLinear(p_QuantizeLinear_Output, p_scale, p_zero_point)
    }
    ");
    assert_snapshot!(quantized(Target::Generic, source, &ranges), @r"
    2 QLinearConv
    left 1 Add: QLinearAdd is an operator of ONNX Runtime alone
    left 1 AveragePool: QLinearAveragePool is an operator of ONNX Runtime alone
    left 1 GlobalAveragePool: QLinearGlobalAveragePool is an operator of ONNX Runtime alone
    left 1 LeakyRelu: QLinearLeakyRelu is an operator of ONNX Runtime alone
    left 1 Mul: QLinearMul is an operator of ONNX Runtime alone
    left 1 Sigmoid: QLinearSigmoid is an operator of ONNX Runtime alone
    g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,1,1] p)
    <int8[2,2,1,1] w_quantized = {127, 0, 0, 127}, float[2] w_scale = {1, 2},
        int8[2] w_zero_point = {0, 0}, float x_scale = {1}, uint8 x_zero_point = {128},
        float c_scale = {0.15686275}, uint8 c_zero_point = {127}, float s_scale = {0.00390625},
        uint8 s_zero_point = {0}, float m_scale = {0.08235294}, uint8 m_zero_point = {12},
        float a_scale = {0.09019608}, uint8 a_zero_point = {11}, float l_scale = {0.09019608},
        uint8 l_zero_point = {11}, float y_scale = {1}, uint8 y_zero_point = {128}, float g_scale = {1},
        uint8 g_zero_point = {128}, float p_scale = {1}, uint8 p_zero_point = {128}>
    {
        x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
        c_QuantizeLinear_Output = QLinearConv(x_QuantizeLinear_Output, x_scale, x_zero_point, w_quantized, w_scale, w_zero_point, c_scale, c_zero_point)
        c = DequantizeLinear(c_QuantizeLinear_Output, c_scale, c_zero_point)
        s_float = Sigmoid(c)
        s_QuantizeLinear_Output = QuantizeLinear(s_float, s_scale, s_zero_point)
        s = DequantizeLinear(s_QuantizeLinear_Output, s_scale, s_zero_point)
        m_float = Mul(c, s)
        m_QuantizeLinear_Output = QuantizeLinear(m_float, m_scale, m_zero_point)
        m = DequantizeLinear(m_QuantizeLinear_Output, m_scale, m_zero_point)
        a_float = Add(m, c)
        a_QuantizeLinear_Output = QuantizeLinear(a_float, a_scale, a_zero_point)
        a = DequantizeLinear(a_QuantizeLinear_Output, a_scale, a_zero_point)
        l_float = LeakyRelu <alpha = 0.125> (a)
        l_QuantizeLinear_Output = QuantizeLinear(l_float, l_scale, l_zero_point)
        y_QuantizeLinear_Output = QLinearConv(l_QuantizeLinear_Output, l_scale, l_zero_point, w_quantized, w_scale, w_zero_point, y_scale, y_zero_point)
        y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
        g_float = AveragePool <kernel_shape = [2, 2]> (y)
        g_QuantizeLinear_Output = QuantizeLinear(g_float, g_scale, g_zero_point)
        g = DequantizeLinear(g_QuantizeLinear_Output, g_scale, g_zero_point)
        p_float = GlobalAveragePool(g)
        p_QuantizeLinear_Output = QuantizeLinear(p_float, p_scale, p_zero_point)
        p = DequantizeLinear(p_QuantizeLinear_Output, p_scale, p_zero_point)
    }
    ");
}

#[test]
fn joined_numbers_are_scaled_only_if_they_have_to_be() {
    let source = |other: &str| {
        format!(
            "g (float[1,2] x, float[1,2] z) => (float[1,4] y)
            <float s = {{0.5}}, uint8 n = {{3}}, float t = {{0.25}}>
            {{
                xq = QuantizeLinear(x, s, n)
                xd = DequantizeLinear(xq, s, n)
                zq = QuantizeLinear(z, {other}, n)
                zd = DequantizeLinear(zq, {other}, n)
                j = Concat <axis = 1> (xd, zd)
                q = QuantizeLinear(j, s, n)
                y = DequantizeLinear(q, s, n)
            }}"
        )
    };
    assert_snapshot!(rewritten(Target::Generic, &source("s")), @r"
    1 Concat
    g (float[1,2] x, float[1,2] z) => (float[1,4] y)
    <float s = {0.5}, uint8 n = {3}, float t = {0.25}>
    {
        xq = QuantizeLinear(x, s, n)
        zq = QuantizeLinear(z, s, n)
        q = Concat <axis = 1> (xq, zq)
        y = DequantizeLinear(q, s, n)
    }
    ");
    assert_snapshot!(rewritten(X86, &source("t")), @r"
    1 QLinearConcat
    g (float[1,2] x, float[1,2] z) => (float[1,4] y)
    <float s = {0.5}, uint8 n = {3}, float t = {0.25}>
    {
        xq = QuantizeLinear(x, s, n)
        zq = QuantizeLinear(z, t, n)
        q = com.microsoft.QLinearConcat <axis = 1> (s, n, xq, s, n, zq, t, n)
        y = DequantizeLinear(q, s, n)
    }
    ");
    assert_snapshot!(rewritten(Target::Generic, &source("t")), @r"
    left 1 Concat: QLinearConcat is an operator of ONNX Runtime alone
    g (float[1,2] x, float[1,2] z) => (float[1,4] y)
    <float s = {0.5}, uint8 n = {3}, float t = {0.25}>
    {
        xq = QuantizeLinear(x, s, n)
        xd = DequantizeLinear(xq, s, n)
        zq = QuantizeLinear(z, t, n)
        zd = DequantizeLinear(zq, t, n)
        j = Concat <axis = 1> (xd, zd)
        q = QuantizeLinear(j, s, n)
        y = DequantizeLinear(q, s, n)
    }
    ");
}

#[test]
fn what_only_moves_numbers_moves_integers() {
    let source = "
        g (float[1,4,6,6] x) => (float[2,1,38] y, float[2,1,38] z)
        <float s = {0.5}, uint8 n = {3}, int64[3] shape = {2, 2, 36}, int64[6] pads = {0, 0, 1, 0, 0, 1}>
        {
            q0 = QuantizeLinear(x, s, n)
            d0 = DequantizeLinear(q0, s, n)
            p = MaxPool <kernel_shape = [2, 2], pads = [1, 1, 0, 0]> (d0)
            q1 = QuantizeLinear(p, s, n)
            d1 = DequantizeLinear(q1, s, n)
            t = Transpose <perm = [0, 2, 1, 3]> (d1)
            q2 = QuantizeLinear(t, s, n)
            d2 = DequantizeLinear(q2, s, n)
            r = Reshape(d2, shape)
            q3 = QuantizeLinear(r, s, n)
            d3 = DequantizeLinear(q3, s, n)
            e = Pad(d3, pads)
            q4 = QuantizeLinear(e, s, n)
            d4 = DequantizeLinear(q4, s, n)
            u, v = Split <axis = 1> (d4)
            q5 = QuantizeLinear(u, s, n)
            y = DequantizeLinear(q5, s, n)
            q6 = QuantizeLinear(v, s, n)
            z = DequantizeLinear(q6, s, n)
        }
    ";
    assert_snapshot!(rewritten(Target::Generic, source), @r"
    1 MaxPool
    1 Pad
    1 Reshape
    1 Split
    1 Transpose
    g (float[1,4,6,6] x) => (float[2,1,38] y, float[2,1,38] z)
    <float s = {0.5}, uint8 n = {3}, int64[3] shape = {2, 2, 36}, int64[6] pads = {0, 0, 1, 0, 0, 1}>
    {
        q0 = QuantizeLinear(x, s, n)
        q1 = MaxPool <kernel_shape = [2, 2], pads = [1, 1, 0, 0]> (q0)
        q2 = Transpose <perm = [0, 2, 1, 3]> (q1)
        q3 = Reshape(q2, shape)
        q4 = Pad(q3, pads, n)
        q5, q6 = Split <axis = 1> (q4)
        y = DequantizeLinear(q5, s, n)
        z = DequantizeLinear(q6, s, n)
    }
    ");
}

#[test]
fn redundant_limits_and_conversions_disappear() {
    let source = "
        g (float[1,4] x) => (float[1,4] y, float[1,4] z)
        <float s = {0.5}, uint8 n = {0}, uint8 m = {3}>
        {
            q0 = QuantizeLinear(x, s, n)
            d0 = DequantizeLinear(q0, s, n)
            r = Relu(d0)
            q1 = QuantizeLinear(r, s, n)
            d1 = DequantizeLinear(q1, s, n)
            q2 = QuantizeLinear(d1, s, n)
            y = DequantizeLinear(q2, s, n)
            q3 = QuantizeLinear(d1, s, m)
            d3 = DequantizeLinear(q3, s, m)
            l = Relu(d3)
            q4 = QuantizeLinear(l, s, m)
            z = DequantizeLinear(q4, s, m)
        }
    ";
    assert_snapshot!(rewritten(X86, source), @r"
    left 1 Relu: `l` limits to 0 … inf, the quantization behind it represents -1.5 … 126
    g (float[1,4] x) => (float[1,4] y, float[1,4] z)
    <float s = {0.5}, uint8 n = {0}, uint8 m = {3}>
    {
        q0 = QuantizeLinear(x, s, n)
        d1 = DequantizeLinear(q0, s, n)
        y = DequantizeLinear(q0, s, n)
        q3 = QuantizeLinear(d1, s, m)
        d3 = DequantizeLinear(q3, s, m)
        l = Relu(d3)
        q4 = QuantizeLinear(l, s, m)
        z = DequantizeLinear(q4, s, m)
    }
    ");
}

#[test]
fn the_softmax_is_told_its_operator_set_and_a_choice_its_condition() {
    let source = "
        g (float[1,8] x, bool[1,8] c) => (float[1,8] y, float[1,8] z)
        <float s = {0.05}, uint8 n = {128}, float t = {0.004}, uint8 m = {0}>
        {
            q0 = QuantizeLinear(x, s, n)
            d0 = DequantizeLinear(q0, s, n)
            f = Softmax(d0)
            q1 = QuantizeLinear(f, t, m)
            y = DequantizeLinear(q1, t, m)
            w = Where(c, d0, y)
            q2 = QuantizeLinear(w, s, n)
            z = DequantizeLinear(q2, s, n)
        }
    ";
    assert_snapshot!(rewritten(X86, source), @r"
    1 QLinearSoftmax
    1 QLinearWhere
    g (float[1,8] x, bool[1,8] c) => (float[1,8] y, float[1,8] z)
    <float s = {0.05}, uint8 n = {128}, float t = {0.004}, uint8 m = {0}>
    {
        q0 = QuantizeLinear(x, s, n)
        q1 = com.microsoft.QLinearSoftmax <axis = -1, opset = 21> (q0, s, n, t, m)
        y = DequantizeLinear(q1, t, m)
        q2 = com.microsoft.QLinearWhere(c, q0, s, n, q1, t, m, s, n)
        z = DequantizeLinear(q2, s, n)
    }
    ");
}

#[test]
fn what_has_no_operator_stays_between_conversions_and_says_why() {
    let head = "g (float[1,2,4,4] x) => (float y)
        <float s = {0.5}, uint8 n = {3}, float t = {0.25}, uint16 n16 = {3}, int8 i = {0}, int8[2,2,1,1] w,
         uint8[2,2,1,1] v, float[2] ws = {1, 2}, int8[2] wz = {0, 1}, int8[2] zz = {0, 0}, int32[2] b = {1, 2},
         float[2] bs = {1, 1}, float[2] large = {1000000000, 3000000000}, float[2] big = {3, -4}>";
    let conv = |w: &str, zero: &str, bias: &str| {
        let bias = if bias.is_empty() { String::new() } else { format!(", {bias}") };
        format!(
            "wd = DequantizeLinear <axis = 0> ({w}, ws, {zero}) bd = DequantizeLinear <axis = 0> (b, bs)
             r = Conv(xd, wd{bias})"
        )
    };
    let cases = [
        ("r = Tanh(xd)".to_owned(), "s", "n"),
        ("r = MaxPool <kernel_shape = [1, 1]> (xd)".to_owned(), "t", "n"),
        ("r = Relu(xd)".to_owned(), "s", "n"),
        ("r = Clip(xd)".to_owned(), "t", "n"),
        ("r = Sigmoid(xd)".to_owned(), "s", "i"),
        ("r = Sigmoid(xd)".to_owned(), "s", "n16"),
        ("r = Add(xd, x)".to_owned(), "s", "n"),
        ("r = Resize <mode = \"linear\"> (xd, , f) f = Constant <value_floats = [1.0, 1.0, 1.0, 1.0]> ()".to_owned(), "s", "n"),
        ("r = AveragePool <kernel_shape = [2, 2], ceil_mode = 1> (xd)".to_owned(), "s", "n"),
        (conv("w", "wz", ""), "s", "n"),
        (conv("w", "zz", "bd"), "s", "n"),
        (conv("w", "zz", "large"), "s", "n"),
        (conv("w", "zz", "big"), "s", "n"),
    ];
    let mut lines = Vec::new();
    for (nodes, scale, zero) in cases {
        let source = format!(
            "<ir_version: 10, opset_import: [\"\" : 21]> {head} {{
                xq = QuantizeLinear(x, s, n) xd = DequantizeLinear(xq, s, n) {nodes}
                q = QuantizeLinear(r, {scale}, {zero}) y = DequantizeLinear(q, {scale}, {zero})
            }}"
        );
        let mut model = model(&source);
        let form = OperatorForm::write(&mut model, X86).expect("the form can be written");
        lines.push(match form.left.as_slice() {
            [left] => format!("{}: {}", left.op_type, left.reason.as_deref().unwrap_or("?")),
            [] => format!("written: {:?}", form.written),
            several => format!("several: {several:?}"),
        });
    }
    assert_snapshot!(lines.join("\n"), @r#"
    Tanh: there is no Tanh of integers
    MaxPool: `r` is quantized otherwise than what it is moved from
    Relu: `r` limits to 0 … inf, the quantization behind it represents -1.5 … 126
    Clip: `r` is quantized otherwise than what is limited
    Sigmoid: it reads and writes both uint8 and int8
    Sigmoid: `r` is uint16, not of 8 bits
    Add: `x` is not quantized
    Resize: it interpolates
    AveragePool: windows reach over the end
    Conv: `w` has different zero points
    Conv: the bias `bd` is not in steps of the products
    Conv: the bias `large` does not fit into int32
    written: {"QLinearConv": 1}
    "#);
}

#[test]
fn the_whole_block_computes_the_same_on_integers() {
    for (target, name) in [(X86, "x86"), (Target::OnnxRuntimeArm, "arm"), (Target::Generic, "any")]
    {
        let quantized = block(target);
        let mut operators = quantized.clone();
        let form = OperatorForm::write(&mut operators, target).expect("the form can be written");
        assert_eq!(operators.validate(), [], "{name}");
        assert_same_within_a_step(&quantized, &operators);
        let convolutions = form.written.get("QLinearConv");
        assert_eq!(convolutions, Some(&3), "{name}: {form:?}");
        assert_eq!(form.left.is_empty(), target != Target::Generic, "{name}: {form:?}");
        let prediction = Prediction::new(&operators.graph, target);
        let floats: Vec<&str> = prediction
            .nodes
            .iter()
            .filter(|node| !node.integer)
            .map(|node| node.op_type.as_str())
            .collect();
        assert!(floats.is_empty(), "{name}: {floats:?}");
    }
}

#[test]
fn a_target_that_reads_conversions_has_no_such_form() {
    let of = |options: QuantizeOptions| OperatorForm::check(&options).map_err(|no| no.to_string());
    let usual = QuantizeOptions::default;
    assert_eq!(of(usual()), Ok(()));
    assert_eq!(of(QuantizeOptions { target: Target::Generic, ..usual() }), Ok(()));
    let refused: Vec<String> = [
        QuantizeOptions { target: Target::TensorRt, ..usual() },
        QuantizeOptions { target: Target::Qnn, ..usual() },
        QuantizeOptions { target: Target::OpenVino, ..usual() },
        QuantizeOptions { activations: Some(IntegerType::Uint16), ..usual() },
        QuantizeOptions { weights: WeightFormat { bits: 4, ..WeightFormat::INT8 }, ..usual() },
    ]
    .into_iter()
    .filter_map(|options| of(options).err())
    .collect();
    assert_snapshot!(refused.join("\n"), @r"
    tensorrt reads QuantizeLinear and DequantizeLinear only
    qnn reads QuantizeLinear and DequantizeLinear only
    openvino reads QuantizeLinear and DequantizeLinear only
    operators on integers read activations of 8 bits, not uint16
    operators on integers read weights of 8 bits, not int4
    ");
}

#[test]
fn a_model_in_floating_point_stays_as_it_is() {
    let mut model = model(BLOCK);
    let before = lapidary_ir::text::print(&model.graph);
    let form = OperatorForm::write(&mut model, X86).expect("there is nothing to do");
    assert_eq!(form, OperatorForm::default());
    assert_eq!(lapidary_ir::text::print(&model.graph), before);
}
