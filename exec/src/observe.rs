//! Watching the values inside a graph.
use crate::error::list;
use crate::guard::{Failure, guarded, message};
use crate::run::{collect_outputs, shapes, value};
use crate::source::{Plans, Source, is_float};
use crate::{ExecError, Inputs, Outputs, exchange};
use lapidary_ir::Tensor;
use rayon::prelude::*;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tract_onnx::prelude::{
    OutletId, TValue, TVec, Tensor as Native, TractError, TypedFact, TypedModel,
};
use tract_onnx::tract_core::internal::TypedOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::plan::{SimplePlan, eval};

/// A floating-point value of the graph in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// The value's ONNX name.
    pub name: &'a str,
    /// Its dimensions.
    pub dims: &'a [usize],
    /// Its elements, row-major; `float16` and `double` are converted.
    pub data: &'a [f32],
}

/// Something gathered from observations, such that neither their order nor their division matters:
/// observing a and b must give the same as observing b and a, and as merging one that observed a with one
/// that observed b.
pub trait Statistic: Default + Send {
    /// Takes in one value of one run.
    fn observe(&mut self, observation: &Observation<'_>);

    /// Takes in what `other` observed.
    fn merge(&mut self, other: &Self);
}

impl<A: Statistic, B: Statistic> Statistic for (A, B) {
    fn observe(&mut self, observation: &Observation<'_>) {
        self.0.observe(observation);
        self.1.observe(observation);
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
        self.1.merge(&other.1);
    }
}

/// Runs a model un-optimized and shows the wanted values as they are computed.
///
/// Nothing is kept alive for observing: a run takes the memory of a run. Wanted values that are not
/// floating-point are not shown. Values that no graph output depends on are computed for the observer's sake.
pub struct Observer {
    source: Arc<Source>,
    /// The wanted names, each once.
    wanted: Vec<String>,
    plans: Plans<ObservedPlan>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// A plan and where in it the wanted values are.
struct ObservedPlan {
    plan: Arc<SimplePlan<TypedFact, Box<dyn TypedOp>>>,
    /// The wanted inputs of the graph.
    inputs: Vec<String>,
    /// Wanted values that are the same in every run.
    constants: Vec<(String, Arc<Native>)>,
    /// The names of what a node computes, with the output slot.
    computed: HashMap<usize, Vec<(usize, String)>>,
}

impl Observer {
    pub(crate) fn new<'a>(
        source: Arc<Source>,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ExecError> {
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        let unknown: Vec<&str> = wanted.iter().copied().filter(|name| !source.has(name)).collect();
        if !unknown.is_empty() {
            return Err(ExecError::UnknownValues { names: list(unknown) });
        }
        let wanted = wanted.into_iter().map(str::to_owned).collect();
        Ok(Self { source, wanted, plans: Plans::new() })
    }

    /// Runs the model and shows every wanted value once: graph inputs first, then constants, then what is
    /// computed, as it is computed.
    ///
    /// # Errors
    /// Those of [`Runner::run`](crate::Runner::run).
    pub fn observe(
        &self,
        inputs: &Inputs,
        visit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Outputs, ExecError> {
        let tensors = self.source.signature.check(inputs)?;
        let shapes = shapes(&tensors);
        let observed = self.plans.get(&shapes, || self.plan(&shapes))?;
        let mut visitor = Visitor { visit, panic: None };
        let outputs = guarded(|| observed.run(&self.source, &tensors, &mut visitor));
        match visitor.panic {
            Some(payload) => resume_unwind(payload),
            None => outputs.map_err(Failure::while_running),
        }
    }

    /// Gathers one statistic per wanted value over all batches, on all threads of the current rayon pool.
    ///
    /// There is one accumulator per value, whatever the number of threads and batches. Every batch is taken
    /// whole. Wanted values that are not floating-point are missing from the result.
    ///
    /// # Errors
    /// Those of the iterator, and those of [`Runner::run`](crate::Runner::run).
    pub fn collect<S, E>(
        &self,
        batches: impl Iterator<Item = Result<Inputs, E>> + Send,
    ) -> Result<BTreeMap<String, S>, E>
    where
        S: Statistic,
        E: From<ExecError> + Send,
    {
        let names = self.wanted.iter().map(String::as_str);
        let gathered: HashMap<&str, Mutex<Option<S>>> =
            names.map(|name| (name, Mutex::new(None))).collect();
        batches.par_bridge().try_for_each(|batch| {
            let mut visit = |observation: Observation<'_>| {
                let Some(statistic) = gathered.get(observation.name) else { return };
                let mut statistic = statistic.lock().unwrap_or_else(PoisonError::into_inner);
                statistic.get_or_insert_default().observe(&observation);
            };
            self.observe(&batch?, &mut visit)?;
            Ok::<(), E>(())
        })?;
        let observed = |name: &String| {
            let statistic = gathered.get(name.as_str())?.lock();
            Some((name.clone(), statistic.unwrap_or_else(PoisonError::into_inner).take()?))
        };
        Ok(self.wanted.iter().filter_map(observed).collect())
    }

    fn plan(&self, shapes: &[Vec<usize>]) -> Result<ObservedPlan, ExecError> {
        let inputs = &self.source.signature.inputs;
        let is_input = |name: &String| inputs.iter().any(|declared| declared.name == *name);
        let (outside, inside): (Vec<String>, Vec<String>) =
            self.wanted.iter().cloned().partition(is_input);
        // The runtime's labels get lost where two names become one value, so the wanted values are made
        // outputs: those keep their order through every change of form.
        let mut model = self.source.typed(shapes, &inside)?;
        let outlets = model.outputs.split_off(self.source.outputs.len());
        guarded(|| ObservedPlan::new(model, outside, inside.into_iter().zip(outlets).collect()))
            .map_err(Failure::while_running)
    }
}

impl ObservedPlan {
    fn new(
        mut model: TypedModel,
        inputs: Vec<String>,
        wanted: Vec<(String, OutletId)>,
    ) -> Result<Self, TractError> {
        let live: BTreeSet<usize> = model.eval_order()?.into_iter().collect();
        let mut constants = Vec::new();
        let mut computed: HashMap<usize, Vec<(usize, String)>> = HashMap::new();
        for (name, outlet) in wanted {
            let node = model.node(outlet.node);
            if let Some(constant) = node.op_as::<Const>() {
                constants.push((name, constant.val().clone()));
                continue;
            }
            if !is_float(model.outlet_fact(outlet)?.datum_type) {
                continue;
            }
            if !live.contains(&outlet.node) {
                model.outputs.push(outlet);
            }
            computed.entry(outlet.node).or_default().push((outlet.slot, name));
        }
        Ok(Self { plan: SimplePlan::new(model)?, inputs, constants, computed })
    }

    fn run(
        &self,
        source: &Source,
        tensors: &[&Tensor],
        visitor: &mut Visitor<'_>,
    ) -> Result<Outputs, TractError> {
        let values: Result<_, TractError> = tensors.iter().copied().map(value).collect();
        let values: TVec<TValue> = values?;
        for (declared, value) in source.signature.inputs.iter().zip(&values) {
            if self.inputs.contains(&declared.name) {
                visitor.show(&declared.name, value)?;
            }
        }
        for (name, constant) in &self.constants {
            visitor.show(name, constant)?;
        }
        let mut state = self.plan.spawn()?;
        let outputs = state.run_plan_with_eval(values, |context, state, node, inputs| {
            let outputs = eval(context, state, node, inputs)?;
            for (slot, name) in self.computed.get(&node.id).into_iter().flatten() {
                visitor.show(name, &outputs[*slot])?;
            }
            Ok::<_, TractError>(outputs)
        })?;
        collect_outputs(source, &outputs)
    }
}

/// The caller's visitor. Its panics are its own: they pass through the runtime to the caller.
struct Visitor<'a> {
    visit: &'a mut dyn FnMut(Observation<'_>),
    panic: Option<Box<dyn Any + Send>>,
}

impl Visitor<'_> {
    fn show(&mut self, name: &str, native: &Native) -> Result<(), TractError> {
        let Some(data) = exchange::floats(native)? else { return Ok(()) };
        let observation = Observation { name, dims: native.shape(), data: &data };
        catch_unwind(AssertUnwindSafe(|| (self.visit)(observation))).map_err(|payload| {
            let text = message(&*payload);
            self.panic = Some(payload);
            TractError::msg(text)
        })
    }
}
