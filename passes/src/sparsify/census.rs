//! Zeros in the weights of products.
use super::layer::layout_of;
use super::layout::{Layout, Order};
use lapidary_ir::{Graph, Node, Tensor};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many numbers of a weight stand for 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightSparsity {
    /// The constant that holds the numbers, or the integers that stand for them.
    pub name: String,
    /// Numbers.
    pub elements: usize,
    /// Those that are 0.
    pub zeros: usize,
    /// Whether of every four that follow each other along the input channels at least two are 0.
    pub two_of_four: bool,
}

/// The weights of Conv, Gemm and MatMul, in floating point or as integers, each once, in the order of their readers.
#[must_use]
pub fn sparsity(graph: &Graph) -> Vec<WeightSparsity> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for id in graph.topological_order() {
        let Some((name, tensor, zeros, layout)) = stored(graph, &graph[id]) else { continue };
        if !seen.insert(name.to_owned()) {
            continue;
        }
        let zero = layout.matrix(&zeros);
        let fours = layout.channels % 4 == 0;
        let half = |four: &[bool]| four.iter().filter(|zero| **zero).count() >= 2;
        found.push(WeightSparsity {
            name: name.to_owned(),
            elements: tensor.len(),
            zeros: zero.iter().filter(|zero| **zero).count(),
            two_of_four: fours && zero.chunks(4).all(half),
        });
    }
    found
}

type Stored<'a> = (&'a str, &'a Arc<Tensor>, Vec<bool>, Layout);

/// The weights of a product: the constant, which of its numbers stand for 0, and the layout.
fn stored<'a>(graph: &'a Graph, node: &Node) -> Option<Stored<'a>> {
    let (weights, zero_point) = match node.op_type.as_str() {
        "Conv" | "Gemm" | "MatMul" => {
            let weights = node.input(1)?;
            match graph.producer(weights).map(|id| &graph[id]) {
                Some(maker) if maker.is("DequantizeLinear") => (maker.input(0)?, maker.input(2)),
                Some(_) => return None,
                None => (weights, None),
            }
        }
        "ConvInteger" | "MatMulInteger" => (node.input(1)?, node.input(3)),
        "QLinearConv" | "QLinearMatMul" => (node.input(3)?, node.input(5)),
        _ => return None,
    };
    let tensor = graph.constant(weights)?;
    let layout = match node.op_type.as_str() {
        "ConvInteger" | "QLinearConv" => {
            let &[rows, channels, ref kernel @ ..] = tensor.dims() else { return None };
            let taps = kernel.iter().product::<i64>() as usize;
            let (rows, channels) = (rows as usize, channels as usize);
            Layout { rows, channels, taps, groups: 1, order: Order::Rows }
        }
        "MatMulInteger" | "QLinearMatMul" => {
            let &[channels, rows] = tensor.dims() else { return None };
            let (rows, channels) = (rows as usize, channels as usize);
            Layout { rows, channels, taps: 1, groups: 1, order: Order::Columns }
        }
        _ => layout_of(graph, node, tensor).ok()?,
    };
    if tensor.is_empty() {
        return None;
    }
    let zeros = match tensor.to_f32() {
        Some(numbers) => numbers.into_iter().map(|number| number == 0.0).collect(),
        None => {
            let codes = tensor.to_i64()?;
            let point = match zero_point {
                Some(id) => graph.constant(id)?.to_i64()?,
                None => vec![0],
            };
            // With points that differ the codes alone do not tell.
            let first = *point.first()?;
            if point.iter().any(|&other| other != first) {
                return None;
            }
            codes.into_iter().map(|code| code == first).collect()
        }
    };
    Some((graph.value(weights).name(), tensor, zeros, layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn found(source: &str) -> Vec<(String, usize, bool)> {
        let model = parse(source);
        let found = sparsity(&model.graph).into_iter();
        found.map(|weight| (weight.name, weight.zeros, weight.two_of_four)).collect()
    }

    #[test]
    fn two_of_four_run_along_the_input_channels() {
        let source = "
            g (float[1,4] x) => (float[1,2] y, float[1,2] z)
            <float[4,2] w = {1, 0, 2, 0, 0, 3, 0, 4}, float[2,4] v = {1, 0, 2, 0, 0, 3, 1, 4}>
            {
                y = MatMul(x, w)
                z = Gemm<transB = 1>(x, v)
            }
        ";
        assert_eq!(found(source), [("w".to_owned(), 4, true), ("v".to_owned(), 3, false)]);
    }

    #[test]
    fn integers_that_stand_for_zero_are_zeros() {
        let source = "
            g (float[1,4,1,1] x) => (float[1,1,1,1] y)
            <uint8[1,4,1,1] w = {128, 7, 128, 0}, float s = {0.5}, uint8 p = {128}>
            {
                d = DequantizeLinear(w, s, p)
                y = Conv(x, d)
            }
        ";
        assert_eq!(found(source), [("w".to_owned(), 2, true)]);
    }
}
