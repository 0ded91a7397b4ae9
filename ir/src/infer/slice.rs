//! Operators that cut tensors and put them together.
use super::site::{Site, position, positions};
use super::{Outputs, elements, one};
use crate::{Dim, ValueType};

/// The dimension along the axis is the sum; the others are the same in every input.
pub(super) fn concat(site: &Site<'_>) -> Outputs {
    let shape = concat_shape(site, 0..site.input_count());
    let ty = ValueType::tensor(site.elem_type(0), shape);
    let joined = || {
        let mut joined = Vec::new();
        for slot in 0..site.input_count() {
            joined.extend_from_slice(site.elements(slot)?);
            if joined.len() > super::MAX_ELEMENTS {
                return None;
            }
        }
        Some(joined)
    };
    Some(vec![elements::attach(ty, joined())])
}

/// Inputs: scale and zero point of the result, then integers, scale and zero point of each operand.
pub(super) fn quantized_concat(site: &Site<'_>) -> Outputs {
    let operands = (2..site.input_count()).step_by(3);
    one(site.elem_type(1).or(site.elem_type(2)), concat_shape(site, operands))
}

fn concat_shape(site: &Site<'_>, slots: impl Iterator<Item = usize> + Clone) -> Option<Vec<Dim>> {
    let rank = slots.clone().find_map(|slot| site.rank(slot))?;
    let axis = position(site.int("axis", 1), rank)?;
    let mut shape = vec![Dim::UNKNOWN; rank];
    shape[axis] = 0.into();
    for slot in slots {
        if site.rank(slot).is_some_and(|other| other != rank) {
            return None;
        }
        for (at, dim) in shape.iter_mut().enumerate() {
            let other = site.dim(slot, at);
            if at == axis {
                *dim = dim.clone() + other;
            } else if dim.value().is_none() && (dim.is_unknown() || other.value().is_some()) {
                *dim = other;
            }
        }
    }
    Some(shape)
}

/// Sizes come from input 1 or, before operator set 13, from the attribute; without either the
/// parts are equal, the last one smaller if need be.
pub(super) fn split(site: &Site<'_>) -> Outputs {
    let count = site.output_count();
    let untyped = || Some(vec![ValueType::tensor(site.elem_type(0), None); count]);
    let Some(shape) = site.shape(0) else { return untyped() };
    let Some(axis) = position(site.int("axis", 0), shape.len()) else { return untyped() };
    let sizes: Option<Vec<Dim>> = if site.has_input(1) {
        site.elements(1).map(<[Dim]>::to_vec)
    } else if let Some(sizes) = site.ints("split") {
        Some(sizes.iter().map(|&size| size.into()).collect())
    } else {
        let count = site.int("num_outputs", i64::try_from(count).ok()?);
        even_parts(&shape[axis], count, site.opset() >= 18)
    };
    let mut at = Some(0);
    let outputs = (0..count).map(|index| {
        let size = sizes.as_ref().and_then(|sizes| sizes.get(index)).cloned();
        let size = size.unwrap_or(Dim::UNKNOWN);
        let range = at.and_then(|at: usize| Some(at..at.checked_add(number(&size)?)?));
        at = range.as_ref().map(|range| range.end);
        let mut shape = shape.to_vec();
        shape[axis] = size;
        let part = range.and_then(|range| site.elements(0)?.get(range)).map(<[Dim]>::to_vec);
        elements::attach(ValueType::tensor(site.elem_type(0), Some(shape)), part)
    });
    Some(outputs.collect())
}

fn number(dim: &Dim) -> Option<usize> {
    usize::try_from(dim.value()?).ok()
}

/// `ceil(dim / count)` each and the rest for the last one; before operator set 18 there is no
/// rest.
fn even_parts(dim: &Dim, count: i64, rest: bool) -> Option<Vec<Dim>> {
    if !(1..=1 << 16).contains(&count) {
        return None;
    }
    let size = if rest { dim.ceil_div(count) } else { dim.floor_div(&count.into()) };
    let mut sizes = vec![size.clone(); usize::try_from(count).ok()?];
    if rest {
        *sizes.last_mut()? = dim.clone() - size * (count - 1).into();
    }
    Some(sizes)
}

/// Starts, ends, axes and steps are attributes before operator set 10.
pub(super) fn slice(site: &Site<'_>) -> Outputs {
    let ty = |shape| ValueType::tensor(site.elem_type(0), shape);
    let Some(input) = site.shape(0) else { return Some(vec![ty(None)]) };
    let unknown = || Some(vec![ty(Some(vec![Dim::UNKNOWN; input.len()]))]);
    let Some(cuts) = cuts(site, input.len()) else { return unknown() };
    let mut shape = input.to_vec();
    for cut in &cuts {
        shape[cut.axis] = cut.length(&input[cut.axis]);
    }
    let elements = match (site.elements(0), cuts.as_slice()) {
        (Some(all), [cut]) => cut.of(all),
        (Some(all), []) => Some(all.to_vec()),
        _ => None,
    };
    Some(vec![elements::attach(ty(Some(shape)), elements)])
}

/// `start:end:step` of one axis.
struct Cut {
    axis: usize,
    start: Dim,
    end: Dim,
    step: i64,
}

fn cuts(site: &Site<'_>, rank: usize) -> Option<Vec<Cut>> {
    let dims = |values: &[i64]| values.iter().map(|&value| Dim::from(value)).collect::<Vec<_>>();
    let (starts, ends, axes, steps) = if site.has_input(1) {
        let symbolic = |slot: usize| {
            let length =
                || Some(vec![Dim::UNKNOWN; usize::try_from(site.dim(slot, 0).value()?).ok()?]);
            site.elements(slot).map(<[Dim]>::to_vec).or_else(length)
        };
        let optional = |slot| match site.has_input(slot) {
            true => site.integers(slot).map(Some),
            false => Some(None),
        };
        (symbolic(1)?, symbolic(2)?, optional(3)?, optional(4)?)
    } else {
        let axes = site.ints("axes").map(<[i64]>::to_vec);
        (dims(site.ints("starts")?), dims(site.ints("ends")?), axes, None)
    };
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0i64..).take(count).collect());
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    if count > rank || ends.len() != count || axes.len() != count || steps.len() != count {
        return None;
    }
    let axes = positions(&axes, rank)?;
    let bounds = starts.into_iter().zip(ends).zip(axes.into_iter().zip(steps));
    Some(bounds.map(|((start, end), (axis, step))| Cut { axis, start, end, step }).collect())
}

/// Bounds beyond this mean the end of the axis, whatever its size.
const FAR: i64 = i32::MAX as i64;

impl Cut {
    /// The positions of the first and of the one after the last element, when all are numbers.
    ///
    /// Negative bounds count from the end; then both are clamped to `0..=dim`, for negative steps
    /// to `-1..dim`.
    fn bounds(&self, dim: i64) -> Option<(i128, i128)> {
        let (dim, low, high) = match self.step {
            0 => return None,
            1.. => (i128::from(dim), 0, i128::from(dim)),
            _ => (i128::from(dim), -1, i128::from(dim) - 1),
        };
        let clamp = |at: i64| {
            let at = i128::from(at);
            let at = if at < 0 { at + dim } else { at };
            at.max(low).min(high)
        };
        Some((clamp(self.start.value()?), clamp(self.end.value()?)))
    }

    /// `ceil((end - start) / step)`, at least 0.
    fn length(&self, dim: &Dim) -> Dim {
        if let Some(size) = dim.value()
            && self.start.value().is_some()
            && self.end.value().is_some()
        {
            let length = self.bounds(size).map(|(start, end)| count(start, end, self.step));
            return length
                .and_then(|length| i64::try_from(length).ok())
                .map_or(Dim::UNKNOWN, Dim::from);
        }
        if self.step > 0 { self.forward(dim) } else { self.backward(dim) }
    }

    /// The length for a positive step where something is symbolic.
    ///
    /// A symbolic dimension is taken to have one element at least. A number further from either
    /// end than that may be clamped, so a length that hangs on it alone is unknown.
    fn forward(&self, dim: &Dim) -> Dim {
        let surely = dim.lower_bound().unwrap_or(0).max(1);
        if self.end.value().is_some_and(|end| end > surely && end < FAR) {
            return Dim::UNKNOWN;
        }
        let length = place(&self.end, dim) - place(&self.start, dim);
        let bounds = [&self.start, &self.end].into_iter().filter_map(Dim::value);
        let mut near = bounds.filter(|bound| (-FAR..FAR).contains(bound));
        if length.value().is_some() && near.any(|bound| bound.abs() > surely) {
            return Dim::UNKNOWN;
        }
        length.ceil_div(self.step)
    }

    /// The length for a negative step where something is symbolic: only of the whole axis.
    fn backward(&self, dim: &Dim) -> Dim {
        let from_last = self.start.value().is_some_and(|start| start == -1 || start >= FAR);
        let to_first = self.end.value().is_some_and(|end| end <= -FAR);
        match self.step.checked_neg() {
            Some(step) if from_last && to_first => dim.ceil_div(step),
            _ => Dim::UNKNOWN,
        }
    }

    /// The chosen elements.
    fn of(&self, all: &[Dim]) -> Option<Vec<Dim>> {
        let (start, end) = self.bounds(i64::try_from(all.len()).ok()?)?;
        let length = count(start, end, self.step);
        let step = i128::from(self.step);
        (0..length)
            .map(|index| Some(all.get(usize::try_from(start + index * step).ok()?)?.clone()))
            .collect()
    }
}

/// Where a bound is; negative ones count from the end, `-N` like any negative number.
fn place(bound: &Dim, dim: &Dim) -> Dim {
    match bound.value() {
        Some(value) if value >= FAR => dim.clone(),
        Some(value) if value <= -FAR => 0.into(),
        Some(value) if value < 0 => dim.clone() + bound.clone(),
        Some(_) => bound.clone(),
        None if (Dim::from(0) - bound.clone()).lower_bound().is_some_and(|low| low >= 0) => {
            dim.clone() + bound.clone()
        }
        None => bound.clone(),
    }
}

fn count(start: i128, end: i128, step: i64) -> i128 {
    let step = i128::from(step);
    let length =
        if step > 0 { (end - start + step - 1) / step } else { (start - end - step - 1) / -step };
    length.max(0)
}

/// Begins and ends of the axes come from input 1 or, before operator set 11, from the attribute
/// `pads`, or `paddings` before 2.
pub(super) fn pad(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), padded(site))
}

fn padded(site: &Site<'_>) -> Option<Vec<Dim>> {
    let input = site.shape(0)?;
    let unknown = || Some(vec![Dim::UNKNOWN; input.len()]);
    let pads = if site.has_input(1) {
        site.elements(1).map(<[Dim]>::to_vec)
    } else {
        let pads = site.ints("pads").or(site.ints("paddings"));
        pads.map(|pads| pads.iter().map(|&pad| pad.into()).collect())
    };
    let axes = if site.has_input(3) {
        site.integers(3).and_then(|axes| positions(&axes, input.len()))
    } else {
        Some((0..input.len()).collect())
    };
    let (Some(pads), Some(axes)) = (pads, axes) else { return unknown() };
    if pads.len() != axes.len() * 2 {
        return unknown();
    }
    let (begins, ends) = pads.split_at(axes.len());
    let mut shape = input.to_vec();
    for (axis, (begin, end)) in axes.into_iter().zip(begins.iter().zip(ends)) {
        shape[axis] = input[axis].clone() + begin.clone() + end.clone();
    }
    Some(shape)
}

/// The axes take the given sizes.
pub(super) fn center_crop_pad(site: &Site<'_>) -> Outputs {
    let shape = || {
        let mut shape = site.shape(0)?.to_vec();
        let axes = match site.ints("axes") {
            Some(axes) => positions(axes, shape.len())?,
            None => (0..shape.len()).collect(),
        };
        let sizes = site.elements(1).filter(|sizes| sizes.len() == axes.len())?;
        for (axis, size) in axes.into_iter().zip(sizes) {
            shape[axis] = size.clone();
        }
        Some(shape)
    };
    let shape = shape().or_else(|| Some(vec![Dim::UNKNOWN; site.rank(0)?]));
    one(site.elem_type(0), shape)
}

/// How many entries are kept depends on the data, unless the condition is constant.
pub(super) fn compress(site: &Site<'_>) -> Outputs {
    let kept = site.integers(1).and_then(|condition| {
        i64::try_from(condition.iter().filter(|&&value| value != 0).count()).ok()
    });
    let kept = kept.map_or(Dim::UNKNOWN, Dim::from);
    let shape = match site.node().int("axis") {
        None => Some(vec![kept]),
        Some(axis) => site.shape(0).and_then(|shape| {
            let mut shape = shape.to_vec();
            let axis = position(axis, shape.len())?;
            shape[axis] = kept;
            Some(shape)
        }),
    };
    one(site.elem_type(0), shape)
}
