//! Reductions.
use super::site::{Axes, Site, marked, position, positions};
use super::{Outputs, elements, one};
use crate::{Dim, ElemType, ValueType};

/// Reduced dimensions become 1, or vanish without `keepdims`.
pub(super) fn reduce(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(site.elem_type(0), reduced_shape(site));
    Some(vec![elements::attach(ty, reduced_elements(site))])
}

fn reduced_shape(site: &Site<'_>) -> Option<Vec<Dim>> {
    let shape = site.shape(0)?;
    let keep = site.int("keepdims", 1) != 0;
    let axes = match site.axes(1) {
        Axes::Known(axes) if !axes.is_empty() => positions(&axes, shape.len())?,
        Axes::Unknown if keep => return Some(vec![Dim::UNKNOWN; shape.len()]),
        Axes::Unknown => return None,
        _ if site.flag("noop_with_empty_axes") => return Some(shape.to_vec()),
        _ => (0..shape.len()).collect(),
    };
    Some(without(shape, &axes, keep))
}

fn without(shape: &[Dim], axes: &[usize], keep: bool) -> Vec<Dim> {
    let dims = shape.iter().zip(marked(axes, shape.len()));
    dims.filter_map(|(dim, reduced)| match (reduced, keep) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(1.into()),
        (true, false) => None,
    })
    .collect()
}

/// The reduction of a vector to one element.
fn reduced_elements(site: &Site<'_>) -> Option<Vec<Dim>> {
    let elements = site.elements(0)?;
    let all = match site.axes(1) {
        Axes::Known(axes) if !axes.is_empty() => axes == [0] || axes == [-1],
        Axes::Unknown => false,
        _ => !site.flag("noop_with_empty_axes"),
    };
    if !all || site.rank(0) != Some(1) {
        return None;
    }
    let (operation, start) = match site.op_type() {
        "ReduceProd" => ("Mul", Some(Dim::from(1))),
        "ReduceSum" => ("Add", Some(Dim::from(0))),
        "ReduceMax" => ("Max", None),
        "ReduceMin" => ("Min", None),
        _ => return None,
    };
    let mut elements = elements.iter().cloned();
    let first = start.or_else(|| elements.next())?;
    Some(vec![elements.fold(first, |a, b| elements::arithmetic(operation, &a, &b))])
}

pub(super) fn arg(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).and_then(|shape| {
        let axis = position(site.int("axis", 0), shape.len())?;
        Some(without(shape, &[axis], site.int("keepdims", 1) != 0))
    });
    one(Some(ElemType::INT64), shape)
}

/// `k` is an attribute before operator set 10.
pub(super) fn top_k(site: &Site<'_>) -> Outputs {
    let k = if site.has_input(1) {
        site.scalar(1).unwrap_or(Dim::UNKNOWN)
    } else {
        site.node().int("k").map_or(Dim::UNKNOWN, Dim::from)
    };
    let shape = site.shape(0).and_then(|shape| {
        let axis = position(site.int("axis", -1), shape.len())?;
        let mut shape = shape.to_vec();
        shape[axis] = k;
        Some(shape)
    });
    let indices = ValueType::tensor(Some(ElemType::INT64), shape.clone());
    Some(vec![ValueType::tensor(site.elem_type(0), shape), indices])
}

/// A scalar, or without reduction the shape of the target.
pub(super) fn loss(site: &Site<'_>) -> Outputs {
    let shape = match site.string("reduction") {
        Some("none") => site.shape(1).map(<[Dim]>::to_vec),
        _ => Some(Vec::new()),
    };
    let scores = site.shape(0).map(<[Dim]>::to_vec);
    Some(vec![
        ValueType::tensor(site.elem_type(0), shape),
        ValueType::tensor(site.elem_type(0), scores),
    ])
}
