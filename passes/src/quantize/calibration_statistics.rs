//! What running the model on samples tells of its values.
use super::fingerprint::Fingerprint;
use lapidary_exec::{ExecError, Inputs, RunOptions, Runner, ValueStatistics};
use lapidary_ir::{Dim, Graph, Model, ValueId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Exact statistics of the floating-point values of a model over samples.
///
/// They are the same for any order of the samples, any number of threads and any division into
/// parts that are collected apart and merged, bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationStatistics {
    /// The model whose values these are.
    pub model: Fingerprint,
    /// The number of samples.
    pub samples: u64,
    /// By the name of the value.
    pub values: BTreeMap<String, Arc<ValueStatistics>>,
}

impl CalibrationStatistics {
    /// Runs the model on one sample after another, on all threads of the current rayon pool, and keeps
    /// statistics of every floating-point value of the main graph that is given or computed.
    ///
    /// A sample has the inputs of the model with 1 for the size of a batch. If the model declares another
    /// number there, the sample is repeated so often: a runtime may round otherwise in larger batches, and
    /// what is observed of a sample must not depend on its neighbours.
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
        let graph = &model.graph;
        let runner = Runner::new(model, &RunOptions::default())?;
        let observer = runner.observer(observable(graph).map(|id| graph.value(id).name()))?;
        let count = AtomicU64::new(0);
        let batches = samples.map(|sample| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, E>(fill(graph, sample?)?)
        });
        let values: BTreeMap<String, ValueStatistics> = observer.collect(batches)?;
        let samples = count.into_inner();
        if samples == 0 {
            let reason = "there are no samples".to_owned();
            return Err(ExecError::NotBatched { reason }.into());
        }
        let shared = |(name, statistics)| (name, Arc::new(statistics));
        let values = values.into_iter().map(shared).collect();
        Ok(Self { model: Fingerprint::of(model), samples, values })
    }
}

/// What is given to the model and what it computes.
pub(super) fn observable(graph: &Graph) -> impl Iterator<Item = ValueId> + '_ {
    let made = |id: &ValueId| graph.value(*id).producer().is_some();
    graph.required_inputs().chain(graph.values().map(|(id, _)| id).filter(made))
}

/// The sample repeated as often as the model declares in its batch dimensions.
pub(super) fn fill(graph: &Graph, mut sample: Inputs) -> Result<Inputs, ExecError> {
    for id in graph.required_inputs() {
        let value = graph.value(id);
        let declared = value.shape().and_then(<[Dim]>::first).and_then(Dim::value);
        let (Some(size), Some(tensor)) = (declared, sample.get_mut(value.name())) else { continue };
        if size > 1 && tensor.dims().first() == Some(&1) {
            let repeated = tensor.gather_axis(0, &vec![0; size as usize]);
            let (name, elem_type) = (value.name().to_owned(), tensor.elem_type());
            *tensor = repeated.ok_or(ExecError::UnsupportedType { name, elem_type })?;
        }
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;
    use lapidary_ir::Tensor;

    const SOURCE: &str = "
        g (float[{N},2] x, float[2] shift) => (float[{N},2] y)
        {
            s = Add(x, shift)
            y = Relu(s)
        }
    ";

    const SAMPLES: [[f32; 2]; 3] = [[1.0, 2.0], [-3.0, 4.0], [0.5, -6.0]];

    fn sample(numbers: &[f32; 2]) -> Result<Inputs, ExecError> {
        Ok(BTreeMap::from([
            ("x".to_owned(), Tensor::new(&[1, 2], numbers)),
            ("shift".to_owned(), Tensor::vector(&[0.0f32, 1.0])),
        ]))
    }

    fn collect(batch: &str, samples: &[[f32; 2]]) -> CalibrationStatistics {
        let model = model(&SOURCE.replace("{N}", batch));
        let found = CalibrationStatistics::collect(&model, samples.iter().map(sample));
        found.expect("the model runs")
    }

    #[test]
    fn every_value_has_the_range_of_all_samples() {
        for batch in ["N", "1", "2", "3"] {
            let found = collect(batch, &SAMPLES);
            assert_eq!(found.samples, 3);
            let range = |name: &str| found.values[name].numbers.range();
            assert_eq!(range("x"), Some((-6.0, 4.0)));
            assert_eq!(range("shift"), Some((0.0, 1.0)));
            assert_eq!(range("s"), Some((-5.0, 5.0)));
            assert_eq!(range("y"), Some((0.0, 5.0)));
            assert_eq!(found.values["x"].minima.range(), Some((-6.0, 1.0)));
            assert_eq!(found.values["x"].minima.count(), 3);
        }
    }

    #[test]
    fn neither_order_nor_threads_matter() {
        let whole = collect("N", &SAMPLES);
        let mut others = SAMPLES;
        others.reverse();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool.expect("threads can be made").install(|| collect("N", &others));
            assert_eq!(found, whole);
        }
    }

    #[test]
    fn no_samples_are_refused() {
        let model = model(&SOURCE.replace("{N}", "N"));
        let none = std::iter::empty::<Result<Inputs, ExecError>>();
        let error = CalibrationStatistics::collect(&model, none);
        let error = error.expect_err("there is nothing to run");
        assert!(error.to_string().contains("there are no samples"), "{error}");
    }
}
