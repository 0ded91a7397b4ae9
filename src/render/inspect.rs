//! The description of a model.
use super::{grouped, json, percent, table};
use lapidary::Cost;
use lapidary::ir::{Graph, Model, Node, ValueId, text as onnx_text};
use lapidary::passes::sparsify;
use serde::Serialize;
use std::collections::BTreeMap;

/// The share of zeros from which on a weight is shown as sparse.
const SPARSE: f64 = 0.01;

#[derive(Serialize)]
struct Report {
    file_bytes: u64,
    ir_version: i64,
    opsets: BTreeMap<String, i64>,
    producer: String,
    #[serde(flatten)]
    cost: Cost,
    inputs: Vec<Interface>,
    outputs: Vec<Interface>,
    operators: BTreeMap<String, usize>,
    initializer_bytes: BTreeMap<String, u64>,
    weights: Vec<Weight>,
    functions: Vec<String>,
    external_data: bool,
}

/// The weights of a product.
#[derive(Serialize)]
struct Weight {
    name: String,
    elements: usize,
    zeros: usize,
    two_of_four: bool,
}

impl Weight {
    fn share(&self) -> f64 {
        self.zeros as f64 / self.elements.max(1) as f64
    }
}

#[derive(Serialize)]
struct Interface {
    name: String,
    elem_type: Option<String>,
    shape: Option<Vec<String>>,
}

impl Report {
    fn of(model: &Model, file_bytes: u64) -> Self {
        let graph = &model.graph;
        let mut operators = BTreeMap::new();
        count_operators(graph, &mut operators);
        let mut initializer_bytes: BTreeMap<String, u64> = BTreeMap::new();
        for (_, tensor) in graph.initializers() {
            *initializer_bytes.entry(tensor.elem_type().to_string()).or_default() +=
                tensor.byte_len();
        }
        let function = |(domain, name): (&str, &str)| format!("{domain}.{name}");
        Self {
            file_bytes,
            ir_version: model.ir_version(),
            opsets: model.opsets().entries().iter().cloned().collect(),
            producer: model.producer_name().to_owned(),
            cost: Cost::of(model),
            inputs: graph.required_inputs().map(|id| interface(graph, id)).collect(),
            outputs: graph.outputs().iter().map(|&id| interface(graph, id)).collect(),
            operators,
            initializer_bytes,
            weights: sparsify::sparsity(graph).into_iter().map(Weight::from).collect(),
            functions: model.functions().map(function).collect(),
            external_data: model.external_data,
        }
    }
}

impl From<sparsify::WeightSparsity> for Weight {
    fn from(weight: sparsify::WeightSparsity) -> Self {
        let sparsify::WeightSparsity { name, elements, zeros, two_of_four } = weight;
        Self { name, elements, zeros, two_of_four }
    }
}

fn interface(graph: &Graph, id: ValueId) -> Interface {
    let value = graph.value(id);
    Interface {
        name: value.name().to_owned(),
        elem_type: value.elem_type().map(|elem_type| elem_type.to_string()),
        shape: value.shape().map(|shape| shape.iter().map(ToString::to_string).collect()),
    }
}

fn count_operators(graph: &Graph, counts: &mut BTreeMap<String, usize>) {
    let name = |node: &Node| match node.is_standard() {
        true => node.op_type.clone(),
        false => format!("{}.{}", node.domain, node.op_type),
    };
    for (_, node) in graph.nodes() {
        *counts.entry(name(node)).or_default() += 1;
        for subgraph in node.subgraphs() {
            count_operators(subgraph, counts);
        }
    }
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let elem_type = self.elem_type.as_deref().unwrap_or("?");
        let shape = self.shape.as_ref().map_or_else(|| "…".to_owned(), |shape| shape.join(","));
        write!(f, "{elem_type}[{shape}] {}", self.name)
    }
}

/// Prints the description.
pub(crate) fn inspect(model: &Model, file_bytes: u64, as_json: bool) {
    let report = Report::of(model, file_bytes);
    if as_json {
        return json("inspect", &report);
    }
    let opsets: Vec<String> = report
        .opsets
        .iter()
        .map(|(domain, version)| match domain.as_str() {
            "" => format!("ai.onnx {version}"),
            domain => format!("{domain} {version}"),
        })
        .collect();
    println!("IR version   {}", report.ir_version);
    println!("opsets       {}", opsets.join(", "));
    println!("producer     {}", report.producer);
    println!("file         {} bytes", grouped(report.file_bytes));
    println!("nodes        {}", grouped(report.cost.nodes as u64));
    println!("parameters   {}", grouped(report.cost.parameters));
    println!("MACs         {} per sample", grouped(report.cost.macs));
    for input in &report.inputs {
        println!("input        {input}");
    }
    for output in &report.outputs {
        println!("output       {output}");
    }
    for function in &report.functions {
        println!("function     {function}");
    }
    let mut operators: Vec<_> = report.operators.iter().collect();
    operators.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let rows = operators.iter().map(|(name, n)| vec![(*name).clone(), grouped(**n as u64)]);
    println!("\n{}", table(&["operator", "nodes"], rows.collect()));
    let rows = report.initializer_bytes.iter().map(|(t, bytes)| vec![t.clone(), grouped(*bytes)]);
    println!("\n{}", table(&["initializers", "bytes"], rows.collect()));
    let sparse = report.weights.iter().filter(|weight| weight.share() >= SPARSE);
    let rows = sparse.map(|weight| {
        let pattern = if weight.two_of_four { "yes" } else { "no" };
        let (name, elements) = (weight.name.clone(), grouped(weight.elements as u64));
        vec![name, elements, percent(weight.share()), pattern.to_owned()]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        println!("\n{}", table(&["sparse weights", "numbers", "zeros", "2:4"], rows));
    }
}

/// Prints the graph as ONNX text.
pub(crate) fn text(model: &Model) {
    println!("{}", onnx_text::print(&model.graph));
}
