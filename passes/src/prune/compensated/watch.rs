//! Runs parts of a model on samples and takes rows of what products multiply and give.
use super::front::Front;
use crate::prune::products::{Form, Product};
use crate::samples::batches::Batches;
use crate::samples::sampling::positions;
use lapidary_exec::{ExecError, Inputs, Observation};
use lapidary_ir::{Graph, Model, ValueId};
use ndarray::Array2;
use std::ops::Range;

/// Rows of a product over all samples, per number in a row; and at least and at most.
const ROWS_PER_NUMBER: usize = 48;
const LEAST_ROWS: usize = 8_192;
const MOST_ROWS: usize = 70_000;

/// Rows of a product of `size` numbers that are looked at in every one of `batches`.
pub(super) fn quota(size: usize, batches: usize) -> usize {
    (ROWS_PER_NUMBER * size).clamp(LEAST_ROWS, MOST_ROWS).div_ceil(batches.max(1))
}

/// Shows values of a model for some batches: from several threads, a state of its own for every batch. What
/// none of the values needs is not computed.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn watch<T: Send>(
    model: &Model,
    samples: &Batches<'_>,
    spans: &[(usize, Range<usize>)],
    values: &[ValueId],
    show: impl Fn(&mut T, usize, &Observation<'_>) + Sync,
    start: impl Fn() -> T + Sync,
) -> Result<Vec<T>, ExecError> {
    Front::new(&model.graph, vec![values.to_vec()], samples, spans).next(model, show, start)
}

/// The inputs a part of the model asks for.
pub(super) fn needed(graph: &Graph, mut inputs: Inputs) -> Inputs {
    let names: Vec<&str> = graph.required_inputs().map(|id| graph.value(id).name()).collect();
    inputs.retain(|name, _| names.contains(&name.as_str()));
    inputs
}

/// The windows of a product at some positions of its output, a row for each.
pub(super) fn windows(
    graph: &Graph,
    product: &Product,
    shown: &Observation<'_>,
    quota: usize,
    batch: usize,
) -> Option<Array2<f32>> {
    let windows = product.windows(graph, shown.dims)?;
    let chosen = positions(windows.positions(), quota, batch as u64);
    let mut rows = Array2::zeros((chosen.len(), windows.width()));
    for (&position, mut row) in chosen.iter().zip(rows.rows_mut()) {
        windows.read(shown.data, position, row.as_slice_mut()?, |number| number);
    }
    Some(rows)
}

/// The results of a product at the same positions, those of some channels.
pub(super) fn results(
    form: Form,
    channels: &[usize],
    shown: &Observation<'_>,
    quota: usize,
    batch: usize,
) -> Option<Array2<f32>> {
    let (width, area) = match form {
        Form::Conv => (*shown.dims.get(1)?, shown.dims.get(2..)?.iter().product::<usize>()),
        Form::Rows | Form::Columns => (*shown.dims.last()?, 1),
    };
    let count = shown.data.len().checked_div(width)?;
    let chosen = positions(count, quota, batch as u64);
    let number = |(row, index): (usize, usize)| {
        let (sample, place) = (chosen[row] / area, chosen[row] % area);
        shown.data[(sample * width + channels[index]) * area + place]
    };
    Some(Array2::from_shape_fn((chosen.len(), channels.len()), number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;
    use lapidary_ir::Tensor;
    use std::collections::BTreeMap;

    #[test]
    fn results_are_what_windows_give() {
        let model = model(
            "g (float[N,1,3,3] x) => (float[N,2,1,1] z)
            <float[2,1,2,2] w = {1, 2, 3, 4, -1, 0, 0, 1}, float[2] b = {0.5, 0}>
            {
                y = Conv(x, w, b)
                z = GlobalAveragePool(y)
            }",
        );
        let numbers: Vec<f32> = (0..27u8).map(f32::from).collect();
        let inputs = BTreeMap::from([("x".to_owned(), Tensor::new(&[3, 1, 3, 3], &numbers))]);
        let samples = Batches::new(&model.graph, &inputs).expect("there are samples");
        let graph = &model.graph;
        let product = Product::of(graph).remove(0);
        let spans: Vec<_> = samples.spans().enumerate().collect();
        let show = |pair: &mut [Option<Array2<f32>>; 2], batch: usize, shown: &Observation<'_>| {
            match shown.name {
                "x" => pair[0] = windows(graph, &product, shown, 5, batch),
                _ => pair[1] = results(Form::Conv, &[1, 0], shown, 5, batch),
            }
        };
        let values = [product.input, product.output];
        let shown = watch(&model, &samples, &spans, &values, show, || [None, None]);
        for pair in shown.expect("the model runs") {
            let [Some(x), Some(y)] = pair else { panic!("both are shown") };
            let weights = product.rows(graph).expect("they are constant").mapv(|w| w as f32);
            let expected = x.dot(&weights.t());
            assert_eq!(y.nrows(), 5);
            for row in 0..5 {
                assert_eq!(y[(row, 0)], expected[(row, 1)]);
                assert_eq!(y[(row, 1)], expected[(row, 0)] + 0.5);
            }
        }
    }
}
