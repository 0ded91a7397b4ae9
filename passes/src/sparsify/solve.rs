//! Makes weights sparse.
use super::allocate;
use super::collect;
use super::compensate::{Choice, compensate};
use super::error::SparsifyError;
use super::hessian::Hessian;
use super::layer::{Layer, Left, layers};
use super::mask::{Among, cells, choose};
use super::masks;
use super::moments::Moments;
use super::options::{Method, Scope, SparsifyOptions};
use super::pattern::Pattern;
use super::polish::polish;
use super::scores::{magnitude, random, wanda};
use super::weights::SparsifyWeights;
use crate::samples::batches::Batches;
use crate::{PassError, driver};
use lapidary_exec::Inputs;
use lapidary_ir::{Model, NodeId, Patch, Tensor, ValueId};
use rayon::prelude::*;

/// Numbers in the matrices that are in memory at once, unless one layer has more.
const NUMBERS: usize = 1 << 27;

/// What became of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsified {
    /// The weights, in the order of their first readers.
    pub weights: Vec<SparseWeight>,
    /// Products that are left alone, by why.
    pub left: Left,
}

/// What became of a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseWeight {
    /// The initializer.
    pub name: String,
    /// Numbers.
    pub elements: usize,
    /// Those that were 0 before.
    pub zeros_before: usize,
    /// Those that are 0 now.
    pub zeros: usize,
    /// E‖(W − W′) x‖² / E‖W x‖² on the samples, both without their means where a bias makes up for them; only where products of
    /// inputs were summed.
    pub error: Option<f64>,
    /// Whether any number is another.
    pub changed: bool,
}

/// A solved layer.
struct Solution {
    matrix: Vec<f32>,
    bias: Option<(ValueId, Vec<f32>)>,
    error: Option<f64>,
}

/// Sets weights of Conv, Gemm and MatMul to zero as the options say, on samples where the method needs them. The result is
/// the same for any number of threads.
///
/// # Errors
/// When options do not go together, what they name is not there, or the model can't be run.
pub fn sparsify(
    model: &mut Model,
    samples: Option<&Inputs>,
    options: &SparsifyOptions,
) -> Result<Sparsified, SparsifyError> {
    options.check(samples.is_some())?;
    model.graph.infer();
    let unknown = |name: &&crate::quantize::NodeSelector| {
        !model.graph.nodes().any(|(id, _)| name.selects(&model.graph, id))
    };
    if let Some(name) = options.exclude.iter().find(unknown) {
        return Err(SparsifyError::UnknownNode { name: name.to_string() });
    }
    let (mut layers, mut left) = layers(&model.graph, options);
    let mut masks = match &options.masks {
        Some(masks) => masks::kept(&model.graph, &layers, masks)?,
        None => vec![None; layers.len()],
    };
    if options.masks.is_some() {
        let masked: Vec<bool> = masks.iter().map(Option::is_some).collect();
        leave(&mut layers, &mut left, model, "there is no mask for its weights", |at| masked[at]);
        masks.retain(Option::is_some);
    }
    let observed = match samples.filter(|_| options.method.needs_samples()) {
        Some(samples) => Some(Batches::new(&model.graph, samples)?),
        None => None,
    };
    let mut squares = Vec::new();
    if let Some(batches) = &observed
        && (options.method == Method::Wanda || matches!(options.scope, Scope::Global { .. }))
    {
        let all: Vec<&Layer> = layers.iter().collect();
        let found = collect::moments(model, batches, &all, false)?;
        let usable: Vec<bool> =
            found.iter().map(|found| found.rows > 0 && found.is_finite()).collect();
        leave(&mut layers, &mut left, model, UNOBSERVED, |at| usable[at]);
        squares = kept(found, &usable);
        masks = kept(masks, &usable);
    }
    let budgets = budgets(&layers, &squares, options);
    let solutions = match &observed {
        Some(batches) if options.method == Method::SparseGpt => {
            with_hessians(model, batches, &layers, &masks, &budgets, options)?
        }
        _ => (0..layers.len())
            .into_par_iter()
            .map(|at| {
                let (layer, moments) = (&layers[at], squares.get(at));
                let keep = masks[at].clone();
                Some(plain(layer, moments, keep, budgets[at], options))
            })
            .collect(),
    };
    let solved: Vec<bool> = solutions.iter().map(Option::is_some).collect();
    leave(&mut layers, &mut left, model, UNOBSERVED, |at| solved[at]);
    let solutions: Vec<Solution> = solutions.into_iter().flatten().collect();
    let weights = write(model, &layers, solutions)?;
    Ok(Sparsified { weights, left })
}

const UNOBSERVED: &str = "the samples say nothing of its inputs";

/// The entries that are to stay.
fn kept<T>(entries: Vec<T>, stay: &[bool]) -> Vec<T> {
    entries.into_iter().zip(stay).filter(|(_, stay)| **stay).map(|(entry, _)| entry).collect()
}

/// Leaves layers alone for a reason.
fn leave(
    layers: &mut Vec<Layer>,
    left: &mut Left,
    model: &Model,
    reason: &str,
    stays: impl Fn(usize) -> bool,
) {
    let graph = &model.graph;
    let label = |&id: &NodeId| format!("{} ({})", graph[id].label(graph), graph[id].op_type);
    let mut at = 0;
    layers.retain(|layer| {
        let stay = stays(at);
        at += 1;
        if !stay {
            let labels = layer.readers.first().map(label);
            left.entry(reason.to_owned()).or_default().extend(labels);
        }
        stay
    });
}

/// How many weights of each layer go.
fn budgets(layers: &[Layer], squares: &[Moments], options: &SparsifyOptions) -> Vec<usize> {
    let (rows, columns) = options.pattern.cell();
    let of_cell = rows * columns;
    let Scope::Global { most } = options.scope else {
        let count = |layer: &Layer| {
            let cells = layer.matrix.len() / of_cell;
            (options.sparsity * cells as f64).round() as usize * of_cell
        };
        return layers.iter().map(count).collect();
    };
    let score = |at: usize| {
        let layer = &layers[at];
        let mut scores = scores(layer, squares.get(at), options);
        scores.iter_mut().for_each(|score| *score *= *score);
        cells(&scores, layer.layout.size(), options.pattern)
    };
    let scores: Vec<Vec<f64>> = (0..layers.len()).into_par_iter().map(score).collect();
    let removed = allocate::removed(&scores, options.sparsity, most);
    removed.into_iter().map(|cells| cells * of_cell).collect()
}

/// How much weights matter, as far as that is known without the products of inputs.
fn scores(layer: &Layer, squares: Option<&Moments>, options: &SparsifyOptions) -> Vec<f64> {
    match (options.method, squares) {
        (Method::Random, _) => random(layer, options.seed),
        (Method::Wanda | Method::SparseGpt, Some(squares)) => wanda(layer, squares),
        _ => magnitude(layer),
    }
}

/// Weights go, the others stay as they are.
fn plain(
    layer: &Layer,
    squares: Option<&Moments>,
    keep: Option<Vec<bool>>,
    budget: usize,
    options: &SparsifyOptions,
) -> Solution {
    let among = match (options.method, options.pattern) {
        (Method::Wanda, Pattern::Unstructured) => Among::Row,
        _ => Among::All,
    };
    let keep = keep.unwrap_or_else(|| {
        let scores = scores(layer, squares, options);
        choose(&scores, layer.layout.size(), options.pattern, budget, among)
    });
    let weight = |(&weight, keep): (&f32, bool)| if keep { weight } else { 0.0 };
    let matrix = layer.matrix.iter().zip(keep).map(weight).collect();
    Solution { matrix, bias: None, error: None }
}

/// Weights go, the others make up for it. As many layers at once as there is memory for.
fn with_hessians(
    model: &Model,
    batches: &Batches<'_>,
    layers: &[Layer],
    masks: &[Option<Vec<bool>>],
    budgets: &[usize],
    options: &SparsifyOptions,
) -> Result<Vec<Option<Solution>>, SparsifyError> {
    let numbers = |layer: &Layer| layer.layout.groups * layer.layout.size().pow(2);
    let mut solutions = Vec::with_capacity(layers.len());
    while solutions.len() < layers.len() {
        let start = solutions.len();
        let mut sum = 0;
        let fits = layers[start..].iter().take_while(|layer| {
            sum += numbers(layer);
            sum <= NUMBERS
        });
        let end = start + fits.count().max(1);
        let part: Vec<&Layer> = layers[start..end].iter().collect();
        let moments = collect::moments(model, batches, &part, true)?;
        let solve = |(at, moments): (usize, Moments)| {
            let (mask, budget) = (masks[start + at].as_deref(), budgets[start + at]);
            let choice = match mask {
                Some(keep) => Choice::Known(keep),
                None => Choice::Removed(options.pattern, budget),
            };
            compensated(model, part[at], &moments, choice)
        };
        let found: Vec<_> = moments.into_par_iter().enumerate().map(solve).collect();
        solutions.extend(found);
    }
    Ok(solutions)
}

/// Weights go, the others and the bias make up for it; none if the inputs are not known.
fn compensated(
    model: &Model,
    layer: &Layer,
    moments: &Moments,
    choice: Choice<'_>,
) -> Option<Solution> {
    if moments.rows == 0 || !moments.is_finite() {
        return None;
    }
    let layout = &layer.layout;
    let size = layout.size();
    let bias = layer.bias(&model.graph);
    let order: Vec<usize> = (0..size).map(|column| layout.in_window(column)).collect();
    let hessian = |window: ndarray::Array2<f64>| {
        let entry = |(row, column): (usize, usize)| window[(order[row], order[column])];
        Hessian::new(ndarray::Array2::from_shape_fn((size, size), entry), moments.rows)
    };
    let hessians: Vec<Hessian> =
        moments.hessians(bias.is_some())?.into_iter().map(hessian).collect::<Option<_>>()?;
    let original: Vec<f64> = layer.matrix.iter().map(|&weight| f64::from(weight)).collect();
    let mut matrix = original.clone();
    let keep = compensate(&mut matrix, layout, &hessians, choice);
    polish(&mut matrix, &original, &keep, layout, &hessians);
    let matrix: Vec<f32> = matrix.into_iter().map(|weight| weight as f32).collect();
    let errors: Vec<f64> =
        original.iter().zip(&matrix).map(|(before, &after)| before - f64::from(after)).collect();
    let cost = |numbers: &[f64]| -> f64 {
        let rows = numbers.chunks_exact(size).enumerate();
        rows.map(|(row, numbers)| hessians[layout.group(row)].cost(numbers)).sum()
    };
    let (lost, all) = (cost(&errors), cost(&original));
    // b′ = b + (W − W′) E[x].
    let bias = bias.map(|(id, numbers)| {
        let moved = |(row, bias): (usize, f32)| {
            let errors = &errors[row * size..][..size];
            let mean = |column: usize| moments.mean(layout.group(row), order[column]);
            let lost = errors.iter().enumerate().map(|(column, error)| error * mean(column));
            (f64::from(bias) + lost.sum::<f64>()) as f32
        };
        (id, numbers.into_iter().enumerate().map(moved).collect())
    });
    Some(Solution { matrix, bias, error: Some(if all > 0.0 { lost / all } else { 0.0 }) })
}

/// Gives the initializers their new numbers.
fn write(
    model: &mut Model,
    layers: &[Layer],
    solutions: Vec<Solution>,
) -> Result<Vec<SparseWeight>, PassError> {
    let mut patch = Patch::default();
    let mut weights = Vec::with_capacity(layers.len());
    let zeros = |matrix: &[f32]| matrix.iter().filter(|weight| **weight == 0.0).count();
    for (layer, Solution { matrix, bias, error }) in layers.iter().zip(solutions) {
        let changed = matrix != layer.matrix;
        weights.push(SparseWeight {
            name: layer.name.clone(),
            elements: matrix.len(),
            zeros_before: zeros(&layer.matrix),
            zeros: zeros(&matrix),
            error,
            changed,
        });
        let Some(before) = model.graph.constant(layer.value).filter(|_| changed) else { continue };
        let mut tensor = Tensor::new(before.dims(), &layer.layout.laid_out(&matrix));
        tensor.notes.clone_from(&before.notes);
        patch.set_tensor(layer.value, tensor);
        if let Some((id, numbers)) = bias {
            patch.set_tensor(id, Tensor::vector(&numbers));
        }
    }
    if !patch.is_empty() {
        let pass = SparsifyWeights::INFO.name;
        model.graph.apply(patch).map_err(|source| PassError::Patch { pass, source })?;
        model.graph.infer();
        driver::check(pass, model)?;
    }
    Ok(weights)
}
