//! What the result must reach.
use clap::Args;

/// What the result must reach, or nothing is written and the exit code is 1.
#[derive(Debug, Args)]
pub(crate) struct Gates {
    /// Smallest signal-to-noise ratio of every output against the original, in dB.
    #[arg(long, value_name = "DB")]
    pub(crate) min_sqnr: Option<f64>,
    /// Largest loss of accuracy, in percentage points; needs labels.
    #[arg(long, value_name = "POINTS")]
    pub(crate) max_drop: Option<f64>,
}
