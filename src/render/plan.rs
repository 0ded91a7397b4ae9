//! The groups of coupled channels.
use super::json;
use lapidary::ir::Graph;
use lapidary::passes::prune::{Analysis, ChannelPlan, GroupPlan, Role};
use serde::Serialize;

#[derive(Serialize)]
struct Plan<'a> {
    groups: Vec<Group<'a>>,
    /// Nodes with weights that are in no group.
    ungrouped: Vec<Ungrouped>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    channels: usize,
    removable: &'a [usize],
    members: Vec<Member<'a>>,
    balances: Vec<Counted<'a>>,
    pins: Vec<Counted<'a>>,
    /// Which channels have to stay, by reason.
    held: Vec<Held<'a>>,
    /// What would stay and go, if that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<Chosen<'a>>,
}

#[derive(Serialize)]
struct Chosen<'a> {
    keep: Vec<usize>,
    removed: &'a [usize],
    /// Why less goes than asked for.
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct Held<'a> {
    reason: &'a str,
    channels: &'a [usize],
}

#[derive(Serialize)]
struct Ungrouped {
    node: String,
    op_type: String,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Member<'a> {
    node: &'a str,
    weight: &'a str,
    axis: usize,
    role: &'static str,
}

#[derive(Serialize)]
struct Counted<'a> {
    reason: &'a str,
    count: usize,
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Producer => "producer",
        Role::Consumer => "consumer",
        Role::Companion => "companion",
    }
}

fn counted(list: &[(String, usize)]) -> Vec<Counted<'_>> {
    list.iter().map(|(reason, count)| Counted { reason, count: *count }).collect()
}

fn chosen(group: &GroupPlan) -> Chosen<'_> {
    let stays = |channel: &usize| group.removed.binary_search(channel).is_err();
    Chosen {
        keep: (0..group.size).filter(stays).collect(),
        removed: &group.removed,
        note: group.note.as_deref(),
    }
}

/// Prints the groups, what couples them and what holds them, what can't be followed, and what would go by a plan.
pub(crate) fn prune_plan(
    analysis: &Analysis,
    graph: &Graph,
    plan: Option<&ChannelPlan>,
    as_json: bool,
) {
    let ungrouped = analysis.ungrouped(graph);
    if !as_json {
        println!("{analysis}");
        for node in &ungrouped {
            println!(
                "in no group: `{}` ({}): {}",
                node.node,
                node.op_type,
                node.reasons.join("; ")
            );
        }
        if let Some(plan) = plan {
            println!("\nwhat would go:\n{plan}");
        }
        return;
    }
    let planned = |number: usize| plan.and_then(|plan| plan.groups.get(number));
    let groups = analysis.groups.iter().enumerate().map(|(number, group)| Group {
        name: &group.name,
        channels: group.size,
        removable: &group.removable,
        members: group
            .members
            .iter()
            .map(|member| Member {
                node: &member.node,
                weight: &member.value,
                axis: member.axis,
                role: role(member.role),
            })
            .collect(),
        balances: counted(&group.balances),
        pins: counted(&group.pins),
        held: group.held.iter().map(|(reason, channels)| Held { reason, channels }).collect(),
        chosen: planned(number).map(chosen),
    });
    let ungrouped = ungrouped.into_iter().map(|node| Ungrouped {
        node: node.node,
        op_type: node.op_type,
        reasons: node.reasons,
    });
    json("prune-plan", &Plan { groups: groups.collect(), ungrouped: ungrouped.collect() });
}
