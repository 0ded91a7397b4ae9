//! From the range of a value to the scale and zero point of its quantization.

/// The smallest and the largest number a value takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

/// How `uint8` numbers stand for real ones: x = scale · (q − `zero_point`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The distance of neighbouring numbers, normal and positive.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: u8,
}

/// Why a range has no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// An end is infinite or no number.
    #[error("has a range that is not finite")]
    NotFinite,
    /// Nothing but 0 occurs: nobody knows a scale.
    #[error("is always 0")]
    AlwaysZero,
    /// The scale is no normal number of 32 bits.
    #[error("has a range too small for a scale")]
    TooSmall,
}

/// The largest `uint8`.
const STEPS: f64 = 255.0;

/// What a sigmoid is quantized with, whatever is observed: 256 steps over \[0, 1\].
pub(super) const SIGMOID: Parameters = Parameters { scale: 1.0 / 256.0, zero_point: 0 };

impl Range {
    /// The parameters that spread `uint8` over the range.
    ///
    /// The range is widened to include 0, and 0 is represented exactly:
    ///
    /// scale = (max − min) / 255 and zero point = round(−min / scale).
    ///
    /// # Errors
    /// When there is no such scale.
    pub fn parameters(self) -> Result<Parameters, RangeError> {
        if !self.min.is_finite() || !self.max.is_finite() {
            return Err(RangeError::NotFinite);
        }
        let (min, max) = (f64::from(self.min.min(0.0)), f64::from(self.max.max(0.0)));
        if min == max {
            return Err(RangeError::AlwaysZero);
        }
        let scale = ((max - min) / STEPS) as f32;
        if !scale.is_normal() {
            return Err(RangeError::TooSmall);
        }
        let zero_point = (-min / f64::from(scale)).round_ties_even().clamp(0.0, STEPS) as u8;
        Ok(Parameters { scale, zero_point })
    }
}

impl Parameters {
    /// The same zero point with the largest scale, not larger than this one, that represents nothing outside
    /// of `low` and `high`, between which 0 lies:
    ///
    /// scale · zero point ≤ −low and scale · (255 − zero point) ≤ high.
    ///
    /// None when there is no such scale.
    #[must_use]
    pub fn within(self, low: f32, high: f32) -> Option<Self> {
        let (below, above) = (f32::from(self.zero_point), 255.0 - f32::from(self.zero_point));
        let bound = |scale: f32, steps: f32, limit: f32| {
            if steps == 0.0 || scale * steps <= limit {
                return scale;
            }
            let largest = limit / steps;
            if largest * steps <= limit { largest } else { largest.next_down() }
        };
        let scale = bound(bound(self.scale, below, -low), above, high);
        scale.is_normal().then_some(Self { scale, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(min: f32, max: f32) -> Result<Parameters, RangeError> {
        Range { min, max }.parameters()
    }

    #[test]
    fn a_range_above_zero_starts_at_zero() {
        let expected = Parameters { scale: 2.0, zero_point: 0 };
        assert_eq!(parameters(3.0, 510.0), Ok(expected));
    }

    #[test]
    fn a_range_below_zero_ends_at_zero() {
        let expected = Parameters { scale: 2.0, zero_point: 255 };
        assert_eq!(parameters(-510.0, -3.0), Ok(expected));
    }

    #[test]
    fn zero_is_represented_exactly() {
        let expected = Parameters { scale: 1.0, zero_point: 100 };
        assert_eq!(parameters(-100.3, 154.7), Ok(expected));
    }

    #[test]
    fn a_constant_has_a_range_to_zero() {
        assert_eq!(parameters(255.0, 255.0), Ok(Parameters { scale: 1.0, zero_point: 0 }));
    }

    #[test]
    fn degenerate_ranges_have_no_parameters() {
        assert_eq!(parameters(0.0, 0.0), Err(RangeError::AlwaysZero));
        assert_eq!(parameters(0.0, f32::INFINITY), Err(RangeError::NotFinite));
        assert_eq!(parameters(f32::NAN, 1.0), Err(RangeError::NotFinite));
        assert_eq!(parameters(0.0, 1e-38), Err(RangeError::TooSmall));
    }

    #[test]
    fn the_whole_range_of_floats_fits() {
        let found = parameters(f32::MIN, f32::MAX).expect("it has parameters");
        assert!(found.scale.is_finite());
        assert_eq!(found.zero_point, 128);
    }

    #[test]
    fn parameters_within_bounds_represent_nothing_outside() {
        for max in [6.0, 5.999_999_5, 0.1] {
            let found = parameters(0.0, max).expect("it has parameters");
            let found = found.within(0.0, 6.0).expect("it fits");
            assert!(found.scale * 255.0 <= 6.0);
            assert!(found.scale * 255.0 > max * 0.999_999);
        }
        let found = parameters(-1.0, 0.993).expect("it has parameters");
        let found = found.within(-1.0, 1.0).expect("it fits");
        assert!(found.scale * f32::from(found.zero_point) <= 1.0);
    }
}
