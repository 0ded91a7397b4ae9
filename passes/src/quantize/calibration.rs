//! The ranges of values, from running the model on samples.
use super::range::Range;
use lapidary_exec::{ExecError, Inputs, RunOptions, Runner, Statistics};
use lapidary_ir::{Dim, Graph, Model, Tensor, ValueId};
use std::collections::BTreeMap;
use std::ops::Range as Span;

/// Samples run together when the model leaves the size of a batch open.
const BATCH: usize = 16;

/// The ranges of the values of a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    ranges: BTreeMap<String, Range>,
}

impl Calibration {
    /// Nothing is known.
    pub const EMPTY: Self = Self { ranges: BTreeMap::new() };

    /// Runs the model on samples stacked along axis 0 and notes the smallest and the largest number every
    /// floating-point value of the main graph takes.
    ///
    /// The samples are counted on axis 0 of the model's first input. If the model declares a number there, it
    /// is the size of a batch, and the last batch is filled up with its last sample.
    ///
    /// # Errors
    /// When the inputs don't fit the model, there are no samples, or the runtime can't run it.
    pub fn collect(model: &Model, samples: &BTreeMap<String, Tensor>) -> Result<Self, ExecError> {
        let graph = &model.graph;
        let made = |id: &ValueId| graph.value(*id).producer().is_some();
        let computed = graph.values().map(|(id, _)| id).filter(made);
        let watched: Vec<ValueId> = graph.required_inputs().chain(computed).collect();
        let runner = Runner::new(model, &RunOptions::default())?;
        let observer = runner.observer(watched.into_iter().map(|id| graph.value(id).name()))?;
        let batches = Batches::new(graph, samples)?;
        let statistics: BTreeMap<String, Statistics> =
            observer.collect(batches.spans().map(|span| batches.at(span)))?;
        let range = |(name, statistics): (String, Statistics)| Some((name, range(&statistics)?));
        Ok(Self { ranges: statistics.into_iter().filter_map(range).collect() })
    }

    /// The range of a value, if it was observed.
    #[must_use]
    pub fn range(&self, value: &str) -> Option<Range> {
        self.ranges.get(value).copied()
    }
}

impl FromIterator<(String, Range)> for Calibration {
    fn from_iter<I: IntoIterator<Item = (String, Range)>>(ranges: I) -> Self {
        Self { ranges: ranges.into_iter().collect() }
    }
}

/// What was observed; infinite when anything else than finite numbers occurred.
fn range(statistics: &Statistics) -> Option<Range> {
    if statistics.nans() + statistics.infinities() > 0 {
        return Some(Range { min: f32::NEG_INFINITY, max: f32::INFINITY });
    }
    let (min, max) = statistics.range()?;
    Some(Range { min, max })
}

/// Samples divided into what the model takes at once.
struct Batches<'a> {
    samples: &'a BTreeMap<String, Tensor>,
    count: usize,
    size: usize,
    /// Whether every batch must have the same size.
    fixed: bool,
    /// The inputs with an entry per sample; the others go to every batch whole.
    divided: Vec<&'a str>,
}

impl<'a> Batches<'a> {
    fn new(graph: &Graph, samples: &'a BTreeMap<String, Tensor>) -> Result<Self, ExecError> {
        let refused = |reason: &str| ExecError::NotBatched { reason: reason.to_owned() };
        let leading = |id: ValueId| graph.value(id).shape().and_then(<[Dim]>::first).cloned();
        let entries = |id: ValueId| samples.get(graph.value(id).name())?.dims().first().copied();
        let leader = graph.required_inputs().find(|&id| entries(id).is_some());
        let leader = leader.ok_or_else(|| refused("no input has an axis of samples"))?;
        let count = entries(leader).unwrap_or(0);
        if count == 0 {
            return Err(refused("there are no samples"));
        }
        let declared = leading(leader).and_then(|dim| dim.value());
        let size = declared.map_or(BATCH, |size| size as usize);
        if size == 0 {
            return Err(refused("the batch size is 0"));
        }
        let divided = |&id: &ValueId| {
            entries(id) == Some(count) && (id == leader || leading(id) == leading(leader))
        };
        let names = graph.required_inputs().filter(divided).map(|id| graph.value(id).name());
        let divided = names.filter_map(|name| Some(samples.get_key_value(name)?.0.as_str()));
        Ok(Self {
            samples,
            count: count as usize,
            size,
            fixed: declared.is_some(),
            divided: divided.collect(),
        })
    }

    fn spans(&self) -> impl Iterator<Item = Span<usize>> {
        let starts = (0..self.count).step_by(self.size);
        starts.map(|start| start..self.count.min(start + self.size))
    }

    fn at(&self, span: Span<usize>) -> Result<Inputs, ExecError> {
        let filling = if self.fixed { self.size - span.len() } else { 0 };
        let last = span.end - 1;
        let entries: Vec<usize> = span.chain(std::iter::repeat_n(last, filling)).collect();
        let part = |(name, tensor): (&String, &Tensor)| {
            if !self.divided.contains(&name.as_str()) {
                return Ok((name.clone(), tensor.clone()));
            }
            let (name, elem_type) = (name.clone(), tensor.elem_type());
            match tensor.gather_axis(0, &entries) {
                Some(part) => Ok((name, part)),
                None => Err(ExecError::UnsupportedType { name, elem_type }),
            }
        };
        self.samples.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;

    const RELU: &str = "
        g (float[{N},2] x, float[2] shift) => (float[{N},2] y)
        {
            s = Add(x, shift)
            y = Relu(s)
        }
    ";

    fn ranges(batch: &str, samples: &[f32]) -> Calibration {
        let model = model(&RELU.replace("{N}", batch));
        let inputs = BTreeMap::from([
            ("x".to_owned(), Tensor::new(&[samples.len() as i64 / 2, 2], samples)),
            ("shift".to_owned(), Tensor::vector(&[0.0f32, 1.0])),
        ]);
        Calibration::collect(&model, &inputs).expect("the model runs")
    }

    #[test]
    fn every_value_has_the_range_of_all_samples() {
        let samples = [1.0, 2.0, -3.0, 4.0, 0.5, -6.0];
        for batch in ["N", "1", "2", "3"] {
            let found = ranges(batch, &samples);
            assert_eq!(found.range("x"), Some(Range { min: -6.0, max: 4.0 }));
            assert_eq!(found.range("shift"), Some(Range { min: 0.0, max: 1.0 }));
            assert_eq!(found.range("s"), Some(Range { min: -5.0, max: 5.0 }));
            assert_eq!(found.range("y"), Some(Range { min: 0.0, max: 5.0 }));
        }
    }

    #[test]
    fn a_number_that_is_not_finite_makes_the_range_infinite() {
        let found = ranges("N", &[1.0, f32::NAN, 0.0, 1.0]);
        let x = found.range("x").expect("it was observed");
        assert_eq!((x.min, x.max), (f32::NEG_INFINITY, f32::INFINITY));
    }

    #[test]
    fn no_samples_are_refused() {
        let model = model(&RELU.replace("{N}", "N"));
        let inputs = BTreeMap::from([
            ("x".to_owned(), Tensor::new::<f32>(&[0, 2], &[])),
            ("shift".to_owned(), Tensor::vector(&[0.0f32, 1.0])),
        ]);
        let error = Calibration::collect(&model, &inputs).expect_err("there is nothing to run");
        assert!(error.to_string().contains("there are no samples"), "{error}");
    }
}
