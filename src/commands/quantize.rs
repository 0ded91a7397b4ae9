//! `lapidary quantize`
use super::open;
use crate::cli::{ActivationType, BiasType, Integers, Quantize, WeightType};
use crate::render::{self, Progress, Road};
use lapidary::passes::Context;
use lapidary::passes::quantize::{
    BiasForm, IntegerType, Prediction, QuantizeOptions, RangeMethod, WeightFormat,
};
use lapidary::{Error, Reference};

pub(crate) fn run(options: &Quantize, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let test = options.test.as_deref();
    let (data, test) = options.data.read_with_test(&original, test, "calibration")?;
    let reference = Reference::new(&original, test)?;
    let mut road = Road::new("quantize", &original, Some(&reference));
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let settings = options.integers.settings();
    let needed = settings.needed_opset();
    if model.graph.opset() < needed {
        lapidary::convert_opset(&mut model, needed, &mut Context::default())?;
        road.step("opset", &model)?;
    }
    let calibrating = Progress::start(format!("calibrating on {} samples", data.len()));
    let plan = lapidary::quantize(&mut model, &data, &settings)?;
    drop(calibrating);
    if let Some(name) = plan.unknown_exclusions.first() {
        return Err(Error::Usage {
            problem: format!("no node is `{name}`"),
            help: "--exclude takes names of nodes, op:TYPE and re:PATTERN; `lapidary inspect --text` or \
                   Netron shows the names"
                .to_owned(),
        });
    }
    let evaluation = road.step("quantize", &model)?;
    if let Some(evaluation) = &evaluation {
        options.gates.check(&reference, evaluation)?;
    }
    lapidary::save(&model, &options.output.output)?;
    if let Some(path) = &options.integers.calibration_cache {
        lapidary::save_text(&plan.calibration_cache(), path)?;
    }
    road.placement(&plan, options.explain);
    road.expect(&Prediction::new(&model.graph, settings.target));
    render::road(&road, json);
    Ok(())
}

impl Integers {
    /// The options of the library.
    fn settings(&self) -> QuantizeOptions {
        let integers = |activations| match activations {
            ActivationType::Uint8 => IntegerType::Uint8,
            ActivationType::Int8 => IntegerType::Int8,
            ActivationType::Uint16 => IntegerType::Uint16,
            ActivationType::Int16 => IntegerType::Int16,
        };
        let bits = match (self.weights, self.reduce_range) {
            (WeightType::Int4, _) => 4,
            (WeightType::Int8, true) => 7,
            (WeightType::Int8, false) => 8,
        };
        let bias = |bias| match bias {
            BiasType::Int32 => BiasForm::Int32,
            BiasType::Float => BiasForm::Float,
        };
        QuantizeOptions {
            target: self.target,
            activations: self.activations.map(integers),
            symmetric: match (self.symmetric, self.asymmetric) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            method: RangeMethod::DEFAULT,
            power_of_two: self.power_of_two,
            weights: WeightFormat {
                bits,
                per_channel: !self.per_tensor,
                power_of_two: self.power_of_two,
            },
            bias: self.bias.map(bias),
            exclude: self.exclude.clone(),
            keep_first_last: self.keep_first_last,
        }
    }
}
