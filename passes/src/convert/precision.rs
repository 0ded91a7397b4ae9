//! Operators that compute in half precision what they compute in single precision, up to rounding.

/// Inputs that are of type float whatever the others are.
pub(super) fn stays_float(op_type: &str, slot: usize) -> bool {
    op_type == "Resize" && (slot == 1 || slot == 2)
}

/// Operators that read a value of any type and say nothing about its numbers, or convert them.
pub(super) fn reads_any_type(op_type: &str) -> bool {
    matches!(op_type, "Cast" | "Shape" | "Size")
}

/// Whether an operator takes all its floating-point inputs, and gives its outputs, in one type of 16
/// bits as well.
///
/// Left out are those that runtimes have no such kernel for or that lose more than rounding: positions
/// and running sums (`Range`, `CumSum`), order (`TopK`, `NonMaxSuppression`), coordinates (`RoiAlign`,
/// `GridSample`), random numbers, quantization and everything that is not listed.
pub(super) fn has_half(op_type: &str) -> bool {
    OPERATORS.binary_search(&op_type).is_ok()
}

/// In alphabetical order.
const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "MaxPool",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "RMSNormalization",
    "RNN",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Where",
];

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::schema;

    #[test]
    fn the_operators_exist_and_are_in_order() {
        assert!(OPERATORS.is_sorted());
        assert!(OPERATORS.iter().all(|op_type| schema::operator(op_type).is_some()));
        assert!(has_half("Abs") && has_half("Where") && !has_half("Range"));
    }
}
