//! Removes residual blocks, y = x + f(x), without training.
//!
//! How well a block can be done without is told by what the outputs lose with the linear map in its place that is
//! nearest to it on samples (PRACTISE, Wang and Wu 2023, trains such maps). Blocks go one after another, the one that
//! costs least loss for the multiply-accumulates it takes first, and all are measured again. Then the products before
//! and behind are fitted to what they gave in the original: those before to the results of what is gone.
use super::network::Network;
use super::refit::{Changes, Replacement, limits, limits_at, refit_changed};
use super::sensitivity::{Outcome, Trials, Values};
use super::{FITTED, MEASURED, Progress, PruneError, affordable, macs, spread};
use crate::macs::node_macs;
use crate::prune::analysis::Analysis;
use crate::prune::plan::ChannelPlan;
use crate::samples::batches::Batches;
use adaptor::LinearMap;
use lapidary_exec::Inputs;
use lapidary_ir::{Graph, Model, NodeId, Patch, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

mod adaptor;
mod dominators;
mod find;
#[cfg(test)]
mod tests;

pub use adaptor::Adaptor;
pub use find::{Block, NoBlock, residual_blocks};

/// The loss of a linear map of its own, in parts of that of the identity, above which it is not worth its
/// multiplications.
const WORTH: f64 = 0.5;

/// Which blocks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockChoice {
    /// So many, those that cost least.
    Count(usize),
    /// Those of these names, or of these additions, in any order.
    Names(Vec<String>),
}

/// A block, and what the outputs lose without it.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedBlock {
    /// What the names of its nodes have in common, or the name of the addition.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// The share of the multiply-accumulates of the model that it takes.
    pub macs: f64,
    /// Elements of its constants.
    pub parameters: u64,
    /// What the outputs lose, with all that went before it, when its input takes its place.
    pub identity: f64,
    /// The same with a linear map in its place, if one could be fitted.
    pub linear: Option<f64>,
    /// What stands in its place now; none for a block that stays.
    pub adaptor: Option<Adaptor>,
}

/// What went, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedBlocks {
    /// Blocks in the order in which they went, then those that stay, as they were measured last.
    pub blocks: Vec<DroppedBlock>,
    /// Additions that close no block.
    pub others: Vec<NoBlock>,
    /// What each step left of the outputs, as for channels: blocks gone, products fitted.
    pub losses: Vec<(&'static str, f64)>,
    /// Products that were fitted.
    pub fitted: usize,
    /// The share of multiply-accumulates that stays.
    pub share: f64,
}

/// Why blocks can't go.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The model can't be executed, or a change is at fault.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// There are not so many.
    #[error("{asked} residual blocks can't go: {found} can{}", reasons(.others))]
    TooFew {
        /// The number asked for.
        asked: usize,
        /// The number there is.
        found: usize,
        /// Additions that close none.
        others: Vec<NoBlock>,
    },
    /// There is no block of that name.
    #[error("there is no residual block `{name}`; there are: {}{}", .known.join(", "), reasons(.others))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// Additions that close none.
        others: Vec<NoBlock>,
    },
}

fn reasons(others: &[NoBlock]) -> String {
    let reasons = others.iter().map(|NoBlock { node, why }| format!("\n  `{node}` is none: {why}"));
    reasons.collect()
}

/// A block that is tried.
struct Trial {
    block: Block,
    model: Model,
    adaptor: Adaptor,
    identity: f64,
    linear: Option<f64>,
    /// Loss per multiply-accumulate.
    price: f64,
}

/// Removes blocks of a model whose normalizations are folded into its products and whose types are inferred.
///
/// # Errors
/// When there are fewer blocks than asked for, a name is unknown or the runtime can't run the model, which is then
/// unchanged.
pub fn drop_blocks(
    model: &mut Model,
    samples: &Inputs,
    choice: &BlockChoice,
    progress: Progress<'_>,
) -> Result<DroppedBlocks, BlockError> {
    let original = model.clone();
    let (found, others) = residual_blocks(&original.graph);
    let wanted = wanted(&found, &others, choice)?;
    let all = Batches::new(&original.graph, samples).map_err(PruneError::from)?;
    let cost = macs(&original.graph);
    let products =
        original.graph.nodes().filter(|(_, node)| node_macs(&original.graph, node).is_some());
    let fitted_on = spread(&all, affordable(cost, products.count(), FITTED));
    let analysis = Analysis::default();
    let network = Network::unobserved(&original, &analysis);
    let measured_on = spread(&all, affordable(cost, 4 * found.len() * wanted.count(), MEASURED));
    let trials = Trials::new(&network, &measured_on);
    let expected = trials.values(&BTreeSet::new()).map_err(PruneError::from)?;
    let measure = Measure { original: &original, fitted_on: &fitted_on, trials: &trials, expected };
    let mut current = original.clone();
    let mut gone: Vec<(Block, Adaptor)> = Vec::new();
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    let mut loss = 0.0;
    for round in 0..wanted.count() {
        let (blocks, _) = residual_blocks(&current.graph);
        let mut tried: Vec<Trial> = Vec::new();
        for (index, block) in blocks.into_iter().filter(|block| wanted.takes(block)).enumerate() {
            progress("blocks", round * found.len() + index, wanted.count() * found.len());
            tried.push(measure.trial(&current, block, loss)?);
        }
        if tried.is_empty() {
            break;
        }
        let least = tried.iter().enumerate().min_by(|(_, a), (_, b)| a.price.total_cmp(&b.price));
        let Some(best) = least.map(|(index, _)| index) else { break };
        let best = tried.remove(best);
        loss = if best.adaptor == Adaptor::Identity {
            best.identity
        } else {
            best.linear.unwrap_or(best.identity)
        };
        told.push(best.told(cost, true));
        rest = tried.iter().map(|trial| trial.told(cost, false)).collect();
        current = best.model;
        gone.push((best.block, best.adaptor));
    }
    // Blocks within blocks are gone with these.
    if told.len() < wanted.count() && matches!(choice, BlockChoice::Count(_)) {
        return Err(BlockError::TooFew { asked: wanted.count(), found: told.len(), others });
    }
    let mut losses =
        vec![("blocks", trials.run(&current, &measure.expected).map_err(PruneError::from)?.loss)];
    let affected = behind(&original.graph, &gone);
    let replacements = replacements(&original.graph, &current.graph, &gone);
    let plan = ChannelPlan::default();
    let changes = Changes { plan: &plan, affected: &affected, replacements: &replacements };
    let mut fitted_model = current.clone();
    let fitted = refit_changed(&network, &changes, &mut fitted_model, &fitted_on, progress)?;
    losses.push((
        "fit",
        trials.run(&fitted_model, &measure.expected).map_err(PruneError::from)?.loss,
    ));
    let share = macs(&fitted_model.graph) / cost.max(1.0);
    *model = fitted_model;
    told.extend(rest);
    Ok(DroppedBlocks { blocks: told, others, losses, fitted, share })
}

/// What is measured with.
struct Measure<'a> {
    original: &'a Model,
    fitted_on: &'a Batches<'a>,
    trials: &'a Trials<'a>,
    expected: Vec<Values>,
}

impl Measure<'_> {
    /// Takes a block out of a model whose outputs have lost so much already.
    fn trial(&self, current: &Model, block: Block, lost: f64) -> Result<Trial, PruneError> {
        let run = |model: &Model| -> Result<f64, PruneError> {
            let Outcome { loss, .. } = self.trials.run(model, &self.expected)?;
            Ok(loss)
        };
        let mut plain = current.clone();
        let mut patch = Patch::default();
        patch.replace(block.output, block.input);
        plain.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
        let identity = run(&plain)?;
        let map = LinearMap::fit(self.original, current, &block, self.fitted_on)?;
        let (mut model, mut adaptor, mut linear) = (plain, Adaptor::Identity, None);
        if let Some(map) = map {
            let (mapped, place) = map.place(current, &block)?;
            let found = run(&mapped)?;
            linear = Some(found);
            // Products before and behind are fitted to make up for an identity too.
            let most = if place == Adaptor::Own { WORTH } else { 1.0 };
            let shorter = macs(&mapped.graph) < macs(&current.graph);
            if shorter && found - lost < most * (identity - lost) {
                (model, adaptor) = (mapped, place);
            }
        }
        let saved = macs(&current.graph) - macs(&model.graph);
        // What can be recovered by a map can be by fitting what is left.
        let least = linear.map_or(identity, |linear| linear.min(identity));
        let price = (least - lost) / saved.max(f64::MIN_POSITIVE);
        Ok(Trial { block, model, adaptor, identity, linear, price })
    }
}

impl Trial {
    fn told(&self, cost: f64, gone: bool) -> DroppedBlock {
        DroppedBlock {
            name: self.block.name.clone(),
            nodes: self.block.nodes.clone(),
            macs: self.block.macs as f64 / cost.max(1.0),
            parameters: self.block.parameters,
            identity: self.identity,
            linear: self.linear,
            adaptor: gone.then_some(self.adaptor),
        }
    }
}

/// The blocks that may go, and how many do.
enum Wanted {
    Count(usize),
    Outputs(FxHashSet<ValueId>),
}

impl Wanted {
    fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Outputs(outputs) => outputs.len(),
        }
    }

    fn takes(&self, block: &Block) -> bool {
        match self {
            Self::Count(_) => true,
            Self::Outputs(outputs) => outputs.contains(&block.output),
        }
    }
}

fn wanted(found: &[Block], others: &[NoBlock], choice: &BlockChoice) -> Result<Wanted, BlockError> {
    match choice {
        BlockChoice::Count(asked) if *asked > found.len() => {
            let (asked, others) = (*asked, others.to_vec());
            Err(BlockError::TooFew { asked, found: found.len(), others })
        }
        BlockChoice::Count(asked) => Ok(Wanted::Count(*asked)),
        BlockChoice::Names(names) => {
            let output = |name: &String| {
                let named =
                    |block: &&Block| block.name == *name || block.nodes.last() == Some(name);
                let block = found.iter().find(named).ok_or_else(|| BlockError::Unknown {
                    name: name.clone(),
                    known: found.iter().map(|block| format!("`{}`", block.name)).collect(),
                    others: others.to_vec(),
                })?;
                Ok(block.output)
            };
            names.iter().map(output).collect::<Result<_, _>>().map(Wanted::Outputs)
        }
    }
}

/// The nodes of a graph that blocks that are gone lead to, with their additions.
fn behind(graph: &Graph, gone: &[(Block, Adaptor)]) -> FxHashSet<NodeId> {
    let mut affected: FxHashSet<NodeId> = gone.iter().map(|(block, _)| block.sum).collect();
    for id in graph.topological_order() {
        let node = &graph[id];
        let mut read = node.inputs().iter().flatten().chain(node.captured());
        let changed = |value| graph.producer(value).is_some_and(|made| affected.contains(&made));
        if read.any(|&value| changed(value)) {
            affected.insert(id);
        }
    }
    affected
}

/// What the products before gaps have to give, for every gap that nothing but the gap stands behind.
fn replacements(original: &Graph, current: &Graph, gone: &[(Block, Adaptor)]) -> Vec<Replacement> {
    let order: FxHashMap<ValueId, usize> = original
        .topological_order()
        .into_iter()
        .enumerate()
        .filter_map(|(place, id)| Some((original[id].output(0)?, place)))
        .collect();
    let mut replacements: Vec<Replacement> = Vec::new();
    for (block, adaptor) in gone {
        if *adaptor == Adaptor::Own {
            continue;
        }
        let Some(given) = before(original, current, gone, block) else { continue };
        let wanted = block.output;
        match replacements.iter_mut().find(|known| known.given == given) {
            Some(known) if order.get(&known.wanted) < order.get(&wanted) => known.wanted = wanted,
            Some(_) => {}
            None => replacements.push(Replacement { given, wanted }),
        }
    }
    replacements
}

/// What is read in place of a block and for nothing else, before an activation that changes nothing in front of the one behind the block.
fn before(
    original: &Graph,
    current: &Graph,
    gone: &[(Block, Adaptor)],
    block: &Block,
) -> Option<ValueId> {
    if !block.alone {
        return None;
    }
    let next = limits(original, block.output);
    let mut given = present(gone, block.input)?;
    loop {
        let (id, _) = current.get_value(given)?.producer()?;
        let read =
            current[id].input(0).filter(|_| next.is_some() && limits_at(current, id) == next);
        match read.filter(|&read| current.only_use(read).is_some()) {
            Some(read) => given = present(gone, read)?,
            None => return Some(given),
        }
    }
}

/// What is read where a value was that may be gone; none if that is read elsewhere too, or was mapped.
fn present(gone: &[(Block, Adaptor)], mut value: ValueId) -> Option<ValueId> {
    while let Some((block, adaptor)) = gone.iter().find(|(block, _)| block.output == value) {
        if *adaptor == Adaptor::Own || !block.alone {
            return None;
        }
        value = block.input;
    }
    Some(value)
}
