//! Operators that arrange axes anew.
use super::site::{Site, from_front};
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};
use lapidary_ir::{Dim, ValueId};

const MERGED: &str = "merges or splits the axis in a way that is not followed";
const COMPUTED: &str = "has a shape that is computed at run time; run `optimize` first";

/// Regroupings of more elements than this are not followed.
const MAX_TOTAL: usize = 1 << 26;

/// Output axis k is input axis perm\[k\].
pub(super) fn transpose(site: &mut Site<'_>) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return MERGED };
    let order: Vec<usize> = match site.node().ints("perm") {
        Some(order) => order.iter().filter_map(|&axis| from_front(axis, rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    for (to, from) in order.into_iter().enumerate() {
        site.tie(Axis::new(x, from), Axis::new(y, to));
    }
    MERGED
}

/// Regroups, and writes anew what the target says about the axis that carries the channels.
pub(super) fn reshape(site: &mut Site<'_>) -> &'static str {
    let (Some((x, _)), Some((y, rank))) = (site.input(0), site.output(0)) else { return MERGED };
    let list = site.list(1, "shape");
    let target: Option<Vec<Option<i64>>> = match &list {
        Some(list) => Some(list.values.iter().map(|&value| Some(value)).collect()),
        None => site.known(1),
    };
    let Some(target) = target.filter(|target| target.len() == rank) else { return COMPUTED };
    for (inner, outer, map) in regroup(site, x, y) {
        let copied = target[outer.axis] == Some(0) && inner.axis == outer.axis;
        let extent = site.extent(outer);
        match (target[outer.axis] == Some(-1) || copied, &list, extent) {
            (true, ..) => site.tie_by(inner, outer, map),
            (false, Some(list), Some(extent)) => {
                site.tie_by(inner, outer, map);
                site.count(list.place(outer.axis), outer, (0, extent), 1);
            }
            (false, None, Some(extent)) if site.is_written(1, outer.axis) => {
                site.tie_by(inner, outer, map);
                site.count(Place::Input(1, outer.axis), outer, (0, extent), 1);
            }
            _ => {
                site.pin(inner, COMPUTED);
                site.pin(outer, COMPUTED);
            }
        }
    }
    MERGED
}

/// Regroups; nothing is written in the node.
pub(super) fn flatten(site: &mut Site<'_>) -> &'static str {
    let (Some((x, _)), Some((y, _))) = (site.input(0), site.output(0)) else { return MERGED };
    for (inner, outer, map) in regroup(site, x, y) {
        site.tie_by(inner, outer, map);
    }
    MERGED
}

/// Axes of extent 1 come or go, the others keep their order.
pub(super) fn insert_ones(site: &mut Site<'_>) -> &'static str {
    let why = "inserts or removes axes that are not known";
    let (Some((x, before)), Some((y, after))) = (site.input(0), site.output(0)) else { return why };
    let removes = site.node().op_type == "Squeeze";
    let (short, long) = if removes { (after, before) } else { (before, after) };
    let listed = match site.list(1, "axes") {
        Some(axes) => axes.values.iter().map(|&axis| from_front(axis, long)).collect(),
        None if removes && site.node().input(1).is_none() => {
            let ones = site.shape(x).iter().enumerate().filter(|(_, dim)| **dim == 1);
            Some(ones.map(|(axis, _)| axis).collect::<Vec<_>>())
        }
        None => None,
    };
    let Some(ones) = listed else { return why };
    let kept: Vec<usize> = (0..long).filter(|axis| !ones.contains(axis)).collect();
    if kept.len() != short {
        return why;
    }
    for (place, axis) in kept.into_iter().enumerate() {
        let (inner, outer) = if removes { (axis, place) } else { (place, axis) };
        site.tie(Axis::new(x, inner), Axis::new(y, outer));
    }
    why
}

/// DCR: in (bh·b + bw)·C' + c' is out c'. CRD: in c'·b² + bh·b + bw is out c'.
pub(super) fn depth_to_space(site: &mut Site<'_>) -> &'static str {
    let (Some((x, _)), Some((y, _))) = (site.input(0), site.output(0)) else { return MERGED };
    let (deep, shallow) = (Axis::new(x, 1), Axis::new(y, 1));
    let (Some(total), Some(channels)) = (site.extent(deep), site.extent(shallow)) else {
        return MERGED;
    };
    let crd = site.node().string("mode") == Some("CRD");
    let stride = if crd && channels != 0 { total / channels } else { 1 };
    site.tie(Axis::new(x, 0), Axis::new(y, 0));
    let map = Map::Digits { total, left: (1, total), right: (stride, channels) };
    site.tie_by(deep, shallow, map);
    MERGED
}

/// In c is out (bh·b + bw)·C + c for every position in the block.
pub(super) fn space_to_depth(site: &mut Site<'_>) -> &'static str {
    let (Some((x, _)), Some((y, _))) = (site.input(0), site.output(0)) else { return MERGED };
    let (shallow, deep) = (Axis::new(x, 1), Axis::new(y, 1));
    let (Some(channels), Some(total)) = (site.extent(shallow), site.extent(deep)) else {
        return MERGED;
    };
    site.tie(Axis::new(x, 0), Axis::new(y, 0));
    site.tie_by(shallow, deep, Map::Digits { total, left: (1, channels), right: (1, total) });
    MERGED
}

/// A factor of a shape: an axis, its extent and the product of the extents behind it.
#[derive(Clone, Copy)]
struct Factor {
    axis: Axis,
    extent: usize,
    stride: usize,
}

/// Which axis goes where when `x` becomes `y` with the same elements in the same order.
///
/// Both shapes are cut into segments of equal product. In a segment one input axis p and one
/// output axis q may lose elements: with f the flat index in the segment, element f / stride(p)
/// mod extent(p) is element f / stride(q) mod extent(q), for every f. Then what p loses is what q
/// loses, whatever the extents are. The other axes of the segment have to stay.
fn regroup(site: &mut Site<'_>, x: ValueId, y: ValueId) -> Vec<(Axis, Axis, Map)> {
    let (from, to) = (site.shape(x), site.shape(y));
    let mut moves = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let Some((next_i, next_j)) = next_cut(from, to, i, j) {
        let inner = factors(site, x, i..next_i);
        let outer = factors(site, y, j..next_j);
        if let (Some(inner), Some(outer)) = (inner, outer) {
            moves.extend(choose(site, &inner, &outer));
        } else if next_i == i + 1 && next_j == j + 1 && from[i] == to[j] {
            site.free(Axis::new(x, i));
            site.free(Axis::new(y, j));
        } else {
            let inner = known_behind(site, x, i..next_i);
            let outer = known_behind(site, y, j..next_j);
            moves.extend(inner.zip(outer).and_then(|(inner, outer)| repeat(site, &inner, &outer)));
        }
        (i, j) = (next_i, next_j);
    }
    moves
}

/// The next pair of places behind which both shapes have the same elements, one after the other.
fn next_cut(from: &[Dim], to: &[Dim], i: usize, j: usize) -> Option<(usize, usize)> {
    let product = |dims: &[Dim]| dims.iter().cloned().product::<Dim>();
    let mut places: Vec<(usize, usize)> = (i..=from.len())
        .flat_map(|a| (j..=to.len()).map(move |b| (a, b)))
        .filter(|&place| place != (i, j))
        .collect();
    places.sort_by_key(|&(a, b)| (a + b, a.abs_diff(b)));
    places.into_iter().find(|&(a, b)| {
        product(&from[i..a]) == product(&to[j..b])
            || (product(&from[a..]) == product(&to[b..]) && a > i && b > j)
    })
}

/// The axes of a range with an extent other than 1; none when one is not a number.
fn factors(site: &Site<'_>, value: ValueId, range: std::ops::Range<usize>) -> Option<Vec<Factor>> {
    let mut stride = 1usize;
    let mut factors = Vec::new();
    for axis in range.rev() {
        let axis = Axis::new(value, axis);
        let extent = site.extent(axis)?;
        if extent != 1 {
            factors.push(Factor { axis, extent, stride });
        }
        stride = stride.checked_mul(extent)?;
    }
    if stride == 0 || stride > MAX_TOTAL {
        return None;
    }
    factors.reverse();
    Some(factors)
}

/// The axes of a range behind the last whose extent is not a number.
fn known_behind(
    site: &Site<'_>,
    value: ValueId,
    range: std::ops::Range<usize>,
) -> Option<Vec<Factor>> {
    let unknown =
        range.clone().rev().find(|&axis| site.extent(Axis::new(value, axis)).is_none())?;
    factors(site, value, unknown + 1..range.end).filter(|factors| !factors.is_empty())
}

/// Of a segment some number of times as large as what is known of both sides, with the larger a multiple of the
/// smaller: what holds for the larger holds for the whole, and the axis in front keeps its extent, as both sides
/// lose the same share.
fn repeat(site: &mut Site<'_>, inner: &[Factor], outer: &[Factor]) -> Option<(Axis, Axis, Map)> {
    let size = |factors: &[Factor]| factors.iter().map(|factor| factor.extent).product::<usize>();
    let (before, after) = (size(inner), size(outer));
    if !before.max(after).is_multiple_of(before.min(after)) {
        return None;
    }
    choose(site, inner, outer)
}

/// The input axis that carries channels, or else the largest; and the output axis that separates
/// most of its elements. Of several that carry channels, the heads of an attention count.
fn choose(site: &mut Site<'_>, inner: &[Factor], outer: &[Factor]) -> Option<(Axis, Axis, Map)> {
    if let ([whole], parts) | (parts, [whole]) = (inner, outer) {
        site.merges(whole.axis, parts.iter().map(|part| part.axis).collect());
    }
    let carrying: Vec<&Factor> = inner.iter().filter(|factor| site.carries(factor.axis)).collect();
    let source = match carrying.as_slice() {
        [] => inner.iter().max_by_key(|factor| factor.extent)?,
        [only] => only,
        several => {
            let mut heads =
                several.iter().filter(|factor| matches!(site.heads(factor.axis), Some((_, true))));
            let (first, None) = (heads.next()?, heads.next()) else { return None };
            first
        }
    };
    let target = match of_attention(site, source, outer) {
        Some(target) => target,
        None => outer.iter().max_by_key(|factor| overlap(source, factor))?,
    };
    if target.stride * target.extent > source.stride * source.extent {
        site.repeats_heads(target.axis);
    }
    let size = |factors: &[Factor]| factors.iter().map(|factor| factor.extent).product::<usize>();
    let total = size(inner).max(size(outer));
    let map = Map::Digits {
        total,
        left: (source.stride, source.extent),
        right: (target.stride, target.extent),
    };
    Some((source.axis, target.axis, map))
}

/// How many elements of the one the other separates.
fn overlap(source: &Factor, target: &Factor) -> usize {
    let low = source.stride.max(target.stride);
    let high = (source.stride * source.extent).min(target.stride * target.extent);
    high / low
}

/// The output axis to follow where one of those `source` is split into counts the heads of an
/// attention: that one, or the largest one behind it. If there are several, the outermost: the
/// keys' heads stand before the queries that share them; unless all heads were repeated before.
fn of_attention<'a>(
    site: &mut Site<'_>,
    source: &Factor,
    outer: &'a [Factor],
) -> Option<&'a Factor> {
    let parts: Vec<&Factor> = outer.iter().filter(|part| overlap(source, part) > 1).collect();
    if parts.len() < 2 {
        return None;
    }
    let heads: Vec<(&Factor, usize, bool)> = parts
        .iter()
        .filter_map(|&part| site.heads(part.axis).map(|(own, followed)| (part, own, followed)))
        .collect();
    let own = site.heads(source.axis).map(|(attention, _)| attention);
    let innermost = own.is_some_and(|own| site.are_innermost(own));
    let &(head, attention, followed) = if innermost { heads.last()? } else { heads.first()? };
    if followed {
        site.split_into_heads(source.axis, attention);
        return Some(head);
    }
    if own.is_some() {
        return None;
    }
    parts.into_iter().filter(|part| part.stride < head.stride).max_by_key(|part| part.extent)
}
