//! Makes ONNX models smaller and faster, and proves that they still do their job.
//!
//! The program `lapidary` is a thin face of this library: [`open`] a model, change it with
//! [`optimize`], [`prune_by`], [`sparsify()`] and [`quantize`], compare it with the original by a [`Reference`], [`save`] it.
//!
//! ```no_run
//! # fn main() -> Result<(), lapidary::Error> {
//! let opened = lapidary::open("model.onnx".as_ref(), &lapidary::ReadOptions::default())?;
//! let mut model = opened.model;
//! lapidary::optimize(&mut model)?;
//! lapidary::save(&model, "small.onnx".as_ref())?;
//! # Ok(())
//! # }
//! ```
mod bisect;
mod blocks;
mod calibrate;
mod cost;
mod data;
mod diff;
mod error;
mod evaluate;
mod factorize;
mod file;
mod group_sensitivity;
mod keep;
mod latency;
mod layers;
mod light;
mod proof;
mod prune;
mod road;
mod runtime;
mod search;
mod sensitivity;
mod sparsify;

pub use bisect::{Guilty, bisect};
pub use blocks::{drop_blocks, find_blocks};
pub use calibrate::{calibrate, is_calibration, read_calibration, write_calibration};
pub use cost::Cost;
pub use data::{
    Channels, DataOptions, Dataset, DatasetError, Finding, ImplausibleInput, Interpolation, Layout,
    Preprocess, Resize,
};
pub use diff::{Diff, NodeChange, Pair, TensorChange};
pub use error::Error;
pub use evaluate::{Evaluation, OutputError, Reference};
pub use factorize::factorize;
pub use file::{Opened, open, save, save_text};
pub use group_sensitivity::{GroupSensitivities, group_sensitivities};
pub use keep::{read_keep, write_keep};
pub use lapidary_exec as exec;
pub use lapidary_ir as ir;
pub use lapidary_passes as passes;
pub use lapidary_proto::ReadOptions;
pub use layers::{LayerError, layer_errors};
pub use light::{convert_float, quantize_dynamic, quantize_weights};
pub use proof::{Difference, NotExecutable, Proof, ProofOptions};
pub use prune::{Amount, Cut, PruneOptions, prune_base, prune_by, prune_plan, read_gradients};
pub use road::{
    change_float, convert_opset, fix_dims, inline_functions, optimize, optimize_with, quantize,
    quantize_corrected, quantize_refined, quantize_with, write_integer_operators,
};
pub use runtime::{Runtime, RuntimeError};
pub use search::{fewest, knee, most};
pub use sensitivity::{
    Loss, Prefix, ProductLoss, RANKING_SAMPLES, Ranking, Trials, excluding, products,
};
pub use sparsify::{DEFLATE_LEVEL, WeightBytes, read_masks, sparsify};
