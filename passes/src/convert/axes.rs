//! Operators whose attributes became inputs.
use super::change::{Entry, Reason, Site, adapt};
use lapidary_ir::{ElemType, Patch, Tensor};

const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

pub(super) const CHANGES: &[Entry] = &[
    adapt(10, &["Slice"], slice),
    adapt(10, &["TopK"], top_k),
    adapt(11, &["Clip"], clip),
    adapt(11, &["Pad"], pad),
    adapt(12, &["Dropout"], dropout),
    adapt(13, &["ReduceSum", "Squeeze", "Unsqueeze"], axes),
    adapt(13, &["Split"], split),
    adapt(18, &["Split"], split_count),
    adapt(18, REDUCTIONS, axes),
    adapt(20, &["DFT"], dft),
];

/// Makes the list of integers `name`, if it is given, input `slot`.
fn move_integers(site: &Site<'_>, patch: &mut Patch, name: &str, slot: usize) {
    let Some(values) = site.node().ints(name) else { return };
    patch.remove_attribute(site.id, name);
    site.set_constant(patch, slot, name, Tensor::vector(values));
}

fn axes(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    if site.node().ints("axes").is_some_and(<[i64]>::is_empty) {
        return Err("it is not defined what an empty list of axes means");
    }
    move_integers(site, patch, "axes", 1);
    Ok(())
}

fn slice(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    for (slot, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
        move_integers(site, patch, name, slot);
    }
    Ok(())
}

fn top_k(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let k = site.node().int("k").ok_or("the number of elements is missing")?;
    patch.remove_attribute(site.id, "k");
    site.set_constant(patch, 1, "k", Tensor::vector(&[k]));
    Ok(())
}

fn split(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    move_integers(site, patch, "split", 1);
    Ok(())
}

/// Without sizes, all parts were equal: as many as there are outputs. ONNX Runtime refuses more outputs than there are elements,
/// and one of none: empty parts are given by their sizes.
fn split_count(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    if site.node().input(1).is_some() {
        return Ok(());
    }
    let outputs = site.node().outputs().len();
    let count = i64::try_from(outputs).map_err(|_| "it has too many outputs")?;
    let dims = site.graph.ty(site.input(0)?).dims().unwrap_or_default();
    let axis = site.node().int("axis").unwrap_or(0);
    let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
    match usize::try_from(axis).ok().and_then(|axis| dims.get(axis)) {
        Some(0) => site.set_constant(patch, 1, "split", Tensor::vector(&vec![0i64; outputs])),
        _ => patch.set_attribute(site.id, "num_outputs", count),
    }
    Ok(())
}

/// Bounds that are not given were the largest finite numbers of 32 bits: they clip infinities.
fn clip(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let elem_type = site.graph.value(site.input(0)?).elem_type();
    for (slot, name, default) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
        let bound = site.node().float(name).unwrap_or(default);
        patch.remove_attribute(site.id, name);
        site.set_constant(patch, slot, name, scalar(bound, elem_type)?);
    }
    Ok(())
}

fn pad(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    move_integers(site, patch, "pads", 1);
    let value = site.node().float("value").unwrap_or(0.0);
    patch.remove_attribute(site.id, "value");
    if value.to_bits() != 0 {
        let elem_type = site.graph.value(site.input(0)?).elem_type();
        site.set_constant(patch, 2, "value", scalar(value, elem_type)?);
    }
    Ok(())
}

/// A number of type `float` as one of the type of the data.
fn scalar(value: f32, elem_type: Option<ElemType>) -> Result<Tensor, Reason> {
    match elem_type {
        Some(ElemType::FLOAT) => Ok(Tensor::scalar(value)),
        Some(ElemType::DOUBLE) => Ok(Tensor::scalar(f64::from(value))),
        _ => Err(
            "an attribute becomes an input of the type of the data, which is not float or double",
        ),
    }
}

fn dropout(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    if site.uses_output(1) {
        return Err("what its mask is outside of training changed");
    }
    if let Some(ratio) = site.node().float("ratio") {
        patch.remove_attribute(site.id, "ratio");
        site.set_constant(patch, 1, "ratio", Tensor::scalar(ratio));
    }
    Ok(())
}

fn dft(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let axis = site.node().int("axis").unwrap_or(1);
    patch.remove_attribute(site.id, "axis");
    site.set_constant(patch, 2, "axis", Tensor::scalar(axis));
    Ok(())
}
