//! Normalizations.
use super::change::{Entry, Reason, Site, adapt};
use lapidary_ir::{ElemType, NewNode, Patch, Tensor};

pub(super) const CHANGES: &[Entry] = &[
    adapt(9, &["BatchNormalization"], spatial),
    adapt(14, &["BatchNormalization"], inference),
    adapt(21, &["GroupNormalization"], per_channel),
];

fn spatial(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    if site.node().int("spatial").unwrap_or(1) == 0 {
        return Err("statistics for every element (spatial = 0) are gone");
    }
    patch.remove_attribute(site.id, "spatial");
    Ok(())
}

/// More outputs meant training before, an attribute means it now.
fn inference(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    if site.node().outputs().iter().skip(1).any(Option::is_some) {
        return Err("it is trained, which is written and computed differently");
    }
    Ok(())
}

/// scale\[c\] is what scale\[c / (C / groups)\] was, and so is the bias. The precision stays that of
/// the data.
fn per_channel(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let input = site.graph.value(site.input(0)?);
    let channels = input.shape().and_then(|shape| shape.get(1)?.value());
    let channels = channels.ok_or("the number of channels is unknown")?;
    let groups = site.node().int("num_groups").filter(|&groups| groups > 0);
    let groups = groups.filter(|groups| channels % groups == 0);
    let groups = groups.ok_or("the channels are no multiple of the groups")?;
    let precision = match input.elem_type() {
        Some(ElemType::FLOAT) => 1,
        Some(elem_type) if elem_type.is_float() => i64::from(elem_type.0),
        _ => return Err("the type of the data is unknown"),
    };
    if precision != 1 {
        patch.set_attribute(site.id, "stash_type", precision);
    }
    if groups == channels {
        return Ok(());
    }
    let column = site.constant(patch, "column", Tensor::vector(&[groups, 1]));
    let table = site.constant(patch, "table", Tensor::vector(&[groups, channels / groups]));
    let row = site.constant(patch, "row", Tensor::vector(&[channels]));
    for (slot, what) in [(1, "scale"), (2, "bias")] {
        let new = |op_type: &str| {
            NewNode::new(op_type).named(site.name(&format!("{what}_{}", op_type.to_lowercase())))
        };
        let given = site.input(slot)?;
        let rows = NewNode::new("Reshape").named(site.name(&format!("{what}_column")));
        let rows = patch.node(rows.input(given).input(column));
        let rows = patch.node(new("Expand").input(rows).input(table));
        let all = patch.node(new("Reshape").input(rows).input(row));
        patch.set_input(site.id, slot, Some(all));
    }
    Ok(())
}
