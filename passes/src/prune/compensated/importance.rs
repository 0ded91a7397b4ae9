//! How important each channel of a group is; the least important go first.
use super::network::Network;
use super::obs::{self, Elimination};
use super::swaps::{self, Rereader};
use super::zeros::Live;
use crate::prune::analysis::Group;
use crate::prune::importance::{Norm, importance, numbers};
use crate::prune::products::Product;
use crate::prune::ranking::{Importance, Part, Ranking};
use crate::prune::select::balances_of;
use ndarray::{Array1, Array2};
use std::collections::BTreeMap;

/// A product that reads channels of a group.
struct Read<'a> {
    product: &'a Product,
    gram: Array2<f64>,
    /// The columns of every channel, by number.
    columns: Vec<Vec<usize>>,
}

impl Network<'_> {
    /// How important each channel of a group is, by number, for importances that samples tell. Where no reader is known,
    /// the norm of the weights counts.
    pub(super) fn scores(&self, index: usize, ranking: &Ranking, live: &Live) -> Vec<f64> {
        let group = &self.analysis.groups[index];
        let reads = self.reads(group);
        if reads.is_empty() {
            let mut norms = importance(&self.model.graph, self.analysis, Norm::L2);
            return norms.swap_remove(index);
        }
        let parts: Vec<Part> = match ranking.importance {
            Importance::Wanda => self.sums(&reads, true),
            Importance::Activation => self.sums(&reads, false),
            Importance::Apoz => self.live(group, &reads, live),
            _ => return self.surgeon(group, reads),
        };
        ranking.combine(group.size, &parts)
    }

    fn reads(&self, group: &Group) -> Vec<Read<'_>> {
        let numbers = numbers(group);
        let mut reads = Vec::new();
        for (product, moments) in self.products.iter().zip(&self.moments) {
            let (Some(moments), Some(axis)) = (moments, product.input_axis(&self.model.graph))
            else {
                continue;
            };
            let mut columns = vec![Vec::new(); group.size];
            for (index, owner) in self.analysis.owners[&axis].iter().enumerate() {
                if let Some(&number) = numbers.get(owner) {
                    columns[number].extend(index * product.taps..(index + 1) * product.taps);
                }
            }
            if columns.iter().any(|columns| !columns.is_empty()) {
                reads.push(Read { product, gram: moments.gram(product.has_bias()), columns });
            }
        }
        reads
    }

    /// The place in the order in which channels go; channels that stay have none.
    fn surgeon(&self, group: &Group, reads: Vec<Read<'_>>) -> Vec<f64> {
        let reader = |read: Read<'_>| {
            Elimination::new(&read.product.rows(&self.model.graph)?, read.gram, read.columns)
        };
        let mut readers: Vec<Elimination> = reads.into_iter().filter_map(reader).collect();
        let mut scores = vec![f64::INFINITY; group.size];
        let order = obs::order(&mut readers, &group.removable);
        order.iter().enumerate().for_each(|(place, &number)| scores[number] = place as f64);
        scores
    }

    /// The channels of a group that go instead of `gone`, as many, where readers lose less by it. Only channels on the
    /// same axes stand for each other.
    pub(super) fn exchanged(&self, index: usize, gone: Vec<usize>) -> Vec<usize> {
        let group = &self.analysis.groups[index];
        let rereader = |read: Read<'_>| {
            let rows = read.product.rows(&self.model.graph)?;
            Rereader::new(rows, read.gram, read.columns, &gone)
        };
        let mut readers: Vec<Rereader> =
            self.reads(group).into_iter().filter_map(rereader).collect();
        if readers.is_empty() || !balances_of(self.analysis, group).is_empty() {
            return gone;
        }
        let places: Vec<BTreeMap<_, usize>> = (0..group.size)
            .map(|number| self.analysis.channels[group.channels[number]].counts())
            .collect();
        let removable = group.removable.iter().copied();
        let staying = removable.filter(|number| !gone.contains(number)).collect();
        swaps::exchange(&mut readers, gone, staying, |a, b| places[a] == places[b])
    }

    /// Σ Var x over the columns of a channel, each times ‖W_c‖² if weighted, by reader.
    fn sums(&self, reads: &[Read<'_>], weighted: bool) -> Vec<Part> {
        let of_reader = |read: &Read<'_>| {
            let squares = match read.product.rows(&self.model.graph) {
                Some(rows) if weighted => (&rows * &rows).sum_axis(ndarray::Axis(0)),
                _ => Array1::ones(read.gram.nrows()),
            };
            let parts = &squares * &read.gram.diag();
            let sum = |columns: &Vec<usize>| {
                (!columns.is_empty()).then(|| columns.iter().map(|&column| parts[column]).sum())
            };
            read.columns.iter().map(sum).collect()
        };
        reads.iter().map(of_reader).collect()
    }

    /// The share of numbers that are not zero, in the mean over the channels a reader has of one.
    fn live(&self, group: &Group, reads: &[Read<'_>], live: &Live) -> Vec<Part> {
        let numbers = numbers(group);
        let of_reader = |read: &Read<'_>| {
            let axis = read.product.input_axis(&self.model.graph)?;
            let shares = live.get(&read.product.input)?;
            let mut sums = vec![(0.0, 0); group.size];
            for (owner, share) in self.analysis.owners[&axis].iter().zip(shares) {
                if let Some(&number) = numbers.get(owner) {
                    sums[number].0 += share;
                    sums[number].1 += 1;
                }
            }
            let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
            Some(sums.into_iter().map(mean).collect())
        };
        reads.iter().filter_map(of_reader).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Analysis;
    use crate::quantize::testing::model;
    use crate::samples::batches::Batches;
    use lapidary_ir::Tensor;

    /// Scores of the three channels h = x · diag(1, −3, 2), read with weights (5, 1, 0), where the numbers of x have
    /// variances 1, 1 and 0 and are uncorrelated.
    fn scores(importance: Importance) -> Vec<f64> {
        let model = model(
            "g (float[N,3] x) => (float[N,1] y)
            <float[3,3] w = {1, 0, 0, 0, -3, 0, 0, 0, 2}, float[3,1] v = {5, 1, 0}, float[1] b = {1}>
            { h = MatMul(x, w) y = Gemm(h, v, b) }",
        );
        let rows = [1.0f32, 2.0, 7.0, -1.0, 2.0, 7.0, 1.0, 0.0, 7.0, -1.0, 0.0, 7.0];
        let inputs = BTreeMap::from([("x".to_owned(), Tensor::new(&[4, 3], &rows))]);
        let analysis = Analysis::of(&model.graph);
        let samples = Batches::new(&model.graph, &inputs).expect("there are samples");
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let network = Network::new(&model, &analysis, &samples, &quiet).expect("the model runs");
        let live = network.live_shares(&samples).expect("the model runs");
        network.scores(0, &Ranking { importance, ..Ranking::default() }, &live)
    }

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3)
    }

    #[test]
    fn importances_are_those_of_their_definitions() {
        // Var h = (1, 9, 0), ‖v‖² = (25, 1, 0).
        assert!(close(&scores(Importance::Activation), &[0.3, 2.7, 0.0]));
        assert!(close(&scores(Importance::Wanda), &[75.0 / 34.0, 27.0 / 34.0, 0.0]));
        // Half of the second channel is zero.
        assert!(close(&scores(Importance::Apoz), &[1.2, 0.6, 1.2]));
        assert_eq!(scores(Importance::Obs), [2.0, 1.0, 0.0]);
    }
}
