//! Makes a plan more accurate, without training: ranges, biases and integers that change what products compute
//! least, on calibration samples.
//!
//! | step | what is chosen | for what |
//! | --- | --- | --- |
//! | equalize | scales of channels, where all of a weight share one | the same range in all channels |
//! | smooth | scales of channels behind normalizations | part of the range of activations becomes that of weights |
//! | ranges | scale and zero point of activations, if no method was asked for | least ‖W (x − Q(x))‖² at the products that read them |
//! | bias | b′ | the mean of the results stays |
//! | rounding | integers and scales of weights | least E(ŵ x̂ − w x̂)² over rows that matter |
//!
//! The first two change the model in floating point ([`equalize`](super::equalize)), which is calibrated again.
//!
//! Rows matter whose result the activation behind the product lets pass: what a Relu or Clip cuts off may be
//! wrong. Every step is judged by the outputs of the whole quantized model on samples that were kept out, and
//! left out when it is no gain.
use super::calibration::Calibration;
use super::equalize::{FloatChange, FloatSteps};
use super::plan::QuantizationPlan;
use super::ranges::RangeMethod;
use super::settings::QuantizeOptions;
use super::target::BiasForm;
use crate::PassError;
use crate::samples::{batches, sampling, windows};
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::Model;
use std::collections::BTreeMap;

mod analytic;
mod collect;
mod factor;
mod float;
mod holdout;
mod layer;
mod moments;
mod ranges;
mod rounding;
mod solve;

pub use analytic::correct_biases;
pub use float::best_alpha;

use holdout::Holdout;
use layer::Layer;
use moments::Moments;
use solve::{Unknowns, solve};

/// A plan, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Refined {
    /// The plan.
    pub plan: QuantizationPlan,
    /// Every step that was tried, in order.
    pub steps: Vec<RefineStep>,
    /// What of the model in floating point was changed by the steps that were kept.
    pub changes: Vec<FloatChange>,
    /// Weights of products no step could change, by why.
    pub unrefined: BTreeMap<&'static str, Vec<String>>,
}

impl From<QuantizationPlan> for Refined {
    /// A plan nothing was tried on.
    fn from(plan: QuantizationPlan) -> Self {
        Self { plan, steps: Vec::new(), changes: Vec::new(), unrefined: BTreeMap::new() }
    }
}

/// A step that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct RefineStep {
    /// The step.
    pub name: &'static str,
    /// The signal-to-noise ratio at the outputs on the samples kept out, in dB, before the step.
    pub before: f64,
    /// The same after it.
    pub after: f64,
}

impl RefineStep {
    /// Whether the result has it.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.after > self.before
    }
}

/// Why a plan can't be made more accurate.
#[derive(Debug, thiserror::Error)]
pub enum RefineError {
    /// The runtime can't run the model.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// A plan does not fit the model.
    #[error(transparent)]
    Pass(#[from] PassError),
}

/// The plan for a model whose types are inferred, with the steps that lower the error at its outputs; the plain
/// plan if there are fewer than five samples or nothing to quantize.
///
/// Steps that change the model in floating point change `model`; those `made` already are not tried.
///
/// # Errors
/// When the runtime can't run the model or what a plan makes of it.
pub fn refine(
    model: &mut Model,
    samples: &Inputs,
    calibration: &Calibration,
    options: &QuantizeOptions,
    made: &FloatSteps,
) -> Result<Refined, RefineError> {
    let plan = QuantizationPlan::of_model(model, calibration, options);
    let mut refined = Refined::from(plan);
    if refined.plan.is_empty() {
        return Ok(refined);
    }
    let Some(holdout) = Holdout::new(model, samples)? else { return Ok(refined) };
    refined.unrefined = layer::unrefined(&refined.plan);
    let mut sqnr_db = holdout.sqnr_db(model, &refined.plan)?;
    let changed = float::improve(model, &holdout, (&mut refined, &mut sqnr_db), options, made)?;
    let calibration = changed.as_ref().unwrap_or(calibration);
    let mut search = Search {
        model,
        integer_bias: has_integer_bias(options),
        sqnr_db,
        holdout,
        refined: &mut refined,
    };
    let chosen = match options.method {
        RangeMethod::Auto => search.ranges(calibration, options)?,
        _ => None,
    };
    let calibration = chosen.as_ref().unwrap_or(calibration);
    let layers = search.layers(calibration);
    let moments = collect::moments(model, &search.holdout.learning, &layers)?;
    search.solve("bias", &layers, &moments, false)?;
    search.solve("rounding", &layers, &moments, true)?;
    Ok(refined)
}

/// Whether biases are `int32`.
fn has_integer_bias(options: &QuantizeOptions) -> bool {
    options.bias.unwrap_or(options.target.profile().bias) == BiasForm::Int32
}

/// The best plan so far, and what it is judged by.
struct Search<'a> {
    model: &'a Model,
    integer_bias: bool,
    holdout: Holdout<'a>,
    sqnr_db: f64,
    refined: &'a mut Refined,
}

impl Search<'_> {
    fn layers(&self, calibration: &Calibration) -> Vec<Layer> {
        Layer::of_plan(&self.model.graph, &self.refined.plan, calibration)
    }

    /// The calibration with the ranges that are best for the products, if they are better at the outputs.
    fn ranges(
        &mut self,
        calibration: &Calibration,
        options: &QuantizeOptions,
    ) -> Result<Option<Calibration>, RefineError> {
        let layers = self.layers(calibration);
        let (learning, plan) = (&self.holdout.learning, &self.refined.plan);
        let format = options.activations();
        let chosen = ranges::choose(self.model, learning, plan, calibration, &layers, format)?;
        let plan = QuantizationPlan::of_model(self.model, &chosen, options);
        Ok(self.consider("ranges", plan)?.then_some(chosen))
    }

    fn solve(
        &mut self,
        name: &'static str,
        layers: &[Layer],
        moments: &[Moments],
        codes: bool,
    ) -> Result<bool, RefineError> {
        let unknowns = Unknowns { integer_bias: self.integer_bias, codes, bias: true };
        let plan = solve(&self.refined.plan, layers, moments, unknowns);
        self.consider(name, plan)
    }

    /// Keeps a plan if it is better. Returns whether it is.
    fn consider(
        &mut self,
        name: &'static str,
        plan: QuantizationPlan,
    ) -> Result<bool, RefineError> {
        let after = self.holdout.sqnr_db(self.model, &plan)?;
        let step = RefineStep { name, before: self.sqnr_db, after };
        let kept = step.kept();
        self.refined.steps.push(step);
        if kept {
            self.sqnr_db = after;
            self.refined.plan = plan;
        }
        Ok(kept)
    }
}
