//! The weights that can become sparse, and the others with the reason.
use super::layout::{Layout, Order};
use super::options::SparsifyOptions;
use super::pattern::Pattern;
use crate::quantize::excluded;
use lapidary_ir::{ElemType, Graph, Node, NodeId, Port, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A weight with everything that multiplies by it.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The weight.
    pub(super) value: ValueId,
    /// Its name.
    pub(super) name: String,
    /// The products that read it.
    pub(super) readers: Vec<NodeId>,
    /// How it is a matrix.
    pub(super) layout: Layout,
    /// The matrix, row by row.
    pub(super) matrix: Vec<f32>,
}

/// What stays as it is, by why.
pub(super) type Left = BTreeMap<String, Vec<String>>;

type Reason = &'static str;

impl Layer {
    /// The constant bias that only its one reader adds as it is: a number per output channel.
    pub(super) fn bias(&self, graph: &Graph) -> Option<(ValueId, Vec<f32>)> {
        let &[reader] = self.readers.as_slice() else { return None };
        let node = &graph[reader];
        if node.float("alpha").unwrap_or(1.0) != 1.0 || node.float("beta").unwrap_or(1.0) != 1.0 {
            return None;
        }
        let bias = node.input(2)?;
        let value = graph.value(bias);
        let tensor = value.initializer().filter(|_| value.constant().is_some())?;
        let own = value.uses().len() == 1 && !value.is_output() && !value.is_pinned();
        if !own || tensor.dims() != [self.layout.rows as i64] {
            return None;
        }
        let numbers = tensor.to_vec::<f32>()?;
        numbers.iter().all(|number| number.is_finite()).then_some((bias, numbers))
    }
}

/// The weights that can become sparse, in the order of their first readers, and the products that are left alone.
pub(super) fn layers(graph: &Graph, options: &SparsifyOptions) -> (Vec<Layer>, Left) {
    let order = graph.topological_order();
    let kept = excluded(&options.exclude, options.keep_first_last, graph, &order);
    let (mut layers, mut left) = (Vec::new(), Left::new());
    let mut seen = BTreeSet::new();
    for id in order {
        let node = &graph[id];
        if !is_product(node) {
            continue;
        }
        let found = match node.input(1) {
            Some(value) if !seen.insert(value) => continue,
            Some(value) => layer(graph, value, options, &kept),
            None => Err("its weights are no constant"),
        };
        match found {
            Ok(layer) => layers.push(layer),
            Err(reason) => {
                let label = format!("{} ({})", node.label(graph), node.op_type);
                left.entry(reason.to_owned()).or_default().push(label);
            }
        }
    }
    (layers, left)
}

fn is_product(node: &Node) -> bool {
    let known = matches!(&*node.op_type, "Conv" | "ConvTranspose" | "Gemm" | "MatMul");
    known && node.is_standard()
}

fn layer(
    graph: &Graph,
    id: ValueId,
    options: &SparsifyOptions,
    kept: &BTreeSet<NodeId>,
) -> Result<Layer, Reason> {
    let value = graph.value(id);
    let tensor = value.initializer().filter(|_| value.constant().is_some());
    let tensor = tensor.ok_or("its weights are no constant")?;
    if tensor.elem_type() != ElemType::FLOAT {
        return Err("its weights are not float");
    }
    if value.is_output() || value.is_pinned() {
        return Err("its weights have a meaning of their own");
    }
    let mut layout = None;
    let mut readers = Vec::new();
    for used in value.uses() {
        if used.port != Port::Input(1) || !is_product(&graph[used.node]) {
            return Err("something else reads its weights");
        }
        if kept.contains(&used.node) {
            return Err("it is excluded");
        }
        let found = layout_of(graph, &graph[used.node], tensor)?;
        if layout.is_some_and(|layout| layout != found) {
            return Err("its weights are read in two ways");
        }
        layout = Some(found);
        readers.push(used.node);
    }
    let layout = layout.ok_or("its weights are no constant")?;
    if tensor.len() < options.min_weights {
        return Err("its weights are too few to gain from it");
    }
    if options.masks.is_none() {
        fits(options.pattern, &layout)?;
    }
    let numbers = tensor.to_vec::<f32>().ok_or("its weights are not float")?;
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err("its weights are not finite");
    }
    let (name, matrix) = (value.name().to_owned(), layout.matrix(&numbers));
    Ok(Layer { value: id, name, readers, layout, matrix })
}

/// How a product reads its weights.
pub(super) fn layout_of(graph: &Graph, node: &Node, tensor: &Tensor) -> Result<Layout, Reason> {
    if node.input(0).is_some_and(|input| graph.constant(input).is_some()) {
        return Err("what it multiplies is constant");
    }
    let dims: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
    if dims.contains(&0) {
        return Err("its weights are empty");
    }
    let matrix = |rows, channels, order| Layout { rows, channels, taps: 1, groups: 1, order };
    match (node.op_type.as_str(), dims.as_slice()) {
        ("Conv", &[rows, channels, ref kernel @ ..]) if !kernel.is_empty() => {
            let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
            if groups == 0 || rows % groups != 0 {
                return Err("its groups do not divide its channels");
            }
            let taps = kernel.iter().product();
            Ok(Layout { rows, channels, taps, groups, order: Order::Rows })
        }
        ("ConvTranspose", _) => Err("transposed convolutions are not supported"),
        ("Gemm", &[_, _]) if node.int("transA").unwrap_or(0) != 0 => {
            Err("its left operand is transposed")
        }
        ("Gemm", &[rows, channels]) if node.int("transB").unwrap_or(0) != 0 => {
            Ok(matrix(rows, channels, Order::Rows))
        }
        ("Gemm" | "MatMul", &[channels, rows]) => Ok(matrix(rows, channels, Order::Columns)),
        _ => Err("its weights are no matrix"),
    }
}

fn fits(pattern: Pattern, layout: &Layout) -> Result<(), Reason> {
    match pattern {
        Pattern::GroupWise { group, .. } if !layout.channels.is_multiple_of(group) => {
            Err("the groups of the pattern do not divide its input channels")
        }
        Pattern::Blocks { rows, columns }
            if !layout.channels.is_multiple_of(columns)
                || !(layout.rows / layout.groups).is_multiple_of(rows) =>
        {
            Err("the blocks of the pattern do not divide its channels")
        }
        _ => Ok(()),
    }
}
