//! Weights in few bits, restored when the model runs; activations stay as they are.
//!
//! | form | restored as | emitted as |
//! | --- | --- | --- |
//! | blocks | scale · (code − zero point), one pair per block of a channel | `DequantizeLinear` |
//! | blocks | the same | `com.microsoft.MatMulNBits` |
//! | codebook | the center a code stands for, one book per weight | `Gather` |
//! | normal float | scale · a quantile of the normal distribution | `Gather`, `Mul`, `Reshape` |
//!
//! Blocks run along the inputs of a product, so that each output channel has its own.
mod block;
mod blocks;
mod codebook;
mod emit;
mod grid;
mod n_bits;
mod normal_float;
mod pack;
mod site;
mod weights;

pub use block::{Fit, Search};
pub use blocks::Blocks;
pub use codebook::Codebook;
pub use grid::Grid;
pub use normal_float::{NF4, NormalFloat};
pub use pack::pack;
pub use weights::{QuantizeWeights, WeightError};

use lapidary_ir::ElemType;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// Integers that `DequantizeLinear` restores.
    Dequantize,
    /// Unsigned integers of an operator of ONNX Runtime's own that multiplies with them.
    MatMulNBits {
        /// The precision activations may be reduced to: 0 for that of the inputs, 1 to 4 for float,
        /// half, bfloat16 and 8-bit integers.
        accuracy_level: u8,
    },
    /// Indices into the centers of that many bits.
    Codebook {
        /// 1 to 8.
        bits: u32,
    },
    /// 4-bit indices into the quantiles of the normal distribution.
    NormalFloat,
}

/// What the caller decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightOptions {
    /// How weights are stored.
    pub format: WeightFormat,
    /// The type of the integers: 2, 4 or 8 bits, signed or not.
    pub elem_type: ElemType,
    /// The numbers of a block; none for one block per channel.
    pub block: Option<usize>,
    /// No zero points: 0 is in the middle.
    pub symmetric: bool,
    /// How scales are chosen.
    pub search: Search,
    /// The operators whose weights are quantized, of [`WeightOptions::OPERATORS`]; all when empty.
    pub op_types: Vec<String>,
    /// Nodes whose weights stay, by name; a node without a name goes by that of its first output.
    pub exclude: Vec<String>,
}

impl WeightOptions {
    /// The operators whose weights can be quantized.
    pub const OPERATORS: [&str; 4] = ["Conv", "Gather", "Gemm", "MatMul"];

    /// 4 bits with zero points, in blocks of 32.
    pub const DEFAULT: Self = Self {
        format: WeightFormat::Dequantize,
        elem_type: ElemType::INT4,
        block: Some(32),
        symmetric: false,
        search: Search::LeastError,
        op_types: Vec::new(),
        exclude: Vec::new(),
    };

    /// Whether the weights of an operator are to be quantized.
    #[must_use]
    pub fn includes(&self, op_type: &str) -> bool {
        match self.op_types.as_slice() {
            [] => Self::OPERATORS.contains(&op_type),
            listed => listed.iter().any(|listed| listed == op_type),
        }
    }

    /// The operator set the result needs.
    pub(crate) fn opset(&self) -> i64 {
        match self.format {
            WeightFormat::MatMulNBits { .. } => 1,
            WeightFormat::Codebook { bits: 5.. } => 13,
            WeightFormat::Codebook { .. } | WeightFormat::NormalFloat => 21,
            WeightFormat::Dequantize => match self.elem_type {
                ElemType::INT2 | ElemType::UINT2 => 25,
                ElemType::INT8 | ElemType::UINT8 if self.block.is_none() => 13,
                _ => 21,
            },
        }
    }
}

impl Default for WeightOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
