//! The groups of coupled channels.
use super::json;
use lapidary::passes::prune::{Analysis, Role};
use serde::Serialize;

#[derive(Serialize)]
struct Plan<'a> {
    groups: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    channels: usize,
    removable: &'a [usize],
    members: Vec<Member<'a>>,
    balances: Vec<Counted<'a>>,
    pins: Vec<Counted<'a>>,
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

/// Prints the groups, what couples them and what holds them.
pub(crate) fn prune_plan(analysis: &Analysis, as_json: bool) {
    if !as_json {
        println!("{analysis}");
        return;
    }
    let groups = analysis.groups.iter().map(|group| Group {
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
    });
    json("prune-plan", &Plan { groups: groups.collect() });
}
