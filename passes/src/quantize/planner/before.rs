//! Pairs before what is read: an operator runs on integers when what it reads is quantized, whatever it writes.
use super::super::existing::is_product;
use super::super::placement::{Support, activations};
use super::super::target::Target;
use super::{Planner, Reason};
use lapidary_ir::{NodeId, ValueId};

impl Planner<'_> {
    /// Takes back what can't read integers or does not gain by it, and returns the values to quantize.
    pub(super) fn read(&mut self) -> Vec<bool> {
        for id in self.order.clone() {
            if self.is_integer(id)
                && let Some(reason) = self.unreadable(id)
            {
                self.float[id.index()] = Some(reason);
            }
        }
        // What stays in floating point next to a pool or a sum was decided before these.
        for id in self.order.clone() {
            if self.is_integer(id)
                && let Some(reason) = self.idle(id)
            {
                self.float[id.index()] = Some(reason);
            }
        }
        let mut wanted = vec![false; self.graph.value_bound()];
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            for value in self.operands(id) {
                wanted[value.index()] = true;
            }
        }
        wanted
    }

    /// What a node reads as integers.
    fn operands(&self, id: NodeId) -> Vec<ValueId> {
        let node = &self.graph[id];
        match self.support(id) {
            Support::Limits(_) | Support::Movement => Vec::new(),
            _ if self.adds_shortcut(id) => self.shortcut(id).into_iter().collect(),
            found => activations(node, found).collect(),
        }
    }

    fn unreadable(&self, id: NodeId) -> Option<Reason> {
        self.operands(id).into_iter().find_map(|value| self.unquantizable(value))
    }

    /// Why a node that could read integers has nothing from it.
    fn idle(&self, id: NodeId) -> Option<Reason> {
        let node = &self.graph[id];
        match self.support(id) {
            Support::Product(_) => None,
            Support::Limits(_) => {
                let head = node.input(0).and_then(|input| self.graph.producer(input));
                let computed = head.is_some_and(|head| self.is_integer(head));
                (!computed).then(|| "what it reads is not computed on integers".into())
            }
            Support::Pool | Support::Movement => {
                let neighbours = self.is_made_by_product(node.input(0)?)
                    || node.outputs().iter().flatten().any(|&output| self.feeds_product(output));
                (!neighbours).then(|| "none of its neighbours runs on integers".into())
            }
            _ if self.adds_shortcut(id) => {
                let shortcut = self.shortcut(id);
                shortcut.is_none().then(|| "it adds to nothing a Conv computes".into())
            }
            Support::Arithmetic { .. } => {
                let outputs = node.outputs().iter().flatten();
                let neighbours = activations(node, self.support(id))
                    .any(|value| self.is_made_by_product(value))
                    || outputs.into_iter().any(|&output| self.feeds_product(output));
                (!neighbours).then(|| "none of its neighbours runs on integers".into())
            }
            Support::Float(_) => None,
        }
    }

    /// Whether a node is a sum that becomes part of the convolution it adds to: TensorRT keeps what the convolution
    /// computes in full precision and reads the other operand, the shortcut, as integers.
    fn adds_shortcut(&self, id: NodeId) -> bool {
        self.profile.target == Target::TensorRt && self.graph[id].is("Add")
    }

    /// The operand that is not the longest way: not what a product computes for this sum alone.
    fn shortcut(&self, id: NodeId) -> Option<ValueId> {
        let &[Some(a), Some(b)] = self.graph[id].inputs() else { return None };
        let own = |value| self.graph.only_use(value).is_some() && self.is_made_by_product(value);
        match (own(a), own(b)) {
            (false, false) => None,
            (true, false) => Some(b),
            (false, true) => Some(a),
            (true, true) => Some(if self.depth(a) < self.depth(b) { a } else { b }),
        }
    }

    /// How many nodes in a row, each working for the next alone, end in a value.
    fn depth(&self, mut value: ValueId) -> usize {
        let mut depth = 0;
        while self.graph.only_use(value).is_some()
            && let Some(maker) = self.graph.producer(value)
            && let Some(input) = self.graph[maker].input(0)
        {
            depth += 1;
            value = input;
        }
        depth
    }

    /// Whether a product on integers computes a value, behind its limits if there are any.
    fn is_made_by_product(&self, value: ValueId) -> bool {
        let Some(maker) = self.maker(value) else { return false };
        match self.support(maker) {
            _ if self.existing.contains(maker) => is_product(&self.graph[maker]),
            _ if !self.is_integer(maker) => false,
            Support::Product(_) => true,
            Support::Limits(_) => {
                let head = self.graph[maker].input(0);
                head.and_then(|head| self.graph.producer(head))
                    .is_some_and(|head| self.is_integer(head) && self.is_product(head))
            }
            _ => false,
        }
    }

    fn feeds_product(&self, value: ValueId) -> bool {
        let is_quantized = self.existing.is_quantized(self.graph, value);
        let mut readers = self.graph.consumers(value);
        is_quantized || readers.any(|reader| self.is_integer(reader) && self.is_product(reader))
    }
}
