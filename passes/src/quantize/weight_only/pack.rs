//! Codes of less than a byte.

/// Packs codes into bytes, the first one into the lowest bits; the last byte is filled with 0.
///
/// Negative codes are stored as two's complement of `bits` bits, as ONNX stores `int4` and `int2`.
#[must_use]
pub fn pack(codes: &[i16], bits: u32) -> Vec<u8> {
    let mask = (1i16 << bits) - 1;
    let byte = |codes: &[i16]| {
        let places = codes.iter().zip((0..8).step_by(bits as usize));
        places.fold(0u8, |byte, (&code, place)| byte | (((code & mask) as u8) << place))
    };
    codes.chunks(8 / bits as usize).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::pack;

    #[test]
    fn the_low_nibble_is_first_and_odd_counts_are_filled() {
        assert_eq!(pack(&[1, 2, 15], 4), [0x21, 0x0f]);
        assert_eq!(pack(&[-1, -8, 7], 4), [0x8f, 0x07]);
    }

    #[test]
    fn four_codes_of_two_bits_share_a_byte() {
        assert_eq!(pack(&[1, 2, 3, 0, 3], 2), [0b00_11_10_01, 0b11]);
        assert_eq!(pack(&[-2, 1, -1, 0], 2), [0b00_11_01_10]);
    }

    #[test]
    fn bytes_are_bytes() {
        assert_eq!(pack(&[-128, 127, 255], 8), [0x80, 0x7f, 0xff]);
        assert!(pack(&[], 4).is_empty());
    }
}
