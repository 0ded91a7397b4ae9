//! What a change of an operator between two versions is.
use lapidary_ir::{Graph, Node, NodeId, Operand, Patch, Tensor, ValueId};

/// Why a node can't be converted.
pub(super) type Reason = &'static str;

/// Writes into a patch what makes a node mean the same in the newer version.
pub(super) type Adapter = fn(&Site<'_>, &mut Patch) -> Result<(), Reason>;

/// What became of an operator in one version.
pub(super) enum Change {
    /// A node of the older version means the same in the newer one. Why.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reason is for readers and tests"))]
    Same(Reason),
    /// A node has to be written differently, if it can.
    Adapt(Adapter),
    /// There is no way that is known to be right. Why.
    Refuse(Reason),
}

/// Operators that changed alike in the operator set `since`.
pub(super) struct Entry {
    pub(super) since: i64,
    pub(super) op_types: &'static [&'static str],
    pub(super) change: Change,
}

pub(super) const fn same(since: i64, op_types: &'static [&'static str], reason: Reason) -> Entry {
    Entry { since, op_types, change: Change::Same(reason) }
}

pub(super) const fn adapt(
    since: i64,
    op_types: &'static [&'static str],
    adapter: Adapter,
) -> Entry {
    Entry { since, op_types, change: Change::Adapt(adapter) }
}

pub(super) const fn refuse(since: i64, op_types: &'static [&'static str], reason: Reason) -> Entry {
    Entry { since, op_types, change: Change::Refuse(reason) }
}

/// A node to be converted.
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph,
    pub(super) id: NodeId,
    /// The operator set all nodes will be in at last.
    pub(super) target: i64,
}

impl<'a> Site<'a> {
    pub(super) fn node(&self) -> &'a Node {
        &self.graph[self.id]
    }

    /// Input `slot`, which the operator requires.
    pub(super) fn input(&self, slot: usize) -> Result<ValueId, Reason> {
        self.node().input(slot).ok_or("an input it requires is omitted")
    }

    /// The first output.
    pub(super) fn output(&self) -> Result<ValueId, Reason> {
        self.node().output(0).ok_or("its first output is omitted")
    }

    /// Whether anything reads output `slot`.
    pub(super) fn uses_output(&self, slot: usize) -> bool {
        self.node().output(slot).is_some_and(|output| !self.graph.value(output).is_unused())
    }

    /// Gives input `slot` constant data, named after the node and `what`.
    pub(super) fn set_constant(&self, patch: &mut Patch, slot: usize, what: &str, tensor: Tensor) {
        let data = self.constant(patch, what, tensor);
        patch.set_input(self.id, slot, Some(data));
    }

    /// Constant data, named after the node and `what`.
    pub(super) fn constant(&self, patch: &mut Patch, what: &str, tensor: Tensor) -> Operand {
        patch.initializer(self.name(what), tensor)
    }

    /// A name for what is made for the node.
    pub(super) fn name(&self, what: &str) -> String {
        let output = self.node().output(0).map(|output| self.graph.value(output).name());
        let label = output.unwrap_or_else(|| self.node().label(self.graph));
        format!("{label}_{what}")
    }
}
