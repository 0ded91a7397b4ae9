//! Normalizations with more than one output.
use super::Outputs;
use super::site::{Site, position};
use crate::{Dim, ElemType, ValueType};

/// The other outputs are statistics per channel, in training only.
pub(super) fn batch(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).map(<[Dim]>::to_vec);
    let mut outputs = vec![ValueType::tensor(site.elem_type(0), shape)];
    for slot in 1..site.output_count().min(5) {
        let like = if slot % 2 == 1 { 3 } else { 4 };
        outputs.push(ValueType::tensor(site.elem_type(like), Some(vec![site.dim(like, 0)])));
    }
    Some(outputs)
}

/// Mean and inverse deviation have size 1 in the normalized dimensions.
pub(super) fn layer(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).map(<[Dim]>::to_vec);
    let statistics = shape.clone().and_then(|mut shape| {
        let axis = position(site.int("axis", -1), shape.len())?;
        shape[axis..].fill(1.into());
        Some(shape)
    });
    let stash = site.elem_type_attribute("stash_type").unwrap_or(ElemType::FLOAT);
    let statistics = ValueType::tensor(Some(stash), statistics);
    Some(vec![ValueType::tensor(site.elem_type(0), shape), statistics.clone(), statistics])
}
