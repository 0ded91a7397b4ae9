//! `lapidary quantize`
use super::{open, quantize_light};
use crate::cli::Quantize;
use crate::render::{self, Progress, Road};
use lapidary::ir::Model;
use lapidary::passes::Context;
use lapidary::passes::quantize::refine::Refined;
use lapidary::passes::quantize::{CalibrationStatistics, Prediction, QuantizeOptions};
use lapidary::{Dataset, Error, Reference};
use std::path::Path;

/// Where the ranges come from.
enum Source<'a> {
    File(&'a Path),
    Samples(Dataset),
}

pub(crate) fn run(options: &Quantize, json: bool) -> Result<(), Error> {
    if options.light.is_chosen() {
        return quantize_light::run(options, json);
    }
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let test = options.test.as_deref();
    let (source, test) = match &options.calib {
        Some(path) => (Source::File(path), options.data.read_test(&original, test)?),
        None => {
            let (data, test) = options.data.read_with_test(&original, test, "calibration")?;
            (Source::Samples(data), Some(test))
        }
    };
    let reference = test.map(|test| Reference::new(&original, test)).transpose()?;
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "--min-sqnr and --max-drop need samples to measure on".to_owned(),
            help: "give them with --test FILE.npz".to_owned(),
        });
    }
    let mut road = Road::new("quantize", &original, reference.as_ref());
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let settings = QuantizeOptions { method: options.method, ..options.integers.settings() };
    let statistics = match &source {
        Source::File(path) => read(path, &model)?,
        Source::Samples(data) => calibrate(&model, data)?,
    };
    let needed = settings.needed_opset();
    if model.graph.opset() < needed {
        lapidary::convert_opset(&mut model, needed, &mut Context::default())?;
        road.step("opset", &model)?;
    }
    let calibration = (&statistics).into();
    let refined = match &source {
        Source::Samples(data) if !options.no_refine => {
            let refining = Progress::start(format!("refining on {} samples", data.len()));
            let refined = lapidary::quantize_refined(&mut model, data, &calibration, &settings)?;
            drop(refining);
            refined
        }
        _ => Refined::from(lapidary::quantize_with(&mut model, &calibration, &settings)?),
    };
    let plan = &refined.plan;
    if let Some(name) = plan.unknown_exclusions.first() {
        return Err(no_node(name));
    }
    let evaluation = road.step("quantize", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    lapidary::save(&model, &options.output.output)?;
    if let Some(path) = &options.integers.calibration_cache {
        lapidary::save_text(&plan.calibration_cache(), path)?;
    }
    road.placement(plan, options.explain);
    road.expect(&Prediction::new(&model.graph, settings.target));
    road.refinement(&refined);
    render::road(&road, json);
    Ok(())
}

/// What is excluded and not there.
pub(crate) fn no_node(name: &str) -> Error {
    Error::Usage {
        problem: format!("no node is `{name}`"),
        help:
            "--exclude takes names of nodes, op:TYPE and re:PATTERN; `lapidary inspect --text` or \
               Netron shows the names"
                .to_owned(),
    }
}

/// The statistics of a file, if they are those of the model.
fn read(path: &Path, model: &Model) -> Result<CalibrationStatistics, Error> {
    let statistics = lapidary::read_calibration(path)?;
    let checked = statistics.check(model);
    checked.map_err(|source| Error::OtherModel { path: path.to_owned(), source })?;
    Ok(statistics)
}

fn calibrate(model: &Model, data: &Dataset) -> Result<CalibrationStatistics, Error> {
    let progress = Progress::samples("calibrating", data.len());
    lapidary::calibrate(model, data, (0..data.len()).inspect(|_| progress.advance()))
}
