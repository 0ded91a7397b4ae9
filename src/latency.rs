//! What a model takes in a runtime, for pruning by it.
use crate::data::synthetic;
use crate::prune::executed;
use crate::runtime::sized;
use crate::{Dataset, Error, Runtime, optimize};
use lapidary_exec::{ExecError, Inputs, RandomInputs, RunOptions, Runner};
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::Progress;
use lapidary_passes::prune::{Latency, ProductTimes, Rounding};
use std::time::Duration;

/// How long products are measured at most, if not the coarsest grid takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Measures a model as it is given, and as it is optimized with its products. Also tells how often the time of the latter
/// is in that of the first; shares are those of the latter.
pub(crate) fn latency(
    original: &Model,
    optimized: &Model,
    data: Option<&Dataset>,
    rounding: Rounding,
    runtime: &Runtime,
    progress: Progress<'_>,
) -> Result<(Latency, f64), Error> {
    progress("latency", 0, 0);
    let watch = runtime.stopwatch();
    let inputs = one_sample(original, data).map_err(|error| executed(error.into()))?;
    let mut last = optimized.clone();
    optimize(&mut last)?;
    let times = watch.nanoseconds(&[(original, &inputs), (&last, &inputs)]);
    let times = times.map_err(|error| executed(error.into()))?;
    let (given, whole) = (times[0], times[1].max(1.0));
    let times = ProductTimes::measure(
        &sized(optimized, &inputs)?,
        whole,
        rounding,
        &*watch,
        LIMIT,
        progress,
    );
    let grown = given / whole;
    let original = original.clone();
    let measure = move |cut: &Model| {
        let mut model = cut.clone();
        // What can't be optimized is measured as it is.
        if optimize(&mut model).is_err() {
            model.clone_from(cut);
        }
        let times = watch.nanoseconds(&[(&original, &inputs), (&model, &inputs)])?;
        Ok(times[1] / times[0] * grown)
    };
    Ok((Latency { times, measure: Box::new(measure) }, grown))
}

/// The first sample if the model runs on one, else a random one.
fn one_sample(model: &Model, data: Option<&Dataset>) -> Result<Inputs, ExecError> {
    let given = match data {
        Some(data) => data.take(1).stacked().ok(),
        None => synthetic(model, 1).ok(),
    };
    let runner = Runner::new(model, &RunOptions::default())?;
    match given.filter(|inputs| runner.run(inputs).is_ok()) {
        Some(inputs) => Ok(inputs),
        None => RandomInputs { batch: 1, ..RandomInputs::default() }.generate(model),
    }
}
