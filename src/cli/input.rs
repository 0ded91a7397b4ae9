//! Which model is read, and how, and where the result goes.
use super::Shapes;
use clap::Args;
use std::path::PathBuf;

/// A model and how its file is read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How a model file is read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Drop fields that are newer than this version instead of refusing the file.
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Also allow external data in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) external_root: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) shapes: Shapes,
}

/// Where the result goes.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}
