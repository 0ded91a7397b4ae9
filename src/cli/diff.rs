//! The arguments of `lapidary diff`.
use clap::Args;
use std::path::PathBuf;

/// `lapidary diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first model.
    #[arg(value_name = "A.onnx")]
    pub(crate) a: PathBuf,
    /// The second model.
    #[arg(value_name = "B.onnx")]
    pub(crate) b: PathBuf,
}
