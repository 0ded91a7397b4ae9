//! What the caller of a quantization decides.
use super::format::{IntegerFormat, IntegerType};
use super::plan::needs;
use super::ranges::RangeMethod;
use super::select::{NodeSelector, excluded};
use super::target::{BiasForm, Target};
use super::weight::WeightFormat;
use lapidary_ir::{Graph, NodeId};
use std::collections::BTreeSet;

/// What the caller decides; what is left open is as the target wants it.
#[derive(Clone, Debug)]
pub struct QuantizeOptions {
    /// Who executes the model.
    pub target: Target,
    /// The type of the integers of activations.
    pub activations: Option<IntegerType>,
    /// Whether 0 is in the middle of the integers of activations.
    pub symmetric: Option<bool>,
    /// How the range of a value is chosen.
    pub method: RangeMethod,
    /// Whether all scales are powers of two.
    pub power_of_two: bool,
    /// The integers of weights.
    pub weights: WeightFormat,
    /// How biases are stored.
    pub bias: Option<BiasForm>,
    /// Nodes that stay as they are.
    pub exclude: Vec<NodeSelector>,
    /// Whether the products nearest to the inputs and to the outputs stay as they are.
    pub keep_first_last: bool,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl QuantizeOptions {
    /// Everything as ONNX Runtime on x86 wants it.
    pub const DEFAULT: Self = Self {
        target: Target::OnnxRuntimeX86,
        activations: None,
        symmetric: None,
        method: RangeMethod::DEFAULT,
        power_of_two: false,
        weights: WeightFormat::INT8,
        bias: None,
        exclude: Vec::new(),
        keep_first_last: false,
    };

    /// The integers of activations.
    #[must_use]
    pub fn activations(&self) -> IntegerFormat {
        let usual = self.target.profile().activations;
        IntegerFormat {
            elem_type: self.activations.unwrap_or(usual.elem_type),
            symmetric: self.symmetric.unwrap_or(usual.symmetric),
            power_of_two: self.power_of_two,
        }
    }

    /// The operator set the integers need.
    #[must_use]
    pub fn needed_opset(&self) -> i64 {
        needs(self).1
    }

    /// The nodes that stay as they are. `order` is topological.
    pub(super) fn excluded(&self, graph: &Graph, order: &[NodeId]) -> BTreeSet<NodeId> {
        excluded(&self.exclude, self.keep_first_last, graph, order)
    }

    /// What is excluded and no node is.
    pub(super) fn unknown(&self, graph: &Graph) -> Vec<String> {
        let unknown =
            |selector: &&NodeSelector| !graph.nodes().any(|(id, _)| selector.selects(graph, id));
        self.exclude.iter().filter(unknown).map(ToString::to_string).collect()
    }
}
