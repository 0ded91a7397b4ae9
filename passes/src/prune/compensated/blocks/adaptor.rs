//! A linear map in the place of a block: T · x + t.
//!
//! Fitted on samples to what the original gave, by least squares pulled towards the identity. It costs nothing where a
//! product next to it can take it over: one that gives x for nothing else, W′ = T · W and b′ = T · b + t, or all that
//! read y, W′ = W · T and b′ = b + W · t, unless their windows reach over zeros, to which t does not apply.
use super::find::Block;
use crate::prune::compensated::fit::Fit;
use crate::prune::compensated::refit::limits;
use crate::prune::compensated::watch::{quota, results, watch};
use crate::prune::compensated::{ExecError, PruneError};
use crate::prune::products::{Bias, Form, Product};
use crate::samples::batches::Batches;
use lapidary_exec::Observation;
use lapidary_ir::{Graph, Model, NewNode, Node, Patch, Tensor, ValueId};
use ndarray::{Array1, Array2, Axis, concatenate};
use std::ops::Range;

/// Channels at most, of a value that a linear map is fitted for.
const MOST_CHANNELS: usize = 4_096;

/// T, by row, and t.
#[derive(Clone, Debug)]
pub(super) struct LinearMap {
    pub(super) weights: Array2<f64>,
    pub(super) offsets: Array1<f64>,
}

/// What stands in the place of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adaptor {
    /// Its input.
    Identity,
    /// A linear map that the product before has taken over.
    Before,
    /// A linear map that the products behind have taken over.
    Behind,
    /// A linear map of its own.
    Own,
}

impl LinearMap {
    /// The map from what a block reads in `model` to what it gives in the original; none when there are too many
    /// channels, or an unknown number.
    pub(super) fn fit(
        original: &Model,
        model: &Model,
        block: &Block,
        samples: &Batches<'_>,
    ) -> Result<Option<Self>, ExecError> {
        let graph = &model.graph;
        let dim = graph.value(block.input).shape().and_then(|shape| shape.get(block.axis)?.value());
        let channels = dim.and_then(|dim| usize::try_from(dim).ok());
        let Some(channels) = channels.filter(|&channels| channels <= MOST_CHANNELS) else {
            return Ok(None);
        };
        let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
        let quota = quota(channels, spans.len());
        let form = if block.axis == 1 { Form::Conv } else { Form::Columns };
        let all: Vec<usize> = (0..channels).collect();
        let rows = |model: &Model, value: ValueId| -> Result<Option<Array2<f32>>, ExecError> {
            let show = |rows: &mut Option<Array2<f32>>, batch: usize, shown: &Observation<'_>| {
                *rows = results(form, &all, shown, quota, batch);
            };
            let parts = watch(model, samples, &spans, &[value], show, || None)?;
            let views: Option<Vec<_>> =
                parts.iter().map(|rows| rows.as_ref().map(|rows| rows.view())).collect();
            Ok(views.and_then(|views| concatenate(Axis(0), &views).ok()))
        };
        let (inputs, targets) = (rows(model, block.input)?, rows(original, block.output)?);
        let mut fit = Fit {
            weights: Array2::eye(channels),
            offsets: Array1::zeros(channels),
            centred: true,
            limits: limits(&original.graph, block.output),
        };
        let solved = inputs.zip(targets).is_some_and(|(x, y)| fit.solve(x, y.view()));
        Ok(solved.then_some(Self { weights: fit.weights, offsets: fit.offsets }))
    }

    /// The model with the map in the place of a block, and where it went.
    pub(super) fn place(
        &self,
        model: &Model,
        block: &Block,
    ) -> Result<(Model, Adaptor), PruneError> {
        let graph = &model.graph;
        let mut patch = Patch::default();
        let products = Product::of(graph);
        let adaptor = if self.before(graph, &products, block, &mut patch).is_some() {
            Adaptor::Before
        } else if self.behind(graph, &products, block, &mut patch).is_some() {
            Adaptor::Behind
        } else {
            Adaptor::Own
        };
        if adaptor == Adaptor::Own {
            let own = self.own(graph, block, &mut patch);
            patch.replace(block.output, own);
        } else {
            patch.replace(block.output, block.input);
        }
        let mut model = model.clone();
        model.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
        Ok((model, adaptor))
    }

    fn before(
        &self,
        graph: &Graph,
        products: &[Product],
        block: &Block,
        patch: &mut Patch,
    ) -> Option<()> {
        let product = products.iter().find(|product| product.output == block.input)?;
        let fits =
            block.alone && product.groups == 1 && product.has_bias() && along(product, block);
        if !fits || product.outputs(graph)? != self.offsets.len() {
            return None;
        }
        let offsets = Array1::from(product.offsets(graph)?);
        let offsets = self.weights.dot(&offsets) + &self.offsets;
        let rows = self.weights.dot(&product.rows(graph)?);
        product.install(graph, patch, &rows, &offsets.to_vec());
        Some(())
    }

    fn behind(
        &self,
        graph: &Graph,
        products: &[Product],
        block: &Block,
        patch: &mut Patch,
    ) -> Option<()> {
        if graph.value(block.output).is_output() {
            return None;
        }
        let mut changes = Vec::new();
        for reader in graph.consumers(block.output) {
            let product = products
                .iter()
                .find(|product| product.node == reader && product.input == block.output)?;
            let whole = product.groups == 1 && product.has_bias() && along(product, block);
            if !whole || !is_unpadded(&graph[reader]) {
                return None;
            }
            let rows = product.rows(graph)?;
            let channels = self.offsets.len();
            if rows.ncols() != channels * product.taps {
                return None;
            }
            let mut changed = Array2::zeros(rows.dim());
            let mut offsets = Array1::from(product.offsets(graph)?);
            for tap in 0..product.taps {
                let columns: Vec<usize> =
                    (0..channels).map(|channel| channel * product.taps + tap).collect();
                let part = rows.select(Axis(1), &columns);
                offsets = offsets + part.dot(&self.offsets);
                let mapped = part.dot(&self.weights);
                for (column, values) in columns.into_iter().zip(mapped.columns()) {
                    changed.column_mut(column).assign(&values);
                }
            }
            changes.push((product, changed, offsets));
        }
        for (product, rows, offsets) in &changes {
            product.install(graph, patch, rows, &offsets.to_vec());
        }
        (!changes.is_empty()).then_some(())
    }

    /// A convolution of one place, or a product with a matrix.
    fn own(&self, graph: &Graph, block: &Block, patch: &mut Patch) -> lapidary_ir::Operand {
        let size = self.offsets.len() as i64;
        let name = graph.value(block.output).name();
        let offsets: Vec<f32> = self.offsets.iter().map(|&number| number as f32).collect();
        let bias = patch.initializer(format!("{name}_bias"), Tensor::vector(&offsets));
        let numbers = |rows: &mut dyn Iterator<Item = &f64>| -> Vec<f32> {
            rows.map(|&number| number as f32).collect()
        };
        let rank = graph.value(block.output).shape().map_or(0, <[_]>::len);
        if block.axis == 1 && rank > 2 {
            let weights = numbers(&mut self.weights.iter());
            let mut dims = vec![1; rank];
            (dims[0], dims[1]) = (size, size);
            let weights = patch.initializer(format!("{name}_weight"), Tensor::new(&dims, &weights));
            return patch.node(NewNode::new("Conv").input(block.input).input(weights).input(bias));
        }
        let weights = numbers(&mut self.weights.t().iter());
        let weights =
            patch.initializer(format!("{name}_weight"), Tensor::new(&[size, size], &weights));
        let product = patch.node(NewNode::new("MatMul").input(block.input).input(weights));
        patch.node(NewNode::new("Add").input(product).input(bias))
    }
}

/// Whether a product mixes the channels of a block.
fn along(product: &Product, block: &Block) -> bool {
    let bias = product.bias != Bias::Nowhere;
    bias && (product.form == Form::Conv) == (block.axis == 1)
}

/// Whether no window of a product lies over its input's edge.
fn is_unpadded(node: &Node) -> bool {
    let automatic = node.string("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
    !automatic && node.ints("pads").is_none_or(|pads| pads.iter().all(|&pad| pad == 0))
}
