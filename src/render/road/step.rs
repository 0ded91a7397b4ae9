//! A step of a model on its road.
use super::super::{cost_cells, decibels, percent_or_dash};
use lapidary::ir::Model;
use lapidary::{Cost, Evaluation, OutputError};
use serde::Serialize;

/// What a model costs after a step, and what it loses.
#[derive(Serialize)]
pub(super) struct Step {
    name: String,
    #[serde(flatten)]
    pub(super) cost: Cost,
    pub(super) accuracy: Option<f64>,
    outputs: Vec<OutputError>,
}

impl Step {
    /// The model nothing was done to.
    pub(super) fn original(model: &Model, accuracy: Option<f64>) -> Self {
        let (name, cost) = ("original".to_owned(), Cost::of(model));
        Self { name, cost, accuracy, outputs: Vec::new() }
    }

    /// The model after a step.
    pub(super) fn new(name: &str, model: &Model, evaluation: Option<&Evaluation>) -> Self {
        Self {
            name: name.to_owned(),
            cost: Cost::of(model),
            accuracy: evaluation.and_then(|evaluation| evaluation.accuracy),
            outputs: evaluation.map(|e| e.outputs.clone()).unwrap_or_default(),
        }
    }

    /// A row of the table of steps.
    pub(super) fn row(&self, measured: bool, labelled: bool) -> Vec<String> {
        let mut row = vec![self.name.clone()];
        row.extend(cost_cells(self.cost));
        if measured {
            row.extend(self.errors());
        }
        if labelled {
            row.push(percent_or_dash(self.accuracy));
        }
        row
    }

    /// Worst error over the outputs.
    fn errors(&self) -> [String; 3] {
        if self.outputs.is_empty() {
            return ["-".to_owned(), "-".to_owned(), "-".to_owned()];
        }
        let rel = self.outputs.iter().map(|output| output.max_rel).fold(0.0, f64::max);
        let sqnr = self.outputs.iter().filter_map(|output| output.sqnr_db).reduce(f64::min);
        let agreement = self.outputs.iter().filter_map(|output| output.agreement).reduce(f64::min);
        [format!("{rel:.1e}"), decibels(sqnr, 1), percent_or_dash(agreement)]
    }
}
