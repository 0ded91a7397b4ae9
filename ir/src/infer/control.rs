//! Operators with subgraphs.
use super::Outputs;
use super::site::{Site, position};
use crate::{AttributeValue, Dim, ElemType, Graph, NodeId, ValueId, ValueType};
use rustc_hash::FxHashSet;

/// Infers the subgraphs of a node: what they capture has the outer type, and what a loop feeds
/// them has the element type of the value it starts from.
pub(super) fn enter(graph: &mut Graph, id: NodeId, contradicted: &FxHashSet<ValueId>) {
    let node = &graph[id];
    let outer: Vec<(ValueType, bool)> = node
        .captured
        .iter()
        .map(|&value| (graph.value(value).ty.clone(), contradicted.contains(&value)))
        .collect();
    let feeds = body_inputs(&Site::new(graph, node));
    for attribute in &mut graph.node_mut(id).attributes {
        let AttributeValue::Graph(body) = &mut attribute.value else { continue };
        let mut inside = FxHashSet::default();
        for (inner, slot) in body.captures.clone() {
            let Some((ty, stale)) = outer.get(slot as usize) else { continue };
            body.value_mut(inner).ty = ty.clone();
            inside.extend(stale.then_some(inner));
        }
        for (&input, fed) in body.inputs.clone().iter().zip(&feeds) {
            feed(&mut body.value_mut(input).ty, fed);
        }
        body.infer_behind(&mut inside);
    }
}

/// What an input of a body is fed.
enum Fed {
    /// The same type at every iteration.
    Always(ValueType),
    /// At first; later a value of the same element type whose shape may be another.
    AtFirst(ValueType),
}

/// Gives the input of a body what is known of the values fed to it. The shape it declares stands,
/// except where it contradicts them.
fn feed(ty: &mut ValueType, fed: &Fed) {
    let (Fed::Always(fed_type) | Fed::AtFirst(fed_type)) = fed;
    ty.elem_type = fed_type.elem_type.or(ty.elem_type);
    let always = matches!(fed, Fed::Always(_));
    let Some(shape) = &fed_type.shape else { return };
    match &mut ty.shape {
        Some(declared) if declared.len() == shape.len() => {
            for (dim, fed) in declared.iter_mut().zip(shape) {
                if always && !fed.is_unknown() {
                    dim.clone_from(fed);
                } else if dim.value().is_some() && fed.value().is_some() && dim != fed {
                    *dim = Dim::UNKNOWN;
                }
            }
        }
        declared => *declared = always.then(|| shape.clone()),
    }
}

/// What each input of the body is fed.
fn body_inputs(site: &Site<'_>) -> Vec<Fed> {
    // The iteration number and the condition have one element, of rank 0 or 1.
    let single = |elem_type| Fed::Always(ValueType::tensor(Some(elem_type), None));
    let carried = |slot| Fed::AtFirst(site.ty(slot).cloned().unwrap_or_default());
    if !site.node().is_standard() {
        return Vec::new();
    }
    match site.op_type() {
        "Loop" => [single(ElemType::INT64), single(ElemType::BOOL)]
            .into_iter()
            .chain((2..site.input_count()).map(carried))
            .collect(),
        "Scan" if site.opset() >= 9 => {
            let states = state_count(site).unwrap_or(0);
            let scanned = (states..site.input_count()).map(|slot| {
                let axis = scan_axis(site, "scan_input_axes", slot - states);
                let shape = without_axis(site.shape(slot), axis);
                Fed::Always(ValueType::tensor(site.elem_type(slot), shape))
            });
            (0..states).map(carried).chain(scanned).collect()
        }
        _ => Vec::new(),
    }
}

fn without_axis(shape: Option<&[Dim]>, axis: i64) -> Option<Vec<Dim>> {
    let mut shape = shape?.to_vec();
    shape.remove(position(axis, shape.len())?);
    Some(shape)
}

fn scan_axis(site: &Site<'_>, name: &str, index: usize) -> i64 {
    site.ints(name).and_then(|axes| axes.get(index)).copied().unwrap_or(0)
}

/// The number of state variables of a `Scan`.
fn state_count(site: &Site<'_>) -> Option<usize> {
    let scanned = usize::try_from(site.int("num_scan_inputs", 0)).ok()?;
    site.input_count().checked_sub(scanned)
}

fn body<'a>(site: &Site<'a>, name: &str) -> Option<&'a Graph> {
    match site.node().attribute(name)? {
        AttributeValue::Graph(graph) => Some(graph),
        _ => None,
    }
}

/// What is true of both types.
fn join(a: &ValueType, b: &ValueType) -> ValueType {
    let dim = |(a, b): (&Dim, &Dim)| if a == b { a.clone() } else { Dim::UNKNOWN };
    let shape = match (&a.shape, &b.shape) {
        (Some(a), Some(b)) if a.len() == b.len() => Some(a.iter().zip(b).map(dim).collect()),
        _ => None,
    };
    let elem_type = if a.elem_type == b.elem_type { a.elem_type } else { None };
    ValueType::tensor(elem_type, shape)
}

/// `If`: what both branches agree on.
pub(super) fn branch(site: &Site<'_>) -> Outputs {
    let (yes, no) = (body(site, "then_branch")?, body(site, "else_branch")?);
    let pairs = yes.outputs().iter().zip(no.outputs());
    Some(pairs.map(|(&yes_id, &no_id)| join(yes.ty(yes_id), no.ty(no_id))).collect())
}

/// `Loop`: final values may be the initial ones; scan outputs are stacked.
pub(super) fn repeat(site: &Site<'_>) -> Outputs {
    let body = body(site, "body")?;
    let carried = site.input_count().checked_sub(2)?;
    let made = body.outputs().get(1..)?;
    let outputs = made.iter().enumerate().map(|(index, &output)| {
        let ty = body.ty(output);
        match site.ty(index + 2) {
            Some(initial) if index < carried => join(initial, ty),
            None if index < carried => ValueType::default(),
            _ => stacked(ty, Dim::UNKNOWN, 0),
        }
    });
    Some(outputs.collect())
}

/// `Scan`: final states may be the initial ones; scan outputs are stacked along their axis.
pub(super) fn scan(site: &Site<'_>) -> Outputs {
    if site.opset() < 9 {
        return None;
    }
    let body = body(site, "body")?;
    let states = state_count(site)?;
    let length = (states..site.input_count()).map(|slot| {
        let axis = scan_axis(site, "scan_input_axes", slot - states);
        position(axis, site.rank(slot)?).map(|axis| site.dim(slot, axis))
    });
    let length = length.flatten().find(|dim| !dim.is_unknown()).unwrap_or(Dim::UNKNOWN);
    let outputs = body.outputs().iter().enumerate().map(|(index, &output)| {
        let ty = body.ty(output);
        match site.ty(index) {
            Some(initial) if index < states => join(initial, ty),
            _ if index < states => ValueType::default(),
            _ => stacked(ty, length.clone(), scan_axis(site, "scan_output_axes", index - states)),
        }
    });
    Some(outputs.collect())
}

/// Slices of type `ty` stacked along a new axis.
fn stacked(ty: &ValueType, length: Dim, axis: i64) -> ValueType {
    let shape = ty.shape.clone().and_then(|mut shape| {
        let axis = position(axis, shape.len() + 1)?;
        shape.insert(axis, length);
        Some(shape)
    });
    ValueType::tensor(ty.elem_type, shape)
}
