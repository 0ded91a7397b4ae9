//! Operators that pick elements, and the one that reads sizes.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;
use crate::prune::relations::Map;
use lapidary_ir::{Graph, NodeId};

/// y\[i\] = x\[start + i · step\] along each sliced axis; the bounds are written anew. What is left of
/// elements at equal distances is not at equal distances: it is gathered, for one axis of channels.
pub(super) fn slice(site: &mut Site<'_>) -> &'static str {
    let why = "slices with bounds that are computed at run time; run `optimize` first";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    let axes = match (site.list(3, "axes"), site.node().input(3)) {
        (Some(axes), _) => axes.values.iter().map(|&axis| from_front(axis, rank)).collect(),
        (None, None) => match site.list(1, "starts") {
            Some(starts) => (0..starts.values.len()).map(Some).collect::<Vec<_>>(),
            None => return why,
        },
        (None, Some(_)) => return why,
    };
    if axes.contains(&None) {
        return why;
    }
    for axis in (0..rank).filter(|axis| !axes.contains(&Some(*axis))) {
        site.tie(Axis::new(x, axis), Axis::new(y, axis));
    }
    let (Some(starts), Some(ends)) = (site.list(1, "starts"), site.list(2, "ends")) else {
        return why;
    };
    let steps = match (site.list(4, "steps"), site.node().input(4)) {
        (Some(steps), _) => steps.values,
        (None, None) => vec![1; axes.len()],
        (None, Some(_)) => return why,
    };
    let lengths = [starts.values.len(), ends.values.len(), steps.len()];
    if lengths.iter().any(|&length| length != axes.len()) {
        return why;
    }
    let mut picked = false;
    for (entry, axis) in axes.iter().enumerate() {
        let Some(axis) = *axis else { return why };
        let (inner, outer) = (Axis::new(x, axis), Axis::new(y, axis));
        let (Some(extent), Some(len)) = (site.extent(inner), site.extent(outer)) else { continue };
        if steps[entry] != 1 {
            let elements = stepped(starts.values[entry], ends.values[entry], steps[entry], extent);
            if picked || elements.len() != len || !site.carries(inner) {
                site.pin(inner, "slices with a step other than 1");
                site.pin(outer, "slices with a step other than 1");
                continue;
            }
            let pairs = elements.iter().enumerate().map(|(to, &from)| (from, to)).collect();
            site.tie_by(inner, outer, Map::Pairs(pairs));
            site.pick(entry, inner, outer, elements);
            picked = true;
            continue;
        }
        let (start, end) = (clamp(starts.values[entry], extent), clamp(ends.values[entry], extent));
        if end.checked_sub(start) != Some(len) {
            continue;
        }
        site.tie_by(inner, outer, Map::Run { left: start, right: 0, len });
        site.count(starts.place(entry), inner, (0, start), 1);
        site.count(ends.place(entry), inner, (0, end), 1);
    }
    why
}

/// A bound counted from the front, within the axis.
fn clamp(bound: i64, extent: usize) -> usize {
    let limit = i64::try_from(extent).unwrap_or(i64::MAX);
    let bound = if bound < 0 { bound.saturating_add(limit) } else { bound };
    usize::try_from(bound.clamp(0, limit)).unwrap_or(extent)
}

/// The elements from `start` on at distances of `step`, before `end`.
fn stepped(start: i64, end: i64, step: i64, extent: usize) -> Vec<usize> {
    let limit = i64::try_from(extent).unwrap_or(i64::MAX);
    if limit == 0 || step == 0 {
        return Vec::new();
    }
    let from_front = |bound: i64| if bound < 0 { bound.saturating_add(limit) } else { bound };
    // Backwards, the end may be one before the first element.
    let (low, high) = if step < 0 { (-1, limit - 1) } else { (0, limit) };
    let (start, end) = (from_front(start).clamp(0, high), from_front(end).clamp(low, high));
    let before_end = |at: &i64| if step < 0 { *at > end } else { *at < end };
    let next = |at: &i64| at.checked_add(step);
    let elements = std::iter::successors(Some(start), next).take_while(before_end);
    elements.filter_map(|at| usize::try_from(at).ok()).collect()
}

/// y\[…, i…, …\] = x\[…, indices\[i…\], …\]: constant indices say which elements; others may ask for
/// any. The other axes of a table of constants make channels (an embedding).
pub(super) fn gather(site: &mut Site<'_>) -> &'static str {
    let why = "picks elements by their data";
    let (Some((x, rank)), Some((indices, picked)), Some((y, _))) =
        (site.input(0), site.input(1), site.output(0))
    else {
        return why;
    };
    let Some(axis) = site.axis(0, rank) else { return why };
    let table = site.is_weight(x);
    for other in (0..rank).filter(|&other| other != axis) {
        let after = if other < axis { other } else { other + picked - 1 };
        let (inner, outer) = (Axis::new(x, other), Axis::new(y, after));
        if table {
            site.produce(inner, outer);
        } else {
            site.tie(inner, outer);
        }
    }
    let source = Axis::new(x, axis);
    let chosen = site.constant(indices).and_then(|tensor| tensor.to_i64());
    let (Some(chosen), Some(extent)) = (chosen, site.extent(source)) else {
        for index in 0..picked {
            site.tie(Axis::new(indices, index), Axis::new(y, axis + index));
        }
        return why;
    };
    let Some(chosen) = chosen.iter().map(|&i| from_front(i, extent)).collect::<Option<Vec<_>>>()
    else {
        return why;
    };
    if picked == 1 {
        let gathered = Axis::new(y, axis);
        let pairs = chosen.into_iter().enumerate().map(|(to, from)| (from, to)).collect();
        site.tie_by(source, gathered, Map::Pairs(pairs));
        site.index(source, gathered);
        return why;
    }
    for element in chosen {
        site.pin_element(source, element, "picks this element by its number");
    }
    why
}

/// A size that is read must not change, as nobody knows what is done with it.
pub(super) fn shape(site: &mut Site<'_>) -> &'static str {
    let why = "reads the size at run time; run `optimize` first";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    let offset = site.node().int("start").and_then(|start| from_front(start, rank)).unwrap_or(0);
    let mut read = vec![false; rank];
    for consumer in site.graph.consumers(y) {
        match entries_read(site.graph, consumer, rank - offset) {
            Some(entries) => entries.into_iter().for_each(|entry| read[offset + entry] = true),
            None => read.fill(true),
        }
    }
    if site.graph.value(y).is_output() {
        read.fill(true);
    }
    for (axis, read) in read.into_iter().enumerate() {
        if !read {
            site.free(Axis::new(x, axis));
        }
    }
    why
}

/// The entries of a shape a `Gather` or `Slice` reads.
fn entries_read(graph: &Graph, id: NodeId, rank: usize) -> Option<Vec<usize>> {
    let node = &graph[id];
    let list = |slot| super::site::constant(graph, node.input(slot)?)?.to_i64();
    if node.is("Gather") {
        return list(1)?.into_iter().map(|entry| from_front(entry, rank)).collect();
    }
    if node.is("Slice") && node.input(4).is_none() {
        let (start, end) = (*list(1)?.first()?, *list(2)?.first()?);
        return Some((clamp(start, rank)..clamp(end, rank)).collect());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_both_ways() {
        assert_eq!(stepped(0, i64::MAX, 2, 5), [0, 2, 4]);
        assert_eq!(stepped(1, -1, 3, 6), [1, 4]);
        assert_eq!(stepped(-1, i64::MIN, -2, 5), [4, 2, 0]);
        assert_eq!(stepped(9, 0, -1, 4), [3, 2, 1]);
        assert_eq!(stepped(0, 4, 2, 0), [0; 0]);
    }
}
