//! From the range of a value to the scale and zero point of its quantization.
use lapidary_ir::ElemType;

/// The smallest and the largest number a value takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

/// Integers that stand for real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerFormat {
    /// `uint8`, `int8`, `uint16` or `int16`.
    pub elem_type: ElemType,
    /// Whether 0 is in the middle of the integers.
    pub symmetric: bool,
    /// Whether scales are powers of two.
    pub power_of_two: bool,
}

/// How integers stand for real numbers: x = scale · (q − `zero_point`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The distance of neighbouring numbers, normal and positive.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: i32,
    /// The type of the integers.
    pub elem_type: ElemType,
}

impl IntegerFormat {
    /// `uint8` with any zero point.
    pub const UINT8: Self =
        Self { elem_type: ElemType::UINT8, symmetric: false, power_of_two: false };

    /// The smallest and the largest integer; symmetric signed ones leave out what has no opposite.
    #[must_use]
    pub fn limits(self) -> (i32, i32) {
        let (low, high) = match self.elem_type {
            ElemType::INT8 => (-128, 127),
            ElemType::UINT16 => (0, 65535),
            ElemType::INT16 => (-32768, 32767),
            _ => (0, 255),
        };
        if self.symmetric && low < 0 { (low + 1, high) } else { (low, high) }
    }
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

impl Range {
    /// The parameters that spread integers over the range.
    ///
    /// The range is widened to include 0, and 0 is represented exactly:
    ///
    /// scale = (max − min) / (qmax − qmin) and zero point = round(qmin − min / scale);
    ///
    /// symmetric: scale = max(|min|, |max|) / qmax, where unsigned integers are counted from their middle. Powers of two are
    /// rounded up, so that nothing is cut.
    ///
    /// # Errors
    /// When there is no such scale.
    pub fn parameters(self, format: IntegerFormat) -> Result<Parameters, RangeError> {
        if !self.min.is_finite() || !self.max.is_finite() {
            return Err(RangeError::NotFinite);
        }
        let (min, max) = (f64::from(self.min.min(0.0)), f64::from(self.max.max(0.0)));
        if min == max {
            return Err(RangeError::AlwaysZero);
        }
        let (qmin, qmax) = format.limits();
        let middle = if qmin < 0 { 0 } else { qmax / 2 + 1 };
        let exact = match format.symmetric {
            true => max.max(-min) / f64::from(qmax - middle),
            false => (max - min) / f64::from(qmax - qmin),
        };
        let scale = match format.power_of_two {
            true => exact.log2().ceil().exp2() as f32,
            false => exact as f32,
        };
        if !scale.is_normal() {
            return Err(RangeError::TooSmall);
        }
        let shifted = f64::from(qmin) - min / f64::from(scale);
        let nearest = shifted.round_ties_even().clamp(f64::from(qmin), f64::from(qmax)) as i32;
        let zero_point = if format.symmetric { middle } else { nearest };
        Ok(Parameters { scale, zero_point, elem_type: format.elem_type })
    }
}

impl Parameters {
    /// What numbers of \[0, 1\] are quantized with, whatever is observed: as many steps as there are integers above 0.
    pub(super) fn unit(format: IntegerFormat) -> Self {
        let (qmin, qmax) = format.limits();
        let zero_point = match (format.symmetric, qmin < 0) {
            (true, true) => 0,
            (true, false) => qmax / 2 + 1,
            (false, _) => qmin,
        };
        let scale = 1.0 / (qmax - zero_point + 1) as f32;
        Self { scale, zero_point, elem_type: format.elem_type }
    }

    /// The same zero point with the largest scale, not larger than this one, that represents nothing outside
    /// of `low` and `high`, between which 0 lies:
    ///
    /// scale · (zero point − qmin) ≤ −low and scale · (qmax − zero point) ≤ high.
    ///
    /// None when there is no such scale.
    #[must_use]
    pub fn within(self, low: f32, high: f32, format: IntegerFormat) -> Option<Self> {
        let (qmin, qmax) = format.limits();
        let (below, above) = ((self.zero_point - qmin) as f32, (qmax - self.zero_point) as f32);
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

    fn uint8(scale: f32, zero_point: i32) -> Parameters {
        Parameters { scale, zero_point, elem_type: ElemType::UINT8 }
    }

    fn parameters(min: f32, max: f32) -> Result<Parameters, RangeError> {
        Range { min, max }.parameters(IntegerFormat::UINT8)
    }

    #[test]
    fn a_range_above_zero_starts_at_zero() {
        let expected = uint8(2.0, 0);
        assert_eq!(parameters(3.0, 510.0), Ok(expected));
    }

    #[test]
    fn a_range_below_zero_ends_at_zero() {
        let expected = uint8(2.0, 255);
        assert_eq!(parameters(-510.0, -3.0), Ok(expected));
    }

    #[test]
    fn zero_is_represented_exactly() {
        let expected = uint8(1.0, 100);
        assert_eq!(parameters(-100.3, 154.7), Ok(expected));
    }

    #[test]
    fn a_constant_has_a_range_to_zero() {
        assert_eq!(parameters(255.0, 255.0), Ok(uint8(1.0, 0)));
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
            let found = found.within(0.0, 6.0, IntegerFormat::UINT8).expect("it fits");
            assert!(found.scale * 255.0 <= 6.0);
            assert!(found.scale * 255.0 > max * 0.999_999);
        }
        let found = parameters(-1.0, 0.993).expect("it has parameters");
        let found = found.within(-1.0, 1.0, IntegerFormat::UINT8).expect("it fits");
        assert!(found.scale * found.zero_point as f32 <= 1.0);
    }
}
