//! Which integers, and where.
use clap::{Args, ValueEnum};
use lapidary::passes::quantize::{NodeSelector, Target as Runtime};
use std::path::PathBuf;

/// Which integers, and where.
#[derive(Debug, Args)]
pub(crate) struct Integers {
    /// Who executes the model: decides where QuantizeLinear and DequantizeLinear go and of which type they are. One of
    /// onnxruntime-x86, onnxruntime-arm, tensorrt, qnn, openvino, generic.
    #[arg(long, value_name = "TARGET", default_value_t)]
    pub(crate) target: Runtime,
    /// The type of activations; by default what the target wants.
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) activations: Option<ActivationType>,
    /// Quantize activations around 0.
    #[arg(long, overrides_with = "asymmetric")]
    pub(crate) symmetric: bool,
    /// Give activations any zero point.
    #[arg(long)]
    pub(crate) asymmetric: bool,
    /// The type of weights.
    #[arg(long, value_enum, value_name = "TYPE", default_value = "int8")]
    pub(crate) weights: WeightType,
    /// One scale for all output channels of a weight, instead of one for each.
    #[arg(long)]
    pub(crate) per_tensor: bool,
    /// Use 7 bits of int8 weights, for x86 processors without VNNI.
    #[arg(long)]
    pub(crate) reduce_range: bool,
    /// Make every scale a power of two.
    #[arg(long)]
    pub(crate) power_of_two: bool,
    /// How biases are stored; by default as the target wants them.
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) bias: Option<BiasType>,
    /// Leave these nodes in float: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub(crate) exclude: Vec<NodeSelector>,
    /// Also write a calibration cache for TensorRT's implicit quantization.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration_cache: Option<PathBuf>,
    /// Leave the first and the last convolution or product in float.
    #[arg(long)]
    pub(crate) keep_first_last: bool,
}

/// Types of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationType {
    /// 0 to 255.
    Uint8,
    /// −128 to 127.
    Int8,
    /// 0 to 65535; needs opset 21.
    Uint16,
    /// −32768 to 32767; needs opset 21.
    Int16,
}

/// Types of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// −127 to 127.
    Int8,
    /// −7 to 7; needs opset 21.
    Int4,
}

/// Types of biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BiasType {
    /// In steps of the product of the scales of what is multiplied.
    Int32,
    /// As it is.
    Float,
}
