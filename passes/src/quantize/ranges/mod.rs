//! From what is observed of a value to the range its integers are spread over.
//!
//! A narrow range has small steps and cuts off what is outside; a wide one has large steps. Every
//! method is another opinion of what is best; all of them read the same statistics, and none of them
//! depends on the order of the samples.
use super::format::IntegerFormat;
use super::range::{Limits, Range};
use lapidary_exec::{Statistics, ValueStatistics};
use std::fmt;
use std::str::FromStr;

mod aciq;
mod entropy;
mod mean_min_max;
mod mean_std;
mod mse;
mod percentile;
#[cfg(test)]
mod testing;

/// How the range of a value is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeMethod {
    /// The best of a value's own: the least error at the products that read it, which
    /// [`refine`](super::refine::refine) measures on samples. Without samples [`Self::WITHOUT_SAMPLES`].
    Auto,
    /// Everything that was observed.
    MinMax,
    /// From the mean over the samples of the smallest number of a sample to that of the largest.
    ///
    /// A moving average m ← m + c · (x − m) of the same numbers depends on the order of the samples;
    /// its expectation over all orders is this mean, whatever c is, since the weights of the
    /// positions add up to 1 and every sample is equally often at every position.
    MeanMinMax,
    /// The range that holds this percentage of the numbers. What is left out is half of it below and
    /// half above, or all of it at the far end where no number lies on the other side of 0.
    Percentile {
        /// More than 0, at most 100.
        percent: f64,
    },
    /// The range whose quantized histogram tells most about the real one: the least Kullback–Leibler
    /// divergence (Migacz, 8-bit inference with TensorRT, 2017).
    Entropy,
    /// The least mean error of quantization, |x − Q(x)| to the power of `norm`.
    Mse {
        /// 2 for the mean squared error; more counts large errors more.
        norm: f64,
    },
    /// So many standard deviations around the mean.
    MeanStd {
        /// More than 0.
        deviations: f64,
    },
    /// The least mean squared error in closed form, if the numbers are distributed after Laplace or
    /// Gauss, whichever fits better (Banner et al., ACIQ, 2019).
    Aciq,
}

impl RangeMethod {
    /// The method used unless another one is asked for.
    pub const DEFAULT: Self = Self::Auto;

    /// What [`Self::Auto`] begins with.
    pub const WITHOUT_SAMPLES: Self = Self::Mse { norm: 2.4 };

    /// The methods with their usual settings, but for the one that chooses among others.
    pub const ALL: [Self; 7] = [
        Self::MinMax,
        Self::MeanMinMax,
        Self::Percentile { percent: 99.999 },
        Self::Entropy,
        Self::Mse { norm: 2.4 },
        Self::MeanStd { deviations: 3.0 },
        Self::Aciq,
    ];

    /// The range of a value for the integers of `format`: within what was observed and within limits.
    ///
    /// It is unbounded when not only finite numbers were observed. A method that would leave nothing
    /// but 0 of a value that is more gives way to everything observed. None when nothing was observed.
    #[must_use]
    pub fn range(
        self,
        statistics: &ValueStatistics,
        format: IntegerFormat,
        limits: Limits,
    ) -> Option<Range> {
        let numbers = &statistics.numbers;
        if numbers.nans() + numbers.infinities() > 0 {
            return Some(Range::UNBOUNDED);
        }
        let (min, max) = numbers.range()?;
        let observed = Range { min, max }.within(limits);
        let method = if self == Self::Auto { Self::WITHOUT_SAMPLES } else { self };
        let chosen = match method {
            Self::Auto | Self::MinMax => Some(observed),
            Self::MeanMinMax => mean_min_max::range(statistics),
            Self::Percentile { percent } => percentile::range(numbers, format, percent / 100.0),
            Self::Entropy => entropy::range(numbers, format),
            Self::Mse { norm } => Some(mse::range(numbers, format, observed, norm)),
            Self::MeanStd { deviations } => mean_std::range(numbers, deviations),
            Self::Aciq => aciq::range(numbers, format),
        };
        let within = Limits { low: observed.min, high: observed.max };
        let chosen = chosen.map_or(observed, |chosen| chosen.within(within));
        let is_zero = |range: Range| range.min >= 0.0 && range.max <= 0.0;
        Some(if is_zero(chosen) { observed } else { chosen })
    }
}

impl Default for RangeMethod {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::MinMax => f.write_str("min-max"),
            Self::MeanMinMax => f.write_str("mean-min-max"),
            Self::Percentile { percent } => write!(f, "percentile:{percent}"),
            Self::Entropy => f.write_str("entropy"),
            Self::Mse { norm } => write!(f, "mse:{norm}"),
            Self::MeanStd { deviations } => write!(f, "mean-std:{deviations}"),
            Self::Aciq => f.write_str("aciq"),
        }
    }
}

/// Why a text is no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownMethod {
    /// There is no method of that name.
    #[error(
        "no method is called `{0}`; there are auto, min-max, mean-min-max (also called moving-average), \
         percentile[:P], entropy, mse[:P], mean-std[:K], aciq"
    )]
    Name(String),
    /// The method takes no number, or no such number.
    #[error("`{number}` is not a number {method} takes: {expected}")]
    Number {
        /// The method.
        method: String,
        /// What is behind the colon.
        number: String,
        /// What may be there.
        expected: &'static str,
    },
}

impl FromStr for RangeMethod {
    type Err = UnknownMethod;

    /// A name, for some methods with a number behind a colon, such as `percentile:99.9`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let parsed = |default: f64, fits: fn(f64) -> bool, expected: &'static str| match number {
            None => Ok(default),
            Some(number) => {
                let found = number.parse().ok().filter(|&number: &f64| fits(number));
                let (method, number) = (name.to_owned(), number.to_owned());
                found.ok_or(UnknownMethod::Number { method, number, expected })
            }
        };
        let plain = |method: Self| parsed(0.0, |_| false, "there is none").map(|_| method);
        match name {
            "auto" => plain(Self::Auto),
            "min-max" => plain(Self::MinMax),
            "mean-min-max" | "moving-average" => plain(Self::MeanMinMax),
            "percentile" => {
                parsed(99.999, |p| p > 0.0 && p <= 100.0, "more than 0 and at most 100")
                    .map(|percent| Self::Percentile { percent })
            }
            "entropy" => plain(Self::Entropy),
            "mse" => {
                parsed(2.4, |p| (1.0..=8.0).contains(&p), "1 to 8").map(|norm| Self::Mse { norm })
            }
            "mean-std" => parsed(3.0, |k| k > 0.0 && k.is_finite(), "more than 0")
                .map(|deviations| Self::MeanStd { deviations }),
            "aciq" => plain(Self::Aciq),
            _ => Err(UnknownMethod::Name(name.to_owned())),
        }
    }
}

/// On which sides of 0 numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sides {
    /// None is negative.
    Above,
    /// None is positive.
    Below,
    Both,
}

impl Sides {
    fn of(statistics: &Statistics) -> Option<Self> {
        Some(match statistics.range()? {
            (min, _) if min >= 0.0 => Self::Above,
            (_, max) if max <= 0.0 => Self::Below,
            _ => Self::Both,
        })
    }

    /// The range from 0, or from the negative, to a magnitude.
    fn range(self, magnitude: f32) -> Range {
        match self {
            Self::Above => Range { min: 0.0, max: magnitude },
            Self::Below => Range { min: -magnitude, max: 0.0 },
            Self::Both => Range { min: -magnitude, max: magnitude },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::IntegerType;
    use super::testing::{laplace, of, rectified};
    use super::*;

    #[test]
    fn every_method_stays_within_what_is_observed_and_within_limits() {
        let limits = Limits { low: -0.5, high: 6.0 };
        for data in [laplace(4000, 0.0, 3.0), rectified(4000, 5.0), vec![-1.0, -2.0, -3.0]] {
            let statistics = of(&data);
            let (min, max) = statistics.numbers.range().expect("there are numbers");
            for method in RangeMethod::ALL {
                for elem_type in [IntegerType::Uint8, IntegerType::Int16, IntegerType::Int4] {
                    for format in
                        [IntegerFormat::asymmetric(elem_type), IntegerFormat::symmetric(elem_type)]
                    {
                        let found = method.range(&statistics, format, Limits::NONE);
                        let found = found.expect("there are numbers");
                        assert!(min <= found.min && found.max <= max, "{method} {found:?}");
                        assert!(found.min <= found.max, "{method} {found:?}");
                        let found = method.range(&statistics, format, limits);
                        let found = found.expect("there are numbers");
                        assert!(found.min >= -0.5 && found.max <= 6.0, "{method} {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_no_bounds() {
        for method in RangeMethod::ALL {
            for odd in [f32::NAN, f32::INFINITY] {
                let found = method.range(&of(&[1.0, odd]), IntegerFormat::UINT8, Limits::NONE);
                assert_eq!(found, Some(Range::UNBOUNDED));
            }
            assert_eq!(method.range(&of(&[]), IntegerFormat::UINT8, Limits::NONE), None);
        }
    }

    #[test]
    fn a_value_that_is_hardly_ever_more_than_zero_keeps_its_range() {
        let mut data = vec![0.0; 100_000];
        data[7] = 3.0;
        for method in RangeMethod::ALL {
            let found = method.range(&of(&data), IntegerFormat::UINT8, Limits::NONE);
            let found = found.expect("there are numbers");
            assert!(found.min == 0.0 && found.max > 0.0, "{method} {found:?}");
        }
        for method in RangeMethod::ALL {
            let found = method.range(&of(&[0.0; 9]), IntegerFormat::UINT8, Limits::NONE);
            assert_eq!(found, Some(Range { min: 0.0, max: 0.0 }), "{method}");
        }
    }

    #[test]
    fn methods_are_read_as_they_are_written() {
        for method in RangeMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        let parse = |text: &str| text.parse::<RangeMethod>();
        assert_eq!(parse("moving-average"), Ok(RangeMethod::MeanMinMax));
        assert_eq!(parse("percentile"), Ok(RangeMethod::Percentile { percent: 99.999 }));
        assert_eq!(parse("mse:2"), Ok(RangeMethod::Mse { norm: 2.0 }));
        assert_eq!(parse("mean-std:2.5"), Ok(RangeMethod::MeanStd { deviations: 2.5 }));
        for wrong in ["percentile:0", "percentile:101", "mse:x", "mean-std:-1", "mean-std:NaN"] {
            assert!(matches!(parse(wrong), Err(UnknownMethod::Number { .. })), "{wrong}");
        }
        assert!(matches!(parse("aciq:3"), Err(UnknownMethod::Number { .. })));
        assert_eq!(parse("best"), Err(UnknownMethod::Name("best".to_owned())));
    }
}
