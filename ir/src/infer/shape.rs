//! Operators that ask for shapes or change them without touching the data.
use super::site::{Axes, Site, marked, position, positions};
use super::{Outputs, broadcast, elements, one};
use crate::{Dim, ElemType, ValueType};

/// `start` and `end` choose a range of the dimensions and are clamped to it.
pub(super) fn shape(site: &Site<'_>) -> Outputs {
    let Some(shape) = site.shape(0) else {
        return one(Some(ElemType::INT64), Some(vec![Dim::UNKNOWN]));
    };
    let clamp = |at: i64| {
        let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        usize::try_from(at.clamp(0, rank)).unwrap_or(0)
    };
    let start = clamp(site.int("start", 0));
    let end = site.node().int("end").map_or(shape.len(), clamp);
    let dims = shape.get(start..end).unwrap_or(&[]).to_vec();
    Some(vec![vector(dims)])
}

/// A vector of `int64` with those elements.
fn vector(dims: Vec<Dim>) -> ValueType {
    let length = i64::try_from(dims.len()).map_or(Dim::UNKNOWN, Dim::from);
    let ty = ValueType::tensor(Some(ElemType::INT64), Some(vec![length]));
    elements::attach(ty, Some(dims))
}

pub(super) fn size(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(Some(ElemType::INT64), Some(Vec::new()));
    let size = site.shape(0).map(|shape| vec![shape.iter().cloned().product()]);
    Some(vec![elements::attach(ty, size)])
}

/// The first input under another shape: vectors and scalars keep their elements.
fn reshaped(site: &Site<'_>, shape: Option<Vec<Dim>>) -> Outputs {
    let ty = ValueType::tensor(site.elem_type(0), shape);
    Some(vec![elements::attach(ty, site.elements(0).map(<[Dim]>::to_vec))])
}

/// The shape is an attribute before operator set 5.
pub(super) fn reshape(site: &Site<'_>) -> Outputs {
    let target: Option<Vec<Dim>> = if site.has_input(1) {
        match site.elements(1) {
            Some(target) => Some(target.to_vec()),
            None => unknown_target(site.shape(1)),
        }
    } else {
        site.ints("shape").map(|sizes| sizes.iter().map(|&size| size.into()).collect())
    };
    let shape =
        target.and_then(|target| target_shape(site.shape(0), &target, site.flag("allowzero")));
    reshaped(site, shape)
}

/// A target of which only the length is known.
fn unknown_target(shape: Option<&[Dim]>) -> Option<Vec<Dim>> {
    let [length] = shape? else { return None };
    let length = usize::try_from(length.value()?).ok()?;
    (length <= super::MAX_ELEMENTS).then(|| vec![Dim::UNKNOWN; length])
}

/// A 0 copies the input's dimension unless `allowzero`. A -1, or else a single unknown entry, is
/// what the number of elements leaves.
fn target_shape(input: Option<&[Dim]>, target: &[Dim], allow_zero: bool) -> Option<Vec<Dim>> {
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = Vec::new();
    for (axis, entry) in target.iter().enumerate() {
        shape.push(match entry.value() {
            Some(0) if !allow_zero => {
                input.and_then(|input| input.get(axis)).cloned().unwrap_or(Dim::UNKNOWN)
            }
            Some(size) if size < -1 => return None,
            Some(-1) => {
                inferred.push(axis);
                Dim::UNKNOWN
            }
            _ => entry.clone(),
        });
    }
    if inferred.is_empty() {
        inferred.extend((0..shape.len()).filter(|&axis| shape[axis].is_unknown()));
    }
    if let ([axis], Some(input)) = (inferred.as_slice(), input) {
        shape[*axis] = left_over(input, &shape, *axis);
    }
    Some(shape)
}

/// The number of elements of `input` over those of all dimensions of `shape` but `axis`.
/// Dimensions found on both sides cancel, known or not.
fn left_over(input: &[Dim], shape: &[Dim], axis: usize) -> Dim {
    let mut rest = input.to_vec();
    let mut divisor = Dim::from(1);
    for dim in shape[..axis].iter().chain(&shape[axis + 1..]) {
        match rest.iter().position(|candidate| candidate == dim && *dim != 0) {
            Some(at) => drop(rest.remove(at)),
            None => divisor = divisor * dim.clone(),
        }
    }
    rest.into_iter().product::<Dim>().floor_div(&divisor)
}

/// Two dimensions: the products before and from `axis`.
pub(super) fn flatten(site: &Site<'_>) -> Outputs {
    let product = |dims: &[Dim]| dims.iter().cloned().product::<Dim>();
    let axis = site.int("axis", 1);
    let Some(input) = site.shape(0) else {
        return one(site.elem_type(0), Some(vec![Dim::UNKNOWN; 2]));
    };
    let at = if axis == i64::try_from(input.len()).unwrap_or(0) {
        Some(input.len())
    } else {
        position(axis, input.len())
    };
    let shape =
        at.map_or(vec![Dim::UNKNOWN; 2], |at| vec![product(&input[..at]), product(&input[at..])]);
    one(site.elem_type(0), Some(shape))
}

/// Without `perm` the dimensions are reversed.
pub(super) fn transpose(site: &Site<'_>) -> Outputs {
    let shape = match (site.shape(0), site.ints("perm")) {
        (Some(input), Some(perm)) if perm.len() == input.len() => positions(perm, input.len())
            .map(|perm| perm.into_iter().map(|axis| input[axis].clone()).collect()),
        (Some(_), Some(_)) => None,
        (Some(input), None) => Some(input.iter().rev().cloned().collect()),
        (None, perm) => perm.map(|perm| vec![Dim::UNKNOWN; perm.len()]),
    };
    reshaped(site, shape)
}

/// Without axes, every dimension that is 1 goes.
pub(super) fn squeeze(site: &Site<'_>) -> Outputs {
    reshaped(site, squeezed(site))
}

fn squeezed(site: &Site<'_>) -> Option<Vec<Dim>> {
    let input = site.shape(0)?;
    let axes = match site.axes(1) {
        Axes::Known(axes) => positions(&axes, input.len())?,
        Axes::Unknown => return None,
        // A symbolic dimension may be 1 by chance.
        Axes::Absent if input.iter().any(|dim| dim.value().is_none()) => return None,
        Axes::Absent => (0..input.len()).filter(|&axis| input[axis] == 1).collect(),
    };
    let marked = marked(&axes, input.len());
    let kept = input.iter().zip(marked).filter(|(_, gone)| !gone);
    Some(kept.map(|(dim, _)| dim.clone()).collect())
}

pub(super) fn unsqueeze(site: &Site<'_>) -> Outputs {
    reshaped(site, unsqueezed(site))
}

fn unsqueezed(site: &Site<'_>) -> Option<Vec<Dim>> {
    let input = site.shape(0)?;
    let Axes::Known(axes) = site.axes(1) else { return None };
    let rank = input.len() + axes.len();
    let marked = marked(&positions(&axes, rank)?, rank);
    let mut dims = input.iter().cloned();
    marked.into_iter().map(|new| if new { Some(1.into()) } else { dims.next() }).collect()
}

/// The input broadcast with a shape.
pub(super) fn expand(site: &Site<'_>) -> Outputs {
    let target = match site.elements(1) {
        Some(target) => Some(target.to_vec()),
        None => unknown_target(site.shape(1)),
    };
    let shape =
        site.shape(0).zip(target).and_then(|(input, target)| broadcast::pair(input, &target));
    let elements = || match site.elements(0)? {
        [only] => match shape.as_deref()? {
            [] => Some(vec![only.clone()]),
            [length] => repeated(only, length),
            _ => None,
        },
        all => Some(all.to_vec()),
    };
    let elements = elements();
    Some(vec![elements::attach(ValueType::tensor(site.elem_type(0), shape), elements)])
}

/// `element`, as often as `length` says, if that is a small number.
pub(super) fn repeated(element: &Dim, length: &Dim) -> Option<Vec<Dim>> {
    let length = usize::try_from(length.value()?).ok()?;
    (length <= super::MAX_ELEMENTS).then(|| vec![element.clone(); length])
}

/// Every dimension times its number of repeats. Before operator set 6 the inputs are the number
/// of tiles and one axis.
pub(super) fn tile(site: &Site<'_>) -> Outputs {
    let shape = || {
        let input = site.shape(0)?;
        let repeats = if site.opset() < 6 {
            let mut repeats = vec![Dim::from(1); input.len()];
            repeats[position(site.scalar(2)?.value()?, input.len())?] = site.scalar(1)?;
            repeats
        } else {
            site.elements(1).filter(|repeats| repeats.len() == input.len())?.to_vec()
        };
        Some(input.iter().cloned().zip(repeats).map(|(dim, repeats)| dim * repeats).collect())
    };
    let shape = shape().or_else(|| Some(vec![Dim::UNKNOWN; site.rank(0)?]));
    one(site.elem_type(0), shape)
}

/// `[batch, channels / block^2, height * block, width * block]`.
pub(super) fn depth_to_space(site: &Site<'_>) -> Outputs {
    let block = Dim::from(site.int("blocksize", 0));
    let shape = site.shape(0).filter(|shape| shape.len() == 4).map(|shape| {
        let channels = shape[1].floor_div(&(block.clone() * block.clone()));
        let scaled = shape[2..].iter().map(|dim| dim.clone() * block.clone());
        [shape[0].clone(), channels].into_iter().chain(scaled).collect()
    });
    one(site.elem_type(0), shape)
}

/// `[batch, channels * block^2, height / block, width / block]`.
pub(super) fn space_to_depth(site: &Site<'_>) -> Outputs {
    let block = Dim::from(site.int("blocksize", 0));
    let shape = site.shape(0).filter(|shape| shape.len() == 4).map(|shape| {
        let channels = shape[1].clone() * block.clone() * block.clone();
        let scaled = shape[2..].iter().map(|dim| dim.floor_div(&block));
        [shape[0].clone(), channels].into_iter().chain(scaled).collect()
    });
    one(site.elem_type(0), shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(values: &[i64]) -> Vec<Dim> {
        values.iter().map(|&value| value.into()).collect()
    }

    #[test]
    fn zero_copies_and_minus_one_takes_the_rest() {
        let input = [Dim::param("N"), 16.into(), 4.into()];
        let shape =
            target_shape(Some(&input), &dims(&[0, -1]), false).expect("the target is valid");
        assert_eq!(shape, [Dim::param("N"), 64.into()]);
    }

    #[test]
    fn an_unknown_batch_cancels_out() {
        let input = [Dim::UNKNOWN, 16.into(), 4.into()];
        let shape =
            target_shape(Some(&input), &dims(&[-1, 64]), false).expect("the target is valid");
        assert!(shape[0].is_unknown());
        assert_eq!(shape[1], 64);
    }

    #[test]
    fn a_symbolic_total_divides_exactly() {
        let (n, t) = (Dim::param("N"), Dim::param("T"));
        let input = [n.clone(), t.clone(), 256.into()];
        let target = [n.clone(), t.clone(), 8.into(), (-1).into()];
        let shape = target_shape(Some(&input), &target, false).expect("the target is valid");
        assert_eq!(shape, [n, t, 8.into(), 32.into()]);
    }

    #[test]
    fn allowed_zeros_stay() {
        let shape = target_shape(Some(&dims(&[0, 3])), &dims(&[3, 0]), true);
        assert_eq!(shape, Some(dims(&[3, 0])));
    }
}
