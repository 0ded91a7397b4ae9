//! What each runtime wants to read.
use super::format::{IntegerFormat, IntegerType};
use std::fmt;
use std::str::FromStr;

/// A runtime that executes the quantized model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// ONNX Runtime on x86: `uint8` activations, a pair behind every operator.
    #[default]
    OnnxRuntimeX86,
    /// ONNX Runtime on ARM: the same with `int8` activations.
    OnnxRuntimeArm,
    /// TensorRT: symmetric `int8`, pairs before convolutions and products alone, `float` biases.
    TensorRt,
    /// Qualcomm's HTP: every operator reads and writes integers, inputs and outputs of the model as well.
    Qnn,
    /// OpenVINO: pairs before operators, one scale for all operands of a `Concat`.
    OpenVino,
    /// Any runtime of the ONNX operators: what ONNX Runtime on x86 gets, with `int32` biases.
    Generic,
}

/// Which side of an operator its pairs of `QuantizeLinear` and `DequantizeLinear` are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Behind what is computed: an operator runs on integers when all it reads and writes is quantized.
    Behind,
    /// Before what is read: what is computed may stay in floating point.
    Before,
}

/// How biases are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BiasForm {
    /// As `int32` with the product of the scales of what they are added to.
    Int32,
    /// As they are.
    Float,
}

/// What is the same for all models of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Whom it is for.
    pub(super) target: Target,
    /// The integers of activations.
    pub(super) activations: IntegerFormat,
    /// Where pairs are.
    pub(super) side: Side,
    /// How biases are stored.
    pub(super) bias: BiasForm,
    /// Whether operands and result of a `Concat` have one scale.
    pub(super) shared_concat: bool,
    /// Whether a node that neither follows nor feeds a product is worth a quantization.
    pub(super) islands: bool,
    /// Whether products write integers even where only floating-point numbers are read.
    pub(super) integer_results: bool,
}

impl Target {
    /// All targets, by name.
    pub const ALL: &[(&str, Self)] = &[
        ("onnxruntime-x86", Self::OnnxRuntimeX86),
        ("onnxruntime-arm", Self::OnnxRuntimeArm),
        ("tensorrt", Self::TensorRt),
        ("qnn", Self::Qnn),
        ("openvino", Self::OpenVino),
        ("generic", Self::Generic),
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, target)| *target == self).map_or("", |(name, _)| name)
    }

    pub(super) fn profile(self) -> Profile {
        let behind = Profile {
            target: self,
            activations: IntegerFormat::UINT8,
            side: Side::Behind,
            bias: BiasForm::Int32,
            shared_concat: false,
            islands: false,
            integer_results: false,
        };
        match self {
            Self::OnnxRuntimeX86 | Self::Generic => behind,
            Self::OnnxRuntimeArm => {
                Profile { activations: IntegerFormat::asymmetric(IntegerType::Int8), ..behind }
            }
            Self::Qnn => {
                Profile { shared_concat: true, islands: true, integer_results: true, ..behind }
            }
            Self::TensorRt => Profile {
                activations: IntegerFormat::SYMMETRIC_INT8,
                side: Side::Before,
                bias: BiasForm::Float,
                shared_concat: true,
                ..behind
            },
            Self::OpenVino => {
                Profile { side: Side::Before, bias: BiasForm::Float, shared_concat: true, ..behind }
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No target is called that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no target is called `{found}`; there are {}", names())]
pub struct UnknownTarget {
    found: String,
}

fn names() -> String {
    let names: Vec<&str> = Target::ALL.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, target)| *target).ok_or_else(|| UnknownTarget { found: text.to_owned() })
    }
}
