//! Static quantization as a pass.
use super::{Calibration, QuantizationPlan, QuantizeOptions};
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::Model;

pass! {
    /// Runs convolutions and matrix products on 8-bit integers.
    ///
    /// `QuantizeLinear` and `DequantizeLinear` go where ONNX Runtime on x86 turns the operators between them
    /// into integer kernels: activations are `uint8`, with the ranges observed on calibration samples;
    /// weights are `int8`, with a scale per output channel; biases are `int32`. Without calibration samples
    /// nothing is quantized.
    pub struct QuantizeStaticQdq {
        /// The ranges of the values.
        pub calibration: Calibration,
        /// What the caller decides.
        pub options: QuantizeOptions,
    }
    name: "quantize-static-qdq",
    accuracy: Lossy,
    emits: ["QuantizeLinear", "DequantizeLinear"],
}

impl Pass for QuantizeStaticQdq {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let plan = QuantizationPlan::of_model(model, &self.calibration, &self.options);
        plan.apply(model)?;
        let record = context.record(&Self::INFO);
        record.rewrites += plan.integer_nodes();
        plan.nodes
            .into_iter()
            .filter_map(|node| node.reason)
            .for_each(|reason| record.skip(reason));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calibration, model};
    use super::*;
    use insta::assert_snapshot;

    const SOURCE: &str = "
        g (float[1,2] x) => (float[1,2] y)
        <float[2,2] w = {127, 1, 254, 1}>
        {
            p = MatMul(x, w)
            y = Tanh(p)
        }
    ";

    #[test]
    fn without_calibration_nothing_changes() {
        assert_snapshot!(crate::testing::rewrite(&QuantizeStaticQdq::default(), SOURCE), @r"
        quantize-static-qdq: 0 rewrites
        skipped 1: ONNX Runtime computes Tanh in floating point
        skipped 1: `x` was not observed
        unchanged
        ");
    }

    #[test]
    fn with_calibration_it_is_done_once() {
        let calibration = calibration(&model(SOURCE), &[]);
        let pass = QuantizeStaticQdq { calibration, options: QuantizeOptions::default() };
        assert_snapshot!(crate::testing::rewrite(&pass, SOURCE), @r"
        quantize-static-qdq: 1 rewrites
        skipped 1: ONNX Runtime computes Tanh in floating point
        g (float[1,2] x) => (float[1,2] y)
        <int8[2,2] w_quantized = {64, 127, 127, 127}, float[2] w_scale = {2, 0.007874016},
            int8[2] w_zero_point = {0, 0}, float x_scale = {1}, uint8 x_zero_point = {128}>
        {
            w_DequantizeLinear_Output = DequantizeLinear <axis = 1> (w_quantized, w_scale, w_zero_point)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            p = MatMul(x_DequantizeLinear_Output, w_DequantizeLinear_Output)
            y = Tanh(p)
        }
        ");
    }
}
