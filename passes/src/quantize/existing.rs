//! What of a graph is quantized already: it stays as it is, with the integers and scales it has.
//!
//! A node is quantized already when it is a conversion or works with such integers itself, when it is a product both
//! operands of which come from `DequantizeLinear`, or when everything it reads comes from there and everything it
//! computes goes to `QuantizeLinear`, at once or behind a Relu or Clip.
use super::format::IntegerType;
use super::range::Parameters;
use lapidary_ir::{Graph, Node, NodeId, Tensor, ValueId};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a node that is quantized already is left alone.
pub(super) const ALREADY: &str = "quantized already";

type Reason = Cow<'static, str>;

/// What of a graph is quantized already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Existing {
    /// By node.
    nodes: Vec<bool>,
    /// The values `DequantizeLinear` makes of what is computed, and those `QuantizeLinear` reads: with their parameters, or
    /// why they can't be told.
    values: BTreeMap<ValueId, Result<Parameters, Reason>>,
}

/// Whether anything in a graph, or in a subgraph of it, is quantized.
#[must_use]
pub fn is_quantized(graph: &Graph) -> bool {
    let inside = |node: &Node| node.subgraphs().any(is_quantized);
    graph.nodes().any(|(_, node)| is_integer_operator(node) || inside(node))
}

/// Whether a node converts between numbers and integers, or computes with integers that stand for numbers.
fn is_integer_operator(node: &Node) -> bool {
    let known = node.is_standard() || node.domain == "com.microsoft";
    let op_type = node.op_type.as_str();
    let named = matches!(
        op_type,
        "DynamicQuantizeLSTM"
            | "DynamicQuantizeMatMul"
            | "GatherBlockQuantized"
            | "MatMulBnb4"
            | "MatMulIntegerToFloat"
            | "MatMulNBits"
            | "QAttention"
            | "QEmbedLayerNormalization"
            | "QGemm"
            | "QMoE"
    );
    let ends = ["QuantizeLinear", "DequantizeLinear", "Integer", "MatMulInteger16"];
    known && (named || op_type.starts_with("QLinear") || ends.iter().any(|e| op_type.ends_with(e)))
}

/// Whether a node computes with integers that stand for numbers, rather than converts them.
pub(super) fn computes_on_integers(node: &Node) -> bool {
    is_integer_operator(node) && !node.op_type.ends_with("uantizeLinear")
}

/// Whether a node multiplies what it reads with weights.
pub(super) fn is_product(node: &Node) -> bool {
    ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|op_type| node.is(op_type))
}

/// Whether a node only limits what it reads.
fn limits(node: &Node) -> bool {
    node.is("Relu") || node.is("Clip")
}

/// The `DequantizeLinear` that makes a value.
fn dequantizer(graph: &Graph, value: ValueId) -> Option<NodeId> {
    graph.producer(value).filter(|&maker| graph[maker].op_type == "DequantizeLinear")
}

/// Whether a value is made of integers.
pub(crate) fn is_dequantized(graph: &Graph, value: ValueId) -> bool {
    dequantizer(graph, value).is_some()
}

/// Whether something reads a value, and all that does is a `QuantizeLinear`.
fn goes_to_quantizers(graph: &Graph, value: ValueId) -> bool {
    let mut readers = graph.consumers(value).peekable();
    readers.peek().is_some() && readers.all(|reader| graph[reader].op_type == "QuantizeLinear")
}

impl Existing {
    /// Of a graph whose types are inferred; `order` is topological.
    pub(crate) fn new(graph: &Graph, order: &[NodeId]) -> Self {
        let mut existing = Self { nodes: vec![false; graph.node_bound()], values: BTreeMap::new() };
        for &id in order {
            let node = &graph[id];
            existing.nodes[id.index()] = is_integer_operator(node)
                || existing.works_on_integers(graph, id)
                || (node.is_standard() && existing.is_between_conversions(graph, id));
            let value = match node.op_type.as_str() {
                "QuantizeLinear" => node.input(0).filter(|&it| !is_dequantized(graph, it)),
                "DequantizeLinear" if graph.constant_input(id, 0).is_none() => node.output(0),
                _ => None,
            };
            if let Some(value) = value.filter(|&value| graph.constant(value).is_none()) {
                existing.note(graph, value, parameters(graph, id));
            }
        }
        existing
    }

    /// Whether nothing is quantized.
    pub(super) fn is_empty(&self) -> bool {
        !self.nodes.contains(&true)
    }

    /// Adds the parameters of a conversion of a value.
    fn note(&mut self, graph: &Graph, value: ValueId, found: Result<Parameters, Reason>) {
        let name = graph.value(value).name();
        match self.values.get(&value) {
            None => drop(self.values.insert(value, found)),
            Some(known) if *known == found => {}
            Some(_) => {
                let twice = format!("`{name}` is quantized in two ways already");
                self.values.insert(value, Err(twice.into()));
            }
        }
    }

    /// Whether a node moves or limits integers that stand for numbers.
    fn works_on_integers(&self, graph: &Graph, id: NodeId) -> bool {
        let Some(read) = graph[id].input(0) else { return false };
        let Some(maker) = graph.producer(read).filter(|&maker| self.contains(maker)) else {
            return false;
        };
        match graph.ty(read).elem_type {
            Some(elem_type) => IntegerType::of(elem_type).is_some(),
            // Operators of other domains may have outputs of unknown types.
            None => graph[maker].op_type.starts_with("QLinear"),
        }
    }

    fn is_between_conversions(&self, graph: &Graph, id: NodeId) -> bool {
        let node = &graph[id];
        let dequantized = |value: &ValueId| is_dequantized(graph, *value);
        if is_product(node) {
            return node.inputs().iter().take(2).flatten().all(dequantized);
        }
        let mut results = node.outputs().iter().flatten().copied();
        let own = |value: ValueId| graph.producer(value).is_some_and(|maker| self.contains(maker));
        if limits(node) && node.input(0).is_some_and(own) {
            return results.all(|value| goes_to_quantizers(graph, value));
        }
        let mut read = node.inputs().iter().flatten();
        let mut computed =
            read.clone().filter(|&&value| graph.constant(value).is_none()).peekable();
        let whole = computed.peek().is_some() && computed.all(dequantized);
        let any = read.any(dequantized);
        any && whole && results.all(|value| self.is_written(graph, value))
    }

    /// Whether a value goes to `QuantizeLinear`, at once or behind what limits it for that alone.
    fn is_written(&self, graph: &Graph, value: ValueId) -> bool {
        let limiter = graph.only_use(value).map(|used| used.node);
        match limiter.filter(|&limiter| limits(&graph[limiter])) {
            Some(limiter) => {
                let mut limited = graph[limiter].outputs().iter().flatten();
                limited.all(|&value| goes_to_quantizers(graph, value))
            }
            None => goes_to_quantizers(graph, value),
        }
    }

    /// Whether a node is quantized already.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.nodes.get(id.index()).copied().unwrap_or(false)
    }

    /// The parameters of a value that is quantized or dequantized already.
    pub(super) fn parameters(&self, value: ValueId) -> Option<&Result<Parameters, Reason>> {
        self.values.get(&value)
    }

    /// Whether all who read a value read it quantized.
    pub(super) fn is_covered(&self, graph: &Graph, value: ValueId) -> bool {
        self.values.contains_key(&value)
            && (is_dequantized(graph, value) || goes_to_quantizers(graph, value))
    }

    /// Whether a `QuantizeLinear` reads a value.
    pub(super) fn is_quantized(&self, graph: &Graph, value: ValueId) -> bool {
        self.values.contains_key(&value) && !is_dequantized(graph, value)
    }

    /// What computes the numbers of which a value is the dequantized form: nothing for a value that is none, and none for what
    /// the caller gives.
    pub(super) fn origin(&self, graph: &Graph, value: ValueId) -> Option<Option<NodeId>> {
        let mut integers = graph[dequantizer(graph, value)?].input(0)?;
        while let Some(maker) = graph.producer(integers) {
            let node = &graph[maker];
            if node.op_type == "QuantizeLinear" {
                return Some(node.input(0).and_then(|value| graph.producer(value)));
            }
            if is_integer_operator(node) {
                return Some(Some(maker));
            }
            // It moves or limits integers.
            integers = node.input(0)?;
        }
        Some(None)
    }
}

/// The one scale and zero point of a conversion.
fn parameters(graph: &Graph, id: NodeId) -> Result<Parameters, Reason> {
    let node = &graph[id];
    let makes_integers = node.op_type == "QuantizeLinear";
    let (numbers, integers) = match makes_integers {
        true => (node.input(0), node.output(0)),
        false => (node.output(0), node.input(0)),
    };
    let name = numbers.map_or("", |value| graph.value(value).name());
    let constant = |slot: usize| node.input(slot).map(|value| graph.constant(value));
    let scale = constant(1).flatten().and_then(|scale| scale.as_f32());
    let scale = scale.filter(|scale| scale.is_normal() && *scale > 0.0);
    let zero_point = match constant(2) {
        None => Some(0),
        Some(zero_point) => zero_point.and_then(|it| it.as_i64()),
    };
    let elem_type = integers.and_then(|value| graph.ty(value).elem_type);
    let found = scale
        .zip(zero_point)
        .zip(elem_type.and_then(IntegerType::of))
        .map(|((scale, zero_point), elem_type)| (scale, zero_point as i32, elem_type));
    let (scale, zero_point, elem_type) = found.ok_or_else(|| {
        Reason::from(format!("`{name}` is quantized already, not with one constant scale"))
    })?;
    Ok(Parameters { scale, zero_point, elem_type })
}

/// The scales of constant integers a `DequantizeLinear` makes `value` of, per index of `axis` or one for all; none when there
/// are blocks, or zero points other than 0.
pub(super) fn weight_scales(graph: &Graph, value: ValueId, axis: usize) -> Option<Vec<f32>> {
    let node = &graph[dequantizer(graph, value)?];
    let scales = graph.constant(node.input(1)?)?.to_vec::<f32>()?;
    let zeros = |tensor: &Tensor| tensor.bytes().is_some_and(|bytes| bytes.iter().all(|&b| b == 0));
    let symmetric = node.input(2).is_none_or(|zero| graph.constant(zero).is_some_and(|z| zeros(z)));
    let rank = graph.ty(value).rank()?;
    let along = crate::slices::position(node.int("axis").unwrap_or(1), rank)?;
    let blocks = node.int("block_size").unwrap_or(0) != 0;
    (symmetric && !blocks && (scales.len() == 1 || along == axis)).then_some(scales)
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;

    /// The nodes that are quantized already, by their first output.
    fn already(source: &str) -> Vec<String> {
        let model = model(source);
        let graph = &model.graph;
        let order = graph.topological_order();
        let existing = Existing::new(graph, &order);
        let found = order.into_iter().filter(|&id| existing.contains(id));
        found.map(|id| graph[id].label(graph).to_owned()).collect()
    }

    #[test]
    fn a_unit_ends_at_its_conversions() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,1,4,4] t)
            <float s = {0.5}, uint8 z = {128}, int8[1,1,1,1] w = {3}, float[1,1,1,1] v = {1}>
            {
                q = QuantizeLinear(x, s, z)
                d = DequantizeLinear(q, s, z)
                k = DequantizeLinear(w, s)
                c = Conv(d, k)
                r = Relu(c)
                q2 = QuantizeLinear(r, s, z)
                d2 = DequantizeLinear(q2, s, z)
                a = Add(d, d2)
                q3 = QuantizeLinear(a, s, z)
                d3 = DequantizeLinear(q3, s, z)
                t = Tanh(d3)
                y = Conv(d3, v)
            }
        ";
        assert_eq!(
            already(source),
            ["q", "d", "k", "c", "r", "q2", "d2", "a", "q3", "d3"],
            "Tanh writes floats, and the last Conv has weights of its own"
        );
    }

    #[test]
    fn operators_on_integers_are_known() {
        let source = "
            <ir_version: 10, opset_import: [\"\" : 21, \"com.microsoft\" : 1, \"own\" : 1]>
            g (float[2,2] x, uint8[2,2] a, float s, uint8 z) => (y1, y2, y3, y4)
            {
                q, qs, qz = DynamicQuantizeLinear(x)
                y1 = MatMulInteger(q, a, qz, z)
                y2 = QLinearMatMul(a, s, z, a, s, z, s, z)
                y3 = com.microsoft.QLinearAdd(a, s, z, a, s, z, s, z)
                y4 = own.QLinearAdd(a, s, z)
            }
        ";
        assert_eq!(already(source), ["q", "y1", "y2", "y3"]);
        let limited = "
            g (float[2] x) => (float[2] y, float[2] u)
            <float s = {0.5}, uint8 z = {128}, uint8 low = {1}>
            { q = QuantizeLinear(x, s, z) c = Clip(q, low) y = DequantizeLinear(c, s, z) u = Clip(x) }
        ";
        assert_eq!(already(limited), ["q", "c", "y"]);
        assert!(is_quantized(&model(source).graph));
        assert!(!is_quantized(&model("g (float[1] x) => (float[1] y) { y = Neg(x) }").graph));
    }

    #[test]
    fn parameters_are_those_of_all_readers() {
        let model = model(
            "g (float[2] x, float[2] u, float[2] v, float t) => (
                uint8[2] a, int8[2] b, uint8[2] c, uint8[2] e, uint8[2] f
            )
            <float s = {0.5}, uint8 z = {128}, int8 i = {0}>
            {
                a = QuantizeLinear(x, s, z)
                b = QuantizeLinear(x, s, i)
                c = QuantizeLinear(u, s, z)
                d = DequantizeLinear(c, s, z)
                e = QuantizeLinear(d, t, z)
                f = QuantizeLinear(v, t, z)
            }",
        );
        let graph = &model.graph;
        let existing = Existing::new(graph, &graph.topological_order());
        let of = |name: &str| {
            existing.parameters(graph.find(name).expect("it is there")).expect("it is quantized")
        };
        assert_eq!(*of("x"), Err("`x` is quantized in two ways already".into()));
        let elem_type = IntegerType::Uint8;
        assert_eq!(*of("u"), Ok(Parameters { scale: 0.5, zero_point: 128, elem_type }));
        assert!(of("d").is_ok(), "what is dequantized has the parameters it comes with");
        assert!(of("v").is_err(), "its scale is computed");
    }
}
