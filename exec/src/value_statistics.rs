//! What calibration keeps of a value.
use crate::statistics::{MAX_COUNT, Statistics, StatisticsError};
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

    /// Appends the statistics as bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        [&self.numbers, &self.minima, &self.maxima].iter().for_each(|part| part.encode(bytes));
    }

    /// Takes statistics from the front of bytes.
    ///
    /// # Errors
    /// When there are none.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, StatisticsError> {
        let (numbers, minima, maxima) =
            (Statistics::decode(bytes)?, Statistics::decode(bytes)?, Statistics::decode(bytes)?);
        let odd = |part: &Statistics| part.nans() + part.infinities() > 0;
        let agree = numbers.min() == minima.min()
            && numbers.max() == maxima.max()
            && minima.count() == maxima.count()
            && minima.count() <= numbers.count();
        if !agree || odd(&minima) || odd(&maxima) {
            return Err(StatisticsError::Impossible("the ends of the samples"));
        }
        Ok(Self { numbers, minima, maxima })
    }

    /// Whether adding these to others could count more numbers than statistics hold.
    #[must_use]
    pub fn overflows(&self, other: &Self) -> bool {
        let all =
            |part: &Self| part.numbers.count() + part.numbers.nans() + part.numbers.infinities();
        all(self) + all(other) > MAX_COUNT
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
    fn what_is_written_is_read() {
        let mut statistics = ValueStatistics::default();
        statistics.update(&[1.0, -3.0, f32::NAN]);
        statistics.update(&[2.0, 2.5]);
        let mut bytes = Vec::new();
        statistics.encode(&mut bytes);
        assert_eq!(ValueStatistics::decode(&mut bytes.as_slice()), Ok(statistics.clone()));
        statistics.minima.update(&[-4.0]);
        let mut bytes = Vec::new();
        statistics.encode(&mut bytes);
        let refused = ValueStatistics::decode(&mut bytes.as_slice());
        assert!(matches!(refused, Err(StatisticsError::Impossible(_))));
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
