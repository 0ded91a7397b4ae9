//! What becomes integers, decided before anything is changed.
use super::calibration::Calibration;
use super::existing::ALREADY;
use super::format::IntegerType;
use super::planner::Planner;
use super::range::Parameters;
use super::settings::QuantizeOptions;
use super::target::Target;
use super::weight::WeightFormat;
use lapidary_ir::{ElemType, Graph, Model, NodeId};
use std::fmt;

/// The operator set that brought scales per channel.
const PER_CHANNEL_OPSET: i64 = 13;

/// The version of the format that came with it.
const PER_CHANNEL_IR_VERSION: i64 = 7;

/// The operator set and version of the format that brought integers of 4 and of 16 bits.
const OTHER_WIDTHS: (i64, i64) = (21, 10);

/// Which nodes of a graph run on integers, and with which scales.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizationPlan {
    /// Whom it is for.
    pub target: Target,
    /// Every node of the main graph, in topological order.
    pub nodes: Vec<NodePlacement>,
    /// The values operators on integers read or write: they are quantized and dequantized once where they are made, unless
    /// they are already.
    pub values: Vec<ValueQuantization>,
    /// The constants stored as `int8`.
    pub weights: Vec<WeightQuantization>,
    /// The constants stored as `int32`.
    pub biases: Vec<BiasQuantization>,
    /// The constants stored like activations.
    pub operands: Vec<ConstantQuantization>,
    /// What [`QuantizeOptions::exclude`] names and no node is.
    pub unknown_exclusions: Vec<String>,
}

/// How a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlacement {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op_type: String,
    /// Whether it runs on integers.
    pub integer: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// How a value is quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueQuantization {
    /// The value.
    pub name: String,
    /// The type of the integers.
    pub elem_type: ElemType,
    /// The distance of neighbouring numbers.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: i64,
    /// The smallest number observed.
    pub min: f32,
    /// The largest number observed.
    pub max: f32,
    /// The value whose scale and zero point it shares.
    pub shares: Option<String>,
    /// Whether all who read it read it quantized already, so that nothing is left to do.
    pub present: bool,
}

/// How weights are quantized: symmetric, with a scale per channel or one for all.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightQuantization {
    /// The initializer.
    pub name: String,
    /// The axis of the channels; none if one scale is for all.
    pub axis: Option<usize>,
    /// The integers.
    pub format: WeightFormat,
    /// The scale of every channel.
    pub scales: Vec<f32>,
    /// The integers, in the order of the weights; none for the nearest ones.
    pub codes: Option<Vec<i8>>,
    /// Who reads the integers.
    pub readers: Vec<Reader>,
}

/// How a bias is quantized: with the product of the scales of what it is added to.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasQuantization {
    /// The initializer.
    pub name: String,
    /// The scale of every channel, or the one of all; none for a bias that stays in floating point.
    pub scales: Vec<f32>,
    /// What is read in place of the initializer, which need not exist then.
    pub values: Option<Vec<f32>>,
    /// Who reads the integers.
    pub reader: Reader,
}

/// How a constant next to activations is quantized: as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstantQuantization {
    /// The initializer.
    pub name: String,
    /// Scale, zero point and type.
    pub parameters: Parameters,
    /// Who reads the integers.
    pub readers: Vec<Reader>,
}

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The first output of the node.
    pub output: String,
    /// The input.
    pub slot: usize,
}

impl QuantizationPlan {
    /// Decides what becomes integers in a model whose types are inferred; nothing if its operator set or its version of the
    /// format is too old.
    #[must_use]
    pub fn of_model(model: &Model, calibration: &Calibration, options: &QuantizeOptions) -> Self {
        let found = model.ir_version();
        let (what, _, needed) = needs(options);
        if found >= needed {
            return Self::new(&model.graph, calibration, options);
        }
        let reason = format!("{what} needs IR version {needed}, the model has {found}");
        Self {
            unknown_exclusions: options.unknown(&model.graph),
            ..Self::refused(&model.graph, &reason)
        }
    }

    /// Decides what becomes integers in a graph whose types are inferred.
    #[must_use]
    pub fn new(graph: &Graph, calibration: &Calibration, options: &QuantizeOptions) -> Self {
        let plan = match refusal(graph, options) {
            Some(reason) => Self::refused(graph, &reason),
            None => Planner::new(graph, calibration, options).plan(),
        };
        Self { unknown_exclusions: options.unknown(graph), ..plan }
    }

    fn refused(graph: &Graph, reason: &str) -> Self {
        let order = graph.topological_order().into_iter();
        let nodes = order.map(|id| NodePlacement::new(graph, id, Some(reason))).collect();
        Self { nodes, ..Self::default() }
    }

    /// Whether no operator comes to run on integers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(|value| value.present) && self.weights.is_empty()
    }

    /// The nodes that are quantized already and stay as they are.
    pub fn quantized_already(&self) -> impl Iterator<Item = &NodePlacement> {
        self.nodes.iter().filter(|node| node.is_quantized_already())
    }

    /// The nodes that run on integers.
    #[must_use]
    pub fn integer_nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.integer).count()
    }
}

/// What the integers asked for are called, and the operator set and version of the format they need.
pub(super) fn needs(options: &QuantizeOptions) -> (&'static str, i64, i64) {
    let (opset, ir_version) = OTHER_WIDTHS;
    if options.weights.bits == 4 {
        return ("int4", opset, ir_version);
    }
    match options.activations().elem_type {
        IntegerType::Int16 | IntegerType::Uint16 => ("an activation of 16 bits", opset, ir_version),
        _ => ("per-axis DequantizeLinear", PER_CHANNEL_OPSET, PER_CHANNEL_IR_VERSION),
    }
}

/// Why a graph as a whole stays as it is.
fn refusal(graph: &Graph, options: &QuantizeOptions) -> Option<String> {
    let (opset, (what, needed, _)) = (graph.opset(), needs(options));
    (opset < needed).then(|| format!("{what} needs opset {needed}, the model has {opset}"))
}

impl NodePlacement {
    /// Node `id` on integers, or not for a reason.
    pub(super) fn new(graph: &Graph, id: NodeId, reason: Option<&str>) -> Self {
        Self {
            node: graph[id].label(graph).to_owned(),
            op_type: graph[id].op_type.clone(),
            integer: reason.is_none(),
            reason: reason.map(str::to_owned),
        }
    }

    /// Whether it is left alone since it is quantized already; its reason may say more.
    #[must_use]
    pub fn is_quantized_already(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.starts_with(ALREADY))
    }
}

impl fmt::Display for QuantizationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} nodes run on integers", self.integer_nodes(), self.nodes.len())?;
        for placement in &self.nodes {
            let NodePlacement { node, op_type, integer: _, reason } = placement;
            match reason {
                None => writeln!(f, "  {op_type} `{node}`: integer")?,
                Some(reason) if placement.is_quantized_already() => {
                    writeln!(f, "  {op_type} `{node}`: {reason}")?;
                }
                Some(reason) => writeln!(f, "  {op_type} `{node}`: float, {reason}")?,
            }
        }
        for value in &self.values {
            let ValueQuantization { name, elem_type, scale, zero_point, min, max, shares, present } =
                value;
            write!(f, "value `{name}`: {elem_type}, ")?;
            if *present {
                writeln!(f, "scale {scale}, zero point {zero_point}, {ALREADY}")?;
                continue;
            }
            match shares {
                Some(origin) => writeln!(f, "scale and zero point of `{origin}`")?,
                None => {
                    writeln!(f, "scale {scale}, zero point {zero_point}, observed {min} to {max}")?
                }
            }
        }
        for WeightQuantization { name, axis, format, scales, .. } in &self.weights {
            let (least, most) = ends(scales);
            write!(f, "weights `{name}`: {format}, ")?;
            match axis {
                Some(axis) => writeln!(f, "axis {axis}, scales {least} to {most}")?,
                None => writeln!(f, "scale {least}")?,
            }
        }
        for BiasQuantization { name, scales, .. } in &self.biases {
            if scales.is_empty() {
                writeln!(f, "bias `{name}`: float")?;
                continue;
            }
            let (least, most) = ends(scales);
            writeln!(f, "bias `{name}`: int32, scales {least} to {most}")?;
        }
        for ConstantQuantization { name, parameters, readers: _ } in &self.operands {
            let Parameters { scale, zero_point, elem_type } = parameters;
            writeln!(f, "constant `{name}`: {elem_type}, scale {scale}, zero point {zero_point}")?;
        }
        for name in &self.unknown_exclusions {
            writeln!(f, "no node is `{name}`")?;
        }
        Ok(())
    }
}

pub(super) fn ends(scales: &[f32]) -> (f32, f32) {
    scales
        .iter()
        .fold((f32::INFINITY, 0.0), |(least, most), &scale| (least.min(scale), most.max(scale)))
}
