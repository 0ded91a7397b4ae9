//! Constant scale and bias per channel behind a normalization.
use super::super::weights;
use crate::{OrSkip, Skip};
use lapidary_ir::{ElemType, Graph, Operand, Patch, ValueId};

/// y = normalized · scale + bias, along axis 1.
pub(super) struct ChannelTail {
    /// The output of the last node.
    pub(super) y: ValueId,
    elem_type: ElemType,
    scale: Option<Vec<f64>>,
    bias: Option<Vec<f64>>,
    channels: usize,
}

impl ChannelTail {
    /// What follows `normalized`.
    pub(super) fn of(graph: &Graph, normalized: ValueId) -> Result<Self, Skip> {
        let ty = graph.ty(normalized);
        let channels = ty.shape.as_deref().and_then(|shape| shape.get(1)?.value());
        let channels = channels.and_then(|channels| usize::try_from(channels).ok());
        let mut tail = Self {
            y: normalized,
            elem_type: ty.elem_type.or_skip("the element type is not known")?,
            scale: None,
            bias: None,
            channels: channels.or_skip("the number of channels is not known")?,
        };
        if let Some((y, scale)) = tail.next(graph, "Mul") {
            (tail.y, tail.scale) = (y, Some(scale));
        }
        if let Some((y, bias)) = tail.next(graph, "Add") {
            (tail.y, tail.bias) = (y, Some(bias));
        }
        Ok(tail)
    }

    fn next(&self, graph: &Graph, op_type: &str) -> Option<(ValueId, Vec<f64>)> {
        let id = graph.only_use(self.y)?.node;
        let node = &graph[id];
        let (a, b) = (node.input(0)?, node.input(1)?);
        let constant = graph.constant(if a == self.y { b } else { a })?;
        let rank = graph.ty(self.y).rank()?;
        let values = weights::per_channel(constant, rank, 1, self.channels)?;
        if node.is(op_type) { Some((node.output(0)?, values)) } else { None }
    }

    /// Whether there is a scale or a bias.
    pub(super) fn is_there(&self) -> bool {
        self.scale.is_some() || self.bias.is_some()
    }

    /// Scale and bias, of ones and zeros where there is none.
    pub(super) fn parameters(
        &self,
        graph: &Graph,
        patch: &mut Patch,
    ) -> Result<[Operand; 2], Skip> {
        let name = graph.value(self.y).name();
        let mut parameter = |what, values: &Option<Vec<f64>>, default| {
            let values = values.clone().unwrap_or_else(|| vec![default; self.channels]);
            let tensor = weights::tensor(self.elem_type, &[self.channels as i64], &values)?;
            Ok::<_, Skip>(patch.initializer(format!("{name}_{what}"), tensor))
        };
        Ok([parameter("scale", &self.scale, 1.0)?, parameter("bias", &self.bias, 0.0)?])
    }
}
