//! All but the rarest.
use super::{IntegerFormat, Range, Sides};
use lapidary_exec::Statistics;

/// The range that holds the share p of the numbers.
///
/// With F⁻¹ the quantiles, from F⁻¹((1 − p) / 2) to F⁻¹((1 + p) / 2); to F⁻¹(p) where no number is
/// negative; and from −a to a, where a is the quantile p of the magnitudes, in a symmetric format.
pub(super) fn range(statistics: &Statistics, format: IntegerFormat, share: f64) -> Option<Range> {
    let sides = Sides::of(statistics)?;
    if format.symmetric || sides != Sides::Both {
        return Some(sides.range(statistics.magnitude_quantile(share)?));
    }
    let tail = (1.0 - share) / 2.0;
    let (min, max) = (statistics.quantile(tail)?, statistics.quantile(1.0 - tail)?);
    Some(Range { min, max })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gauss, laplace, of, rectified};
    use super::*;

    fn near(found: f32, expected: f64) -> bool {
        (f64::from(found) / expected - 1.0).abs() < 0.01
    }

    #[test]
    fn half_of_what_is_left_out_is_below() {
        let statistics = of(&gauss(100_000, 1.0, 2.0)).numbers;
        let found = range(&statistics, IntegerFormat::UINT8, 0.95).expect("there are numbers");
        assert!(near(found.min, 1.0 - 2.0 * 1.959_964), "{found:?}");
        assert!(near(found.max, 1.0 + 2.0 * 1.959_964), "{found:?}");
    }

    #[test]
    fn of_rectified_numbers_only_the_largest_are_left_out() {
        // Of Laplace, 5 % are above b · ln(0.5 / 0.05).
        let statistics = of(&rectified(100_000, 3.0)).numbers;
        let found = range(&statistics, IntegerFormat::UINT8, 0.95).expect("there are numbers");
        assert!(found.min == 0.0 && near(found.max, 3.0 * 10.0f64.ln()), "{found:?}");
        let negative: Vec<f32> = rectified(100_000, 3.0).into_iter().map(|x| -x).collect();
        let mirrored = range(&of(&negative).numbers, IntegerFormat::UINT8, 0.95);
        assert_eq!(mirrored.map(|range| -range.min), Some(found.max));
    }

    #[test]
    fn a_symmetric_format_counts_magnitudes() {
        let statistics = of(&laplace(100_000, 0.0, 1.0)).numbers;
        let found = range(&statistics, IntegerFormat::SYMMETRIC_INT8, 0.99);
        let found = found.expect("there are numbers");
        assert!(near(found.max, 100.0f64.ln()) && found.min == -found.max, "{found:?}");
    }
}
