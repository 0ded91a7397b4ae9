//! A command as a stopwatch.
use super::command::{RuntimeError, call};
use crate::{Error, save};
use lapidary_exec::Inputs;
use lapidary_ir::{FixedDims, Model};
use lapidary_passes::prune::{Stopwatch, StopwatchError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Models of one call: a runtime takes long to start, and a line of command has an end.
const AT_ONCE: usize = 256;

/// What a command prints for models in files.
#[derive(Debug)]
pub(super) struct CommandStopwatch {
    words: Vec<String>,
    start: Instant,
}

impl CommandStopwatch {
    pub(super) fn new(words: &[String]) -> Self {
        Self { words: words.to_vec(), start: Instant::now() }
    }

    fn called(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, Error> {
        let folder = tempfile::tempdir().map_err(RuntimeError::Folder).map_err(Error::Runtime)?;
        let mut paths: Vec<PathBuf> = Vec::with_capacity(models.len());
        for (number, (model, inputs)) in models.iter().enumerate() {
            let path = folder.path().join(format!("{number}.onnx"));
            save(&sized(model, inputs)?, &path)?;
            paths.push(path);
        }
        call(&self.words, &paths, folder.path(), LIMIT).map_err(Error::Runtime)
    }
}

impl Stopwatch for CommandStopwatch {
    fn nanoseconds(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, StopwatchError> {
        self.called(models).map_err(|error| StopwatchError::Other(Box::new(error)))
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A model whose inputs have the sizes of these.
pub(crate) fn sized(model: &Model, inputs: &Inputs) -> Result<Model, Error> {
    let mut model = model.clone();
    let dims = inputs.iter().map(|(name, tensor)| (Some(name.clone()), tensor.dims().to_vec()));
    let dims = FixedDims { inputs: dims.collect(), ..FixedDims::default() };
    model.fix_dims(&dims).map_err(Error::FixDims)?;
    Ok(model)
}
