//! What groups of coupled channels lose when a share of them goes.
use super::{json, percent, percent_or_dash, table};
use lapidary::passes::prune::compensated::{GroupSensitivity, PruningGoal, Sensitivities, Shares};
use lapidary::passes::prune::{ChannelPlan, GroupPlan};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was found out, and what to do about it.
pub(crate) struct GroupSensitivityReport<'a> {
    pub(crate) found: &'a Sensitivities,
    /// What the recipe removes, of the groups that `prune --plan` shows.
    pub(crate) plan: Option<&'a ChannelPlan>,
    pub(crate) ratios: &'a [f64],
    pub(crate) goal: PruningGoal,
    /// Whether the samples are not made up.
    pub(crate) on_data: bool,
    /// What to run.
    pub(crate) command: Option<String>,
}

/// The report as JSON has it.
#[derive(Serialize)]
struct Told<'a> {
    samples: usize,
    made_up_samples: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    ratios: &'a [f64],
    groups: Vec<Group<'a>>,
    /// None if what is asked for is out of reach.
    recipe: Option<Recipe>,
}

/// A group of coupled channels.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    size: usize,
    held: usize,
    held_by: BTreeMap<&'a str, usize>,
    points: Vec<Point>,
}

/// A group without some of its channels.
#[derive(Serialize)]
struct Point {
    ratio: f64,
    removed: usize,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    saved: Part,
}

/// Shares of a model.
#[derive(Serialize)]
struct Part {
    macs: f64,
    parameters: f64,
    bytes: f64,
}

impl From<Shares> for Part {
    fn from(Shares { macs, parameters, bytes }: Shares) -> Self {
        Self { macs, parameters, bytes }
    }
}

/// How much of every group goes.
#[derive(Serialize)]
struct Recipe {
    groups: Vec<Ratio>,
    /// Before products are fitted.
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    left: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

#[derive(Serialize)]
struct Ratio {
    name: String,
    size: usize,
    removed: usize,
    ratio: f64,
}

impl<'a> GroupSensitivityReport<'a> {
    fn told(&self) -> Told<'a> {
        let found = self.found;
        let losing = |plan: &&'a ChannelPlan| {
            let groups = plan.groups.iter().filter(|group| !group.removed.is_empty());
            groups.map(ratio).collect()
        };
        let recipe = found.recipe.as_ref().map(|recipe| Recipe {
            groups: self.plan.as_ref().map(losing).unwrap_or_default(),
            loss: recipe.loss,
            accuracy: recipe.accuracy,
            left: recipe.left.into(),
            command: self.command.clone(),
        });
        Told {
            samples: found.samples,
            made_up_samples: !self.on_data,
            accuracy: found.accuracy,
            ratios: self.ratios,
            groups: found.groups.iter().map(group).collect(),
            recipe,
        }
    }
}

fn ratio(group: &GroupPlan) -> Ratio {
    let removed = group.removed.len();
    let ratio = removed as f64 / group.size.max(1) as f64;
    Ratio { name: group.name.clone(), size: group.size, removed, ratio }
}

fn group(group: &GroupSensitivity) -> Group<'_> {
    let point = |point: &lapidary::passes::prune::compensated::Point| Point {
        ratio: point.ratio,
        removed: point.removed,
        loss: point.loss,
        accuracy: point.accuracy,
        saved: point.saved.into(),
    };
    Group {
        name: &group.name,
        size: group.size,
        held: group.held,
        held_by: group.pins.iter().map(|(why, count)| (why.as_str(), *count)).collect(),
        points: group.points.iter().map(point).collect(),
    }
}

/// Prints the groups and the recipe.
pub(crate) fn group_sensitivity(report: &GroupSensitivityReport<'_>, as_json: bool) {
    let goal = report.goal;
    let report = report.told();
    if as_json {
        return json("sensitivity-prune", &report);
    }
    let ratios: Vec<String> = report.ratios.iter().map(|&ratio| short(ratio)).collect();
    let header = |first: &[&'static str]| -> Vec<&str> {
        first.iter().copied().chain(ratios.iter().map(String::as_str)).collect()
    };
    let at = |group: &Group<'_>, show: &dyn Fn(&Point) -> String| -> Vec<String> {
        let point = |ratio: &f64| group.points.iter().find(|point| point.ratio == *ratio);
        report
            .ratios
            .iter()
            .map(|ratio| point(ratio).map_or_else(|| "-".to_owned(), show))
            .collect()
    };
    let free = report.groups.iter().filter(|group| !group.points.is_empty());
    let free: Vec<&Group<'_>> = free.collect();
    let losses = free.iter().map(|group| {
        let mut row = vec![group.name.to_owned(), group.size.to_string(), group.held.to_string()];
        row.extend(at(group, &|point| format!("{:.4}", point.loss)));
        row
    });
    let title = header(&["loss without this share of", "channels", "held"]);
    println!("{}", table(&title, losses.collect()));
    let shares = free.iter().map(|group| {
        let mut row = vec![group.name.to_owned()];
        row.extend(at(group, &|point| {
            let Part { macs, parameters, bytes } = &point.saved;
            format!("{} {} {}", whole(*macs), whole(*parameters), whole(*bytes))
        }));
        row
    });
    println!("\n{}", table(&header(&["% of MACs, parameters, bytes saved"]), shares.collect()));
    if let Some(accuracy) = report.accuracy {
        let rows = free.iter().map(|group| {
            let mut row = vec![group.name.to_owned()];
            row.extend(at(group, &|point| percent_or_dash(point.accuracy)));
            row
        });
        println!("\n{}", table(&header(&["accuracy"]), rows.collect()));
        println!("accuracy of the whole model: {}", percent(accuracy));
    }
    for group in report.groups.iter().filter(|group| group.points.is_empty()) {
        let why: Vec<&str> = group.held_by.keys().copied().collect();
        let why = if why.is_empty() { "too few channels".to_owned() } else { why.join("; ") };
        println!("{}: none of {} can go: {why}", group.name, group.size);
    }
    println!("\nlosses against the original, executed on {} samples", report.samples);
    if report.made_up_samples {
        println!("samples were made up; with --data losses are those on real ones");
    }
    recipe(&report, goal);
}

fn recipe(report: &Told<'_>, goal: PruningGoal) {
    let Some(recipe) = &report.recipe else {
        println!("the recipe's share is out of reach");
        return;
    };
    let Part { macs, parameters, bytes } = &recipe.left;
    let what = match goal {
        PruningGoal::Loss(most) => format!("for a loss of at most {most}"),
        PruningGoal::Share(target) => {
            format!("for {} of the {}", percent(target.share), target.resource)
        }
    };
    let rows = recipe.groups.iter().map(|Ratio { name, size, removed, .. }| {
        vec![name.clone(), format!("{} of {size}", size - removed)]
    });
    println!("\n{}", table(&["recipe", "kept"], rows.collect()));
    println!(
        "{what}: loss {:.4} before products are fitted; {} of the MACs, {} of the parameters, {} of the bytes stay",
        recipe.loss,
        percent(*macs),
        percent(*parameters),
        percent(*bytes)
    );
    if let Some(accuracy) = recipe.accuracy {
        println!("accuracy before products are fitted: {}", percent(accuracy));
    }
    if let Some(command) = &recipe.command {
        println!("\n{command}");
    }
}

/// A share with as few digits as it takes.
fn short(ratio: f64) -> String {
    format!("{} %", (ratio * 1000.0).round() / 10.0)
}

/// A share in percent, whole.
fn whole(share: f64) -> String {
    format!("{:.0}", 100.0 * share)
}
