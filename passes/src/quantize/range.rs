//! From the range of a value to the scale and zero point of its quantization.
use super::format::{IntegerFormat, IntegerType};

/// The smallest and the largest number a value takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

/// The smallest and the largest number an operator such as Relu or Clip lets pass; 0 lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The smallest.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

/// How integers stand for real numbers: x = scale · (q − `zero_point`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The distance of neighbouring numbers, normal and positive.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: i32,
    /// The integers.
    pub elem_type: IntegerType,
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

impl Limits {
    /// Everything passes.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// What a Relu lets pass.
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
}

impl Range {
    /// A value of which not only finite numbers are known.
    pub const UNBOUNDED: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// The parameters that spread the integers of `format` over the range.
    ///
    /// The range is widened to include 0, and 0 is represented exactly. With qmin and qmax the ends
    /// of the integers,
    ///
    /// scale = (max − min) / (qmax − qmin), zero point = qmin + round(−min / scale),
    ///
    /// and in a symmetric format
    ///
    /// scale = max(|min|, |max|) / (qmax − zero point), zero point = (qmin + qmax + 1) / 2.
    ///
    /// Scales that have to be powers of two are rounded up, so that nothing is cut off.
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
        let elem_type = format.elem_type;
        let (least, most) = (elem_type.min(), elem_type.max());
        let scale = if format.symmetric {
            max.max(-min) / f64::from(most - format.middle())
        } else {
            (max - min) / f64::from(elem_type.steps())
        };
        let scale = if format.power_of_two { power_of_two_above(scale) } else { scale } as f32;
        if !scale.is_normal() {
            return Err(RangeError::TooSmall);
        }
        let zero_point = if format.symmetric {
            format.middle()
        } else {
            let below = (-min / f64::from(scale)).round_ties_even() as i32;
            (least + below).clamp(least, most)
        };
        Ok(Parameters { scale, zero_point, elem_type })
    }

    /// What of the range passes limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        let clamp = |end: f32| end.max(limits.low).min(limits.high);
        Self { min: clamp(self.min), max: clamp(self.max) }
    }
}

/// The smallest power of two that is not smaller than a positive number which is normal as an `f64`.
fn power_of_two_above(number: f64) -> f64 {
    const FRACTION: u64 = (1 << (f64::MANTISSA_DIGITS - 1)) - 1;
    // Without the fraction of its mantissa a number is the power of two below it.
    let below = f64::from_bits(number.to_bits() & !FRACTION);
    if below < number { 2.0 * below } else { below }
}

impl Parameters {
    /// The smallest and the largest number that is represented.
    #[must_use]
    pub fn represented(self) -> Range {
        let number = |integer: i32| self.scale * (integer - self.zero_point) as f32;
        Range { min: number(self.elem_type.min()), max: number(self.elem_type.max()) }
    }

    /// Whether nothing outside of limits is represented: quantizing then does what the limits do.
    #[must_use]
    pub fn implies(self, limits: Limits) -> bool {
        let Range { min, max } = self.represented();
        limits.low <= min && max <= limits.high
    }

    /// The same zero point with the largest scale, not larger than this one, that represents nothing outside
    /// of limits:
    ///
    /// scale · (zero point − qmin) ≤ −low and scale · (qmax − zero point) ≤ high.
    ///
    /// None when there is no such scale.
    #[must_use]
    pub fn within(self, limits: Limits) -> Option<Self> {
        let below = (self.zero_point - self.elem_type.min()) as f32;
        let above = (self.elem_type.max() - self.zero_point) as f32;
        let bound = |scale: f32, steps: f32, limit: f32| {
            if steps == 0.0 || scale * steps <= limit {
                return scale;
            }
            let largest = limit / steps;
            if largest * steps <= limit { largest } else { largest.next_down() }
        };
        let scale = bound(bound(self.scale, below, -limits.low), above, limits.high);
        scale.is_normal().then_some(Self { scale, ..self })
    }
}

/// A range known from the operator that computes a value, whatever is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedRange {
    /// \[0, 1\]: Sigmoid, Softmax.
    Unit,
    /// \[−1, 1\]: Tanh, Sin, Cos.
    SignedUnit,
}

impl FixedRange {
    /// The range of an operator's results, if it has one of these.
    #[must_use]
    pub fn of(op_type: &str) -> Option<Self> {
        match op_type {
            "Sigmoid" | "Softmax" => Some(Self::Unit),
            "Cos" | "Sin" | "Tanh" => Some(Self::SignedUnit),
            _ => None,
        }
    }

    /// The range.
    #[must_use]
    pub fn range(self) -> Range {
        match self {
            Self::Unit => Range { min: 0.0, max: 1.0 },
            Self::SignedUnit => Range { min: -1.0, max: 1.0 },
        }
    }

    /// The parameters runtimes expect: with b bits the scale is 2⁻ᵇ with the smallest integer for 0,
    /// or 2¹⁻ᵇ with the middle one. The end 1, which these functions only approach, is cut by a step.
    #[must_use]
    pub fn parameters(self, format: IntegerFormat) -> Parameters {
        let elem_type = format.elem_type;
        let values = (elem_type.steps() + 1) as f32;
        match self {
            Self::Unit if !format.symmetric => {
                Parameters { scale: 1.0 / values, zero_point: elem_type.min(), elem_type }
            }
            _ => Parameters { scale: 2.0 / values, zero_point: format.middle(), elem_type },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [IntegerType; 6] = [
        IntegerType::Uint8,
        IntegerType::Int8,
        IntegerType::Uint16,
        IntegerType::Int16,
        IntegerType::Uint4,
        IntegerType::Int4,
    ];

    fn parameters(min: f32, max: f32) -> Result<Parameters, RangeError> {
        Range { min, max }.parameters(IntegerFormat::UINT8)
    }

    fn uint8(scale: f32, zero_point: i32) -> Parameters {
        Parameters { scale, zero_point, elem_type: IntegerType::Uint8 }
    }

    /// What a number becomes, by definition.
    fn fake_quantize(number: f64, with: Parameters) -> f64 {
        let scale = f64::from(with.scale);
        let integer = (number / scale).round_ties_even() + f64::from(with.zero_point);
        let (least, most) = (f64::from(with.elem_type.min()), f64::from(with.elem_type.max()));
        scale * (integer.clamp(least, most) - f64::from(with.zero_point))
    }

    #[test]
    fn a_range_above_zero_starts_at_zero() {
        assert_eq!(parameters(3.0, 510.0), Ok(uint8(2.0, 0)));
    }

    #[test]
    fn a_range_below_zero_ends_at_zero() {
        assert_eq!(parameters(-510.0, -3.0), Ok(uint8(2.0, 255)));
    }

    #[test]
    fn zero_is_represented_exactly() {
        assert_eq!(parameters(-100.3, 154.7), Ok(uint8(1.0, 100)));
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
    fn signed_integers_start_below_zero() {
        let range = Range { min: 0.0, max: 510.0 };
        let found = range.parameters(IntegerFormat::asymmetric(IntegerType::Int8));
        assert_eq!(
            found,
            Ok(Parameters { scale: 2.0, zero_point: -128, elem_type: IntegerType::Int8 })
        );
    }

    #[test]
    fn symmetric_formats_have_their_zero_in_the_middle() {
        let range = Range { min: -1.0, max: 254.0 };
        let zero_points = FORMATS.map(|elem_type| {
            let found = range.parameters(IntegerFormat::symmetric(elem_type));
            let found = found.expect("it has parameters");
            let error = f64::from(found.represented().max) - 254.0;
            assert!(error.abs() < 1e-4, "{found:?}");
            found.zero_point
        });
        assert_eq!(zero_points, [128, 0, 32768, 0, 8, 0]);
    }

    #[test]
    fn powers_of_two_are_rounded_up() {
        for (number, expected) in [(1.0, 1.0), (1.01, 2.0), (0.3, 0.5), (0.125, 0.125)] {
            assert_eq!(power_of_two_above(number), expected);
        }
        let format = IntegerFormat::UINT8.power_of_two();
        let found = Range { min: 0.0, max: 6.0 }.parameters(format);
        assert_eq!(found, Ok(uint8(1.0 / 32.0, 0)));
    }

    #[test]
    fn nothing_in_the_range_is_farther_than_half_a_step_in_any_format() {
        let ranges = [(-1.0, 3.7), (0.0, 6.0), (-0.278, 11.0), (-5.0, 0.0), (-1e-20, 1e-22)];
        for elem_type in FORMATS {
            for (symmetric, power_of_two) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let format = IntegerFormat { elem_type, symmetric, power_of_two };
                for (min, max) in ranges {
                    let found = Range { min, max }.parameters(format).expect("it has parameters");
                    assert_eq!(fake_quantize(0.0, found), 0.0);
                    for step in 0..=1000 {
                        let share = f64::from(step) / 1000.0;
                        let number = f64::from(min) + share * (f64::from(max) - f64::from(min));
                        let error = (fake_quantize(number, found) - number).abs();
                        let half = 0.500_01 * f64::from(found.scale);
                        assert!(error <= half, "{format:?} {min} {max}: {number} {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn parameters_within_limits_represent_nothing_outside() {
        let relu6 = Limits { low: 0.0, high: 6.0 };
        for elem_type in FORMATS {
            for max in [6.0, 5.999_999_5, 0.1] {
                let found =
                    Range { min: 0.0, max }.parameters(IntegerFormat::asymmetric(elem_type));
                let found = found.and_then(|found| found.within(relu6).ok_or(RangeError::TooSmall));
                let found = found.expect("it fits");
                assert!(found.implies(relu6));
                assert!(found.represented().max > max * 0.999_999);
            }
        }
        let limits = Limits { low: -1.0, high: 1.0 };
        let found = parameters(-1.0, 0.993).expect("it has parameters");
        let found = found.within(limits).expect("it fits");
        assert!(found.scale * found.zero_point as f32 <= 1.0);
    }

    #[test]
    fn a_symmetric_format_can_not_imply_a_relu() {
        let relu = Limits { low: 0.0, high: f32::INFINITY };
        let found = Range { min: 0.0, max: 4.0 }.parameters(IntegerFormat::SYMMETRIC_INT8);
        let found = found.expect("it has parameters");
        assert!(!found.implies(relu));
        assert_eq!(found.within(relu), None);
    }

    #[test]
    fn a_range_ends_at_its_limits() {
        let limits = Limits { low: 0.0, high: 6.0 };
        let range = Range { min: -1.0, max: 8.0 }.within(limits);
        assert_eq!(range, Range { min: 0.0, max: 6.0 });
        let range = Range { min: 1.0, max: 2.0 };
        assert_eq!(range.within(limits), range);
        assert_eq!(Range::UNBOUNDED.within(Limits::NONE), Range::UNBOUNDED);
    }

    #[test]
    fn fixed_ranges_have_the_parameters_of_the_field() {
        let unit = FixedRange::of("Sigmoid").expect("it is known");
        assert_eq!(unit.parameters(IntegerFormat::UINT8), uint8(1.0 / 256.0, 0));
        let int8 = IntegerFormat::asymmetric(IntegerType::Int8);
        assert_eq!(
            unit.parameters(int8),
            Parameters { scale: 1.0 / 256.0, zero_point: -128, elem_type: IntegerType::Int8 }
        );
        let tanh = FixedRange::of("Tanh").expect("it is known");
        assert_eq!(tanh.parameters(IntegerFormat::UINT8), uint8(1.0 / 128.0, 128));
        for fixed in [FixedRange::Unit, FixedRange::SignedUnit] {
            for elem_type in FORMATS {
                for format in
                    [IntegerFormat::asymmetric(elem_type), IntegerFormat::symmetric(elem_type)]
                {
                    let found = fixed.parameters(format);
                    let (Range { min, max }, has) = (fixed.range(), found.represented());
                    assert!(has.min <= min, "{format:?}");
                    assert!((max - has.max).abs() <= found.scale, "{format:?}");
                }
            }
        }
        assert_eq!(FixedRange::of("Relu"), None);
    }
}
