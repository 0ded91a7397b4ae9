//! What calibration keeps of a value.
use crate::statistics::Statistics;
use crate::{Observation, Statistic};

/// Statistics of a value over samples, exact and so the same for any order and any division: of all
/// its numbers, and of the smallest and the largest number of every sample.
///
/// An observation counts as a sample, so the model has to be run on one sample at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueStatistics {
    /// All numbers.
    pub numbers: Statistics,
    /// The smallest finite number of every sample that has one.
    pub minima: Statistics,
    /// The largest finite number of every sample that has one.
    pub maxima: Statistics,
}

impl ValueStatistics {
    /// Takes in the numbers of a sample.
    pub fn update(&mut self, data: &[f32]) {
        if let Some((min, max)) = self.numbers.update(data) {
            self.minima.update(&[min]);
            self.maxima.update(&[max]);
        }
    }
}

impl Statistic for ValueStatistics {
    fn observe(&mut self, observation: &Observation<'_>) {
        self.update(observation.data);
    }

    fn merge(&mut self, other: &Self) {
        self.numbers.merge(&other.numbers);
        self.minima.merge(&other.minima);
        self.maxima.merge(&other.maxima);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_minimum_and_a_maximum() {
        let mut statistics = ValueStatistics::default();
        for sample in [[1.0, -3.0, 2.0], [0.5, f32::NAN, 4.0], [f32::NAN; 3]] {
            statistics.update(&sample);
        }
        assert_eq!((statistics.numbers.count(), statistics.numbers.nans()), (5, 4));
        assert_eq!(statistics.minima.range(), Some((-3.0, 0.5)));
        assert_eq!(statistics.maxima.mean(), Some(3.0));
        assert_eq!((statistics.minima.count(), statistics.maxima.count()), (2, 2));
    }

    #[test]
    fn long_samples_have_one_minimum() {
        let mut statistics = ValueStatistics::default();
        let sample: Vec<f32> = (0..1_000_000).map(|index| (index % 1000) as f32).collect();
        statistics.update(&sample);
        assert_eq!(statistics.minima.count(), 1);
        assert_eq!(statistics.maxima.range(), Some((999.0, 999.0)));
    }
}
