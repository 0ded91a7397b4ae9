//! What was factorized.
use super::{grouped, percent, percent_or_dash, table};
use lapidary::passes::factorize::{Factorization, Factorized, Norm};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sites, budgets and refusals.
#[derive(Serialize)]
pub(super) struct Factors {
    /// Of all matrices that could be factorized.
    parameters_before: u64,
    parameters_after: u64,
    macs_before: u64,
    macs_after: u64,
    sites: Vec<Site>,
    left_alone: BTreeMap<String, Vec<String>>,
    #[serde(skip)]
    explain: bool,
}

#[derive(Serialize)]
struct Site {
    weight: String,
    shape: Vec<usize>,
    nodes: Vec<String>,
    op_type: String,
    split: &'static str,
    rank: String,
    parameters_before: u64,
    parameters_after: u64,
    macs_before: u64,
    macs_after: u64,
    /// The share of the energy that is discarded.
    predicted_error: f64,
    /// `outputs` or `weights`.
    norm: &'static str,
    bias_corrected: bool,
    measured_error: Option<f64>,
}

impl Factors {
    pub(super) fn new(found: &Factorization, explain: bool) -> Self {
        let mut left_alone: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in &found.left_alone {
            let name = format!("{} ({})", node.node, node.op_type);
            left_alone.entry(node.reason.clone()).or_default().push(name);
        }
        Self {
            parameters_before: found.parameters,
            parameters_after: found.parameters_left,
            macs_before: found.macs,
            macs_after: found.macs_left,
            sites: found.factorized.iter().map(Site::new).collect(),
            left_alone,
            explain,
        }
    }

    pub(super) fn print(&self) {
        if !self.sites.is_empty() {
            let measured = self.sites.iter().any(|site| site.measured_error.is_some());
            let mut header = vec!["matrix", "shape", "rank", "parameters", "after", "discarded"];
            if measured {
                header.push("error");
            }
            let rows = self.sites.iter().map(|site| site.row(measured)).collect();
            println!("\n{}", table(&header, rows));
        }
        println!(
            "\n{} matrices factorized: {} of {} parameters and {} of {} MACs of all that could be",
            self.sites.len(),
            grouped(self.parameters_after),
            grouped(self.parameters_before),
            grouped(self.macs_after),
            grouped(self.macs_before),
        );
        if let Some(site) = self.sites.first() {
            let of = match site.norm {
                "outputs" => "what a matrix computes on the samples",
                _ => "its weights; on --data it would be of what it computes",
            };
            println!("discarded is the share of the energy of {of}");
        }
        for (reason, nodes) in &self.left_alone {
            match self.explain {
                true => println!("left alone: {}: {reason}", nodes.join(", ")),
                false => println!("left alone: {} nodes: {reason}", nodes.len()),
            }
        }
    }
}

impl Site {
    fn new(site: &Factorized) -> Self {
        Self {
            weight: site.weight.clone(),
            shape: site.dims.clone(),
            nodes: site.nodes.clone(),
            op_type: site.op_type.clone(),
            split: site.split,
            rank: site.rank.to_string(),
            parameters_before: site.parameters,
            parameters_after: site.parameters_left,
            macs_before: site.macs,
            macs_after: site.macs_left,
            predicted_error: site.discarded,
            norm: match site.norm {
                Norm::Weights => "weights",
                Norm::Outputs => "outputs",
            },
            bias_corrected: site.bias_corrected,
            measured_error: site.measured,
        }
    }

    fn row(&self, measured: bool) -> Vec<String> {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let mut row = vec![
            self.weight.clone(),
            shape.join(" x "),
            self.rank.clone(),
            grouped(self.parameters_before),
            grouped(self.parameters_after),
            percent(self.predicted_error),
        ];
        if measured {
            row.push(percent_or_dash(self.measured_error));
        }
        row
    }
}
