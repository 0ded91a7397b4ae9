//! Where in a graph a changed model departs from the original.
use crate::evaluate::fixed_batch;
use crate::{Dataset, Error};
use lapidary_exec::{ExecError, Inputs, Observer, RunOptions, Runner};
use lapidary_ir::{Graph, Model};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The error of a value that both models compute under one name, with that of everything before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerError {
    /// The value.
    pub value: String,
    /// The operator that computes it in the original.
    pub op_type: String,
    /// Signal-to-noise ratio in dB, 10 log₁₀ (Σ x² / Σ (x − x′)²); none when the values are equal.
    pub sqnr_db: Option<f64>,
    /// Largest difference.
    pub max_abs: f64,
    /// Cosine of the angle between the values: Σ x x′ / √(Σ x² Σ x′²); none when one is zero.
    pub cosine: Option<f64>,
}

/// What is summed up of a value.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    power: f64,
    changed_power: f64,
    product: f64,
    noise: f64,
    max_abs: f64,
}

impl Sums {
    fn of(original: &[f32], changed: &[f32]) -> Self {
        let mut sums = Self::default();
        for (&x, &y) in original.iter().zip(changed) {
            if x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()) {
                let square = f64::from(x) * f64::from(x);
                let square = if square.is_finite() { square } else { 0.0 };
                sums.power += square;
                sums.changed_power += square;
                sums.product += square;
                continue;
            }
            let (x, y) = (f64::from(x), f64::from(y));
            let difference = x - y;
            sums.power += x * x;
            sums.changed_power += y * y;
            sums.product += x * y;
            sums.noise += difference * difference;
            // A NaN on one side only is as far away as can be.
            let distance = if difference.is_nan() { f64::INFINITY } else { difference.abs() };
            sums.max_abs = sums.max_abs.max(distance);
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.power += other.power;
        self.changed_power += other.changed_power;
        self.product += other.product;
        self.noise += other.noise;
        self.max_abs = self.max_abs.max(other.max_abs);
    }

    fn error(&self, value: String, op_type: String) -> LayerError {
        let lengths = (self.power * self.changed_power).sqrt();
        LayerError {
            value,
            op_type,
            sqnr_db: (self.noise != 0.0).then(|| 10.0 * (self.power / self.noise).log10()),
            max_abs: self.max_abs,
            cosine: (lengths > 0.0).then(|| self.product / lengths),
        }
    }
}

/// Runs both models, whose types are inferred, on samples and compares every floating-point value that both
/// compute under one name with the same dimensions; in the order of the changed model.
///
/// # Errors
/// When samples can't be read or the runtime can't execute a model.
pub fn layer_errors(
    original: &Model,
    changed: &Model,
    data: &Dataset,
) -> Result<Vec<LayerError>, Error> {
    let operators = operators(&original.graph);
    let shared: Vec<&str> =
        computed(&changed.graph).filter(|name| operators.contains_key(name)).collect();
    let first = observer(original, "original", &shared)?;
    let second = observer(changed, "result", &shared)?;
    // A model with a fixed batch takes no less.
    let batch = fixed_batch(original);
    let whole = |range: &Range<usize>| data.is_whole() || range.len().is_multiple_of(batch);
    let ranges: Vec<Range<usize>> = data.parts(batch).filter(whole).collect();
    let sample = |range: &Range<usize>| {
        let inputs =
            data.batch(range.clone()).map_err(|source| Error::data(data.path(), source))?;
        compare(&first, &second, &inputs)
    };
    let samples: Vec<BTreeMap<String, Sums>> =
        ranges.par_iter().map(sample).collect::<Result<_, Error>>()?;
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    for (name, own) in samples.iter().flatten() {
        sums.entry(name).or_default().add(own);
    }
    let error = |name: &str| {
        let found = sums.get(name)?;
        Some(found.error(name.to_owned(), operators[name].to_owned()))
    };
    Ok(shared.into_iter().filter_map(error).collect())
}

/// The names of the values the nodes compute, in topological order.
fn computed(graph: &Graph) -> impl Iterator<Item = &str> {
    let outputs = graph.topological_order().into_iter().flat_map(|id| graph[id].outputs());
    outputs.flatten().map(|&id| graph.value(id).name())
}

/// What computes every value.
fn operators(graph: &Graph) -> HashMap<&str, &str> {
    graph
        .nodes()
        .flat_map(|(_, node)| {
            let names = node.outputs().iter().flatten().map(|&id| graph.value(id).name());
            names.map(|name| (name, node.op_type.as_str()))
        })
        .collect()
}

fn observer(model: &Model, what: &'static str, wanted: &[&str]) -> Result<Observer, Error> {
    let runner = Runner::new(model, &RunOptions::default());
    let observer = runner.and_then(|runner| runner.observer(wanted.iter().copied()));
    observer.map_err(|source| execute(what, source))
}

fn execute(what: &'static str, source: ExecError) -> Error {
    Error::Execute { what, source, help: "layers are compared by executing both models" }
}

fn compare(
    first: &Observer,
    second: &Observer,
    inputs: &Inputs,
) -> Result<BTreeMap<String, Sums>, Error> {
    let mut seen: HashMap<String, (Vec<usize>, Vec<f32>)> = HashMap::new();
    let original = first.observe(inputs, &mut |shown| {
        seen.insert(shown.name.to_owned(), (shown.dims.to_vec(), shown.data.to_vec()));
    });
    original.map_err(|source| execute("original", source))?;
    let mut sums = BTreeMap::new();
    let changed = second.observe(inputs, &mut |shown| {
        if let Some((dims, data)) = seen.remove(shown.name)
            && dims == shown.dims
        {
            sums.insert(shown.name.to_owned(), Sums::of(&data, shown.data));
        }
    });
    changed.map_err(|source| execute("result", source))?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::Tensor;

    fn model(text: &str) -> Model {
        let text = format!("<ir_version: 8, opset_import: [\"\" : 17]> {text}");
        let mut model = lapidary_ir::text::parse(&text).expect("it is a model");
        model.graph.infer();
        model
    }

    fn errors(original: &str, changed: &str, x: &[f32]) -> Vec<LayerError> {
        let (original, changed) = (model(original), model(changed));
        let arrays = BTreeMap::from([("x".to_owned(), Tensor::new(&[x.len() as i64 / 2, 2], x))]);
        let data = Dataset::new(arrays, &original.graph).expect("it fits");
        layer_errors(&original, &changed, &data).expect("they run")
    }

    const ORIGINAL: &str = "g (float[N,2] x) => (float[N,2] y)
        <float two = {2}> { a = Mul(x, two) b = Neg(a) y = Neg(b) }";

    #[test]
    fn errors_are_those_of_all_samples() {
        let changed = "g (float[N,2] x) => (float[N,2] y)
            <float two = {2.5}> { a = Mul(x, two) y = Identity(a) }";
        // a = 2, 4, 6, 8 against 2.5, 5, 7.5, 10: noise is (1/4)² of the power.
        let found = errors(ORIGINAL, changed, &[1.0, 2.0, 3.0, 4.0]);
        let names: Vec<_> = found.iter().map(|e| (e.value.as_str(), e.op_type.as_str())).collect();
        assert_eq!(names, [("a", "Mul"), ("y", "Neg")]);
        let a = &found[0];
        assert!((a.sqnr_db.expect("it differs") - 20.0 * 4f64.log10()).abs() < 1e-9);
        assert_eq!(a.max_abs, 2.0);
        assert!((a.cosine.expect("none is zero") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn equal_values_have_no_noise() {
        let found = errors(ORIGINAL, ORIGINAL, &[1.0, f32::INFINITY]);
        assert!(found.iter().all(|e| e.sqnr_db.is_none() && e.max_abs == 0.0));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_fixed_batch_is_given_whole() {
        let fixed = ORIGINAL.replace("float[N,2]", "float[2,2]");
        let found = errors(&fixed, &fixed, &[1.0; 6]);
        assert_eq!(found.len(), 3);
    }
}
