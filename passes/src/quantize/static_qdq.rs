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
        let plan = QuantizationPlan::new(&model.graph, &self.calibration, &self.options);
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
