//! The reports of the verbs that change models step by step.
mod integer_operators;
mod placement;
mod refinement;
mod step;

use super::blocks::Blocks;
use super::factorization::Factors;
use super::ledger::{PassReport, left_alone};
use super::pruning::Pruning;
use super::quantization::Expected;
use super::sparsity::Sparsity;
use super::{Progress, json, percent, table};
use integer_operators::IntegerOperators;
use lapidary::ir::Model;
use lapidary::passes::Record;
use lapidary::passes::factorize::Factorization;
use lapidary::passes::prune::compensated::DroppedBlocks;
use lapidary::passes::quantize::equalize::FloatChange;
use lapidary::passes::quantize::qoperator::OperatorForm;
use lapidary::passes::quantize::refine::Refined;
use lapidary::passes::quantize::{Prediction, QuantizationPlan};
use lapidary::{Cut, Error, Evaluation, PruneOptions, Reference};
use placement::Placement;
use refinement::{Change, Refinement, Searched};
use serde::Serialize;
use std::collections::BTreeMap;
use step::Step;

/// The steps of a model with what each costs and loses.
pub(crate) struct Road<'a> {
    command: &'static str,
    reference: Option<&'a Reference>,
    report: RoadReport,
}

#[derive(Serialize)]
struct RoadReport {
    samples: Option<usize>,
    steps: Vec<Step>,
    passes: Vec<PassReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<Placement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer_operators: Option<IntegerOperators>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Expected>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    float_changes: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refinement: Vec<Refinement>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unrefined: BTreeMap<&'static str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Searched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Blocks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruning: Option<Pruning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factorization: Option<Factors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sparsity: Option<Sparsity>,
}

impl<'a> Road<'a> {
    /// The road of a verb, from `original` on, measured against `reference` if there are samples.
    pub(crate) fn new(
        command: &'static str,
        original: &Model,
        reference: Option<&'a Reference>,
    ) -> Self {
        let start = Step::original(original, reference.and_then(|reference| reference.accuracy));
        let samples = reference.map(Reference::samples);
        let report = RoadReport {
            samples,
            steps: vec![start],
            passes: Vec::new(),
            placement: None,
            integer_operators: None,
            prediction: None,
            float_changes: Vec::new(),
            refinement: Vec::new(),
            search: None,
            blocks: None,
            pruning: None,
            factorization: None,
            unrefined: BTreeMap::new(),
            sparsity: None,
        };
        Self { command, reference, report }
    }

    /// Measures the model after a step.
    pub(crate) fn step(&mut self, name: &str, model: &Model) -> Result<Option<Evaluation>, Error> {
        let measuring = self.reference.map(|reference| {
            Progress::start(format!("{name}: measuring on {} samples", reference.samples()))
        });
        let evaluation = self.reference.map(|reference| reference.evaluate(model)).transpose()?;
        drop(measuring);
        self.report.steps.push(Step::new(name, model, evaluation.as_ref()));
        Ok(evaluation)
    }

    /// Adds what passes did.
    pub(crate) fn passes(&mut self, records: &[Record]) {
        self.report.passes.extend(records.iter().map(PassReport::from));
    }

    /// Adds which operators on integers were written.
    pub(crate) fn operators(&mut self, form: &OperatorForm) {
        self.report.integer_operators = Some(IntegerOperators::new(form));
    }

    /// Adds what a runtime will do.
    pub(crate) fn expect(&mut self, prediction: &Prediction) {
        self.report.prediction = Some(Expected::from(prediction));
    }

    /// Adds what was changed in floating point.
    pub(crate) fn changes(&mut self, changes: &[FloatChange]) {
        self.report.float_changes = changes.iter().map(Change::from).collect();
    }

    /// Adds what was tried for accuracy.
    pub(crate) fn refinement(&mut self, refined: &Refined) {
        self.report.refinement = refined.steps.iter().map(Refinement::from).collect();
        self.report.unrefined.clone_from(&refined.unrefined);
    }

    /// Adds what was taken back to floating point for the gates, after so many trials.
    pub(crate) fn search(&mut self, trials: usize, float: Vec<String>) {
        self.report.search = Some(Searched { trials, float });
    }

    /// Adds the blocks that went.
    pub(crate) fn blocks(&mut self, dropped: &DroppedBlocks) {
        self.report.blocks = Some(Blocks::new(dropped));
    }

    /// Adds what was pruned.
    pub(crate) fn pruned(&mut self, cut: &Cut, options: &PruneOptions, on_data: bool) {
        self.report.pruning = Some(Pruning::new(cut, options, on_data));
    }

    /// Adds what was factorized.
    pub(crate) fn factorization(&mut self, found: &Factorization, explain: bool) {
        self.report.factorization = Some(Factors::new(found, explain));
    }

    /// Adds which weights are zero.
    pub(crate) fn sparsity(&mut self, sparsity: Sparsity) {
        self.report.sparsity = Some(sparsity);
    }

    /// Adds which nodes run as integers.
    pub(crate) fn placement(&mut self, plan: &QuantizationPlan, explain: bool) {
        self.report.placement = Some(Placement::new(plan, explain));
    }
}

/// Prints the road.
pub(crate) fn road(road: &Road, as_json: bool) {
    if as_json {
        return json(road.command, &road.report);
    }
    let report = &road.report;
    let measured = report.samples.is_some();
    let labelled = report.steps.iter().any(|step| step.accuracy.is_some());
    let mut header = vec!["step", "nodes", "parameters", "bytes", "MACs"];
    if measured {
        header.extend(["max rel. error", "SQNR", "agreement"]);
    }
    if labelled {
        header.push("accuracy");
    }
    let rows = report.steps.iter().map(|step| step.row(measured, labelled)).collect();
    println!("{}", table(&header, rows));
    if let (Some(first), Some(last)) = (report.steps.first(), report.steps.last()) {
        let share = last.cost.bytes as f64 / first.cost.bytes.max(1) as f64;
        println!("\n{} of the bytes", percent(share));
    }
    if let Some(samples) = report.samples {
        println!("errors against the original, executed on {samples} samples");
    }
    report.float_changes.iter().for_each(Change::print);
    report.refinement.iter().for_each(Refinement::print);
    for (reason, weights) in &report.unrefined {
        println!("not refined: {} products: {reason}", weights.len());
    }
    if let Some(search) = &report.search {
        search.print();
    }
    if let Some(factorization) = &report.factorization {
        factorization.print();
    }
    left_alone(&report.passes);
    if let Some(blocks) = &report.blocks {
        blocks.print();
    }
    if let Some(pruning) = &report.pruning {
        pruning.print();
    }
    if let Some(sparsity) = &report.sparsity {
        sparsity.print();
    }
    if let Some(placement) = &report.placement {
        placement.print();
    }
    if let Some(operators) = &report.integer_operators {
        operators.print();
    }
    if let Some(prediction) = &report.prediction {
        prediction.print();
    }
}
