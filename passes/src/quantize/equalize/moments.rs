//! The mean of every channel of what products read, without samples.
use super::super::calibration::Calibration;
use super::super::placement::{Support, support};
use super::super::target::Target;
use super::edits::Edits;
use super::weights::Weights;
use lapidary_ir::{Graph, NodeId};
use std::collections::BTreeMap;
use std::fmt;

use super::normal::Moments;

/// Where the moments of a value are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::quantize) enum Origin {
    /// β and |γ| of a normalization.
    Normalization,
    /// Weights and biases, with what was observed of the value as a whole.
    Weights,
    /// What was observed of the value as a whole, the same for all channels.
    Whole,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normalization => "normalization",
            Self::Weights => "weights before it",
            Self::Whole => "mean of all channels",
        })
    }
}

/// Moments of the channels of values, by name. Channels are as many as the product behind them reads.
#[derive(Clone, Debug, Default)]
pub struct ChannelMoments {
    values: BTreeMap<String, (Origin, Vec<Moments>)>,
}

/// A channel of a normalized value is N(β, γ²).
impl ChannelMoments {
    /// What the normalizations of a graph say of their results. Take a graph whose normalizations are not folded yet:
    /// their results keep their names.
    #[must_use]
    pub fn of_normalizations(graph: &Graph) -> Self {
        let mut values = BTreeMap::new();
        for (id, node) in graph.nodes() {
            let normalization = node.is("BatchNormalization") || node.is("LayerNormalization");
            let Some(output) = node.output(0).filter(|_| normalization) else { continue };
            let vector = |slot: usize| graph.constant_input(id, slot)?.to_vec::<f32>();
            let Some(scale) = vector(1) else { continue };
            let shift = match node.input(2) {
                Some(_) => vector(2),
                None => Some(vec![0.0; scale.len()]),
            };
            let Some(shift) = shift.filter(|shift| shift.len() == scale.len()) else { continue };
            let channel = |(&scale, shift): (&f32, f32)| Moments {
                mean: f64::from(shift),
                std: f64::from(scale.abs()),
            };
            let moments = scale.iter().zip(shift).map(channel).collect();
            let name = graph.value(output).name().to_owned();
            values.insert(name, (Origin::Normalization, moments));
        }
        Self { values }
    }

    /// The moments of all values they can be told of, with channels as if they were normally distributed and
    /// independent, for a product y = W x + b and a limit f:
    ///
    /// E\[y\] = W E\[x\] + b, Var\[y\] = W² Var\[x\], E\[f(x)\] as [`Moments::clipped`] has it,
    ///
    /// shifted and scaled such that mean and variance of all channels together are those observed. What nothing is
    /// known of has the same mean in all channels, the observed one.
    pub(in crate::quantize) fn spread(&self, graph: &Graph, calibration: &Calibration) -> Self {
        let mut found = self.clone();
        found.values.extend(Self::of_normalizations(graph).values);
        let mut edits = Edits::default();
        for id in graph.topological_order() {
            let Some(output) = graph[id].output(0) else { continue };
            let name = graph.value(output).name();
            if found.values.contains_key(name) {
                continue;
            }
            if let Some(moments) = found.through(graph, id, calibration, &mut edits) {
                found.values.insert(name.to_owned(), moments);
            }
        }
        found
    }

    /// The moments of so many channels of a value.
    pub(in crate::quantize) fn of(
        &self,
        value: &str,
        channels: usize,
        calibration: &Calibration,
    ) -> Option<(Origin, Vec<Moments>)> {
        if let Some(known) = self.values.get(value).filter(|(_, all)| all.len() == channels) {
            return Some(known.clone());
        }
        let whole = observed(calibration, value)?;
        Some((Origin::Whole, vec![whole; channels]))
    }

    fn through(
        &self,
        graph: &Graph,
        id: NodeId,
        calibration: &Calibration,
        edits: &mut Edits,
    ) -> Option<(Origin, Vec<Moments>)> {
        let node = &graph[id];
        if !node.is_standard() {
            return None;
        }
        let known = |slot: usize| self.values.get(graph.value(node.input(slot)?).name()).cloned();
        match node.op_type.as_str() {
            "Conv" | "Gemm" | "MatMul" => {
                let product = Weights::of(graph, id).ok()?;
                let input = graph.value(node.input(0)?).name();
                let (_, inputs) = self.of(input, product.inputs, calibration)?;
                let output = graph.value(node.output(0)?).name();
                let mut results = product_moments(graph, edits, &product, &inputs)?;
                if let Some(whole) = observed(calibration, output) {
                    adjust(&mut results, whole);
                }
                Some((Origin::Weights, results))
            }
            "Relu" | "Clip" => {
                let Support::Limits(limits) = support(graph, id, Target::Generic) else {
                    return None;
                };
                let (origin, moments) = known(0)?;
                let (low, high) = (f64::from(limits.low), f64::from(limits.high));
                Some((origin, moments.into_iter().map(|of| of.clipped(low, high)).collect()))
            }
            "Add" => match (known(0), known(1)) {
                (Some((one, left)), Some((other, right))) if left.len() == right.len() => {
                    let sum = |(left, right): (&Moments, &Moments)| Moments {
                        mean: left.mean + right.mean,
                        std: left.std.hypot(right.std),
                    };
                    Some((one.max(other), left.iter().zip(&right).map(sum).collect()))
                }
                _ => {
                    let slot = (0..2).find(|&slot| graph.constant_input(id, slot).is_some())?;
                    let shift = graph.constant_input(id, slot)?.to_vec::<f32>()?;
                    let (origin, mut moments) = known(1 - slot)?;
                    if shift.len() != moments.len() {
                        return None;
                    }
                    for (moments, shift) in moments.iter_mut().zip(shift) {
                        moments.mean += f64::from(shift);
                    }
                    Some((origin, moments))
                }
            },
            // Averages vary less, which nothing behind them asks for.
            "GlobalAveragePool" | "AveragePool" | "Flatten" | "Reshape" | "Squeeze"
            | "Transpose" | "Identity" => known(0),
            _ => None,
        }
    }
}

fn observed(calibration: &Calibration, value: &str) -> Option<Moments> {
    let numbers = &calibration.statistics(value)?.numbers;
    Some(Moments { mean: numbers.mean()?, std: numbers.std()? })
}

fn product_moments(
    graph: &Graph,
    edits: &mut Edits,
    product: &Weights,
    inputs: &[Moments],
) -> Option<Vec<Moments>> {
    let means: Vec<f64> = inputs.iter().map(|of| of.mean).collect();
    let variances: Vec<f64> = inputs.iter().map(|of| of.std * of.std).collect();
    let weights = edits.numbers(graph, product.node, 1)?;
    let results = product.times(weights, &means);
    let squares: Vec<f64> = weights.iter().map(|weight| weight * weight).collect();
    let variances = product.times(&squares, &variances);
    let bias = edits.numbers(graph, product.node, 2).map_or(&[][..], |bias| bias);
    let bias = bias.iter().copied().chain(std::iter::repeat(0.0));
    let moments = results.into_iter().zip(variances).zip(bias);
    Some(moments.map(|((mean, of), bias)| Moments { mean: mean + bias, std: of.sqrt() }).collect())
}

/// Shifts the means and scales the deviations of channels such that together they have these moments:
///
/// μ = mean of μᵢ, σ² = mean of σᵢ² + variance of the μᵢ.
fn adjust(channels: &mut [Moments], whole: Moments) {
    let mean_of = |numbers: &dyn Fn(&Moments) -> f64, channels: &[Moments]| {
        channels.iter().map(numbers).sum::<f64>() / channels.len().max(1) as f64
    };
    let shift = whole.mean - mean_of(&|of| of.mean, channels);
    channels.iter_mut().for_each(|of| of.mean += shift);
    let between = mean_of(&|of| (of.mean - whole.mean).powi(2), channels);
    let within = mean_of(&|of| of.std * of.std, channels);
    let ratio = (whole.std * whole.std - between) / within;
    if ratio.is_finite() && ratio > 0.0 {
        channels.iter_mut().for_each(|of| of.std *= ratio.sqrt());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::model;
    use super::*;

    #[test]
    fn channels_together_have_the_observed_moments() {
        let of = |mean, std| Moments { mean, std };
        let mut channels = [of(0.0, 1.0), of(2.0, 2.0)];
        adjust(&mut channels, of(3.0, 4.0));
        let [first, second] = channels;
        assert_eq!((first.mean, second.mean), (2.0, 4.0));
        let within = (first.std.powi(2) + second.std.powi(2)) / 2.0;
        assert!((within + 1.0 - 16.0).abs() < 1e-12);
        assert!((second.std / first.std - 2.0).abs() < 1e-12);
    }

    #[test]
    fn moments_pass_products_and_limits() {
        let model = model(
            "g (float[1,2,1,1] x) => (float[1,1,1,1] y)
            <float[2] s = {-2, 1}, float[2] b = {1, -1}, float[2] m = {0, 0}, float[2] v = {1, 1},
             float[1,2,1,1] w = {2, 3}, float[1] d = {0.5}>
            {
                n = BatchNormalization(x, s, b, m, v)
                r = Relu(n)
                y = Conv(r, w, d)
            }",
        );
        let found = ChannelMoments::default().spread(&model.graph, &Calibration::EMPTY);
        let of = |name: &str, channels| {
            let found = found.of(name, channels, &Calibration::EMPTY);
            found.expect("its moments are known")
        };
        let (origin, normalized) = of("n", 2);
        assert_eq!(origin, Origin::Normalization);
        assert_eq!(normalized[0], Moments { mean: 1.0, std: 2.0 });
        let (_, limited) = of("r", 2);
        let wanted = normalized.iter().map(|of| of.clipped(0.0, f64::INFINITY));
        assert_eq!(limited, wanted.collect::<Vec<_>>());
        let (origin, result) = of("y", 1);
        assert_eq!(origin, Origin::Weights);
        assert!(
            (result[0].mean - (2.0 * limited[0].mean + 3.0 * limited[1].mean + 0.5)).abs() < 1e-12
        );
        let variance = 4.0 * limited[0].std.powi(2) + 9.0 * limited[1].std.powi(2);
        assert!((result[0].std.powi(2) - variance).abs() < 1e-12);
        assert!(found.of("x", 2, &Calibration::EMPTY).is_none());
    }
}
