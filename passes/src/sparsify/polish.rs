//! Weights that stay make up for those that went, whatever their order.
use super::hessian::{Hessian, add};
use super::layout::Layout;
use rayon::prelude::*;

/// How often every weight is reconsidered.
const SWEEPS: usize = 10;

/// Steps smaller than this part of the largest weight of a row are not worth another sweep.
const LEAST_STEP: f64 = 1e-5;

/// Coordinate descent on (w₀ − w)ᵀ H (w₀ − w) over the weights that stay: with g = H (w₀ − w), the best number in the place
/// of w_j is w_j + g_j / H_jj. No step makes the sum larger; all together lead to the least squares of the weights that stay.
pub(super) fn polish(
    matrix: &mut [f64],
    original: &[f64],
    keep: &[bool],
    layout: &Layout,
    hessians: &[Hessian],
) {
    let size = layout.size();
    let rows = matrix.par_chunks_exact_mut(size).enumerate();
    rows.for_each(|(row, weights)| {
        let part = row * size..(row + 1) * size;
        let hessian = &hessians[layout.group(row)].matrix;
        let (original, keep) = (&original[part.clone()], &keep[part]);
        let kept: Vec<usize> = (0..size).filter(|&column| keep[column]).collect();
        if kept.len() == size {
            return;
        }
        let mut gradient = vec![0.0; size];
        let move_by = |gradient: &mut [f64], column: usize, step: f64| {
            add(gradient, step, hessian.row(column));
        };
        for column in 0..size {
            let error = original[column] - weights[column];
            if error != 0.0 {
                move_by(&mut gradient, column, error);
            }
        }
        let largest = original.iter().fold(0.0f64, |most, weight| most.max(weight.abs()));
        for _ in 0..SWEEPS {
            let mut longest = 0.0f64;
            for &column in &kept {
                let step = gradient[column] / hessian[(column, column)];
                weights[column] += step;
                move_by(&mut gradient, column, -step);
                longest = longest.max(step.abs());
            }
            if longest <= LEAST_STEP * largest {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::hessian::testing::hessian;
    use super::super::layout::Order;
    use super::*;

    #[test]
    fn it_is_the_closed_form_for_one_weight_anywhere() {
        let hessian = Hessian::new(hessian(4), 20).expect("it is positive definite");
        let inverse = hessian.factor.t().dot(&hessian.factor);
        let original = [0.5, -1.0, 2.0, 0.25];
        let keep = [true, true, false, true];
        let mut matrix = vec![0.5, -1.0, 0.0, 0.25];
        let layout = Layout { rows: 1, channels: 4, taps: 1, groups: 1, order: Order::Rows };
        let hessians = [hessian];
        for _ in 0..20 {
            polish(&mut matrix, &original, &keep, &layout, &hessians);
        }
        for column in 0..4 {
            let step = original[2] / inverse[(2, 2)] * inverse[(2, column)];
            assert!((matrix[column] - (original[column] - step)).abs() < 1e-4, "{matrix:?}");
        }
        assert_eq!(matrix[2], 0.0);
    }
}
