//! `lapidary sensitivity`
use super::group_sensitivity::{self, OfChannels};
use super::quantize::{Source, no_node};
use super::{Data, open, recipe};
use crate::cli::{Input, Integers};
use crate::render::{self, Progress, Recipe, SensitivityReport};
use clap::Args;
use lapidary::passes::Context;
use lapidary::passes::quantize::{QuantizeOptions, RangeMethod};
use lapidary::{Error, Prefix, RANKING_SAMPLES, Ranking, Reference, Trials};
use std::path::PathBuf;

/// `lapidary sensitivity`
#[derive(Debug, Args)]
pub(crate) struct Sensitivity {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    data: Data,
    /// Samples to measure on; by default those of --data. Without --samples the first 32 are taken.
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    #[command(flatten)]
    integers: Integers,
    /// Statistics that `lapidary calibrate` made from this model, instead of samples.
    #[arg(long, value_name = "FILE", conflicts_with = "data", requires = "test")]
    calib: Option<PathBuf>,
    /// How ranges are chosen, as for `lapidary quantize`.
    #[arg(long, value_name = "METHOD", default_value_t = RangeMethod::DEFAULT)]
    method: RangeMethod,
    /// Take the model as it is, without optimizing it before.
    #[arg(long)]
    no_optimize: bool,
    /// Also quantize everything and take the most sensitive ones back one after another.
    #[arg(long)]
    accumulated: bool,
    /// The signal-to-noise ratio in dB that the recipe has to reach; by default it ends where the curve
    /// bends.
    #[arg(long, value_name = "DB")]
    min_sqnr: Option<f64>,
    /// Measure what groups of coupled channels lose when a share of them goes, instead of what products lose on
    /// integers. Without --data on made-up samples.
    #[arg(long, conflicts_with_all = [
        "accumulated", "min_sqnr", "calib", "method", "no_optimize", "test", "Integers",
    ])]
    prune: bool,
    #[command(flatten)]
    pub(super) channels: OfChannels,
}

pub(crate) fn run(options: &Sensitivity, json: bool) -> Result<(), Error> {
    let mut original = open(&options.input)?.model;
    original.graph.infer();
    if options.prune {
        return group_sensitivity::run(
            &original,
            &options.input.model,
            &options.data,
            &options.channels,
            json,
        );
    }
    let test = options.test.as_deref();
    let (source, test) = Source::read(options.calib.as_deref(), &options.data, &original, test)?;
    let Some(test) = test else {
        return Err(Error::Usage {
            problem: "sensitivity needs samples to measure on".to_owned(),
            help: "give them with --data FILE.npz, or with --test beside --calib".to_owned(),
        });
    };
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
    }
    let settings = QuantizeOptions { method: options.method, ..options.integers.settings() };
    let calibration = source.calibration(&model)?;
    let needed = settings.needed_opset();
    if model.graph.opset() < needed {
        lapidary::convert_opset(&mut model, needed, &mut Context::default())?;
    }
    let samples = options.data.samples.unwrap_or(RANKING_SAMPLES);
    let reference = Reference::new(&original, test.spread(samples))?;
    let trials = Trials {
        model: &model,
        calibration: &calibration,
        options: &settings,
        reference: &reference,
    };
    let ranking = rank(&trials)?;
    let ranked = ranking.names();
    let prefixes = match options.accumulated {
        true => {
            let progress = Progress::trials("taking back", ranked.len() + 1);
            trials.accumulate(&ranked, || progress.advance())?
        }
        false => Vec::new(),
    };
    let recipe = match float(options, &trials, &ranking, &prefixes)? {
        None => None,
        Some(float) => {
            let arguments: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
            let command = recipe::quantize(&arguments, &options.input.model, &float);
            let measured = trials.without(&float)?;
            Some(Recipe { command, measured, float })
        }
    };
    let samples = reference.samples();
    let asked = options.min_sqnr;
    let report = SensitivityReport { samples, ranking: &ranking, prefixes, asked, recipe };
    render::sensitivity(&report, json);
    Ok(())
}

/// Ranks what would run on integers.
pub(super) fn rank(trials: &Trials) -> Result<Ranking, Error> {
    let plan = trials.plan();
    if let Some(name) = plan.unknown_exclusions.first() {
        return Err(no_node(name));
    }
    let progress = Progress::trials("ranking", lapidary::products(&plan).len());
    trials.rank(&plan, || progress.advance())
}

/// The products of the recipe that stay in float; none if what is asked for is out of reach.
fn float(
    options: &Sensitivity,
    trials: &Trials,
    ranking: &Ranking,
    prefixes: &[Prefix],
) -> Result<Option<Vec<String>>, Error> {
    let ranked = ranking.names();
    let Some(least) = options.min_sqnr else {
        let curve = match prefixes {
            [] => ranking.expected_noise(),
            _ => prefixes.iter().map(|prefix| prefix.loss.noise()).collect(),
        };
        return Ok(Some(ranked[..lapidary::knee(&curve)].to_vec()));
    };
    let most = 10f64.powf(-least / 10.0);
    let reached = |prefix: &Prefix| prefix.loss.noise() <= most;
    if !prefixes.is_empty() {
        let found = prefixes.iter().find(|prefix| reached(prefix));
        return Ok(found.map(|prefix| ranked[..prefix.reverted].to_vec()));
    }
    if reached(&trials.without(&[])?) {
        return Ok(Some(Vec::new()));
    }
    let searching = Progress::start(format!("looking for {least} dB"));
    let names = |places: &[usize]| places.iter().map(|&place| ranked[place].clone()).collect();
    let holds = |places: &[usize]| {
        let names: Vec<String> = names(places);
        Ok::<_, Error>(reached(&trials.without(&names)?))
    };
    let found = lapidary::fewest(ranked.len(), holds)?;
    drop(searching);
    Ok(found.map(|places| names(&places)))
}
