//! Which channels of a graph belong together, and which have to stay.
use super::elements::{Axis, Elements};
use super::heads::{Grain, Heads};
use super::propagate::{constant, weight_behind};
use super::relations::{Balance, Pin, Relations, Rewrite, Role, Tie};
use lapidary_ir::{Graph, NodeId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The channels of a graph, in groups that are decided together.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// Channels coupled by a common weight or a balance, in order of the graph.
    pub groups: Vec<Group>,
    pub(crate) rewrites: Vec<Rewrite>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) extents: BTreeMap<Axis, usize>,
    pub(crate) owners: FxHashMap<Axis, Vec<usize>>,
    pub(crate) balances: Vec<Balance>,
    pub(crate) names: FxHashMap<Axis, String>,
    /// The values that are no constant data.
    pub(crate) computed: FxHashSet<ValueId>,
}

/// Channels that are decided together.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The nodes that make them.
    pub name: String,
    /// The number of channels, each possibly several elements of an axis.
    pub size: usize,
    /// The channels that can go: numbers below `size`.
    pub removable: Vec<usize>,
    /// The weights along the channels, those that make them first.
    pub members: Vec<Member>,
    /// Numbers of elements that have to be equal: what asks for it, and the blocks.
    pub balances: Vec<(String, usize)>,
    /// Why channels have to stay, and how many.
    pub pins: Vec<(String, usize)>,
    /// Why channels have to stay, and which.
    pub held: Vec<(String, Vec<usize>)>,
    /// Index into the channels of the analysis, by number.
    pub(crate) channels: Vec<usize>,
    /// The axes of weights that make the channels, quantized or not.
    pub(crate) producers: Vec<Axis>,
}

/// An axis of a weight along which channels of a group run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node that reads the weight.
    pub node: String,
    /// The weight.
    pub value: String,
    /// Which of its axes.
    pub axis: usize,
    /// What it does with the channels.
    pub role: Role,
    pub(crate) place: Axis,
}

/// Elements of axes that go or stay as one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channel {
    /// Each element: axis and index.
    pub(crate) elements: Vec<(Axis, usize)>,
    /// Whether a weight makes it and nothing holds it.
    pub(crate) removable: bool,
    /// Indices of the pins that hold it.
    pins: BTreeSet<usize>,
}

impl Channel {
    /// How many elements there are on each axis.
    pub(crate) fn counts(&self) -> BTreeMap<Axis, usize> {
        let mut counts = BTreeMap::new();
        self.elements.iter().for_each(|&(axis, _)| *counts.entry(axis).or_default() += 1);
        counts
    }
}

impl Analysis {
    /// Follows every channel a weight of `graph` makes; those of an attention are heads. Types must have been
    /// inferred.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        Self::with(graph, Grain::default())
    }

    /// Follows every channel a weight of `graph` makes; `grain` says what a channel of an attention is. Where
    /// no head can go, places are followed. Types must have been inferred.
    #[must_use]
    pub fn with(graph: &Graph, grain: Grain) -> Self {
        let mut heads = Heads::of(graph, grain);
        loop {
            let relations = Relations::of(graph, heads.clone());
            let split = relations.split.clone();
            let analysis = Self::relate(graph, relations);
            let stuck = analysis.stuck(&split);
            if stuck.is_empty() {
                return analysis;
            }
            heads.give_up(stuck);
        }
    }

    /// The attentions of split axes none of whose heads can go.
    fn stuck(&self, split: &[(Axis, usize)]) -> BTreeSet<usize> {
        let goes = |axis: &Axis| {
            let owners = self.owners.get(axis);
            owners.is_some_and(|owners| owners.iter().any(|&owner| self.channels[owner].removable))
        };
        let mut stuck: BTreeSet<usize> = split.iter().map(|&(_, attention)| attention).collect();
        for (axis, attention) in split {
            if goes(axis) {
                stuck.remove(attention);
            }
        }
        stuck
    }

    fn relate(graph: &Graph, mut relations: Relations) -> Self {
        let mut elements = reach(graph, &mut relations);
        let mut analysis = Self { rewrites: relations.rewrites.clone(), ..Self::default() };
        analysis.collect_channels(&mut elements);
        analysis.hold(graph, &relations);
        analysis.balances = relations.balances.clone();
        analysis.balances.retain(|balance| analysis.extents.contains_key(&balance.axis));
        analysis.make_groups(graph, &relations);
        for &axis in analysis.extents.keys() {
            analysis.names.insert(axis, graph.value(axis.value).name().to_owned());
            if constant(graph, axis.value).is_none() {
                analysis.computed.insert(axis.value);
            }
        }
        analysis
    }

    /// Whether no channel can go.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.groups.iter().all(|group| group.removable.is_empty())
    }

    fn collect_channels(&mut self, elements: &mut Elements) {
        let mut numbers: FxHashMap<usize, usize> = FxHashMap::default();
        let axes: Vec<(Axis, usize)> = elements.axes().collect();
        for (axis, extent) in axes {
            self.extents.insert(axis, extent);
            let mut owners = Vec::with_capacity(extent);
            for index in 0..extent {
                let next = self.channels.len();
                let number = *numbers.entry(elements.find(axis, index)).or_insert(next);
                if number == next {
                    self.channels.push(Channel::default());
                }
                self.channels[number].elements.push((axis, index));
                owners.push(number);
            }
            self.owners.insert(axis, owners);
        }
    }

    /// Marks what is pinned, and what a weight makes.
    fn hold(&mut self, graph: &Graph, relations: &Relations) {
        for (axis, role, _) in &relations.roles {
            if let (Role::Producer, Some(owners)) = (role, self.owners.get(axis)) {
                owners.iter().for_each(|&owner| self.channels[owner].removable = true);
            }
        }
        let mut tracked: FxHashMap<_, Vec<usize>> = FxHashMap::default();
        for axis in self.extents.keys() {
            tracked.entry(axis.value).or_default().push(axis.axis);
        }
        for (number, pin) in relations.pins.iter().enumerate() {
            let axes = tracked.get(&pin.value).map_or(&[][..], Vec::as_slice);
            for &axis in axes.iter().filter(|axis| pin.axis.is_none_or(|pinned| pinned == **axis)) {
                let owners = &self.owners[&Axis::new(pin.value, axis)];
                let held = owners.iter().enumerate();
                for (_, &owner) in held.filter(|(i, _)| pin.element.is_none_or(|held| held == *i)) {
                    self.channels[owner].pins.insert(number);
                    self.channels[owner].removable = false;
                }
            }
        }
        debug_assert!(
            self.extents.keys().all(|axis| graph.get_value(axis.value).is_some()),
            "tracked values are alive"
        );
    }

    /// Groups are the channels connected by a producing axis or a balance.
    fn make_groups(&mut self, graph: &Graph, relations: &Relations) {
        let mut producers: Vec<(Axis, NodeId)> = Vec::new();
        for &(axis, role, node) in &relations.roles {
            if role == Role::Producer && self.extents.contains_key(&axis) {
                producers.push((axis, node));
            }
        }
        let balanced = self.balances.iter().map(|balance| balance.axis);
        let mut couplings = Elements::default();
        let all = Axis::new(
            match producers.first() {
                Some((axis, _)) => axis.value,
                None => return,
            },
            0,
        );
        couplings.track(all, self.channels.len());
        for axis in producers.iter().map(|&(axis, _)| axis).chain(balanced) {
            for pair in self.owners[&axis].windows(2) {
                couplings.union((all, pair[0]), (all, pair[1]));
            }
        }
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        let mut names: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
        let mut seen = FxHashSet::default();
        for (axis, node) in producers {
            let Some(&first) = self.owners[&axis].first() else { continue };
            let root = couplings.find(all, first);
            names.entry(root).or_default().push(node);
            let group = groups.entry(root).or_default();
            if !group.producers.contains(&axis) {
                group.producers.push(axis);
            }
            for &owner in &self.owners[&axis] {
                if seen.insert(owner) {
                    group.channels.push(owner);
                }
            }
        }
        for (root, mut group) in groups {
            group.size = group.channels.len();
            let numbered = group.channels.iter().enumerate();
            let free = numbered.filter(|&(_, &channel)| self.channels[channel].removable);
            group.removable = free.map(|(number, _)| number).collect();
            group.name = name(graph, &names[&root]);
            group.pins = self.pins(graph, &group, &relations.pins);
            group.held = self.held(graph, &group, &relations.pins);
            self.groups.push(group);
        }
        make_unique(&mut self.groups);
        self.add_members(graph, relations);
        self.add_balances(graph);
    }

    fn pins(&self, graph: &Graph, group: &Group, pins: &[Pin]) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &channel in &group.channels {
            for &pin in &self.channels[channel].pins {
                *counts.entry(pin).or_default() += 1;
            }
        }
        let mut told: Vec<(String, usize)> = Vec::new();
        for (pin, count) in counts {
            let reason = reason(graph, &pins[pin]);
            match told.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, most)) => *most = count.max(*most),
                None => told.push((reason, count)),
            }
        }
        told
    }

    fn held(&self, graph: &Graph, group: &Group, pins: &[Pin]) -> Vec<(String, Vec<usize>)> {
        let mut held: Vec<(String, Vec<usize>)> = Vec::new();
        let mut numbers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, &channel) in group.channels.iter().enumerate() {
            for &pin in &self.channels[channel].pins {
                numbers.entry(pin).or_default().push(number);
            }
        }
        for (pin, numbers) in numbers {
            let reason = reason(graph, &pins[pin]);
            match held.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, all)) => all.extend(numbers),
                None => held.push((reason, numbers)),
            }
        }
        for (_, numbers) in &mut held {
            numbers.sort_unstable();
            numbers.dedup();
        }
        held
    }

    fn add_members(&mut self, graph: &Graph, relations: &Relations) {
        let mut group_of = vec![None; self.channels.len()];
        for (number, group) in self.groups.iter().enumerate() {
            group.channels.iter().for_each(|&channel| group_of[channel] = Some(number));
        }
        let mut roles: BTreeMap<Axis, Vec<(Role, NodeId)>> = BTreeMap::new();
        for &(axis, role, node) in &relations.roles {
            if let Some(source) = self.source_axis(graph, axis) {
                roles.entry(source).or_default().push((role, node));
            }
        }
        for &axis in self.extents.keys() {
            if constant(graph, axis.value).is_none() {
                continue;
            }
            let reader = graph.consumers(axis.value).next();
            let alone = reader.map(|node| (Role::Companion, node));
            let known = roles.get(&axis).cloned().unwrap_or_else(|| alone.into_iter().collect());
            let groups: BTreeSet<usize> =
                self.owners[&axis].iter().filter_map(|&owner| group_of[owner]).collect();
            for group in groups {
                for &(role, node) in &known {
                    self.groups[group].members.push(Member {
                        node: graph[node].label(graph).to_owned(),
                        value: graph.value(axis.value).name().to_owned(),
                        axis: axis.axis,
                        role,
                        place: axis,
                    });
                }
            }
        }
        for group in &mut self.groups {
            group.members.sort_by_key(|member| member.role);
        }
    }

    /// The axis of constant data along which the channels of a possibly quantized weight run.
    pub(crate) fn source_axis(&self, graph: &Graph, weight: Axis) -> Option<Axis> {
        self.owners.get(&weight)?;
        weight_behind(graph, weight.value)?;
        let mut place = weight;
        while constant(graph, place.value).is_none() {
            let node = &graph[graph.producer(place.value)?];
            if node.is("Transpose") {
                let rank = graph.value(place.value).shape()?.len();
                let from = match node.ints("perm") {
                    Some(order) => order.get(place.axis).copied()?,
                    None => (rank - 1 - place.axis) as i64,
                };
                place.axis = usize::try_from(from).ok()?;
            }
            place.value = node.input(0)?;
        }
        Some(place)
    }

    fn add_balances(&mut self, graph: &Graph) {
        for balance in &self.balances {
            let owners = &self.owners[&balance.axis];
            for group in &mut self.groups {
                if group.channels.iter().any(|channel| owners.contains(channel)) {
                    let node = &graph[balance.node];
                    let text = format!("`{}` ({})", node.label(graph), node.op_type);
                    if !group.balances.contains(&(text.clone(), balance.blocks)) {
                        group.balances.push((text, balance.blocks));
                    }
                }
            }
        }
    }
}

/// Tracks every axis that shares elements with one a weight makes, and unites them.
fn reach(graph: &Graph, relations: &mut Relations) -> Elements {
    let mut elements = Elements::default();
    let mut ties: FxHashMap<Axis, Vec<usize>> = FxHashMap::default();
    for (number, tie) in relations.ties.iter().enumerate() {
        ties.entry(tie.left).or_default().push(number);
        ties.entry(tie.right).or_default().push(number);
    }
    let mut waiting: Vec<Axis> = Vec::new();
    let makers = relations.roles.iter().filter(|(_, role, _)| *role == Role::Producer);
    for &(axis, ..) in makers {
        waiting.push(axis);
        while let Some(axis) = waiting.pop() {
            let shape = graph.value(axis.value).shape();
            let extent = shape.and_then(|shape| shape.get(axis.axis)?.value());
            let Some(extent) = extent.and_then(|extent| usize::try_from(extent).ok()) else {
                continue;
            };
            if !elements.track(axis, extent) {
                continue;
            }
            for &number in ties.get(&axis).map_or(&[][..], Vec::as_slice) {
                let Tie { left, right, .. } = relations.ties[number];
                waiting.extend([left, right]);
            }
        }
    }
    for tie in &relations.ties {
        if elements.extent(tie.left).is_some() && elements.extent(tie.right).is_some() {
            tie.unite(&mut elements);
        }
    }
    let tracked: Vec<Axis> = elements.axes().map(|(axis, _)| axis).collect();
    for axis in tracked {
        if let Some(tensor) = constant(graph, axis.value)
            && tensor.elem_type().bits().is_none_or(|bits| bits % 8 != 0)
        {
            relations.pin_value(axis.value, None, "has elements that are not whole bytes");
        }
    }
    elements
}

/// The nodes of a group: all, when they are few.
fn name(graph: &Graph, nodes: &[NodeId]) -> String {
    let mut labels: Vec<&str> = nodes.iter().map(|&node| graph[node].label(graph)).collect();
    labels.dedup();
    let rest = labels.len().saturating_sub(3);
    labels.truncate(3);
    let name = labels.join(", ");
    if rest == 0 { name } else { format!("{name} and {rest} more") }
}

/// Numbers groups whose nodes are called alike, in order of the graph.
pub(crate) fn make_unique(groups: &mut [Group]) {
    let mut known: BTreeSet<String> = groups.iter().map(|group| group.name.clone()).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for group in groups {
        if seen.insert(group.name.clone()) {
            continue;
        }
        let numbered = (2..).map(|number: usize| format!("{} ({number})", group.name));
        let free = numbered.into_iter().find(|name| !known.contains(name));
        group.name = free.unwrap_or_default();
        known.insert(group.name.clone());
        seen.insert(group.name.clone());
    }
}

fn reason(graph: &Graph, pin: &Pin) -> String {
    let value = graph.value(pin.value).name();
    let why: &Cow<'static, str> = &pin.why;
    match pin.node {
        Some(node) => {
            let node = &graph[node];
            format!("`{}` ({}) {why}", node.label(graph), node.op_type)
        }
        None => format!("`{value}` {why}"),
    }
}

impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return writeln!(f, "no weight makes channels");
        }
        for group in &self.groups {
            write!(f, "{group}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {} channels can go", self.name, self.removable.len(), self.size)?;
        for member in &self.members {
            let does = match member.role {
                Role::Producer => "made by",
                Role::Consumer => "read by",
                Role::Companion => "along",
            };
            writeln!(f, "  {does} `{}` axis {} of `{}`", member.value, member.axis, member.node)?;
        }
        for (node, blocks) in &self.balances {
            writeln!(f, "  {node} keeps as many in each of {blocks} blocks")?;
        }
        for (reason, count) in &self.pins {
            writeln!(f, "  {count} stay: {reason}")?;
        }
        Ok(())
    }
}
