//! What the factors of single sites lose, by multiplying with them.
use super::emit::Replacement;
use super::rows::gather;
use super::site::{Site, single};
use crate::samples::batches::Batches;
use lapidary_exec::ExecError;
use lapidary_ir::Model;
use ndarray::{Array1, Array2, ArrayView2};

/// What stands in for a site.
pub(super) struct Change<'a> {
    pub(super) site: &'a Site,
    /// Ŵ.
    pub(super) product: &'a Array2<f64>,
    /// What the bias takes over: (W − Ŵ)ᵀ E\[x\]; none where it stays.
    pub(super) shift: Option<&'a Array1<f64>>,
}

impl<'a> Change<'a> {
    pub(super) fn of(replacement: &'a Replacement<'_>) -> Self {
        Self {
            site: replacement.site,
            product: &replacement.factors.product,
            shift: replacement.bias.as_ref().map(|(_, shift)| shift),
        }
    }
}

struct Sums {
    rows: usize,
    error: f64,
    energy: f64,
    sum: Array1<f64>,
}

/// E‖xᵀ(W − Ŵ) − shift‖² / E‖y‖² of y = xᵀ W for every change, each for the inputs x of the original model; about the
/// mean of y where the bias makes up for means. None for what saw no rows or has results of 0.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn measure(
    model: &Model,
    samples: &Batches<'_>,
    changes: &[Change<'_>],
) -> Result<Vec<Option<f64>>, ExecError> {
    let sites: Vec<Site> = changes.iter().map(|change| change.site.clone()).collect();
    let weights: Vec<[Array2<f32>; 2]> = changes
        .iter()
        .map(|change| {
            let matrix = change.site.matrix();
            [single(matrix.view()), single((&matrix - change.product).view())]
        })
        .collect();
    let start = |index: usize| {
        let outputs: usize = sites[index].outputs();
        Sums { rows: 0, error: 0.0, energy: 0.0, sum: Array1::zeros(outputs) }
    };
    let mut sums: Vec<Sums> = (0..sites.len()).map(start).collect();
    let show = |index: usize, sums: &mut Sums, rows: ArrayView2<'_, f32>| {
        let [matrix, difference] = &weights[index];
        let (results, errors) = (rows.dot(matrix), rows.dot(difference));
        sums.rows += rows.nrows();
        for (result, error) in results.rows().into_iter().zip(errors.rows()) {
            for (column, (&y, &error)) in result.iter().zip(error).enumerate() {
                let shift = changes[index].shift.map_or(0.0, |shift| shift[column]);
                let error = f64::from(error) - shift;
                sums.error += error * error;
                sums.energy += f64::from(y) * f64::from(y);
                sums.sum[column] += f64::from(y);
            }
        }
    };
    let add = |index: usize, other: Sums| {
        let all = &mut sums[index];
        all.rows += other.rows;
        all.error += other.error;
        all.energy += other.energy;
        all.sum += &other.sum;
    };
    gather(model, samples, &sites, start, 0, show, add)?;
    let relative = |(sums, change): (&Sums, &Change<'_>)| {
        let mean = sums.sum.dot(&sums.sum) / sums.rows.max(1) as f64;
        let energy = if change.shift.is_some() { sums.energy - mean } else { sums.energy };
        (energy > 0.0).then(|| sums.error / energy)
    };
    Ok(sums.iter().zip(changes).map(relative).collect())
}
