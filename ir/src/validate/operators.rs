//! Nodes against the schemas of their operators: invariants 7 and 8.
use super::{Report, Scope, node_text};
use crate::schema::{self, AttributeKind, MANY, Version};
use crate::{AttributeValue, Node, NodeId};
use rustc_hash::FxHashSet;

pub(super) fn check(scope: &Scope<'_>, id: NodeId, report: &mut Report) {
    let node = &scope.graph[id];
    let mut faults = Vec::new();
    duplicate_attributes(node, &mut faults);
    let is_function = scope.surroundings.functions.as_ref().is_some_and(|functions| {
        functions.contains(&(node.domain.as_str(), node.op_type.as_str()))
    });
    if !is_function {
        domain(scope, id, report);
        schema(scope, node, &mut faults);
    }
    for fault in faults {
        report.add(7, || format!("{}: {fault}", node_text(scope.graph, id)));
    }
}

fn duplicate_attributes(node: &Node, faults: &mut Vec<String>) {
    let mut names = FxHashSet::default();
    for attribute in &node.attributes {
        if !names.insert(&attribute.name) {
            faults.push(format!("attribute `{}` is given twice", attribute.name));
        }
    }
}

fn domain(scope: &Scope<'_>, id: NodeId, report: &mut Report) {
    if scope.surroundings.functions.is_none() {
        return;
    }
    let node = &scope.graph[id];
    let domain = if node.is_standard() { "" } else { &node.domain };
    if scope.surroundings.opsets.version(domain).is_none() {
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        let node = node_text(scope.graph, id);
        report.add(8, || {
            format!(
                "{node}: domain `{domain}` is neither imported nor that of a function of the model"
            )
        });
    }
}

fn schema(scope: &Scope<'_>, node: &Node, faults: &mut Vec<String>) {
    if !node.is_standard() {
        return;
    }
    let Some(opset) = scope.surroundings.opsets.standard() else { return };
    let Some(version) = schema::version(&node.op_type, opset) else {
        if let Some(first) = schema::first_version(&node.op_type) {
            faults.push(format!("operator set {opset} is imported, expected {first} or newer"));
        }
        return;
    };
    count("input", node.inputs.len(), version.inputs, faults);
    count("output", node.outputs.len(), version.outputs, faults);
    for (slot, input) in node.inputs.iter().enumerate() {
        if input.is_none() && version.requires_input(slot) {
            faults.push(format!("input {slot} is omitted, but it is required"));
        }
    }
    attributes(node, version, faults);
}

fn count(what: &str, found: usize, (least, most): (usize, usize), faults: &mut Vec<String>) {
    if found >= least && found <= most {
        return;
    }
    let expected = match (least, most) {
        (least, most) if least == most => format!("{least}"),
        (least, MANY) => format!("{least} or more"),
        (least, most) => format!("{least} to {most}"),
    };
    let plural = if found == 1 { "" } else { "s" };
    faults.push(format!("{found} {what}{plural}, expected {expected}"));
}

fn attributes(node: &Node, version: &Version, faults: &mut Vec<String>) {
    for fact in version.attributes {
        if fact.required && node.attribute(fact.name).is_none() {
            faults.push(format!("attribute `{}` is missing, but it is required", fact.name));
        }
    }
    for attribute in &node.attributes {
        let name = &attribute.name;
        let Some(fact) = version.attribute(name) else {
            // Names of that form are annotations of tools, which the checker of onnx lets pass.
            if !name.starts_with("__") {
                faults.push(format!("the operator has no attribute `{name}`"));
            }
            continue;
        };
        let found = kind(&attribute.value);
        if found.is_some_and(|found| found != fact.kind) {
            let (found, expected) = (found.map_or("", keyword), keyword(fact.kind));
            faults.push(format!("attribute `{name}` is of type {found}, expected {expected}"));
        }
    }
}

/// The type of an attribute; none for references to parameters of functions and the like.
fn kind(value: &AttributeValue) -> Option<AttributeKind> {
    Some(match value {
        AttributeValue::Float(_) => AttributeKind::Float,
        AttributeValue::Int(_) => AttributeKind::Int,
        AttributeValue::String(_) => AttributeKind::String,
        AttributeValue::Tensor(_) => AttributeKind::Tensor,
        AttributeValue::Graph(_) => AttributeKind::Graph,
        AttributeValue::Floats(_) => AttributeKind::Floats,
        AttributeValue::Ints(_) => AttributeKind::Ints,
        AttributeValue::Strings(_) => AttributeKind::Strings,
        AttributeValue::Other(_) => return None,
    })
}

fn keyword(kind: AttributeKind) -> &'static str {
    match kind {
        AttributeKind::Float => "float",
        AttributeKind::Int => "int",
        AttributeKind::String => "string",
        AttributeKind::Tensor => "tensor",
        AttributeKind::Graph => "graph",
        AttributeKind::SparseTensor => "sparse_tensor",
        AttributeKind::TypeProto => "type_proto",
        AttributeKind::Floats => "floats",
        AttributeKind::Ints => "ints",
        AttributeKind::Strings => "strings",
    }
}
