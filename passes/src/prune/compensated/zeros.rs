//! How many of the numbers products read are not zero, by channel.
use super::network::Network;
use super::watch::watch;
use crate::samples::batches::Batches;
use lapidary_exec::{ExecError, Observation};
use lapidary_ir::ValueId;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::Range;

/// For every value that is read, the share of numbers of each channel that are not zero.
pub(super) type Live = BTreeMap<ValueId, Vec<f64>>;

/// Numbers that are not zero, and all, by channel.
type Counts = FxHashMap<ValueId, Vec<(u64, u64)>>;

impl Network<'_> {
    /// Counts on all samples.
    pub(super) fn live_shares(&self, samples: &Batches<'_>) -> Result<Live, ExecError> {
        let graph = &self.model.graph;
        let mut axes: BTreeMap<&str, (ValueId, usize)> = BTreeMap::new();
        for (product, moments) in self.products.iter().zip(&self.moments) {
            if let (Some(axis), Some(_)) = (product.input_axis(graph), moments) {
                axes.insert(graph.value(axis.value).name(), (axis.value, axis.axis));
            }
        }
        let values: Vec<ValueId> = axes.values().map(|&(value, _)| value).collect();
        if values.is_empty() {
            return Ok(Live::new());
        }
        let show = |counts: &mut Counts, _: usize, shown: &Observation<'_>| {
            if let Some(&(value, axis)) = axes.get(shown.name)
                && let Some(&extent) = shown.dims.get(axis)
            {
                let inner: usize = shown.dims[axis + 1..].iter().product();
                let counts = counts.entry(value).or_insert_with(|| vec![(0, 0); extent]);
                for (index, run) in shown.data.chunks(inner.max(1)).enumerate() {
                    let (live, all) = &mut counts[index % extent];
                    *live += run.iter().filter(|number| **number != 0.0).count() as u64;
                    *all += run.len() as u64;
                }
            }
        };
        let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
        let parts = watch(self.model, samples, &spans, &values, show, Counts::default)?;
        let share = |value: ValueId| {
            let own: Vec<&Vec<(u64, u64)>> =
                parts.iter().filter_map(|part| part.get(&value)).collect();
            let extent = own.first().map_or(0, |counts| counts.len());
            let of_channel = |channel: usize| {
                let sum = |(live, all): (u64, u64), counts: &&Vec<(u64, u64)>| {
                    (live + counts[channel].0, all + counts[channel].1)
                };
                let (live, all) = own.iter().fold((0, 0), sum);
                live as f64 / all.max(1) as f64
            };
            (0..extent).map(of_channel).collect()
        };
        Ok(values.into_iter().map(|value| (value, share(value))).collect())
    }
}
