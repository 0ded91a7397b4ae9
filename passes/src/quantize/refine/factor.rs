//! The factor with which the error of one weight is made up for by those that come after it.
use crate::linear_algebra::cholesky::Cholesky;
use ndarray::Array2;

/// How far each weight has to move to make up for the errors of the weights before it, in an order of its own.
///
/// For H = R · Rᵀ with R upper triangular in that order, an error d = w − q costs
///
/// dᵀ H d = Σᵢ (Σ_{j≤i} R_{ji} d_j)²,
///
/// which is least over dᵢ at dᵢ = −Σ_{j<i} R_{ji}/R_{ii} · d_j. Rounding one weight after another to the number
/// nearest to that is GPTQ (Frantar et al. 2022), also known as Babai's nearest plane.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    /// The weights in their order.
    pub(super) order: Vec<usize>,
    /// Row i holds R_{ji}/R_{ii} for j < i; rows one behind another, i numbers each.
    ratios: Vec<f32>,
}

impl Factor {
    /// The factor of a symmetric matrix of `size` rows, in the order of its diagonal, largest first. None when
    /// the matrix is not positive definite.
    pub(super) fn new(matrix: &[f32], size: usize) -> Option<Self> {
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| {
            matrix[b * size + b].total_cmp(&matrix[a * size + a]).then(a.cmp(&b))
        });
        let opposite = |index: usize| order[size - 1 - index];
        let entry = |(row, column)| f64::from(matrix[opposite(row) * size + opposite(column)]);
        let factor = Cholesky::new(Array2::from_shape_fn((size, size), entry))?;
        let lower = factor.lower();
        let mut ratios = Vec::with_capacity(size * size.saturating_sub(1) / 2);
        for column in 0..size {
            let diagonal = lower[(size - 1 - column, size - 1 - column)];
            let ratio = |row: usize| (lower[(size - 1 - row, size - 1 - column)] / diagonal) as f32;
            ratios.extend((0..column).map(ratio));
        }
        Some(Self { order, ratios })
    }

    /// Row `index`.
    pub(super) fn ratios(&self, index: usize) -> &[f32] {
        &self.ratios[index * index.saturating_sub(1) / 2..][..index]
    }
}

/// Σ a·b, in eight sums so that it is done eight at a time.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = blocks_a.remainder().iter().zip(blocks_b.remainder());
    let rest = rest.fold(0.0, |sum, (&a, &b)| sum + a * b);
    for (a, b) in blocks_a.zip(blocks_b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.into_iter().fold(rest, |sum, part| sum + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_weight_makes_up_for_the_first() {
        let factor = Factor::new(&[4.0, 1.0, 1.0, 2.0], 2).expect("it is positive definite");
        assert_eq!(factor.order, [0, 1]);
        assert_eq!((factor.ratios(0), factor.ratios(1)), (&[][..], &[0.5f32][..]));
    }

    #[test]
    fn the_order_is_that_of_the_diagonal() {
        let matrix = [1.0, 0.5, 0.0, 0.5, 3.0, 1.0, 0.0, 1.0, 2.0];
        let factor = Factor::new(&matrix, 3).expect("it is positive definite");
        assert_eq!(factor.order, [1, 2, 0]);
        assert_eq!(factor.ratios(2), [0.5, 0.0]);
        // The second makes up for the first given that the third will: 1/2 of what it would alone, plus …
        let remaining = [[3.0 - 0.25, 1.0], [1.0, 2.0]];
        assert!((f64::from(factor.ratios(1)[0]) - remaining[0][1] / remaining[1][1]).abs() < 1e-6);
    }

    #[test]
    fn an_indefinite_matrix_has_none() {
        assert!(Factor::new(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Factor::new(&[f32::NAN], 1).is_none());
    }

    #[test]
    fn a_dot_product_takes_every_number_once() {
        let a: Vec<f32> = (0..19u8).map(f32::from).collect();
        assert_eq!(dot(&a, &a), 2109.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }
}
