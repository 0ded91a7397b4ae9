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
/// observing a and b must give the same as observing b and a, and as merging one that observed a
/// with one that observed b.
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

/// Runs a model and shows the wanted values as they are computed.
///
/// The runtime optimizes what lies between wanted values, if it may optimize at all.
///
/// Nothing is kept alive for observing: a run takes the memory of a run. Wanted values that are not
/// floating-point are not shown. Values that no graph output depends on are computed for the
/// observer's sake.
pub struct Observer {
    source: Arc<Source>,
    /// Whether the runtime may optimize the graph around the wanted values.
    optimize: bool,
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
        optimize: bool,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ExecError> {
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        let unknown: Vec<&str> = wanted.iter().copied().filter(|name| !source.has(name)).collect();
        if !unknown.is_empty() {
            return Err(ExecError::UnknownValues { names: list(unknown) });
        }
        let wanted = wanted.into_iter().map(str::to_owned).collect();
        Ok(Self { source, optimize, wanted, plans: Plans::new() })
    }

    /// Runs the model and shows every wanted value once: graph inputs first, then constants, then
    /// what is computed, as it is computed.
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

    /// Gathers one statistic per wanted value over all batches, on all threads of the current rayon
    /// pool.
    ///
    /// There is one accumulator per value, whatever the number of threads and batches. Every batch
    /// is taken whole. Wanted values that are not floating-point are missing from the result.
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
        // The runtime's labels get lost where two names become one value, so the wanted values are
        // made outputs: those keep their order through every change of form.
        let mut model = self.source.runnable(shapes, &inside, self.optimize)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decode, float, inputs, waves};
    use crate::{ChannelRanges, RunOptions, Runner, Statistics};

    /// Two names for one value, a constant, a value nothing depends on, and integers.
    const MODEL: &str = "x:float N,4 -> y:float
        same = Identity(x)
        a = MatMul(same, w)
        again = Identity(a)
        twice = Add(w, w)
        dead = Neg(a)
        shape = Shape(a)
        y = Add(again, b)";

    fn runner() -> Runner {
        let initializers = [("w", waves(&[4, 4], 1)), ("b", waves(&[4], 2))];
        Runner::new(&decode(MODEL, &initializers), &RunOptions::default()).expect("it loads")
    }

    fn shown(observer: &Observer, given: &Inputs) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let mut seen = BTreeMap::new();
        let mut visit = |shown: Observation<'_>| {
            let value = (shown.dims.to_vec(), shown.data.to_vec());
            assert_eq!(seen.insert(shown.name.to_owned(), value), None, "each is shown once");
        };
        observer.observe(given, &mut visit).expect("it runs");
        seen
    }

    #[test]
    fn shows_every_wanted_value_under_its_own_name() {
        let names = ["x", "same", "a", "again", "twice", "dead", "shape", "y", "w"];
        let runner = runner();
        let given = inputs([("x", waves(&[3, 4], 5))]);
        let seen = shown(&runner.observer(names).expect("they exist"), &given);
        let floats = ["a", "again", "dead", "same", "twice", "w", "x", "y"];
        assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), floats);
        assert_eq!(seen["x"], seen["same"]);
        assert_eq!(seen["a"], seen["again"]);
        assert_eq!(seen["a"].0, [3, 4]);
        let opposite: Vec<f32> = seen["a"].1.iter().map(|x| -x).collect();
        assert_eq!(seen["dead"].1, opposite);
        let doubled: Vec<f32> = seen["w"].1.iter().map(|x| x + x).collect();
        assert_eq!(seen["twice"].1, doubled);
        let outputs = runner.run(&given).expect("it runs");
        let y = outputs[0].1.to_f32().expect("floats");
        assert!(y.iter().zip(&seen["y"].1).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn observing_gives_the_outputs_too() {
        let runner = runner();
        let given = inputs([("x", waves(&[2, 4], 5))]);
        let observer = runner.observer(["dead"]).expect("it exists");
        let outputs = observer.observe(&given, &mut |_| {}).expect("it runs");
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].1.dims(), [2, 4]);
    }

    #[test]
    fn shows_a_quantized_graph_as_it_is_computed() {
        let text = "x:float 1,4 -> y:float
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            y = Relu(d)";
        let initializers = [("s", Tensor::scalar(0.5f32)), ("z", Tensor::scalar(0i8))];
        let model = decode(text, &initializers);
        let runner = Runner::new(&model, &RunOptions::default()).expect("it loads");
        let given = inputs([("x", float(&[1, 4], &[0.3, -0.6, 2.1, 0.2]))]);
        let seen = shown(&runner.observer(["q", "d", "y"]).expect("they exist"), &given);
        assert_eq!(seen["d"].1, [0.5, -0.5, 2.0, 0.0]);
        assert_eq!(seen["y"].1, [0.5, 0.0, 2.0, 0.0]);
        assert!(!seen.contains_key("q"));
    }

    #[test]
    fn names_the_values_the_graph_lacks() {
        let error = runner().observer(["a", "nothing", "none"]).expect_err("two do not exist");
        assert_eq!(error.to_string(), "the graph has no values `none`, `nothing`");
    }

    #[test]
    fn statistics_do_not_depend_on_order_division_or_threads() {
        let runner = runner();
        let observer = runner.observer(["x", "a", "y", "shape"]).expect("they exist");
        let batches: Vec<Inputs> =
            (0..40).map(|index| inputs([("x", waves(&[2, 4], index))])).collect();
        type Both = (Statistics, ChannelRanges);
        let collect = |threads: usize, batches: Vec<&Inputs>| -> BTreeMap<String, Both> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let batches = batches.into_iter().cloned().map(Ok::<_, ExecError>);
            let pool = pool.expect("threads can be made");
            pool.install(|| observer.collect(batches)).expect("it runs")
        };
        let whole = collect(1, batches.iter().collect());
        assert_eq!(whole.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "x", "y"]);
        assert_eq!(whole["x"].0.count(), 40 * 8);
        assert_eq!(whole["a"].1.len(), 4);
        assert_eq!(collect(4, batches.iter().rev().collect()), whole);
        let mut merged = collect(2, batches[..13].iter().collect());
        for (name, part) in collect(3, batches[13..].iter().collect()) {
            merged.get_mut(&name).expect("the same values").merge(&part);
        }
        assert_eq!(merged, whole);
    }

    #[test]
    fn a_batch_that_does_not_run_stops_the_collection() {
        let runner = runner();
        let observer = runner.observer(["a"]).expect("it exists");
        let batches = [Ok(inputs([])), Ok(inputs([("x", waves(&[2, 4], 0))]))];
        let collected = observer.collect::<Statistics, ExecError>(batches.into_iter());
        assert_eq!(
            collected.expect_err("an input is missing"),
            ExecError::MissingInput { name: "x".to_owned() }
        );
    }

    #[test]
    #[should_panic(expected = "the visitor's own")]
    fn a_panic_of_the_visitor_is_the_callers() {
        let runner = runner();
        let observer = runner.observer(["a"]).expect("it exists");
        let given = inputs([("x", waves(&[2, 4], 0))]);
        let _ = observer.observe(&given, &mut |_| panic!("the visitor's own"));
    }
}
