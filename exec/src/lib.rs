//! Runs an ONNX model in tract and collects statistics while it runs.
//!
//! A [`Runner`] executes a model; it checks what it is given before the runtime sees it, and
//! whatever goes wrong, a panic of the runtime included, comes back as an [`ExecError`] that names
//! the place.
//!
//! ```no_run
//! # use lapidary_exec::{ExecError, RandomInputs, RunOptions, Runner, compare};
//! # use lapidary_ir::Model;
//! # fn same(before: Model, after: Model) -> Result<(), ExecError> {
//! let inputs = RandomInputs::default().generate(&before)?;
//! let reference = Runner::new(&before, &RunOptions::default())?.run(&inputs)?;
//! let candidate = Runner::new(&after, &RunOptions::default())?.run(&inputs)?;
//! for output in compare(&reference, &candidate)? {
//!     assert!(output.max_rel < 1e-5, "{}", output.name);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An [`Observer`] streams the values inside the graph, by their ONNX names, to a visitor or into
//! any [`Statistic`]; [`Statistics`] and [`ChannelRanges`] are the ones used for calibration.
//!
//! What holds throughout:
//! 1. The same inputs give the same bytes, for any number of threads.
//! 2. A statistic is the same for any order of the samples and any way to divide them among threads,
//!    processes or machines, bit for bit.
//! 3. Memory does not grow with the number of samples observed.
//! 4. A graph with quantization operators runs un-optimized: tract 0.23.9 turns the operators between
//!    a `DequantizeLinear` and a `QuantizeLinear` into a lookup table even if they are not
//!    element-wise.
//! 5. tract 0.23.9 does not use the machine's AMX: its kernels read behind the end of what they are given.
//! 6. No type of tract is part of the interface.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "dimensions fit both usize and i64; statistics are f64; pedantic lints are not on"
)]

mod batch;
mod channels;
mod compare;
mod error;
mod exchange;
mod expand;
mod guard;
mod kernels;
mod lower;
mod observe;
mod random;
mod run;
mod signature;
mod source;
mod statistics;
#[cfg(test)]
mod testing;
mod value_statistics;

pub use channels::ChannelRanges;
pub use compare::{Comparison, compare};
pub use error::ExecError;
pub use observe::{Observation, Observer, Statistic};
pub use random::RandomInputs;
pub use run::{Inputs, Outputs, RunOptions, Runner};
pub use statistics::{Bin, MANTISSA_BITS, Statistics, StatisticsError};
pub use value_statistics::ValueStatistics;
