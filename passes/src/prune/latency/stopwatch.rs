//! Measures how long models take.
use lapidary_exec::{ExecError, Inputs, RunOptions, Runner};
use lapidary_ir::Model;
use std::time::{Duration, Instant};

/// Rounds in which every model runs, at least and at most.
const ROUNDS: (usize, usize) = (5, 40);

/// Models that take less than this together run in more rounds than the least.
const ENOUGH: Duration = Duration::from_millis(40);

/// Why it is not known how long models take.
#[derive(Debug, thiserror::Error)]
pub enum StopwatchError {
    /// The built-in runtime can't run one, or there are no inputs for it.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// Another runtime has a reason of its own.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// Tells how long models take.
pub trait Stopwatch: Send + Sync {
    /// Nanoseconds of one run of each model, on its inputs.
    ///
    /// # Errors
    /// When one can't be run.
    fn nanoseconds(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, StopwatchError>;

    /// How many models, of those there are, it is best asked for at once.
    fn at_once(&self) -> usize {
        1
    }

    /// How much time went by since some moment.
    fn elapsed(&self) -> Duration;
}

/// The built-in runtime on this machine, in one thread: the least of several runs, in which the models take turns.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeStopwatch {
    start: Instant,
}

impl Default for RuntimeStopwatch {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Stopwatch for RuntimeStopwatch {
    fn nanoseconds(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, StopwatchError> {
        let mut runners = Vec::with_capacity(models.len());
        for (model, inputs) in models {
            let runner = Runner::new(model, &RunOptions::default())?;
            runner.time(inputs)?;
            runners.push((runner, *inputs));
        }
        let mut least = vec![f64::INFINITY; runners.len()];
        let start = Instant::now();
        for round in 0..ROUNDS.1 {
            if round >= ROUNDS.0 && start.elapsed() > ENOUGH {
                break;
            }
            for ((runner, inputs), least) in runners.iter().zip(&mut least) {
                *least = least.min(runner.time(inputs)?.as_secs_f64() * 1e9);
            }
        }
        Ok(least)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::model;
    use lapidary_exec::RandomInputs;

    #[test]
    fn every_model_has_a_time() {
        let model = model("g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }");
        let inputs = RandomInputs::default().generate(&model).expect("it is declared");
        let watch = RuntimeStopwatch::default();
        let times = watch.nanoseconds(&[(&model, &inputs), (&model, &inputs)]).expect("it runs");
        assert!(times.len() == 2 && times.iter().all(|time| *time > 0.0 && time.is_finite()));
        assert!(watch.nanoseconds(&[(&model, &Inputs::new())]).is_err());
    }
}
