//! How a result was checked.
use lapidary::passes::Accuracy;
use lapidary::{Evaluation, Proof};
use serde::Serialize;

/// Values the report of a check names at most; JSON has all.
const MAX_NAMED: usize = 5;

/// How a result was checked.
#[derive(Default, Serialize)]
pub(crate) struct Verification {
    /// Whether everything that could differ was executed.
    executed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_executed_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation: Option<Evaluation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<f64>,
    /// What was found piece by piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
}

impl Verification {
    /// Not executed, with the reason.
    pub(crate) fn skipped(why: &str) -> Self {
        Self { not_executed_because: Some(why.to_owned()), ..Self::default() }
    }

    /// Executed on `source`, with differences up to `allowed`.
    pub(crate) fn done(source: &str, evaluation: Evaluation, allowed: f64) -> Self {
        Self {
            executed: true,
            on: Some(source.to_owned()),
            evaluation: Some(evaluation),
            allowed: Some(allowed),
            ..Self::default()
        }
    }

    /// Proved piece by piece.
    pub(crate) fn proved(proof: Proof) -> Self {
        Self {
            executed: true,
            on: Some("random numbers".to_owned()),
            allowed: Some(Accuracy::Rounding.tolerance()),
            proof: Some(proof),
            ..Self::default()
        }
    }

    /// The same after an attempt to prove it piece by piece.
    pub(crate) fn with(self, proof: Proof) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// Whether everything that could differ was executed.
    pub(crate) fn is_executed(&self) -> bool {
        self.executed
    }
}

/// In words.
pub(super) fn verification_line(verification: &Verification) -> String {
    let allowed = verification.allowed.unwrap_or_default();
    if let Some(evaluation) = &verification.evaluation {
        let on = verification.on.as_deref().unwrap_or_default();
        let error = evaluation.max_rel();
        return format!(
            "validated and executed on {on}: largest relative difference {error:.1e}, allowed {allowed:.1e}"
        );
    }
    let why = verification.not_executed_because.as_deref();
    let Some(proof) = &verification.proof else {
        return format!("validated, not executed: {}", why.unwrap_or_default());
    };
    let Proof { by_construction, by_execution, max_rel, not_executable, .. } = proof;
    let changed = by_execution + not_executable.len();
    let mut line = format!("validated, {by_construction} values the same by construction");
    if *by_execution > 0 {
        line += &format!(
            ", {by_execution} of {changed} changed values executed: \
             largest relative difference {max_rel:.1e}, allowed {:.1e}",
            Accuracy::Rounding.tolerance()
        );
    }
    for value in not_executable.iter().take(MAX_NAMED) {
        line += &format!("\nnot executed: `{}`: {}", value.value, value.reason);
    }
    if not_executable.len() > MAX_NAMED {
        line += &format!("\nnot executed: {} more", not_executable.len() - MAX_NAMED);
    }
    if let Some(why) = why {
        line += &format!("\nnot executed as a whole: {why}");
    }
    line
}
