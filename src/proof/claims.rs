//! Which values are claimed to be the same, and which of them proofs may rest on.
use super::range::Range;
use lapidary_ir::schema;
use lapidary_ir::{
    Dim, ElemType, Graph, Model, Node, Number, Numbering, Tensor, ValueId, ValueType,
};
use std::sync::Arc;

/// What stands for a claimed value where others rest on it.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// Random numbers of that type and range.
    Random(ValueType, Range),
    /// Its data in the model where it is an initializer.
    Constant(Arc<Tensor>),
}

#[derive(Debug)]
struct Claim {
    /// The value in the original and in the changed model.
    values: [ValueId; 2],
    /// Nothing, when it has to be computed wherever it is needed.
    rest: Option<Rest>,
}

/// The values of the same name in two models.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    pub(super) models: &'a [Model; 2],
    claims: Vec<Claim>,
    /// The claim of each value of each model.
    of: [Vec<Option<u32>>; 2],
    /// Which values of each model depend on constants and sizes alone.
    constant: [Vec<bool>; 2],
}

impl<'a> Claims<'a> {
    pub(super) fn new(models: &'a [Model; 2]) -> Self {
        let [original, changed] = models;
        let constant = [constants(&original.graph), constants(&changed.graph)];
        let none = |model: &Model| vec![None; model.graph.value_bound()];
        let of = [none(original), none(changed)];
        let ranges = Range::of(&original.graph);
        let mut claims = Self { models, claims: Vec::new(), of, constant };
        for (b, value) in changed.graph.values() {
            let Some(a) = original.graph.find(value.name()) else { continue };
            let made = |graph: &Graph, id| graph.producer(id).is_some();
            let made = [made(&original.graph, a), made(&changed.graph, b)];
            if made == [false, false] && !value.is_output() {
                continue;
            }
            let rest = match made {
                [true, true] if claims.depends_on_nothing([a, b]) => None,
                [true, true] => {
                    let random = |ty| Rest::Random(ty, ranges[a.index()]);
                    floats(original.graph.ty(a), value.ty()).map(random)
                }
                [true, false] => value.constant().cloned().map(Rest::Constant),
                [false, true] => original.graph.constant(a).cloned().map(Rest::Constant),
                [false, false] => None,
            };
            let number = claims.claims.len() as u32;
            claims.of[0][a.index()] = Some(number);
            claims.of[1][b.index()] = Some(number);
            claims.claims.push(Claim { values: [a, b], rest });
        }
        claims
    }

    /// The claims of the outputs; nothing when the models have other ones.
    pub(super) fn outputs(&self) -> Option<Vec<u32>> {
        let [original, changed] = self.models;
        if original.graph.outputs().len() != changed.graph.outputs().len() {
            return None;
        }
        let pairs = original.graph.outputs().iter().zip(changed.graph.outputs());
        let claim = |(&a, &b): (&ValueId, &ValueId)| {
            let claim = self.of[0][a.index()]?;
            (self.of[1][b.index()] == Some(claim)).then_some(claim)
        };
        pairs.map(claim).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn graph(&self, side: usize) -> &'a Graph {
        &self.models[side].graph
    }

    pub(super) fn value(&self, claim: u32, side: usize) -> ValueId {
        self.claims[claim as usize].values[side]
    }

    pub(super) fn name(&self, claim: u32) -> &'a str {
        self.graph(0).value(self.value(claim, 0)).name()
    }

    fn depends_on_nothing(&self, values: [ValueId; 2]) -> bool {
        [0, 1].iter().all(|&side| self.constant[side][values[side].index()])
    }

    /// Whether all a node makes depends on constants and sizes alone.
    pub(super) fn makes_constants(&self, side: usize, node: &Node) -> bool {
        node.outputs().iter().flatten().all(|output| self.constant[side][output.index()])
    }

    /// Whether the value is an initializer in one model and computed in the other.
    pub(super) fn is_constant(&self, claim: u32) -> bool {
        matches!(self.claims[claim as usize].rest, Some(Rest::Constant(_)))
    }

    /// Claims in the order in which the original computes them.
    pub(super) fn in_order(&self, claims: &[u32]) -> Vec<u32> {
        let graph = self.graph(0);
        let mut place = vec![0; graph.node_bound()];
        for (index, node) in graph.topological_order().into_iter().enumerate() {
            place[node.index()] = index + 1;
        }
        let producer = |claim: u32| graph.producer(self.value(claim, 0));
        let mut claims = claims.to_vec();
        claims.sort_by_key(|&claim| producer(claim).map_or(0, |node| place[node.index()]));
        claims
    }

    /// The claim others may rest on instead of computing the value.
    pub(super) fn rested_on(&self, side: usize, id: ValueId) -> Option<(u32, &Rest)> {
        let claim = self.of[side][id.index()]?;
        Some((claim, self.claims[claim as usize].rest.as_ref()?))
    }

    /// The numbers of the expressions of both models over the claims that are rested on.
    pub(super) fn numbers(&self) -> [Vec<Option<Number>>; 2] {
        let mut numbering = Numbering::default();
        [0, 1].map(|side| {
            let named = |id| self.rested_on(side, id).map(|(claim, _)| claim);
            numbering.number(&self.models[side], &named)
        })
    }

    /// No longer rests on these claims, nor on those up to `hops` claims before them.
    pub(super) fn give_up(&mut self, failed: &[u32], hops: usize) {
        let mut level: Vec<u32> = failed.to_vec();
        for claim in failed {
            self.claims[*claim as usize].rest = None;
        }
        let mut seen = [0, 1].map(|side| vec![false; self.graph(side).node_bound()]);
        for _ in 0..hops {
            let mut before = Vec::new();
            for claim in level {
                for (side, seen) in seen.iter_mut().enumerate() {
                    let mut waiting = vec![self.value(claim, side)];
                    while let Some(id) = waiting.pop() {
                        let Some(node) = self.graph(side).producer(id) else { continue };
                        if std::mem::replace(&mut seen[node.index()], true) {
                            continue;
                        }
                        let node = &self.graph(side)[node];
                        for &read in node.inputs().iter().flatten().chain(node.captured()) {
                            match self.rested_on(side, read) {
                                Some((claim, _)) => before.push(claim),
                                None => waiting.push(read),
                            }
                        }
                    }
                }
            }
            if before.is_empty() {
                return;
            }
            for claim in &before {
                self.claims[*claim as usize].rest = None;
            }
            level = before;
        }
    }
}

/// The type of a value that random numbers can stand for: floating point, every dimension known,
/// the same in both models as far as they know.
fn floats(a: &ValueType, b: &ValueType) -> Option<ValueType> {
    let elem_type = a.elem_type.filter(|_| a.elem_type == b.elem_type)?;
    let executed = [ElemType::FLOAT, ElemType::DOUBLE, ElemType::FLOAT16];
    if !executed.contains(&elem_type) {
        return None;
    }
    let dims = match (a.dims(), b.dims()) {
        (Some(a), Some(b)) if a != b => return None,
        (Some(dims), _) | (None, Some(dims)) => dims,
        (None, None) => return None,
    };
    let shape = dims.into_iter().map(Dim::from).collect();
    Some(ValueType::tensor(Some(elem_type), Some(shape)))
}

/// Which values depend on constants and on sizes alone, which are fixed here.
fn constants(graph: &Graph) -> Vec<bool> {
    let mut constant = vec![false; graph.value_bound()];
    for (id, value) in graph.values() {
        constant[id.index()] = value.constant().is_some();
    }
    for id in graph.topological_order() {
        let node = &graph[id];
        // Of what it is like, an operator reads the type alone.
        let inputs = if node.is("CastLike") { &node.inputs()[..1] } else { node.inputs() };
        let mut reads = inputs.iter().flatten().chain(node.captured());
        let measures = node.is("Shape") || node.is("Size");
        let is_fixed = |read: &ValueId| {
            constant[read.index()] || (measures && graph.ty(*read).dims().is_some())
        };
        if reads.all(is_fixed) && !schema::is_random(&node.op_type) {
            node.outputs().iter().flatten().for_each(|output| constant[output.index()] = true);
        }
    }
    constant
}
