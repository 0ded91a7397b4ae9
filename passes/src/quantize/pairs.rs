//! Conversions around a node.
use super::format::IntegerType;
use super::range::{Limits, Parameters, Range};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// A conversion between numbers and integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    pub(super) id: NodeId,
    /// The integers.
    pub(super) elem_type: Option<ElemType>,
    pub(super) scale: Option<ValueId>,
    pub(super) zero_point: Option<ValueId>,
}

impl Conversion {
    pub(super) fn new(graph: &Graph, id: NodeId) -> Self {
        let node = &graph[id];
        let zero_point = node.input(2);
        let integers = match node.op_type.as_str() {
            "DequantizeLinear" => node.input(0),
            _ => node.output(0),
        };
        let elem_type = zero_point
            .and_then(|zero_point| graph.ty(zero_point).elem_type)
            .or_else(|| graph.ty(integers?).elem_type);
        Self { id, elem_type, scale: node.input(1), zero_point }
    }

    /// The one scale and zero point.
    pub(super) fn parameters(self, graph: &Graph) -> Option<(f32, i64)> {
        let scale = graph.constant(self.scale?)?.as_f32()?;
        let zero_point = match self.zero_point {
            Some(zero_point) => *graph.constant(zero_point)?.to_i64()?.first()?,
            None => 0,
        };
        Some((scale, zero_point))
    }

    /// Whether one scale is for all and known.
    pub(super) fn is_per_tensor(self, graph: &Graph) -> bool {
        self.parameters(graph).is_some()
    }
}

/// The `DequantizeLinear` that makes a value.
pub(super) fn dequantizer(graph: &Graph, value: ValueId) -> Option<Conversion> {
    let maker = graph.producer(value)?;
    (graph[maker].op_type == "DequantizeLinear").then(|| Conversion::new(graph, maker))
}

/// The `QuantizeLinear` that alone reads a value, or what stands in the way of that.
pub(super) fn quantizer(graph: &Graph, value: ValueId) -> Result<Conversion, String> {
    let name = graph.value(value).name();
    if graph.value(value).is_output() {
        return Err(format!("`{name}` is an output of the model"));
    }
    let mut readers = graph.consumers(value);
    match (readers.next(), readers.next()) {
        (Some(reader), None) if graph[reader].op_type == "QuantizeLinear" => {
            Ok(Conversion::new(graph, reader))
        }
        (Some(_), None) => Err(format!("`{name}` is not quantized")),
        (None, _) => Err(format!("nothing reads `{name}`")),
        (Some(_), Some(_)) => Err(format!("`{name}` is read by several nodes")),
    }
}

/// The `QuantizeLinear` of what a node computes, right behind it or behind what limits it, or what stands in the way.
pub(super) fn written(graph: &Graph, id: NodeId) -> Result<Conversion, String> {
    let output = graph[id].output(0).ok_or("it computes nothing")?;
    let reader = graph.only_use(output).map(|used| used.node);
    match reader.filter(|&reader| graph[reader].is("Relu") || graph[reader].is("Clip")) {
        Some(limiter) => {
            let limited = graph[limiter].output(0).ok_or("it computes nothing")?;
            let quantizer = quantizer(graph, limited)?;
            implies(graph, limiter, quantizer).map(|()| quantizer)
        }
        None => quantizer(graph, output),
    }
}

/// Whether the quantization behind a `Relu` or `Clip` lets pass what they do: one whose smallest integer stands for their lower
/// limit, and whose largest for no more than the upper.
pub(super) fn implies(graph: &Graph, limiter: NodeId, quantizer: Conversion) -> Result<(), String> {
    let name = || graph[limiter].label(graph).to_owned();
    let unknown = || format!("the scale behind `{}` is not known", name());
    let (scale, zero_point) = quantizer.parameters(graph).ok_or_else(unknown)?;
    let elem_type = match quantizer.elem_type {
        Some(ElemType::INT8) => IntegerType::Int8,
        _ => IntegerType::Uint8,
    };
    let found = Parameters { scale, zero_point: zero_point as i32, elem_type };
    let bound = |slot: usize, open: f32| match graph[limiter].input(slot) {
        Some(bound) => graph.constant(bound).and_then(|bound| bound.as_f32()),
        None => Some(open),
    };
    let (low, high) = match graph[limiter].is("Relu") {
        true => (Some(0.0), Some(f32::INFINITY)),
        false => (bound(1, f32::NEG_INFINITY), bound(2, f32::INFINITY)),
    };
    let (Some(low), Some(high)) = (low, high) else {
        return Err(format!("the limits of `{}` are not constant", name()));
    };
    if found.implies(Limits { low, high }) {
        return Ok(());
    }
    let Range { min, max } = found.represented();
    Err(format!(
        "`{}` limits to {low} … {high}, the quantization behind it represents {min} … {max}",
        name()
    ))
}
