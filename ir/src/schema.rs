//! Facts of the ONNX specification about operators of its own domain.

/// Whether swapping the two inputs changes nothing.
#[must_use]
pub fn is_commutative(op_type: &str) -> bool {
    matches!(
        op_type,
        "Add" | "Mul" | "And" | "Or" | "Xor" | "Equal" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor"
    )
}

/// Whether two runs on the same inputs may differ.
#[must_use]
pub fn is_random(op_type: &str) -> bool {
    matches!(
        op_type,
        "RandomNormal"
            | "RandomNormalLike"
            | "RandomUniform"
            | "RandomUniformLike"
            | "Multinomial"
            | "Bernoulli"
    )
}
