//! A convolution and the activation behind it, as one.
//!
//! ONNX has no portable operator for the two together; runtimes compute them in one loop all the
//! same. Passes that place something around a convolution place it around the unit.
use super::bounds::Bounds;
use lapidary_ir::{Graph, Node, NodeId, ValueId};

/// A `Conv` and the activation that alone reads its output, if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The `Conv`.
    pub conv: NodeId,
    /// The activation.
    pub activation: Option<NodeId>,
    /// What leaves the unit: the output of the activation, else of the convolution.
    pub output: ValueId,
    /// The least and the greatest number the activation lets out, where it has a bound.
    pub range: (Option<f32>, Option<f32>),
}

impl Unit {
    /// The unit of the convolution `conv`; none if the node is no `Conv`.
    #[must_use]
    pub fn at(graph: &Graph, conv: NodeId) -> Option<Self> {
        if !graph[conv].is("Conv") {
            return None;
        }
        let output = graph[conv].output(0)?;
        let alone = Self { conv, activation: None, output, range: (None, None) };
        let Some(reader) = graph.only_use(output).map(|only| only.node) else { return Some(alone) };
        let reads_it_as_data = graph[reader].input(0) == Some(output);
        let (Some(range), Some(output)) = (range(graph, reader), graph[reader].output(0)) else {
            return Some(alone);
        };
        if !reads_it_as_data {
            return Some(alone);
        }
        Some(Self { conv, activation: Some(reader), output, range })
    }
}

/// The units of a graph, in topological order.
#[must_use]
pub fn units(graph: &Graph) -> Vec<Unit> {
    graph.topological_order().into_iter().filter_map(|id| Unit::at(graph, id)).collect()
}

/// The numbers an activation can produce; none if the node is no activation, or a `Clip` or
/// `PRelu` whose parameters are computed.
fn range(graph: &Graph, id: NodeId) -> Option<(Option<f32>, Option<f32>)> {
    let node = &graph[id];
    if !node.is_standard() {
        return None;
    }
    Some(match node.op_type.as_str() {
        "Relu" | "Clip" => {
            let bounds = Bounds::of(graph, id)?;
            (bounds.low.map(|low| low as f32), bounds.high.map(|high| high as f32))
        }
        "Sigmoid" | "HardSigmoid" => (Some(0.0), Some(1.0)),
        "Tanh" | "Softsign" => (Some(-1.0), Some(1.0)),
        "Softplus" => (Some(0.0), None),
        "ThresholdedRelu" => (Some(node.float("alpha").unwrap_or(1.0).min(0.0)), None),
        "Elu" | "Celu" => (floor(node, 1.0, 1.0), None),
        "Selu" => (floor(node, 1.673_263_2, node.float("gamma").unwrap_or(1.050_701)), None),
        // x · (x + 3) / 6 at x = −1.5.
        "HardSwish" => (Some(-0.375), None),
        // The minima of x · Φ(x), of x · sigmoid(x) and of x · tanh(softplus(x)), rounded down.
        "Gelu" => (Some(-0.17005), None),
        "Swish" if node.float("alpha").is_none_or(|alpha| alpha == 1.0) => (Some(-0.278_465), None),
        "Mish" => (Some(-0.308_85), None),
        "LeakyRelu" | "Swish" => (None, None),
        "PRelu" if graph.constant_input(id, 1).is_some() => (None, None),
        _ => return None,
    })
}

/// −alpha · gamma, the limit of exponential units for small numbers.
fn floor(node: &Node, alpha: f32, gamma: f32) -> Option<f32> {
    let alpha = node.float("alpha").unwrap_or(alpha);
    (alpha >= 0.0 && gamma >= 0.0).then_some(-alpha * gamma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    /// Each unit as `conv -> output [range]`.
    fn found(source: &str) -> Vec<String> {
        let graph = parse(source).graph;
        let name = |id: ValueId| graph.value(id).name().to_owned();
        let line = |unit: &Unit| {
            let conv = name(graph[unit.conv].output(0).expect("a Conv has an output"));
            format!("{conv} -> {} {:?}", name(unit.output), unit.range)
        };
        units(&graph).iter().map(line).collect()
    }

    #[test]
    fn ends_behind_the_activation() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y)
            <float[3,3,1,1] w, float low = {-1}, float high = {6}>
            {
                a = Conv(x, w)
                b = Relu(a)
                c = Conv(b, w)
                d = Clip(c, low, high)
                e = Conv(d, w)
                f = HardSwish(e)
                y = Conv(f, w)
            }
        ";
        let expected = [
            "a -> b (Some(0.0), None)",
            "c -> d (Some(-1.0), Some(6.0))",
            "e -> f (Some(-0.375), None)",
            "y -> y (None, None)",
        ];
        assert_eq!(found(source), expected);
    }

    #[test]
    fn ends_at_a_convolution_that_is_read_twice() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y, float[1,3,8,8] z)
            <float[3,3,1,1] w>
            {
                a = Conv(x, w)
                y = Relu(a)
                z = Sigmoid(a)
            }
        ";
        assert_eq!(found(source), ["a -> a (None, None)"]);
    }

    #[test]
    fn ends_at_a_convolution_that_is_an_output() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y, float[1,3,8,8] a)
            <float[3,3,1,1] w>
            {
                a = Conv(x, w)
                y = Relu(a)
            }
        ";
        assert_eq!(found(source), ["a -> a (None, None)"]);
    }

    #[test]
    fn ends_before_bounds_that_are_computed() {
        let source = "
            g (float[1,3,8,8] x, float low) => (float[1,3,8,8] y)
            <float[3,3,1,1] w>
            {
                a = Conv(x, w)
                y = Clip(a, low)
            }
        ";
        assert_eq!(found(source), ["a -> a (None, None)"]);
    }

    #[test]
    fn ends_before_a_sum() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y)
            <float[3,3,1,1] w>
            {
                a = Conv(x, w)
                y = Add(a, x)
            }
        ";
        assert_eq!(found(source), ["a -> a (None, None)"]);
    }
}
