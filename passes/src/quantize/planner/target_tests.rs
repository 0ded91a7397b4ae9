//! Where each target's integers are, on the parts networks are made of.
use super::super::QuantizeOptions;
use super::super::target::Target;
use super::super::testing::{calibration, model};
use super::*;
use insta::assert_snapshot;

/// What runs on integers and which values are quantized, a line per target.
fn placements(source: &str, ranges: &[(&str, f32, f32)]) -> String {
    let model = model(source);
    let calibration = calibration(&model, ranges);
    let line = |&(name, target): &(&str, Target)| {
        let options = QuantizeOptions { target, ..QuantizeOptions::default() };
        let plan = QuantizationPlan::new(&model.graph, &calibration, &options);
        let nodes = plan.nodes.iter().filter(|node| node.integer).map(|node| node.node.as_str());
        let value = |value: &ValueQuantization| match &value.shares {
            Some(owner) => format!("{}={owner}", value.name),
            None => format!("{}:{}", value.name, value.zero_point),
        };
        let nodes: Vec<&str> = nodes.collect();
        let values: Vec<String> = plan.values.iter().map(value).collect();
        let mut line = format!("{name}: {} | {}", nodes.join(" "), values.join(" "));
        if !plan.biases.is_empty() {
            line.push_str(" | int32 biases");
        }
        line + "\n"
    };
    Target::ALL.iter().map(line).collect()
}

#[test]
fn residual() {
    let source = "
        g (float[1,16,4,4] x) => (float[1,16,4,4] y)
        <float[16,16,3,3] w1, float[16] b1, float[16,16,3,3] w2, float[16,16,3,3] w3>
        {
            a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
            ra = Relu(a)
            b = Conv <pads = [1, 1, 1, 1]> (ra, w2)
            s = Add(b, x)
            r = Relu(s)
            y = Conv <pads = [1, 1, 1, 1]> (r, w3)
        }
    ";
    assert_snapshot!(placements(source, &[("ra", 0.0, 255.0), ("r", 0.0, 510.0)]), @r"
    onnxruntime-x86: a ra b s r y | x:128 ra:0 b:128 r:0 y:128 | int32 biases
    onnxruntime-arm: a ra b s r y | x:0 ra:-128 b:0 r:-128 y:0 | int32 biases
    tensorrt: a ra b s r y | x:0 ra:0 r:0
    qnn: a ra b s r y | x:128 ra:0 b:128 r:0 y:128 | int32 biases
    openvino: a ra b s r y | x:128 ra:0 b:128 r:0
    generic: a ra b s r y | x:128 ra:0 b:128 r:0 y:128 | int32 biases
    ");
}

#[test]
fn squeeze_and_excitation() {
    let source = "
        g (float[1,16,4,4] x) => (float[1,16,4,4] y)
        <float[16,16,1,1] w1, float[16,16,1,1] w2, float[16,16,1,1] w3>
        {
            c = Conv(x, w1)
            p = GlobalAveragePool(c)
            f = Conv(p, w2)
            gate = Sigmoid(f)
            m = Mul(c, gate)
            y = Conv(m, w3)
        }
    ";
    assert_snapshot!(placements(source, &[]), @r"
    onnxruntime-x86: c p f gate m y | x:128 c:128 p:128 f:128 gate:0 m:128 y:128
    onnxruntime-arm: c p f gate m y | x:0 c:0 p:0 f:0 gate:-128 m:0 y:0
    tensorrt: c p f y | x:0 c:0 p:0 m:0
    qnn: c p f gate m y | x:128 c:128 p:128 f:128 gate:0 m:128 y:128
    openvino: c p f y | x:128 c:128 p:128 m:128
    generic: c p f gate m y | x:128 c:128 p:128 f:128 gate:0 m:128 y:128
    ");
}

#[test]
fn silu() {
    let source = "
        g (float[1,16,4,4] x) => (float[1,16,4,4] y)
        <float[16,16,1,1] w1, float[16,16,1,1] w2>
        {
            c = Conv(x, w1)
            gate = Sigmoid(c)
            m = Mul(c, gate)
            y = Conv(m, w2)
        }
    ";
    assert_snapshot!(placements(source, &[]), @r"
    onnxruntime-x86: c gate m y | x:128 c:128 gate:0 m:128 y:128
    onnxruntime-arm: c gate m y | x:0 c:0 gate:-128 m:0 y:0
    tensorrt: c y | x:0 m:0
    qnn: c gate m y | x:128 c:128 gate:0 m:128 y:128
    openvino: c y | x:128 m:128
    generic: c gate m y | x:128 c:128 gate:0 m:128 y:128
    ");
}

#[test]
fn concat() {
    let source = "
        g (float[1,16,4,4] x) => (float[1,16,4,4] y)
        <float[16,16,1,1] w1, float[16,32,1,1] w2>
        {
            a = Conv(x, w1)
            r = Relu(a)
            j = Concat <axis = 1> (x, r)
            y = Conv(j, w2)
        }
    ";
    assert_snapshot!(placements(source, &[("r", 0.0, 510.0), ("j", -128.0, 510.0)]), @r"
    onnxruntime-x86: a r j y | x:128 r:0 j:51 y:128
    onnxruntime-arm: a r j y | x:0 r:-128 j:-77 y:0
    tensorrt: a r j y | x:0 r=x j=x
    qnn: a r j y | x:51 r=x j=x y:128
    openvino: a r j y | x:51 r=x j=x
    generic: a r j y | x:128 r:0 j:51 y:128
    ");
}

#[test]
fn attention() {
    let source = "
        g (float[1,4,16] x) => (float[1,4,16] y)
        <float[16,16] wq, float[16,16] wk, float[16,16] wv, float[16,16] wo>
        {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            t = Transpose <perm = [0, 2, 1]> (k)
            s = MatMul(q, t)
            p = Softmax(s)
            o = MatMul(p, v)
            y = MatMul(o, wo)
        }
    ";
    assert_snapshot!(placements(source, &[]), @r"
    onnxruntime-x86: q k v y | x:128 o:128
    onnxruntime-arm: q k v y | x:0 o:0
    tensorrt: q k v y | x:0 o:0
    qnn: q k v t s p o y | x:128 q:128 k:128 v:128 t=k s:128 p:0 o:128 y:128
    openvino: q k v t y | x:128 o:128
    generic: q k v y | x:128 o:128
    ");
}

#[test]
fn pooling() {
    let source = "
        g (float[1,16,8,8] x) => (float[1,16] y)
        <float[16,16,1,1] w1, float[16,16,1,1] w2, float[16,16] w3>
        {
            a = Conv(x, w1)
            r = Relu(a)
            m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
            b = Conv(m, w2)
            p = GlobalAveragePool(b)
            f = Flatten(p)
            y = Gemm(f, w3)
        }
    ";
    assert_snapshot!(placements(source, &[("r", 0.0, 510.0)]), @r"
    onnxruntime-x86: a r m b p f y | x:128 r:0 m=r b:128 p:128 f=p
    onnxruntime-arm: a r m b p f y | x:0 r:-128 m=r b:0 p:0 f=p
    tensorrt: a r m b p y | x:0 r:0 m=r b:0 f:0
    qnn: a r m b p f y | x:128 r:0 m=r b:128 p:128 f=p y:128
    openvino: a r m b p f y | x:128 m=r b:128 f=p
    generic: a r m b p f y | x:128 r:0 m=r b:128 p:128 f=p
    ");
}
