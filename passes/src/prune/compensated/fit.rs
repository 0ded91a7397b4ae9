//! Weights with which a product gives what it should.
//!
//! With rows x of inputs and t of targets, both without their mean where there is a bias, the step from W is
//!
//! Δ = E\[(t − W x) xᵀ\] (E\[x xᵀ\] + λ I)⁻¹, b = E\[t\] − (W + Δ) E\[x\]:
//!
//! least squares, pulled towards W. What an activation cuts off may be anything beyond its limits, so a target at
//! or beyond one is replaced by what is given, as far as that is beyond it too: t ≤ l by min(W x + b, l), t ≥ h by
//! max(W x + b, h). Each solution then majorizes the error behind the activation, and is solved for again.
use super::moments::ridge;
use crate::linear_algebra::cholesky::Cholesky;
use crate::linear_algebra::gram::add_gram;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Solutions when there is an activation.
const ITERATIONS: usize = 4;

/// Rows multiplied at once.
const BLOCK: usize = 4_096;

/// A product to be fitted: weights by output, and biases.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) weights: Array2<f64>,
    pub(super) offsets: Array1<f64>,
    /// Whether there is a bias.
    pub(super) centred: bool,
    /// Results at or beyond these are cut off.
    pub(super) limits: Option<(f32, f32)>,
}

impl Fit {
    /// Fits `weights` and `offsets` to give `targets` for `inputs`, row by row. False when nothing could be solved;
    /// then nothing changes.
    pub(super) fn solve(&mut self, mut inputs: Array2<f32>, targets: ArrayView2<'_, f32>) -> bool {
        let count = inputs.nrows() as f64;
        if count == 0.0 || targets.nrows() != inputs.nrows() {
            return false;
        }
        let mut mean = Array1::zeros(inputs.ncols());
        if self.centred {
            mean = column_sums(inputs.view()) / count;
            let shift = mean.mapv(|number| number as f32);
            inputs -= &shift;
        }
        let mut gram = gram(inputs.view()) / count;
        let ridge = ridge(&gram);
        gram.diag_mut().mapv_inplace(|number| number + ridge);
        let Some(factor) = Cholesky::new(gram) else { return false };
        let mut weights = self.weights.clone();
        let mut level = &self.offsets + weights.dot(&mean);
        for _ in 0..if self.limits.is_some() { ITERATIONS } else { 1 } {
            let (mut cross, sums) = self.residuals(&inputs, targets, &weights, &level);
            cross /= count;
            factor.solve_rows(&mut cross);
            weights += &cross;
            if self.centred {
                level += &(sums / count);
            }
        }
        let offsets = &level - &weights.dot(&mean);
        if !weights.iter().chain(&offsets).all(|number| number.is_finite()) {
            return false;
        }
        (self.weights, self.offsets) = (weights, offsets);
        true
    }

    /// Σ r xᵀ and Σ r over all rows, r = t′ − W x − level.
    fn residuals(
        &self,
        inputs: &Array2<f32>,
        targets: ArrayView2<'_, f32>,
        weights: &Array2<f64>,
        level: &Array1<f64>,
    ) -> (Array2<f64>, Array1<f64>) {
        let (low, high) = self.limits.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        let matrix = weights.mapv(|number| number as f32);
        let level = level.mapv(|number| number as f32);
        let part = |start: usize| {
            let end = inputs.nrows().min(start + BLOCK);
            let rows = inputs.slice(s![start..end, ..]);
            let mut residuals = rows.dot(&matrix.t()) + &level;
            residuals.zip_mut_with(&targets.slice(s![start..end, ..]), |given, &target| {
                let wanted = match target {
                    _ if target <= low => given.min(low),
                    _ if target >= high => given.max(high),
                    _ => target,
                };
                *given = wanted - *given;
            });
            (residuals.t().dot(&rows).mapv(f64::from), column_sums(residuals.view()))
        };
        let starts: Vec<usize> = (0..inputs.nrows()).step_by(BLOCK).collect();
        let parts: Vec<_> = starts.into_par_iter().map(part).collect();
        let mut cross = Array2::zeros(weights.dim());
        let mut sums = Array1::zeros(weights.nrows());
        for (product, sum) in parts {
            cross += &product;
            sums += &sum;
        }
        (cross, sums)
    }
}

fn column_sums(rows: ArrayView2<'_, f32>) -> Array1<f64> {
    let mut sums = Array1::<f64>::zeros(rows.ncols());
    for row in rows.axis_iter(Axis(0)) {
        sums.zip_mut_with(&row, |sum, &number| *sum += f64::from(number));
    }
    sums
}

/// Σ x xᵀ, lower triangle, in parts of a fixed size.
fn gram(rows: ArrayView2<'_, f32>) -> Array2<f64> {
    let part = |start: usize| {
        let mut gram = Array2::zeros((rows.ncols(), rows.ncols()));
        let stop = rows.nrows().min(start + 4 * BLOCK);
        for from in (start..stop).step_by(BLOCK) {
            add_gram(&mut gram, rows.slice(s![from..stop.min(from + BLOCK), ..]));
        }
        gram
    };
    let starts: Vec<usize> = (0..rows.nrows()).step_by(4 * BLOCK).collect();
    let parts: Vec<Array2<f64>> = starts.into_par_iter().map(part).collect();
    parts.into_iter().reduce(|sum, part| sum + part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn fit(weights: Array2<f64>, limits: Option<(f32, f32)>) -> Fit {
        let offsets = Array1::zeros(weights.nrows());
        Fit { weights, offsets, centred: true, limits }
    }

    #[test]
    fn a_line_is_found_but_for_the_ridge() {
        // t = 2x + 3; x has variance 2/3, so the ridge keeps 0.001 of the way.
        let mut found = fit(array![[0.0]], None);
        let inputs = array![[1.0f32], [2.0], [3.0]];
        assert!(found.solve(inputs, array![[5.0f32], [7.0], [9.0]].view()));
        let weight = 2.0 / 1.001;
        assert!((found.weights[(0, 0)] - weight).abs() < 1e-6, "{found:?}");
        assert!((found.offsets[0] - (7.0 - 2.0 * weight)).abs() < 1e-6);
    }

    #[test]
    fn the_ridge_pulls_towards_the_weights_as_they_are() {
        let mut found = fit(array![[2.0]], None);
        let inputs = array![[1.0f32], [2.0], [3.0]];
        assert!(found.solve(inputs, array![[5.0f32], [7.0], [9.0]].view()));
        assert!((found.weights[(0, 0)] - 2.0).abs() < 1e-6);
        assert!((found.offsets[0] - 3.0).abs() < 1e-6);
    }

    #[test]
    fn what_a_relu_cuts_off_may_be_anything() {
        // relu(x) is exact for t = x above 0, while the plain line through (−2, 0), (−1, 0), (1, 1), (2, 2) is not.
        let inputs = array![[-2.0f32], [-1.0], [1.0], [2.0]];
        let targets = array![[-0.1f32], [-0.2], [1.0], [2.0]];
        let error = |fit: &Fit| {
            let given = inputs.mapv(f64::from).dot(&fit.weights.t()) + &fit.offsets;
            let pairs = given.iter().zip(&targets);
            pairs.map(|(y, &t)| (y.max(0.0) - f64::from(t).max(0.0)).powi(2)).sum::<f64>()
        };
        let (mut plain, mut aware) =
            (fit(array![[0.5]], None), fit(array![[0.5]], Some((0.0, f32::INFINITY))));
        assert!(plain.solve(inputs.clone(), targets.view()));
        assert!(aware.solve(inputs.clone(), targets.view()));
        assert!(error(&aware) < 0.5 * error(&plain), "{} {}", error(&aware), error(&plain));
    }

    #[test]
    fn many_rows_are_summed_in_parts() {
        let number = |(row, column): (usize, usize)| ((row * 37 + column * 11) % 29) as f32 / 7.0;
        let inputs = Array2::from_shape_fn((5 * BLOCK + 3, 3), number);
        let targets = inputs.dot(&array![[1.0f32], [-2.0], [0.5]]) + 1.5;
        let mut found = fit(array![[1.0, -2.0, 0.5]], None);
        found.offsets[0] = 9.0;
        assert!(found.solve(inputs, targets.view()));
        assert!((found.offsets[0] - 1.5).abs() < 1e-4);
    }
}
