//! What of a model is quantized, and what a runtime will do with it.
use super::{grouped, json, layers, table};
use lapidary::LayerError;
use lapidary::ir::Model;
use lapidary::passes::quantize::{
    BrokenRule, Census, NodePlacement, Prediction, QuantizedActivation, QuantizedConstant, Target,
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Report<'a> {
    constants: Vec<Constant>,
    activations: Vec<Activation>,
    prediction: Expected,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<&'a [LayerError]>,
}

#[derive(Serialize)]
struct Constant {
    name: String,
    elem_type: String,
    dims: Vec<i64>,
    bytes: u64,
    scales: usize,
    axis: Option<i64>,
    block_size: i64,
    least_scale: f32,
    largest_scale: f32,
    symmetric: bool,
}

#[derive(Serialize)]
struct Activation {
    name: String,
    elem_type: Option<String>,
    scale: Option<f32>,
    zero_point: Option<i64>,
}

/// What a runtime is expected to do.
#[derive(Debug, Serialize)]
pub(crate) struct Expected {
    target: &'static str,
    operators: BTreeMap<String, Share>,
    float: Vec<Float>,
    broken_rules: Vec<Broken>,
}

#[derive(Debug, Serialize)]
struct Share {
    integer: usize,
    total: usize,
}

#[derive(Debug, Serialize)]
struct Float {
    node: String,
    op_type: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Broken {
    node: String,
    problem: String,
}

impl From<&Prediction> for Expected {
    fn from(prediction: &Prediction) -> Self {
        let counts = prediction.counts().into_iter();
        let share = |(name, (integer, total)): (&str, (usize, usize))| {
            (name.to_owned(), Share { integer, total })
        };
        let float = prediction.nodes.iter().filter(|node| !node.integer);
        let float = float.map(|NodePlacement { node, op_type, reason, .. }| Float {
            node: node.clone(),
            op_type: op_type.clone(),
            reason: reason.clone().unwrap_or_default(),
        });
        let broken = prediction.broken.iter();
        let broken = broken.map(|BrokenRule { node, problem }| Broken {
            node: node.clone(),
            problem: problem.clone(),
        });
        Self {
            target: prediction.target.name(),
            operators: counts.map(share).collect(),
            float: float.collect(),
            broken_rules: broken.collect(),
        }
    }
}

impl From<QuantizedConstant> for Constant {
    fn from(found: QuantizedConstant) -> Self {
        Self {
            name: found.name,
            elem_type: found.elem_type.to_string(),
            dims: found.dims,
            bytes: found.bytes,
            scales: found.scales,
            axis: found.axis,
            block_size: found.block_size,
            least_scale: found.least_scale,
            largest_scale: found.largest_scale,
            symmetric: found.symmetric,
        }
    }
}

impl From<QuantizedActivation> for Activation {
    fn from(found: QuantizedActivation) -> Self {
        Self {
            name: found.name,
            elem_type: found.elem_type.map(|elem_type| elem_type.to_string()),
            scale: found.scale,
            zero_point: found.zero_point,
        }
    }
}

/// The operators whose place decides about speed.
fn is_product(op_type: &str) -> bool {
    matches!(
        op_type,
        "Conv"
            | "ConvTranspose"
            | "Gemm"
            | "MatMul"
            | "MatMulIntegerToFloat"
            | "QGemm"
            | "QLinearConv"
            | "QLinearMatMul"
    )
}

impl Expected {
    /// Prints a line per operator that multiplies, and why some stay in floating point.
    pub(crate) fn print(&self) {
        for (op_type, Share { integer, total }) in &self.operators {
            if !is_product(op_type) {
                continue;
            }
            println!("{integer} of {total} {op_type} will run on integers ({})", self.target);
            for found in self.float.iter().filter(|found| found.op_type == *op_type) {
                println!("  not `{}`: {}", found.node, found.reason);
            }
        }
        for Broken { node, problem } in &self.broken_rules {
            println!("warning: `{node}` breaks a rule of {}: {problem}", self.target);
        }
    }
}

/// Prints types, scales and places, and the errors of layers if they were measured.
pub(crate) fn quantization(
    model: &Model,
    target: Target,
    errors: Option<&[LayerError]>,
    as_json: bool,
) {
    let Census { constants, activations } = Census::new(&model.graph);
    let report = Report {
        constants: constants.into_iter().map(Constant::from).collect(),
        activations: activations.into_iter().map(Activation::from).collect(),
        prediction: Expected::from(&Prediction::new(&model.graph, target)),
        layers: errors,
    };
    if as_json {
        return json("quantization", &report);
    }
    let constant = |found: &Constant| {
        let axis = match (found.axis, found.block_size) {
            (None, _) => "one".to_owned(),
            (Some(axis), 0) => format!("{} along axis {axis}", found.scales),
            (Some(axis), size) => format!("{} by {size} along axis {axis}", found.scales),
        };
        let scales = match found.least_scale == found.largest_scale {
            true => format!("{:.3e}", found.least_scale),
            false => format!("{:.3e} … {:.3e}", found.least_scale, found.largest_scale),
        };
        vec![found.name.clone(), found.elem_type.clone(), grouped(found.bytes), axis, scales]
    };
    let rows = report.constants.iter().map(constant).collect();
    println!("{}", table(&["constant", "type", "bytes", "scales", "values"], rows));
    let activation = |found: &Activation| {
        let computed = || "computed".to_owned();
        vec![
            found.name.clone(),
            found.elem_type.clone().unwrap_or_else(|| "?".to_owned()),
            found.scale.map_or_else(computed, |scale| format!("{scale:.4e}")),
            found.zero_point.map_or_else(computed, |zero_point| zero_point.to_string()),
        ]
    };
    let rows = report.activations.iter().map(activation).collect();
    println!("\n{}\n", table(&["activation", "type", "scale", "zero point"], rows));
    if let Some(errors) = errors {
        layers(errors);
        println!();
    }
    report.prediction.print();
}
