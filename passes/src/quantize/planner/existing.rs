//! What planning does next to what is quantized already.
use super::super::existing::{ALREADY, weight_scales};
use super::super::placement::Support;
use super::super::plan::BiasQuantization;
use super::super::target::BiasForm;
use super::super::weight::fits_bias;
use super::{Planner, Reason};
use lapidary_ir::{NodeId, ValueId};

impl Planner<'_> {
    /// Why a node that is quantized already is left alone, and what stays in floating point with it.
    pub(super) fn already(&self, id: NodeId, excluded: bool) -> Reason {
        if excluded {
            return format!("{ALREADY}, and excluded").into();
        }
        match self.existing_bias(id) {
            Ok(_) => ALREADY.into(),
            Err(reason) => format!("{ALREADY}; its bias stays float: {reason}").into(),
        }
    }

    /// The bias of a convolution or product whose weights are integers already, in the steps of what it is added to: with sₓ
    /// the scale of the input and s_w those of the weights,
    ///
    /// q = round(b / (sₓ · s_w)), |q| ≤ 2³⁰.
    ///
    /// Nothing where no floating-point bias is, or where it shall stay one.
    ///
    /// # Errors
    /// Why it can't be one of 32 bits. The scales of the weights can't grow for it: their integers are given.
    pub(super) fn existing_bias(&self, id: NodeId) -> Result<Option<BiasQuantization>, Reason> {
        let node = &self.graph[id];
        let axis = match node.op_type.as_str() {
            "Conv" => 0,
            "Gemm" => usize::from(node.int("transB").unwrap_or(0) == 0),
            _ => return Ok(None),
        };
        let (Some(bias), BiasForm::Int32) = (node.input(2), self.bias) else { return Ok(None) };
        let tensor = self.graph.constant(bias);
        let Some(numbers) = tensor.and_then(|tensor| tensor.to_vec::<f32>()) else {
            return Ok(None);
        };
        let one = |name| node.float(name).unwrap_or(1.0) == 1.0;
        if !one("alpha") || !one("beta") || node.int("transA").unwrap_or(0) != 0 {
            return Err("the product is scaled or its left operand transposed".into());
        }
        let input = node.input(0).and_then(|input| self.existing.parameters(input));
        let Some(Ok(input)) = input else {
            return Err("the input has not one constant scale".into());
        };
        let scales = node.input(1).and_then(|weights| weight_scales(self.graph, weights, axis));
        let scales = scales.ok_or("the weights are not symmetric per output channel")?;
        let one_per_channel = tensor.is_some_and(|tensor| tensor.rank() == 1)
            && (scales.len() == 1 || scales.len() == numbers.len());
        if !one_per_channel {
            return Err("it is not one number per channel".into());
        }
        let scales: Vec<f32> = scales.iter().map(|scale| input.scale * scale).collect();
        let mut entries = numbers.iter().zip(scales.iter().cycle());
        if !entries.all(|(&bias, &scale)| fits_bias(bias, scale)) {
            return Err("it does not fit into 32 bits next to its weights".into());
        }
        let name = self.graph.value(bias).name().to_owned();
        Ok(Some(BiasQuantization { name, scales, values: None, reader: self.reader(id, 2) }))
    }

    /// What computes a value, before the conversions that are there already.
    pub(super) fn maker(&self, value: ValueId) -> Option<NodeId> {
        let origin = self.existing.origin(self.graph, value);
        origin.unwrap_or_else(|| self.graph.producer(value))
    }

    /// Why a node that gives its result the scale of what it reads can't: the result has one already.
    pub(super) fn moves_otherwise(&self, id: NodeId) -> Option<Reason> {
        if *self.support(id) != Support::Movement {
            return None;
        }
        let known = |value: &ValueId| self.existing.parameters(*value).is_some();
        let result = self.graph[id].outputs().iter().flatten().find(|&value| known(value))?;
        let name = self.graph.value(*result).name();
        Some(format!("its result `{name}` is quantized already").into())
    }

    /// Whether a node works on what a Conv quantized already computes, or prepares what is quantized behind it.
    pub(super) fn is_next_to_existing(&self, id: NodeId) -> bool {
        let node = &self.graph[id];
        let behind = |value: &ValueId| {
            let maker = self.maker(*value).filter(|&maker| self.existing.contains(maker));
            maker.is_some_and(|maker| self.graph[maker].is("Conv"))
        };
        let quantized = |value: &ValueId| self.existing.is_quantized(self.graph, *value);
        node.inputs().iter().flatten().any(behind) || node.outputs().iter().flatten().any(quantized)
    }
}
