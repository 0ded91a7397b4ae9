//! Chains of products, whatever their order.
use super::scalar;
use lapidary_ir::{Graph, ValueId};

/// Products of more levels than any decomposed operator has are not followed.
const MAX_DEPTH: usize = 6;

/// y = constant · Π factors
#[derive(Debug, PartialEq)]
pub(super) struct Product {
    /// All constant factors and the inverses of all constant divisors.
    pub(super) constant: f64,
    /// The other factors from left to right, repeated ones repeatedly.
    pub(super) factors: Vec<ValueId>,
}

impl Product {
    /// The product that `value` is, of itself alone if no `Mul` or `Div` makes it. A factor is a
    /// product itself unless something else reads it too.
    pub(super) fn of(graph: &Graph, value: ValueId) -> Self {
        let mut product = Self { constant: 1.0, factors: Vec::new() };
        product.multiply(graph, value, 0);
        product
    }

    /// The other one of two factors.
    pub(super) fn other(&self, factor: ValueId) -> Option<ValueId> {
        match self.factors[..] {
            [a, b] if a == factor => Some(b),
            [a, b] if b == factor => Some(a),
            _ => None,
        }
    }

    fn multiply(&mut self, graph: &Graph, value: ValueId, depth: usize) {
        let is_inner = depth == 0 || graph.only_use(value).is_some();
        let node = graph.producer(value).filter(|_| is_inner && depth < MAX_DEPTH);
        let Some(id) = node else { return self.factors.push(value) };
        if graph[id].is("Mul") {
            if let Some((operand, constant)) = scalar::either(graph, id) {
                self.constant *= constant;
                return self.multiply(graph, operand, depth + 1);
            }
            if let (Some(a), Some(b)) = (graph[id].input(0), graph[id].input(1)) {
                self.multiply(graph, a, depth + 1);
                return self.multiply(graph, b, depth + 1);
            }
        }
        if graph[id].is("Div")
            && let Some((operand, constant)) = scalar::right(graph, id)
        {
            self.constant /= constant;
            return self.multiply(graph, operand, depth + 1);
        }
        self.factors.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    /// The product that output `y` is, by names.
    fn product(nodes: &str) -> (f64, Vec<String>) {
        let graph = parse(&format!(
            "g (float[2] x, float[2] z) => (float[2] y) <float two = {{2}}, float ten = {{10}}> {{ {nodes} }}"
        ));
        let graph = graph.graph;
        let product = Product::of(&graph, graph.outputs()[0]);
        let name = |id: &ValueId| graph.value(*id).name().to_owned();
        (product.constant, product.factors.iter().map(name).collect())
    }

    #[test]
    fn gathers_constants_and_factors() {
        let found = product("a = Mul(x, two) b = Mul(z, a) y = Div(b, ten)");
        assert_eq!(found, (0.2, vec!["z".to_owned(), "x".to_owned()]));
    }

    #[test]
    fn repeats_a_factor() {
        let found = product("a = Mul(x, x) y = Mul(a, x)");
        assert_eq!(found, (1.0, vec!["x".to_owned(); 3]));
    }

    #[test]
    fn ends_at_what_is_read_elsewhere_and_at_divisors() {
        let found = product("a = Mul(x, two) b = Add(a, z) c = Div(ten, b) y = Mul(a, c)");
        assert_eq!(found, (1.0, vec!["a".to_owned(), "c".to_owned()]));
    }
}
