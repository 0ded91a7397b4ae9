//! The range of every channel of a value.
use crate::{Observation, Statistic};

/// The smallest and largest finite number of every channel, which is axis 1.
///
/// Values of rank 0 and 1 have one channel. Nothing else is gathered, which makes it cheap. −0
/// counts as 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelRanges {
    ranges: Vec<(f32, f32)>,
}

impl ChannelRanges {
    /// How many channels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The range of every channel; nothing for a channel without a finite number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<(f32, f32)>> + '_ {
        self.ranges.iter().map(|&(min, max)| (min <= max).then_some((min, max)))
    }

    fn widen(&mut self, channel: usize, (min, max): (f32, f32)) {
        if channel >= self.ranges.len() {
            self.ranges.resize(channel + 1, (f32::INFINITY, f32::NEG_INFINITY));
        }
        let range = &mut self.ranges[channel];
        *range = (range.0.min(min) + 0.0, range.1.max(max) + 0.0);
    }
}

impl Statistic for ChannelRanges {
    fn observe(&mut self, observation: &Observation<'_>) {
        let channels = observation.dims.get(1).copied().unwrap_or(1);
        let inner = observation.dims.iter().skip(2).product::<usize>();
        let inner = if observation.dims.len() < 2 { observation.data.len() } else { inner };
        if channels == 0 || inner == 0 {
            return;
        }
        for (index, entries) in observation.data.chunks_exact(inner).enumerate() {
            let finite = entries.iter().filter(|number| number.is_finite());
            let start = (f32::INFINITY, f32::NEG_INFINITY);
            let range = finite.fold(start, |(min, max), &x| (min.min(x), max.max(x)));
            self.widen(index % channels, range);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (channel, &range) in other.ranges.iter().enumerate() {
            self.widen(channel, range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dims: &[usize], data: &[f32]) -> ChannelRanges {
        let mut ranges = ChannelRanges::default();
        ranges.observe(&Observation { name: "x", dims, data });
        ranges
    }

    #[test]
    fn channels_are_axis_one() {
        let ranges = of(&[2, 2, 2], &[1.0, 2.0, 30.0, 40.0, -1.0, 0.0, f32::NAN, f32::INFINITY]);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [Some((-1.0, 2.0)), Some((30.0, 40.0))]);
    }

    #[test]
    fn vectors_have_one_channel() {
        assert_eq!(of(&[3], &[1.0, -5.0, 2.0]).iter().collect::<Vec<_>>(), [Some((-5.0, 2.0))]);
    }

    #[test]
    fn merging_is_observing_together() {
        let mut merged = of(&[1, 2], &[1.0, -0.0]);
        merged.merge(&of(&[1, 2], &[f32::NAN, 5.0]));
        assert_eq!(merged, of(&[2, 2], &[1.0, -0.0, f32::NAN, 5.0]));
        assert_eq!(merged.iter().collect::<Vec<_>>(), [Some((1.0, 1.0)), Some((0.0, 5.0))]);
    }
}
