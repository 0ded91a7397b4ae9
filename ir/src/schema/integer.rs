//! Operators on quantized numbers that read scales and zero points next to the integers.
use crate::Node;

/// Where an operator reads a quantized operand: the input slots of the integers, their scale and their zero point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizedSlots {
    /// The integers.
    pub integers: usize,
    /// The distance of neighbouring numbers.
    pub scale: usize,
    /// What stands for 0.
    pub zero_point: usize,
}

/// An operator that computes on integers what `float` computes on the numbers they stand for.
#[derive(Debug, PartialEq, Eq)]
pub struct IntegerOperator {
    /// Its domain; empty for ONNX's own.
    pub domain: &'static str,
    /// Its name.
    pub op_type: &'static str,
    /// The operator of ONNX's own domain it stands for.
    pub float: &'static str,
    /// An input of the same meaning in both, before the operands.
    pub unquantized: Option<usize>,
    /// The operands, in the order of the operator it stands for.
    operands: &'static [QuantizedSlots],
    /// Whether there are more operands like the last one behind it.
    repeats: bool,
    /// An `int32` bias in steps of the product of the scales of both operands.
    pub bias: Option<usize>,
    /// Scale and zero point of the result; none when it is no integers.
    pub result: Option<(usize, usize)>,
    /// Whether the result is no integers when its scale is not given.
    pub may_write_float: bool,
}

const MICROSOFT: &str = "com.microsoft";

const fn at(integers: usize) -> QuantizedSlots {
    QuantizedSlots { integers, scale: integers + 1, zero_point: integers + 2 }
}

const ONE: &[QuantizedSlots] = &[at(0)];
const TWO: &[QuantizedSlots] = &[at(0), at(3)];

const fn standard(op_type: &'static str, float: &'static str) -> IntegerOperator {
    let plain = unary(op_type, float);
    IntegerOperator { domain: "", operands: TWO, result: Some((6, 7)), ..plain }
}

const fn unary(op_type: &'static str, float: &'static str) -> IntegerOperator {
    IntegerOperator {
        domain: MICROSOFT,
        op_type,
        float,
        unquantized: None,
        operands: ONE,
        repeats: false,
        bias: None,
        result: Some((3, 4)),
        may_write_float: false,
    }
}

const fn binary(op_type: &'static str, float: &'static str) -> IntegerOperator {
    IntegerOperator { operands: TWO, result: Some((6, 7)), ..unary(op_type, float) }
}

/// The operators of ONNX and of ONNX Runtime that have kernels.
static OPERATORS: [IntegerOperator; 13] = [
    IntegerOperator { bias: Some(8), ..standard("QLinearConv", "Conv") },
    standard("QLinearMatMul", "MatMul"),
    IntegerOperator {
        bias: Some(6),
        result: Some((7, 8)),
        may_write_float: true,
        ..binary("QGemm", "Gemm")
    },
    IntegerOperator {
        operands: &[
            QuantizedSlots { integers: 0, scale: 2, zero_point: 4 },
            QuantizedSlots { integers: 1, scale: 3, zero_point: 5 },
        ],
        result: None,
        ..binary("MatMulIntegerToFloat", "MatMul")
    },
    binary("QLinearAdd", "Add"),
    binary("QLinearMul", "Mul"),
    IntegerOperator {
        unquantized: Some(0),
        operands: &[at(1), at(4)],
        result: Some((7, 8)),
        ..binary("QLinearWhere", "Where")
    },
    IntegerOperator {
        operands: &[at(2)],
        repeats: true,
        result: Some((0, 1)),
        ..unary("QLinearConcat", "Concat")
    },
    unary("QLinearAveragePool", "AveragePool"),
    unary("QLinearGlobalAveragePool", "GlobalAveragePool"),
    unary("QLinearLeakyRelu", "LeakyRelu"),
    unary("QLinearSigmoid", "Sigmoid"),
    unary("QLinearSoftmax", "Softmax"),
];

impl IntegerOperator {
    /// The slots of `count` operands; fewer when the operator does not have as many.
    pub fn operands(&self, count: usize) -> impl Iterator<Item = QuantizedSlots> + '_ {
        let behind = |place: usize| {
            let last = self.operands.last().copied().filter(|_| self.repeats)?;
            Some(at(last.integers + 3 * (place + 1 - self.operands.len())))
        };
        (0..count)
            .map_while(move |place| self.operands.get(place).copied().or_else(|| behind(place)))
    }

    /// The slots of the operands a node of this operator has.
    pub fn operands_of<'a>(
        &'a self,
        node: &'a Node,
    ) -> impl Iterator<Item = QuantizedSlots> + use<'a> {
        let present = move |slots: &QuantizedSlots| node.input(slots.integers).is_some();
        self.operands(node.inputs().len()).take_while(present)
    }

    /// The axis along which operand `place` of a node, of that rank, may have several scales: output channels of a filter,
    /// columns of the right matrix, rows of the left one.
    #[must_use]
    pub fn scale_axis(&self, node: &Node, place: usize, rank: usize) -> Option<usize> {
        let transposed = |name: &str| node.int(name).unwrap_or(0) != 0;
        match (self.float, place) {
            ("Conv", 1) => Some(0),
            ("Gemm", 1) => Some(usize::from(!transposed("transB"))),
            ("MatMul", 1) => rank.checked_sub(1),
            ("MatMul", 0) => rank.checked_sub(2),
            _ => None,
        }
    }
}

/// What a node computes on integers with scales next to them; none if its operator is another.
#[must_use]
pub fn integer_operator(node: &Node) -> Option<&'static IntegerOperator> {
    let domain = if node.is_standard() { "" } else { node.domain.as_str() };
    OPERATORS.iter().find(|known| known.op_type == node.op_type && known.domain == domain)
}

/// The integer operator of that name.
#[must_use]
pub fn integer_operator_named(op_type: &str) -> Option<&'static IntegerOperator> {
    OPERATORS.iter().find(|known| known.op_type == op_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{is_commutative, version};

    fn slots(op_type: &str, count: usize) -> Vec<[usize; 3]> {
        let operator = integer_operator_named(op_type).expect("the operator is known");
        let triple = |s: QuantizedSlots| [s.integers, s.scale, s.zero_point];
        operator.operands(count).map(triple).collect()
    }

    #[test]
    fn operands_are_triples() {
        assert_eq!(slots("QLinearConv", 9), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(slots("QLinearSigmoid", 9), [[0, 1, 2]]);
        assert_eq!(slots("QLinearConcat", 3), [[2, 3, 4], [5, 6, 7], [8, 9, 10]]);
        assert_eq!(slots("MatMulIntegerToFloat", 2), [[0, 2, 4], [1, 3, 5]]);
        assert_eq!(slots("QLinearWhere", 2), [[1, 2, 3], [4, 5, 6]]);
    }

    #[test]
    fn no_slot_has_two_meanings() {
        for operator in &OPERATORS {
            let mut slots: Vec<usize> = operator
                .operands(if operator.repeats { 3 } else { 9 })
                .flat_map(|slots| [slots.integers, slots.scale, slots.zero_point])
                .chain(operator.result.into_iter().flat_map(|(scale, zero)| [scale, zero]))
                .chain(operator.bias)
                .chain(operator.unquantized)
                .collect();
            slots.sort_unstable();
            let expected: Vec<usize> = (0..slots.len()).collect();
            assert_eq!(slots, expected, "{}", operator.op_type);
        }
    }

    #[test]
    fn operators_of_onnx_have_as_many_inputs_as_the_specification_says() {
        for operator in OPERATORS.iter().filter(|operator| operator.domain.is_empty()) {
            let found = version(operator.op_type, 21).expect("ONNX has the operator");
            let slots = 3 * operator.operands.len() + 2 + usize::from(operator.bias.is_some());
            assert_eq!(found.inputs.1, slots, "{}", operator.op_type);
        }
        assert!(OPERATORS.iter().all(|operator| version(operator.float, 21).is_some()));
        assert!(["QLinearAdd", "QLinearMul"].iter().all(|name| {
            integer_operator_named(name).is_some_and(|operator| is_commutative(operator.float))
        }));
    }
}
