//! Union-find over single channels of the axes of values.
use lapidary_ir::ValueId;
use rustc_hash::FxHashMap;

/// One axis of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Axis {
    /// The value.
    pub value: ValueId,
    /// Which of its axes.
    pub axis: usize,
}

impl Axis {
    /// Axis `axis` of `value`.
    #[must_use]
    pub fn new(value: ValueId, axis: usize) -> Self {
        Self { value, axis }
    }
}

/// Every element of every tracked axis, and which of them are one channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elements {
    axes: Vec<(Axis, usize, usize)>,
    places: FxHashMap<Axis, usize>,
    parent: Vec<usize>,
}

impl Elements {
    /// Tracks an axis of `extent` elements; false when it is tracked already.
    pub(crate) fn track(&mut self, axis: Axis, extent: usize) -> bool {
        if self.places.contains_key(&axis) {
            return false;
        }
        let base = self.parent.len();
        self.places.insert(axis, self.axes.len());
        self.axes.push((axis, base, extent));
        self.parent.extend(base..base + extent);
        true
    }

    /// The tracked axes in order of tracking, with the number of their elements.
    pub(crate) fn axes(&self) -> impl Iterator<Item = (Axis, usize)> + '_ {
        self.axes.iter().map(|&(axis, _, extent)| (axis, extent))
    }

    /// The number of elements of an axis, if it is tracked.
    pub(crate) fn extent(&self, axis: Axis) -> Option<usize> {
        Some(self.axes[*self.places.get(&axis)?].2)
    }

    /// The representative of an element of a tracked axis.
    pub(crate) fn find(&mut self, axis: Axis, index: usize) -> usize {
        let (_, base, extent) = self.axes[self.places[&axis]];
        debug_assert!(index < extent, "the element is on the axis");
        self.root(base + index)
    }

    /// Makes two elements one channel. The older element represents both.
    pub(crate) fn union(&mut self, left: (Axis, usize), right: (Axis, usize)) {
        let (a, b) = (self.find(left.0, left.1), self.find(right.0, right.1));
        self.parent[a.max(b)] = a.min(b);
    }

    fn root(&mut self, mut id: usize) -> usize {
        while self.parent[id] != id {
            self.parent[id] = self.parent[self.parent[id]];
            id = self.parent[id];
        }
        id
    }
}
