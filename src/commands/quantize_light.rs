//! `lapidary quantize --dynamic` and `--weight-only`: no samples are needed.
use super::measure::Measurement;
use super::open;
use super::quantize::no_node;
use crate::cli::{Integers, Quantize};
use crate::render::{self, LightReport};
use clap::{Args, ValueEnum};
use lapidary::ir::{ElemType, Model};
use lapidary::passes::quantize::dynamic::DynamicOptions;
use lapidary::passes::quantize::qoperator::OperatorForm;
use lapidary::passes::quantize::weight_only::{Search, WeightFormat, WeightOptions};
use lapidary::passes::quantize::{NodeSelector, Outcome, QuantizeOptions, Target};
use lapidary::{Cost, Error};

/// Options of static quantization that mean nothing here.
const STATIC: [&str; 13] = [
    "equalize",
    "absorb_bias",
    "smooth",
    "bias_correction",
    "activations",
    "per_tensor",
    "power_of_two",
    "bias",
    "weights",
    "method",
    "calib",
    "calibration_cache",
    "keep_first_last",
];

/// Quantization without calibration.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without samples")]
pub(crate) struct Light {
    /// Quantize activations while the model runs: MatMul, Gemm and Gather in 8-bit integers, LSTM
    /// too for --target onnxruntime, Conv on request.
    #[arg(long, conflicts_with_all = STATIC, conflicts_with_all = ["symmetric", "asymmetric"])]
    dynamic: bool,
    /// Store weights in this type, and leave activations in float.
    #[arg(long, value_enum, value_name = "TYPE", conflicts_with = "dynamic", conflicts_with_all = STATIC)]
    weight_only: Option<WeightType>,
    /// The form of the result: qdq (the default) or qoperator with samples, the others with --weight-only, by default
    /// dequantize.
    #[arg(long, value_enum, conflicts_with = "dynamic", help_heading = None)]
    format: Option<Format>,
    /// The numbers that share a scale, a power of two of at least 16.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = block, requires = "weight_only", conflicts_with = "dynamic")]
    block: usize,
    /// The precision --format mat-mul-n-bits may reduce activations to: 0 not at all, 4 to 8 bits.
    #[arg(long, value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=4), requires = "weight_only", conflicts_with = "dynamic")]
    accuracy_level: u8,
    /// One scale per output channel instead of blocks.
    #[arg(long, conflicts_with_all = ["block", "dynamic"], requires = "weight_only")]
    per_channel: bool,
    /// How scales are chosen.
    #[arg(
        long,
        value_enum,
        default_value = "least-error",
        requires = "weight_only",
        conflicts_with = "dynamic"
    )]
    scales: SearchFor,
    /// The bits of an index of --format codebook; by default those of the type.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8), requires = "weight_only", conflicts_with = "dynamic")]
    bits: Option<u32>,
    /// Quantize only these operators.
    #[arg(long, value_name = "OP", value_delimiter = ',')]
    op_types: Vec<String>,
}

/// The types of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WeightType {
    /// 8 bits with sign.
    Int8,
    /// 8 bits.
    Uint8,
    /// 4 bits with sign; needs opset 21.
    Int4,
    /// 4 bits; needs opset 21.
    Uint4,
    /// 2 bits with sign; needs opset 25.
    Int2,
    /// 2 bits; needs opset 25.
    Uint2,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Operators between DequantizeLinear and QuantizeLinear.
    Qdq,
    /// Operators on integers, such as QLinearConv; for ONNX Runtime its own too.
    #[value(name = "qoperator")]
    QOperator,
    /// Weights restored by ONNX's DequantizeLinear.
    Dequantize,
    /// Weights restored by a product of ONNX Runtime's own.
    MatMulNBits,
    /// Weights restored from the numbers that stand for all others with the least error.
    Codebook,
    /// Weights restored from quantiles of the normal distribution, 4 bits.
    Nf4,
}

/// How scales are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SearchFor {
    /// The grid covers the numbers.
    Range,
    /// The squared error is smallest.
    LeastError,
}

/// A size of blocks that runtimes have kernels for.
fn block(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size: &usize| size.is_power_of_two() && *size >= 16);
    size.ok_or_else(|| format!("`{text}` is no power of two of at least 16"))
}

impl WeightType {
    fn elem_type(self) -> ElemType {
        match self {
            Self::Int8 => ElemType::INT8,
            Self::Uint8 => ElemType::UINT8,
            Self::Int4 => ElemType::INT4,
            Self::Uint4 => ElemType::UINT4,
            Self::Int2 => ElemType::INT2,
            Self::Uint2 => ElemType::UINT2,
        }
    }
}

impl Light {
    /// Whether any of these was asked for.
    pub(crate) fn is_chosen(&self) -> bool {
        self.dynamic || self.weight_only.is_some()
    }

    /// Whether a model that is quantized with samples is written in operators on integers, if its integers and the target have
    /// them.
    pub(crate) fn writes_operators(&self, settings: &QuantizeOptions) -> Result<bool, Error> {
        match self.format {
            None | Some(Format::Qdq) => Ok(false),
            Some(Format::QOperator) => match OperatorForm::check(settings) {
                Ok(()) => Ok(true),
                Err(problem) => Err(Error::Usage {
                    problem: format!("there is no --format qoperator: {problem}"),
                    help: "write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits"
                        .to_owned(),
                }),
            },
            Some(_) => Err(Error::Usage {
                problem: "with samples, --format is qdq or qoperator".to_owned(),
                help: "the others are for --weight-only".to_owned(),
            }),
        }
    }

    fn dynamic_options(
        &self,
        integers: &Integers,
        exclude: Vec<String>,
    ) -> Result<DynamicOptions, Error> {
        let onnxruntime =
            matches!(integers.target, Target::OnnxRuntimeX86 | Target::OnnxRuntimeArm);
        Ok(DynamicOptions {
            op_types: known(&self.op_types, &DynamicOptions::OPERATORS)?,
            exclude,
            reduce_range: integers.reduce_range,
            onnxruntime,
        })
    }

    fn weight_options(
        &self,
        weight_type: WeightType,
        integers: &Integers,
        exclude: Vec<String>,
    ) -> Result<WeightOptions, Error> {
        let elem_type = weight_type.elem_type();
        let bits = elem_type.bits().map_or(8, |bits| bits as u32);
        let format = match self.format.unwrap_or(Format::Dequantize) {
            Format::Dequantize => WeightFormat::Dequantize,
            Format::MatMulNBits => {
                WeightFormat::MatMulNBits { accuracy_level: self.accuracy_level }
            }
            Format::Codebook => WeightFormat::Codebook { bits: self.bits.unwrap_or(bits) },
            Format::Nf4 => WeightFormat::NormalFloat,
            Format::Qdq | Format::QOperator => {
                return Err(Error::Usage {
                    problem: "--weight-only leaves activations in float".to_owned(),
                    help: "leave --format out, or --weight-only to quantize both".to_owned(),
                });
            }
        };
        if format == WeightFormat::NormalFloat && bits != 4 {
            return Err(Error::Usage {
                problem: "nf4 has 4 bits".to_owned(),
                help: "write --weight-only int4 --format nf4".to_owned(),
            });
        }
        Ok(WeightOptions {
            format,
            elem_type,
            block: (!self.per_channel).then_some(self.block),
            symmetric: integers.symmetric,
            search: match self.scales {
                SearchFor::Range => Search::Range,
                SearchFor::LeastError => Search::LeastError,
            },
            op_types: known(&self.op_types, &WeightOptions::OPERATORS)?,
            exclude,
        })
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
    let integers = &options.integers;
    if light.dynamic && integers.symmetric {
        return Err(Error::Usage {
            problem: "--dynamic has zero points, --symmetric asks for none".to_owned(),
            help: "leave --symmetric out".to_owned(),
        });
    }
    let exclude = names(&integers.exclude, &optimized)?;
    let done = match light.weight_only {
        None => {
            let settings = light.dynamic_options(integers, exclude)?;
            Done { outcome: lapidary::quantize_dynamic(&mut model, &settings)?, restored: None }
        }
        Some(weight_type) => {
            let settings = light.weight_options(weight_type, integers, exclude)?;
            let (outcome, restored) = lapidary::quantize_weights(&mut model, &settings)?;
            Done { outcome, restored: Some(restored) }
        }
    };
    let measurement = Measurement {
        data: &options.data,
        test: options.test.as_deref(),
        gates: &options.gates,
        before: &[&original, &optimized],
        restored: done.restored.as_ref(),
    };
    let (measured, notes) = measurement.measure(&model)?;
    lapidary::save(&model, &options.output.output)?;
    let steps = vec![
        ("original", Cost::of(&original)),
        ("optimize", Cost::of(&optimized)),
        ("quantize", Cost::of(&model)),
    ];
    let report = LightReport { steps, outcome: &done.outcome, measured, notes };
    render::light("quantize", &report, options.explain, json);
    Ok(())
}

/// The names of the nodes that are selected.
fn names(selectors: &[NodeSelector], model: &Model) -> Result<Vec<String>, Error> {
    let graph = &model.graph;
    let mut names = Vec::new();
    for selector in selectors {
        let selected = graph.nodes().filter(|&(id, _)| selector.selects(graph, id));
        let before = names.len();
        names.extend(selected.map(|(_, node)| node.label(graph).to_owned()));
        if names.len() == before {
            return Err(no_node(&selector.to_string()));
        }
    }
    Ok(names)
}

/// What was done.
struct Done {
    outcome: Outcome,
    /// The model with the weights that are restored, in float.
    restored: Option<Model>,
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
