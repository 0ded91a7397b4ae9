//! Running many samples in batches.
use crate::{ExecError, Inputs, Outputs, Runner};
use lapidary_ir::{Dim, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// How stacked samples are divided.
struct Division<'a> {
    samples: usize,
    batch: usize,
    /// The inputs with one entry per sample on axis 0; the others go to every batch whole.
    split: Vec<&'a str>,
}

impl Runner {
    /// Runs samples stacked along axis 0, a batch at a time, on all threads of the current rayon
    /// pool.
    ///
    /// The samples are counted on axis 0 of the first input that has dimensions. Its declared
    /// number there is the size of a batch, or [`RunOptions::batch`](crate::RunOptions::batch) if
    /// the declaration leaves it open. Every other input declared with the same number or
    /// `dim_param` on axis 0 is divided like it if it has an entry per sample; the rest goes to
    /// every batch whole. The last batch is filled up by repeating the last sample, so that every
    /// sample meets the same plan, and what comes of the filling is cut off. Outputs are joined
    /// along axis 0.
    ///
    /// # Errors
    /// Those of [`Runner::run`], and when no input has a sample axis, or an output does not have
    /// one.
    pub fn run_batched(&self, inputs: &Inputs) -> Result<Outputs, ExecError> {
        let division = self.divide(inputs)?;
        let starts: Vec<usize> = (0..division.samples).step_by(division.batch).collect();
        let run = |&start: &usize| self.run(&division.batch_at(start, inputs)?);
        let batches: Vec<Outputs> = starts.par_iter().map(run).collect::<Result<_, _>>()?;
        let names = self.source.outputs.iter().enumerate();
        names
            .map(|(index, name)| Ok((name.clone(), division.join(name, index, &batches)?)))
            .collect()
    }

    fn divide<'a>(&self, inputs: &'a Inputs) -> Result<Division<'a>, ExecError> {
        let not_batched = |reason: &str| ExecError::NotBatched { reason: reason.to_owned() };
        let declared = &self.source.signature.inputs;
        let leader = declared.iter().find(|declared| {
            let given = inputs.get(&declared.name).is_some_and(|tensor| tensor.rank() > 0);
            given && declared.shape.as_ref().is_none_or(|shape| !shape.is_empty())
        });
        let leader = leader.ok_or_else(|| not_batched("no input has dimensions"))?;
        let axis = |shape: &Option<Vec<Dim>>| shape.as_ref()?.first().cloned();
        let leading = axis(&leader.shape);
        let samples = inputs[&leader.name].dims()[0];
        if samples == 0 {
            return Err(not_batched(&format!("input `{}` has no samples", leader.name)));
        }
        let fixed = leading.as_ref().and_then(Dim::value);
        let batch = fixed.map_or(self.options.batch, |batch| batch as usize);
        if batch == 0 {
            return Err(not_batched("the batch size is 0"));
        }
        let is_split = |name: &str| {
            let declared = declared.iter().find(|declared| declared.name == name);
            let Some(dim) = declared.and_then(|declared| axis(&declared.shape)) else {
                return false;
            };
            let same = match &leading {
                Some(leading) => {
                    dim.value() == leading.value() && dim.as_param() == leading.as_param()
                }
                None => false,
            };
            same && inputs[name].dims().first() == Some(&samples)
        };
        let names = inputs.keys().map(String::as_str);
        let split = names.filter(|&name| name == leader.name || is_split(name)).collect();
        Ok(Division { samples: samples as usize, batch, split })
    }
}

impl Division<'_> {
    /// The inputs of the batch that begins with sample `start`.
    fn batch_at(&self, start: usize, inputs: &Inputs) -> Result<Inputs, ExecError> {
        let end = self.samples.min(start + self.batch);
        let part = |(name, tensor): (&String, &Tensor)| {
            if !self.split.contains(&name.as_str()) {
                return Ok((name.clone(), tensor.clone()));
            }
            let part = if end - start == self.batch {
                entries(tensor, start..end)
            } else {
                let filling = std::iter::repeat_n(end - 1, self.batch - (end - start));
                tensor.gather_axis(0, &(start..end).chain(filling).collect::<Vec<_>>())
            };
            let unsupported =
                || ExecError::UnsupportedType { name: name.clone(), elem_type: tensor.elem_type() };
            Ok((name.clone(), part.ok_or_else(unsupported)?))
        };
        inputs.iter().map(part).collect()
    }

    /// Output `index` of all batches as one tensor, without what came of the filling.
    fn join(&self, name: &str, index: usize, batches: &[Outputs]) -> Result<Tensor, ExecError> {
        let first = &batches[0][index].1;
        let mut bytes = Vec::new();
        let mut rows = 0;
        for (number, outputs) in batches.iter().enumerate() {
            let tensor = &outputs[index].1;
            let (found, batch) = (tensor.dims().to_vec(), self.batch);
            let unbatched = || ExecError::UnbatchedOutput { name: name.to_owned(), found, batch };
            let per_sample = match tensor.dims().first() {
                Some(&dim) if (dim as usize).is_multiple_of(batch) => dim as usize / batch,
                _ => return Err(unbatched()),
            };
            if tensor.dims() != first.dims() || tensor.elem_type() != first.elem_type() {
                return Err(unbatched());
            }
            let real = batch.min(self.samples - number * batch) * per_sample;
            let kept = entries(tensor, 0..real);
            let Some(kept) = kept.as_ref().and_then(Tensor::bytes) else { return Err(unbatched()) };
            bytes.extend_from_slice(kept);
            rows += real;
        }
        let mut dims = first.dims().to_vec();
        dims[0] = rows as i64;
        let found = dims.clone();
        Tensor::from_bytes(first.elem_type(), dims, bytes.into()).map_err(|_| {
            ExecError::UnbatchedOutput { name: name.to_owned(), found, batch: self.batch }
        })
    }
}

/// The entries `range` of axis 0, sharing the data; whole-byte numeric types only.
fn entries(tensor: &Tensor, range: Range<usize>) -> Option<Tensor> {
    let mut dims = tensor.dims().to_vec();
    let extent = usize::try_from(*dims.first()?).ok()?;
    let bytes = tensor.bytes()?;
    let width = bytes.len().checked_div(extent)?;
    dims[0] = range.len() as i64;
    let part = bytes.slice(range.start * width..range.end * width);
    Tensor::from_bytes(tensor.elem_type(), dims, part).ok()
}

#[cfg(test)]
mod tests {
    use crate::testing::{decode, float, inputs};
    use crate::{ExecError, RunOptions, Runner};
    use lapidary_ir::Tensor;

    const TWICE_AND_SUM: &str = "x:float BATCH,2 -> y:float z:float
        y = Add(x, x)
        z = ReduceSum(x, axes) {keepdims=0}";

    fn model(batch: &str) -> lapidary_ir::Model {
        let text = TWICE_AND_SUM.replace("BATCH", batch);
        decode(&text, &[("axes", Tensor::vector(&[1i64]))])
    }

    fn samples(count: usize) -> Tensor {
        let values: Vec<f32> = (0..count * 2).map(|index| index as f32).collect();
        Tensor::new(&[count as i64, 2], &values)
    }

    #[test]
    fn a_fixed_batch_is_filled_and_cut() {
        let runner = Runner::new(&model("4"), &RunOptions::default()).expect("it loads");
        let outputs = runner.run_batched(&inputs([("x", samples(6))])).expect("it runs");
        let twice: Vec<f32> = (0..12).map(|index| 2.0 * index as f32).collect();
        assert_eq!(outputs[0].0, "y");
        assert!(outputs[0].1.same_content(&Tensor::new(&[6, 2], &twice)));
        assert!(outputs[1].1.same_content(&Tensor::vector(&[1.0f32, 5.0, 9.0, 13.0, 17.0, 21.0])));
    }

    #[test]
    fn an_open_batch_takes_the_size_of_the_options() {
        let options = RunOptions { batch: 3, ..RunOptions::default() };
        let runner = Runner::new(&model("N"), &options).expect("it loads");
        let outputs = runner.run_batched(&inputs([("x", samples(7))])).expect("it runs");
        let whole = runner.run(&inputs([("x", samples(7))])).expect("it runs");
        assert!(outputs.iter().zip(&whole).all(|(a, b)| a.1.same_content(&b.1)));
    }

    #[test]
    fn inputs_without_a_sample_axis_go_to_every_batch() {
        let text = "x:float N,2 w:float 2 -> y:float
            y = Mul(x, w)";
        let runner = Runner::new(&decode(text, &[]), &RunOptions::default()).expect("it loads");
        let given = inputs([("x", samples(2)), ("w", Tensor::vector(&[1.0f32, 10.0]))]);
        let outputs = runner.run_batched(&given).expect("it runs");
        assert!(outputs[0].1.same_content(&float(&[2, 2], &[0.0, 10.0, 2.0, 30.0])));
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let options = RunOptions { batch: 2, ..RunOptions::default() };
        let runner = Runner::new(&model("N"), &options).expect("it loads");
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads can be made");
            pool.install(|| runner.run_batched(&inputs([("x", samples(33))]))).expect("it runs")
        };
        let (one, four) = (run(1), run(4));
        assert!(one.iter().zip(&four).all(|(a, b)| a.1.same_content(&b.1)));
    }

    #[test]
    fn an_output_that_is_no_batch_is_refused() {
        let text = "x:float N,2 -> y:float
            y = ReduceSum(x) {keepdims=0}";
        let options = RunOptions { batch: 2, ..RunOptions::default() };
        let runner = Runner::new(&decode(text, &[]), &options).expect("it loads");
        let error = runner.run_batched(&inputs([("x", samples(4))])).expect_err("it is a scalar");
        let expected =
            ExecError::UnbatchedOutput { name: "y".to_owned(), found: Vec::new(), batch: 2 };
        assert_eq!(error, expected);
    }

    #[test]
    fn no_samples_are_no_batches() {
        let runner = Runner::new(&model("N"), &RunOptions::default()).expect("it loads");
        let error = runner.run_batched(&inputs([("x", samples(0))])).expect_err("it is empty");
        assert!(matches!(error, ExecError::NotBatched { .. }));
    }
}
