//! `lapidary calibrate`
use super::open_at;
use crate::cli::Calibrate;
use crate::render::{self, Progress};
use lapidary::Error;
use lapidary::passes::quantize::CalibrationStatistics;
use std::path::{Path, PathBuf};

pub(crate) fn run(options: &Calibrate, json: bool) -> Result<(), Error> {
    let statistics = match &options.model {
        Some(model) => collect(model, options)?,
        None => merge(&options.merge)?,
    };
    let path = &options.output.output;
    let bytes = lapidary::write_calibration(&statistics, path)?;
    render::calibration_written(&statistics, bytes, json);
    Ok(())
}

fn collect(path: &Path, options: &Calibrate) -> Result<CalibrationStatistics, Error> {
    let mut model = open_at(path, &options.reading)?.model;
    model.graph.infer();
    let data = options.data.require(&model, "calibration")?;
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
    }
    let (shard, shards) = options.shard.unwrap_or((1, 1));
    let own = (shard - 1..data.len()).step_by(shards);
    let progress = Progress::samples("calibrating", own.len());
    lapidary::calibrate(&model, &data, own.inspect(|_| progress.advance()))
}

fn merge(paths: &[PathBuf]) -> Result<CalibrationStatistics, Error> {
    let Some((first, others)) = paths.split_first() else {
        return Err(Error::Usage {
            problem: "there is nothing to calibrate".to_owned(),
            help: "give a model and --data, or files of statistics with --merge".to_owned(),
        });
    };
    let mut all = lapidary::read_calibration(first)?;
    for path in others {
        let other = lapidary::read_calibration(path)?;
        all.merge(&other).map_err(|source| Error::MergeCalibration {
            path: path.clone(),
            first: first.clone(),
            source: Box::new(source),
        })?;
    }
    Ok(all)
}
