//! SmoothQuant: G. Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
//! Models", ICML 2023.
use super::change::FloatChange;
use super::edits::Edits;
use super::limits::{Limit, limits};
use super::path::Path;
use super::source::Source;
use super::statistics::ChannelStatistics;
use super::weights::Weights;
use crate::PassError;
use lapidary_ir::{Graph, Model, NodeId};
use std::collections::{BTreeMap, BTreeSet};

const STEP: &str = "smooth";

/// The strengths that are tried when none is given.
pub const ALPHAS: [f64; 3] = [0.5, 0.25, 0.75];

/// What a channel is divided by at least.
const LEAST: f64 = 1e-5;

/// What makes activations, and the products that read them.
struct Site {
    label: String,
    source: Source,
    path: Path,
    limits: Vec<Limit>,
    /// max |Xⱼ| of every channel.
    reach: Vec<f64>,
}

/// Divides the channels of activations in what makes them, and multiplies those of the weights that read them:
///
/// X W = (X S⁻¹) (S W), S = diag(s), sⱼ = max |Xⱼ|^α / max |Wⱼ|^(1 − α),
///
/// with one s for all products that read the activations, and the maximum of all their weights.
///
/// Activations may come from a normalization, a product or a factor per channel.
///
/// # Errors
/// When the changed constants don't fit the graph: a fault of this step.
pub fn smooth(
    model: &mut Model,
    statistics: &ChannelStatistics,
    alpha: f64,
) -> Result<FloatChange, PassError> {
    let graph = &model.graph;
    let mut change = FloatChange::of(STEP);
    let mut edits = Edits::default();
    for site in sites(graph, statistics, &mut change) {
        site.smooth(graph, &mut edits, alpha);
        change.changed.push(site.label);
    }
    edits.apply(model, STEP)?;
    change.alpha = (!change.is_empty()).then_some(alpha);
    Ok(change)
}

/// Whether a product reads a normalization all readers of which can be scaled.
pub(in crate::quantize) fn is_smoothable(graph: &Graph) -> bool {
    let normalized = |id: NodeId| {
        let source = Source::of(graph, graph[id].input(0)?).ok()?;
        let path = Path::from(graph, source.value, source.axis, source.channels).ok()?;
        let known = path.readers.iter().all(|reader| !graph[reader.node].is("Conv"));
        Some(known && graph[source.node].op_type.ends_with("Normalization"))
    };
    let is_site = |(id, _)| is_dense(graph, id) && normalized(id).unwrap_or(false);
    graph.nodes().any(is_site)
}

/// Whether a node is the product of a matrix with constant weights.
fn is_dense(graph: &Graph, id: NodeId) -> bool {
    (graph[id].is("MatMul") || graph[id].is("Gemm")) && Weights::is_product(graph, id)
}

fn sites(graph: &Graph, statistics: &ChannelStatistics, change: &mut FloatChange) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    let mut seen: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
    let order = graph.topological_order().into_iter();
    for id in order.filter(|&id| is_dense(graph, id)) {
        let mut found = || -> Result<Option<Site>, String> {
            let value = graph[id].input(0).ok_or("it reads nothing")?;
            let source = Source::of(graph, value)?;
            if seen.get(&source.node).is_some_and(|readers| readers.contains(&id)) {
                return Ok(None);
            }
            let site = site(graph, source, statistics)?;
            let readers = site.path.readers.iter().map(|reader| reader.node).collect();
            seen.insert(site.source.node, readers);
            Ok(Some(site))
        };
        match found() {
            Ok(site) => sites.extend(site),
            Err(reason) => change.leave(reason, graph[id].label(graph)),
        }
    }
    sites
}

fn site(graph: &Graph, source: Source, statistics: &ChannelStatistics) -> Result<Site, String> {
    let path = Path::from(graph, source.value, source.axis, source.channels)?;
    let mut reach = vec![0.0f64; source.channels];
    for reader in &path.readers {
        if graph[reader.node].is("Conv") {
            return Err("Conv reads it".to_owned());
        }
        let value = graph[reader.node].input(0).ok_or("it reads nothing")?;
        let axis = graph.value(value).shape().map_or(1, |shape| shape.len() - 1);
        let ranges = statistics.ranges(graph.value(value).name(), axis, source.channels);
        let ranges = ranges.ok_or("what it reads was not observed")?;
        for (reach, (min, max)) in reach.iter_mut().zip(ranges) {
            *reach = reach.max(f64::from(min.abs().max(max.abs())));
        }
    }
    let limits = limits(graph, &path.bounds, source.channels, statistics)?;
    let label = path.label(graph, graph[source.node].label(graph));
    Ok(Site { label, source, path, limits, reach })
}

impl Site {
    fn smooth(&self, graph: &Graph, edits: &mut Edits, alpha: f64) {
        let mut weights = vec![0.0f64; self.source.channels];
        for reader in &self.path.readers {
            let ranges = reader.input_ranges(graph, edits);
            weights.iter_mut().zip(ranges).for_each(|(most, range)| *most = most.max(range));
        }
        let scale = |channel: usize| {
            let wanted = factor(self.reach[channel], weights[channel], alpha);
            self.limits[channel].apply(wanted)
        };
        let scale: Vec<f64> = (0..self.source.channels).map(scale).collect();
        self.source.divide(graph, edits, &scale);
        self.path.pass(graph, edits, &scale);
    }
}

/// max |X|^α / max |W|^(1 − α); 1 if a side is 0.
fn factor(activations: f64, weights: f64, alpha: f64) -> f64 {
    if activations > 0.0 && weights > 0.0 {
        (activations.powf(alpha) / weights.powf(1.0 - alpha)).max(LEAST)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Changed, change};
    use super::*;
    use insta::assert_snapshot;

    fn smoothed(source: &str) -> Changed {
        change(source, |model, statistics| smooth(model, statistics, 0.5))
    }

    fn near(found: &[f32], wanted: &[f32]) {
        let close = |(found, wanted): (&f32, &f32)| (found - wanted).abs() < 1e-3 * wanted;
        assert!(found.iter().zip(wanted).all(close), "{found:?} {wanted:?}");
        assert_eq!(found.len(), wanted.len());
    }

    #[test]
    fn the_strength_divides_the_range() {
        assert_eq!(factor(16.0, 4.0, 0.5), 2.0);
        assert_eq!(factor(16.0, 4.0, 0.0), 0.25);
        assert_eq!(factor(16.0, 4.0, 1.0), 16.0);
        assert_eq!((factor(0.0, 4.0, 0.5), factor(4.0, 0.0, 0.5)), (1.0, 1.0));
    }

    #[test]
    fn readers_of_a_normalization_share_their_factors() {
        let found = smoothed(
            "g (float[1,3,2] x) => (float[1,3,2] y, float[1,3,1] z)
            <float[2] scale = {16, 1}, float[2] bias = {0, 0}, float[2,2] a = {4, 1, 1, 4}, float[2,1] b = {1, 0.5}>
            {
                n = LayerNormalization(x, scale, bias)
                y = MatMul(n, a)
                z = MatMul(n, b)
            }",
        );
        // A normalized pair is (1, −1) or (−1, 1): s = √16 / √4 = 2 and √1 / √4 = 1/2.
        near(&found.numbers("scale"), &[8.0, 2.0]);
        near(&found.numbers("a"), &[8.0, 2.0, 0.5, 2.0]);
        near(&found.numbers("b"), &[2.0, 0.25]);
        assert_snapshot!(found.report, @"n -> y, z");
    }

    #[test]
    fn a_scale_that_others_read_is_copied() {
        let found = smoothed(
            "g (float[1,3,2] x) => (float[1,3,2] y, float[1,3,2] o)
            <float[2] scale = {16, 1}, float[2,2] a = {4, 1, 1, 4}>
            {
                n = LayerNormalization(x, scale)
                y = MatMul(n, a)
                o = LayerNormalization(x, scale)
            }",
        );
        near(&found.numbers("scale_1"), &[8.0, 2.0]);
        assert_eq!(found.numbers("scale"), [16.0, 1.0]);
        assert!(found.text.contains("o = LayerNormalization(x, scale)"), "{}", found.text);
    }

    #[test]
    fn products_and_factors_are_sources() {
        let found = smoothed(
            "g (float[2,2] x) => (float[2,2] y)
            <float[2] f = {8, 2}, float[2,2] a = {4, 1, 1, 4}, float[2] b = {1, -1}, float[2,2] c = {4, 9, 1, 4}>
            {
                n = Tanh(x)
                m = Mul(n, f)
                p = MatMul(m, a)
                q = Add(p, b)
                y = MatMul(q, c)
            }",
        );
        assert_snapshot!(found.report, @r"
        m -> p
        p -> y
        ");
        assert!(found.is_changed);
    }

    #[test]
    fn what_others_read_is_left_alone_and_named() {
        let found = smoothed(
            "g (float[1,3,2] x) => (float[1,3,2] y, float[1,3,2] z)
            <float[2] scale = {16, 1}, float[2,2] a = {4, 1, 1, 4}, float[2,2] b = {4, 1, 1, 4}>
            {
                n = LayerNormalization(x, scale)
                p = MatMul(n, a)
                y = Add(p, n)
                s = Softmax(y)
                z = MatMul(s, b)
            }",
        );
        assert_snapshot!(found.report, @r"
        p: Add reads it
        z: it comes from Softmax
        ");
        assert!(!found.is_changed);
    }
}
