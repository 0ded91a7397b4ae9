//! Proof by execution: what a changed model computes, against the original.
use crate::data::concat;
use crate::{Dataset, Error};
use lapidary_exec::{Comparison, Outputs, RunOptions, Runner, compare};
use lapidary_ir::{Model, Tensor};
use serde::Serialize;

/// The outputs of the original on samples, to compare changed models with.
#[derive(Debug)]
pub struct Reference {
    dataset: Dataset,
    outputs: Outputs,
    /// Fraction of samples whose label is the largest output; only with labels.
    pub accuracy: Option<f64>,
}

/// How a changed model compares with the original.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// One entry per output.
    pub outputs: Vec<OutputError>,
    /// Fraction of samples whose label is the largest output; only with labels.
    pub accuracy: Option<f64>,
}

/// The error of one output.
#[derive(Debug, Clone, Serialize)]
pub struct OutputError {
    /// The output.
    pub name: String,
    /// Largest difference.
    pub max_abs: f64,
    /// Largest difference, relative to the largest magnitude of the original output.
    pub max_rel: f64,
    /// Signal-to-noise ratio in dB; none when the outputs are equal.
    pub sqnr_db: Option<f64>,
    /// Fraction of rows with the same largest element; only for outputs of rank 2.
    pub agreement: Option<f64>,
}

impl Reference {
    /// Runs the original.
    ///
    /// # Errors
    /// When the runtime can't execute it.
    pub fn new(original: &Model, dataset: Dataset) -> Result<Self, Error> {
        let outputs = outputs(original, &dataset, "original", &RunOptions::default())?;
        let accuracy = accuracy(&outputs, &dataset);
        Ok(Self { dataset, outputs, accuracy })
    }

    /// The number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.dataset.len()
    }

    /// How far the original is from itself when the runtime executes it in another order of
    /// operations: the largest relative difference of any output. No exact rewrite can be told
    /// from a wrong one below this.
    ///
    /// # Errors
    /// When the runtime can't execute it that way.
    pub fn noise(&self, original: &Model) -> Result<f64, Error> {
        let plain = RunOptions { optimize: false, ..RunOptions::default() };
        let found = outputs(original, &self.dataset, "original", &plain)?;
        let comparisons = compare(&self.outputs, &found)
            .map_err(|error| Error::Incomparable { problem: error.to_string() })?;
        Ok(comparisons.iter().map(|comparison| comparison.max_rel).fold(0.0, f64::max))
    }

    /// Runs a changed model and compares every output.
    ///
    /// # Errors
    /// When the runtime can't execute it or the outputs do not correspond.
    pub fn evaluate(&self, changed: &Model) -> Result<Evaluation, Error> {
        let found = outputs(changed, &self.dataset, "result", &RunOptions::default())?;
        let comparisons = compare(&self.outputs, &found)
            .map_err(|error| Error::Incomparable { problem: error.to_string() })?;
        let outputs = comparisons.into_iter().map(OutputError::from).collect();
        Ok(Evaluation { outputs, accuracy: accuracy(&found, &self.dataset) })
    }
}

impl Evaluation {
    /// The largest relative difference of any output; infinite when NaNs differ.
    #[must_use]
    pub fn max_rel(&self) -> f64 {
        self.outputs.iter().map(|output| output.max_rel).fold(0.0, f64::max)
    }

    /// The smallest signal-to-noise ratio of any output that differs, in dB.
    #[must_use]
    pub fn sqnr_db(&self) -> Option<f64> {
        self.outputs.iter().filter_map(|output| output.sqnr_db).reduce(f64::min)
    }

    /// The smallest agreement of any output that has one.
    #[must_use]
    pub fn agreement(&self) -> Option<f64> {
        self.outputs.iter().filter_map(|output| output.agreement).reduce(f64::min)
    }
}

impl From<Comparison> for OutputError {
    fn from(comparison: Comparison) -> Self {
        Self {
            name: comparison.name,
            max_abs: comparison.max_abs,
            max_rel: comparison.max_rel,
            sqnr_db: comparison.sqnr_db.is_finite().then_some(comparison.sqnr_db),
            agreement: comparison.argmax_agreement,
        }
    }
}

/// Samples that are read at a time, if the model does not take more at once.
pub(crate) const PART: usize = 64;

/// The outputs for all samples, which are read part by part.
fn outputs(
    model: &Model,
    dataset: &Dataset,
    what: &'static str,
    options: &RunOptions,
) -> Result<Outputs, Error> {
    let execute = |source| Error::Execute {
        what,
        source,
        help: "the built-in runtime lacks something the model needs; `--verify off` skips execution where a command has it",
    };
    let runner = Runner::new(model, options).map_err(execute)?;
    let mut parts = Vec::new();
    for range in dataset.parts(part_size(model)) {
        let inputs = dataset.batch(range).map_err(|source| Error::data(dataset.path(), source))?;
        let outputs = match dataset.is_whole() {
            true => runner.run(&inputs),
            false => runner.run_batched(&inputs),
        };
        parts.push(outputs.map_err(execute)?);
    }
    Ok(join(parts))
}

/// Whole batches, so that no batch but the last of all has to be filled up.
fn part_size(model: &Model) -> usize {
    let batch = fixed_batch(model);
    batch * (PART / batch).max(1)
}

/// The samples the model declares that it takes at once; 1 if it leaves that open.
pub(crate) fn fixed_batch(model: &Model) -> usize {
    let graph = &model.graph;
    let shape = graph.required_inputs().find_map(|id| graph.value(id).shape()?.first()?.value());
    shape.and_then(|batch| usize::try_from(batch).ok()).unwrap_or(1).max(1)
}

/// The outputs of all parts, joined along axis 0; as a row of numbers where feeds of different shapes gave
/// outputs that do not fit together.
fn join(mut parts: Vec<Outputs>) -> Outputs {
    if parts.len() < 2 {
        return parts.pop().unwrap_or_default();
    }
    let Some(first) = parts.first() else { return Outputs::new() };
    let output = |(index, (name, tensor)): (usize, &(String, Tensor))| {
        let tensors: Vec<&Tensor> =
            parts.iter().filter_map(|part| part.get(index)).map(|(_, tensor)| tensor).collect();
        let flat = || {
            let flat = |tensor: &&Tensor| tensor.reshaped(vec![tensor.len() as i64]).ok();
            let rows: Vec<Tensor> = tensors.iter().filter_map(flat).collect();
            concat(&rows.iter().collect::<Vec<_>>())
        };
        let joined = concat(&tensors).or_else(flat);
        (name.clone(), joined.unwrap_or_else(|| tensor.clone()))
    };
    first.iter().enumerate().map(output).collect()
}

/// The first output with one row per sample and at least two columns is taken for the classes.
fn accuracy(outputs: &Outputs, dataset: &Dataset) -> Option<f64> {
    let labels = dataset.labels()?;
    let (scores, classes) = outputs.iter().find_map(|(_, tensor)| match *tensor.dims() {
        [rows, classes] if rows as usize == labels.len() && classes > 1 => {
            Some((tensor.to_f32()?, classes as usize))
        }
        _ => None,
    })?;
    let right = scores.chunks_exact(classes).zip(labels).filter(|(row, label)| {
        let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        best.is_some_and(|(class, _)| class as i64 == **label)
    });
    Some(right.count() as f64 / labels.len() as f64)
}
