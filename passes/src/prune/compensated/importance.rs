//! How important each channel of a group is; the least important go first.
use super::network::Network;
use super::obs::{self, Reader};
use super::products::Product;
use crate::prune::analysis::Group;
use crate::prune::importance::{Norm, importance};
use crate::prune::propagate::constant;
use crate::samples::sampling::hash;
use ndarray::{Array1, Array2};
use rustc_hash::FxHashMap;
use std::fmt;
use std::str::FromStr;

/// What makes a channel important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Importance {
    /// What its readers lose when the others make up for it: Optimal Brain Surgeon.
    #[default]
    Obs,
    /// What its readers lose when nothing makes up for it but a bias: Σ ‖W_c‖² Var x, over the columns of the
    /// channel (Wanda, Sun et al. 2024, for channels).
    Wanda,
    /// How much it varies: Σ Var x.
    Activation,
    /// The sum of distances to the other channels of the weights that make it (FPGM, He et al. 2019).
    Fpgm,
    /// The sum of magnitudes of the weights that make it.
    L1,
    /// The root of the sum of squares of the weights that make it.
    L2,
    /// Nothing: channels go in any order.
    Random,
}

/// The importances by name.
const NAMES: [(&str, Importance); 7] = [
    ("obs", Importance::Obs),
    ("wanda", Importance::Wanda),
    ("activation", Importance::Activation),
    ("fpgm", Importance::Fpgm),
    ("l1", Importance::L1),
    ("l2", Importance::L2),
    ("random", Importance::Random),
];

/// No importance has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of obs, wanda, activation, fpgm, l1, l2, random")]
pub struct UnknownImportance(String);

impl FromStr for Importance {
    type Err = UnknownImportance;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, found)| found).ok_or_else(|| UnknownImportance(text.to_owned()))
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, importance)| importance == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// A product that reads channels of a group.
struct Read<'a> {
    product: &'a Product,
    gram: Array2<f64>,
    /// The columns of every channel, by number.
    columns: Vec<Vec<usize>>,
}

impl Network<'_> {
    /// How important each channel of a group is, by number. Where an importance needs to know readers and none is
    /// known, the norm of the weights counts.
    pub(super) fn scores(&self, index: usize, kind: Importance) -> Vec<f64> {
        let group = &self.analysis.groups[index];
        let norm = |norm: Norm| {
            let mut norms = importance(&self.model.graph, self.analysis, norm);
            norms.swap_remove(index)
        };
        match kind {
            Importance::L1 => return norm(Norm::L1),
            Importance::L2 => return norm(Norm::L2),
            Importance::Random => {
                let number = |channel: usize| hash(hash(index as u64) ^ channel as u64) as f64;
                return (0..group.size).map(number).collect();
            }
            Importance::Fpgm => return self.distances(group),
            Importance::Obs | Importance::Wanda | Importance::Activation => {}
        }
        let reads = self.reads(group);
        if reads.is_empty() {
            return norm(Norm::L2);
        }
        match kind {
            Importance::Obs => self.surgeon(group, reads),
            Importance::Wanda => self.sums(group, &reads, true),
            _ => self.sums(group, &reads, false),
        }
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
            Reader::new(read.product.rows(&self.model.graph)?, read.gram, read.columns)
        };
        let mut readers: Vec<Reader> = reads.into_iter().filter_map(reader).collect();
        let mut scores = vec![f64::INFINITY; group.size];
        let order = obs::order(&mut readers, &group.removable);
        order.iter().enumerate().for_each(|(place, &number)| scores[number] = place as f64);
        scores
    }

    /// Σ Var x over the columns of a channel, each times ‖W_c‖² if weighted, over the same of all channels.
    fn sums(&self, group: &Group, reads: &[Read<'_>], weighted: bool) -> Vec<f64> {
        let mut scores = vec![0.0; group.size];
        for read in reads {
            let squares = match read.product.rows(&self.model.graph) {
                Some(rows) if weighted => (&rows * &rows).sum_axis(ndarray::Axis(0)),
                _ => Array1::ones(read.gram.nrows()),
            };
            let parts = &squares * &read.gram.diag();
            let own = read.columns.iter().map(|columns| columns.iter().map(|&c| parts[c]).sum());
            add_shares(&mut scores, own.collect());
        }
        scores
    }

    /// Σ_j ‖w_i − w_j‖ over the rows of the weights that make the channels.
    fn distances(&self, group: &Group) -> Vec<f64> {
        let numbers = numbers(group);
        let graph = &self.model.graph;
        let mut scores = vec![0.0; group.size];
        for place in &group.producers {
            let Some(source) = self.analysis.source_axis(graph, *place) else { continue };
            let Some(tensor) = constant(graph, source.value) else { continue };
            let owners = &self.analysis.owners[place];
            let row = |index: usize| tensor.gather_axis(source.axis, &[index])?.to_f32();
            let rows: Option<Vec<Vec<f32>>> = (0..owners.len()).map(row).collect();
            let Some(rows) = rows else { continue };
            let distance = |a: &[f32], b: &[f32]| {
                let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
                squares.sum::<f64>().sqrt()
            };
            let mut sums = vec![0.0; group.size];
            for (owner, row) in owners.iter().zip(&rows) {
                if let Some(&number) = numbers.get(owner) {
                    sums[number] += rows.iter().map(|other| distance(row, other)).sum::<f64>();
                }
            }
            add_shares(&mut scores, sums);
        }
        scores
    }
}

/// The numbers of the channels of a group.
fn numbers(group: &Group) -> FxHashMap<usize, usize> {
    group.channels.iter().enumerate().map(|(number, &channel)| (channel, number)).collect()
}

/// Adds numbers in parts of their sum.
fn add_shares(scores: &mut [f64], parts: Vec<f64>) {
    let sum: f64 = parts.iter().sum();
    if sum > 0.0 {
        scores.iter_mut().zip(parts).for_each(|(score, part)| *score += part / sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Analysis;
    use crate::quantize::testing::model;
    use crate::samples::batches::Batches;
    use lapidary_ir::Tensor;
    use std::collections::BTreeMap;

    /// Scores of the three channels h = x · diag(1, −3, 2), read with weights (5, 1, 0), where the numbers of x have
    /// variances 1, 1 and 0 and are uncorrelated.
    fn scores(kind: Importance) -> Vec<f64> {
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
        network.scores(0, kind)
    }

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3)
    }

    #[test]
    fn importances_are_those_of_their_definitions() {
        // Var h = (1, 9, 0), ‖v‖² = (25, 1, 0).
        assert!(close(&scores(Importance::Activation), &[0.1, 0.9, 0.0]));
        assert!(close(&scores(Importance::Wanda), &[25.0 / 34.0, 9.0 / 34.0, 0.0]));
        assert!(close(&scores(Importance::L1), &[0.5, 1.5, 1.0]));
        let (a, b, c) = (10f64.sqrt(), 5f64.sqrt(), 13f64.sqrt());
        let sums = [a + b, a + c, b + c];
        let all: f64 = sums.iter().sum();
        assert!(close(&scores(Importance::Fpgm), &sums.map(|sum| sum / all)));
        assert_eq!(scores(Importance::Obs), [2.0, 1.0, 0.0]);
        assert_ne!(scores(Importance::Random)[0], scores(Importance::Random)[1]);
    }

    #[test]
    fn every_importance_has_a_name() {
        for (name, importance) in NAMES {
            assert_eq!(name.parse(), Ok(importance));
            assert_eq!(importance.to_string(), name);
        }
        assert!("norm".parse::<Importance>().is_err());
    }
}
