//! The ranges of values, from running the model on samples.
use super::calibration_statistics::CalibrationStatistics;
use super::format::IntegerFormat;
use super::range::{Limits, Parameters, Range, RangeError};
use super::ranges::RangeMethod;
use lapidary_exec::{ExecError, Inputs, ValueStatistics};
use lapidary_ir::Model;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of the values of a graph. Copies share the statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    values: BTreeMap<String, Known>,
}

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    Statistics(Arc<ValueStatistics>, Arc<Chosen>),
    /// Its range, whatever the method.
    Range(Range),
}

/// The ranges already chosen for a value. They follow from its statistics, so that all are equal.
#[derive(Debug, Default)]
struct Chosen(Mutex<Vec<Choice>>);

/// A format and a method, and the range it chose.
type Choice = ((IntegerFormat, RangeMethod), Option<Range>);

impl PartialEq for Chosen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Chosen {
    fn range(
        &self,
        statistics: &ValueStatistics,
        format: IntegerFormat,
        method: RangeMethod,
    ) -> Option<Range> {
        let mut chosen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, range)) = chosen.iter().find(|(key, _)| *key == (format, method)) {
            return *range;
        }
        let range = method.range(statistics, format, Limits::NONE);
        chosen.push(((format, method), range));
        range
    }
}

/// Why a value can't be quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoParameters {
    /// It was not computed on the samples, or is not of a floating-point type.
    #[error("was not observed")]
    NotObserved,
    /// What was observed has no scale.
    #[error(transparent)]
    Range(#[from] RangeError),
}

impl Calibration {
    /// Nothing is known.
    pub const EMPTY: Self = Self { values: BTreeMap::new() };

    /// Runs the model on samples, as [`CalibrationStatistics::collect`] does.
    ///
    /// # Errors
    /// Those of the iterator; when there are no samples, and when the runtime can't run the model on one.
    pub fn collect<E>(
        model: &Model,
        samples: impl Iterator<Item = Result<Inputs, E>> + Send,
    ) -> Result<Self, E>
    where
        E: From<ExecError> + Send,
    {
        Ok(Self::from(&CalibrationStatistics::collect(model, samples)?))
    }

    /// Whether nothing is known of any value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Gives a value another range, whatever the method.
    pub(super) fn set(&mut self, value: &str, range: Range) {
        self.values.insert(value.to_owned(), Known::Range(range));
    }

    /// What was observed of a value.
    #[must_use]
    pub fn statistics(&self, value: &str) -> Option<&Arc<ValueStatistics>> {
        match self.values.get(value)? {
            Known::Statistics(statistics, _) => Some(statistics),
            Known::Range(_) => None,
        }
    }

    /// The smallest and the largest number of a value; unbounded when not only finite numbers occurred.
    #[must_use]
    pub fn range(&self, value: &str) -> Option<Range> {
        self.range_by(value, IntegerFormat::UINT8, RangeMethod::MinMax, Limits::NONE)
    }

    /// The range a method chooses for a value, within limits. It is computed once.
    #[must_use]
    pub fn range_by(
        &self,
        value: &str,
        format: IntegerFormat,
        method: RangeMethod,
        limits: Limits,
    ) -> Option<Range> {
        match self.values.get(value)? {
            Known::Statistics(statistics, chosen) => {
                Some(chosen.range(statistics, format, method)?.within(limits))
            }
            Known::Range(range) => Some(range.within(limits)),
        }
    }

    /// The quantization parameters a method chooses for a value behind limits.
    ///
    /// Where scale and zero point are free, nothing outside of the limits is represented, and so
    /// [`Parameters::implies`] them.
    ///
    /// # Errors
    /// When its range is not known or has no scale.
    pub fn parameters(
        &self,
        value: &str,
        format: IntegerFormat,
        method: RangeMethod,
        limits: Limits,
    ) -> Result<Parameters, NoParameters> {
        let range = self.range_by(value, format, method, Limits::NONE);
        let range = range.ok_or(NoParameters::NotObserved)?;
        if !range.min.is_finite() || !range.max.is_finite() {
            return Err(RangeError::NotFinite.into());
        }
        let found = range.within(limits).parameters(format)?;
        if format.symmetric || format.power_of_two {
            return Ok(found);
        }
        Ok(found.within(limits).ok_or(RangeError::TooSmall)?)
    }
}

impl From<&CalibrationStatistics> for Calibration {
    fn from(collected: &CalibrationStatistics) -> Self {
        let known = |(name, statistics): (&String, &Arc<ValueStatistics>)| {
            (name.clone(), Known::Statistics(statistics.clone(), Arc::default()))
        };
        Self { values: collected.values.iter().map(known).collect() }
    }
}

impl FromIterator<(String, Range)> for Calibration {
    fn from_iter<I: IntoIterator<Item = (String, Range)>>(ranges: I) -> Self {
        let known = |(name, range)| (name, Known::Range(range));
        Self { values: ranges.into_iter().map(known).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;

    const RELU: &str = "
        g (float[N,2] x) => (float[N,2] y)
        {
            y = Clip(x)
        }
    ";

    fn of(numbers: &[f32]) -> Calibration {
        let inputs = [("x".to_owned(), lapidary_ir::Tensor::new(&[1, 2], numbers))];
        let samples = std::iter::once(Ok::<_, ExecError>(Inputs::from(inputs)));
        Calibration::collect(&model(RELU), samples).expect("the model runs")
    }

    #[test]
    fn a_number_that_is_not_finite_makes_the_range_infinite() {
        let found = of(&[1.0, f32::NAN]);
        assert_eq!(found.range("x"), Some(Range::UNBOUNDED));
        for limits in [Limits::NONE, Limits { low: 0.0, high: 6.0 }] {
            let parameters =
                found.parameters("x", IntegerFormat::UINT8, RangeMethod::MinMax, limits);
            assert_eq!(parameters, Err(NoParameters::Range(RangeError::NotFinite)));
        }
        let other = found.parameters(
            "z",
            IntegerFormat::UINT8,
            RangeMethod::MinMax,
            Limits { low: 0.0, high: 6.0 },
        );
        assert_eq!(other, Err(NoParameters::NotObserved));
    }

    #[test]
    fn limits_bound_the_range_in_any_format() {
        let found = of(&[-1.0, 8.0]);
        let limits = Limits { low: 0.0, high: 6.0 };
        let at = |format| found.parameters("x", format, RangeMethod::MinMax, limits);
        let uint8 = at(IntegerFormat::UINT8).expect("it has parameters");
        assert!(uint8.implies(limits) && uint8.represented().max > 5.999_99);
        let int8 = at(IntegerFormat::SYMMETRIC_INT8).expect("it has parameters");
        assert_eq!((int8.scale, int8.zero_point), (6.0 / 127.0, 0));
        let shift = at(IntegerFormat::UINT8.power_of_two()).expect("it has parameters");
        assert_eq!(shift.scale, 1.0 / 32.0);
    }

    #[test]
    fn statistics_are_shared() {
        let found = of(&[1.0, 2.0]);
        let (first, second) = (found.clone(), found);
        let shared = first.statistics("x").zip(second.statistics("x"));
        assert!(shared.is_some_and(|(first, second)| Arc::ptr_eq(first, second)));
    }
}
