//! Residual blocks that went.
use super::{grouped, json, percent, table};
use lapidary::passes::prune::compensated::{Adaptor, Block, DroppedBlock, DroppedBlocks, NoBlock};
use serde::Serialize;

/// What went, and what it cost.
#[derive(Serialize)]
pub(super) struct Blocks {
    blocks: Vec<Removed>,
    /// Additions that close no block.
    others: Vec<Other>,
    losses: Vec<Loss>,
    fitted: usize,
    /// The share of multiply-accumulates that stays.
    reached: f64,
}

#[derive(Serialize)]
struct Removed {
    name: String,
    nodes: Vec<String>,
    /// The share of the multiply-accumulates of the model.
    macs: f64,
    parameters: u64,
    /// What the outputs lose, with what went before, when the input of the block takes its place.
    loss_identity: f64,
    /// The same with a linear map in its place.
    loss_linear: Option<f64>,
    /// `identity`, or where a linear map went: `before`, `behind`, `own`; none for what stays.
    replaced_by: Option<&'static str>,
}

#[derive(Serialize)]
struct Other {
    node: String,
    reason: String,
}

/// How far the outputs were from those of the original after a step.
#[derive(Serialize)]
struct Loss {
    step: &'static str,
    loss: f64,
}

impl Blocks {
    pub(super) fn new(dropped: &DroppedBlocks) -> Self {
        let losses = dropped.losses.iter().map(|&(step, loss)| Loss { step, loss });
        Self {
            blocks: dropped.blocks.iter().map(removed).collect(),
            others: dropped.others.iter().map(other).collect(),
            losses: losses.collect(),
            fitted: dropped.fitted,
            reached: dropped.share,
        }
    }

    pub(super) fn print(&self) {
        let row = |block: &Removed| {
            vec![
                block.name.clone(),
                block.nodes.len().to_string(),
                percent(block.macs),
                format!("{:.4}", block.loss_identity),
                block.loss_linear.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}")),
                match block.replaced_by {
                    None => "stays".to_owned(),
                    Some("identity") => "removed".to_owned(),
                    Some("own") => "linear map".to_owned(),
                    Some(place) => format!("linear map, in the product {place}"),
                },
            ]
        };
        let rows = self.blocks.iter().map(row).collect();
        let header = ["block", "nodes", "MACs", "loss removed", "with linear map", ""];
        println!("\n{}", table(&header, rows));
        println!(
            "{} of the MACs stay; {} products fitted to make up for blocks",
            percent(self.reached),
            self.fitted
        );
        let steps: Vec<String> =
            self.losses.iter().map(|Loss { step, loss }| format!("{step} {loss:.4}")).collect();
        println!("distance of the outputs from the original: {}", steps.join(", "));
    }
}

fn removed(block: &DroppedBlock) -> Removed {
    Removed {
        name: block.name.clone(),
        nodes: block.nodes.clone(),
        macs: block.macs,
        parameters: block.parameters,
        loss_identity: block.identity,
        loss_linear: block.linear,
        replaced_by: block.adaptor.map(|adaptor| match adaptor {
            Adaptor::Identity => "identity",
            Adaptor::Before => "before",
            Adaptor::Behind => "behind",
            Adaptor::Own => "own",
        }),
    }
}

fn other(NoBlock { node, why }: &NoBlock) -> Other {
    Other { node: node.clone(), reason: why.clone() }
}

/// The blocks of a model.
#[derive(Serialize)]
struct Found {
    blocks: Vec<FoundBlock>,
    others: Vec<Other>,
}

#[derive(Serialize)]
struct FoundBlock {
    name: String,
    nodes: Vec<String>,
    macs: u64,
    parameters: u64,
}

/// Prints the residual blocks of a model, and additions that close none.
pub(crate) fn block_plan((blocks, others): &(Vec<Block>, Vec<NoBlock>), as_json: bool) {
    if as_json {
        let found = |block: &Block| FoundBlock {
            name: block.name.clone(),
            nodes: block.nodes.clone(),
            macs: block.macs,
            parameters: block.parameters,
        };
        let blocks = blocks.iter().map(found).collect();
        return json("block-plan", &Found { blocks, others: others.iter().map(other).collect() });
    }
    let row = |block: &Block| {
        let counts = [block.nodes.len() as u64, block.macs, block.parameters].map(grouped);
        std::iter::once(block.name.clone()).chain(counts).collect()
    };
    let header = ["residual block", "nodes", "MACs", "parameters"];
    println!("{}", table(&header, blocks.iter().map(row).collect()));
    for NoBlock { node, why } in others {
        println!("`{node}` closes none: {why}");
    }
}
