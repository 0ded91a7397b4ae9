//! What `Slice` and `Split` cut out of a value.
use crate::eliminate::integers;
use lapidary_ir::{Dim, Graph, NodeId, ValueId};

/// A bound at least this large means the end of the axis, whatever its size.
pub(crate) const FAR: i64 = i32::MAX as i64;

/// `start:end:step` of one axis, which counts from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The axis.
    pub(crate) axis: usize,
    /// The first element; negative numbers count from the end.
    pub(crate) start: i64,
    /// The element after the last one; negative numbers count from the end.
    pub(crate) end: i64,
    /// The distance of neighbours; never 0.
    pub(crate) step: i64,
}

/// A stretch of one axis of known size of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The value.
    pub(crate) of: ValueId,
    /// The axis.
    pub(crate) axis: usize,
    /// The first element.
    pub(crate) start: i64,
    /// The element after the last one.
    pub(crate) end: i64,
    /// The elements of the whole axis.
    pub(crate) dim: i64,
}

/// The position of an axis; negative ones count from the end.
pub(crate) fn position(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The cuts of a `Slice` whose bounds, axes and steps are constants, each axis at most once.
pub(crate) fn cuts(graph: &Graph, slice: NodeId) -> Option<Vec<Cut>> {
    let rank = graph.ty(graph[slice].input(0)?).rank()?;
    let starts = integers(graph, slice, 1, "starts")?;
    let ends = integers(graph, slice, 2, "ends")?;
    let axes = match (graph[slice].input(3), graph[slice].ints("axes")) {
        (None, None) => (0..starts.len() as i64).collect(),
        _ => integers(graph, slice, 3, "axes")?,
    };
    let steps = match graph[slice].input(4) {
        None => vec![1; starts.len()],
        Some(_) => integers(graph, slice, 4, "steps")?,
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        return None;
    }
    let mut cuts: Vec<Cut> = Vec::with_capacity(starts.len());
    for (index, &axis) in axes.iter().enumerate() {
        let axis = position(axis, rank)?;
        if cuts.iter().any(|cut| cut.axis == axis) {
            return None;
        }
        cuts.push(Cut { axis, start: starts[index], end: ends[index], step: steps[index] });
    }
    Some(cuts)
}

/// What a value is, if it is cut out of another one along one axis and without gaps.
pub(crate) fn part(graph: &Graph, value: ValueId) -> Option<Part> {
    let (node, slot) = graph.value(value).producer()?;
    if graph[node].is("Split") {
        return split_part(graph, node, slot);
    }
    let cuts = graph[node].is("Slice").then(|| cuts(graph, node)).flatten()?;
    let ([cut], of) = (cuts.as_slice(), graph[node].input(0)?) else { return None };
    let dim = graph.ty(of).shape.as_ref()?.get(cut.axis)?.value()?;
    let cut = cut.within(dim).filter(|cut| cut.step == 1)?;
    Some(Part { of, axis: cut.axis, start: cut.start, end: cut.end, dim })
}

fn split_part(graph: &Graph, split: NodeId, slot: usize) -> Option<Part> {
    let of = graph[split].input(0)?;
    let shape = graph.ty(of).shape.as_ref()?;
    let axis = position(graph[split].int("axis").unwrap_or(0), shape.len())?;
    let mut start = 0;
    for (index, output) in graph[split].outputs().iter().enumerate() {
        let size = graph.ty((*output)?).shape.as_ref()?.get(axis)?.value()?;
        if index == slot {
            let dim = shape[axis].value()?;
            return Some(Part { of, axis, start, end: start + size, dim });
        }
        start += size;
    }
    None
}

impl Cut {
    /// The same cut of an axis of `dim` elements with bounds from 0 to `dim`; forwards only.
    pub(crate) fn within(self, dim: i64) -> Option<Self> {
        let place = |at: i64| if at < 0 { at.saturating_add(dim) } else { at }.clamp(0, dim);
        let start = place(self.start);
        (self.step > 0).then(|| Self { start, end: place(self.end).max(start), ..self })
    }

    /// The index of the only element cut out of an axis of maybe unknown size, or what is out of
    /// range if there is none.
    pub(crate) fn single(self, dim: Option<i64>) -> Option<i64> {
        if let Some(dim) = dim {
            let cut = self.within(dim)?;
            return (cut.end - cut.start == 1).then_some(cut.start);
        }
        let next = self.start.checked_add(1)?;
        let to_the_end = self.start == -1 && self.end >= FAR;
        let one = self.step > 0 && (to_the_end || (self.start != -1 && self.end == next));
        one.then_some(self.start)
    }
}

/// Bytes that lie together for one index of `axis`; a dimension that is not known counts as one.
pub(crate) fn row_bytes(graph: &Graph, value: ValueId, axis: usize) -> Option<i64> {
    let bits = i64::try_from(graph.ty(value).elem_type?.bits()?).ok()?;
    let dims = graph.value(value).shape()?.get(axis + 1..)?.iter().filter_map(Dim::value);
    dims.into_iter().try_fold(bits / 8, i64::checked_mul)
}
