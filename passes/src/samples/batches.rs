//! Samples divided into what the model takes at once.
use crate::macs::{product, sample_shape};
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::{Dim, Graph, Tensor, ValueId};
use std::collections::BTreeMap;
use std::ops::Range as Span;

/// Samples run together at most when the model leaves the size of a batch open.
const BATCH: usize = 16;

/// Numbers in the inputs of samples run together, unless one sample has more.
const NUMBERS: usize = 1 << 16;

/// Samples divided into what the model takes at once. They stay where they are until they are asked for.
#[derive(Clone)]
pub(crate) struct Batches<'a> {
    samples: &'a BTreeMap<String, Tensor>,
    /// The samples there are, by number.
    entries: Vec<usize>,
    size: usize,
    /// Whether every batch must have the same size.
    fixed: bool,
    /// The inputs with an entry per sample; the others go to every batch whole.
    divided: Vec<&'a str>,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(
        graph: &Graph,
        samples: &'a BTreeMap<String, Tensor>,
    ) -> Result<Self, ExecError> {
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
        let numbers = samples.get(graph.value(leader).name()).map_or(1, Tensor::len);
        let open = (NUMBERS * count as usize / numbers.max(1)).clamp(1, BATCH);
        let size = declared.map_or(open, |size| size as usize);
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
            entries: (0..count as usize).collect(),
            size,
            fixed: declared.is_some(),
            divided: divided.collect(),
        })
    }

    /// The samples.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Some of the samples, by number.
    pub(crate) fn select(&self, numbers: &[usize]) -> Self {
        let entries = numbers.iter().filter_map(|&number| self.entries.get(number).copied());
        Self { entries: entries.collect(), ..self.clone() }
    }

    /// The bytes of a value for all samples, as 32-bit numbers, if its sizes are known.
    pub(crate) fn bytes(&self, graph: &Graph, value: ValueId) -> Option<u64> {
        let numbers = product(&sample_shape(graph, value)?)?;
        let runs = if self.fixed { self.count().div_ceil(self.size) } else { self.count() };
        numbers.checked_mul(4 * runs as u64)
    }

    /// All samples, stacked.
    pub(crate) fn stacked(&self) -> Result<Inputs, ExecError> {
        self.gather(&self.entries)
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = Span<usize>> {
        let starts = (0..self.count()).step_by(self.size);
        starts.map(|start| start..self.count().min(start + self.size))
    }

    pub(crate) fn at(&self, span: Span<usize>) -> Result<Inputs, ExecError> {
        let filling = if self.fixed { self.size - span.len() } else { 0 };
        let last = span.end - 1;
        let numbers = span.chain(std::iter::repeat_n(last, filling));
        self.gather(&numbers.map(|number| self.entries[number]).collect::<Vec<_>>())
    }

    fn gather(&self, entries: &[usize]) -> Result<Inputs, ExecError> {
        let part = |(name, tensor): (&String, &Tensor)| {
            if !self.divided.contains(&name.as_str()) {
                return Ok((name.clone(), tensor.clone()));
            }
            let (name, elem_type) = (name.clone(), tensor.elem_type());
            match tensor.gather_axis(0, entries) {
                Some(part) => Ok((name, part)),
                None => Err(ExecError::UnsupportedType { name, elem_type }),
            }
        };
        self.samples.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    fn of(batch: &str, samples: usize) -> (lapidary_ir::Model, BTreeMap<String, Tensor>) {
        let source = "g (float[{N},2] x, float[2] shift) => (float[{N},2] y) { y = Add(x, shift) }";
        let numbers: Vec<f32> = (0..2 * samples).map(|number| number as f32).collect();
        let inputs = BTreeMap::from([
            ("x".to_owned(), Tensor::new(&[samples as i64, 2], &numbers)),
            ("shift".to_owned(), Tensor::vector(&[0.0f32, 1.0])),
        ]);
        (model(&source.replace("{N}", batch)), inputs)
    }

    #[test]
    fn a_fixed_batch_is_filled_up() {
        let (model, inputs) = of("2", 3);
        let batches = Batches::new(&model.graph, &inputs).expect("there are samples");
        let spans: Vec<_> = batches.spans().collect();
        assert_eq!(spans, [0..2, 2..3]);
        let last = batches.at(spans[1].clone()).expect("floats can be gathered");
        assert_eq!(last["x"].to_vec::<f32>(), Some(vec![4.0, 5.0, 4.0, 5.0]));
        assert_eq!(last["shift"].dims(), [2]);
    }

    #[test]
    fn an_open_batch_is_large() {
        let (model, inputs) = of("N", 20);
        let batches = Batches::new(&model.graph, &inputs).expect("there are samples");
        assert_eq!(batches.spans().collect::<Vec<_>>(), [0..16, 16..20]);
        let some = batches.select(&[3, 1]);
        assert!(some.spans().eq(std::iter::once(0..2)));
        let some = some.stacked().expect("floats can be gathered");
        assert_eq!(some["x"].to_vec::<f32>(), Some(vec![6.0, 7.0, 2.0, 3.0]));
    }

    #[test]
    fn no_samples_are_refused() {
        let (model, inputs) = of("N", 0);
        let error = Batches::new(&model.graph, &inputs).err().expect("there is nothing to run");
        assert!(error.to_string().contains("there are no samples"), "{error}");
    }
}
