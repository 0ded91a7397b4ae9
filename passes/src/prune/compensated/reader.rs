//! A product that channels go from and come back to, its weights always those that make up best for what is gone.
//!
//! Optimal Brain Surgeon (Hassibi and Stork 1993) for the columns S of a channel in the weights W of a product,
//! H = E\[x xᵀ\] + λ I:
//!
//! loss(S) = tr(W_S ((H⁻¹)_SS)⁻¹ W_Sᵀ)
//!
//! W ← W − W_S ((H⁻¹)_SS)⁻¹ (H⁻¹)_S:, H⁻¹ ← H⁻¹ − (H⁻¹)_:S ((H⁻¹)_SS)⁻¹ (H⁻¹)_S:
use crate::linear_algebra::cholesky::Cholesky;
use ndarray::{Array2, Axis, s};

/// A product that reads the channels.
pub(super) struct Reader {
    weights: Array2<f64>,
    inverse: Array2<f64>,
    /// 1 / E‖W x‖².
    scale: f64,
    /// The columns of every channel, by number; none of channels it does not read.
    columns: Vec<Vec<usize>>,
}

impl Reader {
    /// Of the columns that are left the weights, H⁻¹, and the columns of every channel; with 1 / E‖W x‖² of all.
    pub(super) fn new(
        weights: Array2<f64>,
        inverse: Array2<f64>,
        columns: Vec<Vec<usize>>,
        scale: f64,
    ) -> Self {
        Self { weights, inverse, scale, columns }
    }

    /// 1 / E‖W x‖².
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    /// The weights and the inverse matrix of the columns that are left.
    pub(super) fn state(&self) -> (&Array2<f64>, &Array2<f64>) {
        (&self.weights, &self.inverse)
    }

    /// ((H⁻¹)_SS)⁻¹.
    fn block(&self, columns: &[usize]) -> Option<Cholesky> {
        let entry = |(row, column)| self.inverse[(columns[row], columns[column])];
        Cholesky::new(Array2::from_shape_fn((columns.len(), columns.len()), entry))
    }

    /// What is lost when a channel goes, in parts of E‖W x‖².
    pub(super) fn loss(&self, channel: usize) -> f64 {
        let columns = &self.columns[channel];
        if columns.is_empty() {
            return 0.0;
        }
        let Some(block) = self.block(columns) else { return f64::INFINITY };
        let weights = self.weights.select(Axis(1), columns);
        let mut solved = weights.clone();
        block.solve_rows(&mut solved);
        (&solved * &weights).sum() * self.scale
    }

    /// Takes a channel out of the weights and the matrix.
    pub(super) fn remove(&mut self, channel: usize) {
        let columns = std::mem::take(&mut self.columns[channel]);
        if columns.is_empty() {
            return;
        }
        let size = self.inverse.nrows();
        let stay: Vec<usize> = (0..size).filter(|index| !columns.contains(index)).collect();
        let mut new = vec![usize::MAX; size];
        stay.iter().enumerate().for_each(|(to, &from)| new[from] = to);
        if let Some(block) = self.block(&columns) {
            let rows = self.inverse.select(Axis(0), &columns);
            let solve = |matrix: &Array2<f64>| {
                let mut solved = matrix.select(Axis(1), &columns);
                block.solve_rows(&mut solved);
                solved
            };
            let (weights, inverse) = (solve(&self.weights), solve(&self.inverse));
            self.weights -= &weights.dot(&rows);
            self.inverse -= &inverse.dot(&rows);
        }
        self.weights = self.weights.select(Axis(1), &stay);
        self.inverse = compact(&self.inverse, &stay);
        for column in self.columns.iter_mut().flatten() {
            *column = new[*column];
        }
    }
}

fn compact(matrix: &Array2<f64>, stay: &[usize]) -> Array2<f64> {
    let mut smaller = Array2::zeros((stay.len(), stay.len()));
    for (mut row, &from) in smaller.rows_mut().into_iter().zip(stay) {
        let whole = matrix.slice(s![from, ..]);
        row.iter_mut().zip(stay).for_each(|(number, &column)| *number = whole[column]);
    }
    smaller
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::moments::ridge;
    use super::*;
    use ndarray::array;

    pub(in super::super) fn gram() -> Array2<f64> {
        array![
            [4.0, 1.0, 0.5, 0.0],
            [1.0, 3.0, 1.5, 0.2],
            [0.5, 1.5, 2.0, 0.9],
            [0.0, 0.2, 0.9, 1.0],
        ]
    }

    pub(in super::super) fn weights() -> Array2<f64> {
        array![[1.0, -0.5, 0.8, 0.3], [0.2, 0.7, -0.4, 0.9]]
    }

    /// min over W′ with zero columns `gone` of tr((W − W′) H (W − W′)ᵀ), H with the ridge, from the normal
    /// equations of the columns that stay.
    pub(in super::super) fn least_loss(gone: &[usize]) -> f64 {
        let mut matrix = gram();
        let ridge = ridge(&matrix);
        matrix.diag_mut().mapv_inplace(|number| number + ridge);
        let stay: Vec<usize> = (0..4).filter(|index| !gone.contains(index)).collect();
        let weights = weights();
        let lost = weights.select(Axis(1), gone);
        let cross = matrix.select(Axis(0), gone).select(Axis(1), &stay);
        let mut change = lost.dot(&cross);
        Cholesky::new(compact(&matrix, &stay)).expect("positive definite").solve_rows(&mut change);
        let mut error = Array2::<f64>::zeros(weights.dim());
        for (index, &column) in gone.iter().enumerate() {
            error.column_mut(column).assign(&lost.column(index));
        }
        for (index, &column) in stay.iter().enumerate() {
            error.column_mut(column).assign(&-&change.column(index));
        }
        (error.dot(&matrix) * &error).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::regularized;
    use super::testing::{gram, least_loss, weights};
    use super::*;

    fn reader(columns: Vec<Vec<usize>>) -> Reader {
        let (scale, gram) = regularized(&weights(), gram()).expect("something comes out");
        let inverse = Cholesky::new(gram).expect("positive definite").inverse();
        Reader::new(weights(), inverse, columns, scale)
    }

    #[test]
    fn losses_are_those_of_all_least_squares() {
        let mut reader = reader((0..4).map(|column| vec![column]).collect());
        let scale = reader.scale;
        for channel in 0..4 {
            assert!((reader.loss(channel) / scale - least_loss(&[channel])).abs() < 1e-9);
        }
        reader.remove(1);
        for channel in [0, 2, 3] {
            let both = least_loss(&[1, channel]) - least_loss(&[1]);
            assert!((reader.loss(channel) / scale - both).abs() < 1e-9, "{channel}");
        }
    }
}
