//! Which products lose most when they run on integers, by execution.
//!
//! [`Trials::rank`] quantizes one product at a time and compares the outputs; [`Trials::accumulate`] quantizes
//! all and takes back one after the other. Ranges come from one calibration, and nothing is refined.
use crate::cost::{product, sample_shape};
use crate::evaluate::PART;
use crate::road::quantize_with;
use crate::{Error, Evaluation, Reference};
use lapidary_ir::Model;
use lapidary_passes::quantize::{
    Calibration, NodePlacement, NodeSelector, QuantizationPlan, QuantizeOptions,
};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;

/// The samples a ranking is made on where nothing else is said.
pub const RANKING_SAMPLES: usize = 32;

/// Bytes that models tried at the same time may take.
const MEMORY: u64 = 2 << 30;

/// Copies of a model that exist while it is tried: changed, prepared, loaded.
const COPIES: u64 = 3;

/// What quantized models are made from and measured with.
#[derive(Clone, Copy, Debug)]
pub struct Trials<'a> {
    /// The model in floating point, whose types are inferred.
    pub model: &'a Model,
    /// What is known of its values.
    pub calibration: &'a Calibration,
    /// How it is quantized.
    pub options: &'a QuantizeOptions,
    /// What its outputs are compared with.
    pub reference: &'a Reference,
}

/// What a quantization costs at the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// The smallest signal-to-noise ratio of any output in dB; none when nothing differs, or when the
    /// difference is not finite.
    pub sqnr_db: Option<f64>,
    /// The largest relative difference of any output.
    pub max_rel: f64,
    /// The smallest fraction of rows with the same largest element, of outputs of rank 2.
    pub agreement: Option<f64>,
    /// Fraction of samples whose label is the largest output; only with labels.
    pub accuracy: Option<f64>,
}

/// What one product on integers costs, with everything else in floating point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProductLoss {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op_type: String,
    /// The loss at the outputs.
    #[serde(flatten)]
    pub loss: Loss,
}

/// The products of a model, the one that costs most first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// Those that can run on integers alone.
    pub products: Vec<ProductLoss>,
    /// Those that run on integers only next to others.
    pub not_alone: Vec<String>,
}

/// A model with the first products of a ranking in floating point and the others on integers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prefix {
    /// The products that are taken back.
    pub reverted: usize,
    /// The loss at the outputs.
    #[serde(flatten)]
    pub loss: Loss,
    /// Bytes of the model in one file.
    pub bytes: u64,
    /// Nodes that run on integers.
    pub integer: usize,
}

impl From<&Evaluation> for Loss {
    fn from(found: &Evaluation) -> Self {
        Self {
            sqnr_db: found.sqnr_db(),
            max_rel: found.max_rel(),
            agreement: found.agreement(),
            accuracy: found.accuracy,
        }
    }
}

impl Loss {
    /// The power of the error over that of the signal, 10^(−SQNR/10): 0 when nothing differs, infinite when the
    /// difference is not finite.
    #[must_use]
    pub fn noise(&self) -> f64 {
        match self.sqnr_db {
            _ if !self.max_rel.is_finite() => f64::INFINITY,
            Some(db) => 10f64.powf(-db / 10.0),
            None if self.max_rel == 0.0 => 0.0,
            None => f64::INFINITY,
        }
    }
}

impl Ranking {
    /// The names in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.products.iter().map(|product| product.node.clone()).collect()
    }

    /// The noise to expect with the first k products in floating point, for k from 0 to all: the sum of what the
    /// others cause alone, as if their errors were independent.
    #[must_use]
    pub fn expected_noise(&self) -> Vec<f64> {
        let mut sums = vec![0.0];
        for product in self.products.iter().rev() {
            let behind = sums.last().copied().unwrap_or_default();
            sums.push(behind + product.loss.noise());
        }
        sums.reverse();
        sums
    }
}

/// The products that a plan has on integers, in topological order.
#[must_use]
pub fn products(plan: &QuantizationPlan) -> Vec<&NodePlacement> {
    let mut seen = BTreeSet::new();
    let products = plan.nodes.iter().filter(|node| node.integer && is_product(&node.op_type));
    products.filter(|node| seen.insert(&node.node)).collect()
}

/// The options with more nodes left in floating point.
#[must_use]
pub fn excluding(options: &QuantizeOptions, nodes: &[String]) -> QuantizeOptions {
    let mut options = options.clone();
    options.exclude.extend(nodes.iter().cloned().map(NodeSelector::Name));
    options
}

impl Trials<'_> {
    /// What becomes integers when everything does.
    #[must_use]
    pub fn plan(&self) -> QuantizationPlan {
        QuantizationPlan::of_model(self.model, self.calibration, self.options)
    }

    /// Ranks the products that a plan has on integers. `done` is called after each.
    ///
    /// # Errors
    /// When a quantized model can't be executed, or a pass is at fault.
    pub fn rank(&self, plan: &QuantizationPlan, done: impl Fn() + Sync) -> Result<Ranking, Error> {
        let products = products(plan);
        let losses = self.each(&products, |node| {
            let loss = self.alone(plan, node);
            done();
            loss
        })?;
        let mut ranking = Ranking::default();
        for (node, loss) in products.iter().zip(losses) {
            match loss {
                None => ranking.not_alone.push(node.node.clone()),
                Some(loss) => ranking.products.push(ProductLoss {
                    node: node.node.clone(),
                    op_type: node.op_type.clone(),
                    loss,
                }),
            }
        }
        ranking.products.sort_by(|a, b| b.loss.noise().total_cmp(&a.loss.noise()));
        Ok(ranking)
    }

    /// What one product on integers costs; none if it does not run on integers alone.
    fn alone(&self, plan: &QuantizationPlan, node: &NodePlacement) -> Result<Option<Loss>, Error> {
        let others = plan.nodes.iter().filter(|other| {
            // What limits a result goes with the operator that computes it.
            let limits = matches!(other.op_type.as_str(), "Relu" | "Clip");
            other.integer && !limits && other.node != node.node
        });
        let others: Vec<String> = others.map(|other| other.node.clone()).collect();
        let mut model = self.model.clone();
        let options = excluding(self.options, &others);
        let plan = quantize_with(&mut model, self.calibration, &options)?;
        if !plan.nodes.iter().any(|found| found.integer && found.node == node.node) {
            return Ok(None);
        }
        Ok(Some(Loss::from(&self.reference.evaluate(&model)?)))
    }

    /// Quantizes everything but the first k nodes of `ranked`, for k from 0 to all. `done` is called
    /// after each.
    ///
    /// # Errors
    /// When a quantized model can't be executed, or a pass is at fault.
    pub fn accumulate(
        &self,
        ranked: &[String],
        done: impl Fn() + Sync,
    ) -> Result<Vec<Prefix>, Error> {
        let lengths: Vec<usize> = (0..=ranked.len()).collect();
        self.each(&lengths, |&reverted| {
            let prefix = self.without(&ranked[..reverted]);
            done();
            prefix
        })
    }

    /// Quantizes everything but some nodes.
    ///
    /// # Errors
    /// When the quantized model can't be executed, or a pass is at fault.
    pub fn without(&self, nodes: &[String]) -> Result<Prefix, Error> {
        let mut model = self.model.clone();
        let options = excluding(self.options, nodes);
        let plan = quantize_with(&mut model, self.calibration, &options)?;
        Ok(Prefix {
            reverted: nodes.len(),
            loss: Loss::from(&self.reference.evaluate(&model)?),
            bytes: model.encoded_len() as u64,
            integer: plan.integer_nodes(),
        })
    }

    /// Bytes of the model with everything quantized but some nodes, which is not executed.
    ///
    /// # Errors
    /// When a pass is at fault.
    pub fn bytes(&self, nodes: &[String]) -> Result<u64, Error> {
        let mut model = self.model.clone();
        quantize_with(&mut model, self.calibration, &excluding(self.options, nodes))?;
        Ok(model.encoded_len() as u64)
    }

    /// Does something to each of many, as many at the same time as fit into memory.
    fn each<T: Sync, R: Send>(
        &self,
        list: &[T],
        work: impl Fn(&T) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error> {
        let mut results = Vec::with_capacity(list.len());
        for part in list.chunks(self.at_once()) {
            results.extend(part.par_iter().map(&work).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(results)
    }

    /// How many models may be tried at the same time: each takes its copies and, at most, all of its values for
    /// the samples that are executed together.
    fn at_once(&self) -> usize {
        let graph = &self.model.graph;
        let numbers = |(id, _)| product(&sample_shape(graph, id)?);
        let values: u64 = graph.values().filter_map(numbers).fold(0, u64::saturating_add);
        let samples = self.reference.samples().min(PART) as u64;
        let model = COPIES * self.model.encoded_len() as u64;
        let each = values.saturating_mul(4 * samples).saturating_add(model);
        usize::try_from(MEMORY / each.max(1)).unwrap_or(usize::MAX).max(1)
    }
}

/// The operators whose place decides about speed and size.
fn is_product(op_type: &str) -> bool {
    matches!(op_type, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(sqnr_db: Option<f64>, max_rel: f64) -> Loss {
        Loss { sqnr_db, max_rel, agreement: None, accuracy: None }
    }

    #[test]
    fn noise_is_the_ratio_of_powers() {
        assert!((loss(Some(20.0), 0.1).noise() - 0.01).abs() < 1e-15);
        assert!((loss(Some(-10.0), 2.0).noise() - 10.0).abs() < 1e-12);
        assert_eq!(loss(None, 0.0).noise(), 0.0);
        assert_eq!(loss(None, 1.0).noise(), f64::INFINITY);
        assert_eq!(loss(Some(30.0), f64::INFINITY).noise(), f64::INFINITY);
    }

    #[test]
    fn expected_noise_is_the_sum_of_what_is_left_on_integers() {
        let product = |node: &str, db| ProductLoss {
            node: node.to_owned(),
            op_type: "Conv".to_owned(),
            loss: loss(Some(db), 0.1),
        };
        let products = vec![product("a", 10.0), product("b", 20.0), product("c", 30.0)];
        let ranking = Ranking { products, not_alone: Vec::new() };
        let found = ranking.expected_noise();
        let close = |(a, b): (&f64, f64)| (a - b).abs() < 1e-12;
        assert!(found.iter().zip([0.111, 0.011, 0.001, 0.0]).all(close), "{found:?}");
        assert_eq!(ranking.names(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_excluded_already_stays_so() {
        let options = QuantizeOptions {
            exclude: vec![NodeSelector::Operator("Gemm".to_owned())],
            ..QuantizeOptions::default()
        };
        let found = excluding(&options, &["op:Conv".to_owned()]).exclude;
        assert!(matches!(&found[0], NodeSelector::Operator(op_type) if op_type == "Gemm"));
        assert!(matches!(&found[1], NodeSelector::Name(name) if name == "op:Conv"));
    }
}
