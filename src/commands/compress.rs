//! `lapidary compress`
use super::open;
use crate::cli::{Compress, QuantizeTo};
use crate::render::{self, Progress, Road};
use lapidary::passes::quantize::QuantizeOptions;
use lapidary::{Error, PruneOptions, Reference};

pub(crate) fn run(options: &Compress, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let test = options.test.as_deref();
    let (data, test) = options.data.read_with_test(&original, test, "compress")?;
    let reference = Reference::new(&original, test)?;
    let mut road = Road::new("compress", &original, Some(&reference));
    let mut model = original.clone();
    let context = lapidary::optimize(&mut model)?;
    let mut evaluation = road.step("optimize", &model)?;
    road.passes(&context.records);
    if let Some(amount) = options.amount() {
        model.clone_from(&original);
        let settings = PruneOptions { amount, ..PruneOptions::default() };
        let progress = Progress::steps();
        let show = |what, done, all| progress.show(what, done, all);
        let cut = lapidary::prune_by(&mut model, Some(&data), &settings, &show)?;
        road.pruned(&cut, &settings, true);
        evaluation = road.step("prune", &model)?;
    }
    if options.quantize == Some(QuantizeTo::Int8) {
        let calibrating = Progress::start(format!("calibrating on {} samples", data.len()));
        let plan = lapidary::quantize(&mut model, &data, &QuantizeOptions::default())?;
        drop(calibrating);
        road.placement(&plan, false);
        evaluation = road.step("quantize", &model)?;
    }
    if let Some(evaluation) = &evaluation {
        options.gates.check(&reference, evaluation)?;
    }
    lapidary::save(&model, &options.output.output)?;
    render::road(&road, json);
    Ok(())
}
