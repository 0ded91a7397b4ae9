//! Constant data.
use crate::ElemType;
use bytes::Bytes;
use half::{bf16, f16};
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// A constant tensor: a type, dimensions and shared bytes.
///
/// Numeric data is little-endian, row-major, sub-byte types packed, as in `raw_data`. The bytes
/// are usually a slice of the mapped file: unaligned, shared and never changed in place.
#[derive(Clone, Debug)]
pub struct Tensor {
    elem_type: ElemType,
    dims: Vec<i64>,
    data: Data,
    /// What the file says besides type, dimensions and data.
    pub notes: Option<Box<Notes>>,
    digest: OnceLock<u64>,
}

/// Documentation that rides along with a tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// `TensorProto.name` of an attribute; initializers are values, which have names of their own.
    pub name: Option<String>,
    /// `TensorProto.doc_string`.
    pub doc_string: Option<String>,
    /// `TensorProto.metadata_props`.
    pub metadata: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    Numbers(Bytes),
    Strings(Vec<Bytes>),
}

/// Why a tensor could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// A dimension is negative.
    #[error("dimension {axis} is {found}, expected 0 or more")]
    NegativeDim {
        /// Which dimension.
        axis: usize,
        /// Its value.
        found: i64,
    },
    /// The number of elements does not fit 64 bits.
    #[error("dimensions {dims:?} have more elements than 64 bits can count")]
    TooManyElements {
        /// The dimensions.
        dims: Vec<i64>,
    },
    /// The data does not have the length its type and dimensions call for.
    #[error("{found} bytes of data, expected {expected} for {elem_type}{dims:?}")]
    WrongLength {
        /// Bytes or strings present.
        found: u64,
        /// Bytes or strings expected.
        expected: u64,
        /// The element type.
        elem_type: ElemType,
        /// The dimensions.
        dims: Vec<i64>,
    },
    /// The element type has no known width.
    #[error("element type {0} is not known")]
    UnknownType(ElemType),
}

/// The number of elements of `dims`; zero dimensions win before any overflow.
///
/// # Errors
/// When a dimension is negative or the product does not fit.
pub fn element_count(dims: &[i64]) -> Result<u64, TensorError> {
    if let Some(axis) = dims.iter().position(|&dim| dim < 0) {
        return Err(TensorError::NegativeDim { axis, found: dims[axis] });
    }
    if dims.contains(&0) {
        return Ok(0);
    }
    dims.iter()
        .try_fold(1u64, |count, &dim| count.checked_mul(dim.unsigned_abs()))
        .ok_or_else(|| TensorError::TooManyElements { dims: dims.to_vec() })
}

/// A Rust number that is an ONNX element type.
pub trait Element: Copy {
    /// The ONNX type.
    const ELEM_TYPE: ElemType;
    /// Writes little-endian bytes of exactly its size.
    fn put(self, bytes: &mut [u8]);
    /// Reads little-endian bytes of exactly its size.
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    ($($ty:ty => $constant:ident),*) => {$(
        impl Element for $ty {
            const ELEM_TYPE: ElemType = ElemType::$constant;
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("chunks have the size of the type"))
            }
        }
    )*};
}
elements!(f32 => FLOAT, f64 => DOUBLE, i8 => INT8, u8 => UINT8, i16 => INT16, u16 => UINT16,
    i32 => INT32, u32 => UINT32, i64 => INT64, u64 => UINT64, f16 => FLOAT16, bf16 => BFLOAT16);

impl Element for bool {
    const ELEM_TYPE: ElemType = ElemType::BOOL;
    fn put(self, bytes: &mut [u8]) {
        bytes[0] = u8::from(self);
    }
    fn get(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

impl Tensor {
    /// A tensor over bytes as `raw_data` holds them.
    ///
    /// # Errors
    /// When dimensions, type and length do not agree.
    pub fn from_bytes(
        elem_type: ElemType,
        dims: Vec<i64>,
        data: Bytes,
    ) -> Result<Self, TensorError> {
        let count = element_count(&dims)?;
        if elem_type.bits().is_none() {
            return Err(TensorError::UnknownType(elem_type));
        }
        let found = data.len() as u64;
        match elem_type.byte_len(count) {
            Some(expected) if expected == found => {}
            Some(expected) => {
                return Err(TensorError::WrongLength { found, expected, elem_type, dims });
            }
            None => return Err(TensorError::TooManyElements { dims }),
        }
        Ok(Self::assemble(elem_type, dims, Data::Numbers(data)))
    }

    /// A tensor of strings.
    ///
    /// # Errors
    /// When the count does not match the dimensions.
    pub fn from_strings(dims: Vec<i64>, strings: Vec<Bytes>) -> Result<Self, TensorError> {
        let (found, expected) = (strings.len() as u64, element_count(&dims)?);
        if found != expected {
            let elem_type = ElemType::STRING;
            return Err(TensorError::WrongLength { found, expected, elem_type, dims });
        }
        Ok(Self::assemble(ElemType::STRING, dims, Data::Strings(strings)))
    }

    /// A tensor of numbers.
    ///
    /// # Panics
    /// When the count does not match the dimensions: the caller made both.
    #[must_use]
    pub fn new<T: Element>(dims: &[i64], values: &[T]) -> Self {
        let count = element_count(dims).expect("the caller's dimensions are valid");
        assert_eq!(count, values.len() as u64, "one value per element of {dims:?}");
        let mut bytes = vec![0; size_of_val(values)];
        for (bytes, &value) in bytes.chunks_exact_mut(size_of::<T>()).zip(values) {
            value.put(bytes);
        }
        Self::assemble(T::ELEM_TYPE, dims.to_vec(), Data::Numbers(bytes.into()))
    }

    /// A tensor of rank 1.
    #[must_use]
    pub fn vector<T: Element>(values: &[T]) -> Self {
        Self::new(&[values.len() as i64], values)
    }

    /// A tensor of rank 0.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Self {
        Self::new(&[], &[value])
    }

    fn assemble(elem_type: ElemType, dims: Vec<i64>, data: Data) -> Self {
        Self { elem_type, dims, data, notes: None, digest: OnceLock::new() }
    }

    /// The element type.
    #[must_use]
    pub fn elem_type(&self) -> ElemType {
        self.elem_type
    }

    /// The dimensions, each 0 or more.
    #[must_use]
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// The number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        element_count(&self.dims).map_or(0, |count| count as usize)
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dims.contains(&0)
    }

    /// The bytes of numeric data; none for strings.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Numbers(bytes) => Some(bytes),
            Data::Strings(_) => None,
        }
    }

    /// The strings of string data.
    #[must_use]
    pub fn strings(&self) -> Option<&[Bytes]> {
        match &self.data {
            Data::Numbers(_) => None,
            Data::Strings(strings) => Some(strings),
        }
    }

    /// Bytes of data.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        match &self.data {
            Data::Numbers(bytes) => bytes.len() as u64,
            Data::Strings(strings) => strings.iter().map(|s| s.len() as u64).sum(),
        }
    }

    /// The elements, when they are of type `T`.
    #[must_use]
    pub fn to_vec<T: Element>(&self) -> Option<Vec<T>> {
        if self.elem_type != T::ELEM_TYPE {
            return None;
        }
        let width = size_of::<T>();
        Some(self.bytes()?.chunks_exact(width).map(T::get).collect())
    }

    /// The elements of a `float`, `float16`, `bfloat16` or `double` tensor as `f32`.
    #[must_use]
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self.elem_type {
            ElemType::FLOAT => self.to_vec(),
            ElemType::FLOAT16 => Some(self.to_vec::<f16>()?.into_iter().map(f16::to_f32).collect()),
            ElemType::BFLOAT16 => {
                Some(self.to_vec::<bf16>()?.into_iter().map(bf16::to_f32).collect())
            }
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what is asked for")]
            ElemType::DOUBLE => Some(self.to_vec::<f64>()?.into_iter().map(|x| x as f32).collect()),
            _ => None,
        }
    }

    /// The elements of an integer or bool tensor as `i64`; several of 4 or 2 bits are in a byte, the first in its low bits.
    #[must_use]
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match self.elem_type {
            ElemType::INT64 => self.to_vec(),
            ElemType::INT32 => Some(self.to_vec::<i32>()?.into_iter().map(i64::from).collect()),
            ElemType::INT16 => Some(self.to_vec::<i16>()?.into_iter().map(i64::from).collect()),
            ElemType::INT8 => Some(self.to_vec::<i8>()?.into_iter().map(i64::from).collect()),
            ElemType::UINT32 => Some(self.to_vec::<u32>()?.into_iter().map(i64::from).collect()),
            ElemType::UINT16 => Some(self.to_vec::<u16>()?.into_iter().map(i64::from).collect()),
            ElemType::UINT8 => Some(self.to_vec::<u8>()?.into_iter().map(i64::from).collect()),
            ElemType::BOOL => Some(self.to_vec::<bool>()?.into_iter().map(i64::from).collect()),
            ElemType::INT4 => self.unpacked(4, true),
            ElemType::UINT4 => self.unpacked(4, false),
            ElemType::INT2 => self.unpacked(2, true),
            ElemType::UINT2 => self.unpacked(2, false),
            _ => None,
        }
    }

    /// Elements of fewer bits than a byte.
    fn unpacked(&self, bits: u32, signed: bool) -> Option<Vec<i64>> {
        let bytes = self.bytes()?;
        let per_byte = 8 / bits;
        let element = |index: usize| {
            let shift = (index as u32 % per_byte) * bits;
            let code = i64::from(bytes[index / per_byte as usize] >> shift) & ((1 << bits) - 1);
            if signed && code >> (bits - 1) == 1 { code - (1 << bits) } else { code }
        };
        Some((0..self.len()).map(element).collect())
    }

    /// The only element of a one-element floating-point tensor.
    #[must_use]
    pub fn as_f32(&self) -> Option<f32> {
        if self.len() != 1 { None } else { self.to_f32()?.first().copied() }
    }

    /// The only element of a one-element integer tensor.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if self.len() != 1 { None } else { self.to_i64()?.first().copied() }
    }

    /// The only element of a one-element boolean tensor.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if self.len() != 1 { None } else { self.to_vec()?.first().copied() }
    }

    /// The same data under other dimensions of the same element count.
    ///
    /// # Errors
    /// When the counts differ.
    pub fn reshaped(&self, dims: Vec<i64>) -> Result<Self, TensorError> {
        let (found, expected) = (element_count(&dims)?, self.len() as u64);
        if found != expected {
            let elem_type = self.elem_type;
            return Err(TensorError::WrongLength { found, expected, elem_type, dims });
        }
        Ok(Self::assemble(self.elem_type, dims, self.data.clone()))
    }

    /// The entries `keep` of `axis`, in that order; whole-byte numeric types only.
    #[must_use]
    pub fn gather_axis(&self, axis: usize, keep: &[usize]) -> Option<Self> {
        let width = usize::try_from(self.elem_type.bits()?).ok()?;
        let extent = usize::try_from(*self.dims.get(axis)?).ok()?;
        if width % 8 != 0 || keep.iter().any(|&index| index >= extent) {
            return None;
        }
        let count = |dims: &[i64]| dims.iter().map(|&dim| dim as usize).product::<usize>();
        let inner = count(&self.dims[axis + 1..]) * width / 8;
        let outer = count(&self.dims[..axis]);
        let source = self.bytes()?;
        let mut bytes = Vec::with_capacity(outer * keep.len() * inner);
        for block in 0..outer {
            for &index in keep {
                let start = (block * extent + index) * inner;
                bytes.extend_from_slice(&source[start..start + inner]);
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = keep.len() as i64;
        Some(Self::assemble(self.elem_type, dims, Data::Numbers(bytes.into())))
    }

    /// A hash of type, dimensions and content, computed once.
    #[must_use]
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = rustc_hash::FxHasher::default();
            self.elem_type.hash(&mut hasher);
            self.dims.hash(&mut hasher);
            match &self.data {
                Data::Numbers(bytes) => bytes.hash(&mut hasher),
                Data::Strings(strings) => strings.hash(&mut hasher),
            }
            hasher.finish()
        })
    }

    /// Whether type, dimensions and every byte are the same.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.elem_type == other.elem_type && self.dims == other.dims && self.data == other.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_a_part_of_a_byte_are_unpacked() {
        let tensor = |elem_type, dims: &[i64], bytes: &'static [u8]| {
            Tensor::from_bytes(elem_type, dims.to_vec(), Bytes::from_static(bytes))
                .expect("the bytes are as many as it takes")
        };
        let odd = tensor(ElemType::INT4, &[3], &[0x8f, 0x07]);
        assert_eq!(odd.to_i64(), Some(vec![-1, -8, 7]));
        assert_eq!(tensor(ElemType::UINT4, &[2], &[0x8f]).to_i64(), Some(vec![15, 8]));
        let quarters = tensor(ElemType::INT2, &[5], &[0b1110_0100, 0b11]);
        assert_eq!(quarters.to_i64(), Some(vec![0, 1, -2, -1, -1]));
        assert_eq!(tensor(ElemType::UINT2, &[2], &[0b1101]).to_i64(), Some(vec![1, 3]));
    }
}
