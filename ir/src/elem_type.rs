//! The element type of a tensor.
use std::fmt;

/// The element type of a tensor, as numbered by `TensorProto.DataType`.
///
/// A number this version does not know is kept as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElemType(pub i32);

macro_rules! elem_types {
    ($($constant:ident = $number:literal, $name:literal, $bits:literal;)*) => {
        impl ElemType {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: Self = Self($number);)*

            /// The name in ONNX text, such as `float` or `int64`.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some($name),)* _ => None }
            }

            /// Bits of one element in `raw_data`; none for strings and unknown types.
            #[must_use]
            pub fn bits(self) -> Option<u64> {
                match self.0 { $($number if $bits > 0 => Some($bits),)* _ => None }
            }

            /// The type of that name in ONNX text.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self($number)),)* _ => None }
            }
        }
    };
}

elem_types! {
    FLOAT = 1, "float", 32;
    UINT8 = 2, "uint8", 8;
    INT8 = 3, "int8", 8;
    UINT16 = 4, "uint16", 16;
    INT16 = 5, "int16", 16;
    INT32 = 6, "int32", 32;
    INT64 = 7, "int64", 64;
    STRING = 8, "string", 0;
    BOOL = 9, "bool", 8;
    FLOAT16 = 10, "float16", 16;
    DOUBLE = 11, "double", 64;
    UINT32 = 12, "uint32", 32;
    UINT64 = 13, "uint64", 64;
    COMPLEX64 = 14, "complex64", 64;
    COMPLEX128 = 15, "complex128", 128;
    BFLOAT16 = 16, "bfloat16", 16;
    FLOAT8E4M3FN = 17, "float8e4m3fn", 8;
    FLOAT8E4M3FNUZ = 18, "float8e4m3fnuz", 8;
    FLOAT8E5M2 = 19, "float8e5m2", 8;
    FLOAT8E5M2FNUZ = 20, "float8e5m2fnuz", 8;
    UINT4 = 21, "uint4", 4;
    INT4 = 22, "int4", 4;
    FLOAT4E2M1 = 23, "float4e2m1", 4;
    FLOAT8E8M0 = 24, "float8e8m0", 8;
    UINT2 = 25, "uint2", 2;
    INT2 = 26, "int2", 2;
}

impl ElemType {
    /// Bytes that `count` elements take in `raw_data`, sub-byte types packed.
    #[must_use]
    pub fn byte_len(self, count: u64) -> Option<u64> {
        Some(count.checked_mul(self.bits()?)?.div_ceil(8))
    }

    /// Whether the type is a floating-point type of at least 16 bits.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::FLOAT | Self::FLOAT16 | Self::BFLOAT16 | Self::DOUBLE)
    }

    /// Whether the type is an integer type.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(self.0, 2..=7 | 12 | 13 | 21 | 22 | 25 | 26)
    }
}

impl fmt::Display for ElemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type{}", self.0),
        }
    }
}

impl fmt::Debug for ElemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
