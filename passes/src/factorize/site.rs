//! The matrices that can be factorized, who multiplies with them, and why others can't be.
use super::low_rank::{ConvSplit, FactorizeOptions, LeftAlone};
use crate::quantize::NodeSelector;
use lapidary_ir::{Dim, ElemType, Graph, Node, NodeId, ValueId};
use ndarray::{Array2, ArrayView2};
use std::collections::BTreeMap;

/// A matrix of fewer rows or columns is left alone.
const LEAST_SIDE: usize = 4;

/// Why a node keeps its weights.
pub(super) type Reason = &'static str;

/// How a node multiplies with its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// x · W.
    Right,
    /// x · Wᵀ, of a Gemm.
    RightTransposed,
    /// W · x.
    Left,
    /// A convolution with W.
    Conv,
}

/// What a matrix is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Matrix,
    Spatial,
    Tucker,
}

/// A matrix and the nodes that multiply with it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) weight: ValueId,
    pub(super) nodes: Vec<NodeId>,
    pub(super) form: Form,
    pub(super) split: Split,
    /// The dimensions of the weights.
    pub(super) dims: Vec<usize>,
    /// The weights, in their order.
    numbers: Vec<f32>,
    /// Places of the outputs for one sample, over all nodes.
    pub(super) positions: u64,
    /// Places behind the first of two spatial factors.
    pub(super) between: u64,
    /// Places of the inputs.
    pub(super) places: u64,
}

/// What was found in a graph.
pub(super) struct Found {
    /// In the order of their first node.
    pub(super) sites: Vec<Site>,
    pub(super) left_alone: Vec<LeftAlone>,
}

impl Site {
    /// K: the numbers that are multiplied for one result.
    pub(super) fn inputs(&self) -> usize {
        match self.form {
            Form::Right => self.dims[0],
            Form::RightTransposed | Form::Left => self.dims[1],
            Form::Conv => self.dims[1..].iter().product(),
        }
    }

    /// N: the results.
    pub(super) fn outputs(&self) -> usize {
        match self.form {
            Form::Right => self.dims[1],
            Form::RightTransposed | Form::Left | Form::Conv => self.dims[0],
        }
    }

    /// The spatial dimensions of a kernel; none for matrices.
    pub(super) fn kernel(&self) -> &[usize] {
        self.dims.get(2..).unwrap_or_default()
    }

    /// The spatial size of a kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel().iter().product()
    }

    /// W, K × N.
    pub(super) fn matrix(&self) -> Array2<f64> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let number = |index: usize| f64::from(self.numbers[index]);
        Array2::from_shape_fn((inputs, outputs), |(k, n)| match self.form {
            Form::Right => number(k * outputs + n),
            Form::RightTransposed | Form::Left | Form::Conv => number(n * inputs + k),
        })
    }

    /// The weights of a convolution as (C · k₁) × (N · k₂): element ((c, i), (n, j)) is W\[n, c, i, j\].
    pub(super) fn spatial_matrix(&self) -> Array2<f64> {
        let [outputs, channels, height, width] = self.dims[..] else {
            return Array2::zeros((0, 0));
        };
        Array2::from_shape_fn((channels * height, outputs * width), |(row, column)| {
            let (c, i, n, j) = (row / height, row % height, column / width, column % width);
            f64::from(self.numbers[((n * channels + c) * height + i) * width + j])
        })
    }

    /// Element \[n, c, tap\] of the weights of a convolution.
    pub(super) fn weight_at(&self, output: usize, channel: usize, tap: usize) -> f64 {
        let (channels, taps) = (self.dims[1], self.taps());
        f64::from(self.numbers[(output * channels + channel) * taps + tap])
    }

    /// What the site costs as it is.
    pub(super) fn parameters(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Its multiply-accumulates for one sample.
    pub(super) fn macs(&self) -> u64 {
        self.positions * self.parameters()
    }
}

/// Whether the numbers a node multiplies stand below each other in its input.
pub(super) fn reads_columns(node: &Node, form: Form) -> bool {
    form == Form::Left || (node.is("Gemm") && node.int("transA").unwrap_or(0) != 0)
}

/// The input of a node that is not its weights.
pub(super) fn activation_slot(form: Form) -> usize {
    usize::from(form == Form::Left)
}

/// The sites of a graph, with what is left alone.
pub(super) fn find(graph: &Graph, options: &FactorizeOptions) -> Found {
    let mut found = Found { sites: Vec::new(), left_alone: Vec::new() };
    let mut known: BTreeMap<ValueId, usize> = BTreeMap::new();
    let mut other_form: Vec<(NodeId, ValueId)> = Vec::new();
    for id in graph.topological_order() {
        let node = &graph[id];
        for body in node.subgraphs() {
            leave_subgraph(body, &mut found.left_alone);
        }
        if !is_candidate(node) {
            continue;
        }
        let site = match selected(graph, id, &options.exclude) {
            true => Err("excluded"),
            false => site(graph, id, options.conv),
        };
        match site {
            Err(reason) => found.left_alone.push(LeftAlone::new(graph, id, reason)),
            Ok(site) => match known.get(&site.weight) {
                None => {
                    known.insert(site.weight, found.sites.len());
                    found.sites.push(site);
                }
                Some(&index) if found.sites[index].form == site.form => {
                    let first = &mut found.sites[index];
                    first.nodes.push(id);
                    first.positions += site.positions;
                    first.between += site.between;
                    first.places += site.places;
                }
                Some(_) => other_form.push((id, site.weight)),
            },
        }
    }
    keep_read_weights(graph, &mut found, &other_form);
    found
}

/// A weight that is also read in another way would stay beside its factors.
fn keep_read_weights(graph: &Graph, found: &mut Found, other_form: &[(NodeId, ValueId)]) {
    let reason = "its weights are also read by a node that keeps them";
    for site in std::mem::take(&mut found.sites) {
        let value = graph.value(site.weight);
        if value.uses().len() == site.nodes.len() && !value.is_output() {
            found.sites.push(site);
            continue;
        }
        let others = other_form.iter().filter(|(_, weight)| *weight == site.weight);
        let nodes = site.nodes.iter().chain(others.map(|(id, _)| id));
        found.left_alone.extend(nodes.map(|&id| LeftAlone::new(graph, id, reason)));
    }
}

fn is_candidate(node: &Node) -> bool {
    node.is_standard()
        && ["MatMul", "Gemm", "Conv", "ConvTranspose"].contains(&node.op_type.as_str())
}

fn selected(graph: &Graph, id: NodeId, selectors: &[NodeSelector]) -> bool {
    selectors.iter().any(|selector| selector.selects(graph, id))
}

fn leave_subgraph(graph: &Graph, left_alone: &mut Vec<LeftAlone>) {
    for (id, node) in graph.nodes() {
        if is_candidate(node) {
            left_alone.push(LeftAlone::new(graph, id, "it is in a subgraph"));
        }
        for body in node.subgraphs() {
            leave_subgraph(body, left_alone);
        }
    }
}

fn site(graph: &Graph, id: NodeId, conv: ConvSplit) -> Result<Site, Reason> {
    let node = &graph[id];
    let is_constant =
        |slot: usize| node.input(slot).is_some_and(|value| graph.constant(value).is_some());
    let form = match node.op_type.as_str() {
        "ConvTranspose" => return Err("transposed convolutions are not factorized"),
        "Conv" => Form::Conv,
        "Gemm" if node.int("transB").unwrap_or(0) != 0 => Form::RightTransposed,
        "MatMul" if !is_constant(1) && is_constant(0) => Form::Left,
        _ => Form::Right,
    };
    let slot = usize::from(form != Form::Left);
    let constant = node.input(slot).and_then(|value| Some((value, graph.constant(value)?)));
    let (weight, tensor) = constant.ok_or("its weights are no constant")?;
    if tensor.elem_type() != ElemType::FLOAT {
        return Err("its weights are not of type float");
    }
    match (form, tensor.rank()) {
        (Form::Conv, 3..) | (_, 2) => {}
        (Form::Right | Form::Left, 3..) => return Err("its weights are a stack of matrices"),
        _ => return Err("its weights are no matrix"),
    }
    if form == Form::Conv && node.int("group").unwrap_or(1) != 1 {
        let depthwise = tensor.dims()[1] == 1;
        return Err(if depthwise { "it is depthwise" } else { "it has groups" });
    }
    if node.is("Gemm") && graph.opset() < 11 {
        return Err("Gemm needs a bias before opset 11");
    }
    let dims: Vec<usize> =
        tensor.dims().iter().filter_map(|&dim| usize::try_from(dim).ok()).collect();
    let numbers: Vec<f32> = tensor.to_vec().unwrap_or_default();
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err("its weights are not all finite");
    }
    let split = split(&dims, form, conv);
    let [positions, between, places] = places(graph, node, form, &dims);
    let nodes = vec![id];
    let site = Site { weight, nodes, form, split, dims, numbers, positions, between, places };
    if site.inputs().min(site.outputs()) < LEAST_SIDE {
        return Err("its weights are too few");
    }
    Ok(site)
}

/// Kernels of one place are matrices; those with one axis of more than one place have nothing to separate.
fn split(dims: &[usize], form: Form, conv: ConvSplit) -> Split {
    let kernel = dims.get(2..).unwrap_or_default();
    match conv {
        ConvSplit::Spatial
            if form == Form::Conv && kernel.len() == 2 && kernel.iter().all(|&size| size > 1) =>
        {
            Split::Spatial
        }
        ConvSplit::Tucker if form == Form::Conv && kernel.iter().any(|&size| size > 1) => {
            Split::Tucker
        }
        _ => Split::Matrix,
    }
}

/// Places of the output, behind a kernel along the first axis, and of the input, for one sample. Dimensions that are
/// unknown count as 1, inputs then as the strides say.
fn places(graph: &Graph, node: &Node, form: Form, dims: &[usize]) -> [u64; 3] {
    let shape = |value: Option<ValueId>| -> Option<Vec<u64>> {
        let one = |dim: &Dim| u64::try_from(dim.substitute(&|_| Some(1)).value()?).ok();
        graph.value(value?).shape()?.iter().map(one).collect()
    };
    let output = shape(node.output(0));
    if form != Form::Conv {
        let results = match form {
            Form::Left | Form::RightTransposed => dims[0],
            _ => dims[1],
        };
        let numbers = output.map_or(results as u64, |shape| shape.iter().product());
        let positions = (numbers / results.max(1) as u64).max(1);
        return [positions; 3];
    }
    let axes = dims.len() - 2;
    let strides = node.ints("strides").unwrap_or(&[]);
    let stride = |axis: usize| strides.get(axis).map_or(1, |&s| u64::try_from(s).unwrap_or(1));
    let batch = output.as_ref().and_then(|shape| shape.first().copied()).unwrap_or(1);
    let spatial =
        |shape: Option<Vec<u64>>| shape.filter(|s| s.len() == axes + 2).map(|s| s[2..].to_vec());
    let output = spatial(output).unwrap_or_else(|| vec![1; axes]);
    let input = spatial(shape(node.input(0))).unwrap_or_else(|| {
        output.iter().enumerate().map(|(axis, size)| size * stride(axis)).collect()
    });
    let between: u64 = output.iter().take(1).chain(input.iter().skip(1)).product();
    [output.iter().product(), between, input.iter().product()].map(|places: u64| batch * places)
}

/// A matrix for the runtime's precision.
pub(super) fn single(matrix: ArrayView2<'_, f64>) -> Array2<f32> {
    matrix.mapv(|number| number as f32)
}
