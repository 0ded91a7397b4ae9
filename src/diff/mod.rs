//! What two models have different.
mod nodes;
mod pairs;

use lapidary_ir::{Graph, Model, Number, Numbering, Tensor, ValueId, text};
use pairs::Pairs;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The differences of two models.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diff {
    /// Versions, producer, operator sets, metadata and functions, by what they are.
    pub header: BTreeMap<String, Pair>,
    /// Inputs by position, as they are declared.
    pub inputs: Vec<Pair>,
    /// Outputs by position, as they are declared.
    pub outputs: Vec<Pair>,
    /// Nodes of the first model alone, in ONNX text.
    pub removed: Vec<String>,
    /// Nodes of the second model alone, in ONNX text.
    pub added: Vec<String>,
    /// Nodes of both models that differ.
    pub changed: Vec<NodeChange>,
    /// Nodes that differ in the names of their outputs alone: the first output in both models.
    pub renamed: Vec<Pair>,
    /// Initializers that differ.
    pub initializers: Vec<TensorChange>,
    /// The count of every operator that has another count.
    pub operators: BTreeMap<String, [usize; 2]>,
    /// Nodes that are equal.
    pub equal: usize,
}

/// Something in the first and in the second model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// In the first model.
    pub before: Option<String>,
    /// In the second model.
    pub after: Option<String>,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeChange {
    /// The node in the second model, in ONNX text.
    pub node: String,
    /// What was otherwise in the first: operator, inputs, attributes, outputs.
    pub changes: BTreeMap<String, Pair>,
}

/// An initializer that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorChange {
    /// Its name.
    pub name: String,
    /// Type and dimensions in the first model.
    pub before: Option<String>,
    /// Type and dimensions in the second model.
    pub after: Option<String>,
    /// Bytes in both models.
    pub bytes: [u64; 2],
}

impl Diff {
    /// Compares two models.
    ///
    /// Nodes belong together if an output has the same name; else if they compute the same; else
    /// if nodes that belong together read them at the same place.
    #[must_use]
    pub fn new(a: &Model, b: &Model) -> Self {
        let mut numbering = Numbering::default();
        let numbers = [a, b].map(|model| numbering.number(model, &|_| None));
        let pairs = Pairs::new(&a.graph, &b.graph, &numbers);
        let mut diff = Self {
            header: header(a, b),
            inputs: interface(a, b, a.graph.inputs(), b.graph.inputs()),
            outputs: interface(a, b, a.graph.outputs(), b.graph.outputs()),
            initializers: initializers(&a.graph, &b.graph, &mut numbering),
            operators: operators(&a.graph, &b.graph),
            ..Self::default()
        };
        nodes::compare(&mut diff, a, b, &pairs, &mut numbering);
        diff
    }

    /// Whether there is no difference.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        let Self {
            header, inputs, outputs, removed, added, changed, renamed, initializers, ..
        } = self;
        header.is_empty()
            && [inputs, outputs, renamed].iter().all(|pairs| pairs.is_empty())
            && removed.is_empty()
            && added.is_empty()
            && changed.is_empty()
            && initializers.is_empty()
    }
}

impl Pair {
    /// Both, if they differ.
    fn unequal(before: Option<String>, after: Option<String>) -> Option<Self> {
        (before != after).then_some(Self { before, after })
    }
}

fn header(a: &Model, b: &Model) -> BTreeMap<String, Pair> {
    let facts = [a, b].map(|model| {
        let mut facts = BTreeMap::from([
            ("ir_version".to_owned(), model.ir_version().to_string()),
            ("producer_name".to_owned(), model.producer_name().to_owned()),
        ]);
        for (domain, version) in model.opsets().entries() {
            let domain = if domain.is_empty() { "ai.onnx" } else { domain };
            facts.insert(format!("opset {domain}"), version.to_string());
        }
        facts.extend(model.metadata().map(|(k, v)| (format!("metadata {k}"), v.to_owned())));
        for (domain, name) in model.functions() {
            facts.insert(format!("function {domain}.{name}"), "there".to_owned());
        }
        facts
    });
    let [a, b] = facts;
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let pair = |key: &String| {
        Some((key.clone(), Pair::unequal(a.get(key).cloned(), b.get(key).cloned())?))
    };
    keys.into_iter().filter_map(pair).collect()
}

fn interface(a: &Model, b: &Model, before: &[ValueId], after: &[ValueId]) -> Vec<Pair> {
    let text = |model: &Model, ids: &[ValueId], index: usize| {
        ids.get(index).map(|&id| text::print_value(&model.graph, id))
    };
    let places = 0..before.len().max(after.len());
    places.filter_map(|i| Pair::unequal(text(a, before, i), text(b, after, i))).collect()
}

/// Initializers by name. One that only has another name is no difference: its readers tell.
fn initializers(a: &Graph, b: &Graph, numbering: &mut Numbering) -> Vec<TensorChange> {
    type Named<'a> = BTreeMap<&'a str, (&'a Arc<Tensor>, Number)>;
    let mut named = |graph| -> Named<'_> {
        let graph: &Graph = graph;
        let all = graph.initializers();
        all.map(|(id, tensor)| (graph.value(id).name(), (tensor, numbering.of_tensor(tensor))))
            .collect()
    };
    let (a, b) = (named(a), named(b));
    let contents = |named: &Named<'_>| -> BTreeSet<Number> {
        named.values().map(|&(_, number)| number).collect()
    };
    let (in_a, in_b) = (contents(&a), contents(&b));
    let names: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
    let change = |name: &str| {
        let (before, after) = (a.get(name), b.get(name));
        let same = match (before, after) {
            (Some((_, before)), Some((_, after))) => before == after,
            (Some((_, before)), None) => in_b.contains(before),
            (None, Some((_, after))) => in_a.contains(after),
            (None, None) => true,
        };
        let ty = |(tensor, _): &(&Arc<Tensor>, Number)| {
            format!("{}{:?}", tensor.elem_type(), tensor.dims())
        };
        let bytes = [before, after].map(|found| found.map_or(0, |(tensor, _)| tensor.byte_len()));
        let (before, after) = (before.map(ty), after.map(ty));
        (!same).then(|| TensorChange { name: name.to_owned(), before, after, bytes })
    };
    names.into_iter().filter_map(change).collect()
}

fn operators(a: &Graph, b: &Graph) -> BTreeMap<String, [usize; 2]> {
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (side, graph) in [a, b].into_iter().enumerate() {
        for (_, node) in graph.nodes() {
            counts.entry(nodes::operator(node)).or_default()[side] += 1;
        }
    }
    counts.retain(|_, [before, after]| before != after);
    counts
}
