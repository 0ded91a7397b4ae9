//! Expectations of functions of normal numbers.
use super::law::Law;
use crate::fuse::weights;
use lapidary_exec::{Inputs, RunOptions, Runner};
use lapidary_ir::{Boundary, Dim, Graph, Model, ValueId, ValueType};
use std::f64::consts::PI;

/// Where the normal density is cut off, in standard deviations.
const REACH: i32 = 8;

/// Numbers per standard deviation.
const STEPS: i32 = 16;

/// Of the models that are run.
const IR_VERSION: i64 = 10;

/// Standard normal numbers z with weights φ(z) that add up to 1: the trapezoidal rule
///
/// E\[f(z)\] = ∫ f(z) φ(z) dz ≈ h Σᵢ f(i h) φ(i h),
///
/// which converges as fast as Gauss-Hermite quadrature for smooth f (Trefethen and Weideman, SIAM Review 56, 2014),
/// and, with an error of h², far faster where f has kinks, as activations have.
fn nodes() -> Vec<(f64, f64)> {
    let z = |at: i32| f64::from(at) / f64::from(STEPS);
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * PI).sqrt() / f64::from(STEPS);
    let all = (-REACH * STEPS..=REACH * STEPS).map(|at| (z(at), density(z(at))));
    let all: Vec<(f64, f64)> = all.collect();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    all.into_iter().map(|(z, weight)| (z, weight / sum)).collect()
}

/// What becomes of the channels of `from` on the way to `to`, where only elementwise operators and constants are in between:
/// for y = f(x), x ~ N(μ, σ²), with the nodes z and weights w of [`nodes`] and the runtime computing f,
///
/// E\[y\] = Σ w f(μ + σ z), Var\[y\] = Σ w (f(μ + σ z) − E\[y\])²,
///
/// in the mean over positions where constants differ between them. Channels are on `axis`, not the first, of `from`; the axes of
/// both values line up at the right. Nothing of channels whose deviation is not known or where f is not finite, and nothing
/// at all where the runtime can't compute f.
pub(super) fn through(
    graph: &Graph,
    (from, axis): (ValueId, usize),
    laws: &[Option<Law>],
    to: ValueId,
) -> Option<Vec<Option<Law>>> {
    let rank = graph.value(from).shape()?.len();
    let elem_type = graph.value(from).elem_type()?;
    if axis == 0 || axis >= rank {
        return None;
    }
    let nodes = nodes();
    let mut dims = vec![1i64; rank];
    (dims[0], dims[axis]) = (nodes.len() as i64, laws.len() as i64);
    let known = |law: &Option<Law>| law.and_then(|law| Some((law.mean, law.std?)));
    let points: Vec<(f64, f64)> = laws.iter().map(|law| known(law).unwrap_or((0.0, 0.0))).collect();
    let numbers: Vec<f64> = nodes
        .iter()
        .flat_map(|(z, _)| points.iter().map(move |(mean, std)| mean + std * z))
        .collect();
    let sizes = dims.iter().map(|&dim| Dim::from(dim)).collect();
    let ty = ValueType::tensor(Some(elem_type), Some(sizes));
    let boundary = |id: ValueId| (id == from).then(|| Boundary::Input(ty.clone()));
    let part = Model::new(graph.extract(&[to], &boundary), IR_VERSION);
    let options = RunOptions { optimize: false, ..RunOptions::default() };
    let tensor = weights::tensor(elem_type, &dims, &numbers).ok()?;
    let inputs = Inputs::from([(graph.value(from).name().to_owned(), tensor)]);
    let outputs = Runner::new(&part, &options).ok()?.run(&inputs).ok()?;
    let (_, found) = outputs.into_iter().next()?;
    let added = found.rank().checked_sub(rank)?;
    let same = |axis: usize| found.dims().get(axis + added) == dims.get(axis);
    if !same(0) || !same(axis) {
        return None;
    }
    let values = weights::values(&found)?;
    let inner = |axis: usize| found.dims()[axis + added + 1..].iter().product::<i64>() as usize;
    let (per_node, per_channel) = (inner(0), inner(axis));
    let repeats = values.len() / (nodes.len() * laws.len()).max(1);
    let mut sums = vec![(0.0, 0.0); laws.len()];
    for (at, value) in values.iter().enumerate() {
        let weight = nodes[at / per_node % nodes.len()].1 / repeats as f64;
        let (first, second) = &mut sums[at / per_channel % laws.len()];
        *first += weight * value;
        *second += weight * value * value;
    }
    let law = |((first, second), before): ((f64, f64), &Option<Law>)| {
        let before = known(before)?;
        let spread = if before.1 == 0.0 { 0.0 } else { (second - first * first).max(0.0).sqrt() };
        let finite = first.is_finite() && spread.is_finite();
        finite.then_some(Law { mean: first, std: Some(spread) })
    };
    Some(sums.into_iter().zip(laws).map(law).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    const LAWS: [Law; 4] = [
        Law { mean: 0.0, std: Some(1.0) },
        Law { mean: -2.0, std: Some(3.0) },
        Law { mean: 1.5, std: Some(0.25) },
        Law { mean: -0.75, std: Some(0.0) },
    ];

    /// E and the root of Var by adding up many small steps.
    fn summed(law: Law, f: impl Fn(f64) -> f64) -> Law {
        let step = 1e-4;
        let (mut first, mut second) = (0.0, 0.0);
        for at in -90_000..90_000 {
            let z = (f64::from(at) + 0.5) * step;
            let weight = (-z * z / 2.0).exp() / (2.0 * PI).sqrt() * step;
            let y = f(law.mean + law.std.expect("it is given") * z);
            first += weight * y;
            second += weight * y * y;
        }
        Law { mean: first, std: Some((second - first * first).max(0.0).sqrt()) }
    }

    fn found(operators: &str) -> Vec<Law> {
        let source = format!(
            "g (float[N,4,3,3] x) => (float[N,4,3,3] y)
            <float[4,1,1] s = {{0.25, 0.25, 0.25, 0.25}}, float three = {{3}}, float six = {{6}}, float zero = {{0}}>
            {{ {operators} }}"
        );
        let model = model(&source);
        let value = |name| model.graph.find(name).expect("there is such a value");
        let laws: Vec<Option<Law>> = LAWS.iter().copied().map(Some).collect();
        let found = through(&model.graph, (value("x"), 1), &laws, value("y")).expect("it runs");
        found.into_iter().map(|law| law.expect("it is finite")).collect()
    }

    fn assert_near(operators: &str, tolerance: f64, f: impl Fn(f64) -> f64) {
        for (law, found) in LAWS.into_iter().zip(found(operators)) {
            let wanted = summed(law, &f);
            let scale = 1.0 + wanted.mean.abs();
            assert!(
                (found.mean - wanted.mean).abs() < tolerance * scale,
                "{operators}: {found:?} {wanted:?}"
            );
            let (found, wanted) = (found.std.expect("known"), wanted.std.expect("known"));
            assert!((found - wanted).abs() < 1e-2 * scale, "{operators}: {found} {wanted}");
        }
    }

    #[test]
    fn expectations_of_smooth_functions_are_integrals() {
        assert_near("y = Tanh(x)", 1e-6, f64::tanh);
        assert_near("y = Sigmoid(x)", 1e-6, |x| 1.0 / (1.0 + (-x).exp()));
        assert_near("y = Softplus(x)", 1e-6, |x| x.exp().ln_1p());
        assert_near("y = Mul(x, x)", 1e-6, |x| x * x);
        assert_near("a = Sigmoid(x) y = Mul(x, a)", 1e-6, |x| x / (1.0 + (-x).exp()));
    }

    #[test]
    fn expectations_of_functions_with_kinks_are_integrals() {
        assert_near("y = LeakyRelu<alpha = 0.1>(x)", 1e-3, |x| if x < 0.0 { 0.1 * x } else { x });
        assert_near("y = PRelu(x, s)", 1e-3, |x| if x < 0.0 { 0.25 * x } else { x });
        let swish = "a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)";
        assert_near(swish, 1e-3, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
        assert_near("y = Relu(x)", 1e-3, |x| x.max(0.0));
    }

    #[test]
    fn constants_become_constants() {
        let constant = found("y = Sigmoid(x)")[3];
        let wanted = 1.0 / (1.0 + 0.75f64.exp());
        assert!(constant.is_constant() && (constant.mean - wanted).abs() < 1e-6, "{constant:?}");
    }

    #[test]
    fn what_is_not_finite_is_not_told() {
        let model = model("g (float[N,2] x) => (float[N,2] y) { y = Log(x) }");
        let value = |name| model.graph.find(name).expect("there is such a value");
        let laws = [Some(Law { mean: 0.0, std: Some(1.0) }), Some(Law::constant(1.0)), None];
        let (from, to) = ((value("x"), 1), value("y"));
        let found = through(&model.graph, from, &laws[..2], to).expect("it runs");
        assert_eq!(found, [None, Some(Law::constant(0.0))]);
        let found = through(&model.graph, from, &laws[1..], to).expect("it runs");
        assert_eq!(found, [Some(Law::constant(0.0)), None]);
        assert_eq!(through(&model.graph, (value("x"), 0), &laws[..2], to), None);
    }
}
