//! Quantizes weights and activations.
//!
//! Three steps, each plain data for the next: [`Calibration`] runs the model and notes the range of every
//! value; [`QuantizationPlan`] decides, node by node and with reasons, what becomes integers;
//! [`QuantizationPlan::apply`] carries that out. [`QuantizeStaticQdq`] is the same as a pass.
use crate::Pass;

mod apply;
mod calibration;
pub mod dynamic;
mod matrix;
mod outcome;
mod placement;
mod plan;
mod planner;
mod range;
mod static_qdq;
#[cfg(test)]
mod testing;
mod weight;
pub mod weight_only;

pub use calibration::{Calibration, NoParameters};
pub use outcome::{NodeOutcome, Outcome, StoredWeight, nmse};
pub use plan::{
    BiasQuantization, NodePlacement, QuantizationPlan, QuantizeOptions, Reader, ValueQuantization,
    WeightQuantization,
};
pub use range::{Parameters, Range, RangeError};
pub use static_qdq::QuantizeStaticQdq;

/// The passes of this verb, in documentation order. As registered, without calibration, they quantize nothing.
pub const PASSES: &[&dyn Pass] = &[
    &QuantizeStaticQdq {
        calibration: Calibration::EMPTY,
        options: QuantizeOptions { exclude: Vec::new() },
    },
    &dynamic::QuantizeDynamicInteger { options: dynamic::DynamicOptions::DEFAULT },
    &weight_only::QuantizeWeights { options: weight_only::WeightOptions::DEFAULT },
];
