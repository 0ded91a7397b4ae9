//! A node between conversions, and the operator on integers in its place.
use super::super::pairs::{Conversion, dequantizer, quantizer, written};
use super::super::weight::integers;
use super::{Written, is_conversion};
use lapidary_ir::schema::{IntegerOperator, integer_operator_named};
use lapidary_ir::{ElemType, Graph, NewNode, Node, NodeId, Operand, Patch, ValueId};

/// Why a node stays between conversions.
pub(super) type Reason = String;

/// The domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// A node between conversions.
pub(super) struct Unit<'a> {
    pub(super) graph: &'a Graph,
    pub(super) id: NodeId,
    pub(super) node: &'a Node,
    /// Whether the runtime has ONNX Runtime's own operators.
    pub(super) microsoft: bool,
}

/// What an operator on integers reads and writes.
pub(super) struct Parts<'a> {
    pub(super) operands: &'a [Conversion],
    pub(super) bias: Option<Operand>,
    /// The conversion of the result; none if it is read as numbers.
    pub(super) result: Option<Conversion>,
}

/// Whether a node reads what is dequantized, and what it computes is quantized or worth it.
pub(super) fn is_between_conversions(graph: &Graph, id: NodeId) -> bool {
    if is_conversion(graph, id) {
        return false;
    }
    let node = &graph[id];
    let mut inputs = node.inputs().iter().flatten();
    if !inputs.any(|&input| dequantizer(graph, input).is_some()) {
        return false;
    }
    let product = ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|op| node.is(op));
    let mut outputs = node.outputs().iter().flatten();
    product || written(graph, id).is_ok() || outputs.any(|&output| quantizer(graph, output).is_ok())
}

/// Whether two conversions have the same integers, scale and zero point.
pub(super) fn are_same(graph: &Graph, a: Conversion, b: Conversion) -> bool {
    let known = a.elem_type.is_some() && a.parameters(graph).is_some();
    known && a.elem_type == b.elem_type && a.parameters(graph) == b.parameters(graph)
}

impl<'a> Unit<'a> {
    pub(super) fn new(graph: &'a Graph, id: NodeId, microsoft: bool) -> Self {
        Self { graph, id, node: &graph[id], microsoft }
    }

    /// The operator of that name, if the runtime has it.
    pub(super) fn operator(&self, op_type: &str) -> Result<&'static IntegerOperator, Reason> {
        let found = integer_operator_named(op_type);
        let found = found.ok_or_else(|| format!("there is no operator {op_type}"))?;
        match found.domain.is_empty() || self.microsoft {
            true => Ok(found),
            false => Err(format!("{op_type} is an operator of ONNX Runtime alone")),
        }
    }

    /// The conversion of an operand to numbers, of 8 bits with one scale.
    pub(super) fn operand(&self, slot: usize) -> Result<Conversion, Reason> {
        let found = self.conversion(slot)?;
        self.one_scale(found, self.node.input(slot))
    }

    /// The conversion of an operand to numbers, of 8 bits.
    pub(super) fn conversion(&self, slot: usize) -> Result<Conversion, Reason> {
        let input = self.node.input(slot).ok_or_else(|| format!("input {slot} is missing"))?;
        let name = self.name(Some(input));
        let found = dequantizer(self.graph, input);
        let found = found.ok_or_else(|| format!("`{name}` is not quantized"))?;
        self.of_8_bits(found, &name)?;
        Ok(found)
    }

    /// The conversion of the result to integers, of 8 bits with one scale.
    pub(super) fn result(&self) -> Result<Conversion, Reason> {
        let found = written(self.graph, self.id)?;
        let output = self.node.output(0);
        self.of_8_bits(found, &self.name(output))?;
        self.one_scale(found, output)
    }

    fn of_8_bits(&self, found: Conversion, name: &str) -> Result<(), Reason> {
        match found.elem_type {
            Some(ElemType::UINT8 | ElemType::INT8) => Ok(()),
            Some(other) => Err(format!("`{name}` is {other}, not of 8 bits")),
            None => Err(format!("the integers of `{name}` are not known")),
        }
    }

    fn one_scale(&self, found: Conversion, value: Option<ValueId>) -> Result<Conversion, Reason> {
        match found.is_per_tensor(self.graph) {
            true => Ok(found),
            false => Err(format!("`{}` has no constant scale for all", self.name(value))),
        }
    }

    /// Operators on integers have one type for all operands and the result.
    pub(super) fn same_type(&self, conversions: &[Conversion]) -> Result<(), Reason> {
        let first = conversions.first().and_then(|first| first.elem_type);
        match conversions.iter().find(|other| other.elem_type != first) {
            None => Ok(()),
            Some(other) => {
                let name = |ty: Option<ElemType>| ty.map_or("?".to_owned(), |ty| ty.to_string());
                let (first, other) = (name(first), name(other.elem_type));
                Err(format!("it reads and writes both {first} and {other}"))
            }
        }
    }

    /// The node as an operator on integers.
    pub(super) fn write(
        &self,
        mut patch: Patch,
        operator: &IntegerOperator,
        parts: &Parts<'_>,
        edit: impl FnOnce(NewNode) -> NewNode,
    ) -> Result<Written, Reason> {
        let node = NewNode::like(self.graph, self.id);
        let mut node = edit(node.domain(operator.domain).op_type(operator.op_type));
        node = node.truncate_inputs(0);
        if let Some((slot, value)) =
            operator.unquantized.and_then(|s| Some((s, self.node.input(s)?)))
        {
            node = node.with_input(slot, value);
        }
        let slots = operator.operands(parts.operands.len());
        for (slots, &operand) in slots.zip(parts.operands) {
            node = node.with_input(slots.integers, self.integers(operand)?);
            let (scale, zero_point) = self.parameters(&mut patch, operand)?;
            node = node.with_input(slots.scale, scale).with_input(slots.zero_point, zero_point);
        }
        if let (Some(slot), Some(bias)) = (operator.bias, parts.bias) {
            node = node.with_input(slot, bias);
        }
        let mut replaced = self.node.output(0);
        if let (Some((scale_slot, zero_slot)), Some(result)) = (operator.result, parts.result) {
            let (scale, zero_point) = self.parameters(&mut patch, result)?;
            node = node.with_input(scale_slot, scale).with_input(zero_slot, zero_point);
            replaced = self.graph[result.id].output(0);
        }
        let computed = patch.node(node);
        patch.replace(replaced.ok_or("it computes nothing")?, computed);
        Ok(Written { patch, op_type: Some(operator.op_type.to_owned()) })
    }

    /// The integers a conversion reads or writes.
    pub(super) fn integers(&self, conversion: Conversion) -> Result<ValueId, Reason> {
        let node = &self.graph[conversion.id];
        let value = match node.op_type.as_str() {
            "DequantizeLinear" => node.input(0),
            _ => node.output(0),
        };
        value.ok_or_else(|| "a conversion has no integers".into())
    }

    /// Scale and zero point, which operators on integers have to be given.
    fn parameters(
        &self,
        patch: &mut Patch,
        conversion: Conversion,
    ) -> Result<(Operand, Operand), Reason> {
        let scale = conversion.scale.ok_or("a conversion has no scale")?;
        Ok((scale.into(), self.zero_point(patch, conversion)?))
    }

    /// The zero point of a conversion, 0 if it has none.
    pub(super) fn zero_point(
        &self,
        patch: &mut Patch,
        conversion: Conversion,
    ) -> Result<Operand, Reason> {
        if let Some(zero_point) = conversion.zero_point {
            return Ok(zero_point.into());
        }
        let scale = conversion.scale.and_then(|scale| self.graph.constant(scale));
        let scale = scale.ok_or("a scale is not constant")?;
        let elem_type = conversion.elem_type.ok_or("the integers are not known")?;
        let zeros = integers(scale.dims(), &vec![0; scale.len()], elem_type);
        let name = self.name(Some(self.integers(conversion)?));
        Ok(patch.initializer(format!("{name}_zero_point"), zeros))
    }

    /// The name of a value for messages.
    pub(super) fn name(&self, value: Option<ValueId>) -> String {
        value.map_or_else(String::new, |value| self.graph.value(value).name().to_owned())
    }
}
