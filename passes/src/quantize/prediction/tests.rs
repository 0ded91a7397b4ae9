use super::super::testing::{calibration, model};
use super::super::{QuantizationPlan, QuantizeOptions};
use super::*;
use insta::assert_snapshot;
use lapidary_ir::Model;

const BLOCK: &str = "
    g (float[1,16,4,4] x) => (float[1,10] y)
    <float[16,16,3,3] w1, float[16] b1, float[16,16,3,3] w2, float[16,10] w3, float[10] b3>
    {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        ra = Relu(a)
        b = Conv <pads = [1, 1, 1, 1]> (ra, w2)
        s = Add(b, x)
        r = Relu(s)
        p = GlobalAveragePool(r)
        f = Flatten(p)
        y = Gemm(f, w3, b3)
    }
";

fn quantized(target: Target) -> Model {
    let mut model = model(BLOCK);
    let ranges = [("ra", 0.0, 255.0), ("r", 0.0, 510.0), ("p", 0.0, 255.0)];
    let calibration = calibration(&model, &ranges);
    let options = QuantizeOptions { target, ..QuantizeOptions::default() };
    let plan = QuantizationPlan::new(&model.graph, &calibration, &options);
    plan.apply(&mut model).expect("the plan is for this graph");
    model
}

#[test]
fn what_is_written_breaks_no_rule_and_runs_as_planned() {
    for &(name, target) in Target::ALL {
        let prediction = Prediction::new(&quantized(target).graph, target);
        assert_eq!(prediction.broken, [], "{name}");
        let floats = prediction.nodes.iter().filter(|node| !node.integer);
        let products = floats.filter(|node| matches!(&*node.op_type, "Conv" | "Gemm"));
        let least = if target == Target::TensorRt { 1 } else { 0 };
        assert_eq!(products.count(), least, "{name}: {prediction}");
    }
}

#[test]
fn a_target_sees_what_was_meant_for_another() {
    let model = quantized(Target::TensorRt);
    assert_snapshot!(Prediction::new(&model.graph, Target::OnnxRuntimeX86), @r"
    0 of 1 Add on integers
    0 of 2 Conv on integers
    0 of 1 Flatten on integers
    0 of 1 Gemm on integers
    0 of 1 GlobalAveragePool on integers
    0 of 2 Relu on integers
      Conv `a` stays float: `ra_relu` limits to 0 … inf, the quantization behind it represents -257.00787 … 255
      Conv `b` stays float: `b` is not quantized
      Gemm `y` stays float: `f` is not quantized
    ");
    let model = quantized(Target::OnnxRuntimeX86);
    assert_snapshot!(Prediction::new(&model.graph, Target::TensorRt), @r"
    1 of 1 Add on integers
    2 of 2 Conv on integers
    0 of 1 Flatten on integers
    1 of 1 Gemm on integers
    1 of 1 GlobalAveragePool on integers
    0 of 2 Relu on integers
    `b1_DequantizeLinear` breaks a rule of tensorrt: it dequantizes int32: biases stay float
    `x_QuantizeLinear` breaks a rule of tensorrt: its zero point is 128, not 0
    `x_DequantizeLinear` breaks a rule of tensorrt: its zero point is 128, not 0
    `b_QuantizeLinear` breaks a rule of tensorrt: its zero point is 128, not 0
    `b_DequantizeLinear` breaks a rule of tensorrt: its zero point is 128, not 0
    `b3_DequantizeLinear` breaks a rule of tensorrt: it dequantizes int32: biases stay float
    ");
}
