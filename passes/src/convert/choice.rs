//! Operators whose defaults, names or limits changed.
use super::change::{Entry, Reason, Site, adapt, refuse};
use lapidary_ir::{ElemType, NewNode, Patch};

pub(super) const CHANGES: &[Entry] = &[
    refuse(9, &["Scan"], "it ran over a batch, and no longer does"),
    adapt(10, &["Dropout"], mask_type),
    adapt(11, &["OneHot"], indices_from_zero),
    adapt(11, &["Scatter"], scatter),
    adapt(16, &["RoiAlign"], unshifted),
    adapt(20, &["GridSample"], mode_names),
    adapt(24, &["Attention"], not_causal),
    adapt(27, &["Range"], full_precision),
];

/// The mask is boolean from now on.
fn mask_type(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    if site.uses_output(1) { Err("its mask has another type") } else { Ok(()) }
}

/// Negative indices meant nothing before, and count from the end now.
fn indices_from_zero(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    let indices = site.graph.value(site.input(0)?);
    let unsigned = [ElemType::UINT8, ElemType::UINT16, ElemType::UINT32, ElemType::UINT64];
    let positive = |indices: Vec<i64>| indices.into_iter().all(|index| index >= 0);
    if indices.elem_type().is_some_and(|elem_type| unsigned.contains(&elem_type))
        || indices.constant().and_then(|tensor| tensor.to_i64()).is_some_and(positive)
    {
        return Ok(());
    }
    Err("negative indices, if there are any, mean something now")
}

fn scatter(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let elements = patch.node(NewNode::like(site.graph, site.id).op_type("ScatterElements"));
    patch.replace(site.output()?, elements);
    Ok(())
}

fn unshifted(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    patch.set_attribute(site.id, "coordinate_transformation_mode", "output_half_pixel");
    Ok(())
}

fn mode_names(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let mode = match site.node().string("mode").unwrap_or("bilinear") {
        "bilinear" => "linear",
        "bicubic" => "cubic",
        "nearest" => return Ok(()),
        _ => return Err("its mode has no successor"),
    };
    patch.set_attribute(site.id, "mode", mode);
    Ok(())
}

fn not_causal(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    if site.node().int("is_causal").unwrap_or(0) == 0 {
        return Ok(());
    }
    Err("where its causal mask begins is worded differently")
}

/// Half precision is computed in single precision from now on.
fn full_precision(site: &Site<'_>, _: &mut Patch) -> Result<(), Reason> {
    let elem_type = site.graph.value(site.input(0)?).elem_type();
    let full = [ElemType::FLOAT, ElemType::DOUBLE];
    if elem_type.is_some_and(|elem_type| elem_type.is_integer() || full.contains(&elem_type)) {
        return Ok(());
    }
    Err("it is computed in another precision")
}
