//! What was pruned while what stays made up for it.
use super::{percent, table};
use lapidary::passes::prune::Resource;
use lapidary::passes::prune::compensated::{Pruned, Target};
use serde::Serialize;
use std::collections::BTreeMap;

/// What went, and what it cost.
#[derive(Serialize)]
pub(super) struct Pruning {
    resource: String,
    /// The share asked for, if one was.
    asked: Option<f64>,
    reached: f64,
    groups: Vec<Group>,
    losses: Vec<Loss>,
    fitted: usize,
    /// Whether the samples were made up.
    made_up_samples: bool,
}

/// The channels of a group.
#[derive(Serialize)]
struct Group {
    name: String,
    size: usize,
    kept: usize,
    /// Why channels stay whatever they cost, and how many.
    held: BTreeMap<String, usize>,
}

/// How far the outputs were from those of the original after a step.
#[derive(Serialize)]
struct Loss {
    step: &'static str,
    loss: f64,
}

impl Pruning {
    pub(super) fn new(pruned: &Pruned, target: Option<&Target>, on_data: bool) -> Self {
        let groups = pruned.plan.groups.iter().map(|group| Group {
            name: group.name.clone(),
            size: group.size,
            kept: group.size - group.removed.len(),
            held: group.held.iter().cloned().collect(),
        });
        let losses = pruned.losses.iter().map(|&(step, loss)| Loss { step, loss });
        Self {
            resource: target.map_or(Resource::Macs, |target| target.resource).to_string(),
            asked: target.map(|target| target.share),
            reached: pruned.share,
            groups: groups.collect(),
            losses: losses.collect(),
            fitted: pruned.fitted,
            made_up_samples: !on_data,
        }
    }

    pub(super) fn print(&self) {
        let row = |group: &Group| {
            let held: Vec<String> =
                group.held.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
            vec![group.name.clone(), format!("{} of {}", group.kept, group.size), held.join("; ")]
        };
        let rows = self.groups.iter().map(row).collect();
        println!("\n{}", table(&["channels of", "kept", "held by"], rows));
        let asked = self.asked.map(|share| format!(", asked for {}", percent(share)));
        println!(
            "{} of the {} stay{}; {} products fitted",
            percent(self.reached),
            self.resource,
            asked.unwrap_or_default(),
            self.fitted
        );
        let steps: Vec<String> =
            self.losses.iter().map(|Loss { step, loss }| format!("{step} {loss:.4}")).collect();
        println!("distance of the outputs from the original: {}", steps.join(", "));
        if self.made_up_samples {
            println!("samples were made up; with --data the result is closer to the original");
        }
    }
}
