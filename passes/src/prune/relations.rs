//! What the nodes of a graph say about the elements of axes, as data.
use super::elements::{Axis, Elements};
use super::heads::Heads;
use super::propagate;
use lapidary_ir::{Graph, NodeId, Port, ValueId};
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// Which elements of two axes are the same channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Map {
    /// Both axes are digits of the same flat index f in 0..total: the element of an axis with
    /// stride s and extent e is f / s mod e.
    Digits { total: usize, left: (usize, usize), right: (usize, usize) },
    /// `len` consecutive elements from `left` and from `right`.
    Run { left: usize, right: usize, len: usize },
    /// Single elements.
    Pairs(Vec<(usize, usize)>),
}

/// Elements of `left` are elements of `right`.
#[derive(Debug, Clone)]
pub(crate) struct Tie {
    pub(crate) left: Axis,
    pub(crate) right: Axis,
    pub(crate) map: Map,
}

impl Tie {
    /// Unites the elements; both axes are tracked.
    pub(crate) fn unite(&self, elements: &mut Elements) {
        let mut pair = |l: usize, r: usize| elements.union((self.left, l), (self.right, r));
        match &self.map {
            Map::Digits { total, left, right } => {
                for flat in (0..*total).step_by(greatest_common_divisor(left.0, right.0)) {
                    pair(flat / left.0 % left.1, flat / right.0 % right.1);
                }
            }
            Map::Run { left, right, len } => (0..*len).for_each(|i| pair(left + i, right + i)),
            Map::Pairs(pairs) => pairs.iter().for_each(|&(l, r)| pair(l, r)),
        }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Elements that have to stay.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) value: ValueId,
    /// One axis, or all.
    pub(crate) axis: Option<usize>,
    /// One element, or all.
    pub(crate) element: Option<usize>,
    /// The node that says so.
    pub(crate) node: Option<NodeId>,
    pub(crate) why: Cow<'static, str>,
}

/// The axis is made of blocks of equal size, and each keeps the same number of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) axis: Axis,
    pub(crate) blocks: usize,
    pub(crate) node: NodeId,
}

/// What a weight does with the channels along one of its axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It makes them: rows of a convolution's kernel.
    Producer,
    /// It reads them: columns of the next kernel.
    Consumer,
    /// It rides along: a bias, a slope, the statistics of a normalization.
    Companion,
}

/// Where a number that counts channels stands in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An entry of the constant input of that slot.
    Input(usize, usize),
    /// An entry of the list attribute of that name.
    Ints(&'static str, usize),
    /// The integer attribute of that name.
    Int(&'static str),
}

/// What has to change in a node when channels go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// A number becomes the kept elements of `axis` from `start` to `end`, divided by `per`.
    Count {
        /// The node.
        node: NodeId,
        /// Where the number stands.
        place: Place,
        /// What it counts.
        axis: Axis,
        /// The first element counted.
        start: usize,
        /// One past the last element counted.
        end: usize,
        /// Elements per unit.
        per: usize,
    },
    /// The indices of a `Gather` count kept elements of `axis` only.
    Indices {
        /// The node.
        node: NodeId,
        /// The axis gathered from.
        axis: Axis,
        /// The axis of gathered elements.
        gathered: Axis,
    },
    /// A `Slice` with a step takes elements at distances that are no longer equal: a `Gather` in
    /// front of it picks those that stay, and the entry of the `Slice` takes all of them.
    Picked {
        /// The node.
        node: NodeId,
        /// The entry of starts, ends and steps.
        entry: usize,
        /// The axis sliced.
        axis: Axis,
        /// The axis of elements taken.
        sliced: Axis,
        /// The elements taken.
        elements: Vec<usize>,
    },
    /// A vector that other nodes read too and that holds one number everywhere becomes as long as
    /// `axis`, for this node alone.
    Uniform {
        /// The node.
        node: NodeId,
        /// The vector.
        value: ValueId,
        /// The channels it rides along.
        axis: Axis,
    },
    /// The kernel of a grouped convolution loses, group by group, the columns of lost inputs.
    GroupedColumns {
        /// The node.
        node: NodeId,
        /// The input slot of the kernel.
        kernel: usize,
        /// The channels read.
        input: Axis,
        /// The channels made.
        output: Axis,
        /// The number of groups.
        groups: usize,
    },
}

/// All relations of a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relations {
    pub(crate) ties: Vec<Tie>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) balances: Vec<Balance>,
    pub(crate) roles: Vec<(Axis, Role, NodeId)>,
    pub(crate) rewrites: Vec<Rewrite>,
    /// Axes that carry channels some weight made, in direction of the computation.
    pub(crate) carried: FxHashSet<Axis>,
    /// What is a head.
    pub(crate) heads: Heads,
    /// Axes split into heads, with the attention.
    pub(crate) split: Vec<(Axis, usize)>,
    /// Axes that several axes were merged into or split off, with all of them.
    pub(crate) merged: Vec<(Axis, Vec<Axis>)>,
    /// Attentions whose heads are the innermost part of an axis they are merged into.
    pub(crate) innermost: FxHashSet<usize>,
}

impl Relations {
    /// What every node of `graph` says, and its interface.
    pub(crate) fn of(graph: &Graph, heads: Heads) -> Self {
        let mut relations = Self { heads, ..Self::default() };
        for &input in graph.inputs() {
            relations.pin_value(input, None, "is a graph input");
        }
        for &output in graph.outputs() {
            relations.pin_value(output, None, "is a graph output");
        }
        for (id, value) in graph.values() {
            if let Some(used) = value.uses().find(|used| matches!(used.port, Port::Capture(_))) {
                relations.pin_value(id, Some(used.node), "is read inside a subgraph");
            }
        }
        for id in graph.topological_order() {
            propagate::state(graph, id, &mut relations);
        }
        relations
    }

    /// Pins every axis of a value.
    pub(crate) fn pin_value(&mut self, value: ValueId, node: Option<NodeId>, why: &'static str) {
        self.pins.push(Pin { value, axis: None, element: None, node, why: Cow::Borrowed(why) });
    }
}
