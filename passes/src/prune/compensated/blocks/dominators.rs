//! Which values all computation of a value goes through.
//!
//! A value d dominates v if every path from what a model is given to v leads through d. In a graph without cycles one
//! pass in topological order builds the tree of immediate dominators: that of a node's results is the deepest common
//! ancestor of what it reads. Ancestors are found along jumps of powers of two (Myers 1983), so a value takes
//! logarithmic time.
use lapidary_ir::{ElemType, Graph, Node, ValueId};
use rustc_hash::FxHashMap;

/// The tree of immediate dominators. Integers and what is computed from nothing but integers and constants, such as
/// masks and shapes, are not followed: they belong to whatever reads them.
pub(super) struct Dominators {
    numbers: FxHashMap<ValueId, usize>,
    /// By number; 0 is what everything starts from.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    value: Option<ValueId>,
    depth: usize,
    parent: usize,
    jump: usize,
}

impl Dominators {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut tree = Self { numbers: FxHashMap::default(), places: vec![Place::default()] };
        for &input in graph.inputs() {
            let float = graph.value(input).elem_type().is_none_or(ElemType::is_float);
            if float && graph.constant(input).is_none() {
                tree.add(input, 0);
            }
        }
        for id in graph.topological_order() {
            let node = &graph[id];
            let read = node.inputs().iter().flatten().chain(node.captured());
            let above = read.filter_map(|value| tree.numbers.get(value).copied());
            let dominator = above.reduce(|a, b| tree.common(a, b));
            let start = dominator.or_else(|| looks_up(graph, node).then_some(0));
            let counts = ["Shape", "Size"].contains(&node.op_type.as_str());
            if let Some(dominator) = start.filter(|_| !counts) {
                node.outputs().iter().flatten().for_each(|&value| tree.add(value, dominator));
            }
        }
        tree
    }

    /// The value next before `value` that all computation of it goes through.
    pub(super) fn immediate(&self, value: ValueId) -> Option<ValueId> {
        self.places[self.places[*self.numbers.get(&value)?].parent].value
    }

    /// Whether a value is followed.
    pub(super) fn follows(&self, value: ValueId) -> bool {
        self.numbers.contains_key(&value)
    }

    fn add(&mut self, value: ValueId, parent: usize) {
        let above = self.places[parent];
        let next = self.places[above.jump];
        let even = above.depth - next.depth == next.depth - self.places[next.jump].depth;
        let jump = if even { next.jump } else { parent };
        self.numbers.insert(value, self.places.len());
        self.places.push(Place { value: Some(value), depth: above.depth + 1, parent, jump });
    }

    /// The deepest common ancestor.
    fn common(&self, mut a: usize, mut b: usize) -> usize {
        let depth = |number: usize| self.places[number].depth;
        if depth(a) < depth(b) {
            std::mem::swap(&mut a, &mut b);
        }
        while depth(a) > depth(b) {
            let place = self.places[a];
            a = if depth(place.jump) >= depth(b) { place.jump } else { place.parent };
        }
        while a != b {
            let (left, right) = (self.places[a], self.places[b]);
            (a, b) = match left.jump == right.jump {
                true => (left.parent, right.parent),
                false => (left.jump, right.jump),
            };
        }
        a
    }
}

/// Whether a node makes numbers out of integers by a table, as an embedding does.
fn looks_up(graph: &Graph, node: &Node) -> bool {
    let table = node.input(0).and_then(|table| graph.constant(table));
    node.is("Gather") && table.is_some_and(|table| table.rank() > 1 && table.elem_type().is_float())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    fn immediate(source: &str) -> Vec<String> {
        let model = model(source);
        let graph = &model.graph;
        let tree = Dominators::of(graph);
        let name = |value: ValueId| graph.value(value).name().to_owned();
        let nodes = graph.topological_order().into_iter();
        let told = nodes.filter_map(|id| {
            let value = graph[id].output(0)?;
            let above = tree.immediate(value).map_or("-".to_owned(), name);
            tree.follows(value).then(|| format!("{} {above}", name(value)))
        });
        told.collect()
    }

    #[test]
    fn branches_that_meet_have_what_they_come_from() {
        let found = immediate(
            "g (float[2] x, float[2] z) => (float[2] y) {
                a = Relu(x) b = Neg(a) c = Abs(a) d = Neg(c) e = Add(b, d) f = Mul(e, a) y = Add(f, z)
            }",
        );
        assert_eq!(found, ["a x", "b a", "c a", "d c", "e a", "f a", "y -"]);
    }

    #[test]
    fn masks_and_shapes_are_not_followed() {
        let found = immediate(
            "g (float[2] x, int64[2] mask) => (float[2] y) {
                m = Cast<to = 1>(mask) a = Relu(x) s = Shape(x) b = Add(a, m) y = Reshape(b, s)
            }",
        );
        assert_eq!(found, ["a x", "b a", "y b"]);
    }

    #[test]
    fn a_long_chain_has_its_start() {
        let mut source = "g (float[2] x) => (float[2] y) { a0 = Neg(x) ".to_owned();
        for index in 0..100 {
            source += &format!("a{} = Neg(a{index}) ", index + 1);
        }
        source += "y = Add(a3, a100) }";
        assert_eq!(immediate(&source).last().map(String::as_str), Some("y a3"));
    }
}
