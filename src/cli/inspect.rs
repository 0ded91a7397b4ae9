//! The arguments of `lapidary inspect`.
use super::Input;
use crate::commands::Data;
use clap::Args;
use lapidary::passes::quantize::{RangeMethod, Target as Runtime};
use std::path::PathBuf;

/// `lapidary inspect`
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Print the whole graph as ONNX text.
    #[arg(long)]
    pub(crate) text: bool,
    /// Print what is quantized, with which types and scales, and what will run on integers.
    #[arg(long)]
    pub(crate) quantization: bool,
    /// Who executes the quantized model.
    #[arg(long, value_name = "TARGET", default_value_t)]
    pub(crate) target: Runtime,
    /// The model before it was quantized: print the error of every layer against it.
    #[arg(long, value_name = "FLOAT.onnx", requires = "quantization")]
    pub(crate) original: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Of calibration statistics, show the ranges this method chooses.
    #[arg(long, value_name = "METHOD", default_value_t = RangeMethod::DEFAULT)]
    pub(crate) method: RangeMethod,
}
