//! Weights go column by column, and those behind make up for it.
//!
//! Without weight j, the least dᵀ H d over the columns from j on is w_j² / \[H⁻¹\]ⱼⱼ, with
//!
//! w ← w − w_j / \[H⁻¹\]ⱼⱼ · H⁻¹\[:, j\],
//!
//! H being the matrix of the columns from j on (Hassibi and Stork 1993, "Optimal brain surgeon"). For H⁻¹ = Uᵀ U of all columns,
//! U upper triangular, that is w ← w − w_j / Uⱼⱼ · U\[j, :\] for j = 0, 1, 2, …: the inverse of what is left needs no
//! computation (Frantar and Alistarh 2023, "SparseGPT").
use super::hessian::{Hessian, add};
use super::layout::Layout;
use super::mask::{Among, choose};
use super::pattern::Pattern;
use ndarray::s;
use rayon::prelude::*;

/// Columns whose weights are compared with each other before any of them goes.
const BLOCK: usize = 128;

/// What is decided which weights go by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice<'a> {
    /// By what they cost, this many in all.
    Removed(Pattern, usize),
    /// It is known which stay.
    Known(&'a [bool]),
}

impl Choice<'_> {
    /// Columns that are decided on at once.
    fn width(self) -> usize {
        match self {
            Self::Removed(Pattern::GroupWise { group, .. }, _) => group,
            Self::Removed(Pattern::Blocks { columns, .. }, _) => columns * (BLOCK / columns).max(1),
            Self::Removed(Pattern::Unstructured, _) | Self::Known(_) => BLOCK,
        }
    }
}

/// Sets weights of the matrix to zero and moves those behind. Returns which stay.
pub(super) fn compensate(
    matrix: &mut [f64],
    layout: &Layout,
    hessians: &[Hessian],
    choice: Choice<'_>,
) -> Vec<bool> {
    let size = layout.size();
    let mut keep = vec![true; matrix.len()];
    let mut gone = 0;
    for start in (0..size).step_by(choice.width()) {
        let end = size.min(start + choice.width());
        let part = match choice {
            Choice::Known(keep) => {
                keep.chunks_exact(size).flat_map(|row| &row[start..end]).copied().collect()
            }
            Choice::Removed(pattern, removed) => {
                // Shares of the columns so far, so that all together are exact.
                let due = (removed * end + size / 2) / size - gone;
                let scores = scores(matrix, layout, hessians, start..end);
                choose(&scores, end - start, pattern, due, Among::All)
            }
        };
        gone += part.iter().filter(|keep| !**keep).count();
        let width = end - start;
        let rows = matrix.par_chunks_exact_mut(size).zip(part.par_chunks_exact(width));
        rows.enumerate().for_each(|(row, (weights, part))| {
            let factor = &hessians[layout.group(row)].factor;
            for (column, _) in (start..end).zip(part).filter(|(_, keep)| !**keep) {
                let error = weights[column] / factor[(column, column)];
                if error != 0.0 {
                    add(&mut weights[column..], -error, factor.slice(s![column, column..]));
                }
                weights[column] = 0.0;
            }
        });
        for (keep, part) in keep.chunks_exact_mut(size).zip(part.chunks_exact(width)) {
            keep[start..end].copy_from_slice(part);
        }
    }
    keep
}

/// w² / \[H⁻¹\]ⱼⱼ of some columns, H being the matrix of the columns from j on: w² / Uⱼⱼ².
fn scores(
    matrix: &[f64],
    layout: &Layout,
    hessians: &[Hessian],
    columns: std::ops::Range<usize>,
) -> Vec<f64> {
    let rows = matrix.chunks_exact(layout.size()).enumerate();
    let score = |(row, weights): (usize, &[f64])| {
        let factor = &hessians[layout.group(row)].factor;
        let score = |column: usize| (weights[column] / factor[(column, column)]).powi(2);
        columns.clone().map(score).collect::<Vec<_>>()
    };
    rows.flat_map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::super::hessian::testing::hessian;
    use super::super::layout::Order;
    use super::*;
    use ndarray::Array2;

    fn layout(rows: usize, channels: usize, groups: usize) -> Layout {
        Layout { rows, channels, taps: 1, groups, order: Order::Rows }
    }

    fn weights(count: usize) -> Vec<f64> {
        (0..count).map(|at| ((at * at * 29 + at * 7) % 37) as f64 / 18.0 - 1.0).collect()
    }

    fn cost(hessian: &Hessian, before: &[f64], after: &[f64]) -> f64 {
        let size = hessian.matrix.nrows();
        let rows = before.chunks(size).zip(after.chunks(size));
        let error = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| a - b).collect();
        rows.map(error).map(|error: Vec<f64>| hessian.cost(&error)).sum()
    }

    #[test]
    fn one_weight_goes_as_the_closed_form_says() {
        let hessian = Hessian::new(hessian(5), 1000).expect("it is positive definite");
        let inverse = hessian.factor.t().dot(&hessian.factor);
        let before = weights(5);
        let mut after = before.clone();
        let known = [false, true, true, true, true];
        let hessians = [hessian.clone()];
        let keep = compensate(&mut after, &layout(1, 5, 1), &hessians, Choice::Known(&known));
        assert_eq!(keep, known);
        for column in 0..5 {
            let step = before[0] / inverse[(0, 0)] * inverse[(0, column)];
            assert!((after[column] - (before[column] - step)).abs() < 1e-12);
        }
        assert_eq!(after[0], 0.0);
        let error: Vec<f64> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
        let square: f64 = error.iter().map(|entry| entry * entry).sum();
        let damped = hessian.cost(&error) + hessian.damping * square;
        assert!((damped - before[0].powi(2) / inverse[(0, 0)]).abs() < 1e-9);
    }

    #[test]
    fn what_stays_makes_the_error_smaller() {
        let hessian = Hessian::new(hessian(300), 1000).expect("it is positive definite");
        let layout = layout(6, 300, 1);
        let before = weights(6 * 300);
        let hessians = [hessian.clone()];
        for pattern in [
            Pattern::Unstructured,
            Pattern::GroupWise { kept: 2, group: 4 },
            Pattern::Blocks { rows: 2, columns: 3 },
        ] {
            let mut after = before.clone();
            let keep = compensate(&mut after, &layout, &hessians, Choice::Removed(pattern, 900));
            assert_eq!(keep.iter().filter(|keep| !**keep).count(), 900, "{pattern}");
            let zeroed = |(weight, &keep): (&f64, &bool)| if keep { *weight } else { 0.0 };
            let plain: Vec<f64> = before.iter().zip(&keep).map(zeroed).collect();
            assert!(after.iter().zip(&keep).all(|(&weight, &keep)| keep || weight == 0.0));
            let (found, plain) = (cost(&hessian, &before, &after), cost(&hessian, &before, &plain));
            assert!(found < 0.7 * plain, "{pattern}: {found} and {plain}");
            let mut again = before.clone();
            compensate(&mut again, &layout, &hessians, Choice::Known(&keep));
            assert_eq!(again, after);
        }
    }

    #[test]
    fn groups_have_their_own_inputs() {
        let even = Hessian::new(Array2::eye(2), 1000).expect("it is positive definite");
        let steep = ndarray::array![[1.0, 0.0], [0.0, 100.0]];
        let steep = Hessian::new(steep, 1000).expect("it is positive definite");
        let mut matrix = vec![2.0, 1.0, 2.0, 1.0];
        let pattern = Pattern::GroupWise { kept: 1, group: 2 };
        let choice = Choice::Removed(pattern, 2);
        let keep = compensate(&mut matrix, &layout(2, 2, 2), &[even, steep], choice);
        assert_eq!(keep, [true, false, false, true]);
    }
}
