//! `lapidary quantize`
use super::{open, quantize_light, read_data, require_data};
use crate::cli::Quantize;
use crate::render::{self, Progress, Road};
use lapidary::passes::quantize::QuantizeOptions;
use lapidary::{Error, Reference};

pub(crate) fn run(options: &Quantize, json: bool) -> Result<(), Error> {
    if options.light.is_chosen() {
        return quantize_light::run(options, json);
    }
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let data = require_data(&options.data, &original, "calibration")?;
    let test = match &options.test {
        Some(path) => read_data(path, &original, None)?,
        None => data.clone(),
    };
    let reference = Reference::new(&original, test)?;
    let mut road = Road::new("quantize", &original, Some(&reference));
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let settings = QuantizeOptions { exclude: options.exclude.clone() };
    let calibrating = Progress::start(format!("calibrating on {} samples", data.samples));
    let plan = lapidary::quantize(&mut model, &data, &settings)?;
    drop(calibrating);
    if let Some(name) = plan.unknown_exclusions.first() {
        return Err(Error::Usage {
            problem: format!("no node is named `{name}`"),
            help: "--exclude takes names of nodes; `lapidary inspect --text` or Netron shows them"
                .to_owned(),
        });
    }
    let evaluation = road.step("quantize", &model)?;
    if let Some(evaluation) = &evaluation {
        options.gates.check(&reference, evaluation)?;
    }
    lapidary::save(&model, &options.output.output)?;
    road.placement(&plan, options.explain);
    render::road(&road, json);
    Ok(())
}
