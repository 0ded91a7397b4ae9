//! Cross-layer equalization: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
//! Correction", ICCV 2019.
use super::change::FloatChange;
use super::edits::Edits;
use super::limits::{Limit, limits};
use super::path::Path;
use super::statistics::ChannelStatistics;
use super::weights::Weights;
use crate::PassError;
use lapidary_ir::{Graph, Model};

const STEP: &str = "equalize";

/// Rounds over all pairs at most.
const ROUNDS: usize = 20;

/// A round that changes no factor by more than this part of it is the last.
const TOLERANCE: f64 = 1e-3;

/// What a channel is divided by at most; at least it is 1 over this.
const MOST: f64 = 100.0;

/// A product, those behind it, and what its channels were divided by so far.
struct Pair {
    label: String,
    first: Weights,
    path: Path,
    limits: Vec<Limit>,
    scale: Vec<f64>,
}

/// Moves the scales of channels between products W₁ and W₂ connected by f with f(s x) = s f(x):
///
/// W₂ f(W₁ x + b₁) = (W₂ S) f(S⁻¹ W₁ x + S⁻¹ b₁), S = diag(s), with
/// sᵢ = √(r₁ᵢ / r₂ᵢ), r₁ᵢ = max over j of |W₁ᵢⱼ|, r₂ᵢ = max over j of |W₂ⱼᵢ|,
///
/// after which both are √(r₁ᵢ r₂ᵢ). A product is in two pairs, with what is before and what is behind it, so this is
/// repeated until nothing changes. Behind a Clip s is limited such that it passes what it passed of the samples the
/// statistics are from.
///
/// # Errors
/// When the changed constants don't fit the graph: a fault of this step.
pub fn equalize(
    model: &mut Model,
    statistics: &ChannelStatistics,
) -> Result<FloatChange, PassError> {
    let graph = &model.graph;
    let mut change = FloatChange::of(STEP);
    let mut pairs = pairs(graph, statistics, &mut change);
    let mut edits = Edits::default();
    for _ in 0..ROUNDS {
        let moved = pairs.iter_mut().map(|pair| pair.balance(graph, &mut edits));
        if moved.fold(0.0, f64::max) < TOLERANCE {
            break;
        }
    }
    let moved = |pair: &&Pair| pair.scale.iter().any(|&scale| scale != 1.0);
    change.changed = pairs.iter().filter(moved).map(|pair| pair.label.clone()).collect();
    for pair in pairs.iter().filter(|pair| !moved(pair)) {
        let cut = pair.limits.contains(&Limit::One);
        let reason = if cut { "Clip cuts off all of its channels" } else { "it is even already" };
        change.leave(reason, graph[pair.first.node].label(graph));
    }
    edits.apply(model, STEP)?;
    Ok(change)
}

fn pairs(graph: &Graph, statistics: &ChannelStatistics, change: &mut FloatChange) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let order = graph.topological_order().into_iter();
    for id in order.filter(|&id| Weights::is_product(graph, id)) {
        let found = || -> Result<Pair, String> {
            let first = Weights::of(graph, id)?;
            let output = graph[id].output(0).ok_or("nothing reads it")?;
            let path = Path::from(graph, output, first.axis, first.outputs)?;
            let limits = limits(graph, &path.bounds, first.outputs, statistics)?;
            let scale = vec![1.0; first.outputs];
            let label = path.label(graph, graph[id].label(graph));
            Ok(Pair { label, first, path, limits, scale })
        };
        match found() {
            Ok(pair) => pairs.push(pair),
            Err(reason) => change.leave(reason, graph[id].label(graph)),
        }
    }
    pairs
}

impl Pair {
    /// Makes the ranges of both sides the same. Returns by how much the factors changed at most.
    fn balance(&mut self, graph: &Graph, edits: &mut Edits) -> f64 {
        let before = self.first.output_ranges(graph, edits);
        let mut behind = vec![0.0f64; self.first.outputs];
        for reader in &self.path.readers {
            let ranges = reader.input_ranges(graph, edits);
            behind.iter_mut().zip(ranges).for_each(|(most, range)| *most = most.max(range));
        }
        let mut moved = 0.0f64;
        let mut factors = Vec::with_capacity(before.len());
        for (channel, total) in self.scale.iter_mut().enumerate() {
            let wanted = *total * factor(before[channel], behind[channel]);
            let allowed = self.limits[channel].apply(wanted.clamp(1.0 / MOST, MOST));
            let factor = allowed / *total;
            moved = moved.max((factor - 1.0).abs());
            factors.push(factor);
            *total = allowed;
        }
        self.path.divide(graph, edits, &self.first, &factors);
        moved
    }
}

/// √(r₁ / r₂); 1 if a side is 0.
fn factor(before: f64, behind: f64) -> f64 {
    if before > 0.0 && behind > 0.0 { (before / behind).sqrt() } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Changed, change};
    use super::*;
    use insta::assert_snapshot;

    fn equalized(source: &str) -> Changed {
        change(source, equalize)
    }

    #[test]
    fn both_sides_become_the_geometric_mean() {
        assert_eq!(factor(8.0, 2.0), 2.0);
        assert_eq!((8.0 / factor(8.0, 2.0), 2.0 * factor(8.0, 2.0)), (4.0, 4.0));
        assert_eq!((factor(0.0, 2.0), factor(2.0, 0.0)), (1.0, 1.0));
    }

    #[test]
    fn a_relu_passes_factors_on() {
        let found = equalized(
            "g (float[N,2] x) => (float[N,2] y)
            <float[2,2] a = {8, 1, 4, -1}, float[2] b = {2, -3},
             float[2,2] c = {1, 2, -4, 1}, float[2] d = {1, 2}>
            {
                p = Gemm(x, a, b)
                r = Relu(p)
                y = Gemm(r, c, d)
            }",
        );
        // r₁ = (8, 1), r₂ = (2, 4): s = (2, 1/2).
        assert_snapshot!(found.text, @r"
        g (float[N,2] x) => (float[N,2] y)
        <float[2,2] a = {4, 2, 2, -2}, float[2] b = {1, -6}, float[2,2] c = {2, 4, -2, 0.5},
            float[2] d = {1, 2}>
        {
            p = Gemm(x, a, b)
            r = Relu(p)
            y = Gemm(r, c, d)
        }
        ");
        assert_snapshot!(found.report, @r"
        p -> y
        y: it is an output of the model
        ");
    }

    #[test]
    fn a_chain_through_a_depthwise_convolution_converges() {
        let found = equalized(
            r#"g (float[1,1,3,3] x) => (float[1,1,1,1] y)
            <float[2,1,1,1] a = {16, 1}, float[2,1,3,3] d = {4,1,1,1,1,1,1,1,1, 2,1,1,1,1,1,1,1,1},
             float[1,2,1,1] c = {1, 2}>
            {
                p = Conv(x, a)
                r = LeakyRelu<alpha = 0.1>(p)
                q = Conv<group = 2>(r, d)
                m = MaxPool<kernel_shape = [1, 1]>(q)
                y = Conv(m, c)
            }"#,
        );
        assert_snapshot!(found.report, @r"
        p -> q
        q -> y
        y: it is an output of the model
        ");
        // ∛(16 · 4 · 1) = 4 and ∛(1 · 2 · 2) = 1.5874 everywhere.
        let numbers = |name: &str| found.numbers(name);
        let near = |found: f32, wanted: f32| assert!((found - wanted).abs() < 0.02, "{found}");
        for (name, at) in [("a", 0), ("d", 0), ("c", 0)] {
            near(numbers(name)[at], 4.0);
        }
        for (name, at) in [("a", 1), ("d", 9), ("c", 1)] {
            near(numbers(name)[at], 1.5874);
        }
    }

    #[test]
    fn a_clip_keeps_what_it_passes() {
        // Channel 0 stays below 6 and may grow; channel 1 is cut off.
        let found = equalized(
            "g (float[4,2] x) => (float[4,2] y)
            <float[2,2] a = {0.1, 50, 0.1, 50}, float[2] b = {3, 0}, float low = {0}, float high = {6},
             float[2,2] c = {9, 1, 1, 9}>
            {
                p = Gemm(x, a, b)
                r = Clip(p, low, high)
                y = MatMul(r, c)
            }",
        );
        assert_snapshot!(found.report, @r"
        p -> y
        y: it is an output of the model
        ");
        let (a, c) = (found.numbers("a"), found.numbers("c"));
        assert!(a[0] > 0.1 && c[0] < 9.0, "{a:?} {c:?}");
        assert_eq!((a[1], c[2]), (50.0, 1.0));
    }

    #[test]
    fn readers_are_scaled_together() {
        let found = equalized(
            "g (float[N,2] x) => (float[N,1] y, float[N,1] z)
            <float[2,2] a = {8, 1, 4, -1}, float[2] b = {2, -3},
             float[2,1] c = {1, 2}, float[2,1] d = {2, 4}>
            {
                p = MatMul(x, a)
                q = Add(p, b)
                y = MatMul(q, c)
                z = MatMul(q, d)
            }",
        );
        assert_snapshot!(found.text, @r"
        g (float[N,2] x) => (float[N,1] y, float[N,1] z)
        <float[2,2] a = {4, 2, 2, -2}, float[2] b = {1, -6}, float[2,1] c = {2, 1}, float[2,1] d = {4, 2}>
        {
            p = MatMul(x, a)
            q = Add(p, b)
            y = MatMul(q, c)
            z = MatMul(q, d)
        }
        ");
        assert_snapshot!(found.report, @r"
        p -> y, z
        y, z: it is an output of the model
        ");
    }

    #[test]
    fn channels_are_followed_to_the_classifier() {
        let found = equalized(
            "g (float[1,2,2,2] x) => (float[1,2] y)
            <float[2,1,1,1] a = {8, 1}, float[2] slope = {-1, 0.5}, float half = {0.5},
             int64[2] shape = {1, -1}, float[2,2] c = {1, 2, -1, 4}>
            {
                p = Conv<group = 2>(x, a)
                q = PRelu(p, slope)
                r = AveragePool<kernel_shape = [2, 2]>(q)
                s = GlobalAveragePool(r)
                t = Mul(half, s)
                u = Reshape(t, shape)
                v = Transpose<perm = [1, 0]>(u)
                w = Transpose<perm = [1, 0]>(v)
                y = Gemm<transB = 1>(w, c)
            }",
        );
        // r₁ = (8, 1), r₂ = (1, 4): s = (√8, 1/2).
        assert_eq!((found.numbers("a")[1], found.numbers("c")[3]), (2.0, 2.0));
        assert!((found.numbers("a")[0] - 8f32.sqrt()).abs() < 1e-6);
        assert_snapshot!(found.report, @r"
        p -> y
        y: it is an output of the model
        ");
    }

    #[test]
    fn what_mixes_channels_is_named() {
        let found = equalized(
            "g (float[1,2,2,2] x) => (float[1,2] y, float[1,4,2] z)
            <float[2,2,1,1] a = {8, 1, 1, 1}, float[2,2,1,1] b = {8, 1, 1, 1}, float[8,2] c = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7},
             float[2] low = {0, 0}, int64[3] shape = {1, 4, 2}, float[2,2] d = {1, 2, 3, 4}, float[2,2] e = {1,2,3,4}>
            {
                p = Conv(x, a)
                u = Flatten(p)
                y = Gemm(u, c)
                q = Conv(x, b)
                v = Reshape(q, shape)
                w = MatMul(v, d)
                t = Add(w, low)
                s = HardSigmoid(t)
                z = MatMul(s, e)
            }",
        );
        assert_snapshot!(found.report, @r"
        p: Flatten mixes channels
        w: HardSigmoid reads it
        q: Reshape mixes channels
        y, z: it is an output of the model
        ");
        assert!(!found.is_changed);
    }

    #[test]
    fn what_others_read_is_left_alone_and_named() {
        let found = equalized(
            "g (float[N,2] x) => (float[N,2] y, float[N,2] o)
            <float[2,2] a = {8, 1, 4, -1}, float[2,2] b = {8, 1, 4, -1}, float[2,2] c = {8, 1, 4, -1},
             float[2,2] d = {2, 1, 4, -1}>
            {
                p = MatMul(x, a)
                s = Sigmoid(p)
                q = MatMul(s, b)
                t = Add(q, x)
                o = MatMul(t, c)
                v = MatMul(o, d)
                w = MatMul(v, d)
                y = Add(w, x)
            }",
        );
        assert_snapshot!(found.report, @r"
        q: Add reads it
        p: Sigmoid reads it
        o: it is an output of the model
        v, w: the weights have several readers
        ");
        assert!(!found.is_changed);
    }
}
