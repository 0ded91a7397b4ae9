//! What of a model is quantized, read from its conversions.
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
                _ => {}
            }
        }
        census
    }

    /// Whether nothing is quantized.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.activations.is_empty()
    }
}

fn constant(graph: &Graph, node: &Node) -> Option<QuantizedConstant> {
    let id = node.input(0)?;
    let tensor = graph.constant(id)?;
    let scales = node.input(1).and_then(|scale| graph.constant(scale)?.to_f32())?;
    let range = scales.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &scale| {
        (least.min(scale), most.max(scale))
    });
    let zeros = |tensor: &Tensor| tensor.bytes().is_some_and(|b| b.iter().all(|&b| b == 0));
    Some(QuantizedConstant {
        name: graph.value(id).name().to_owned(),
        elem_type: tensor.elem_type(),
        dims: tensor.dims().to_vec(),
        bytes: tensor.byte_len(),
        scales: scales.len(),
        axis: (scales.len() > 1).then(|| node.int("axis").unwrap_or(1)),
        block_size: node.int("block_size").unwrap_or(0),
        least_scale: range.0,
        largest_scale: range.1,
        symmetric: match node.input(2) {
            Some(zero_point) => graph.constant(zero_point).is_some_and(|tensor| zeros(tensor)),
            None => true,
        },
    })
}

fn activation(graph: &Graph, node: &Node) -> Option<QuantizedActivation> {
    let constant = |slot: usize| -> Option<&Tensor> {
        let id: ValueId = node.input(slot)?;
        graph.constant(id).map(|tensor| &**tensor)
    };
    let computed = node.op_type != "QuantizeLinear";
    let integers = node.output(0).and_then(|output| graph.ty(output).elem_type);
    let zero_point = constant(2).filter(|_| !computed);
    Some(QuantizedActivation {
        name: graph.value(node.input(0)?).name().to_owned(),
        elem_type: zero_point.map(Tensor::elem_type).or(integers),
        scale: constant(1).filter(|_| !computed).and_then(Tensor::as_f32),
        zero_point: match (computed, node.input(2)) {
            (true, _) => None,
            (false, None) => Some(0),
            (false, Some(_)) => zero_point.and_then(|zero| zero.to_i64()?.first().copied()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calibration, model};
    use super::super::{QuantizationPlan, QuantizeOptions};
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
    }
}
