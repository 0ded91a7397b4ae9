//! Factors as the weights of nodes.
use super::site::{Form, Site, single};
use lapidary_ir::Tensor;
use ndarray::{Array2, Array3, ArrayView2, Axis, s};

/// The weights of the nodes a product becomes, in their order.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    pub(super) tensors: Vec<Tensor>,
    /// Ŵ: the matrix the rounded factors stand for, K × N.
    pub(super) product: Array2<f64>,
}

impl Factors {
    /// Of W ≈ first · second, (K × r) and (r × N).
    pub(super) fn of_matrix(site: &Site, first: &Array2<f64>, second: &Array2<f64>) -> Self {
        let (first, second) = (single(first.view()), single(second.view()));
        let product = double(&first).dot(&double(&second));
        let (rank, outputs) = second.dim();
        let tensors = match site.form {
            Form::Right => vec![tensor(first.view()), tensor(second.view())],
            Form::RightTransposed => vec![tensor(first.view()), tensor(second.t())],
            // W · x ≈ secondᵀ · (firstᵀ · x).
            Form::Left => vec![tensor(first.t()), tensor(second.t())],
            Form::Conv => {
                let mut before = dims(&site.dims);
                before[0] = rank as i64;
                let behind = pointwise(site, outputs, rank);
                vec![shaped(first.t(), &before), shaped(second.t(), &behind)]
            }
        };
        Self { tensors, product }
    }

    /// Of the rows ((c, i), r) and columns (r, (n, j)) of a kernel of two axes.
    pub(super) fn of_axes(site: &Site, first: &Array2<f64>, second: &Array2<f64>) -> Self {
        let (first, second) = (single(first.view()), single(second.view()));
        let (channels, height, width) = (site.dims[1], site.dims[2], site.dims[3]);
        let (rank, outputs) = (first.ncols(), site.outputs());
        let whole = double(&first).dot(&double(&second));
        let product = Array2::from_shape_fn((site.inputs(), outputs), |(k, n)| {
            let (c, i, j) = (k / (height * width), k / width % height, k % width);
            whole[(c * height + i, n * width + j)]
        });
        let behind =
            Array3::from_shape_fn((outputs, rank, width), |(n, r, j)| second[(r, n * width + j)]);
        let numbers: Vec<f32> = behind.iter().copied().collect();
        let before = [rank, channels, height, 1].map(|dim| dim as i64);
        let behind = [outputs, rank, 1, width].map(|dim| dim as i64);
        let tensors = vec![shaped(first.t(), &before), Tensor::new(&behind, &numbers)];
        Self { tensors, product }
    }

    /// Of U (C × a), S (b × a × taps) and V (N × b).
    pub(super) fn of_tucker(
        site: &Site,
        before: &Array2<f64>,
        core: &Array3<f64>,
        behind: &Array2<f64>,
    ) -> Self {
        let (before, behind) = (single(before.view()), single(behind.view()));
        let core = core.mapv(|number| number as f32);
        let (results, inputs, taps) = core.dim();
        let (channels, outputs) = (before.nrows(), behind.nrows());
        let mut product = Array2::zeros((site.inputs(), outputs));
        for tap in 0..taps {
            let slice = core.slice(s![.., .., tap]).mapv(f64::from);
            let weights = double(&before).dot(&slice.t()).dot(&double(&behind).t());
            for (channel, row) in weights.axis_iter(Axis(0)).enumerate() {
                product.row_mut(channel * taps + tap).assign(&row);
            }
        }
        let mut kernel = dims(&site.dims);
        (kernel[0], kernel[1]) = (results as i64, inputs as i64);
        let numbers: Vec<f32> = core.iter().copied().collect();
        let tensors = vec![
            shaped(before.t(), &pointwise(site, inputs, channels)),
            Tensor::new(&kernel, &numbers),
            shaped(behind.view(), &pointwise(site, outputs, results)),
        ];
        Self { tensors, product }
    }
}

/// The dimensions of a pointwise kernel.
fn pointwise(site: &Site, outputs: usize, inputs: usize) -> Vec<i64> {
    let mut dims = vec![1; site.dims.len()];
    (dims[0], dims[1]) = (outputs as i64, inputs as i64);
    dims
}

fn dims(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&dim| dim as i64).collect()
}

fn double(matrix: &Array2<f32>) -> Array2<f64> {
    matrix.mapv(f64::from)
}

fn tensor(matrix: ArrayView2<'_, f32>) -> Tensor {
    shaped(matrix, &[matrix.nrows() as i64, matrix.ncols() as i64])
}

fn shaped(matrix: ArrayView2<'_, f32>, dims: &[i64]) -> Tensor {
    let numbers: Vec<f32> = matrix.iter().copied().collect();
    Tensor::new(dims, &numbers)
}
