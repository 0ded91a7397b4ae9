//! The report of `verify`.
use super::{decibels, json, layers, percent, percent_or_dash, table};
use lapidary::{Evaluation, LayerError, Reference};
use serde::Serialize;

#[derive(Serialize)]
struct VerifyJson<'a> {
    samples: usize,
    accuracy_before: Option<f64>,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<&'a [LayerError]>,
}

/// Prints how two models compare: the outputs, and the values inside if that was asked for.
pub(crate) fn verify(
    reference: &Reference,
    evaluation: &Evaluation,
    inside: Option<&[LayerError]>,
    as_json: bool,
) {
    if as_json {
        let report = VerifyJson {
            samples: reference.samples(),
            accuracy_before: reference.accuracy,
            evaluation,
            layers: inside,
        };
        return json("verify", &report);
    }
    if let Some(errors) = inside {
        layers(errors);
        println!();
    }
    let row = |output: &lapidary::OutputError| {
        vec![
            output.name.clone(),
            format!("{:.3e}", output.max_abs),
            format!("{:.3e}", output.max_rel),
            decibels(output.sqnr_db, 2),
            percent_or_dash(output.agreement),
        ]
    };
    let rows = evaluation.outputs.iter().map(row).collect();
    let header = ["output", "max abs. error", "max rel. error", "SQNR", "agreement"];
    println!("{}", table(&header, rows));
    if let (Some(before), Some(after)) = (reference.accuracy, evaluation.accuracy) {
        println!("\naccuracy {} → {}", percent(before), percent(after));
    }
    println!("\nexecuted on {} samples", reference.samples());
}
