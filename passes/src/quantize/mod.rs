//! Quantizes weights and activations.
//!
//! Three steps, each plain data for the next: [`Calibration`] runs the model and notes the range of every
//! value; [`QuantizationPlan`] decides, node by node and with reasons, what becomes integers;
//! [`QuantizationPlan::apply`] carries that out. [`QuantizeStaticQdq`] is the same as a pass.
use crate::Pass;

mod apply;
mod calibration;
mod calibration_cache;
mod calibration_file;
mod calibration_statistics;
mod census;
pub mod dynamic;
pub mod equalize;
mod existing;
mod fingerprint;
mod format;
mod matrix;
mod outcome;
mod pairs;
mod placement;
mod plan;
mod planner;
mod prediction;
pub mod qoperator;
mod range;
mod ranges;
pub mod refine;
mod select;
mod settings;
mod static_qdq;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod weight;
pub mod weight_only;

pub use calibration::{Calibration, NoParameters};
pub use calibration_file::{
    CalibrationFileError, MAGIC as CALIBRATION_MAGIC, MergeError, OtherModel,
};
pub use calibration_statistics::CalibrationStatistics;
pub use census::{Census, QuantizedActivation, QuantizedConstant};
pub use existing::is_quantized;
pub(crate) use existing::{Existing, is_dequantized};
pub use fingerprint::Fingerprint;
pub use format::{IntegerFormat, IntegerType};
pub use outcome::{NodeOutcome, Outcome, StoredWeight, nmse};
pub use plan::{
    BiasQuantization, ConstantQuantization, NodePlacement, QuantizationPlan, Reader,
    ValueQuantization, WeightQuantization,
};
pub use prediction::{BrokenRule, Prediction};
pub use range::{FixedRange, Limits, Parameters, Range, RangeError};
pub use ranges::{RangeMethod, UnknownMethod};
pub(crate) use select::excluded;
pub use select::{InvalidPattern, NodeSelector};
pub use settings::QuantizeOptions;
pub use static_qdq::QuantizeStaticQdq;
pub use target::{BiasForm, Target, UnknownTarget};
pub use weight::WeightFormat;

/// The passes of this verb, in documentation order. As registered, without calibration, they quantize nothing.
pub const PASSES: &[&dyn Pass] = &[
    &QuantizeStaticQdq { calibration: Calibration::EMPTY, options: QuantizeOptions::DEFAULT },
    &dynamic::QuantizeDynamicInteger { options: dynamic::DynamicOptions::DEFAULT },
    &weight_only::QuantizeWeights { options: weight_only::WeightOptions::DEFAULT },
];
