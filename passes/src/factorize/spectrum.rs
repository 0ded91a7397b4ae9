//! What a matrix loses at every rank, and what it becomes.
//!
//! The singular value decomposition is taken from the eigenvectors of the smaller of A Aᵀ and Aᵀ A, as they are
//! enough to project on. Let G be the second moment of the rows x that W multiplies, I where nothing is known.
//!
//! | | eigenvectors of | Ŵ |
//! | --- | --- | --- |
//! | N ≤ K | Wᵀ G W = V Λ Vᵀ | (W V_r) (V_rᵀ) |
//! | K < N | Lᵀ W Wᵀ L = U Λ Uᵀ with G = L Lᵀ | (L⁻ᵀ U_r) (U_rᵀ Lᵀ W) |
//!
//! Both are the W of rank r with the least E‖xᵀ(W − Ŵ)‖² = Σ over i > r of λᵢ (Eckart and Young 1936; whitened: Wang
//! et al. 2024, SVD-LLM).
use nalgebra::{Cholesky, DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2, Axis, s};

/// QR steps per eigenvalue before one is given up.
const MOST_STEPS: usize = 1_000;

/// What a matrix loses at every rank, and the vectors to project on.
#[derive(Clone, Debug)]
pub(super) struct Spectrum {
    /// λ, the squares of the singular values, the largest first; none below 0.
    pub(super) energies: Vec<f64>,
    /// The eigenvectors, as columns.
    vectors: Array2<f64>,
    side: Side,
}

#[derive(Clone, Debug)]
enum Side {
    /// The eigenvectors are outputs.
    Outputs,
    /// They are inputs, whitened by L, if it is not I.
    Inputs(Option<Array2<f64>>),
}

impl Spectrum {
    /// Whether W, K × N, is projected on its outputs: whether the second moment asked for is that of xᵀ W.
    pub(super) fn of_outputs(inputs: usize, outputs: usize) -> bool {
        outputs <= inputs
    }

    /// The spectrum of W in the norm of all its numbers.
    pub(super) fn plain(matrix: ArrayView2<'_, f64>) -> Option<Self> {
        if Self::of_outputs(matrix.nrows(), matrix.ncols()) {
            let (energies, vectors) = eigen(&matrix.t().dot(&matrix))?;
            return Some(Self { energies, vectors, side: Side::Outputs });
        }
        let (energies, vectors) = eigen(&matrix.dot(&matrix.t()))?;
        Some(Self { energies, vectors, side: Side::Inputs(None) })
    }

    /// The spectrum of W in the norm of its results, given E[y yᵀ] of y = Wᵀ x where N ≤ K, else E[x xᵀ], to which
    /// `ridge` times its mean variance is added.
    pub(super) fn whitened(
        matrix: ArrayView2<'_, f64>,
        moment: &Array2<f64>,
        ridge: f64,
    ) -> Option<Self> {
        let mean = moment.diag().sum() / moment.nrows().max(1) as f64;
        if Self::of_outputs(matrix.nrows(), matrix.ncols()) {
            // The ridge of the inputs, seen at the outputs; it chooses vectors and is no energy of its own.
            let mut ridged = moment.clone();
            let gram = matrix.t().dot(&matrix);
            let scale = gram.diag().sum() / gram.nrows().max(1) as f64;
            if scale > 0.0 {
                ridged.scaled_add(ridge * mean / scale, &gram);
            }
            let (_, vectors) = eigen(&ridged)?;
            let energies = (moment.dot(&vectors) * &vectors).sum_axis(Axis(0));
            let energies = energies.iter().map(|energy| energy.max(0.0)).collect();
            return Some(Self { energies, vectors, side: Side::Outputs });
        }
        let mut moment = moment.clone();
        moment.diag_mut().mapv_inplace(|variance| variance + ridge * mean);
        let lower = Cholesky::new(to_nalgebra(&moment))?.l();
        let lower = to_ndarray(&lower);
        let product = lower.t().dot(&matrix);
        let (energies, vectors) = eigen(&product.dot(&product.t()))?;
        Some(Self { energies, vectors, side: Side::Inputs(Some(lower)) })
    }

    /// The largest rank.
    pub(super) fn full(&self) -> usize {
        self.energies.len()
    }

    /// The energy that is lost at every rank from 0 on, as a share of all.
    pub(super) fn discarded(&self) -> Vec<f64> {
        let mut lost = vec![0.0; self.full() + 1];
        for (rank, energy) in self.energies.iter().enumerate().rev() {
            lost[rank] = lost[rank + 1] + energy;
        }
        let total = lost[0];
        if total > 0.0 {
            lost.iter_mut().for_each(|lost| *lost /= total);
        }
        lost
    }

    /// The factors (K × r) and (r × N) of W. Column and row i have the same norm, so that both can be quantized
    /// alike.
    pub(super) fn factors(
        &self,
        matrix: ArrayView2<'_, f64>,
        rank: usize,
    ) -> (Array2<f64>, Array2<f64>) {
        let vectors = self.vectors.slice(s![.., ..rank]);
        let (mut first, mut second) = match &self.side {
            Side::Outputs => (matrix.dot(&vectors), vectors.t().to_owned()),
            Side::Inputs(None) => (vectors.to_owned(), vectors.t().dot(&matrix)),
            Side::Inputs(Some(lower)) => {
                let second = vectors.t().dot(&lower.t().dot(&matrix));
                (solve_transposed(lower, vectors), second)
            }
        };
        let components = first.axis_iter_mut(Axis(1)).zip(second.axis_iter_mut(Axis(0)));
        for (mut column, mut row) in components {
            let (a, b) = (column.dot(&column).sqrt(), row.dot(&row).sqrt());
            if a > 0.0 && b > 0.0 {
                let scale = (b / a).sqrt();
                column *= scale;
                row /= scale;
            }
        }
        (first, second)
    }
}

/// L⁻ᵀ B for a lower triangular L.
fn solve_transposed(lower: &Array2<f64>, right: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut solution = right.to_owned();
    for row in (0..lower.nrows()).rev() {
        let below = lower.slice(s![row + 1.., row]);
        let known = below.dot(&solution.slice(s![row + 1.., ..]));
        let mut numbers = solution.row_mut(row);
        numbers -= &known;
        numbers /= lower[(row, row)];
    }
    solution
}

/// The eigenvalues of a symmetric matrix, the largest first and none below 0, and the eigenvectors as columns, the
/// entry of the largest magnitude of each above 0. None if they are not found.
pub(super) fn eigen(matrix: &Array2<f64>) -> Option<(Vec<f64>, Array2<f64>)> {
    let size = matrix.nrows();
    if !matrix.iter().all(|number| number.is_finite()) {
        return None;
    }
    let steps = MOST_STEPS * size.max(1);
    let found = SymmetricEigen::try_new(to_nalgebra(matrix), f64::EPSILON, steps)?;
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]));
    let values = order.iter().map(|&index| found.eigenvalues[index].max(0.0)).collect();
    let mut vectors = Array2::zeros((size, size));
    for (column, &index) in order.iter().enumerate() {
        let vector = found.eigenvectors.column(index);
        let largest =
            vector.iter().fold(0.0f64, |most, &x| if x.abs() > most.abs() { x } else { most });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for (row, &number) in vector.iter().enumerate() {
            vectors[(row, column)] = sign * number;
        }
    }
    Some((values, vectors))
}

fn to_nalgebra(matrix: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |row, column| matrix[(row, column)])
}

fn to_ndarray(matrix: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn(matrix.shape(), |place| matrix[place])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn close(a: &Array2<f64>, b: &Array2<f64>) -> bool {
        a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn singular_values_of_a_known_matrix() {
        // [[3, 0], [4, 5]] has the singular values √45 and √5.
        let matrix = array![[3.0, 0.0], [4.0, 5.0]];
        let found = Spectrum::plain(matrix.view()).expect("it has a spectrum");
        assert!(
            (found.energies[0] - 45.0).abs() < 1e-12 && (found.energies[1] - 5.0).abs() < 1e-12
        );
        let discarded = found.discarded();
        assert!((discarded[1] - 0.1).abs() < 1e-12 && discarded[2] == 0.0);
        let (first, second) = found.factors(matrix.view(), 1);
        assert!(close(&first.dot(&second), &array![[1.5, 1.5], [4.5, 4.5]]));
    }

    #[test]
    fn both_shapes_are_exact_at_full_rank_and_lose_the_energy_below_it() {
        let wide = array![[1.0, 2.0, -1.0, 0.5], [0.0, 1.0, 3.0, 1.0], [2.0, 2.0, 1.0, -2.0]];
        for matrix in [wide.clone(), wide.t().to_owned()] {
            let found = Spectrum::plain(matrix.view()).expect("it has a spectrum");
            let (first, second) = found.factors(matrix.view(), 3);
            assert!(close(&first.dot(&second), &matrix));
            let (first, second) = found.factors(matrix.view(), 2);
            let lost: f64 = (&matrix - &first.dot(&second)).iter().map(|x| x * x).sum();
            assert!((lost - found.energies[2]).abs() < 1e-9);
            let column = first.column(0);
            assert!((column.dot(&column) - second.row(0).dot(&second.row(0))).abs() < 1e-9);
        }
    }

    #[test]
    fn whitened_factors_lose_the_energy_at_the_results() {
        let rows = array![
            [1.0, 2.0, 0.0],
            [0.5, -1.0, 1.0],
            [3.0, 0.0, -1.0],
            [0.0, 1.0, 4.0],
            [-2.0, 1.0, 1.0]
        ];
        let moment = rows.t().dot(&rows) / 5.0;
        let wide = array![[1.0, 2.0, -1.0, 0.5], [0.0, 1.0, 3.0, 1.0], [2.0, 2.0, 1.0, -2.0]];
        let narrow = array![[1.0, 2.0], [0.0, 1.0], [2.0, -2.0]];
        for matrix in [wide, narrow] {
            let outputs = Spectrum::of_outputs(matrix.nrows(), matrix.ncols());
            let given = if outputs { matrix.t().dot(&moment).dot(&matrix) } else { moment.clone() };
            let found = Spectrum::whitened(matrix.view(), &given, 0.0).expect("it is definite");
            for rank in 1..=found.full() {
                let (first, second) = found.factors(matrix.view(), rank);
                let error = rows.dot(&(&matrix - &first.dot(&second)));
                let lost = error.iter().map(|x| x * x).sum::<f64>() / 5.0;
                let expected: f64 = found.energies[rank..].iter().sum();
                assert!((lost - expected).abs() < 1e-9, "rank {rank}: {lost}, not {expected}");
            }
        }
    }

    #[test]
    fn the_sign_of_a_vector_is_that_of_its_largest_entry() {
        let matrix = array![[-4.0, -4.0], [-4.0, -4.0], [0.0, 0.0]];
        let found = Spectrum::plain(matrix.view()).expect("it has a spectrum");
        let (first, second) = found.factors(matrix.view(), 1);
        assert!(second.iter().all(|&number| number > 0.0) && first[(0, 0)] < 0.0);
    }

    #[test]
    fn numbers_that_are_not_finite_have_no_spectrum() {
        assert!(Spectrum::plain(array![[f64::NAN]].view()).is_none());
    }
}
