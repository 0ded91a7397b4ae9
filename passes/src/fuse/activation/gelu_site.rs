//! `Gelu` as arithmetic.
use super::super::product::Product;
use super::super::region::require_closed;
use super::super::scalar;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NodeId, ValueId};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// An occurrence of
///
/// * x · ½ · (1 + erf(x / √2)), or
/// * x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 · x³))),
///
/// with the factors in any order.
pub(in crate::fuse) struct GeluSite {
    pub(in crate::fuse) x: ValueId,
    /// The approximation by tanh.
    pub(in crate::fuse) tanh: bool,
}

/// A constant as it is and as it should be.
type Constants = Vec<(f64, f64)>;

impl GeluSite {
    /// The operators a site can be rooted at.
    pub(in crate::fuse) const ROOTS: &[&str] = &["Mul", "Div"];

    /// The site whose last node is `root`.
    pub(in crate::fuse) fn find(graph: &Graph, root: NodeId) -> Result<Self, Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let y = Product::of(graph, y);
        let found = y.factors.iter().find_map(|&x| gate(graph, x, y.other(x)?, y.constant));
        let (site, constants) = found.or_no_match()?;
        let elem_type = graph.ty(site.x).elem_type;
        let exact = constants.iter().all(|&(a, b)| scalar::is_near(a, b, elem_type));
        require(exact, "constants are not those of Gelu")?;
        require_closed(graph, root, &[site.x])?;
        Ok(site)
    }
}

/// The gate of x: constant · (1 + curve(…)).
fn gate(graph: &Graph, x: ValueId, gate: ValueId, constant: f64) -> Option<(GeluSite, Constants)> {
    let sum = graph.producer(gate).filter(|&id| graph[id].is("Add"))?;
    let (curve, one) = scalar::either(graph, sum)?;
    let curve = Product::of(graph, curve);
    let &[value] = &curve.factors[..] else { return None };
    // Before the last factor of a chain there is no half yet.
    let halves = [constant * one, constant * curve.constant];
    if !halves.iter().all(|&half| scalar::is_near(half, 0.5, graph.ty(x).elem_type)) {
        return None;
    }
    let mut constants = Vec::new();
    let id = graph.producer(value)?;
    let argument = Product::of(graph, graph[id].input(0)?);
    let tanh = graph[id].is("Tanh");
    if graph[id].is("Erf") {
        if argument.factors != [x] {
            return None;
        }
        constants.push((argument.constant, FRAC_1_SQRT_2));
    } else if tanh {
        constants.extend(cubic(graph, x, &argument)?);
    } else {
        return None;
    }
    Some((GeluSite { x, tanh }, constants))
}

/// √(2/π) · (x + 0.044715 · x³) or √(2/π) · x · (1 + 0.044715 · x²)
fn cubic(graph: &Graph, x: ValueId, argument: &Product) -> Option<Constants> {
    let sum = |value: ValueId| {
        let node = &graph[graph.producer(value)?];
        if node.is("Add") { Some((node.input(0)?, node.input(1)?)) } else { None }
    };
    let mut constants = vec![(argument.constant, FRAC_2_PI.sqrt())];
    let term = if let &[value] = &argument.factors[..] {
        let (a, b) = sum(value)?;
        Product::of(
            graph,
            if a == x {
                b
            } else if b == x {
                a
            } else {
                return None;
            },
        )
    } else {
        let value = argument.other(x)?;
        let (term, one) = scalar::either(graph, graph.producer(value)?)?;
        sum(value)?;
        constants.push((one, 1.0));
        let mut term = Product::of(graph, term);
        term.factors.push(x);
        term
    };
    constants.push((term.constant, 0.044_715));
    (exponent(graph, x, &term.factors)? == 3.0).then_some(constants)
}

/// n, when the product of the factors is xⁿ.
fn exponent(graph: &Graph, x: ValueId, factors: &[ValueId]) -> Option<f64> {
    let of = |&factor: &ValueId| {
        if factor == x {
            return Some(1.0);
        }
        let id = graph.producer(factor).filter(|&id| graph[id].is("Pow"))?;
        scalar::right(graph, id).filter(|(base, _)| *base == x).map(|(_, exponent)| exponent)
    };
    factors.iter().map(of).sum()
}
