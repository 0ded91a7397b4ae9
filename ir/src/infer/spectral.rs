//! Windows and Fourier transforms.
use super::site::{Site, position};
use super::{Outputs, one};
use crate::{Dim, ElemType};

pub(super) fn window(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("output_datatype").unwrap_or(ElemType::FLOAT);
    one(Some(elem_type), Some(vec![site.scalar(0).unwrap_or(Dim::UNKNOWN)]))
}

/// `[dft_length / 2 + 1, num_mel_bins]`.
pub(super) fn mel_weight_matrix(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("output_datatype").unwrap_or(ElemType::FLOAT);
    let bins = site.scalar(0).unwrap_or(Dim::UNKNOWN);
    let length = site.scalar(1).unwrap_or(Dim::UNKNOWN);
    one(Some(elem_type), Some(vec![length.floor_div(&2.into()) + 1.into(), bins]))
}

/// The last dimension holds real and imaginary part. One-sided transforms keep
/// `length / 2 + 1` entries. The axis is an attribute before operator set 20.
pub(super) fn dft(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), dft_shape(site))
}

fn dft_shape(site: &Site<'_>) -> Option<Vec<Dim>> {
    let mut shape = site.shape(0)?.to_vec();
    let axis = if site.has_input(2) {
        site.scalar(2).and_then(|axis| axis.value())
    } else {
        Some(site.int("axis", if site.opset() >= 20 { -2 } else { 1 }))
    };
    let Some(axis) = axis.and_then(|axis| position(axis, shape.len())) else {
        return Some(vec![Dim::UNKNOWN; shape.len()]);
    };
    if site.has_input(1) {
        shape[axis] = site.scalar(1).unwrap_or(Dim::UNKNOWN);
    }
    let (one_sided, inverse) = (site.flag("onesided"), site.flag("inverse"));
    if one_sided && inverse {
        return Some(vec![Dim::UNKNOWN; shape.len()]);
    }
    if one_sided {
        shape[axis] = shape[axis].floor_div(&2.into()) + 1.into();
    }
    *shape.last_mut()? = 2.into();
    Some(shape)
}

/// `[batch, frames, length or length / 2 + 1, 2]` with
/// `frames = (signal - length) / step + 1`.
pub(super) fn stft(site: &Site<'_>) -> Outputs {
    let length = if site.has_input(3) { site.scalar(3) } else { Some(site.dim(2, 0)) };
    let length = length.unwrap_or(Dim::UNKNOWN);
    let step = site.scalar(1).unwrap_or(Dim::UNKNOWN);
    let frames = (site.dim(0, 1) - length.clone()).floor_div(&step) + 1.into();
    let one_sided = site.int("onesided", 1) != 0;
    let bins = if one_sided { length.floor_div(&2.into()) + 1.into() } else { length };
    one(site.elem_type(0), Some(vec![site.dim(0, 0), frames, bins, 2.into()]))
}
