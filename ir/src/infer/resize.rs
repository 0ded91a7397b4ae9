//! Operators that sample images.
use super::site::{Site, positions};
use super::{Outputs, one};
use crate::{Dim, ValueType};

/// Operator set 10 has the inputs `x, scales`, later ones `x, roi, scales, sizes`.
pub(super) fn resize(site: &Site<'_>) -> Outputs {
    let shape = resized(site).or_else(|| Some(vec![Dim::UNKNOWN; site.rank(0)?]));
    one(site.elem_type(0), shape)
}

fn resized(site: &Site<'_>) -> Option<Vec<Dim>> {
    let input = site.shape(0)?;
    let axes = match site.ints("axes") {
        Some(axes) => positions(axes, input.len())?,
        None => (0..input.len()).collect(),
    };
    let (scales, sizes) = if site.opset() < 11 { (1, None) } else { (2, Some(3)) };
    let mut shape = input.to_vec();
    if let Some(sizes) = sizes.filter(|&slot| site.has_input(slot)) {
        if !matches!(site.string("keep_aspect_ratio_policy"), None | Some("stretch")) {
            return None;
        }
        let sizes = site.elements(sizes).filter(|sizes| sizes.len() == axes.len())?;
        for (axis, size) in axes.into_iter().zip(sizes) {
            shape[axis] = size.clone();
        }
        return Some(shape);
    }
    if site.string("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
        return None;
    }
    let scales = floats(site, scales, axes.len())?;
    for (axis, scale) in axes.into_iter().zip(scales) {
        shape[axis] = scaled(&input[axis], scale);
    }
    Some(shape)
}

/// The elements of a float constant, if there are that many.
fn floats(site: &Site<'_>, slot: usize, count: usize) -> Option<Vec<f32>> {
    site.constant(slot).filter(|tensor| tensor.len() == count)?.to_f32()
}

/// The scales are an attribute before operator set 9.
pub(super) fn upsample(site: &Site<'_>) -> Outputs {
    let shape = || {
        let input = site.shape(0)?;
        let scales = match site.node().floats("scales") {
            Some(scales) => scales.to_vec(),
            None => floats(site, 1, input.len())?,
        };
        (scales.len() == input.len())
            .then(|| input.iter().zip(scales).map(|(dim, scale)| scaled(dim, scale)).collect())
    };
    let shape = shape().or_else(|| Some(vec![Dim::UNKNOWN; site.rank(0)?]));
    one(site.elem_type(0), shape)
}

/// `floor(dim * scale)`; of a symbolic dimension only for whole scales and their inverses.
fn scaled(dim: &Dim, scale: f32) -> Dim {
    let whole =
        |scale: f32| (scale.fract() == 0.0 && (1.0..1e6).contains(&scale)).then_some(scale as i64);
    if let Some(scale) = whole(scale) {
        return dim.clone() * scale.into();
    }
    if let Some(dim) = dim.value() {
        let size = (dim as f32 * scale).floor();
        return if (0.0..9e15).contains(&size) { (size as i64).into() } else { Dim::UNKNOWN };
    }
    // Powers of two have exact inverses; others round either way.
    match whole(scale.recip()).filter(|by| by.count_ones() == 1) {
        Some(by) => dim.floor_div(&by.into()),
        None => Dim::UNKNOWN,
    }
}

/// Batch and channels of the input, positions of the grid.
pub(super) fn grid_sample(site: &Site<'_>) -> Outputs {
    let shape = match (site.shape(0), site.shape(1)) {
        (Some([batch, channels, ..]), Some([_, positions @ .., _])) => {
            Some([&[batch.clone(), channels.clone()], positions].concat())
        }
        _ => None,
    };
    one(site.elem_type(0), shape)
}

/// `[batch, positions..., coordinates]` for a size of `[batch, channels, positions...]`.
pub(super) fn affine_grid(site: &Site<'_>) -> Outputs {
    let shape = match site.elements(1) {
        Some([batch, _, positions @ ..]) => {
            let coordinates = i64::try_from(positions.len()).map_or(Dim::UNKNOWN, Dim::from);
            Some([std::slice::from_ref(batch), positions, &[coordinates]].concat())
        }
        _ => None,
    };
    Some(vec![ValueType::tensor(site.elem_type(0), shape)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_down() {
        assert_eq!(scaled(&7.into(), 0.5), Dim::from(3));
        assert_eq!(scaled(&3.into(), 1.5), Dim::from(4));
        assert!(scaled(&i64::MAX.into(), 1e9).is_unknown());
        assert!(scaled(&3.into(), f32::NAN).is_unknown());
        assert!(scaled(&3.into(), -1.0).is_unknown());
    }

    #[test]
    fn symbolic_sizes_scale_by_whole_factors_and_their_inverses() {
        let h = Dim::param("H");
        assert_eq!(scaled(&h, 2.0), h.clone() * 2.into());
        assert_eq!(scaled(&h, 0.5), h.floor_div(&2.into()));
        assert!(scaled(&h, 1.5).is_unknown());
    }
}
