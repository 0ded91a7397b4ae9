//! H = E\[x xᵀ\] of a product, and the factor of its inverse.
use crate::linear_algebra::cholesky::Cholesky;
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// What is added to the diagonal, in parts of its mean, where there are many rows.
const DAMPING: f64 = 0.01;

/// H of one group, columns in the order of the matrix of weights.
#[derive(Clone, Debug)]
pub(super) struct Hessian {
    /// H, damped: what an error d of a row of weights costs is dᵀ H d.
    pub(super) matrix: Array2<f64>,
    /// What was added to the diagonal.
    pub(super) damping: f64,
    /// U, upper triangular, with H⁻¹ = Uᵀ U.
    pub(super) factor: Array2<f64>,
}

impl Hessian {
    /// H + λ with λ = max(0.01, K / rows) · mean of the diagonal; none when that has no inverse.
    pub(super) fn new(mut matrix: Array2<f64>, rows: usize) -> Option<Self> {
        let size = matrix.nrows();
        let mean = matrix.diag().sum() / size.max(1) as f64;
        let share = DAMPING.max(size as f64 / rows.max(1) as f64);
        let damping = (share * mean).max(1e-12);
        matrix.diag_mut().mapv_inplace(|entry| entry + damping);
        let factor = inverse_factor(&matrix)?;
        Some(Self { matrix, damping, factor })
    }

    /// dᵀ H d without what was added to H.
    pub(super) fn cost(&self, error: &[f64]) -> f64 {
        let mut cost = 0.0;
        for (&entry, row) in error.iter().zip(self.matrix.rows()) {
            if entry != 0.0 {
                cost += entry * row.dot(&ArrayView1::from(error));
            }
        }
        let square: f64 = error.iter().map(|entry| entry * entry).sum();
        (cost - self.damping * square).max(0.0)
    }
}

/// y ← y + a x.
pub(super) fn add(numbers: &mut [f64], factor: f64, others: ArrayView1<'_, f64>) {
    ArrayViewMut1::from(numbers).scaled_add(factor, &others);
}

/// U, upper triangular, with H⁻¹ = Uᵀ U.
///
/// In the opposite order of rows and columns, P H P = L Lᵀ. Then H⁻¹ = P L⁻ᵀ L⁻¹ P, that is U = P L⁻¹ P.
fn inverse_factor(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    let size = matrix.nrows();
    let opposite = |(row, column): (usize, usize)| (size - 1 - row, size - 1 - column);
    let reversed = Array2::from_shape_fn((size, size), |at| matrix[opposite(at)]);
    let inverse = Cholesky::new(reversed)?.inverse_transposed();
    Some(Array2::from_shape_fn((size, size), |(row, column)| inverse[opposite((column, row))]))
}

#[cfg(test)]
pub(super) mod testing {
    use ndarray::Array2;

    /// E\[x xᵀ\] of made-up numbers with a common part.
    pub(in super::super) fn hessian(size: usize) -> Array2<f64> {
        let number = |(row, column): (usize, usize)| {
            let own = ((row * row * 31 + column * 17 + row * column * 7) % 23) as f64 / 11.0 - 1.0;
            own + ((row * 13) % 7) as f64 / 5.0
        };
        let rows = Array2::from_shape_fn((4 * size + 5, size), number);
        rows.t().dot(&rows) / rows.nrows() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let plain = testing::hessian(7);
        let hessian = Hessian::new(plain.clone(), 100_000).expect("it is positive definite");
        let factor = &hessian.factor;
        let unit = factor.t().dot(factor).dot(&hessian.matrix) - Array2::<f64>::eye(7);
        assert!(unit.iter().all(|error| error.abs() < 1e-9), "{unit}");
        assert!((1..7).all(|row| (0..row).all(|column| factor[(row, column)] == 0.0)));
        let added = hessian.matrix[(3, 3)] - plain[(3, 3)];
        assert!((added - 0.01 * plain.diag().sum() / 7.0).abs() < 1e-12);
        let error = [0.0, 1.0, 0.0, -2.0, 0.0, 0.0, 0.0];
        let cost = plain[(1, 1)] - 4.0 * plain[(1, 3)] + 4.0 * plain[(3, 3)];
        assert!((hessian.cost(&error) - cost).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_number_has_no_inverse() {
        assert!(Hessian::new(Array2::from_elem((1, 1), f64::NAN), 1).is_none());
        assert!(Hessian::new(Array2::zeros((2, 2)), 1).is_some());
    }
}
