//! `lapidary quantize`
use super::search::{Found, Measures};
use super::{Data, open, quantize_light};
use crate::cli::Quantize;
use crate::render::{self, Progress, Road};
use lapidary::ir::Model;
use lapidary::passes::Context;
use lapidary::passes::quantize::equalize::FloatSteps;
use lapidary::passes::quantize::refine::Refined;
use lapidary::passes::quantize::{Calibration, Prediction, QuantizeOptions, is_quantized};
use lapidary::{Cost, Dataset, Error, RANKING_SAMPLES, Reference};
use std::path::{Path, PathBuf};

/// Where the ranges come from.
pub(super) enum Source {
    File(PathBuf),
    Samples(Dataset),
    /// Nothing is observed: the model is quantized already.
    Nothing,
}

pub(crate) fn run(options: &Quantize, json: bool) -> Result<(), Error> {
    if options.light.is_chosen() {
        return quantize_light::run(options, json);
    }
    options.search.check_goal(&options.gates)?;
    let settings = QuantizeOptions { method: options.method, ..options.integers.settings() };
    let writes_operators = options.light.writes_operators(&settings)?;
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let test = options.test.as_deref();
    let (source, test) = Source::read(options.calib.as_deref(), &options.data, &original, test)?;
    let searching = options.search.search;
    if test.is_none() && (options.gates.any() || searching) {
        return Err(Error::Usage {
            problem: "--search, --min-sqnr and --max-drop need samples to measure on".to_owned(),
            help: "give them with --test FILE.npz".to_owned(),
        });
    }
    let asked_for = options.test.is_some() || options.gates.any() || searching;
    let test = test.map(|test| if asked_for { test } else { affordable(&original, &test) });
    let few = test.as_ref().filter(|_| searching).map(|test| test.spread(RANKING_SAMPLES));
    let ranking = few.map(|few| Reference::new(&original, few)).transpose()?;
    let reference = test.map(|test| Reference::new(&original, test)).transpose()?;
    let mut road = Road::new("quantize", &original, reference.as_ref());
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let refined_on = match &source {
        Source::Samples(data) if !options.no_refine => Some(data),
        _ => None,
    };
    options.float.check(&source, refined_on.is_some())?;
    let made = options.float.steps();
    let known = if made.any() { None } else { Some(source.calibration(&model)?) };
    let needed = settings.needed_opset();
    if model.graph.opset() < needed {
        lapidary::convert_opset(&mut model, needed, &mut Context::default())?;
        road.step("opset", &model)?;
    }
    let mut changes = Vec::new();
    if let (true, Source::Samples(data)) = (made.any(), &source) {
        let changing = Progress::start(format!("changing channels for {} samples", data.len()));
        changes = lapidary::change_float(&mut model, data, &made, &settings)?;
        drop(changing);
        road.step("float", &model)?;
    }
    let calibration = match known {
        Some(known) => known,
        None => source.calibration(&model)?,
    };
    // What normalizations say of values holds until channels are changed.
    let normalized = if made.any() { &model } else { &original };
    let corrected_by = options.float.corrects_biases().then_some(normalized);
    let quantizing =
        Quantizing { model: &model, calibration: &calibration, refined_on, made, corrected_by };
    let Found { mut model, refined, float, trials } = match (&reference, &ranking) {
        (Some(all), Some(ranking)) => {
            let measures = Measures { all, ranking };
            options.search.run(&quantizing, &settings, &options.gates, &measures)?
        }
        _ => {
            let _refining = refined_on
                .map(|data| Progress::start(format!("refining on {} samples", data.len())));
            let (model, refined) = quantizing.run(&settings)?;
            Found { model, refined, float: Vec::new(), trials: 1 }
        }
    };
    let plan = &refined.plan;
    let mut evaluation = road.step("quantize", &model)?;
    if writes_operators {
        let form = lapidary::write_integer_operators(&mut model, settings.target)?;
        road.operators(&form);
        evaluation = road.step("qoperator", &model)?;
    }
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    options.search.check_size(&model)?;
    lapidary::save(&model, &options.output.output)?;
    if let Some(path) = &options.integers.calibration_cache {
        lapidary::save_text(&plan.calibration_cache(), path)?;
    }
    road.placement(plan, options.explain);
    road.expect(&Prediction::new(&model.graph, settings.target));
    changes.extend(refined.changes.iter().cloned());
    road.changes(&changes);
    road.refinement(&refined);
    if searching {
        road.search(trials, float);
    }
    render::road(&road, json);
    Ok(())
}

/// Multiplications that measuring may take for each model where nobody asked for it.
const MEASURED_MACS: u64 = 1 << 34;

/// As many samples, but not too few to tell anything.
const MEASURED_SAMPLES: usize = 32;

/// The samples of calibration the error is measured on: all unless the model takes long for them.
fn affordable(model: &Model, samples: &Dataset) -> Dataset {
    let macs = Cost::of(model).macs.max(1);
    let affordable = usize::try_from(MEASURED_MACS / macs).unwrap_or(usize::MAX);
    samples.spread(affordable.max(MEASURED_SAMPLES))
}

/// A model in floating point, and what it is quantized with.
pub(super) struct Quantizing<'a> {
    pub(super) model: &'a Model,
    pub(super) calibration: &'a Calibration,
    /// The samples for refinement, if there is to be any.
    pub(super) refined_on: Option<&'a Dataset>,
    /// What of it was changed already.
    pub(super) made: FloatSteps,
    /// The model whose normalizations correct biases, if they are to be corrected without samples.
    pub(super) corrected_by: Option<&'a Model>,
}

impl Quantizing<'_> {
    /// The quantized model and how it came about.
    pub(super) fn run(&self, options: &QuantizeOptions) -> Result<(Model, Refined), Error> {
        let mut model = self.model.clone();
        let Self { calibration, made, .. } = self;
        let refined = match (self.refined_on, self.corrected_by) {
            (Some(data), _) => {
                lapidary::quantize_refined(&mut model, data, calibration, options, made)?
            }
            (None, Some(original)) => {
                lapidary::quantize_corrected(&mut model, original, calibration, options)?
            }
            (None, None) => {
                let plan = lapidary::quantize_with(&mut model, self.calibration, options)?;
                Refined::from(plan)
            }
        };
        match refined.plan.unknown_exclusions.first() {
            Some(name) => Err(no_node(name)),
            None => Ok((model, refined)),
        }
    }
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

impl Source {
    /// Where ranges come from, and the samples to measure on, if there are any.
    pub(super) fn read(
        file: Option<&Path>,
        data: &Data,
        original: &Model,
        test: Option<&Path>,
    ) -> Result<(Self, Option<Dataset>), Error> {
        Ok(match file {
            Some(path) => (Self::File(path.to_owned()), data.read_test(original, test)?),
            None if data.data.is_none() && is_quantized(&original.graph) => {
                (Self::Nothing, data.read_test(original, test)?)
            }
            None => {
                let (data, test) = data.read_with_test(original, test, "calibration")?;
                (Self::Samples(data), Some(test))
            }
        })
    }

    /// What is known of the values of the model.
    pub(super) fn calibration(&self, model: &Model) -> Result<Calibration, Error> {
        match self {
            Self::File(path) => {
                let statistics = lapidary::read_calibration(path)?;
                let checked = statistics.check(model);
                checked.map_err(|source| Error::OtherModel {
                    path: path.clone(),
                    source: Box::new(source),
                })?;
                Ok(Calibration::from(&statistics))
            }
            Self::Samples(data) => {
                let progress = Progress::samples("calibrating", data.len());
                let samples = (0..data.len()).inspect(|_| progress.advance());
                Ok(Calibration::from(&lapidary::calibrate(model, data, samples)?))
            }
            Self::Nothing => Ok(Calibration::EMPTY),
        }
    }
}
