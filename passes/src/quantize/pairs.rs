//! Conversions around a node.
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// A conversion between numbers and integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    pub(super) id: NodeId,
    /// The integers.
    pub(super) elem_type: Option<ElemType>,
    scale: Option<ValueId>,
    zero_point: Option<ValueId>,
}

impl Conversion {
    fn new(graph: &Graph, id: NodeId) -> Self {
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
