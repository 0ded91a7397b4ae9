//! Samples kept out, on which steps are judged.
use super::super::plan::QuantizationPlan;
use super::RefineError;
use super::batches::Batches;
use lapidary_exec::{ExecError, Inputs, Outputs, RunOptions, Runner, compare};
use lapidary_ir::Model;

/// Every so many samples one is kept out.
const EVERY: usize = 5;

/// Samples kept out at most.
const MOST: usize = 128;

/// Samples divided into those that are learned from and those that judge.
pub(super) struct Holdout<'a> {
    /// Those that are learned from.
    pub(super) learning: Batches<'a>,
    judging: Inputs,
    /// What the original makes of those that judge.
    outputs: Outputs,
}

impl<'a> Holdout<'a> {
    /// None when there are too few samples.
    pub(super) fn new(model: &Model, samples: &'a Inputs) -> Result<Option<Self>, RefineError> {
        let batches = Batches::new(&model.graph, samples)?;
        let judge = |sample: usize| sample % EVERY == EVERY - 1 && sample / EVERY < MOST;
        let (judging, learning): (Vec<usize>, Vec<usize>) =
            (0..batches.count()).partition(|&sample| judge(sample));
        if judging.is_empty() {
            return Ok(None);
        }
        let (judging, learning) = (batches.select(&judging).stacked()?, batches.select(&learning));
        let outputs = run(model, &judging)?;
        Ok(Some(Self { learning, judging, outputs }))
    }

    /// The smallest signal-to-noise ratio of an output of the quantized model in dB, on the samples kept out.
    pub(super) fn sqnr_db(
        &self,
        model: &Model,
        plan: &QuantizationPlan,
    ) -> Result<f64, RefineError> {
        let mut quantized = model.clone();
        plan.apply(&mut quantized)?;
        let found = compare(&self.outputs, &run(&quantized, &self.judging)?)?;
        Ok(found.iter().map(|output| output.sqnr_db).fold(f64::INFINITY, f64::min))
    }
}

fn run(model: &Model, inputs: &Inputs) -> Result<Outputs, ExecError> {
    Runner::new(model, &RunOptions::default())?.run_batched(inputs)
}
