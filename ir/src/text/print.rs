//! Models to text.
use super::{data, spell};
use crate::{Attribute, AttributeValue, Graph, Model, Node, NodeId, Tensor, ValueId};
use lapidary_proto::onnx;
use onnx::attribute_proto::AttributeType;
use std::fmt;

/// Constants of more elements print as their type.
const MAX_PRINTED: usize = 8;

/// Lines are broken here where they can be.
const WIDTH: usize = 100;

/// One level of nesting.
const INDENT: usize = 4;

/// What to print besides the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// Whether nodes print their names, as `[name] y = Relu(x)`.
    pub node_names: bool,
    /// Whether the versions, the producer and the metadata print.
    pub header: bool,
}

/// A graph in the notation, one node per line, ending with a newline.
///
/// The same graph always prints the same, on every machine.
#[must_use]
pub fn print(graph: &Graph) -> String {
    let mut printer = Printer { text: String::new(), options: PrintOptions::default() };
    printer.graph(graph, &[], 0);
    printer.text.push('\n');
    printer.text
}

/// A model in the notation: header if asked for, graph, functions.
#[must_use]
pub fn print_model(model: &Model, options: PrintOptions) -> String {
    let mut printer = Printer { text: String::new(), options };
    if options.header {
        printer.header(&model.rest);
    }
    printer.graph(&model.graph, &[], 0);
    printer.text.push('\n');
    for function in &model.rest.functions {
        printer.function(function);
    }
    printer.text
}

/// One node in the notation, as in the text of its graph.
#[must_use]
pub fn print_node(graph: &Graph, id: NodeId) -> String {
    let mut printer = Printer { text: String::new(), options: PrintOptions::default() };
    printer.node(&Scope { graph, captured: &[] }, &graph[id], 0);
    printer.text
}

/// One attribute of a node in the notation.
#[must_use]
pub fn print_attribute(attribute: &Attribute) -> String {
    let mut printer = Printer { text: String::new(), options: PrintOptions::default() };
    printer.attribute(attribute, None, &[], 0);
    printer.text
}

/// A value in the notation: the type as declared, otherwise as known, and the name.
#[must_use]
pub fn print_value(graph: &Graph, id: ValueId) -> String {
    Scope { graph, captured: &[] }.declaration(id)
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self))
    }
}

pub(super) struct Printer {
    pub(super) text: String,
    pub(super) options: PrintOptions,
}

impl Printer {
    fn header(&mut self, model: &onnx::ModelProto) {
        let mut entries = Vec::new();
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let text =
            |value: &Option<String>| value.as_ref().map(|value| spell::string(value.as_bytes()));
        let mut entry = |key: &str, value: Option<String>| {
            entries.extend(value.map(|value| format!("{key}: {value}")));
        };
        entry("ir_version", number(model.ir_version));
        entry("opset_import", Some(opset_import(&model.opset_import)));
        entry("producer_name", text(&model.producer_name));
        entry("producer_version", text(&model.producer_version));
        entry("domain", text(&model.domain));
        entry("model_version", number(model.model_version));
        entry("doc_string", text(&model.doc_string));
        let metadata = (!model.metadata_props.is_empty()).then(|| {
            let pair = |entry: &onnx::StringStringEntryProto| {
                let [key, value] = [&entry.key, &entry.value]
                    .map(|text| spell::string(text.as_deref().unwrap_or("").as_bytes()));
                format!("{key} : {value}")
            };
            format!("[{}]", model.metadata_props.iter().map(pair).collect::<Vec<_>>().join(", "))
        });
        entry("metadata_props", metadata);
        self.fill(list("<", &entries, ">"), 0);
        self.text.push('\n');
    }

    /// A graph without the newline at its end. `captured` are the names of the values that it
    /// reads from the enclosing one.
    pub(super) fn graph(&mut self, graph: &Graph, captured: &[String], indent: usize) {
        let name = if graph.name().is_empty() { "graph" } else { graph.name() };
        self.graph_called(vec![spell::name(name).into_owned()], graph, captured, indent);
    }

    /// A graph behind other words than its name.
    pub(super) fn graph_called(
        &mut self,
        mut words: Vec<String>,
        graph: &Graph,
        captured: &[String],
        indent: usize,
    ) {
        let scope = Scope { graph, captured };
        let declare = |ids: &[ValueId]| -> Vec<String> {
            ids.iter().map(|&id| scope.declaration(id)).collect()
        };
        words.extend(list("(", &declare(&graph.inputs), ")"));
        words.push("=>".to_owned());
        words.extend(list("(", &declare(&graph.outputs), ")"));
        self.fill(words, indent);
        self.line(indent);
        let initializers = scope.initializers();
        if !initializers.is_empty() {
            self.fill(list("<", &initializers, ">"), indent);
            self.line(indent);
        }
        self.text.push('{');
        for id in all_nodes(graph) {
            self.line(indent + INDENT);
            self.node(&scope, &graph[id], indent + INDENT);
        }
        self.line(indent);
        self.text.push('}');
    }

    fn node(&mut self, scope: &Scope<'_>, node: &Node, indent: usize) {
        if self.options.node_names && !node.name.is_empty() {
            self.text.push_str(&format!("[{}] ", spell::name(&node.name)));
        }
        let outputs = scope.names(&node.outputs);
        let omitted_first = node.outputs.len() > 1 && outputs.starts_with(',');
        self.text.push_str(if omitted_first { "\"\"" } else { "" });
        self.text.push_str(&outputs);
        self.text.push_str(if outputs.is_empty() { "= " } else { " = " });
        self.text.push_str(&operator(node));
        let inputs = scope.names(&node.inputs);
        if node.attributes.is_empty() {
            self.text.push_str(&format!("({inputs})"));
            return;
        }
        let captured: Vec<String> = node.captured.iter().map(|&id| scope.name(id)).collect();
        let seed = node.outputs.iter().flatten().next().map(|&id| scope.name(id));
        if node.subgraphs().next().is_none() {
            self.text.push_str(" <");
            for (index, attribute) in node.attributes.iter().enumerate() {
                self.text.push_str(if index > 0 { ", " } else { "" });
                self.attribute(attribute, seed.as_deref(), &captured, indent);
            }
            self.text.push_str(&format!("> ({inputs})"));
            return;
        }
        self.text.push_str(&format!("({inputs}) <"));
        for (index, attribute) in node.attributes.iter().enumerate() {
            self.text.push_str(if index > 0 { "," } else { "" });
            self.line(indent + INDENT);
            self.attribute(attribute, seed.as_deref(), &captured, indent + INDENT);
        }
        self.line(indent);
        self.text.push('>');
    }

    /// `seed` is the name that a tensor without data is filled by.
    pub(super) fn attribute(
        &mut self,
        attribute: &Attribute,
        seed: Option<&str>,
        captured: &[String],
        indent: usize,
    ) {
        let name = spell::name(&attribute.name);
        let empty = match &attribute.value {
            AttributeValue::Floats(values) if values.is_empty() => " : floats",
            AttributeValue::Ints(values) if values.is_empty() => " : ints",
            AttributeValue::Strings(values) if values.is_empty() => " : strings",
            _ => "",
        };
        let value = match &attribute.value {
            AttributeValue::Float(value) => spell::float(*value),
            AttributeValue::Int(value) => value.to_string(),
            AttributeValue::String(value) => spell::string(value),
            AttributeValue::Floats(values) => bracketed(values.iter().map(|&x| spell::float(x))),
            AttributeValue::Ints(values) => bracketed(values.iter().map(i64::to_string)),
            AttributeValue::Strings(values) => bracketed(values.iter().map(|x| spell::string(x))),
            AttributeValue::Tensor(tensor) => {
                let ty = spell::tensor_type(tensor.elem_type(), tensor.dims());
                let named = || spell::name(seed.unwrap_or(&attribute.name)).into_owned();
                format!("{ty} {}", braced(tensor).unwrap_or_else(named))
            }
            AttributeValue::Graph(graph) => {
                self.text.push_str(&format!("{name} = "));
                self.graph(graph, captured, indent);
                return;
            }
            AttributeValue::Other(proto) => {
                self.text.push_str(&other(&name, proto));
                return;
            }
        };
        self.text.push_str(&format!("{name}{empty} = {value}"));
    }

    /// A new line.
    pub(super) fn line(&mut self, indent: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    /// Words with spaces between them, on as many lines as they need. The first line goes on
    /// where the text ends.
    pub(super) fn fill(&mut self, words: Vec<String>, indent: usize) {
        let start = self.text.rfind('\n').map_or(0, |newline| newline + 1);
        let mut column = self.text[start..].chars().count();
        for (index, word) in words.iter().enumerate() {
            let length = word.chars().count();
            if index > 0 && column + 1 + length > WIDTH {
                self.line(indent + INDENT);
                column = indent + INDENT;
            } else if index > 0 {
                self.text.push(' ');
                column += 1;
            }
            self.text.push_str(word);
            column += length;
        }
    }
}

/// The names of values as one graph sees them.
struct Scope<'a> {
    graph: &'a Graph,
    captured: &'a [String],
}

impl Scope<'_> {
    /// A value of an enclosing graph goes by its name there.
    fn name(&self, id: ValueId) -> String {
        let outer = self.graph.captures.iter().find(|(inner, _)| *inner == id);
        let outer = outer.and_then(|&(_, slot)| self.captured.get(slot as usize));
        let own = || self.graph.get_value(id).map_or("", |value| value.name()).to_owned();
        outer.cloned().unwrap_or_else(own)
    }

    /// Names between commas; nothing for an omitted one, `""` if it is the last.
    fn names(&self, ids: &[Option<ValueId>]) -> String {
        let mut text = String::new();
        for (index, id) in ids.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            match id {
                Some(id) => text.push_str(&spell::name(&self.name(*id))),
                None if index + 1 == ids.len() => text.push_str("\"\""),
                None => {}
            }
        }
        text
    }

    /// The type as the file declares it, otherwise as it is known, and the name.
    fn declaration(&self, id: ValueId) -> String {
        let name = self.name(id);
        let value = self.graph.get_value(id);
        let declared = value.and_then(|value| value.declared.as_ref()?.r#type.as_ref());
        let known = || value.and_then(|value| spell::value_type(&value.ty));
        let ty = declared.map_or_else(known, spell::type_proto);
        ty.map_or_else(
            || spell::name(&name).into_owned(),
            |ty| format!("{ty} {}", spell::name(&name)),
        )
    }

    fn initializers(&self) -> Vec<String> {
        let dense = self.graph.initializers().map(|(id, tensor)| {
            let ty = spell::tensor_type(tensor.elem_type(), tensor.dims());
            let name = self.name(id);
            let data = braced(tensor).map(|data| format!(" = {data}")).unwrap_or_default();
            format!("{ty} {}{data}", spell::name(&name))
        });
        let sparse = self.graph.rest.sparse_initializer.iter().map(|sparse| {
            let values = sparse.values.clone().unwrap_or_default();
            let elem_type = crate::ElemType(values.data_type.unwrap_or_default());
            let ty = spell::tensor_type(elem_type, &sparse.dims);
            format!("sparse_tensor({ty}) {}", spell::name(values.name.as_deref().unwrap_or("")))
        });
        dense.chain(sparse).collect()
    }
}

/// The nodes in topological order, then those on a cycle.
fn all_nodes(graph: &Graph) -> Vec<NodeId> {
    let mut order = graph.topological_order();
    let mut missing = vec![true; graph.node_bound()];
    for id in &order {
        missing[id.index()] = false;
    }
    order.extend(graph.nodes().map(|(id, _)| id).filter(|id| missing[id.index()]));
    order
}

/// `com.microsoft.FusedConv:overload`
fn operator(node: &Node) -> String {
    let plain = |part: &str| spell::name(part) == part;
    let domain = match node.domain.as_str() {
        "" => String::new(),
        domain if domain.split('.').all(plain) => format!("{domain}."),
        domain => format!("{}.", spell::string(domain.as_bytes())),
    };
    let overload = node.rest.as_ref().and_then(|rest| rest.overload.as_deref()).unwrap_or("");
    let colon =
        if overload.is_empty() { String::new() } else { format!(":{}", spell::name(overload)) };
    format!("{domain}{}{colon}", spell::name(&node.op_type))
}

/// An attribute that is kept as the file has it.
fn other(name: &str, proto: &onnx::AttributeProto) -> String {
    let kind = proto.r#type.and_then(|kind| AttributeType::try_from(kind).ok());
    let kind = kind.and_then(spell::attribute_type_name);
    let colon = kind.map(|kind| format!(" : {kind}")).unwrap_or_default();
    if let Some(reference) = &proto.ref_attr_name {
        return format!("{name}{colon} = @{}", spell::name(reference));
    }
    match proto.tp.as_deref().and_then(spell::type_proto) {
        Some(ty) => format!("{name} = {ty}"),
        None => format!("{name}{colon} = …"),
    }
}

/// `["" : 21, "com.microsoft" : 1]`
pub(super) fn opset_import(imports: &[onnx::OperatorSetIdProto]) -> String {
    bracketed(imports.iter().map(|import| {
        let domain = spell::string(import.domain.as_deref().unwrap_or("").as_bytes());
        format!("{domain} : {}", import.version.unwrap_or(0))
    }))
}

/// The data of a small tensor.
fn braced(tensor: &Tensor) -> Option<String> {
    (tensor.len() <= MAX_PRINTED).then(|| format!("{{{}}}", data::elements(tensor).join(", ")))
}

fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// `items` with commas, the first behind `open` and the last before `close`.
pub(super) fn list(open: &str, items: &[String], close: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![format!("{open}{close}")];
    }
    let last = items.len() - 1;
    let word = |(index, item): (usize, &String)| {
        let before = if index == 0 { open } else { "" };
        format!("{before}{item}{}", if index == last { close } else { "," })
    };
    items.iter().enumerate().map(word).collect()
}
