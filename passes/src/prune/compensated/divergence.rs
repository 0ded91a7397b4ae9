//! How far outputs are from those of the original.
//!
//! For scores of classes, E KL(softmax(y) ‖ softmax(y′)), for probabilities E KL(y ‖ y′); for other outputs
//! Σ (y − y′)² / Σ y².
use lapidary_exec::Outputs;
use lapidary_ir::Tensor;

/// Sums over batches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Divergence {
    /// Σ KL, and the rows it is over.
    kl: (f64, f64),
    /// Σ (y − y′)² and Σ y².
    squares: (f64, f64),
}

impl Divergence {
    /// Adds the outputs of one batch.
    pub(super) fn add(&mut self, expected: &Outputs, found: &Outputs) {
        for ((_, expected), (_, found)) in expected.iter().zip(found) {
            let (Some(a), Some(b)) = (expected.to_f32(), found.to_f32()) else { continue };
            match classes(expected) {
                Some(classes) => {
                    let rows = a.chunks_exact(classes).zip(b.chunks_exact(classes));
                    self.kl.0 += rows.map(|(a, b)| relative_entropy(a, b)).sum::<f64>();
                    self.kl.1 += (a.len() / classes) as f64;
                }
                None => {
                    for (a, b) in a.iter().zip(&b) {
                        let (a, b) = (f64::from(*a), f64::from(*b));
                        self.squares.0 += (a - b) * (a - b);
                        self.squares.1 += a * a;
                    }
                }
            }
        }
    }

    /// Adds what another one summed up.
    pub(super) fn merge(&mut self, other: &Self) {
        self.kl = (self.kl.0 + other.kl.0, self.kl.1 + other.kl.1);
        self.squares = (self.squares.0 + other.squares.0, self.squares.1 + other.squares.1);
    }

    /// The mean relative entropy plus the relative squared error; infinite if it is no number.
    pub(super) fn value(&self) -> f64 {
        let part = |(sum, over): (f64, f64)| if over > 0.0 { sum / over } else { 0.0 };
        let value = part(self.kl) + part(self.squares);
        if value.is_finite() { value } else { f64::INFINITY }
    }
}

/// The number of classes, of outputs that look like scores: a row per sample.
fn classes(output: &Tensor) -> Option<usize> {
    match *output.dims() {
        [_, classes] if classes > 1 => Some(classes as usize),
        _ => None,
    }
}

/// KL(p ‖ q) = Σ p (ln p − ln q) for p = softmax(a), q = softmax(b); for p = a, q = b if these are probabilities.
fn relative_entropy(a: &[f32], b: &[f32]) -> f64 {
    let logarithms = if is_probability(a) { log } else { log_softmax };
    let (a, b) = (logarithms(a), logarithms(b));
    a.iter().zip(&b).map(|(a, b)| a.exp() * (a - b)).sum()
}

/// Whether numbers are none below 0 and sum up to 1.
fn is_probability(row: &[f32]) -> bool {
    row.iter().all(|&number| number >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3
}

/// ln p, of p that are not 0.
fn log(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&number| f64::from(number).max(1e-9).ln()).collect()
}

fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = scores.iter().map(|score| f64::from(score - largest));
    let sum: f64 = shifted.clone().map(f64::exp).sum();
    shifted.map(|score| score - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(dims: &[i64], numbers: &[f32]) -> Outputs {
        vec![("y".to_owned(), Tensor::new(dims, numbers))]
    }

    #[test]
    fn scores_are_compared_as_probabilities() {
        let mut divergence = Divergence::default();
        let (third, half) = (3.0f32.ln(), 0.0);
        divergence.add(
            &outputs(&[2, 2], &[third, 0.0, 1.0, 2.0]),
            &outputs(&[2, 2], &[half, 0.0, 6.0, 7.0]),
        );
        // p = (3/4, 1/4), q = (1/2, 1/2); the other row is the same up to a constant.
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((divergence.value() - expected / 2.0).abs() < 1e-6);
    }

    #[test]
    fn probabilities_are_compared_as_they_are() {
        let mut divergence = Divergence::default();
        divergence.add(&outputs(&[1, 2], &[0.75, 0.25]), &outputs(&[1, 2], &[0.5, 0.5]));
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((divergence.value() - expected).abs() < 1e-6);
    }

    #[test]
    fn other_outputs_have_a_relative_error() {
        let mut divergence = Divergence::default();
        let mut second = Divergence::default();
        divergence.add(&outputs(&[1, 1, 2], &[1.0, 2.0]), &outputs(&[1, 1, 2], &[1.0, 1.0]));
        second.add(&outputs(&[1, 1, 2], &[2.0, 1.0]), &outputs(&[1, 1, 2], &[2.0, 1.0]));
        divergence.merge(&second);
        assert_eq!(divergence.value(), 0.1);
        divergence.add(&outputs(&[1, 1, 1], &[1.0]), &outputs(&[1, 1, 1], &[f32::NAN]));
        assert_eq!(divergence.value(), f64::INFINITY);
    }
}
