//! Low-rank factorization of constant matrices.
use super::bias::Bias;
use super::curve::Rank;
use super::decomposition::Decomposition;
use super::emit::{Replacement, emit};
use super::measure::{Change, measure};
use super::moments::{Moments, moments};
use super::rank::{RankRule, choose};
use super::site::{Found, Site, Split, find};
use crate::quantize::NodeSelector;
use crate::samples::batches::Batches;
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::{Graph, Model, NodeId, Patch};
use rayon::prelude::*;

pass! {
    /// Replaces constant matrices of products and convolutions by two thin factors.
    ///
    /// W ≈ A · B with r columns in A and r rows in B: the W of rank r that is nearest to it, from the singular value
    /// decomposition. r is the least that keeps 99 % of the squared singular values, or as the options say; a site
    /// changes only if it gets smaller and not slower. Kernels can be split along their axes, or between channels.
    ///
    /// y = x · W becomes y = (x · A) · B.
    ///
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// <float[4,4] w = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// <float[4,1] w_factor1 = {1, 1, 1, 1}, float[1,4] w_factor2 = {1, 1, 1, 1}>
    /// {
    ///     y_factor1 = MatMul(x, w_factor1)
    ///     y = MatMul(y_factor1, w_factor2)
    /// }
    /// ```
    pub struct FactorizeLowRank {
        /// Ranks, splits and exceptions.
        pub options: FactorizeOptions,
    }
    name: "factorize-low-rank",
    accuracy: Lossy,
    emits: ["MatMul"],
}

/// What the caller decides.
#[derive(Clone, Debug, Default)]
pub struct FactorizeOptions {
    /// How thin the factors are.
    pub rank: RankRule,
    /// What convolutions whose kernels have more than one place become.
    pub conv: ConvSplit,
    /// Nodes that stay.
    pub exclude: Vec<NodeSelector>,
}

impl FactorizeOptions {
    /// 99 % of the energy, two factors.
    pub const DEFAULT: Self =
        Self { rank: RankRule::DEFAULT, conv: ConvSplit::Svd, exclude: Vec::new() };
}

/// What convolutions whose kernels have more than one place become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvSplit {
    /// The kernel to r channels and a pointwise one.
    #[default]
    Svd,
    /// A kernel along the first axis and one along the second; kernels with one or three axes as for
    /// [`ConvSplit::Svd`].
    Spatial,
    /// A pointwise kernel, a smaller kernel and a pointwise one.
    Tucker,
}

/// What energy is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The squares of the weights.
    Weights,
    /// The squares of the results, on samples.
    Outputs,
}

/// What was factorized.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factorization {
    /// The sites, in the order of their first node.
    pub factorized: Vec<Factorized>,
    /// The nodes that were left alone.
    pub left_alone: Vec<LeftAlone>,
    /// Parameters of all sites before, also of those that stay.
    pub parameters: u64,
    /// Their multiply-accumulates for one sample.
    pub macs: u64,
    /// Parameters of all sites afterwards, without biases.
    pub parameters_left: u64,
    /// Their multiply-accumulates.
    pub macs_left: u64,
}

/// A site that was factorized.
#[derive(Clone, Debug, PartialEq)]
pub struct Factorized {
    /// The initializer.
    pub weight: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// The nodes that multiply with it.
    pub nodes: Vec<String>,
    /// Their operator.
    pub op_type: String,
    /// `matrix`, `spatial` or `tucker`.
    pub split: &'static str,
    /// How thin its factors are.
    pub rank: Rank,
    /// Numbers in the weights before.
    pub parameters: u64,
    /// Numbers in the factors.
    pub parameters_left: u64,
    /// Multiply-accumulates for one sample before.
    pub macs: u64,
    /// Multiply-accumulates of the factors.
    pub macs_left: u64,
    /// The energy that is discarded, as a share of all.
    pub discarded: f64,
    /// What that energy is counted in.
    pub norm: Norm,
    /// Whether the bias takes over the mean of what is lost; energies are then variances.
    pub bias_corrected: bool,
    /// The energy of the error of the results, as a share of theirs, measured on samples.
    pub measured: Option<f64>,
}

/// A node that keeps its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op_type: String,
    /// Why.
    pub reason: String,
}

impl LeftAlone {
    pub(super) fn new(graph: &Graph, id: NodeId, reason: impl Into<String>) -> Self {
        let node = &graph[id];
        Self {
            node: node.label(graph).to_owned(),
            op_type: node.op_type.clone(),
            reason: reason.into(),
        }
    }
}

/// Why a model can't be factorized as asked for.
#[derive(Debug, thiserror::Error)]
pub enum FactorizeError {
    /// The runtime can't run the model.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// Not even rank 1 is small enough.
    #[error(
        "{:.1} % of what can be factorized is asked for, {:.1} % is the least",
        100.0 * share,
        100.0 * least
    )]
    OutOfReach {
        /// The share that is asked for.
        share: f64,
        /// The least possible one.
        least: f64,
    },
    /// Nothing is excluded by this.
    #[error("no node is `{0}`")]
    UnknownExclusion(String),
    /// A fault of the pass.
    #[error(transparent)]
    Pass(#[from] PassError),
}

impl FactorizeLowRank {
    /// Factorizes a model; on `samples` for the least error of the results of every site, without for that of its
    /// weights. The error of every site is measured on `test`, or on the samples.
    ///
    /// # Errors
    /// When the runtime can't run the model, a budget is too small or an exclusion selects nothing; the model is then
    /// unchanged.
    pub fn factorize(
        &self,
        model: &mut Model,
        samples: Option<&Inputs>,
        test: Option<&Inputs>,
    ) -> Result<Factorization, FactorizeError> {
        model.graph.infer();
        let graph = &model.graph;
        check_exclusions(graph, &self.options.exclude)?;
        let Found { sites, mut left_alone } = find(graph, &self.options);
        let batches = |inputs| Batches::new(graph, inputs);
        let seen = match samples {
            Some(samples) if !sites.is_empty() => {
                let found = moments(model, &batches(samples)?, &sites)?;
                found.into_iter().map(Some).collect()
            }
            _ => vec![None; sites.len()],
        };
        let known: Vec<Known> =
            sites.par_iter().zip(seen).map(|(site, seen)| Known::new(graph, site, seen)).collect();
        let (mut decomposed, mut facts) = (Vec::new(), Vec::new());
        for (site, known) in sites.into_iter().zip(known) {
            match known.decomposition {
                Some(decomposition) => {
                    decomposed.push((site, decomposition));
                    facts.push((known.norm, known.bias, known.moments));
                }
                None => leave(graph, &mut left_alone, &site, "its singular values were not found"),
            }
        }
        let points = choose(self.options.rank, &decomposed).map_err(|out_of_reach| {
            let share = self.options.rank.budget().map_or(0.0, |(_, share)| share);
            FactorizeError::OutOfReach { share, least: out_of_reach.least }
        })?;
        let mut result = Factorization::default();
        let mut replacements = Vec::new();
        for (((site, decomposition), (norm, bias, moments)), point) in
            decomposed.iter().zip(facts).zip(points)
        {
            result.parameters += site.parameters();
            result.macs += site.macs();
            let point = match point {
                Ok(point) => point,
                Err(reason) => {
                    result.parameters_left += site.parameters();
                    result.macs_left += site.macs();
                    leave(graph, &mut left_alone, site, &reason);
                    continue;
                }
            };
            result.parameters_left += point.parameters;
            result.macs_left += point.macs;
            let factors = decomposition.factors(site, point.rank);
            let bias = bias.zip(moments).map(|(bias, moments)| {
                let lost = &site.matrix() - &factors.product;
                (bias, lost.t().dot(&moments.mean()))
            });
            let first = &graph[site.nodes[0]];
            result.factorized.push(Factorized {
                weight: graph.value(site.weight).name().to_owned(),
                dims: site.dims.clone(),
                nodes: site.nodes.iter().map(|&id| graph[id].label(graph).to_owned()).collect(),
                op_type: first.op_type.clone(),
                split: match site.split {
                    Split::Matrix => "matrix",
                    Split::Spatial => "spatial",
                    Split::Tucker => "tucker",
                },
                rank: point.rank,
                parameters: site.parameters(),
                parameters_left: point.parameters,
                macs: site.macs(),
                macs_left: point.macs,
                discarded: point.discarded,
                norm,
                bias_corrected: bias.is_some(),
                measured: None,
            });
            replacements.push(Replacement { site, factors, bias });
        }
        result.left_alone = left_alone;
        if let Some(test) = test.or(samples).filter(|_| !replacements.is_empty()) {
            let changes: Vec<Change<'_>> = replacements.iter().map(Change::of).collect();
            let measured = measure(model, &batches(test)?, &changes)?;
            for (site, measured) in result.factorized.iter_mut().zip(measured) {
                site.measured = measured;
            }
        }
        let mut patch = Patch::default();
        replacements.iter().for_each(|replacement| emit(graph, &mut patch, replacement));
        drop(replacements);
        apply(model, patch)?;
        Ok(result)
    }
}

fn apply(model: &mut Model, patch: Patch) -> Result<(), PassError> {
    let pass = FactorizeLowRank::INFO.name;
    let applied = model.graph.apply(patch);
    let applied = applied.map_err(|source| PassError::Patch { pass, source })?;
    model.graph.infer_from(&applied.touched);
    Ok(())
}

/// What is known of a site.
struct Known {
    decomposition: Option<Decomposition>,
    norm: Norm,
    bias: Option<Bias>,
    moments: Option<Moments>,
}

impl Known {
    fn new(graph: &Graph, site: &Site, moments: Option<Moments>) -> Self {
        let moments = moments.filter(|moments| moments.rows > 0);
        let bias = moments.as_ref().and_then(|_| Bias::of(graph, site));
        let second = moments.as_ref().and_then(|moments| moments.second(site, bias.is_some()));
        let given = second.as_ref().map(|(second, ridge)| (second, *ridge));
        let norm = if given.is_some() { Norm::Outputs } else { Norm::Weights };
        Self { decomposition: Decomposition::new(site, given), norm, bias, moments }
    }
}

fn leave(graph: &Graph, left_alone: &mut Vec<LeftAlone>, site: &Site, reason: &str) {
    left_alone.extend(site.nodes.iter().map(|&id| LeftAlone::new(graph, id, reason)));
}

/// Every exclusion selects a node, here or in a subgraph.
fn check_exclusions(graph: &Graph, exclude: &[NodeSelector]) -> Result<(), FactorizeError> {
    match exclude.iter().find(|selector| !selects_any(graph, selector)) {
        None => Ok(()),
        Some(selector) => Err(FactorizeError::UnknownExclusion(selector.to_string())),
    }
}

fn selects_any(graph: &Graph, selector: &NodeSelector) -> bool {
    graph.nodes().any(|(id, node)| {
        selector.selects(graph, id) || node.subgraphs().any(|body| selects_any(body, selector))
    })
}

impl Pass for FactorizeLowRank {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let (nodes, bytes) = (model.graph.total_node_count(), initializer_bytes(&model.graph));
        let factorized = self.factorize(model, None, None);
        let record = context.record(&Self::INFO);
        match factorized {
            Err(FactorizeError::Pass(error)) => return Err(error),
            Err(error) => record.skip(error.to_string()),
            Ok(found) => {
                record.rewrites += found.factorized.len();
                record.nodes += model.graph.total_node_count() as i64 - nodes as i64;
                record.bytes += initializer_bytes(&model.graph) - bytes;
                found.left_alone.into_iter().for_each(|node| record.skip(node.reason));
            }
        }
        Ok(())
    }
}

fn initializer_bytes(graph: &Graph) -> i64 {
    graph.initializers().map(|(_, tensor)| tensor.byte_len() as i64).sum()
}
