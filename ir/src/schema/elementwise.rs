//! Operators that work element by element.

/// Whether each element of the output is the same function of the element of the first input at
/// the same place. Other inputs and attributes (the bounds of `Clip`, the type of `Cast`) hold
/// for all elements alike.
#[must_use]
pub fn is_elementwise_unary(op_type: &str) -> bool {
    UNARY.binary_search(&op_type).is_ok()
}

/// Whether each element of the output is the same function of the elements of all inputs at the
/// same place, inputs of fewer elements being broadcast over the others as in numpy.
///
/// Before operator set 7 (8 for those of any number of inputs) broadcasting had other rules.
#[must_use]
pub fn is_broadcasting(op_type: &str) -> bool {
    BROADCASTING.binary_search(&op_type).is_ok()
}

/// Whether the operator works element by element, on one input or on several that broadcast.
#[must_use]
pub fn is_elementwise(op_type: &str) -> bool {
    is_elementwise_unary(op_type) || is_broadcasting(op_type) || op_type == "PRelu"
}

/// Sorted.
const UNARY: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
];

/// Sorted.
const BROADCASTING: &[&str] = &[
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::operator;

    #[test]
    fn both_lists_are_sorted_and_name_operators() {
        for list in [UNARY, BROADCASTING] {
            assert!(list.is_sorted_by(|a, b| a < b));
            assert!(list.iter().all(|op_type| operator(op_type).is_some()), "{list:?}");
        }
    }

    #[test]
    fn an_operator_that_mixes_elements_is_not_elementwise() {
        assert!(!is_elementwise("Softmax"));
        assert!(is_elementwise("PRelu") && !is_elementwise_unary("PRelu"));
        assert!(is_elementwise("Where") && is_elementwise("Sigmoid"));
    }
}
