//! Running a model.
use crate::guard::{Failure, guarded};
use crate::source::{Plans, Source};
use crate::{ExecError, Observer, exchange};
use lapidary_ir::{Model, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tract_onnx::prelude::{IntoTValue, TValue, TractError};
use tract_onnx::tract_core::plan::SimplePlan;

/// What a model is given: tensors by the names of the graph's inputs.
pub type Inputs = BTreeMap<String, Tensor>;

/// What a model gives: tensors with the names of the graph's outputs, in the graph's order.
pub type Outputs = Vec<(String, Tensor)>;

type TypedPlan =
    SimplePlan<tract_onnx::prelude::TypedFact, Box<dyn tract_onnx::tract_core::internal::TypedOp>>;

/// How to run a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether the runtime may optimize the graph. Graphs with quantization operators never are: the
    /// optimizer miscompiles some.
    pub optimize: bool,
    /// The samples in one batch of [`Runner::run_batched`] when the model leaves the batch open.
    pub batch: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { optimize: true, batch: 1 }
    }
}

/// A model ready to run, any number of times and from any number of threads.
///
/// A plan is made for the shapes of the inputs when they first occur; the last few are kept.
pub struct Runner {
    pub(crate) source: Arc<Source>,
    pub(crate) options: RunOptions,
    plans: Plans<Arc<TypedPlan>>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, options, plans: _ } = self;
        f.debug_struct("Runner")
            .field("inputs", &source.signature.inputs)
            .field("outputs", &source.outputs)
            .field("options", options)
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Reads a model into the runtime.
    ///
    /// # Errors
    /// When the runtime lacks an operator or an element type of the model, or can't read it for another
    /// reason. Some such reasons appear only when the model first runs.
    pub fn new(model: &Model, options: &RunOptions) -> Result<Self, ExecError> {
        let source = Arc::new(Source::new(model)?);
        Ok(Self { source, options: options.clone(), plans: Plans::new() })
    }

    /// Runs the model.
    ///
    /// # Errors
    /// When an input is missing, unknown, or not of the declared type and shape, and when the runtime does
    /// not manage.
    pub fn run(&self, inputs: &Inputs) -> Result<Outputs, ExecError> {
        let tensors = self.source.signature.check(inputs)?;
        let shapes = shapes(&tensors);
        let plan = self.plans.get(&shapes, || {
            let model = self.source.runnable(&shapes, self.options.optimize)?;
            guarded(|| SimplePlan::new(model)).map_err(Failure::while_running)
        })?;
        let outputs = guarded(|| {
            let values: Result<_, TractError> = tensors.iter().copied().map(value).collect();
            collect_outputs(&self.source, &plan.run(values?)?)
        });
        outputs.map_err(Failure::while_running)
    }

    /// An observer of the values with these names: graph inputs, initializers, and outputs of nodes of the
    /// main graph.
    ///
    /// # Errors
    /// When the main graph does not have one of them.
    pub fn observer<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Observer, ExecError> {
        Observer::new(self.source.clone(), wanted)
    }
}

/// The dimensions of the inputs, as the runtime counts them.
pub(crate) fn shapes(tensors: &[&Tensor]) -> Vec<Vec<usize>> {
    let shape = |tensor: &&Tensor| tensor.dims().iter().map(|&dim| dim as usize).collect();
    tensors.iter().map(shape).collect()
}

/// An input for the runtime.
pub(crate) fn value(tensor: &Tensor) -> Result<TValue, TractError> {
    Ok(exchange::to_native(tensor)?.into_tvalue())
}

/// The model's own outputs, which come before any exposed ones.
pub(crate) fn collect_outputs(source: &Source, values: &[TValue]) -> Result<Outputs, TractError> {
    let named =
        |(name, value): (&String, &TValue)| Ok((name.clone(), exchange::from_native(value)?));
    source.outputs.iter().zip(values).map(named).collect()
}
