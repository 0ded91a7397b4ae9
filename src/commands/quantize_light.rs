//! `lapidary quantize --dynamic`: no samples are needed.
use super::{open, read_data};
use crate::cli::{Quantize, Target};
use crate::render::{self, LightReport, Measured};
use clap::Args;
use lapidary::exec::RandomInputs;
use lapidary::ir::Model;
use lapidary::passes::quantize::dynamic::DynamicOptions;
use lapidary::{Cost, Dataset, Error, Reference};

/// Quantization without calibration.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without samples")]
pub(crate) struct Light {
    /// Quantize activations while the model runs: MatMul, Gemm and Gather in 8-bit integers, LSTM
    /// too for --target onnxruntime, Conv on request.
    #[arg(long)]
    dynamic: bool,
    /// Weights of 7 bits, for x86 processors without VNNI.
    #[arg(long)]
    reduce_range: bool,
    /// Quantize only these operators.
    #[arg(long, value_name = "OP", value_delimiter = ',')]
    op_types: Vec<String>,
    /// The runtime to write for; `onnxruntime` uses operators no other runtime has.
    #[arg(long, value_enum, default_value = "portable")]
    target: Target,
}

impl Light {
    /// Whether any of these was asked for.
    pub(crate) fn is_chosen(&self) -> bool {
        self.dynamic
    }
}

pub(crate) fn run(options: &Quantize, json: bool) -> Result<(), Error> {
    let light = &options.light;
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
    }
    let optimized = model.clone();
    let settings = DynamicOptions {
        op_types: known(&light.op_types, &DynamicOptions::OPERATORS)?,
        exclude: options.exclude.clone(),
        reduce_range: light.reduce_range,
        onnxruntime: light.target == Target::Onnxruntime,
    };
    let outcome = lapidary::quantize_dynamic(&mut model, &settings)?;
    let measured = measure(options, &[&original, &optimized], &model)?;
    lapidary::save(&model, &options.output.output)?;
    let steps = vec![
        ("original", Cost::of(&original)),
        ("optimize", Cost::of(&optimized)),
        ("quantize", Cost::of(&model)),
    ];
    let report = LightReport { steps, outcome: &outcome, measured, notes: Vec::new() };
    render::light("quantize", &report, options.explain, json);
    Ok(())
}

/// Operators to quantize, each one that can be.
fn known(op_types: &[String], all: &[&str]) -> Result<Vec<String>, Error> {
    match op_types.iter().find(|op_type| !all.contains(&op_type.as_str())) {
        None => Ok(op_types.to_vec()),
        Some(op_type) => Err(Error::Usage {
            problem: format!("`{op_type}` can't be quantized this way"),
            help: format!("--op-types takes {}", all.join(", ")),
        }),
    }
}

/// Executes both models and compares every output; a gate that is missed is an error.
fn measure(options: &Quantize, before: &[&Model], model: &Model) -> Result<Measured, Error> {
    let gated = options.gates.any();
    let measured = match reference(options, before)? {
        Err(why) => Measured::NotExecuted(why),
        Ok((reference, on)) => match reference.evaluate(model) {
            Ok(evaluation) => {
                options.gates.check(&reference, &evaluation)?;
                Measured::Executed { on, accuracy_before: reference.accuracy, evaluation }
            }
            Err(Error::Execute { source, .. }) => {
                Measured::NotExecuted(format!("the built-in runtime can't execute it: {source}"))
            }
            Err(error) => return Err(error),
        },
    };
    match &measured {
        Measured::NotExecuted(why) if gated => Err(Error::Usage {
            problem: format!("a gate can't be checked: {why}"),
            help: "leave the gates out, or choose a form the built-in runtime executes".to_owned(),
        }),
        _ => Ok(measured),
    }
}

/// The outputs of the first model before that the built-in runtime executes, on samples if there are
/// any; or why there are none.
fn reference(
    options: &Quantize,
    before: &[&Model],
) -> Result<Result<(Reference, String), String>, Error> {
    let mut why = String::new();
    for model in before {
        let given = options.test.as_ref().or(options.data.data.as_ref());
        let (data, on) = match given {
            Some(path) => {
                let data = read_data(path, model, options.data.samples)?;
                let on = format!("{} samples", data.samples);
                (data, on)
            }
            None => match RandomInputs::default().generate(model) {
                Ok(inputs) => (Dataset::whole(inputs), "random inputs".to_owned()),
                Err(error) => return Ok(Err(error.to_string())),
            },
        };
        match Reference::new(model, data) {
            Ok(reference) => return Ok(Ok((reference, on))),
            Err(Error::Execute { source, .. }) => {
                why = format!("the built-in runtime can't execute the original: {source}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Err(why))
}
