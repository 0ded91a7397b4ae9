//! What products lose on integers.
use super::{decibels, grouped, json, percent_or_dash, table};
use lapidary::{Loss, Prefix, Ranking};
use serde::Serialize;

/// What was found out, and what to do about it.
#[derive(Serialize)]
pub(crate) struct SensitivityReport<'a> {
    /// Samples it was measured on.
    pub(crate) samples: usize,
    /// The products, alone on integers.
    #[serde(flatten)]
    pub(crate) ranking: &'a Ranking,
    /// All on integers, the first ones taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prefixes: Vec<Prefix>,
    /// The signal-to-noise ratio asked for, in dB.
    #[serde(rename = "min_sqnr_db", skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<f64>,
    /// What to run; none if what is asked for is out of reach.
    pub(crate) recipe: Option<Recipe>,
}

/// A command line, and what it leads to before refinement.
#[derive(Serialize)]
pub(crate) struct Recipe {
    /// The command line.
    pub(crate) command: String,
    /// Size and loss of the result.
    pub(crate) measured: Prefix,
    /// The products that stay in float.
    pub(crate) float: Vec<String>,
}

/// Prints the ranking and the recipe.
pub(crate) fn sensitivity(report: &SensitivityReport, as_json: bool) {
    if as_json {
        return json("sensitivity", report);
    }
    let products = &report.ranking.products;
    let labelled = products.iter().any(|product| product.loss.accuracy.is_some());
    let errors = ["max rel. error", "SQNR", "agreement"];
    let header = |names: &[&'static str]| {
        let mut header = [names, &errors].concat();
        if labelled {
            header.push("accuracy");
        }
        header
    };
    let row = |mut row: Vec<String>, loss: &Loss| {
        row.extend(losses(loss));
        if labelled {
            row.push(percent_or_dash(loss.accuracy));
        }
        row
    };
    let alone = products.iter();
    let alone = alone.map(|p| row(vec![p.node.clone(), p.op_type.clone()], &p.loss)).collect();
    println!("{}", table(&header(&["alone on integers", "operator"]), alone));
    if !report.ranking.not_alone.is_empty() {
        let names = report.ranking.not_alone.join(", ");
        println!("on integers only next to others: {names}");
    }
    if !report.prefixes.is_empty() {
        let lengths = report.prefixes.iter().map(|prefix| {
            let last = prefix.reverted.checked_sub(1).and_then(|last| products.get(last));
            let name = last.map_or_else(|| "none".to_owned(), |last| last.node.clone());
            let counts = [prefix.reverted as u64, prefix.integer as u64, prefix.bytes];
            let mut start = vec![name];
            start.extend(counts.map(grouped));
            row(start, &prefix.loss)
        });
        let header = header(&["taken back, with all above", "in float", "integer nodes", "bytes"]);
        println!("\n{}", table(&header, lengths.collect()));
    }
    println!("\nerrors against the original, executed on {} samples", report.samples);
    recipe(report);
}

fn losses(loss: &Loss) -> [String; 3] {
    let sqnr = match loss.max_rel.is_finite() {
        true => decibels(loss.sqnr_db, 1),
        false => "not finite".to_owned(),
    };
    [format!("{:.1e}", loss.max_rel), sqnr, percent_or_dash(loss.agreement)]
}

fn recipe(report: &SensitivityReport) {
    let Some(Recipe { command, measured, float }) = &report.recipe else {
        let asked = report.asked.unwrap_or_default();
        println!("{asked} dB are out of reach: with all products in float there is less");
        return;
    };
    let [_, sqnr, _] = losses(&measured.loss);
    let bytes = grouped(measured.bytes);
    println!("with {} products in float: {sqnr}, {bytes} bytes, before refinement", float.len());
    println!("\n{command}");
}
