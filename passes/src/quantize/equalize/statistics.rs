//! The range of every channel, from running the model.
use super::super::calibration_statistics::fill;
use lapidary_exec::{ChannelRanges, ExecError, Inputs, Observation, RunOptions, Runner, Statistic};
use lapidary_ir::{Graph, Model, NodeId, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest and the largest number of every channel of the values that limits and products read, over samples.
#[derive(Clone, Debug, Default)]
pub struct ChannelStatistics {
    values: BTreeMap<String, (ChannelRanges, ColumnRanges)>,
}

/// The same with the last axis for the channels.
#[derive(Clone, Debug, Default)]
struct ColumnRanges {
    rank: usize,
    ranges: Vec<(f32, f32)>,
}

impl ChannelStatistics {
    /// Runs the model on one sample after another, as `CalibrationStatistics::collect` does, unless there is nothing
    /// to look at.
    ///
    /// # Errors
    /// Those of the iterator, and when the runtime can't run the model.
    pub fn collect<E>(
        model: &Model,
        samples: impl Iterator<Item = Result<Inputs, E>> + Send,
    ) -> Result<Self, E>
    where
        E: From<ExecError> + Send,
    {
        let graph = &model.graph;
        let wanted = wanted(graph);
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let runner = Runner::new(model, &RunOptions::default())?;
        let observer = runner.observer(wanted)?;
        let samples = samples.map(|sample| Ok::<_, E>(fill(graph, sample?)?));
        Ok(Self { values: observer.collect(samples)? })
    }

    /// The range of each of the channels of a value; none if it was not observed along this axis. A channel without
    /// a finite number has the range 0 to 0.
    pub(super) fn ranges(
        &self,
        value: &str,
        axis: usize,
        channels: usize,
    ) -> Option<Vec<(f32, f32)>> {
        let (second, last) = self.values.get(value)?;
        let ranges: Vec<(f32, f32)> = match axis {
            1 => second.iter().map(Option::unwrap_or_default).collect(),
            _ if axis + 1 == last.rank => {
                let known = |&(min, max): &(f32, f32)| {
                    if min <= max { (min, max) } else { (0.0, 0.0) }
                };
                last.ranges.iter().map(known).collect()
            }
            _ => return None,
        };
        (ranges.len() == channels).then_some(ranges)
    }
}

/// What limits and products read, and what a Relu does.
fn wanted(graph: &Graph) -> BTreeSet<&str> {
    let reads = |id: NodeId| -> Option<ValueId> {
        let node = &graph[id];
        let of_interest = ["Clip", "Relu", "MatMul", "Gemm"];
        of_interest.iter().any(|op_type| node.is(op_type)).then(|| node.input(0)).flatten()
    };
    let given: Vec<ValueId> = graph.required_inputs().collect();
    let known = |id: &ValueId| graph.producer(*id).is_some() || given.contains(id);
    let values = graph.nodes().filter_map(|(id, _)| reads(id)).filter(known);
    values.map(|id| graph.value(id).name()).collect()
}

impl Statistic for ColumnRanges {
    fn observe(&mut self, observation: &Observation<'_>) {
        let Some(&columns) = observation.dims.last() else { return };
        if columns == 0 {
            return;
        }
        self.rank = observation.dims.len();
        self.ranges.resize(columns.max(self.ranges.len()), (f32::INFINITY, f32::NEG_INFINITY));
        for row in observation.data.chunks_exact(columns) {
            for (range, &number) in self.ranges.iter_mut().zip(row) {
                if number.is_finite() {
                    *range = (range.0.min(number) + 0.0, range.1.max(number) + 0.0);
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.rank = self.rank.max(other.rank);
        let count = self.ranges.len().max(other.ranges.len());
        self.ranges.resize(count, (f32::INFINITY, f32::NEG_INFINITY));
        for (range, &(min, max)) in self.ranges.iter_mut().zip(&other.ranges) {
            *range = (range.0.min(min), range.1.max(max));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_last_axis() {
        let of = |dims: &[usize], data: &[f32]| {
            let mut ranges = ColumnRanges::default();
            ranges.observe(&Observation { name: "x", dims, data });
            ranges
        };
        let mut ranges = of(&[1, 2, 2], &[1.0, -2.0, 3.0, f32::NAN]);
        ranges.merge(&of(&[1, 1, 2], &[-4.0, 5.0]));
        let values = BTreeMap::from([("x".to_owned(), (ChannelRanges::default(), ranges))]);
        let found = ChannelStatistics { values };
        assert_eq!(found.ranges("x", 2, 2), Some(vec![(-4.0, 3.0), (-2.0, 5.0)]));
        assert_eq!(found.ranges("x", 2, 3), None);
        assert_eq!(found.ranges("x", 0, 2), None);
        assert_eq!(found.ranges("y", 2, 2), None);
    }
}
