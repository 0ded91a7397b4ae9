//! The integers that stand for real numbers.
use lapidary_ir::ElemType;
use std::fmt;

/// An integer type values are quantized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntegerType {
    /// 0 to 255.
    Uint8,
    /// −128 to 127.
    Int8,
    /// 0 to 65535.
    Uint16,
    /// −32768 to 32767.
    Int16,
    /// 0 to 15.
    Uint4,
    /// −8 to 7.
    Int4,
}

impl IntegerType {
    const ALL: [Self; 6] =
        [Self::Uint8, Self::Int8, Self::Uint16, Self::Int16, Self::Uint4, Self::Int4];

    /// The integers of a type of tensors, if it is one of these.
    #[must_use]
    pub fn of(elem_type: ElemType) -> Option<Self> {
        Self::ALL.into_iter().find(|integer| integer.elem_type() == elem_type)
    }

    /// The type of tensors of these integers.
    #[must_use]
    pub fn elem_type(self) -> ElemType {
        match self {
            Self::Uint8 => ElemType::UINT8,
            Self::Int8 => ElemType::INT8,
            Self::Uint16 => ElemType::UINT16,
            Self::Int16 => ElemType::INT16,
            Self::Uint4 => ElemType::UINT4,
            Self::Int4 => ElemType::INT4,
        }
    }

    /// The number of bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Uint4 | Self::Int4 => 4,
            Self::Uint8 | Self::Int8 => 8,
            Self::Uint16 | Self::Int16 => 16,
        }
    }

    /// Whether there are negative ones.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Int4 | Self::Int8 | Self::Int16)
    }

    /// The smallest.
    #[must_use]
    pub fn min(self) -> i32 {
        if self.is_signed() { -(1 << (self.bits() - 1)) } else { 0 }
    }

    /// The largest.
    #[must_use]
    pub fn max(self) -> i32 {
        self.min() + self.steps()
    }

    /// The distance of the smallest and the largest.
    #[must_use]
    pub fn steps(self) -> i32 {
        (1 << self.bits()) - 1
    }
}

impl fmt::Display for IntegerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.elem_type().fmt(f)
    }
}

/// How a value may be quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegerFormat {
    /// The integers.
    pub elem_type: IntegerType,
    /// Whether 0 stands for 0, for unsigned integers their middle, whatever the range.
    pub symmetric: bool,
    /// Whether scales are powers of two, for hardware that shifts.
    pub power_of_two: bool,
}

impl IntegerFormat {
    /// `uint8` with any zero point, what ONNX Runtime computes with on x86.
    pub const UINT8: Self = Self::asymmetric(IntegerType::Uint8);
    /// `int8` with zero point 0, what TensorRT computes with.
    pub const SYMMETRIC_INT8: Self = Self::symmetric(IntegerType::Int8);

    /// Any zero point and any scale.
    #[must_use]
    pub const fn asymmetric(elem_type: IntegerType) -> Self {
        Self { elem_type, symmetric: false, power_of_two: false }
    }

    /// The zero point in the middle, any scale.
    #[must_use]
    pub const fn symmetric(elem_type: IntegerType) -> Self {
        Self { elem_type, symmetric: true, power_of_two: false }
    }

    /// The same with scales that are powers of two.
    #[must_use]
    pub const fn power_of_two(self) -> Self {
        Self { power_of_two: true, ..self }
    }

    /// The zero point of a symmetric format.
    pub(super) fn middle(self) -> i32 {
        if self.elem_type.is_signed() { 0 } else { 1 << (self.elem_type.bits() - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_their_ends() {
        let ends = |integer: IntegerType| (integer.min(), integer.max());
        assert_eq!(ends(IntegerType::Uint8), (0, 255));
        assert_eq!(ends(IntegerType::Int8), (-128, 127));
        assert_eq!(ends(IntegerType::Uint16), (0, 65535));
        assert_eq!(ends(IntegerType::Int16), (-32768, 32767));
        assert_eq!(ends(IntegerType::Uint4), (0, 15));
        assert_eq!(ends(IntegerType::Int4), (-8, 7));
    }

    #[test]
    fn the_element_type_has_as_many_bits() {
        use IntegerType::{Int4, Int8, Int16, Uint4, Uint8, Uint16};
        assert_eq!(IntegerType::of(ElemType::INT32), None);
        for integer in [Uint8, Int8, Uint16, Int16, Uint4, Int4] {
            assert_eq!(integer.elem_type().bits(), Some(u64::from(integer.bits())));
            assert_eq!(integer.to_string().starts_with("int"), integer.is_signed());
            assert_eq!(IntegerType::of(integer.elem_type()), Some(integer));
        }
    }
}
