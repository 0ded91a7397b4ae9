//! Subgraph patterns, written as lines of ONNX text.
//!
//! ```
//! use lapidary_ir::{Constant, ValueId, pattern};
//!
//! pattern! {
//!     /// A convolution and the normalization behind it.
//!     struct Site {
//!         conv = Conv(x: ValueId, w: Constant, b: Option<Constant>);
//!         y = BatchNormalization(conv, scale: Constant, shift: Constant, mean: Constant, var: Constant);
//!     }
//! }
//! ```
//!
//! The last line is the root. A name with a type is captured, and the type is the constraint; a
//! name without one refers to a line above or to an earlier capture, which makes it *the same*
//! value. Commutative operators match in both orders. A value made by an inner line must be read
//! by the match alone and be no graph output, so that a rewrite may drop its node.
use crate::{Graph, NodeId, Tensor, ValueId, schema};
use std::sync::Arc;

/// What an operand of a pattern may be.
pub trait Capture: Sized {
    /// The captured operand, if it is of this kind.
    fn capture(graph: &Graph, operand: Option<ValueId>) -> Option<Self>;
}

/// An initializer no caller can override, with its data.
#[derive(Debug, Clone)]
pub struct Constant {
    /// The value.
    pub id: ValueId,
    /// Its data.
    pub tensor: Arc<Tensor>,
}

/// A constant of one floating-point element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalar(pub f32);

impl Capture for ValueId {
    fn capture(_: &Graph, operand: Option<ValueId>) -> Option<Self> {
        operand
    }
}

impl Capture for Constant {
    fn capture(graph: &Graph, operand: Option<ValueId>) -> Option<Self> {
        let id = operand?;
        Some(Self { id, tensor: graph.constant(id)?.clone() })
    }
}

impl Capture for Scalar {
    fn capture(graph: &Graph, operand: Option<ValueId>) -> Option<Self> {
        graph.constant(operand?)?.as_f32().map(Self)
    }
}

impl<C: Capture> Capture for Option<C> {
    fn capture(graph: &Graph, operand: Option<ValueId>) -> Option<Self> {
        match operand {
            None => Some(None),
            present => C::capture(graph, present).map(Some),
        }
    }
}

/// The pattern does not occur at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMatch;

/// One line of a pattern.
#[derive(Debug)]
pub struct Line {
    /// The name left of `=`.
    pub output: &'static str,
    /// The operator of ONNX's own domain.
    pub op_type: &'static str,
    /// The operands.
    pub operands: &'static [Operand],
}

/// One operand of a line.
#[derive(Debug)]
pub struct Operand {
    /// Its name.
    pub name: &'static str,
    /// The check of a capture; none for a name that another line binds.
    pub admits: Option<fn(&Graph, Option<ValueId>) -> bool>,
}

/// Names bound to values (or to an omitted operand) while matching.
#[derive(Debug, Clone, Default)]
pub struct Bindings(Vec<(&'static str, Option<ValueId>)>);

impl Bindings {
    /// The value `name` is bound to.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<ValueId> {
        self.lookup(name).flatten()
    }

    fn lookup(&self, name: &str) -> Option<Option<ValueId>> {
        self.0.iter().find(|(bound, _)| *bound == name).map(|(_, value)| *value)
    }

    /// Binds `name`; false if it already stands for something else.
    fn bind(&mut self, name: &'static str, value: Option<ValueId>) -> bool {
        if let Some(bound) = self.lookup(name) {
            return bound == value;
        }
        self.0.push((name, value));
        true
    }
}

/// Matches `lines` at `root`, the node of the last line.
#[must_use]
pub fn find(lines: &[Line], graph: &Graph, root: NodeId) -> Option<Bindings> {
    let last = lines.len().checked_sub(1)?;
    search(lines, last, Some(root), graph, Bindings::default())
}

/// Matches line `index` at `node` and then all lines above it, backtracking over operand orders.
fn search(
    lines: &[Line],
    index: usize,
    node: Option<NodeId>,
    graph: &Graph,
    bindings: Bindings,
) -> Option<Bindings> {
    let line = &lines[index];
    let id = node?;
    let node = &graph[id];
    if !node.is(line.op_type) || node.inputs().len() > line.operands.len() {
        return None;
    }
    let mirrored = schema::is_commutative(line.op_type) && line.operands.len() == 2;
    let orders: &[bool] = if mirrored { &[false, true] } else { &[false] };
    orders.iter().find_map(|&mirror| {
        let mut bindings = bindings.clone();
        if !bindings.bind(line.output, node.output(0)) {
            return None;
        }
        for (slot, operand) in line.operands.iter().enumerate() {
            let value = node.input(if mirror { 1 - slot } else { slot });
            let admitted = operand.admits.is_none_or(|admits| admits(graph, value));
            if !admitted || !bindings.bind(operand.name, value) {
                return None;
            }
        }
        let Some(above) = index.checked_sub(1) else {
            return is_closed(lines, graph, &bindings).then_some(bindings);
        };
        let producer = graph.producer(bindings.value(lines[above].output)?);
        search(lines, above, producer, graph, bindings)
    })
}

/// Whether the values of all lines but the last are read inside the match only.
fn is_closed(lines: &[Line], graph: &Graph, bindings: &Bindings) -> bool {
    let made = |line: &Line| bindings.value(line.output);
    let nodes: Vec<_> = lines.iter().filter_map(|l| graph.producer(made(l)?)).collect();
    let inner = &lines[..lines.len() - 1];
    inner.iter().filter_map(made).all(|value| {
        !graph.value(value).keeps_name()
            && graph.consumers(value).all(|reader| nodes.contains(&reader))
    })
}

/// Declares a pattern and the struct its matches come back in; see the [module](self).
///
/// The struct has a [`NodeId`] field per line and a field per capture.
#[macro_export]
macro_rules! pattern {
    ($(#[$meta:meta])* $vis:vis struct $site:ident {
        $($output:ident = $op:ident($($operand:ident $(: $kind:ty)?),* $(,)?);)+
    }) => {
        $(#[$meta])*
        #[allow(dead_code, reason = "a pattern names every operand, a rewrite may not need all")]
        $vis struct $site {
            $($vis $output: $crate::NodeId, $($($vis $operand: $kind,)?)*)+
        }

        impl $site {
            const LINES: &'static [$crate::pattern::Line] = &[$($crate::pattern::Line {
                output: stringify!($output),
                op_type: stringify!($op),
                operands: &[$($crate::pattern::Operand {
                    name: stringify!($operand),
                    admits: $crate::pattern!(@admits $($kind)?),
                }),*],
            }),+];

            $vis fn find(
                graph: &$crate::Graph,
                root: $crate::NodeId,
            ) -> Result<Self, $crate::pattern::NoMatch> {
                let bindings = $crate::pattern::find(Self::LINES, graph, root);
                bindings
                    .and_then(|bindings| Self::from_bindings(graph, &bindings))
                    .ok_or($crate::pattern::NoMatch)
            }

            fn from_bindings(
                graph: &$crate::Graph,
                bindings: &$crate::pattern::Bindings,
            ) -> Option<Self> {
                Some(Self {
                    $(
                        $output: graph.producer(bindings.value(stringify!($output))?)?,
                        $($($operand: <$kind as $crate::pattern::Capture>::capture(
                            graph,
                            bindings.value(stringify!($operand)),
                        )?,)?)*
                    )+
                })
            }
        }
    };
    (@admits $kind:ty) => {
        Some(|graph, operand| {
            <$kind as $crate::pattern::Capture>::capture(graph, operand).is_some()
        })
    };
    (@admits) => {
        None
    };
}

#[cfg(test)]
#[expect(clippy::allow_attributes, reason = "the macro can't know which captures are read")]
mod tests {
    use crate::{Constant, Graph, NodeId, Scalar, ValueId, text};

    crate::pattern! {
        struct Gate {
            gate = Sigmoid(x: ValueId);
            y = Mul(x, gate);
        }
    }

    crate::pattern! {
        struct Biased {
            conv = Conv(x: ValueId, w: Constant, b: Option<Constant>);
            y = Add(conv, shift: Scalar);
        }
    }

    fn graph(body: &str) -> Graph {
        text::parse(body).expect("the text is valid").graph
    }

    fn root(graph: &Graph) -> NodeId {
        graph.producer(graph.outputs()[0]).expect("a node makes the output")
    }

    #[test]
    fn a_commutative_operator_matches_in_both_orders() {
        for order in ["Mul(x, s)", "Mul(s, x)"] {
            let graph =
                graph(&format!("g (float[2] x) => (float[2] y) {{ s = Sigmoid(x) y = {order} }}"));
            let site = Gate::find(&graph, root(&graph)).expect("it matches");
            assert_eq!(graph.value(site.x).name(), "x");
            assert_eq!(graph[site.gate].op_type, "Sigmoid");
        }
    }

    #[test]
    fn the_same_name_is_the_same_value() {
        let graph =
            graph("g (float[2] x, float[2] z) => (float[2] y) { s = Sigmoid(x) y = Mul(z, s) }");
        assert!(Gate::find(&graph, root(&graph)).is_err());
    }

    #[test]
    fn an_inner_value_read_elsewhere_does_not_match() {
        let graph = graph(
            "g (float[2] x) => (float[2] y, float[2] z) { s = Sigmoid(x) y = Mul(x, s) z = Neg(s) }",
        );
        assert!(Gate::find(&graph, root(&graph)).is_err());
    }

    #[test]
    fn an_inner_value_that_is_a_graph_output_does_not_match() {
        let graph =
            graph("g (float[2] x) => (float[2] y, float[2] s) { s = Sigmoid(x) y = Mul(x, s) }");
        assert!(Gate::find(&graph, root(&graph)).is_err());
    }

    #[test]
    fn the_type_of_a_capture_is_its_constraint() {
        let source = |w: &str, shift: &str| {
            graph(&format!(
                "g (float[1,1,2,2] x, float[1,1,1,1] v) => (float[1,1,2,2] y)
                 <float[1,1,1,1] w, float s = {{0.5}}, float[1,1,1,2] t = {{1, 2}}> {{
                    c = Conv(x, {w}) y = Add(c, {shift})
                 }}"
            ))
        };
        let fits = source("w", "s");
        let site = Biased::find(&fits, root(&fits)).expect("it matches");
        assert_eq!(site.shift, Scalar(0.5));
        assert!(site.b.is_none(), "the bias is omitted");
        for (w, shift) in [("v", "s"), ("w", "t")] {
            let graph = source(w, shift);
            assert!(Biased::find(&graph, root(&graph)).is_err(), "Conv(x, {w}), Add(c, {shift})");
        }
    }
}
