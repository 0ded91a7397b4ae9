//! First and second moments of the numbers a product multiplies.
use crate::linear_algebra::gram::{add_gram, second_moment};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// What is added to the diagonal of a Gram matrix, in parts of its mean: a pull towards the weights as they are.
const RIDGE: f64 = 1e-3;

/// Sums over rows x of K numbers.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    rows: f64,
    sum: Array1<f64>,
    /// Σ x xᵀ; only its lower triangle counts.
    gram: Array2<f64>,
}

impl Moments {
    /// Nothing yet, of rows of `size` numbers.
    pub(super) fn new(size: usize) -> Self {
        Self { rows: 0.0, sum: Array1::zeros(size), gram: Array2::zeros((size, size)) }
    }

    /// Adds rows. Sums of floating-point numbers: the order of calls matters.
    pub(super) fn add(&mut self, rows: ArrayView2<'_, f32>) {
        self.rows += rows.nrows() as f64;
        self.sum += &rows.mapv(f64::from).sum_axis(Axis(0));
        add_gram(&mut self.gram, rows);
    }

    /// E\[x\].
    pub(super) fn mean(&self) -> Array1<f64> {
        &self.sum / self.rows.max(1.0)
    }

    /// E\[x xᵀ\] − E\[x\] E\[x\]ᵀ where a bias makes up for the mean, else E\[x xᵀ\]; symmetric.
    pub(super) fn gram(&self, centred: bool) -> Array2<f64> {
        let mean = centred.then(|| self.mean());
        second_moment(&self.gram, self.rows, mean.as_ref().map(|mean| mean.view()))
    }
}

/// λ = 10⁻³ · mean of the diagonal; a little above 0 if that is 0.
pub(super) fn ridge(gram: &Array2<f64>) -> f64 {
    let mean = gram.diag().sum() / gram.nrows().max(1) as f64;
    (RIDGE * mean).max(1e-12)
}

/// 1 / E‖W x‖² and H = E\[x xᵀ\] + λ I of what weights multiply; none where nothing comes out.
pub(super) fn regularized(
    weights: &Array2<f64>,
    mut gram: Array2<f64>,
) -> Option<(f64, Array2<f64>)> {
    let energy = (weights.dot(&gram) * weights).sum();
    let ridge = ridge(&gram);
    gram.diag_mut().mapv_inplace(|number| number + ridge);
    (energy > 0.0).then(|| (1.0 / energy, gram))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    #[test]
    fn moments_are_those_of_the_definition() {
        let number = |(row, column): (usize, usize)| ((row * 31 + column * 17) % 19) as f32;
        let rows = Array2::from_shape_fn((40, 150), number);
        let mut moments = Moments::new(150);
        moments.add(rows.slice(s![..25, ..]));
        moments.add(rows.slice(s![25.., ..]));
        let exact = rows.mapv(f64::from);
        let mean = exact.mean_axis(Axis(0)).expect("there are rows");
        let centred = &exact - &mean;
        let (gram, plain) = (centred.t().dot(&centred) / 40.0, exact.t().dot(&exact) / 40.0);
        assert!((moments.mean() - mean).iter().all(|error| error.abs() < 1e-12));
        assert!((moments.gram(true) - gram).iter().all(|error| error.abs() < 1e-9));
        assert!((moments.gram(false) - plain).iter().all(|error| error.abs() < 1e-9));
    }

    #[test]
    fn the_ridge_is_a_thousandth_of_the_diagonal() {
        let gram = ndarray::array![[2.0, 9.0], [9.0, 4.0]];
        assert!((ridge(&gram) - 0.003).abs() < 1e-15);
        assert!(ridge(&Array2::zeros((2, 2))) > 0.0);
    }
}
