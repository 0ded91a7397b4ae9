//! The reports of compression that needs no samples.
use super::{decibels, grouped, json, percent, table};
use lapidary::passes::quantize::Outcome;
use lapidary::{Cost, Evaluation};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was stored in another form, and how far the result is from the original.
pub(crate) struct LightReport<'a> {
    /// The cost after each step.
    pub(crate) steps: Vec<(&'static str, Cost)>,
    /// What became of nodes and weights.
    pub(crate) outcome: &'a Outcome,
    /// The errors of the outputs.
    pub(crate) measured: Measured,
    /// What the user should know besides.
    pub(crate) notes: Vec<String>,
}

/// How far the result is from the original.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measured {
    /// Both were executed.
    Executed {
        /// On what.
        on: String,
        /// The fraction of right answers before; only with labels.
        accuracy_before: Option<f64>,
        /// The errors.
        evaluation: Evaluation,
    },
    /// Not, for a reason.
    NotExecuted(String),
}

#[derive(Serialize)]
struct Report<'a> {
    steps: Vec<Step<'a>>,
    quantized: usize,
    left_alone: BTreeMap<&'a str, Vec<String>>,
    weights: Vec<Weight<'a>>,
    measured: &'a Measured,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Serialize)]
struct Weight<'a> {
    name: &'a str,
    form: &'a str,
    bytes_before: u64,
    bytes_after: u64,
    nmse: f64,
}

/// Nodes left alone, by reason.
fn left_alone(outcome: &Outcome) -> BTreeMap<&str, Vec<String>> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for node in &outcome.nodes {
        let Some(reason) = &node.reason else { continue };
        reasons.entry(reason).or_default().push(format!("{} ({})", node.node, node.op_type));
    }
    reasons
}

/// Prints what was done.
pub(crate) fn light(command: &str, report: &LightReport<'_>, explain: bool, as_json: bool) {
    let left_alone = left_alone(report.outcome);
    let steps = report.steps.iter();
    if as_json {
        let weights = report.outcome.weights.iter().map(|weight| Weight {
            name: &weight.name,
            form: &weight.form,
            bytes_before: weight.bytes_before,
            bytes_after: weight.bytes_after,
            nmse: weight.nmse,
        });
        let report = Report {
            steps: steps.map(|&(name, cost)| Step { name, cost }).collect(),
            quantized: report.outcome.changed(),
            left_alone,
            weights: weights.collect(),
            measured: &report.measured,
            notes: &report.notes,
        };
        return json(command, &report);
    }
    let row = |&(name, cost): &(&str, Cost)| {
        vec![name.to_owned(), grouped(cost.nodes as u64), grouped(cost.bytes)]
    };
    println!("{}\n", table(&["step", "nodes", "bytes"], steps.map(row).collect()));
    weights(report.outcome, explain);
    let (changed, all) = (report.outcome.changed(), report.outcome.nodes.len());
    println!("{changed} of {all} nodes that could be were changed");
    for (reason, nodes) in left_alone {
        match explain {
            true => println!("  left alone: {}: {reason}", nodes.join(", ")),
            false => println!("  left alone: {} nodes: {reason}", nodes.len()),
        }
    }
    report.notes.iter().for_each(|note| println!("{note}"));
    measured(&report.measured);
}

/// What the weights take and lose: each on request, else all together.
fn weights(outcome: &Outcome, explain: bool) {
    let all = &outcome.weights;
    if all.is_empty() {
        return;
    }
    if explain {
        let row = |weight: &lapidary::passes::quantize::StoredWeight| {
            vec![
                weight.name.clone(),
                grouped(weight.bytes_before),
                grouped(weight.bytes_after),
                format!("{:.2e}", weight.nmse),
                weight.form.clone(),
            ]
        };
        let header = ["weight", "bytes before", "after", "NMSE", "form"];
        println!("{}\n", table(&header, all.iter().map(row).collect()));
    }
    let before: u64 = all.iter().map(|weight| weight.bytes_before).sum();
    let after: u64 = all.iter().map(|weight| weight.bytes_after).sum();
    let worst = all.iter().map(|weight| weight.nmse).fold(0.0, f64::max);
    println!(
        "{} weights: {} bytes instead of {}, relative error (NMSE) at most {worst:.1e}",
        all.len(),
        grouped(after),
        grouped(before),
    );
}

fn measured(measured: &Measured) {
    let Measured::Executed { on, accuracy_before, evaluation } = measured else {
        if let Measured::NotExecuted(why) = measured {
            println!("validated, not executed: {why}");
        }
        return;
    };
    for output in &evaluation.outputs {
        let sqnr = decibels(output.sqnr_db, 1);
        let agreement = output.agreement.map(|share| format!(", agreement {}", percent(share)));
        println!(
            "output `{}`: max. relative error {:.1e}, SQNR {sqnr}{}",
            output.name,
            output.max_rel,
            agreement.unwrap_or_default(),
        );
    }
    if let (Some(before), Some(after)) = (accuracy_before, evaluation.accuracy) {
        println!("accuracy {} → {}", percent(*before), percent(after));
    }
    println!("errors against the original, executed on {on}");
}
