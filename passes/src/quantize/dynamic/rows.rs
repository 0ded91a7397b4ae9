//! Matrices as signed integers with one scale per row.
use crate::quantize::outcome::nmse;

/// A matrix restored as `codes[row, k] · scales[row]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    /// Row by row.
    pub(super) codes: Vec<i8>,
    /// One per row, positive and normal.
    pub(super) scales: Vec<f32>,
    /// Σ(w − ŵ)² / Σw².
    pub(super) nmse: f64,
}

/// Rounds each row to its own symmetric grid:
///
/// scale = max |w| / steps, code = round(w / scale), ties to even.
///
/// A row of zeros has scale 1. None when a number is not finite.
pub(super) fn quantize_rows(numbers: &[f32], rows: usize, steps: f32) -> Option<Rows> {
    if !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let width = numbers.len() / rows.max(1);
    let mut codes = Vec::with_capacity(numbers.len());
    let mut restored = Vec::with_capacity(numbers.len());
    let mut scales = Vec::with_capacity(rows);
    for row in 0..rows {
        let row = &numbers[row * width..(row + 1) * width];
        let most = row.iter().fold(0.0f32, |most, number| most.max(number.abs()));
        let scale = if most == 0.0 { 1.0 } else { (most / steps).max(f32::MIN_POSITIVE) };
        scales.push(scale);
        for &number in row {
            let code = (number / scale).round_ties_even().clamp(-steps, steps);
            codes.push(code as i8);
            restored.push(code * scale);
        }
    }
    let nmse = nmse(numbers, &restored);
    Some(Rows { codes, scales, nmse })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own_scale() {
        let rows = quantize_rows(&[1.27, -0.634, 2.0, -254.0], 2, 127.0).expect("they are finite");
        assert_eq!(rows.scales, [1.27f32 / 127.0, 2.0]);
        assert_eq!(rows.codes, [127, -63, 1, -127]);
    }

    #[test]
    fn seven_bits_have_half_the_steps() {
        let rows = quantize_rows(&[63.0, -31.5, 0.5], 1, 63.0).expect("they are finite");
        assert_eq!(
            (rows.codes.as_slice(), rows.scales.as_slice()),
            (&[63, -32, 0][..], &[1.0][..])
        );
        assert_eq!(rows.nmse, 0.5 / (63.0 * 63.0 + 31.5 * 31.5 + 0.25));
    }

    #[test]
    fn a_row_of_zeros_is_restored_as_zeros() {
        let rows = quantize_rows(&[0.0, 0.0, 127.0, 1.0], 2, 127.0).expect("they are finite");
        assert_eq!(rows, Rows { codes: vec![0, 0, 127, 1], scales: vec![1.0, 1.0], nmse: 0.0 });
    }

    #[test]
    fn tiny_rows_have_a_normal_scale() {
        let rows = quantize_rows(&[1e-40, -1e-41], 1, 127.0).expect("they are finite");
        assert_eq!(rows.scales, [f32::MIN_POSITIVE]);
    }

    #[test]
    fn no_code_stands_for_what_is_not_finite() {
        assert_eq!(quantize_rows(&[1.0, f32::INFINITY], 1, 127.0), None);
        assert_eq!(quantize_rows(&[f32::NAN], 1, 127.0), None);
    }
}
