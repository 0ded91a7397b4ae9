//! Operators that pick elements.
use super::site::{Site, position};
use super::{Outputs, elements, one};
use crate::{Dim, ElemType, ValueType};

/// The indices' shape takes the place of the axis.
pub(super) fn gather(site: &Site<'_>) -> Outputs {
    let shape = || {
        let (data, indices) = (site.shape(0)?, site.shape(1)?);
        let axis = position(site.int("axis", 0), data.len())?;
        Some([&data[..axis], indices, &data[axis + 1..]].concat())
    };
    let ty = ValueType::tensor(site.elem_type(0), shape());
    Some(vec![elements::attach(ty, picked(site))])
}

fn picked(site: &Site<'_>) -> Option<Vec<Dim>> {
    let (data, indices) = (site.elements(0)?, site.elements(1)?);
    if site.rank(0) != Some(1) {
        return None;
    }
    let at = |index: &Dim| match index.value() {
        Some(index) => position(index, data.len()).map(|index| data[index].clone()),
        None => Some(Dim::UNKNOWN),
    };
    indices.iter().map(at).collect()
}

/// The shape of the indices.
pub(super) fn gather_elements(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), site.shape(1).map(<[Dim]>::to_vec))
}

/// `indices.shape[..-1] + data.shape[batch_dims + indices.shape[-1]..]`.
pub(super) fn gather_nd(site: &Site<'_>) -> Outputs {
    let shape = || {
        let (data, indices) = (site.shape(0)?, site.shape(1)?);
        let batch = usize::try_from(site.int("batch_dims", 0)).ok()?;
        let (depth, lead) = indices.split_last()?;
        let depth = usize::try_from(depth.value()?).ok()?;
        let rest = data.get(batch.checked_add(depth)?..)?;
        Some([lead, rest].concat())
    };
    one(site.elem_type(0), shape())
}

/// Values, first indices, inverse indices and counts; how many depends on the data.
pub(super) fn unique(site: &Site<'_>) -> Outputs {
    let vector = || ValueType::tensor(Some(ElemType::INT64), Some(vec![Dim::UNKNOWN]));
    let shape = match site.node().int("axis") {
        None => Some(vec![Dim::UNKNOWN]),
        Some(axis) => site.shape(0).and_then(|shape| {
            let mut shape = shape.to_vec();
            let axis = position(axis, shape.len())?;
            shape[axis] = Dim::UNKNOWN;
            Some(shape)
        }),
    };
    Some(vec![ValueType::tensor(site.elem_type(0), shape), vector(), vector(), vector()])
}

/// One column per element that is not zero.
pub(super) fn non_zero(site: &Site<'_>) -> Outputs {
    let rank = site.rank(0).and_then(|rank| i64::try_from(rank).ok());
    let rank = rank.map_or(Dim::UNKNOWN, Dim::from);
    one(Some(ElemType::INT64), Some(vec![rank, Dim::UNKNOWN]))
}

/// One row of batch, class and box per selection.
pub(super) fn non_max_suppression(_: &Site<'_>) -> Outputs {
    one(Some(ElemType::INT64), Some(vec![Dim::UNKNOWN, 3.into()]))
}
