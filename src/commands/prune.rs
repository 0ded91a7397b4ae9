//! `lapidary prune`
use super::open;
use crate::cli::{Norm, Prune, Pruning};
use crate::render::{self, Road};
use lapidary::passes::prune::{self, PruneChannels};
use lapidary::passes::{Context, pipeline};
use lapidary::{Error, Reference};

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
    let data = options.data.read(&original)?;
    let reference = data.map(|data| Reference::new(&original, data)).transpose()?;
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "a gate needs samples".to_owned(),
            help: "give them with --data FILE.npz".to_owned(),
        });
    }
    let mut road = Road::new("prune", &original, reference.as_ref());
    let context = if options.no_optimize {
        lapidary::prune_as_is(&mut model, &pass)?
    } else {
        let mut optimized = original.clone();
        lapidary::optimize(&mut optimized)?;
        road.step("optimize", &optimized)?;
        lapidary::prune(&mut model, &pass)?
    };
    let evaluation = road.step("prune", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    road.passes(&context.records);
    if let Some(output) = &options.output {
        lapidary::save(&model, output)?;
    }
    render::road(&road, json);
    Ok(())
}

impl Pruning {
    /// The pass these options describe.
    pub(crate) fn pass(&self) -> Result<PruneChannels, Error> {
        pass(self.ratio, self.norm, self.round_to)
    }
}

/// The pruning pass, if the options make sense.
pub(crate) fn pass(ratio: f64, norm: Norm, round_to: usize) -> Result<PruneChannels, Error> {
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
