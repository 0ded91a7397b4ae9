//! `lapidary convert`
use super::measure::Measurement;
use super::{Data, open};
use crate::cli::{Gates, Input, Output};
use crate::render::{self, LightReport};
use clap::{Args, ValueEnum};
use lapidary::ir::ElemType;
use lapidary::passes::convert::{FloatOptions, rounded_constants};
use lapidary::{Cost, Error};

/// `lapidary convert`
#[derive(Debug, Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    gates: Gates,
    /// The type to compute in.
    #[arg(long, value_enum, value_name = "TYPE")]
    to: FloatType,
    /// Inputs and outputs get the type, too.
    #[arg(long)]
    no_keep_io: bool,
    /// Operators that stay in single precision, besides those that do anyway.
    #[arg(long, value_name = "OP", value_delimiter = ',')]
    block_op: Vec<String>,
    /// Nodes that stay in single precision.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    block_node: Vec<String>,
    /// Convert the model as it is, without optimizing it before.
    #[arg(long)]
    no_optimize: bool,
    /// Show every constant and which nodes stay in single precision and why.
    #[arg(long)]
    explain: bool,
}

/// Floating-point types of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FloatType {
    /// float16: 11 bits of precision, numbers up to 65504.
    Fp16,
    /// bfloat16: 8 bits of precision, the range of float; needs opset 22 and an accelerator.
    Bf16,
}

pub(crate) fn run(options: &Convert, json: bool) -> Result<(), Error> {
    let mut original = open(&options.input)?.model;
    original.graph.infer();
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
    }
    let optimized = model.clone();
    let settings = FloatOptions {
        elem_type: match options.to {
            FloatType::Fp16 => ElemType::FLOAT16,
            FloatType::Bf16 => ElemType::BFLOAT16,
        },
        keep_io: !options.no_keep_io,
        block_ops: options.block_op.clone(),
        block_nodes: options.block_node.clone(),
    };
    let outcome = lapidary::convert_float(&mut model, &settings)?;
    // What is compared takes and gives floats, whatever the result does.
    let mut inside = optimized.clone();
    let elem_type = settings.elem_type;
    lapidary::convert_float(&mut inside, &FloatOptions { keep_io: true, ..settings })?;
    let restored = rounded_constants(&optimized, &outcome, elem_type)?;
    let measurement = Measurement {
        data: &options.data,
        test: None,
        gates: &options.gates,
        before: &[&original, &optimized],
        restored: Some(&restored),
    };
    let (measured, mut notes) = measurement.measure(&inside)?;
    if options.to == FloatType::Bf16 {
        notes.push("ONNX Runtime has no kernels for bfloat16 on processors".to_owned());
    }
    lapidary::save(&model, &options.output.output)?;
    let steps = vec![
        ("original", Cost::of(&original)),
        ("optimize", Cost::of(&optimized)),
        ("convert", Cost::of(&model)),
    ];
    let report = LightReport { steps, outcome: &outcome, measured, notes };
    render::light("convert", &report, options.explain, json);
    Ok(())
}
