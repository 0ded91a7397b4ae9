//! Exchanges a channel that goes for one that stays, as long as the readers lose less by it (OSSCAR, Meng et al. 2024).
//!
//! With H = E\[x xᵀ\] + λ I, the columns P that stay, M = (H_PP)⁻¹ and weights W′ = W H_:P M, the columns S of a
//! channel that comes back give
//!
//! gain(S) = tr(E Q Eᵀ), E = W H_:S − W′ H_PS, Q = (H_SS − H_SP M H_PS)⁻¹
//!
//! and with Z = M H_PS, M becomes ((M + Z Q Zᵀ, −Z Q), (−Q Zᵀ, Q)), W′ becomes (W′ − E Q Zᵀ, E Q). Then the channel
//! goes whose loss is least, as in [`reader`](super::reader).
use super::moments::regularized;
use super::reader::Reader;
use crate::linear_algebra::cholesky::Cholesky;
use ndarray::{Array2, Axis, concatenate, s};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

/// Exchanges at most.
const MOST: usize = 20;

/// An exchange has to lower a loss by this part of it.
const LEAST: f64 = 1e-6;

/// Channels whose gains are computed together.
const TOGETHER: usize = 64;

/// A reader that knows what went.
pub(super) struct Rereader {
    pub(super) reader: Reader,
    /// H.
    gram: Array2<f64>,
    /// W H.
    target: Array2<f64>,
    /// The columns of every channel in H.
    columns: Vec<Vec<usize>>,
    /// The columns of H that are left, in the order of the reader.
    left: Vec<usize>,
}

/// What a channel that comes back brings: E, Q and Z.
struct Return {
    error: Array2<f64>,
    inverse: Array2<f64>,
    solved: Array2<f64>,
}

impl Rereader {
    /// The reader when some channels went already. None when the moments do not allow it.
    pub(super) fn new(
        weights: Array2<f64>,
        gram: Array2<f64>,
        columns: Vec<Vec<usize>>,
        gone: &[usize],
    ) -> Option<Self> {
        let (scale, gram) = regularized(&weights, gram)?;
        let target = weights.dot(&gram);
        let lost: FxHashSet<usize> =
            gone.iter().flat_map(|&channel| columns[channel].iter().copied()).collect();
        let left: Vec<usize> = (0..gram.nrows()).filter(|column| !lost.contains(column)).collect();
        let inner = gram.select(Axis(0), &left).select(Axis(1), &left);
        let inverse = Cholesky::new(inner)?.inverse();
        let weights = target.select(Axis(1), &left).dot(&inverse);
        let reader = Reader::new(weights, inverse, places(&columns, &left), scale);
        Some(Self { reader, gram, target, columns, left })
    }

    /// What channels bring that come back, each by itself.
    fn returned(&self, channels: &[usize]) -> Vec<Option<Return>> {
        let all: Vec<usize> =
            channels.iter().flat_map(|&channel| self.columns[channel].iter().copied()).collect();
        let across = self.gram.select(Axis(0), &self.left).select(Axis(1), &all);
        let (weights, inverse) = self.reader.state();
        let solved = inverse.dot(&across);
        let error = self.target.select(Axis(1), &all) - weights.dot(&across);
        let mut start = 0;
        let of_channel = |&channel: &usize| {
            let columns = &self.columns[channel];
            let place = s![.., start..start + columns.len()];
            start += columns.len();
            let (across, solved) = (across.slice(place), solved.slice(place).to_owned());
            let own = self.gram.select(Axis(0), columns).select(Axis(1), columns);
            let inverse = Cholesky::new(own - across.t().dot(&solved))?.inverse();
            Some(Return { error: error.slice(place).to_owned(), inverse, solved })
        };
        channels.iter().map(of_channel).collect()
    }

    /// What the loss falls by when channels come back, each by itself.
    fn gains(&self, channels: &[usize]) -> Vec<f64> {
        let gain = |back: Option<Return>| {
            let Some(back) = back else { return 0.0 };
            (back.error.dot(&back.inverse) * &back.error).sum() * self.reader.scale()
        };
        self.returned(channels).into_iter().map(gain).collect()
    }

    fn restore(&mut self, channel: usize) -> Option<()> {
        if self.columns[channel].is_empty() {
            return Some(());
        }
        let back = self.returned(&[channel]).pop().flatten()?;
        let Return { error, inverse: corner, solved } = back;
        let (weights, inverse) = self.reader.state();
        let side = -solved.dot(&corner);
        let weights = concatenate(
            Axis(1),
            &[(weights + error.dot(&side.t())).view(), error.dot(&corner).view()],
        );
        let upper = concatenate(Axis(1), &[(inverse - &side.dot(&solved.t())).view(), side.view()]);
        let lower = concatenate(Axis(1), &[side.t(), corner.view()]);
        let inverse = concatenate(Axis(0), &[upper.ok()?.view(), lower.ok()?.view()]);
        self.left.extend(&self.columns[channel]);
        let places = places(&self.columns, &self.left);
        self.reader = Reader::new(weights.ok()?, inverse.ok()?, places, self.reader.scale());
        Some(())
    }

    fn remove(&mut self, channel: usize) {
        let lost = &self.columns[channel];
        self.left.retain(|column| !lost.contains(column));
        self.reader.remove(channel);
    }
}

/// The places of every channel's columns among those that are left.
fn places(columns: &[Vec<usize>], left: &[usize]) -> Vec<Vec<usize>> {
    let places: FxHashMap<usize, usize> =
        left.iter().enumerate().map(|(place, &column)| (column, place)).collect();
    let known = |columns: &Vec<usize>| {
        columns.iter().filter_map(|column| places.get(column).copied()).collect()
    };
    columns.iter().map(known).collect()
}

/// What the losses of all readers fall by when channels come back, each by itself.
fn gains(readers: &[Rereader], channels: &[usize]) -> Vec<f64> {
    let mut sums = vec![0.0; channels.len()];
    for reader in readers {
        sums.iter_mut().zip(reader.gains(channels)).for_each(|(sum, gain)| *sum += gain);
    }
    sums
}

/// The channels that go after exchanges with those that may go instead; `alike` says which may stand for each other.
pub(super) fn exchange(
    readers: &mut [Rereader],
    mut gone: Vec<usize>,
    mut staying: Vec<usize>,
    alike: impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    for _ in 0..MOST {
        let gains: Vec<f64> =
            gone.par_chunks(TOGETHER).flat_map_iter(|part| gains(readers, part)).collect();
        let Some(best) = (0..gone.len()).reduce(|best, index| {
            if gains[index].total_cmp(&gains[best]).is_gt() { index } else { best }
        }) else {
            break;
        };
        let back = gone[best];
        if readers.iter_mut().any(|reader| reader.restore(back).is_none()) {
            break;
        }
        let loss = |&channel: &usize| -> f64 {
            readers.iter().map(|reader| reader.reader.loss(channel)).sum()
        };
        let losses: Vec<f64> = staying.par_iter().map(loss).collect();
        let least = (0..staying.len())
            .filter(|&index| alike(staying[index], back))
            .min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let Some(least) = least.filter(|&least| losses[least] < gains[best] * (1.0 - LEAST)) else {
            break;
        };
        let away = staying[least];
        readers.par_iter_mut().for_each(|reader| reader.remove(away));
        (gone[best], staying[least]) = (away, back);
    }
    gone.sort_unstable();
    gone
}

#[cfg(test)]
mod tests {
    use super::super::reader::testing::{gram, least_loss, weights};
    use super::*;

    fn reader(gone: &[usize]) -> Rereader {
        let columns = (0..4).map(|column| vec![column]).collect();
        Rereader::new(weights(), gram(), columns, gone).expect("positive definite")
    }

    #[test]
    fn gains_are_those_of_all_least_squares() {
        let reader = reader(&[0, 2]);
        for (back, other) in [(0, 2), (2, 0)] {
            let gain = least_loss(&[0, 2]) - least_loss(&[other]);
            assert!((reader.gains(&[back])[0] / reader.reader.scale() - gain).abs() < 1e-9);
        }
    }

    #[test]
    fn what_comes_back_is_as_if_it_had_never_gone() {
        let mut reader = reader(&[0, 2]);
        reader.restore(0).expect("positive definite");
        let scale = reader.reader.scale();
        for channel in [0, 1, 3] {
            let loss = least_loss(&[2, channel]) - least_loss(&[2]);
            assert!((reader.reader.loss(channel) / scale - loss).abs() < 1e-9, "{channel}");
        }
    }

    #[test]
    fn exchanges_end_where_none_is_better() {
        let pairs = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]];
        let run = |gone: &[usize]| {
            let staying = (0..4).filter(|channel| !gone.contains(channel)).collect();
            exchange(&mut [reader(gone)], gone.to_vec(), staying, |_, _| true)
        };
        let found = pairs.map(|pair| run(&pair));
        let better = pairs.iter().zip(&found).filter(|(pair, found)| pair.as_slice() != *found);
        assert!(better.clone().count() > 0);
        for (pair, found) in better {
            assert!(least_loss(found) < least_loss(pair), "{pair:?} {found:?}");
        }
        assert!(found.iter().all(|found| run(found) == *found));
        let held = exchange(&mut [reader(&[0, 1])], vec![0, 1], vec![2, 3], |_, _| false);
        assert_eq!(held, [0, 1]);
    }
}
