//! What was done for the accuracy of integers.
use lapidary::passes::quantize::equalize::FloatChange;
use lapidary::passes::quantize::refine::RefineStep;
use serde::Serialize;
use std::collections::BTreeMap;

/// What was changed in floating point.
#[derive(Serialize)]
pub(super) struct Change {
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<f64>,
    changed: Vec<String>,
    left_alone: BTreeMap<String, Vec<String>>,
}

impl From<&FloatChange> for Change {
    fn from(change: &FloatChange) -> Self {
        Self {
            step: change.name,
            alpha: change.alpha,
            changed: change.changed.clone(),
            left_alone: change.left_alone.clone(),
        }
    }
}

impl Change {
    pub(super) fn print(&self) {
        let Self { step, alpha, changed, left_alone } = self;
        let alpha = alpha.map_or_else(String::new, |alpha| format!(" with alpha {alpha}"));
        println!("{step}: changed {} products{alpha}", changed.len());
        for (reason, nodes) in left_alone {
            println!("{step}: left {} alone: {reason}", nodes.len());
        }
    }
}

/// A step of refinement, judged on samples that were kept out.
#[derive(Serialize)]
pub(super) struct Refinement {
    step: &'static str,
    kept: bool,
    sqnr_db_before: f64,
    sqnr_db_after: f64,
}

impl From<&RefineStep> for Refinement {
    fn from(step: &RefineStep) -> Self {
        Self {
            step: step.name,
            kept: step.kept(),
            sqnr_db_before: step.before,
            sqnr_db_after: step.after,
        }
    }
}

impl Refinement {
    pub(super) fn print(&self) {
        let Self { step, kept, sqnr_db_before, sqnr_db_after } = self;
        let verdict = if *kept { "kept" } else { "left out" };
        println!(
            "{step}: {sqnr_db_before:.2} to {sqnr_db_after:.2} dB on samples kept out, {verdict}"
        );
    }
}

/// What was taken back to floating point for the gates.
#[derive(Serialize)]
pub(super) struct Searched {
    /// Models that were quantized and measured.
    pub(super) trials: usize,
    pub(super) float: Vec<String>,
}

impl Searched {
    pub(super) fn print(&self) {
        let Self { trials, float } = self;
        println!("{} products stay in float for the gates, after {trials} trials", float.len());
        for name in float {
            println!("  {name}");
        }
    }
}
