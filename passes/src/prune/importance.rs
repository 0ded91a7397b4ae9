//! How much each channel weighs.
//!
//! Along the axis of a weight that makes channels, a channel has the norm of its slice, divided by
//! the mean of these norms, so that layers of different magnitude count alike. A channel made by
//! several weights has the sum. Integers count as the numbers they stand for.
use super::analysis::{Analysis, Group};
use super::elements::Axis;
use super::propagate::constant;
use crate::slices::position;
use lapidary_ir::schema::{QuantizedSlots, integer_operator};
use lapidary_ir::{Graph, Tensor, ValueId};
use rustc_hash::FxHashMap;

/// How a slice of a weight is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Norm {
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    #[default]
    L2,
}

impl Norm {
    /// The norm of every slice of `tensor` along `axis`; none when it holds no numbers.
    #[must_use]
    pub fn of_slices(self, tensor: &Tensor, axis: usize) -> Option<Vec<f64>> {
        let extent = usize::try_from(*tensor.dims().get(axis)?).ok()?;
        let numbers = tensor.to_f32().or_else(|| {
            #[expect(clippy::cast_precision_loss, reason = "a norm is a rough measure")]
            Some(tensor.to_i64()?.into_iter().map(|value| value as f32).collect())
        })?;
        let inner: usize = tensor.dims()[axis + 1..].iter().map(|&dim| dim as usize).product();
        let mut sums = vec![0.0; extent];
        for (index, run) in numbers.chunks(inner.max(1)).enumerate() {
            let sum = &mut sums[index % extent];
            for &value in run {
                let value = f64::from(value);
                *sum += if self == Self::L1 { value.abs() } else { value * value };
            }
        }
        if self == Self::L2 {
            sums.iter_mut().for_each(|sum| *sum = sum.sqrt());
        }
        Some(sums)
    }
}

/// The importance of every channel, by group and number within the group.
#[must_use]
pub fn importance(graph: &Graph, analysis: &Analysis, norm: Norm) -> Vec<Vec<f64>> {
    analysis.groups.iter().map(|group| of_group(graph, analysis, group, norm)).collect()
}

fn of_group(graph: &Graph, analysis: &Analysis, group: &Group, norm: Norm) -> Vec<f64> {
    let numbers: FxHashMap<usize, usize> =
        group.channels.iter().enumerate().map(|(number, &channel)| (channel, number)).collect();
    let mut scores = vec![0.0; group.size];
    for place in &group.producers {
        let owners = &analysis.owners[place];
        let Some(source) = analysis.source_axis(graph, *place) else { continue };
        let tensor = constant(graph, source.value);
        let norms = tensor.and_then(|tensor| norm.of_slices(&tensor, source.axis));
        let Some(mut norms) = norms else { continue };
        if let Some(steps) = steps(graph, place.value, source) {
            norms.iter_mut().zip(steps).for_each(|(norm, step)| *norm *= f64::from(step.abs()));
        }
        let mean = norms.iter().sum::<f64>() / norms.len() as f64;
        if mean > 0.0 {
            for (owner, norm) in owners.iter().zip(norms) {
                if let Some(&number) = numbers.get(owner) {
                    scores[number] += norm / mean;
                }
            }
        }
    }
    scores
}

/// The distance of neighbouring numbers in each slice of constant integers that `weight` is restored from; none where it is
/// the same for all.
fn steps(graph: &Graph, mut weight: ValueId, source: Axis) -> Option<Vec<f32>> {
    if weight == source.value {
        return steps_next_to(graph, source);
    }
    while weight != source.value {
        let node = &graph[graph.producer(weight)?];
        weight = node.input(0)?;
        if node.is("DequantizeLinear") && weight == source.value {
            let scales = constant(graph, node.input(1)?)?.to_f32()?;
            let rank = graph.value(weight).shape()?.len();
            let axis = position(node.int("axis").unwrap_or(1), rank)?;
            let blocks = node.int("block_size").unwrap_or(0) != 0;
            return (axis == source.axis && !blocks && scales.len() > 1).then_some(scales);
        }
    }
    None
}

/// The same for integers that an operator reads as they are, with their scales next to them.
fn steps_next_to(graph: &Graph, weight: Axis) -> Option<Vec<f32>> {
    let node = &graph[graph.consumers(weight.value).next()?];
    let operator = integer_operator(node)?;
    let mut operands = operator.operands_of(node).enumerate();
    let read = |slots: &QuantizedSlots| node.input(slots.integers) == Some(weight.value);
    let (place, slots) = operands.find(|(_, slots)| read(slots))?;
    let rank = graph.value(weight.value).shape()?.len();
    let scales = constant(graph, node.input(slots.scale)?)?.to_f32()?;
    let along = operator.scale_axis(node, place, rank) == Some(weight.axis);
    (along && scales.len() > 1).then_some(scales)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    /// The scores of the channels of the first of two convolutions.
    fn scores(weights: &str, restored: &str) -> Vec<f64> {
        let source = format!(
            "g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <{weights}, float[1,2,1,1] v = {{1, 1}}>
            {{ {restored} a = Conv(x, w) r = Relu(a) y = Conv(r, v) }}"
        );
        let mut model = parse(&source);
        model.graph.infer();
        let analysis = Analysis::of(&model.graph);
        importance(&model.graph, &analysis, Norm::L2).remove(0)
    }

    #[test]
    fn integers_count_in_steps_of_their_scales() {
        let float = scores("float[2,1,1,1] w = {3, -1}", "");
        assert_eq!(float, [1.5, 0.5]);
        let integers = "int8[2,1,1,1] q = {100, -100}, float[2] s = {0.03, 0.01}";
        let found = scores(integers, "w = DequantizeLinear <axis = 0> (q, s)");
        let near = found.iter().zip(&float).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found:?}");
        let one = "int8[2,1,1,1] q = {3, -1}, float s = {0.5}";
        assert_eq!(scores(one, "w = DequantizeLinear(q, s)"), float);
    }

    #[test]
    fn integers_of_an_operator_on_integers_count_in_steps_of_the_scales_next_to_them() {
        let mut model = parse(
            "g (uint8[1,1,4,4] x) => (uint8[1,1,4,4] y)
            <float t = {0.1}, uint8 u = {128}, int8[2,1,1,1] w = {100, -100}, float[2] s = {0.03, 0.01},
             int8[2] z = {0, 0}, int8[1,2,1,1] v = {1, 1}, int8 n = {0}>
            { a = QLinearConv(x, t, u, w, s, z, t, u) y = QLinearConv(a, t, u, v, t, n, t, u) }",
        );
        model.graph.infer();
        let analysis = Analysis::of(&model.graph);
        let found = importance(&model.graph, &analysis, Norm::L2).remove(0);
        assert!((found[0] - 1.5).abs() < 1e-6 && (found[1] - 0.5).abs() < 1e-6, "{found:?}");
    }
}
