//! Cholesky factorization, in `f64`, and what it solves.
//!
//! G = L · Lᵀ, L lower triangular. Δ · G = C, row by row of Δ and C, is then two triangular systems.
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Columns eliminated together, and rows solved for together.
const BLOCK: usize = 64;

/// L of a positive definite matrix; above the diagonal there is anything.
pub(crate) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// The factor of a symmetric matrix, of which the lower triangle is read; none when the matrix is not
    /// positive definite.
    pub(crate) fn new(mut matrix: Array2<f64>) -> Option<Self> {
        let size = matrix.nrows();
        for start in (0..size).step_by(BLOCK) {
            let end = size.min(start + BLOCK);
            factor_block(&mut matrix, start, end)?;
            let diagonal = matrix.slice(s![start..end, start..end]).to_owned();
            for mut row in matrix.slice_mut(s![end.., start..end]).rows_mut() {
                forward(&diagonal.view(), &mut row);
            }
            let panel = matrix.slice(s![end.., start..end]).to_owned();
            // Rows below in strips: of a strip only what is not above the diagonal is read later.
            let mut rest = matrix.slice_mut(s![end.., end..]);
            let mut strips: Vec<_> = rest.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
            strips.par_iter_mut().enumerate().for_each(|(index, strip)| {
                let (from, to) = (index * BLOCK, index * BLOCK + strip.nrows());
                let (left, right) = (panel.slice(s![from..to, ..]), panel.slice(s![..to, ..]));
                let mut own = strip.slice_mut(s![.., ..to]);
                general_mat_mul(-1.0, &left, &right.t(), 1.0, &mut own);
            });
        }
        Some(Self(matrix))
    }

    /// Replaces every row c by the δ with δ · G = c.
    pub(crate) fn solve_rows(&self, rows: &mut Array2<f64>) {
        self.for_strips(rows, |strip| {
            self.forward(strip);
            self.backward(strip);
        });
    }

    /// C L⁻ᵀ, whose row y is the solution of L · y = c for the row c.
    pub(crate) fn forward_rows(&self, mut rows: Array2<f64>) -> Array2<f64> {
        self.for_strips(&mut rows, |strip| self.forward(strip));
        rows
    }

    /// L; above the diagonal there is anything.
    pub(crate) fn lower(&self) -> &Array2<f64> {
        &self.0
    }

    /// L⁻ᵀ, upper triangular: row i is the x with L · x = eᵢ.
    pub(crate) fn inverse_transposed(&self) -> Array2<f64> {
        self.forward_rows(Array2::eye(self.0.nrows()))
    }

    /// G⁻¹.
    pub(crate) fn inverse(&self) -> Array2<f64> {
        let mut inverse = Array2::eye(self.0.nrows());
        self.solve_rows(&mut inverse);
        inverse
    }

    /// Works on rows in strips, for each of which the factor is read once.
    fn for_strips(
        &self,
        rows: &mut Array2<f64>,
        work: impl Fn(&mut ArrayViewMut2<'_, f64>) + Send + Sync,
    ) {
        let mut strips: Vec<_> = rows.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
        strips.par_iter_mut().for_each(work);
    }

    /// Replaces every row b by the y with L · y = b.
    fn forward(&self, rows: &mut ArrayViewMut2<'_, f64>) {
        let size = self.0.nrows();
        let zeros =
            |row: ArrayView1<'_, f64>| row.iter().take_while(|number| **number == 0.0).count();
        let first = rows.rows().into_iter().map(zeros).min().unwrap_or(size);
        for start in (first / BLOCK * BLOCK..size).step_by(BLOCK) {
            let end = size.min(start + BLOCK);
            let (known, mut own) = rows.multi_slice_mut((s![.., ..start], s![.., start..end]));
            let left = self.0.slice(s![start..end, ..start]);
            general_mat_mul(-1.0, &known, &left.t(), 1.0, &mut own);
            let diagonal = self.0.slice(s![start..end, start..end]);
            own.rows_mut().into_iter().for_each(|mut row| forward(&diagonal, &mut row));
        }
    }

    /// Replaces every row y by the x with Lᵀ · x = y.
    fn backward(&self, rows: &mut ArrayViewMut2<'_, f64>) {
        let size = self.0.nrows();
        for start in (0..size).step_by(BLOCK).rev() {
            let end = size.min(start + BLOCK);
            let (mut own, known) = rows.multi_slice_mut((s![.., start..end], s![.., end..]));
            let below = self.0.slice(s![end.., start..end]);
            general_mat_mul(-1.0, &known, &below, 1.0, &mut own);
            let diagonal = self.0.slice(s![start..end, start..end]);
            own.rows_mut().into_iter().for_each(|mut row| backward(&diagonal, &mut row));
        }
    }
}

/// Factors the block on the diagonal from `start` to `end`.
fn factor_block(matrix: &mut Array2<f64>, start: usize, end: usize) -> Option<()> {
    for row in start..end {
        for column in start..=row {
            let known =
                matrix.slice(s![row, start..column]).dot(&matrix.slice(s![column, start..column]));
            let rest = matrix[(row, column)] - known;
            if column < row {
                matrix[(row, column)] = rest / matrix[(column, column)];
            } else if rest.is_finite() && rest > 0.0 {
                matrix[(row, row)] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(())
}

/// y with L · y = b, in place.
fn forward(lower: &ArrayView2<'_, f64>, row: &mut ArrayViewMut1<'_, f64>) {
    let first = row.iter().position(|&number| number != 0.0).unwrap_or(row.len());
    for index in first..row.len() {
        let known = lower.slice(s![index, first..index]).dot(&row.slice(s![first..index]));
        row[index] = (row[index] - known) / lower[(index, index)];
    }
}

/// x with Lᵀ · x = y, in place.
fn backward(lower: &ArrayView2<'_, f64>, row: &mut ArrayViewMut1<'_, f64>) {
    for index in (0..row.len()).rev() {
        let number = row[index] / lower[(index, index)];
        row[index] = number;
        row.slice_mut(s![..index]).scaled_add(-number, &lower.slice(s![index, ..index]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// XᵀX + I for a matrix X of made-up numbers.
    fn positive(size: usize) -> Array2<f64> {
        let number = |(row, column): (usize, usize)| ((row * 37 + column * 101) % 23) as f64 / 11.0;
        let numbers = Array2::from_shape_fn((size + 3, size), number);
        numbers.t().dot(&numbers) + Array2::<f64>::eye(size)
    }

    #[test]
    fn two_unknowns_are_solved_by_hand() {
        // 4a + b = 1, a + 3b = 2: a = 1/11, b = 7/11.
        let factor = Cholesky::new(array![[4.0, 1.0], [1.0, 3.0]]).expect("positive definite");
        let mut rows = array![[1.0, 2.0]];
        factor.solve_rows(&mut rows);
        assert!((rows[(0, 0)] - 1.0 / 11.0).abs() < 1e-15);
        assert!((rows[(0, 1)] - 7.0 / 11.0).abs() < 1e-15);
    }

    #[test]
    fn blocks_of_any_number_are_eliminated() {
        for size in [1, BLOCK, 2 * BLOCK + 7] {
            let matrix = positive(size);
            let factor = Cholesky::new(matrix.clone()).expect("positive definite");
            let unit = factor.inverse().dot(&matrix) - Array2::<f64>::eye(size);
            assert!(unit.iter().all(|error| error.abs() < 1e-8), "{size}");
        }
    }

    #[test]
    fn the_factor_and_its_inverse_are_triangular() {
        let matrix = positive(BLOCK + 9);
        let factor = Cholesky::new(matrix.clone()).expect("positive definite");
        let below = |(row, column): (usize, usize)| match column <= row {
            true => factor.lower()[(row, column)],
            false => 0.0,
        };
        let lower = Array2::from_shape_fn(matrix.dim(), below);
        let inverse = factor.inverse_transposed();
        let product = lower.dot(&lower.t()) - &matrix;
        let unit = lower.t().dot(&inverse) - Array2::<f64>::eye(matrix.nrows());
        assert!(product.iter().all(|error| error.abs() < 1e-8));
        assert!(unit.iter().all(|error| error.abs() < 1e-8));
        let above = |(row, column): (usize, usize)| row <= column || inverse[(row, column)] == 0.0;
        assert!(ndarray::indices(matrix.dim()).into_iter().all(above));
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::new(array![[1.0, 2.0], [2.0, 1.0]]).is_none());
        assert!(Cholesky::new(array![[f64::NAN]]).is_none());
    }
}
