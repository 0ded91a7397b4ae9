//! Integer products whose activations are quantized while the model runs.
//!
//! The scale of an activation is that of the numbers at hand, so no sample is needed beforehand; weights
//! have one scale per output channel. `x·W + b` becomes
//!
//! q, s, z = DynamicQuantizeLinear(x), y = float(MatMulInteger(q, Wq, z)) · (s · scales) + b,
//!
//! one `DynamicQuantizeLinear` for all that read x. A table of embeddings is looked up in integers:
//! y = float(Gather(Tq, i)) · Gather(scales, i); one that is sliced, as of positions, likewise.
mod dynamic_integer;
mod emit;
mod layer;
mod rows;
mod site;

pub use dynamic_integer::QuantizeDynamicInteger;

/// What the caller decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicOptions {
    /// The operators to quantize, of [`DynamicOptions::OPERATORS`].
    pub op_types: Vec<String>,
    /// Nodes that stay as they are, by name; a node without a name goes by that of its first output.
    pub exclude: Vec<String>,
    /// Weights of 7 bits, so that x86 processors without VNNI, which add two products in 16 bits,
    /// do not overflow.
    pub reduce_range: bool,
    /// Operators of ONNX Runtime's own domain may be used.
    pub onnxruntime: bool,
}

impl DynamicOptions {
    /// The operators that can be quantized.
    pub const OPERATORS: [&str; 6] = ["Conv", "GRU", "Gather", "Gemm", "LSTM", "MatMul"];

    /// Nothing asked for: the default operators are.
    pub const DEFAULT: Self =
        Self { op_types: Vec::new(), exclude: Vec::new(), reduce_range: false, onnxruntime: false };

    /// Whether nodes of an operator are to be quantized: all but `Conv`, whose integer form is slow
    /// where it has no kernel of its own, unless the caller lists operators.
    #[must_use]
    pub fn includes(&self, op_type: &str) -> bool {
        match self.op_types.as_slice() {
            [] => Self::OPERATORS.contains(&op_type) && op_type != "Conv",
            listed => listed.iter().any(|listed| listed == op_type),
        }
    }

    /// The largest magnitude of a weight's code.
    pub(crate) fn steps(&self) -> f32 {
        if self.reduce_range { 63.0 } else { 127.0 }
    }
}

impl Default for DynamicOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
