//! Attention as one operator. Heads go as wholes: what a head is stands in an attribute.
use super::elementwise::along;
use super::site::Site;
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};
use lapidary_ir::ValueId;

const UNKNOWN: &str = "attends in a form that is not followed";
const ROTATES: &str = "rotates pairs of elements of the axis";

/// Heads side by side on an axis: `count` blocks of `size` elements from `start` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    pub(super) axis: Axis,
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) size: usize,
}

impl Blocks {
    /// The whole axis in `count` blocks.
    pub(super) fn whole(site: &Site<'_>, axis: Axis, count: usize) -> Option<Self> {
        let extent = site.extent(axis)?;
        let fits = count != 0 && extent != 0 && extent.is_multiple_of(count);
        fits.then_some(Self { axis, start: 0, count, size: extent / count })
    }

    /// `count` blocks of `size` elements from `start` on.
    pub(super) fn part(axis: Axis, start: usize, count: usize, size: usize) -> Self {
        Self { axis, start, count, size }
    }

    /// The elements, from the first to one past the last.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.start, self.start + self.count * self.size)
    }

    /// The elements of a block are one channel.
    fn bind(&self, site: &mut Site<'_>) {
        let (start, end) = self.range();
        let first = |element: usize| start + (element - start) / self.size * self.size;
        let pairs = (start..end).map(|element| (first(element), element)).collect();
        site.tie_by(self.axis, self.axis, Map::Pairs(pairs));
    }

    /// Blocks of both sides are the same heads; on the side that has fewer, one stands for several next to each
    /// other. False when they don't divide.
    pub(super) fn tie(&self, other: &Self, site: &mut Site<'_>) -> bool {
        let (few, many) = (self.count.min(other.count), self.count.max(other.count));
        if few == 0 || many % few != 0 {
            return false;
        }
        self.bind(site);
        other.bind(site);
        let first = |side: &Self, head: usize| side.start + head / (many / side.count) * side.size;
        let pairs = (0..many).map(|head| (first(self, head), first(other, head))).collect();
        site.tie_by(self.axis, other.axis, Map::Pairs(pairs));
        true
    }

    /// The number at `place` counts the blocks.
    pub(super) fn count(&self, place: Place, site: &mut Site<'_>) {
        site.count(place, self.axis, self.range(), self.size);
    }
}

/// A positive number of heads.
pub(super) fn number(site: &Site<'_>, name: &str) -> Option<usize> {
    let heads = site.node().int(name).and_then(|heads| usize::try_from(heads).ok());
    heads.filter(|&heads| heads != 0)
}

/// What is `[…, heads, rows, columns]` has as many heads as `heads`, or one for all.
pub(super) fn scores(site: &mut Site<'_>, value: Option<(ValueId, usize)>, heads: &Blocks) {
    let Some((value, rank)) = value.filter(|&(_, rank)| rank >= 3) else { return };
    let axis = Axis::new(value, rank - 3);
    match Blocks::whole(site, axis, site.extent(axis).unwrap_or(0)) {
        Some(own) if own.count == 1 => site.free(axis),
        Some(own) if own.count == heads.count => {
            heads.tie(&own, site);
        }
        _ => {}
    }
}

/// What is kept of keys or values, `[batch, heads, length, size]`.
pub(super) fn cached(site: &mut Site<'_>, value: Option<(ValueId, usize)>, heads: &Blocks) {
    let Some((value, 4)) = value else { return };
    let axis = Axis::new(value, 1);
    if site.extent(axis) == Some(heads.count) {
        heads.tie(&Blocks::part(axis, 0, heads.count, 1), site);
    }
}

/// Y = softmax(Q · Kᵀ · scale + mask) · V by heads; each head of keys and values serves the same number of heads of
/// queries, and goes with them. Four dimensions have an axis of heads, three have the heads side by side.
pub(super) fn attention(site: &mut Site<'_>) -> &'static str {
    let (Some((q, rank)), Some((k, k_rank)), Some((v, v_rank)), Some((y, y_rank))) =
        (site.input(0), site.input(1), site.input(2), site.output(0))
    else {
        return UNKNOWN;
    };
    if [k_rank, v_rank, y_rank] != [rank; 3] || !(3..=4).contains(&rank) {
        return UNKNOWN;
    }
    let side_by_side = rank == 3;
    let axis = if side_by_side { 2 } else { 1 };
    let blocks = |value: ValueId, name: &str| {
        let axis = Axis::new(value, axis);
        let count = if side_by_side { number(site, name)? } else { site.extent(axis)? };
        Blocks::whole(site, axis, count)
    };
    let (queries, keys) = (blocks(q, "q_num_heads"), blocks(k, "kv_num_heads"));
    let (values, outputs) = (blocks(v, "kv_num_heads"), blocks(y, "q_num_heads"));
    let (Some(queries), Some(keys), Some(values), Some(outputs)) = (queries, keys, values, outputs)
    else {
        return UNKNOWN;
    };
    if !keys.tie(&queries, site) || !keys.tie(&values, site) || !queries.tie(&outputs, site) {
        return UNKNOWN;
    }
    for (name, blocks) in [("q_num_heads", queries), ("kv_num_heads", keys)] {
        if site.node().int(name).is_some() {
            blocks.count(Place::Int(name), site);
        }
    }
    let length = if side_by_side { 1 } else { 2 };
    for axis in [0, length] {
        along(site, Axis::new(q, axis), Axis::new(y, axis));
        along(site, Axis::new(k, axis), Axis::new(v, axis));
    }
    if !side_by_side {
        sizes(site, q, k, v, y);
    }
    scores(site, site.input(3), &queries);
    scores(site, site.output(3), &queries);
    for (past, present, heads) in [(4, 1, &keys), (5, 2, &values)] {
        cached(site, site.input(past), heads);
        cached(site, site.output(present), heads);
    }
    UNKNOWN
}

/// The places of a head of values are those of the output. Queries and keys are multiplied along theirs, whose
/// number is in the scale unless that is given.
fn sizes(site: &mut Site<'_>, q: ValueId, k: ValueId, v: ValueId, y: ValueId) {
    let node = site.node();
    let is_cached = |past: usize| node.input(past).is_some() || node.output(past - 3).is_some();
    if !is_cached(5) {
        along(site, Axis::new(v, 3), Axis::new(y, 3));
    }
    if node.attribute("scale").is_none() {
        site.pin(Axis::new(q, 3), "scales by the size of a head");
        site.pin(Axis::new(k, 3), "scales by the size of a head");
    } else if !is_cached(4) {
        along(site, Axis::new(q, 3), Axis::new(k, 3));
    }
}

/// Pairs of elements of each head are rotated; a head goes as a whole. Input 1 holds the cosines here.
pub(super) fn rotary(site: &mut Site<'_>) -> &'static str {
    rotate(site, 1)
}

/// The same with the cosines `[positions, size / 2]` as input `cosines`.
pub(super) fn rotate(site: &mut Site<'_>, cosines: usize) -> &'static str {
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return ROTATES };
    if rank == 4 {
        site.tie_all(x, y, rank, &[3]);
        return ROTATES;
    }
    if rank != 3 {
        return ROTATES;
    }
    site.tie_all(x, y, rank, &[2]);
    let (inner, outer) = (Axis::new(x, 2), Axis::new(y, 2));
    let heads = number(site, "num_heads");
    let size = site.input(cosines).filter(|_| site.node().int("rotary_embedding_dim").is_none());
    let size = size.and_then(|(cosines, rank)| site.extent(Axis::new(cosines, rank - 1)));
    let count = match (heads, size, site.extent(inner)) {
        (Some(heads), ..) => heads,
        (None, Some(half), Some(extent)) if half != 0 => extent / (2 * half),
        _ => return ROTATES,
    };
    let (before, after) = (Blocks::whole(site, inner, count), Blocks::whole(site, outer, count));
    if let (Some(before), Some(after)) = (before, after) {
        before.tie(&after, site);
        if heads.is_some() {
            before.count(Place::Int("num_heads"), site);
        }
    }
    ROTATES
}
