//! Recurrent layers with quantized weights, an operator of ONNX Runtime.
use super::emit::Emitter;
use super::site::Weights;
use crate::quantize::matrix::transposed;
use lapidary_ir::{NewNode, NodeId, Operand, Tensor};

/// The inputs of `LSTM` that stay: X, W, R, B, lengths, two initial states, peepholes.
const INPUTS: usize = 8;

impl Emitter<'_> {
    /// `DynamicQuantizeLSTM` takes the inputs of `LSTM`, the weights transposed, `[directions, input,
    /// 4 · hidden]`, and then scale and zero point `[directions, 4 · hidden]` of W and of R.
    pub(super) fn lstm(
        &mut self,
        id: NodeId,
        input: &Weights,
        recurrent: &Weights,
    ) -> Result<(), &'static str> {
        let (w, r) = (self.stored(input)?, self.stored(recurrent)?);
        let node = NewNode::like(self.graph, id).domain("com.microsoft");
        let mut node = node.op_type("DynamicQuantizeLSTM").without_attribute("layout");
        node = node.truncate_inputs(INPUTS).with_input(1, w[0]).with_input(2, r[0]);
        let parameters = [w[1], w[2], r[1], r[2]];
        for (slot, operand) in parameters.into_iter().enumerate() {
            node = node.with_input(INPUTS + slot, operand);
        }
        let first = self.patch.node(node);
        for (slot, &output) in self.graph[id].outputs().iter().enumerate() {
            if let Some(output) = output.filter(|&output| !self.graph.value(output).is_unused()) {
                let made = self.patch.output(first, slot);
                self.patch.replace(output, made);
            }
        }
        Ok(())
    }

    /// Codes, scales and zero points of weights `[directions, channels, width]`.
    fn stored(&mut self, weights: &Weights) -> Result<[Operand; 3], &'static str> {
        let [directions, channels, width] = *weights.tensor.dims() else {
            return Err("its weights are no matrix");
        };
        let numbers: Vec<f32> = weights.tensor.to_vec().unwrap_or_default();
        let rows = self.rows(weights, (directions * channels) as usize, &numbers)?;
        let matrix = (channels * width) as usize;
        let codes: Vec<i8> = rows
            .codes
            .chunks(matrix)
            .flat_map(|codes| transposed(codes, channels as usize))
            .collect();
        let name = self.graph.value(weights.value).name();
        let codes = Tensor::new(&[directions, width, channels], &codes);
        let scales = Tensor::new(&[directions, channels], &rows.scales);
        let zero_points = Tensor::new(&[directions, channels], &vec![0i8; rows.scales.len()]);
        Ok([
            self.patch.initializer(format!("{name}_quantized"), codes),
            self.patch.initializer(format!("{name}_scale"), scales),
            self.patch.initializer(format!("{name}_zero_point"), zero_points),
        ])
    }
}
