//! How much each channel weighs.
//!
//! Along the axis of a weight that makes channels, a channel has the norm of its slice, divided by
//! the mean of these norms, so that layers of different magnitude count alike. A channel made by
//! several weights has the sum.
use super::analysis::{Analysis, Group};
use super::propagate::constant;
use lapidary_ir::{Graph, Tensor};
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
        let Some(norms) = norms else { continue };
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
