//! The order in which channels go, each judged with the others making up for it.
//!
//! Optimal Brain Surgeon (Hassibi and Stork 1993) for the columns S of a channel in the weights W of a product,
//! H = E\[x xᵀ\] + λ I and C Cᵀ = (H⁻¹)_SS:
//!
//! loss(S) = tr(G), G = C⁻¹ (WᵀW)_SS C⁻ᵀ
//!
//! W ← W − W_S C⁻ᵀ lᵀ, H⁻¹ ← H⁻¹ − l lᵀ, l = (H⁻¹)_:S C⁻ᵀ
//!
//! WᵀW ← WᵀW − l yᵀ − y lᵀ, y = (WᵀW)_:S C⁻ᵀ − ½ l G
//!
//! As in a Cholesky factorization with pivots, what goes is moved to the front, where its columns are replaced by l and y;
//! the others stay as they were at the start, and what l and y take from them is computed for those that go next alone.
//!
//! A channel that several products read costs the sum over them of loss / E‖W x‖².
use super::moments::regularized;
use crate::linear_algebra::cholesky::Cholesky;
use ndarray::{Array2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Rows that are computed together.
const ROWS: usize = 64;

/// A product that channels are taken out of.
pub(super) struct Elimination {
    /// H⁻¹ at the start, with l in the columns of what is gone.
    inverse: Array2<f64>,
    /// WᵀW at the start, with y in the columns of what is gone.
    products: Array2<f64>,
    /// 1 / E‖W x‖².
    scale: f64,
    /// Columns that are gone, the first ones.
    gone: usize,
    /// Which column of the weights stands at a place.
    columns: Vec<usize>,
    /// Where a column of the weights stands.
    places: Vec<usize>,
    channels: Vec<Channel>,
}

/// The columns of a channel; none of one that the product does not read.
struct Channel {
    columns: Vec<usize>,
    /// (H⁻¹)_SS as it is now.
    inverse: Array2<f64>,
    /// (WᵀW)_SS as it is now.
    products: Array2<f64>,
}

impl Channel {
    /// C and G.
    fn factor(&self) -> Option<(Cholesky, Array2<f64>)> {
        let factor = Cholesky::new(self.inverse.clone())?;
        let half = factor.forward_rows(self.products.clone());
        let whole = factor.forward_rows(half.reversed_axes());
        Some((factor, whole))
    }
}

impl Elimination {
    /// None when the moments do not allow it.
    pub(super) fn new(
        weights: &Array2<f64>,
        gram: Array2<f64>,
        columns: Vec<Vec<usize>>,
    ) -> Option<Self> {
        let (scale, gram) = regularized(weights, gram)?;
        let inverse = Cholesky::new(gram)?.inverse();
        let products = weights.t().dot(weights);
        let channel = |columns: Vec<usize>| {
            let own =
                |matrix: &Array2<f64>| matrix.select(Axis(0), &columns).select(Axis(1), &columns);
            Channel { inverse: own(&inverse), products: own(&products), columns }
        };
        let channels = columns.into_iter().map(channel).collect();
        let numbers: Vec<usize> = (0..weights.ncols()).collect();
        let (columns, places) = (numbers.clone(), numbers);
        Some(Self { inverse, products, scale, gone: 0, columns, places, channels })
    }

    /// What is lost when a channel goes, in parts of E‖W x‖².
    fn loss(&self, channel: usize) -> f64 {
        let own = &self.channels[channel];
        match own.factor() {
            _ if own.columns.is_empty() => 0.0,
            Some((_, products)) => products.diag().sum() * self.scale,
            None => f64::INFINITY,
        }
    }

    /// Takes a channel out.
    fn remove(&mut self, channel: usize) {
        let columns = std::mem::take(&mut self.channels[channel].columns);
        if columns.is_empty() {
            return;
        }
        for (index, &column) in columns.iter().enumerate() {
            self.swap(self.gone + index, self.places[column]);
        }
        let (start, end) = (self.gone, self.gone + columns.len());
        let factor = self.channels[channel].factor();
        let rows = |matrix: &Array2<f64>| matrix.slice(s![start..end, ..start]).to_owned();
        let own = Own { factor, inverse: rows(&self.inverse), products: rows(&self.products) };
        let mut inverse = self.inverse.slice_mut(s![end.., ..end]);
        let mut products = self.products.slice_mut(s![end.., ..end]);
        let inverse = inverse.axis_chunks_iter_mut(Axis(0), ROWS);
        let mut strips: Vec<_> =
            inverse.zip(products.axis_chunks_iter_mut(Axis(0), ROWS)).collect();
        strips.par_iter_mut().for_each(|(inverse, products)| own.take(inverse, products));
        self.gone = end;
        let (inverse, products, places) = (&self.inverse, &self.products, &self.places);
        for other in self.channels.iter_mut().filter(|other| !other.columns.is_empty()) {
            let rows = |matrix: &Array2<f64>| {
                let rows: Vec<usize> = other.columns.iter().map(|&column| places[column]).collect();
                matrix.slice(s![.., start..end]).select(Axis(0), &rows)
            };
            let (taken, crossed) = (rows(inverse), rows(products));
            let cross = taken.dot(&crossed.t());
            other.inverse -= &taken.dot(&taken.t());
            other.products -= &(&cross + &cross.t());
        }
    }

    /// Exchanges what stands at two places, neither of which is gone.
    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        for matrix in [&mut self.inverse, &mut self.products] {
            let (low, high) = (a.min(b), a.max(b));
            let (mut above, mut below) = matrix.view_mut().split_at(Axis(0), high);
            let (mut one, mut other) = (above.row_mut(low), below.row_mut(0));
            one.iter_mut().zip(&mut other).for_each(|(one, other)| std::mem::swap(one, other));
            let mut left = matrix.slice_mut(s![self.gone.., ..]);
            left.rows_mut().into_iter().for_each(|mut row| row.swap(a, b));
        }
        self.columns.swap(a, b);
        self.places[self.columns[a]] = a;
        self.places[self.columns[b]] = b;
    }
}

/// What goes: C and G, and its rows of all l and y before it.
struct Own {
    factor: Option<(Cholesky, Array2<f64>)>,
    inverse: Array2<f64>,
    products: Array2<f64>,
}

impl Own {
    /// Computes l and y in the last columns of rows that stay. What has no C takes nothing along.
    fn take(&self, inverse: &mut ArrayViewMut2<'_, f64>, products: &mut ArrayViewMut2<'_, f64>) {
        let known = self.inverse.ncols();
        let (before, mut taken) = inverse.view_mut().split_at(Axis(1), known);
        let (crossed_before, mut crossed) = products.view_mut().split_at(Axis(1), known);
        let Some((factor, own)) = &self.factor else {
            taken.fill(0.0);
            crossed.fill(0.0);
            return;
        };
        for row in 0..taken.nrows() {
            let (l, y) = (before.row(row), crossed_before.row(row));
            for column in 0..taken.ncols() {
                let (own_l, own_y) = (self.inverse.row(column), self.products.row(column));
                taken[(row, column)] -= l.dot(&own_l);
                crossed[(row, column)] -= l.dot(&own_y) + y.dot(&own_l);
            }
        }
        let l = factor.forward_rows(taken.to_owned());
        let y = factor.forward_rows(crossed.to_owned()) - 0.5 * l.dot(own);
        taken.assign(&l);
        crossed.assign(&y);
    }
}

/// Steps that go one after another, least loss first: for every step the channel it takes.
pub(super) fn order(readers: &mut [Elimination], channels: &[usize]) -> Vec<usize> {
    let mut left = channels.to_vec();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let losses: Vec<f64> = left
            .par_iter()
            .map(|&channel| readers.iter().map(|reader| reader.loss(channel)).sum())
            .collect();
        let least = (1..losses.len()).fold(0, |best, index| {
            if losses[index].total_cmp(&losses[best]).is_lt() { index } else { best }
        });
        let channel = left.remove(least);
        order.push(channel);
        readers.par_iter_mut().for_each(|reader| reader.remove(channel));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::reader::testing::{gram, least_loss, weights};
    use super::*;

    fn reader(columns: Vec<Vec<usize>>) -> Elimination {
        Elimination::new(&weights(), gram(), columns).expect("positive definite")
    }

    fn singles() -> Vec<Vec<usize>> {
        (0..4).map(|column| vec![column]).collect()
    }

    #[test]
    fn losses_are_those_of_all_least_squares() {
        let mut gone: Vec<usize> = Vec::new();
        let mut reader = reader(singles());
        for next in [2, 0, 3] {
            for channel in (0..4).filter(|channel| !gone.contains(channel)) {
                let all: Vec<usize> = gone.iter().copied().chain([channel]).collect();
                let loss = least_loss(&all) - least_loss(&gone);
                assert!((reader.loss(channel) / reader.scale - loss).abs() < 1e-9, "{all:?}");
            }
            reader.remove(next);
            gone.push(next);
        }
    }

    #[test]
    fn the_order_is_that_of_trying_everything() {
        let order = order(&mut [reader(singles())], &[0, 1, 2, 3]);
        let mut gone: Vec<usize> = Vec::new();
        for &found in &order {
            let left = (0..4).filter(|channel| !gone.contains(channel));
            let with = |channel: usize| {
                let all: Vec<usize> = gone.iter().copied().chain([channel]).collect();
                least_loss(&all)
            };
            let best = left.min_by(|&a, &b| with(a).total_cmp(&with(b))).expect("some are left");
            assert_eq!(found, best);
            gone.push(best);
        }
    }

    #[test]
    fn a_channel_may_be_several_columns_of_several_products() {
        let two = || vec![vec![0, 3], vec![1], vec![2]];
        let mut readers = [reader(two()), reader(two())];
        let scale = readers[0].scale;
        assert!((readers[0].loss(0) / scale - least_loss(&[0, 3])).abs() < 1e-9);
        readers[0].remove(1);
        let both = least_loss(&[0, 1, 3]) - least_loss(&[1]);
        assert!((readers[0].loss(0) / scale - both).abs() < 1e-9);
        readers[0].remove(0);
        let last = least_loss(&[0, 1, 2, 3]) - least_loss(&[0, 1, 3]);
        assert!((readers[0].loss(2) / scale - last).abs() < 1e-9);
        let columns = vec![vec![0, 1], vec![2, 3], Vec::new()];
        let mut readers = [reader(columns.clone()), reader(columns)];
        let first = if least_loss(&[0, 1]) < least_loss(&[2, 3]) { 0 } else { 1 };
        assert_eq!(order(&mut readers, &[0, 1, 2]), [2, first, 1 - first]);
    }

    #[test]
    fn what_can_not_be_factored_goes_last_and_takes_nothing_along() {
        let mut reader = reader(singles());
        let before = reader.loss(1);
        reader.channels[0].inverse.fill(0.0);
        assert_eq!(reader.loss(0), f64::INFINITY);
        reader.remove(0);
        assert_eq!(reader.loss(1), before);
    }
}
