//! Calibration apart from quantization: statistics in a file.
use crate::{Dataset, DatasetError, Error};
use lapidary_exec::ExecError;
use lapidary_ir::Model;
use lapidary_passes::quantize::{CALIBRATION_MAGIC, CalibrationStatistics};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Runs a model on some samples of a dataset, in parallel, and keeps exact statistics of every value.
///
/// # Errors
/// When a sample can't be read or does not fit the model, or the runtime can't execute it.
pub fn calibrate(
    model: &Model,
    data: &Dataset,
    indices: impl Iterator<Item = usize> + Send,
) -> Result<CalibrationStatistics, Error> {
    let samples = indices.map(|index| Ok(data.sample(index)?));
    CalibrationStatistics::collect(model, samples).map_err(|error: Uncalibrated| error.at(data))
}

/// Why there are no statistics.
pub(crate) enum Uncalibrated {
    Data(DatasetError),
    Run(ExecError),
}

impl Uncalibrated {
    /// The same for samples of `data`.
    pub(crate) fn at(self, data: &Dataset) -> Error {
        match self {
            Self::Data(source) => Error::data(data.path(), source),
            Self::Run(source) => Error::Execute {
                what: "model",
                source,
                help: "calibration runs the model on the data; simplify it with `lapidary optimize` first",
            },
        }
    }
}

impl From<DatasetError> for Uncalibrated {
    fn from(error: DatasetError) -> Self {
        Self::Data(error)
    }
}

impl From<ExecError> for Uncalibrated {
    fn from(error: ExecError) -> Self {
        Self::Run(error)
    }
}

/// Whether a file holds calibration statistics, by its first bytes.
#[must_use]
pub fn is_calibration(path: &Path) -> bool {
    let mut start = [0; CALIBRATION_MAGIC.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == CALIBRATION_MAGIC
}

/// Reads calibration statistics.
///
/// # Errors
/// When the file can't be read or is damaged.
pub fn read_calibration(path: &Path) -> Result<CalibrationStatistics, Error> {
    let bytes =
        fs::read(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
    CalibrationStatistics::decode(&bytes)
        .map_err(|source| Error::CalibrationFile { path: path.to_owned(), source })
}

/// Writes calibration statistics.
///
/// # Errors
/// When the file can't be written; an older file is then as it was.
pub fn write_calibration(statistics: &CalibrationStatistics, path: &Path) -> Result<u64, Error> {
    let bytes = statistics.encode();
    lapidary_proto::replace(path, &bytes).map_err(Error::Write)?;
    Ok(bytes.len() as u64)
}
