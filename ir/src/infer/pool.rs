//! Pooling.
use super::convolution::{Padding, Window, windows};
use super::site::Site;
use super::{Outputs, one};
use crate::{Dim, ElemType, ValueType};

pub(super) fn average(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), shape(site))
}

/// The second output holds indices.
pub(super) fn max(site: &Site<'_>) -> Outputs {
    let shape = shape(site);
    let indices = ValueType::tensor(Some(ElemType::INT64), shape.clone());
    Some(vec![ValueType::tensor(site.elem_type(0), shape), indices])
}

fn shape(site: &Site<'_>) -> Option<Vec<Dim>> {
    let input = site.shape(0).filter(|shape| shape.len() >= 2)?;
    let mut shape = input[..2].to_vec();
    match kernel(site, input.len() - 2).and_then(|kernel| windows(site, &kernel)) {
        Some(windows) => {
            let ceil = site.flag("ceil_mode");
            let spatial = windows.iter().zip(&input[2..]);
            shape.extend(spatial.map(|(window, dim)| positions(window, dim, ceil)));
        }
        None => shape.resize(input.len(), Dim::UNKNOWN),
    }
    Some(shape)
}

fn kernel(site: &Site<'_>, spatial: usize) -> Option<Vec<Dim>> {
    let sizes = site.ints("kernel_shape").filter(|sizes| sizes.len() == spatial)?;
    Some(sizes.iter().map(|&size| size.into()).collect())
}

/// With `ceil_mode` the specification rounds the number of positions up, and drops the last one
/// if it starts in the padding at the end:
///
/// `ceil((dim + begin + end - extent) / stride) + 1`, less 1 if
/// `(positions - 1) * stride >= dim + begin`.
fn positions(window: &Window, dim: &Dim, ceil: bool) -> Dim {
    if !ceil || window.padding == Padding::Same || window.stride == 1 {
        return window.positions(dim);
    }
    if window.kernel.value().is_none_or(|kernel| kernel <= 0) {
        return Dim::UNKNOWN;
    }
    let count = window.room(dim).ceil_div(window.stride) + 1.into();
    let last = (count.clone() - 1.into()) * window.stride.into();
    let end_of_data = dim.clone() + window.begin.into();
    match (last.value(), end_of_data.value()) {
        (Some(last), Some(end)) if last >= end => count - 1.into(),
        (Some(_), Some(_)) => count,
        // Rounding up adds at most `stride - 1`, which is inside the data for any size if
        // `stride - 1 + end < extent`.
        _ => {
            let reach = Dim::from(window.stride) - 1.into() + window.end.into() - window.extent();
            if reach.value().is_some_and(|reach| reach < 0) { count } else { Dim::UNKNOWN }
        }
    }
}

/// One value per channel: every spatial dimension becomes 1.
pub(super) fn global(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).filter(|shape| shape.len() >= 2).map(|input| {
        let spatial = std::iter::repeat_n(Dim::from(1), input.len() - 2);
        input[..2].iter().cloned().chain(spatial).collect()
    });
    one(site.elem_type(0), shape)
}

/// The inverse of `MaxPool`: `(dim - 1) * stride - begin - end + kernel`.
pub(super) fn unpool(site: &Site<'_>) -> Outputs {
    if site.has_input(2) {
        return one(site.elem_type(0), site.elements(2).map(<[Dim]>::to_vec));
    }
    let shape = || {
        let input = site.shape(0).filter(|shape| shape.len() >= 2)?;
        let windows = windows(site, &kernel(site, input.len() - 2)?)?;
        let spatial = windows.iter().zip(&input[2..]).map(|(window, dim)| {
            let padding = Dim::from(window.begin) + window.end.into();
            (dim.clone() - 1.into()) * window.stride.into() - padding + window.kernel.clone()
        });
        Some(input[..2].iter().cloned().chain(spatial).collect())
    };
    one(site.elem_type(0), shape())
}

/// `[regions, channels, pooled_shape...]`.
pub(super) fn max_roi(site: &Site<'_>) -> Outputs {
    let shape = site.ints("pooled_shape").map(|sizes| {
        let lead = [site.dim(1, 0), site.dim(0, 1)];
        lead.into_iter().chain(sizes.iter().map(|&size| size.into())).collect()
    });
    one(site.elem_type(0), shape)
}

/// `[regions, channels, output_height, output_width]`.
pub(super) fn roi_align(site: &Site<'_>) -> Outputs {
    let (height, width) = (site.int("output_height", 1), site.int("output_width", 1));
    let regions = site.dim(1, 0);
    let regions = if regions.is_unknown() { site.dim(2, 0) } else { regions };
    let shape = vec![regions, site.dim(0, 1), height.into(), width.into()];
    one(site.elem_type(0), Some(shape))
}
