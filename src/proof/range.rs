//! Which numbers a value can be.
use lapidary_ir::{ElemType, Graph, Node, Tensor};

/// The numbers of a value lie in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    low: f32,
    high: f32,
}

impl Range {
    /// Any number.
    pub(super) const ALL: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// Of every value: `Relu(x)` is x for what is behind a `Relu`, and not for any number.
    pub(super) fn of(graph: &Graph) -> Vec<Self> {
        let mut ranges = vec![Self::ALL; graph.value_bound()];
        for id in graph.topological_order() {
            let node = &graph[id];
            let (Some(x), Some(y)) = (node.input(0), node.output(0)) else { continue };
            ranges[y.index()] = Self::made(graph, node, ranges[x.index()]);
        }
        ranges
    }

    /// Of what a node makes of values of the range `x`.
    fn made(graph: &Graph, node: &Node, x: Self) -> Self {
        if !node.is_standard() {
            return Self::ALL;
        }
        let bound = |slot, name, default| {
            let given = node.input(slot).map(|id| graph.constant(id).and_then(|c| c.to_f32()));
            match given {
                Some(constant) => constant.and_then(|numbers| numbers.first().copied()),
                None => node.float(name),
            }
            .filter(|number| !number.is_nan())
            .unwrap_or(default)
        };
        match &*node.op_type {
            "Abs" | "Exp" | "Relu" | "Softplus" | "Sqrt" => Self { low: 0.0, ..Self::ALL },
            "HardSigmoid" | "Sigmoid" | "Softmax" => Self { low: 0.0, high: 1.0 },
            "Cos" | "Erf" | "Sin" | "Tanh" => Self { low: -1.0, high: 1.0 },
            "Clip" => {
                let low = bound(1, "min", f32::NEG_INFINITY);
                Self { low, high: bound(2, "max", f32::INFINITY).max(low) }
            }
            "DepthToSpace" | "Dropout" | "Expand" | "Flatten" | "Gather" | "GlobalMaxPool"
            | "Identity" | "MaxPool" | "Reshape" | "Slice" | "SpaceToDepth" | "Squeeze"
            | "Tile" | "Transpose" | "Unsqueeze" => x,
            _ => Self::ALL,
        }
    }

    /// The numbers, moved into the range; those of other types than `float` stay.
    pub(super) fn moved(self, tensor: Tensor) -> Tensor {
        if self == Self::ALL || tensor.elem_type() != ElemType::FLOAT {
            return tensor;
        }
        let Some(mut numbers) = tensor.to_vec::<f32>() else { return tensor };
        for number in &mut numbers {
            let other = if self.low >= 0.0 { number.abs() } else { *number };
            *number = other.clamp(self.low, self.high);
        }
        Tensor::new(tensor.dims(), &numbers)
    }
}
