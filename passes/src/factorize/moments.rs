//! First and second moments of what sites multiply.
use super::rows::gather;
use super::site::{Site, Split, single};
use super::spectrum::Spectrum;
use crate::linear_algebra::gram::{add_gram, second_moment};
use crate::samples::batches::Batches;
use lapidary_exec::ExecError;
use lapidary_ir::Model;
use ndarray::{Array1, Array2, ArrayView2};

/// What is added to the variances, relative to their mean: just so much that a Cholesky decomposition exists.
const RIDGE: f64 = 1e-7;

/// The same for fewer rows than numbers in a row, which say nothing about most directions.
const FEW_ROWS_RIDGE: f64 = 1e-2;

/// Sums over rows x that a site multiplies.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) rows: usize,
    /// Σ x.
    sum: Array1<f64>,
    /// Σ y yᵀ of y = Wᵀ x if there are at most as many results as inputs, else Σ x xᵀ. Only the matrix split uses it,
    /// and of it the lower triangle counts.
    square: Option<Array2<f64>>,
}

impl Moments {
    fn new(site: &Site) -> Self {
        let size = site.inputs().min(site.outputs());
        let square = (site.split == Split::Matrix).then(|| Array2::zeros((size, size)));
        Self { rows: 0, sum: Array1::zeros(site.inputs()), square }
    }

    fn show(&mut self, weights: &Array2<f32>, rows: ArrayView2<'_, f32>) {
        self.rows += rows.nrows();
        for row in rows.rows() {
            self.sum.zip_mut_with(&row, |sum, &number| *sum += f64::from(number));
        }
        let Some(square) = &mut self.square else { return };
        match Spectrum::of_outputs(weights.nrows(), weights.ncols()) {
            true => add_gram(square, rows.dot(weights).view()),
            false => add_gram(square, rows),
        }
    }

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.sum += &other.sum;
        if let (Some(sum), Some(other)) = (&mut self.square, &other.square) {
            *sum += other;
        }
    }

    /// E\[x\].
    pub(super) fn mean(&self) -> Array1<f64> {
        &self.sum / self.rows.max(1) as f64
    }

    /// The second moment that [`Spectrum::whitened`] takes, about the mean if the mean of what is lost is made up for,
    /// with its ridge. None if no rows were seen.
    pub(super) fn second(&self, site: &Site, centered: bool) -> Option<(Array2<f64>, f64)> {
        let square = self.square.as_ref().filter(|_| self.rows > 0)?;
        let mut mean = self.mean();
        if Spectrum::of_outputs(site.inputs(), site.outputs()) {
            mean = site.matrix().t().dot(&mean);
        }
        let moment = second_moment(square, self.rows as f64, centered.then_some(mean.view()));
        let few = self.rows < site.inputs();
        Some((moment, if few { FEW_ROWS_RIDGE } else { RIDGE }))
    }
}

/// The moments of all sites.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn moments(
    model: &Model,
    samples: &Batches<'_>,
    sites: &[Site],
) -> Result<Vec<Moments>, ExecError> {
    let weights: Vec<Array2<f32>> = sites.iter().map(|site| single(site.matrix().view())).collect();
    let mut sums: Vec<Moments> = sites.iter().map(Moments::new).collect();
    let bytes = sums.iter().filter_map(|sum| sum.square.as_ref()).map(|s| 8 * s.len()).sum();
    gather(
        model,
        samples,
        sites,
        |index| Moments::new(&sites[index]),
        bytes,
        |index, moments, rows| moments.show(&weights[index], rows),
        |index, moments| sums[index].add(&moments),
    )?;
    Ok(sums)
}
