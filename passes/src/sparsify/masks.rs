//! Masks from outside.
use super::error::SparsifyError;
use super::layer::Layer;
use lapidary_ir::{Graph, Tensor};
use std::collections::BTreeMap;

/// What every layer keeps; none for layers without a mask.
///
/// # Errors
/// When a mask is for no layer, or of another shape.
pub(super) fn kept(
    graph: &Graph,
    layers: &[Layer],
    masks: &BTreeMap<String, Tensor>,
) -> Result<Vec<Option<Vec<bool>>>, SparsifyError> {
    let known = |name: &String| layers.iter().any(|layer| layer.name == *name);
    if let Some(name) = masks.keys().find(|name| !known(name)) {
        return Err(SparsifyError::UnknownMask { name: name.clone() });
    }
    let mask = |layer: &Layer| {
        let Some(mask) = masks.get(&layer.name) else { return Ok(None) };
        let dims = graph.constant(layer.value).map_or(&[][..], |weights| weights.dims());
        let found = if mask.dims() == dims { numbers(mask) } else { None };
        let keep = found.ok_or_else(|| SparsifyError::Mask {
            name: layer.name.clone(),
            found: format!("{}{:?}", mask.elem_type(), mask.dims()),
            expected: dims.to_vec(),
        })?;
        Ok(Some(layer.layout.matrix(&keep)))
    };
    layers.iter().map(mask).collect()
}

/// Whether each number is not 0.
fn numbers(mask: &Tensor) -> Option<Vec<bool>> {
    if let Some(numbers) = mask.to_f32() {
        return Some(numbers.into_iter().map(|number| number != 0.0).collect());
    }
    if let Some(numbers) = mask.to_vec::<u64>() {
        return Some(numbers.into_iter().map(|number| number != 0).collect());
    }
    Some(mask.to_i64()?.into_iter().map(|number| number != 0).collect())
}
