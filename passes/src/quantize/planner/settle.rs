//! Pairs behind operators: an operator runs on integers when all it reads and writes is quantized.
//!
//! Every operator that can run on integers does at first; those that don't fit their neighbours are taken back one after
//! another, until all others fit.
use super::super::placement::{Support, activations};
use super::{Planner, Reason};
use lapidary_ir::{NodeId, ValueId};
use std::collections::BTreeSet;

/// How many times the scale of one operand that of another may be for both to be joined in one.
const MIXED: f32 = 64.0;

impl Planner<'_> {
    /// Takes nodes back until all others fit together.
    pub(super) fn settle(&mut self) {
        loop {
            let mut changed = false;
            for id in self.order.clone() {
                if self.is_integer(id)
                    && let Some(reason) = self.obstacle(id)
                {
                    self.float[id.index()] = Some(reason);
                    changed = true;
                }
            }
            changed |= self.leave_islands();
            if !changed {
                return;
            }
        }
    }

    /// Whether a node that runs on integers reads a value as an activation.
    fn is_wanted(&self, value: ValueId) -> bool {
        let is_quantized = self.existing.is_quantized(self.graph, value);
        is_quantized
            || self.graph.consumers(value).any(|reader| {
                self.is_integer(reader)
                    && !matches!(self.support(reader), Support::Limits(_))
                    && activations(&self.graph[reader], self.support(reader))
                        .any(|read| read == value)
            })
    }

    /// Why a node can't run on integers between its present neighbours.
    fn obstacle(&self, id: NodeId) -> Option<Reason> {
        let node = &self.graph[id];
        let found = self.support(id);
        if let Support::Limits(_) = found {
            return self.limits_obstacle(id);
        }
        let mut inputs = activations(node, found);
        if let Some(reason) = inputs.find_map(|value| self.unquantizable(value)) {
            return Some(reason);
        }
        let on_integers = |value: ValueId| match self.maker(value) {
            Some(producer) => self.is_integer(producer) || self.existing.contains(producer),
            None => self.graph.value(value).is_input() || self.existing.parameters(value).is_some(),
        };
        if let Some(reason) = self.moves_otherwise(id) {
            return Some(reason);
        }
        if self.mixes_heads(id) {
            return Some("its operands differ in range too much for one scale".into());
        }
        if !self.is_product(id)
            && !self.profile.islands
            && !activations(node, found).any(on_integers)
        {
            return Some("what it reads is not computed on integers".into());
        }
        let unread = |value: ValueId| self.graph.consumers(value).next().is_none();
        if *found == Support::Movement && self.results(id).all(unread) {
            return Some("only the caller reads what it moves".into());
        }
        let may_write_float = !self.writes_integers(id);
        let mut results = self.results(id);
        if may_write_float && !results.any(|value| self.is_wanted(value)) {
            return None;
        }
        self.results(id).find_map(|value| self.unquantizable(value))
    }

    /// Whether a node joins numbers of which some would be lost in a common scale: boxes and scores of a detector, say.
    fn mixes_heads(&self, id: NodeId) -> bool {
        let node = &self.graph[id];
        if !node.is("Concat") {
            return false;
        }
        let scale = |value: ValueId| self.parameters(value).ok().map(|found| found.scale);
        let scales: Vec<f32> = node.inputs().iter().flatten().filter_map(|&v| scale(v)).collect();
        let (least, most) = super::super::plan::ends(&scales);
        most > least * MIXED
    }

    /// Why limits have to be computed: not when the quantization right behind them implies them.
    fn limits_obstacle(&self, id: NodeId) -> Option<Reason> {
        let producer = self.graph[id].input(0).and_then(|input| self.graph.producer(input));
        let Some(head) = producer.filter(|&head| self.is_integer(head)) else {
            return Some("what it reads is not computed on integers".into());
        };
        let may_write_float = !self.writes_integers(head);
        let wanted = self.graph[id].output(0).is_some_and(|value| self.is_wanted(value));
        if may_write_float && !wanted {
            return Some("its result is not read as integers".into());
        }
        let output = self.graph[id].output(0)?;
        self.unquantizable(output)
    }

    /// Takes back what is not worth a quantization: a node that neither works on what a Conv has to quantize
    /// anyway nor prepares what a product reads. The products that can write floating-point numbers then do.
    fn leave_islands(&mut self) -> bool {
        if self.profile.islands {
            return false;
        }
        let forced = |id: &NodeId| matches!(self.support(*id), Support::Product(product) if !product.float_output);
        let integers = || self.order.iter().copied().filter(|&id| self.is_integer(id));
        let readers = |id: NodeId| {
            let results = self.graph[id].outputs().iter().flatten();
            let readers = results.flat_map(|&value| self.graph.consumers(value));
            readers.filter(|&reader| !self.is_product(reader)).collect::<Vec<_>>()
        };
        let mut worthwhile = self.reached(integers().filter(forced).collect(), readers);
        let anchors = integers().filter(|&id| self.is_product(id) || self.is_next_to_existing(id));
        worthwhile.extend(anchors);
        let makers = |id: NodeId| {
            let read = activations(&self.graph[id], self.support(id));
            read.filter_map(|value| self.graph.producer(value)).collect::<Vec<_>>()
        };
        let worthwhile = self.reached(worthwhile.into_iter().collect(), makers);
        let islands: Vec<NodeId> = integers().filter(|id| !worthwhile.contains(id)).collect();
        for &id in &islands {
            let reason = "it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers";
            self.float[id.index()] = Some(reason.into());
        }
        !islands.is_empty()
    }

    /// The nodes on integers that are reached from some of them step by step.
    fn reached<N>(&self, mut waiting: Vec<NodeId>, step: impl Fn(NodeId) -> N) -> BTreeSet<NodeId>
    where
        N: IntoIterator<Item = NodeId>,
    {
        let mut reached = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if self.is_integer(id) && reached.insert(id) {
                waiting.extend(step(id));
            }
        }
        reached
    }
}
