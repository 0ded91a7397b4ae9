//! The integers of a type.
use lapidary_ir::ElemType;

/// The integers codes are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The smallest.
    pub least: i16,
    /// The largest.
    pub most: i16,
    /// Bits of one.
    pub bits: u32,
}

impl Grid {
    /// The integers of a type of 2, 4 or 8 bits.
    #[must_use]
    pub fn of(elem_type: ElemType) -> Option<Self> {
        let (bits, signed) = match elem_type {
            ElemType::INT2 => (2, true),
            ElemType::UINT2 => (2, false),
            ElemType::INT4 => (4, true),
            ElemType::UINT4 => (4, false),
            ElemType::INT8 => (8, true),
            ElemType::UINT8 => (8, false),
            _ => return None,
        };
        let count: i16 = 1 << bits;
        let least = if signed { -count / 2 } else { 0 };
        Some(Self { least, most: least + count - 1, bits })
    }

    /// The zero point without zero points: 0, or the upper one of the two in the middle.
    #[must_use]
    pub fn middle(self) -> i16 {
        self.least + (1 << (self.bits - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_integers() {
        let grid = |elem_type| Grid::of(elem_type).map(|g| (g.least, g.middle(), g.most));
        assert_eq!(grid(ElemType::INT2), Some((-2, 0, 1)));
        assert_eq!(grid(ElemType::UINT4), Some((0, 8, 15)));
        assert_eq!(grid(ElemType::INT4), Some((-8, 0, 7)));
        assert_eq!(grid(ElemType::UINT8), Some((0, 128, 255)));
        assert_eq!(grid(ElemType::INT16), None);
    }
}
