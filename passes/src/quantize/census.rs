//! What of a model is quantized, read from its conversions.
use lapidary_ir::schema::{IntegerOperator, integer_operator};
use lapidary_ir::{ElemType, Graph, Node, Tensor, ValueId};

/// What of a graph is quantized.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// The constants stored as integers, in the order of their readers.
    pub constants: Vec<QuantizedConstant>,
    /// The values that are quantized while the model runs, in topological order.
    pub activations: Vec<QuantizedActivation>,
}

/// A constant stored as integers.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedConstant {
    /// The initializer.
    pub name: String,
    /// The integers.
    pub elem_type: ElemType,
    /// The dimensions.
    pub dims: Vec<i64>,
    /// Bytes of the integers.
    pub bytes: u64,
    /// How many scales there are.
    pub scales: usize,
    /// The axis of the scales, if there are several.
    pub axis: Option<i64>,
    /// How many neighbours along the axis share a scale; 0 if each has its own.
    pub block_size: i64,
    /// The smallest scale.
    pub least_scale: f32,
    /// The largest scale.
    pub largest_scale: f32,
    /// Whether every zero point is 0.
    pub symmetric: bool,
}

/// A value that is quantized while the model runs.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedActivation {
    /// The value before it is quantized.
    pub name: String,
    /// The integers, if known.
    pub elem_type: Option<ElemType>,
    /// The distance of neighbouring numbers; none when it is computed.
    pub scale: Option<f32>,
    /// What stands for 0; none when it is computed.
    pub zero_point: Option<i64>,
}

impl Census {
    /// Of a graph whose types are inferred; subgraphs are not looked into.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let mut census = Self::default();
        for id in graph.topological_order() {
            let node = &graph[id];
            match node.op_type.as_str() {
                "DequantizeLinear" => census.constants.extend(constant(graph, node)),
                "QuantizeLinear" | "DynamicQuantizeLinear" => {
                    census.activations.extend(activation(graph, node));
                }
                _ => {
                    if let Some(operator) = integer_operator(node) {
                        census.operator(graph, node, operator);
                    }
                }
            }
        }
        census
    }

    /// Adds what an operator on integers reads and writes.
    fn operator(&mut self, graph: &Graph, node: &Node, operator: &IntegerOperator) {
        for found in constants(graph, node, operator) {
            if self.constants.iter().all(|known| known.name != found.name) {
                self.constants.push(found);
            }
        }
        let result = operator.result.and_then(|(scale, zero)| Some((node.input(scale)?, zero)));
        if let (Some((scale, zero_point)), Some(output)) = (result, node.output(0)) {
            let quantized = Quantized { scale, zero_point: node.input(zero_point) };
            self.activations.push(quantized.activation(graph, output, graph.ty(output).elem_type));
        }
    }

    /// Whether nothing is quantized.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.activations.is_empty()
    }
}

/// Constants a `DequantizeLinear` reads.
fn constant(graph: &Graph, node: &Node) -> Option<QuantizedConstant> {
    let stored = Stored {
        scales: node.input(1).and_then(|scale| graph.constant(scale)?.to_f32())?,
        axis: node.int("axis").unwrap_or(1),
        block_size: node.int("block_size").unwrap_or(0),
        zero_point: node.input(2),
    };
    stored.constant(graph, node.input(0)?)
}

/// Constants an operator on integers reads.
fn constants(graph: &Graph, node: &Node, operator: &IntegerOperator) -> Vec<QuantizedConstant> {
    let mut steps: Option<Vec<f32>> = None;
    let mut found = Vec::new();
    for (place, slots) in operator.operands_of(node).enumerate() {
        let scales = node.input(slots.scale).and_then(|scale| graph.constant(scale)?.to_f32());
        let Some(scales) = scales else { continue };
        steps = Some(match &steps {
            None => scales.clone(),
            Some(left) => product(left, &scales),
        });
        let Some(value) = node.input(slots.integers) else { continue };
        let rank = graph.ty(value).rank().unwrap_or(0);
        let axis = operator.scale_axis(node, place, rank).map_or(0, |axis| axis as i64);
        let zero_point = node.input(slots.zero_point);
        found.extend(Stored { scales, axis, block_size: 0, zero_point }.constant(graph, value));
    }
    let bias = operator.bias.and_then(|slot| node.input(slot));
    if let (Some(bias), Some(scales)) = (bias, steps) {
        let stored = Stored { scales, axis: 0, block_size: 0, zero_point: None };
        found.extend(stored.constant(graph, bias));
    }
    found
}

/// The steps of a bias: the scales of both operands, multiplied.
fn product(left: &[f32], right: &[f32]) -> Vec<f32> {
    let count = left.len().max(right.len());
    let pairs = left.iter().cycle().zip(right.iter().cycle());
    pairs.take(count).map(|(left, right)| left * right).collect()
}

/// How a constant is stored.
struct Stored {
    scales: Vec<f32>,
    axis: i64,
    block_size: i64,
    zero_point: Option<ValueId>,
}

impl Stored {
    fn constant(self, graph: &Graph, id: ValueId) -> Option<QuantizedConstant> {
        let tensor = graph.constant(id)?;
        let Self { scales, axis, block_size, zero_point } = self;
        let range =
            scales.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &scale| {
                (least.min(scale), most.max(scale))
            });
        let zeros = |tensor: &Tensor| tensor.bytes().is_some_and(|b| b.iter().all(|&b| b == 0));
        Some(QuantizedConstant {
            name: graph.value(id).name().to_owned(),
            elem_type: tensor.elem_type(),
            dims: tensor.dims().to_vec(),
            bytes: tensor.byte_len(),
            scales: scales.len(),
            axis: (scales.len() > 1).then_some(axis),
            block_size,
            least_scale: range.0,
            largest_scale: range.1,
            symmetric: match zero_point {
                Some(zero_point) => graph.constant(zero_point).is_some_and(|tensor| zeros(tensor)),
                None => true,
            },
        })
    }
}

/// Where scale and zero point of a value are.
struct Quantized {
    scale: ValueId,
    zero_point: Option<ValueId>,
}

impl Quantized {
    /// A value called as `value`, in integers of that type unless the zero point is of another.
    fn activation(
        &self,
        graph: &Graph,
        value: ValueId,
        integers: Option<ElemType>,
    ) -> QuantizedActivation {
        let zero_point = self.zero_point.and_then(|zero_point| graph.constant(zero_point));
        QuantizedActivation {
            name: graph.value(value).name().to_owned(),
            elem_type: zero_point.map(|tensor| tensor.elem_type()).or(integers),
            scale: graph.constant(self.scale).and_then(|scale| scale.as_f32()),
            zero_point: match self.zero_point {
                None => Some(0),
                Some(_) => zero_point.and_then(|zero| zero.to_i64()?.first().copied()),
            },
        }
    }
}

fn activation(graph: &Graph, node: &Node) -> Option<QuantizedActivation> {
    let (value, integers) = (node.input(0)?, node.output(0));
    let integers = integers.and_then(|output| graph.ty(output).elem_type);
    if node.op_type == "QuantizeLinear" {
        let quantized = Quantized { scale: node.input(1)?, zero_point: node.input(2) };
        return Some(quantized.activation(graph, value, integers));
    }
    let name = graph.value(value).name().to_owned();
    Some(QuantizedActivation { name, elem_type: integers, scale: None, zero_point: None })
}

#[cfg(test)]
mod tests {
    use super::super::qoperator::OperatorForm;
    use super::super::testing::{calibration, model};
    use super::super::{QuantizationPlan, QuantizeOptions, Target};
    use super::*;

    #[test]
    fn what_was_quantized_is_read_back() {
        let source = "
            g (float[1,2] x) => (float[1,2] y)
            <float[2,2] w = {127, 1, 254, 1}, float[2] b = {1, 2}>
            { h = Gemm(x, w, b) r = Relu(h) y = MatMul(r, w) }
        ";
        let mut model = model(source);
        let calibration = calibration(&model, &[("r", 0.0, 510.0)]);
        let plan = QuantizationPlan::new(&model.graph, &calibration, &QuantizeOptions::default());
        plan.apply(&mut model).expect("the plan is for this graph");
        let census = Census::new(&model.graph);
        let (w, r) = (&census.constants[0], &census.activations[1]);
        assert_eq!((w.elem_type, w.axis, w.scales), (ElemType::INT8, Some(1), 2));
        assert_eq!((w.largest_scale, w.symmetric, w.bytes), (2.0, true, 4));
        let found = (r.name.as_str(), r.elem_type, r.scale, r.zero_point);
        assert_eq!(found, ("r_float", Some(ElemType::UINT8), Some(2.0), Some(0)));
        assert!(census.constants.iter().any(|found| found.elem_type == ElemType::INT32));
        // The same model in operators on integers has the same constants and activations.
        OperatorForm::write(&mut model, Target::default()).expect("the form can be written");
        let operators = Census::new(&model.graph);
        let constants = |census: &Census| {
            let mut found: Vec<String> =
                census.constants.iter().map(|c| format!("{c:?}")).collect();
            found.sort();
            found
        };
        assert_eq!(constants(&operators), constants(&census));
        let scales = |census: &Census| {
            let known =
                |found: &QuantizedActivation| (found.scale, found.zero_point, found.elem_type);
            census.activations.iter().map(known).collect::<Vec<_>>()
        };
        assert_eq!(scales(&operators), scales(&census));
    }
}
