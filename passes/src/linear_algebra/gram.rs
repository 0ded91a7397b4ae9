//! Sums of the products of the numbers in a row.
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, s};

/// Columns multiplied at once.
const PANEL: usize = 128;

/// Adds Σ x xᵀ over `rows` to the lower triangle of `gram`; above the diagonal anything is added.
///
/// The products of these rows are summed in `f32`, so that there should be no more than a few thousand.
pub(crate) fn add_gram(gram: &mut Array2<f64>, rows: ArrayView2<'_, f32>) {
    let size = rows.ncols();
    for start in (0..size).step_by(PANEL) {
        let end = size.min(start + PANEL);
        let (left, right) = (rows.slice(s![.., start..end]), rows.slice(s![.., ..end]));
        let mut product = Array2::zeros((end - start, end));
        general_mat_mul(1.0, &left.t(), &right, 0.0, &mut product);
        let mut panel = gram.slice_mut(s![start..end, ..end]);
        panel.zip_mut_with(&product, |sum, &number: &f32| *sum += f64::from(number));
    }
}

/// E\[x xᵀ\] of the sums over so many rows in the lower triangle of `gram`, about the mean E\[x\] if one is given:
/// E\[x xᵀ\] − E\[x\] E\[x\]ᵀ; symmetric.
pub(crate) fn second_moment(
    gram: &Array2<f64>,
    rows: f64,
    mean: Option<ArrayView1<'_, f64>>,
) -> Array2<f64> {
    let mut moment = gram / rows.max(1.0);
    for row in 0..moment.nrows() {
        for column in 0..=row {
            if let Some(mean) = mean {
                moment[(row, column)] -= mean[row] * mean[column];
            }
            moment[(column, row)] = moment[(row, column)];
        }
    }
    moment
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Axis;

    #[test]
    fn moments_of_several_panels_are_those_of_the_definition() {
        let size = 2 * PANEL + 9;
        let number = |(row, column): (usize, usize)| ((row * 31 + column * 17) % 19) as f32;
        let rows = Array2::from_shape_fn((40, size), number);
        let mut gram = Array2::zeros((size, size));
        add_gram(&mut gram, rows.slice(s![..25, ..]));
        add_gram(&mut gram, rows.slice(s![25.., ..]));
        let exact = rows.mapv(f64::from);
        let mean = exact.mean_axis(Axis(0)).expect("there are rows");
        let centred = &exact - &mean;
        let about_mean = second_moment(&gram, 40.0, Some(mean.view()));
        let about_zero = second_moment(&gram, 40.0, None);
        let same = |found: Array2<f64>, wanted: Array2<f64>| {
            (found - wanted / 40.0).iter().all(|error| error.abs() < 1e-9)
        };
        assert!(same(about_mean, centred.t().dot(&centred)));
        assert!(same(about_zero, exact.t().dot(&exact)));
    }

    #[test]
    fn of_no_rows_there_is_nothing() {
        assert_eq!(second_moment(&Array2::zeros((2, 2)), 0.0, None), Array2::<f64>::zeros((2, 2)));
    }
}
