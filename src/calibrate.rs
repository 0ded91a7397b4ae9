//! Calibration apart from quantization: statistics in a file.
use crate::{Dataset, Error};
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::{Model, Tensor};
use lapidary_passes::quantize::{CALIBRATION_MAGIC, CalibrationStatistics};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Runs a model on samples, in parallel, and keeps exact statistics of every value.
///
/// # Errors
/// When a sample does not fit the model or the runtime can't execute it.
pub fn calibrate(
    model: &Model,
    samples: impl Iterator<Item = Result<Inputs, ExecError>> + Send,
) -> Result<CalibrationStatistics, Error> {
    CalibrationStatistics::collect(model, samples).map_err(|source| Error::Execute {
        what: "model",
        source,
        help: "calibration runs the model on the data; simplify it with `lapidary optimize` first",
    })
}

/// The samples of a dataset one by one, with a batch dimension of 1.
pub fn samples(data: &Dataset) -> impl ExactSizeIterator<Item = Result<Inputs, ExecError>> + '_ {
    (0..data.samples).map(|index| {
        let row = |(name, tensor): (&String, &Tensor)| {
            let (name, elem_type) = (name.clone(), tensor.elem_type());
            match tensor.gather_axis(0, &[index]) {
                Some(row) => Ok((name, row)),
                None => Err(ExecError::UnsupportedType { name, elem_type }),
            }
        };
        data.inputs.iter().map(row).collect()
    })
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
