//! What was pruned, and what made up for it.
use super::{percent, table};
use lapidary::passes::prune::compensated::{Pruned, Round};
use lapidary::passes::prune::{
    ChannelPlan, GroupPlan, MeanReplacement, Resource, Scope, Target, Try, Unreplaced,
};
use lapidary::{Amount, Cut, PruneOptions};
use serde::Serialize;
use std::collections::BTreeMap;

/// What went, and what it cost.
#[derive(Serialize)]
pub(super) struct Pruning {
    importance: String,
    /// What channels went by if they went at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    scope: &'static str,
    groups: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_replacement: Option<Means>,
    #[serde(flatten)]
    made_up: Option<MadeUp>,
}

/// What products got in their biases in place of what went.
#[derive(Serialize)]
struct Means {
    /// Channels that went.
    removed: usize,
    /// Those of them whose mean is in the biases of all that read them.
    replaced: usize,
    /// The products whose biases changed.
    products: Vec<String>,
    /// The normalizations whose running variances changed.
    normalizations: Vec<String>,
    left: Vec<Left>,
}

/// Channels with nothing in their place, for one reason.
#[derive(Serialize)]
struct Left {
    reason: String,
    channels: usize,
    nodes: Vec<String>,
}

/// What stays made up for what went.
#[derive(Serialize)]
struct MadeUp {
    resource: String,
    /// The share asked for, if one was.
    asked: Option<f64>,
    reached: f64,
    /// What a target of latency was measured in: tract, or a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    /// What it could not run alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmeasured: Vec<Unmeasured>,
    /// For a target of latency the plans that were measured, the last one was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measured: Vec<Measured>,
    losses: Vec<Loss>,
    fitted: usize,
    rounds: Vec<Done>,
    /// Whether the samples were made up.
    made_up_samples: bool,
}

/// Shares of the time of the original.
#[derive(Serialize)]
struct Measured {
    predicted: f64,
    measured: f64,
}

/// A product that counts with the nodes that are none.
#[derive(Serialize)]
struct Unmeasured {
    name: String,
    reason: String,
}

/// The channels of a group.
#[derive(Serialize)]
struct Group {
    name: String,
    size: usize,
    kept: usize,
    /// Why channels stay whatever they cost, and how many.
    held: BTreeMap<String, usize>,
    /// Why less went than asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// How far the outputs were from those of the original after a step.
#[derive(Serialize)]
struct Loss {
    step: &'static str,
    loss: f64,
}

/// What a round left.
#[derive(Serialize)]
struct Done {
    removed: usize,
    share: f64,
    loss: f64,
}

impl From<&GroupPlan> for Group {
    fn from(group: &GroupPlan) -> Self {
        Self {
            name: group.name.clone(),
            size: group.size,
            kept: group.size - group.removed.len(),
            held: group.held.iter().cloned().collect(),
            note: group.note.clone(),
        }
    }
}

impl From<&MeanReplacement> for Means {
    fn from(means: &MeanReplacement) -> Self {
        let left = |left: &Unreplaced| Left {
            reason: left.reason.clone(),
            channels: left.channels,
            nodes: left.nodes.clone(),
        };
        Self {
            removed: means.removed,
            replaced: means.replaced,
            products: means.shifts.iter().map(|shift| shift.name.clone()).collect(),
            normalizations: means.variances.iter().map(|scale| scale.name.clone()).collect(),
            left: means.left.iter().map(left).collect(),
        }
    }
}

impl Means {
    /// Nodes that are named; of more the number tells.
    const NAMED: usize = 3;

    fn print(&self) {
        println!(
            "means of {} of {} removed channels are in the biases of {} products, and {} normalizations expect less variance",
            self.replaced,
            self.removed,
            self.products.len(),
            self.normalizations.len()
        );
        for Left { reason, channels, nodes } in &self.left {
            let named = nodes.iter().take(Self::NAMED).map(|node| format!("`{node}`"));
            let mut named: Vec<String> = named.collect();
            if nodes.len() > Self::NAMED {
                named.push(format!("{} more", nodes.len() - Self::NAMED));
            }
            let at =
                if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
            println!("  nothing in place of {channels}: {reason}{at}");
        }
    }
}

impl MadeUp {
    fn new(cut: &Cut, pruned: &Pruned, options: &PruneOptions, on_data: bool) -> Self {
        let target = if let Amount::Target(target) = options.amount { Some(target) } else { None };
        let timed = |target: &Target| target.resource == Resource::Latency;
        let unmeasured = |(name, reason): &(String, String)| Unmeasured {
            name: name.clone(),
            reason: reason.clone(),
        };
        let losses = pruned.losses.iter().map(|&(step, loss)| Loss { step, loss });
        let done = |&Round { removed, share, loss }: &Round| Done { removed, share, loss };
        let tried = |&Try { predicted, measured }: &Try| Measured { predicted, measured };
        Self {
            resource: target.map_or(Resource::Macs, |target| target.resource).to_string(),
            asked: target.map(|target| target.share),
            reached: pruned.share,
            runtime: target.filter(timed).map(|_| options.runtime.to_string()),
            unmeasured: cut.unmeasured.iter().map(unmeasured).collect(),
            measured: pruned.tries.iter().map(tried).collect(),
            losses: losses.collect(),
            fitted: pruned.fitted,
            rounds: pruned.rounds.iter().map(done).collect(),
            made_up_samples: !on_data,
        }
    }

    fn print(&self) {
        let asked = self.asked.map(|share| format!(", asked for {}", percent(share)));
        println!(
            "{} of the {} stay{}; {} products fitted",
            percent(self.reached),
            self.resource,
            asked.unwrap_or_default(),
            self.fitted
        );
        for Measured { predicted, measured } in &self.measured {
            let (predicted, measured) = (percent(*predicted), percent(*measured));
            let runtime = self.runtime.as_deref().unwrap_or_default();
            println!("latency: {predicted} predicted, {measured} measured in `{runtime}`");
        }
        for Unmeasured { name, reason } in &self.unmeasured {
            let last = reason.lines().last().unwrap_or_default();
            println!("not measured alone: {name}: {last}");
        }
        let steps: Vec<String> =
            self.losses.iter().map(|Loss { step, loss }| format!("{step} {loss:.4}")).collect();
        println!("distance of the outputs from the original: {}", steps.join(", "));
        for (number, Done { removed, share, loss }) in self.rounds.iter().enumerate() {
            if self.rounds.len() > 1 {
                let (round, share) = (number + 1, percent(*share));
                println!(
                    "round {round}: {removed} channels gone, {share} stay, distance {loss:.4}"
                );
            }
        }
        if self.made_up_samples {
            println!("samples were made up; with --data the result is closer to the original");
        }
    }
}

impl Pruning {
    pub(super) fn new(cut: &Cut, options: &PruneOptions, on_data: bool) -> Self {
        let own = cut.compensated.as_ref().map(|pruned| &pruned.plan);
        let plan: Option<&ChannelPlan> = cut.plan.as_ref().ok().or(own);
        Self {
            importance: cut.importance.to_string(),
            seed: cut.seed,
            mean_replacement: cut.means.as_ref().map(Means::from),
            scope: match cut.scope {
                Scope::Local => "local",
                Scope::Global => "global",
                Scope::Isomorphic => "isomorphic",
                Scope::Measured => "measured",
            },
            groups: plan.iter().flat_map(|plan| &plan.groups).map(Group::from).collect(),
            made_up: cut.compensated.as_ref().map(|own| MadeUp::new(cut, own, options, on_data)),
        }
    }

    pub(super) fn print(&self) {
        let seed = self.seed.map_or_else(String::new, |seed| format!(" (seed {seed})"));
        let ranked = format!("ranked by {}{seed}, {}", self.importance, self.scope);
        let Some(made_up) = &self.made_up else {
            println!("{ranked}");
            self.mean_replacement.iter().for_each(Means::print);
            return;
        };
        let row = |group: &Group| {
            let held: Vec<String> =
                group.held.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
            vec![group.name.clone(), format!("{} of {}", group.kept, group.size), held.join("; ")]
        };
        let rows = self.groups.iter().map(row).collect();
        println!("\n{}", table(&["channels of", "kept", "held by"], rows));
        println!("{ranked}");
        made_up.print();
    }
}
