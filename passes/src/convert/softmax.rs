//! Softmax and its like: all axes from one on, then one axis alone.
use super::change::{Entry, Reason, Site, adapt};
use lapidary_ir::{NewNode, Patch};

pub(super) const CHANGES: &[Entry] = &[adapt(13, &["Hardmax", "LogSoftmax", "Softmax"], softmax)];

/// With f(x, axis) over one axis:
/// before = reshape(f(flatten(x, axis), -1), shape(x)).
/// Where no axis behind has another size than 1, before = f(x, axis).
fn softmax(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let axis = site.node().int("axis").unwrap_or(1);
    let (x, y) = (site.input(0)?, site.output()?);
    if is_alone(site, axis)? {
        patch.set_attribute(site.id, "axis", axis);
        return Ok(());
    }
    let flat = patch.node(NewNode::new("Flatten").input(x).attribute("axis", axis));
    let rows = NewNode::like(site.graph, site.id).with_input(0, flat).attribute("axis", -1);
    let rows = patch.node(rows);
    let shape = patch.node(NewNode::new("Shape").input(x));
    let mut whole = NewNode::new("Reshape").input(rows).input(shape);
    if site.target >= 14 {
        // The shape is meant as it is, also where it is empty.
        whole = whole.attribute("allowzero", 1);
    }
    let whole = patch.node(whole);
    patch.replace(y, whole);
    Ok(())
}

/// Whether every axis behind `axis` has size 1.
fn is_alone(site: &Site<'_>, axis: i64) -> Result<bool, Reason> {
    let Some(shape) = site.graph.value(site.input(0)?).shape() else { return Ok(axis == -1) };
    let rank = shape.len() as i64;
    let position = if axis < 0 { axis + rank } else { axis };
    if position < 0 || position >= rank {
        return Err("the tensor has no such axis");
    }
    Ok(shape.iter().skip(position as usize + 1).all(|dim| dim.value() == Some(1)))
}
