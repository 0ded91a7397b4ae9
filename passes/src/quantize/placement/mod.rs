//! Where integers are possible: what each runtime does with an operator that reads from `DequantizeLinear` and writes to
//! `QuantizeLinear`.
mod onnxruntime;
mod openvino;
mod operators;
mod qnn;
mod tensorrt;

use super::range::{FixedRange, Limits};
use super::target::Target;
use lapidary_ir::{Graph, Node, NodeId, ValueId};
use std::borrow::Cow;

/// What an operator can do with integers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Support {
    /// It multiplies by constant weights, which become `int8`.
    Product(Product),
    /// It computes with integers of different scales.
    Arithmetic {
        /// The range of its results, if that does not depend on what is observed.
        fixed: Option<FixedRange>,
    },
    /// It averages or selects numbers in windows; worth a quantization only next to a product.
    Pool,
    /// It moves or selects numbers, so that its outputs have the parameters of its input.
    Movement,
    /// It limits numbers: nothing is left to do when what it reads is quantized to these limits.
    Limits(Limits),
    /// It computes in floating point, for this reason.
    Float(Cow<'static, str>),
}

/// A multiplication by constant weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    /// The weights, read at slot 1.
    pub(super) weights: ValueId,
    /// The axis of the output channels in the weights.
    pub(super) axis: usize,
    /// The bias, read at slot 2.
    pub(super) bias: Option<ValueId>,
    /// Whether the integer kernel can also write floating-point numbers.
    pub(super) float_output: bool,
}

type Reason = Cow<'static, str>;

/// What the operator of `id` can do with integers, for a target.
pub(super) fn support(graph: &Graph, id: NodeId, target: Target) -> Support {
    let node = &graph[id];
    if !node.is_standard() {
        return Support::Float(
            format!("operators of domain `{}` are not quantized", node.domain).into(),
        );
    }
    let found = match target {
        Target::OnnxRuntimeX86 | Target::OnnxRuntimeArm | Target::Generic => {
            onnxruntime::support(graph, node)
        }
        Target::TensorRt => tensorrt::support(graph, node),
        Target::Qnn => qnn::support(graph, node),
        Target::OpenVino => openvino::support(graph, node),
    };
    found.unwrap_or_else(Support::Float)
}

/// The inputs of a node that are activations: what has to come from a `DequantizeLinear`.
pub(super) fn activations<'a>(
    node: &'a Node,
    support: &Support,
) -> impl Iterator<Item = ValueId> + use<'a> {
    let count = match support {
        Support::Arithmetic { .. } => node.inputs().len(),
        Support::Product(_) | Support::Pool | Support::Movement | Support::Limits(_) => 1,
        Support::Float(_) => 0,
    };
    node.inputs().iter().take(count).flatten().copied()
}
