//! `lapidary prune`
use super::open;
use crate::cli::{Budget, Norm, Prune, Pruning};
use crate::render::{self, Progress, Road};
use lapidary::ir::Model;
use lapidary::passes::prune::compensated::{Options, Target};
use lapidary::passes::prune::{self, PruneChannels, Resource, Rounding};
use lapidary::passes::{Context, pipeline};
use lapidary::{Dataset, Error, Reference};

/// The ratio without a target.
const RATIO: f64 = 0.3;

pub(crate) fn run(options: &Prune, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let mut model = original.clone();
    let pass = options.pruning.pass()?;
    if options.plan {
        if !options.no_optimize {
            lapidary::optimize_with(&mut model, &pipeline::clean(), &mut Context::default())?;
        }
        render::prune_plan(&prune::Analysis::of(&model.graph), json);
        return Ok(());
    }
    let (data, test) = samples(options, &original)?;
    let reference = test.map(|test| Reference::new(&original, test)).transpose()?;
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "a gate needs samples".to_owned(),
            help: "give them with --data FILE.npz".to_owned(),
        });
    }
    let mut road = Road::new("prune", &original, reference.as_ref());
    if !options.no_optimize {
        let mut optimized = original.clone();
        lapidary::optimize(&mut optimized)?;
        road.step("optimize", &optimized)?;
    }
    match options.budget.target() {
        Some(target) => {
            let progress = Progress::steps();
            let show = |what, done, all| progress.show(what, done, all);
            let round_to = options.pruning.round_to.unwrap_or_default();
            let choice = Options { round_to, ..options.budget.options() };
            let pruned = lapidary::prune_to(&mut model, data.as_ref(), &target, &choice, &show)?;
            drop(progress);
            road.pruned(&pruned, &target, data.is_some());
        }
        None => {
            let context = match options.no_optimize {
                true => lapidary::prune_as_is(&mut model, &pass)?,
                false => lapidary::prune(&mut model, &pass)?,
            };
            road.passes(&context.records);
        }
    }
    let evaluation = road.step("prune", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    if let Some(output) = &options.output {
        lapidary::save(&model, output)?;
    }
    render::road(&road, json);
    Ok(())
}

/// The samples to prune with and those to measure on, if there are any.
fn samples(options: &Prune, original: &Model) -> Result<(Option<Dataset>, Option<Dataset>), Error> {
    let test = options.test.as_deref();
    if options.data.data.is_none() {
        return Ok((None, options.data.read_test(original, test)?));
    }
    let (data, test) = options.data.read_with_test(original, test, "prune")?;
    Ok((Some(data), Some(test)))
}

impl Budget {
    /// What is to be left, if that is said.
    fn target(&self) -> Option<Target> {
        let Self { macs, parameters, bytes, .. } = self;
        let shares =
            [(Resource::Macs, macs), (Resource::Parameters, parameters), (Resource::Bytes, bytes)];
        shares.into_iter().find_map(|(resource, share)| Some(Target { resource, share: (*share)? }))
    }

    fn options(&self) -> Options {
        let Self { importance, min_channels, max_ratio, ignore, .. } = self;
        Options {
            importance: *importance,
            min_channels: *min_channels,
            max_ratio: *max_ratio,
            ignore: ignore.clone(),
            ..Options::default()
        }
    }
}

impl Pruning {
    /// The pass these options describe.
    pub(crate) fn pass(&self) -> Result<PruneChannels, Error> {
        let round_to = self.round_to.unwrap_or(Rounding::To(1));
        pass(self.ratio.unwrap_or(RATIO), self.norm, round_to)
    }
}

/// The pruning pass, if the options make sense.
pub(crate) fn pass(ratio: f64, norm: Norm, round_to: Rounding) -> Result<PruneChannels, Error> {
    if !(0.0..1.0).contains(&ratio) {
        return Err(Error::Usage {
            problem: format!("the ratio is {ratio}, expected at least 0 and below 1"),
            help: "--ratio 0.3 removes three channels of ten".to_owned(),
        });
    }
    let norm = match norm {
        Norm::L1 => prune::Norm::L1,
        Norm::L2 => prune::Norm::L2,
    };
    Ok(PruneChannels { ratio, norm, round_to, ..PruneChannels::default() })
}
