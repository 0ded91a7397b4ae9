//! Sums over the rows a product multiplies.
use crate::linear_algebra::gram::{add_gram, second_moment};
use ndarray::{Array1, Array2, ArrayView2, s};

/// Rows multiplied at once.
const BLOCK: usize = 256;

/// First and second moments of what the groups of a product multiply, in the order of windows.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// How many rows there are.
    pub(super) rows: usize,
    size: usize,
    /// Σ x, group by group.
    sum: Vec<f64>,
    /// Σ x², group by group.
    squares: Vec<f64>,
    /// Σ x xᵀ of every group, if it is wanted; only the lower triangles count.
    gram: Option<Vec<Array2<f64>>>,
}

impl Moments {
    /// Nothing yet, of `groups` of `size` numbers.
    pub(super) fn new(groups: usize, size: usize, products: bool) -> Self {
        let zeros = || vec![0.0; groups * size];
        let gram = || (0..groups).map(|_| Array2::zeros((size, size))).collect();
        Self { rows: 0, size, sum: zeros(), squares: zeros(), gram: products.then(gram) }
    }

    /// Adds rows, the groups' numbers side by side. Sums of floating-point numbers: the order of calls matters.
    pub(super) fn add(&mut self, rows: ArrayView2<'_, f32>) {
        self.rows += rows.nrows();
        for row in rows.rows() {
            for ((sum, square), &number) in self.sum.iter_mut().zip(&mut self.squares).zip(row) {
                let number = f64::from(number);
                *sum += number;
                *square += number * number;
            }
        }
        let Some(gram) = &mut self.gram else { return };
        let size = self.size;
        for start in (0..rows.nrows()).step_by(BLOCK) {
            let block = rows.slice(s![start..rows.nrows().min(start + BLOCK), ..]);
            for (group, gram) in gram.iter_mut().enumerate() {
                add_gram(gram, block.slice(s![.., group * size..(group + 1) * size]));
            }
        }
    }

    /// Σ x² of a number of a group.
    pub(super) fn square(&self, group: usize, at: usize) -> f64 {
        self.squares[group * self.size + at]
    }

    /// E\[x\] of a number of a group.
    pub(super) fn mean(&self, group: usize, at: usize) -> f64 {
        self.sum[group * self.size + at] / self.rows.max(1) as f64
    }

    /// E\[x xᵀ\] of every group, less E\[x\] E\[x\]ᵀ where a bias makes up for the mean; none if products were not summed.
    pub(super) fn hessians(&self, centred: bool) -> Option<Vec<Array2<f64>>> {
        let rows = self.rows.max(1) as f64;
        let means = Array1::from_vec(self.sum.clone()) / rows;
        let hessian = |(group, gram): (usize, &Array2<f64>)| {
            let mean = means.slice(s![group * self.size..(group + 1) * self.size]);
            second_moment(gram, rows, centred.then_some(mean))
        };
        Some(self.gram.as_ref()?.iter().enumerate().map(hessian).collect())
    }

    /// Whether all sums are numbers.
    pub(super) fn is_finite(&self) -> bool {
        self.sum.iter().chain(&self.squares).all(|sum| sum.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        let number = |(row, column): (usize, usize)| ((row * 31 + column * 17) % 19) as f32;
        let rows = Array2::from_shape_fn((300, 6), number);
        let mut moments = Moments::new(2, 3, true);
        moments.add(rows.slice(s![..290, ..]));
        moments.add(rows.slice(s![290.., ..]));
        let second = rows.slice(s![.., 3..]).mapv(f64::from);
        let plain = second.t().dot(&second) / 300.0;
        let mean = second.mean_axis(ndarray::Axis(0)).expect("there are rows");
        let found = moments.hessians(false).expect("products are summed");
        assert!((&found[1] - &plain).iter().all(|error| error.abs() < 1e-9));
        let centred = moments.hessians(true).expect("products are summed");
        assert!((centred[1][(0, 2)] - plain[(0, 2)] + mean[0] * mean[2]).abs() < 1e-9);
        assert!((moments.square(1, 2) - 300.0 * plain[(2, 2)]).abs() < 1e-6);
        assert!((moments.mean(1, 0) - mean[0]).abs() < 1e-12);
        assert_eq!((moments.rows, moments.is_finite()), (300, true));
        assert!(Moments::new(1, 1, false).hessians(false).is_none());
    }
}
