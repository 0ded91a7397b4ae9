//! The elements of constants, as numbers and strings.
use super::lex::{Kind, Token};
use super::spell;
use crate::{ElemType, Tensor};
use half::{bf16, f16};

/// Little-endian bytes of elements, packed as in `raw_data`.
#[derive(Default)]
pub(super) struct Bytes {
    bytes: Vec<u8>,
    bits: u64,
}

impl Bytes {
    /// Appends the lowest `bits` of `value`.
    fn put(&mut self, value: u128, bits: u64) {
        if bits >= 8 {
            self.bytes.extend_from_slice(&value.to_le_bytes()[..(bits / 8) as usize]);
            return;
        }
        let shift = self.bits % 8;
        if shift == 0 {
            self.bytes.push(0);
        }
        let packed = ((value as u8) & ((1 << bits) - 1)) << shift;
        if let Some(last) = self.bytes.last_mut() {
            *last |= packed;
        }
        self.bits += bits;
    }

    /// Appends what `token` says; what it should have said if it is no such element.
    pub(super) fn read(
        &mut self,
        elem_type: ElemType,
        token: &Token<'_>,
    ) -> Result<(), &'static str> {
        match elem_type {
            ElemType::FLOAT | ElemType::COMPLEX64 => {
                let value: f32 = number(token).ok_or("a number")?;
                self.put(value.to_bits().into(), 32);
            }
            ElemType::DOUBLE | ElemType::COMPLEX128 => {
                let value: f64 = number(token).ok_or("a number")?;
                self.put(value.to_bits().into(), 64);
            }
            ElemType::FLOAT16 | ElemType::BFLOAT16 => {
                if token.kind == Kind::Integer {
                    return Err("a number with a decimal point");
                }
                let value: f64 = number(token).ok_or("a number with a decimal point")?;
                let half = elem_type == ElemType::FLOAT16;
                let bits = if half {
                    f16::from_f64(value).to_bits()
                } else {
                    bf16::from_f64(value).to_bits()
                };
                self.put(bits.into(), 16);
            }
            _ => {
                let (lowest, highest) = range(elem_type).ok_or("a type whose data has digits")?;
                let value = token.text.parse().ok().filter(|_| token.kind == Kind::Integer);
                let value: i128 = value.ok_or("an integer")?;
                if value < lowest || value > highest {
                    return Err("an integer in the range of the type");
                }
                self.put(value as u128, elem_type.bits().unwrap_or(8));
            }
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

fn number<T: std::str::FromStr>(token: &Token<'_>) -> Option<T> {
    match token.kind {
        Kind::Name | Kind::Integer | Kind::Float => token.text.parse().ok(),
        _ => None,
    }
}

/// The smallest and the largest number of an integer type or of the bits of a small float.
fn range(elem_type: ElemType) -> Option<(i128, i128)> {
    let bits = elem_type.bits()?;
    match elem_type {
        ElemType::BOOL => Some((0, 1)),
        _ if is_signed(elem_type) => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ if bits <= 64 && !elem_type.is_float() => Some((0, (1 << bits) - 1)),
        _ => None,
    }
}

fn is_signed(elem_type: ElemType) -> bool {
    matches!(
        elem_type,
        ElemType::INT8
            | ElemType::INT16
            | ElemType::INT32
            | ElemType::INT64
            | ElemType::INT4
            | ElemType::INT2
    )
}

/// How many numbers stand for one element.
pub(super) fn numbers_per_element(elem_type: ElemType) -> u64 {
    if matches!(elem_type, ElemType::COMPLEX64 | ElemType::COMPLEX128) { 2 } else { 1 }
}

/// The elements of `tensor` as they are written.
pub(super) fn elements(tensor: &Tensor) -> Vec<String> {
    if let Some(strings) = tensor.strings() {
        return strings.iter().map(|text| spell::string(text)).collect();
    }
    let Some(bytes) = tensor.bytes() else { return Vec::new() };
    let single = |value: f32| spell::element(value.into(), &format!("{value:?}"));
    let double = |value: f64| spell::element(value, &format!("{value:?}"));
    match tensor.elem_type() {
        ElemType::FLOAT => tensor.to_vec().unwrap_or_default().into_iter().map(single).collect(),
        ElemType::DOUBLE => tensor.to_vec().unwrap_or_default().into_iter().map(double).collect(),
        ElemType::FLOAT16 | ElemType::BFLOAT16 => {
            tensor.to_f32().unwrap_or_default().into_iter().map(spell::float).collect()
        }
        ElemType::COMPLEX64 => {
            let words = bytes.as_chunks::<4>().0;
            words.iter().map(|&word| single(f32::from_le_bytes(word))).collect()
        }
        ElemType::COMPLEX128 => {
            let words = bytes.as_chunks::<8>().0;
            words.iter().map(|&word| double(f64::from_le_bytes(word))).collect()
        }
        elem_type => {
            let bits = elem_type.bits().unwrap_or(8);
            (0..tensor.len() as u64).map(|index| integer(bytes, index, bits, elem_type)).collect()
        }
    }
}

/// Element `index` of integers of `bits` bits.
fn integer(bytes: &[u8], index: u64, bits: u64, elem_type: ElemType) -> String {
    let first = (index * bits / 8) as usize;
    let width = bits.div_ceil(8).min(8) as usize;
    let mut word = [0; 8];
    for (to, &from) in word.iter_mut().zip(bytes.iter().skip(first).take(width)) {
        *to = from;
    }
    let unused = 64 - bits.min(64);
    let shifted = (u64::from_le_bytes(word) >> (index * bits % 8)) << unused;
    if is_signed(elem_type) {
        return ((shifted as i64) >> unused).to_string();
    }
    (shifted >> unused).to_string()
}
