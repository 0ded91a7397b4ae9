//! Data for constants that are declared without data.
use crate::{ElemType, Tensor, TensorError, element_count};
use bytes::Bytes;
use half::{bf16, f16};

/// A constant of that type whose elements depend on nothing but `name`.
///
/// | type | elements |
/// | --- | --- |
/// | `float`, `double`, `float16`, `bfloat16`, complex | multiples of 1/64 in [-1, 1), exact in each |
/// | integers of 16 bits and more | 0, 1 or 2 |
/// | `int8`, `uint8`, 4 and 2 bits | any |
/// | `bool` | either |
/// | `float8…` | positive and finite |
/// | `string` | one letter of a to d |
///
/// # Errors
/// When a dimension is negative, the element count does not fit or the type is not known.
pub fn seeded(name: &str, elem_type: ElemType, dims: &[i64]) -> Result<Tensor, TensorError> {
    let mut random = Random::named(name);
    let count = element_count(dims)?;
    if elem_type == ElemType::STRING {
        let letter = |random: &mut Random| Bytes::from(vec![b'a' + random.below(4) as u8]);
        let strings = (0..count).map(|_| letter(&mut random)).collect();
        return Tensor::from_strings(dims.to_vec(), strings);
    }
    let bits = elem_type.bits().ok_or(TensorError::UnknownType(elem_type))?;
    let length = elem_type.byte_len(count);
    let length =
        length.ok_or_else(|| TensorError::TooManyElements { dims: dims.to_vec() })? as usize;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        random.element(elem_type, bits, &mut bytes);
    }
    // The padding of packed types is zero.
    let used = (count * bits) % 8;
    if let (1.., Some(last)) = (used, bytes.last_mut()) {
        *last &= (1 << used) - 1;
    }
    Tensor::from_bytes(elem_type, dims.to_vec(), bytes.into())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// Seeded by the FNV-1a hash of `name`.
    fn named(name: &str) -> Self {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    /// A multiple of 1/64 in [-1, 1).
    fn fraction(&mut self) -> f32 {
        let step = self.below(128) as u8;
        (f32::from(step) - 64.0) / 64.0
    }

    /// Appends an element, or a byte of elements of a packed type.
    fn element(&mut self, elem_type: ElemType, bits: u64, bytes: &mut Vec<u8>) {
        match elem_type {
            ElemType::FLOAT => bytes.extend(self.fraction().to_le_bytes()),
            ElemType::DOUBLE => bytes.extend(f64::from(self.fraction()).to_le_bytes()),
            ElemType::FLOAT16 => bytes.extend(f16::from_f32(self.fraction()).to_le_bytes()),
            ElemType::BFLOAT16 => bytes.extend(bf16::from_f32(self.fraction()).to_le_bytes()),
            ElemType::COMPLEX64 => {
                bytes.extend(self.fraction().to_le_bytes());
                bytes.extend(self.fraction().to_le_bytes());
            }
            ElemType::COMPLEX128 => {
                bytes.extend(f64::from(self.fraction()).to_le_bytes());
                bytes.extend(f64::from(self.fraction()).to_le_bytes());
            }
            ElemType::BOOL => bytes.push(self.below(2) as u8),
            ElemType::INT8 | ElemType::UINT8 => bytes.push(self.below(256) as u8),
            // Without sign and upper exponent bit no pattern is infinite or no number.
            _ if bits == 8 => bytes.push(self.below(64) as u8),
            _ if bits < 8 => bytes.push(self.below(256) as u8),
            _ => {
                bytes.extend_from_slice(&self.below(3).to_le_bytes()[..(bits / 8).min(8) as usize])
            }
        }
    }
}
