//! Running a model.
use crate::guard::{Failure, guarded};
use crate::source::{Plans, Source};
use crate::{ExecError, Observer, exchange};
use lapidary_ir::{Model, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_onnx::prelude::{IntoTValue, TValue, TractError, TypedFact};
use tract_onnx::tract_core::internal::TypedOp;
use tract_onnx::tract_core::plan::SimplePlan;

/// What a model is given: tensors by the names of the graph's inputs.
pub type Inputs = BTreeMap<String, Tensor>;

/// What a model gives: tensors with the names of the graph's outputs, in the graph's order.
pub type Outputs = Vec<(String, Tensor)>;

type TypedPlan = SimplePlan<TypedFact, Box<dyn TypedOp>>;

/// How to run a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether the runtime may optimize the graph. Of graphs with quantization operators only single
    /// operators are: the optimizer miscompiles some of what is around them.
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
    /// When the runtime lacks an operator or an element type of the model, or can't read it for
    /// another reason. Some such reasons appear only when the model first runs.
    pub fn new(model: &Model, options: &RunOptions) -> Result<Self, ExecError> {
        let source = Arc::new(Source::new(model)?);
        Ok(Self { source, options: options.clone(), plans: Plans::new() })
    }

    /// Runs the model.
    ///
    /// # Errors
    /// When an input is missing, unknown, or not of the declared type and shape, and when the
    /// runtime does not manage.
    pub fn run(&self, inputs: &Inputs) -> Result<Outputs, ExecError> {
        let tensors = self.source.signature.check(inputs)?;
        let plan = self.plan(&tensors)?;
        let outputs = guarded(|| {
            let values: Result<_, TractError> = tensors.iter().copied().map(value).collect();
            collect_outputs(&self.source, &plan.run(values?)?)
        });
        outputs.map_err(Failure::while_running)
    }

    /// How long the runtime takes for one run in this thread, without handing inputs and outputs over. The first run with
    /// inputs of some shapes takes longer.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn time(&self, inputs: &Inputs) -> Result<Duration, ExecError> {
        let tensors = self.source.signature.check(inputs)?;
        let plan = self.plan(&tensors)?;
        let time = guarded(|| {
            let values: Result<_, TractError> = tensors.iter().copied().map(value).collect();
            let values = values?;
            let start = Instant::now();
            let outputs = plan.run(values)?;
            let time = start.elapsed();
            drop(outputs);
            Ok(time)
        });
        time.map_err(Failure::while_running)
    }

    fn plan(&self, tensors: &[&Tensor]) -> Result<Arc<TypedPlan>, ExecError> {
        let shapes = shapes(tensors);
        let plan = self.plans.get(&shapes, || {
            let model = self.source.runnable(&shapes, &[], self.options.optimize)?;
            guarded(|| SimplePlan::new(model)).map_err(Failure::while_running)
        })?;
        Ok(Arc::clone(&plan))
    }

    /// An observer of the values with these names: graph inputs, initializers, and outputs of nodes
    /// of the main graph.
    ///
    /// # Errors
    /// When the main graph does not have one of them.
    pub fn observer<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Observer, ExecError> {
        Observer::new(self.source.clone(), self.options.optimize, wanted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare;
    use crate::testing::{decode, float, inputs, waves};

    fn runner(model: &Model) -> Runner {
        Runner::new(model, &RunOptions::default()).expect("the runtime knows every operator")
    }

    fn only(outputs: Outputs) -> Tensor {
        assert_eq!(outputs.len(), 1);
        outputs.into_iter().next().expect("there is one").1
    }

    #[test]
    fn runs_a_convolution_with_normalization_and_activation() {
        let text = "x:float 1,1,3,3 -> y:float
            c = Conv(x, w, b)
            n = BatchNormalization(c, scale, shift, mean, variance)
            y = Relu(n)";
        let model = decode(
            text,
            &[
                ("w", float(&[2, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0])),
                ("b", float(&[2], &[0.5, 1.0])),
                ("scale", float(&[2], &[2.0, 1.0])),
                ("shift", float(&[2], &[0.0, 3.0])),
                ("mean", float(&[2], &[0.5, 0.0])),
                ("variance", float(&[2], &[1.0 - 1e-5, 1.0 - 1e-5])),
            ],
        );
        let x = float(&[1, 1, 3, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let outputs = runner(&model).run(&inputs([("x", x)])).expect("it runs");
        let expected = [8.0, 12.0, 20.0, 24.0, 4.0, 3.0, 1.0, 0.0];
        let expected = vec![("y".to_owned(), float(&[1, 2, 2, 2], &expected))];
        assert!(compare(&expected, &outputs).expect("one output")[0].max_abs < 1e-5, "{outputs:?}");
    }

    #[test]
    fn runs_a_symbolic_batch_of_any_size() {
        let text = "x:float N,2 -> y:float
            y = MatMul(x, w)";
        let runner = runner(&decode(text, &[("w", float(&[2, 1], &[1.0, 10.0]))]));
        for batch in [1, 3, 1] {
            let x = Tensor::new(&[batch, 2], &vec![1.0f32; 2 * batch as usize]);
            let y = only(runner.run(&inputs([("x", x)])).expect("it runs"));
            assert!(y.same_content(&float(&[batch, 1], &vec![11.0; batch as usize])));
        }
    }

    #[test]
    fn a_softmax_between_quantizations_keeps_its_meaning() {
        // The runtime's optimizer makes a table of the softmax, as if it were element-wise.
        let text = "x:float 1,8 -> y:float
            q0 = QuantizeLinear(x, s0, z)
            d0 = DequantizeLinear(q0, s0, z)
            m = Softmax(d0) {axis=-1}
            q1 = QuantizeLinear(m, s1, z)
            y = DequantizeLinear(q1, s1, z)";
        let initializers = [
            ("s0", Tensor::scalar(0.05f32)),
            ("s1", Tensor::scalar(0.004f32)),
            ("z", Tensor::scalar(0u8)),
        ];
        let x = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5f32];
        let given = inputs([("x", float(&[1, 8], &x))]);
        let y = only(runner(&decode(text, &initializers)).run(&given).expect("it runs"));
        let sum: f32 = x.iter().map(|x| x.exp()).sum();
        let softmax: Vec<f32> = x.iter().map(|x| x.exp() / sum).collect();
        for (found, expected) in y.to_f32().expect("floats").iter().zip(softmax) {
            assert!((found - expected).abs() <= 0.0021, "{found} {expected}");
        }
    }

    #[test]
    fn a_run_that_is_timed_checks_its_inputs() {
        let runner = runner(&decode("x:float 2 -> y:float\n y = Neg(x)", &[]));
        assert!(runner.time(&inputs([("x", float(&[2], &[1.0, 2.0]))])).is_ok());
        let error = runner.time(&Inputs::new()).expect_err("the input is missing");
        assert_eq!(error.to_string(), "input `x` is missing");
    }

    #[test]
    fn gives_outputs_in_the_order_of_the_graph() {
        let text = "x:float 2 -> b:float a:float x:float
            a = Neg(x)
            b = Add(x, x)";
        let runner = runner(&decode(text, &[]));
        let outputs = runner.run(&inputs([("x", float(&[2], &[1.0, 2.0]))])).expect("it runs");
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "x"]);
        assert!(outputs[0].1.same_content(&float(&[2], &[2.0, 4.0])));
        assert!(outputs[1].1.same_content(&float(&[2], &[-1.0, -2.0])));
    }

    #[test]
    fn runs_integers_and_booleans() {
        let text = "a:int64 2 b:int64 2 -> s:int64 l:bool n:int64
            s = Add(a, b)
            l = Less(a, b)
            n = Shape(a)";
        let given = inputs([("a", Tensor::vector(&[1i64, 5])), ("b", Tensor::vector(&[2i64, 3]))]);
        let outputs = runner(&decode(text, &[])).run(&given).expect("it runs");
        assert!(outputs[0].1.same_content(&Tensor::vector(&[3i64, 8])));
        assert!(outputs[1].1.same_content(&Tensor::vector(&[true, false])));
        assert!(outputs[2].1.same_content(&Tensor::vector(&[2i64])));
    }

    #[test]
    fn runs_halves() {
        let text = "x:float16 2 -> y:float16
            y = Add(x, x)";
        let half = |x: f32| tract_onnx::prelude::f16::from_f32(x);
        let given = inputs([("x", Tensor::vector(&[half(1.5), half(-2.0)]))]);
        let y = only(runner(&decode(text, &[])).run(&given).expect("it runs"));
        assert!(y.same_content(&Tensor::vector(&[half(3.0), half(-4.0)])));
    }

    #[test]
    fn runs_integer_arithmetic() {
        let text = "a:uint8 1,2 -> y:uint8
            y = QLinearMatMul(a, as, az, b, bs, bz, ys, yz)";
        let scale = |scale: f32| Tensor::scalar(scale);
        let zero = || Tensor::scalar(0u8);
        let model = decode(
            text,
            &[
                ("as", scale(0.5)),
                ("az", zero()),
                ("b", Tensor::new(&[2, 1], &[2u8, 4])),
                ("bs", scale(0.5)),
                ("bz", zero()),
                ("ys", scale(1.0)),
                ("yz", zero()),
            ],
        );
        let given = inputs([("a", Tensor::new(&[1, 2], &[10u8, 20]))]);
        let y = only(runner(&model).run(&given).expect("it runs"));
        assert!(y.same_content(&Tensor::new(&[1, 1], &[25u8])), "{y:?}");
    }

    #[test]
    fn an_output_may_be_a_constant_or_made_of_constants() {
        let text = "x:float 1 -> y:float w:float z:float
            y = Add(x, w)
            z = Neg(w)";
        let model = decode(text, &[("w", float(&[1], &[2.0]))]);
        let outputs = runner(&model).run(&inputs([("x", float(&[1], &[1.0]))])).expect("it runs");
        let values: Vec<Option<f32>> = outputs.iter().map(|(_, tensor)| tensor.as_f32()).collect();
        assert_eq!(values, [Some(3.0), Some(2.0), Some(-2.0)]);
    }

    #[test]
    fn says_what_is_wrong_with_the_inputs() {
        let text = "x:float N,2 m:float N,? -> y:float
            y = Add(x, m)";
        let runner = runner(&decode(text, &[]));
        let (x, m) = (float(&[1, 2], &[1.0, 2.0]), float(&[1, 2], &[1.0, 2.0]));
        let cases = [
            (inputs([("x", x.clone())]), "input `m` is missing"),
            (
                inputs([("x", x.clone()), ("m", m.clone()), ("z", m.clone())]),
                "the model has no input `z`, its inputs are `x`, `m`",
            ),
            (
                inputs([("x", Tensor::new(&[1, 2], &[1i64, 2])), ("m", m.clone())]),
                "input `x` has element type int64, expected float",
            ),
            (
                inputs([("x", float(&[2], &[1.0, 2.0])), ("m", m)]),
                "input `x` has dimensions [2], expected rank 2",
            ),
            (
                inputs([("x", x.clone()), ("m", float(&[3, 1], &[0.0; 3]))]),
                "input `m` has 3 entries on axis 0, but `N` is 1 elsewhere",
            ),
            (
                inputs([("x", float(&[1, 3], &[0.0; 3])), ("m", x)]),
                "input `x` has 3 entries on axis 1, expected 2",
            ),
        ];
        for (given, expected) in cases {
            assert_eq!(runner.run(&given).expect_err(expected).to_string(), expected);
        }
    }

    #[test]
    fn names_the_operator_the_runtime_lacks() {
        let refused = |text: &str| {
            let error = Runner::new(&decode(text, &[]), &RunOptions::default());
            error.expect_err("the operator is missing").to_string()
        };
        assert_eq!(
            refused("x:float 2,2 -> y:float\n y = Det(x)"),
            "node `y` (Det) is not supported by the runtime: it has no such operator"
        );
        assert_eq!(
            refused("x:float 2,2 -> y:float\n y = com.microsoft.BiasSoftmax(x, x)"),
            "node `y` (BiasSoftmax) is not supported by the runtime: \
             it has no such operator in domain `com.microsoft`"
        );
        // Of the same name as an operator of ONNX, but another one.
        assert_eq!(
            refused("x:float 2,2 -> y:float\n y = my.own.Relu(x)"),
            "node `y` (Relu) is not supported by the runtime: \
             it has no such operator in domain `my.own`"
        );
    }

    #[test]
    fn names_the_node_the_runtime_refuses() {
        let text = "x:float 2,2 -> y:float
            a = Neg(x)
            q = QuantizeLinear(a, s, z)
            y = DequantizeLinear(q, s, z)";
        let scales = Tensor::vector(&[0.5f32, 0.5]);
        let initializers = [("s", scales), ("z", Tensor::vector(&[0i16, 0]))];
        let error = Runner::new(&decode(text, &initializers), &RunOptions::default())
            .and_then(|runner| runner.run(&inputs([("x", float(&[2, 2], &[1.0; 4]))])));
        let error = error.expect_err("16-bit quantization per axis is not supported");
        let ExecError::Unsupported { node, op_type, .. } = &error else { panic!("{error}") };
        assert_eq!((node.as_str(), op_type.as_str()), ("q", "QuantizeLinear"));
    }

    #[test]
    fn names_the_value_whose_type_the_runtime_lacks() {
        let text = "x:bfloat16 2 -> y:bfloat16
            y = Neg(x)";
        let error = Runner::new(&decode(text, &[]), &RunOptions::default());
        assert_eq!(
            error.expect_err("the type is missing").to_string(),
            "value `x` has element type bfloat16, which the runtime does not support"
        );
    }

    #[test]
    fn several_threads_may_run_at_once() {
        use rayon::prelude::*;
        let text = "x:float N,16 -> y:float
            a = MatMul(x, w)
            y = Tanh(a)";
        let runner = runner(&decode(text, &[("w", waves(&[16, 16], 1))]));
        let run = |index: usize| {
            let x = waves(&[1 + (index % 3) as i64, 16], index);
            only(runner.run(&inputs([("x", x)])).expect("it runs"))
        };
        let together: Vec<Tensor> = (0..24usize).into_par_iter().map(run).collect();
        assert!((0..24).all(|index| run(index).same_content(&together[index])));
    }
}
