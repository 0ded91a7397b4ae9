//! Converts models to newer operator sets, and to floating-point numbers of 16 bits.
//!
//! What an operator became from one version to the next stands in tables, one file per family of
//! operators: the same for what the older version could say, or an adapter, or refused.
mod axes;
mod casting;
mod change;
mod choice;
mod float_type;
mod half;
mod normalization;
mod opset;
mod pool;
mod precision;
mod resize;
mod same;
mod softmax;
#[cfg(test)]
mod tests;

pub use float_type::{ConvertFloatType, FloatOptions, FloatTypeError, rounded_constants};
pub use opset::{ConvertError, ConvertOpset, Refused};

use crate::Pass;
use change::{Change, Entry};

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] =
    &[&ConvertOpset { target: 21 }, &ConvertFloatType { options: FloatOptions::DEFAULT }];

const FAMILIES: &[&[Entry]] = &[
    same::CHANGES,
    axes::CHANGES,
    softmax::CHANGES,
    resize::CHANGES,
    normalization::CHANGES,
    pool::CHANGES,
    choice::CHANGES,
];

/// What became of an operator in the version that operator set `since` made.
fn find(op_type: &str, since: i64) -> Option<&'static Change> {
    let mut entries = FAMILIES.iter().copied().flatten();
    let entry = entries.find(|e| e.since == since && e.op_types.contains(&op_type))?;
    Some(&entry.change)
}
