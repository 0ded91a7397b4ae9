//! The mean of the extremes of the samples.
use super::Range;
use lapidary_exec::ValueStatistics;

/// With n samples, from Σ min xᵢ / n to Σ max xᵢ / n.
pub(super) fn range(statistics: &ValueStatistics) -> Option<Range> {
    let min = statistics.minima.mean()? as f32;
    let max = statistics.maxima.mean()? as f32;
    Some(Range { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean over all orders of m ← m + c · (x − m), beginning with the first number.
    fn expected_moving_average(numbers: &[f64], constant: f64) -> f64 {
        fn sum(rest: &mut Vec<f64>, average: Option<f64>, constant: f64) -> (f64, usize) {
            if rest.is_empty() {
                return (average.unwrap_or(0.0), 1);
            }
            let (mut total, mut orders) = (0.0, 0);
            for index in 0..rest.len() {
                let next = rest.remove(index);
                let average = average.map_or(next, |m| m + constant * (next - m));
                let (sum, count) = sum(rest, Some(average), constant);
                (total, orders) = (total + sum, orders + count);
                rest.insert(index, next);
            }
            (total, orders)
        }
        let (total, orders) = sum(&mut numbers.to_vec(), None, constant);
        total / orders as f64
    }

    #[test]
    fn the_mean_is_the_expectation_of_a_moving_average() {
        let samples = [[-1.0f32, 4.0], [-2.5, 8.0], [0.5, 1.0], [-7.0, 2.0], [-0.25, 3.0]];
        let mut statistics = ValueStatistics::default();
        samples.iter().for_each(|sample| statistics.update(sample));
        let found = range(&statistics).expect("there are samples");
        for constant in [0.01, 0.1, 0.9] {
            let minima = samples.map(|sample| f64::from(sample[0]));
            let maxima = samples.map(|sample| f64::from(sample[1]));
            let min = expected_moving_average(&minima, constant);
            let max = expected_moving_average(&maxima, constant);
            assert!((min - f64::from(found.min)).abs() < 1e-6, "{min} {found:?}");
            assert!((max - f64::from(found.max)).abs() < 1e-6, "{max} {found:?}");
        }
    }

    #[test]
    fn it_is_the_same_for_any_order() {
        let samples = [[0.1f32, 0.3], [-0.7, 0.9], [-0.2, 1e6], [1e-9, 0.5]];
        let mut forward = ValueStatistics::default();
        samples.iter().for_each(|sample| forward.update(sample));
        let mut backward = ValueStatistics::default();
        samples.iter().rev().for_each(|sample| backward.update(sample));
        assert_eq!(range(&forward), range(&backward));
    }
}
