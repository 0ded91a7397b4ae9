//! So many deviations around the mean.
use super::Range;
use lapidary_exec::Statistics;

/// From μ − k · σ to μ + k · σ.
pub(super) fn range(statistics: &Statistics, deviations: f64) -> Option<Range> {
    let (mean, reach) = (statistics.mean()?, deviations * statistics.std()?);
    Some(Range { min: (mean - reach) as f32, max: (mean + reach) as f32 })
}

#[cfg(test)]
mod tests {
    use super::super::testing::of;
    use super::super::{IntegerFormat, Limits, RangeMethod};
    use super::*;

    #[test]
    fn it_is_as_far_as_the_deviations_reach() {
        // Mean 2, variance (1 + 1 + 4 + 4 + 16 + 16) / 6 = 7.
        let statistics = of(&[1.0, 3.0, 0.0, 4.0, -2.0, 6.0]);
        let found = range(&statistics.numbers, 1.0).expect("there are numbers");
        assert!((found.min - (2.0 - 7.0f32.sqrt())).abs() < 1e-6);
        assert!((found.max - (2.0 + 7.0f32.sqrt())).abs() < 1e-6);
        let method = RangeMethod::MeanStd { deviations: 1.0 };
        assert_eq!(method.range(&statistics, IntegerFormat::UINT8, Limits::NONE), Some(found));
    }

    #[test]
    fn it_ends_where_the_numbers_end() {
        let method = RangeMethod::MeanStd { deviations: 6.0 };
        let found = method.range(&of(&[0.0, 1.0, 5.0]), IntegerFormat::UINT8, Limits::NONE);
        assert_eq!(found, Some(Range { min: 0.0, max: 5.0 }));
    }
}
