//! How many channels of every group go.
//!
//! A share s is the same for every group, or that of one ranking over the channels of several groups, of which the
//! least important go first. For a target the least share that meets it is found by bisection on the ledger.
use super::analysis::{Analysis, Group, Member};
use super::relations::Role;
use super::resources::{Ledger, Resource};
use super::rounding::Rounding;
use super::select::{self, Choice, Extents};
use crate::quantize::NodeSelector;
use lapidary_ir::Graph;
use std::collections::BTreeMap;

/// How much is to be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Of what.
    pub resource: Resource,
    /// The share that may stay, above 0 and at most 1.
    pub share: f64,
}

/// What is to go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand<'a> {
    /// Channels until a share of a resource is left.
    Target(Target),
    /// A share of the channels, from 0 to 1.
    Ratio(f64),
    /// So many channels of every group.
    PerGroup(usize),
    /// These channels, by number of the group.
    Channels(&'a [(usize, Vec<usize>)]),
}

/// The channels that are ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of a group.
    Local,
    /// All.
    Global,
    /// Those of all groups whose channels are made, accompanied and read by the same operators (Fang et al. 2024).
    Isomorphic,
    /// Those of a group; how many go of each is decided by what the outputs lose. For targets.
    #[default]
    Measured,
}

/// What is said of a group by itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Limit {
    /// Nothing.
    #[default]
    Free,
    /// No channel goes.
    Whole,
    /// This share goes, from 0 to 1.
    Ratio(f64),
    /// These channels go.
    Removed(Vec<usize>),
}

/// Nodes that are selected make no channels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no node that makes channels is selected by {}", .0.join(", "))]
pub struct Unselected(pub Vec<String>);

impl Limit {
    /// What is said of every group: channels that `ignore` makes stay, shares are those of the last selector that selects
    /// what makes the channels.
    ///
    /// # Errors
    /// When a selector selects nothing that makes channels.
    pub fn of(
        graph: &Graph,
        analysis: &Analysis,
        ignore: &[NodeSelector],
        ratios: &[(NodeSelector, f64)],
    ) -> Result<Vec<Self>, Unselected> {
        let mut limits = vec![Self::Free; analysis.groups.len()];
        let mut idle = Vec::new();
        let ratios = ratios.iter().map(|(selector, ratio)| (selector, Self::Ratio(*ratio)));
        for (selector, limit) in ratios.chain(ignore.iter().map(|own| (own, Self::Whole))) {
            let mut selects = false;
            for (group, own) in analysis.groups.iter().zip(&mut limits) {
                if makes(graph, group, selector) {
                    own.clone_from(&limit);
                    selects = true;
                }
            }
            if !selects {
                idle.push(format!("`{selector}`"));
            }
        }
        if idle.is_empty() { Ok(limits) } else { Err(Unselected(idle)) }
    }
}

/// Whether selected nodes make channels of a group.
pub(crate) fn makes(graph: &Graph, group: &Group, selector: &NodeSelector) -> bool {
    let producer = |member: &&Member| member.role == Role::Producer;
    let mut makers = group
        .members
        .iter()
        .filter(producer)
        .flat_map(|member| graph.consumers(member.place.value));
    makers.any(|node| selector.selects(graph, node))
}

/// What decides how many channels of every group go.
pub(crate) struct Chooser<'a> {
    pub(crate) analysis: &'a Analysis,
    /// The importance of every channel; of a group without none goes.
    pub(crate) scores: &'a [Option<Vec<f64>>],
    pub(crate) limits: &'a [Limit],
    /// The class of every group; groups of a class are ranked together.
    pub(crate) classes: Vec<usize>,
    /// Whether every group loses the same share.
    pub(crate) local: bool,
    /// Channels of every group at the start; some may be gone.
    pub(crate) whole: &'a [usize],
    /// Channels every axis keeps.
    pub(crate) minimum: usize,
    /// The share of a group that goes at most.
    pub(crate) max_ratio: f64,
    pub(crate) round_to: Rounding,
}

impl Chooser<'_> {
    /// The choices for a demand other than listed channels.
    ///
    /// # Errors
    /// The cost that is left when all goes that can, where that is more than `budget`.
    pub(crate) fn choose(
        &self,
        demand: &Demand<'_>,
        ledger: &Ledger,
        budget: f64,
    ) -> Result<Vec<Choice>, f64> {
        match *demand {
            Demand::Ratio(ratio) => Ok(self.select(&self.counts(ratio))),
            Demand::PerGroup(count) => {
                let of_group = |group: usize| count.saturating_sub(self.gone(group));
                Ok(self.select(&self.limited(of_group)))
            }
            Demand::Target(_) => self.just(ledger, budget),
            Demand::Channels(_) => Ok(vec![Choice::default(); self.limits.len()]),
        }
    }

    /// The choices that just meet a budget.
    fn just(&self, ledger: &Ledger, budget: f64) -> Result<Vec<Choice>, f64> {
        let (mut less, mut more) = (0.0, 1.0);
        let least = self.cost(ledger, &self.select(&self.counts(more)));
        if least > budget * (1.0 + 1e-9) {
            return Err(least);
        }
        let fits =
            |counts: &[usize]| self.cost(ledger, &self.select(counts)) <= budget * (1.0 + 1e-9);
        if fits(&self.counts(less)) {
            return Ok(self.select(&self.counts(less)));
        }
        for _ in 0..24 {
            let middle = (less + more) / 2.0;
            if fits(&self.counts(middle)) { more = middle } else { less = middle }
        }
        // Several groups lose a channel at the same share; those that need not keep it.
        let (fewer, mut counts) = (self.counts(less), self.counts(more));
        for group in 0..counts.len() {
            let count = std::mem::replace(&mut counts[group], fewer[group]);
            if !fits(&counts) {
                counts[group] = count;
            }
        }
        Ok(self.select(&counts))
    }

    fn cost(&self, ledger: &Ledger, choices: &[Choice]) -> f64 {
        let mut extents = ledger.extents(&self.analysis.extents);
        for (group, choice) in self.analysis.groups.iter().zip(choices) {
            let own: Vec<usize> =
                choice.removed.iter().map(|&number| group.channels[number]).collect();
            for (place, count) in ledger.elements(self.analysis, &own) {
                extents[place] = extents[place].saturating_sub(count);
            }
        }
        ledger.total(&extents)
    }

    /// Channels that go of every group at a share.
    fn counts(&self, share: f64) -> Vec<usize> {
        if self.local {
            return self.limited(|group| {
                let all = select::to_remove(self.whole[group], self.minimum, share);
                all.saturating_sub(self.gone(group))
            });
        }
        let mut counts = self.limited(|_| 0);
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (group, &class) in self.classes.iter().enumerate() {
            if self.limits[group] == Limit::Free && self.scores[group].is_some() {
                classes.entry(class).or_default().push(group);
            }
        }
        for groups in classes.values() {
            self.rank(groups, share, &mut counts);
        }
        counts
    }

    /// Counts the least important of all channels of some groups, until a share of those that could go is gone.
    fn rank(&self, groups: &[usize], share: f64, counts: &mut [usize]) {
        let mut ranking: Vec<(f64, usize)> = Vec::new();
        let (mut all, mut gone) = (0, 0);
        for &group in groups {
            let removable = &self.analysis.groups[group].removable;
            let scores = self.scores[group].as_deref().unwrap_or_default();
            ranking.extend(removable.iter().map(|&number| (scores[number], group)));
            gone += self.gone(group);
            all += removable.len() + self.gone(group);
        }
        ranking.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut left = ((share * all as f64 + 1e-9) as usize).saturating_sub(gone);
        for (_, group) in ranking {
            if left == 0 {
                break;
            }
            if counts[group] < self.most(group) {
                counts[group] += 1;
                left -= 1;
            }
        }
    }

    /// What `free` says of groups of which nothing else is said, within what may go.
    fn limited(&self, free: impl Fn(usize) -> usize) -> Vec<usize> {
        let of_group = |(group, limit): (usize, &Limit)| match limit {
            _ if self.scores[group].is_none() => 0,
            Limit::Whole | Limit::Removed(_) => 0,
            Limit::Free => free(group).min(self.most(group)),
            Limit::Ratio(ratio) => {
                let all = select::to_remove(self.whole[group], self.minimum, *ratio);
                all.saturating_sub(self.gone(group)).min(self.most(group))
            }
        };
        self.limits.iter().enumerate().map(of_group).collect()
    }

    /// Channels that went before.
    fn gone(&self, group: usize) -> usize {
        self.whole[group].saturating_sub(self.analysis.groups[group].size)
    }

    /// Channels of a group that may go at most.
    fn most(&self, group: usize) -> usize {
        let share = (self.max_ratio.clamp(0.0, 1.0) * self.whole[group] as f64 + 1e-9) as usize;
        let size = self.analysis.groups[group].size;
        share.saturating_sub(self.gone(group)).min(size.saturating_sub(self.minimum))
    }

    /// So many of every group, the least important first.
    fn select(&self, counts: &[usize]) -> Vec<Choice> {
        let mut extents: Extents = self.analysis.extents.clone();
        let mut choices = vec![Choice::default(); counts.len()];
        for (index, group) in self.analysis.groups.iter().enumerate() {
            if let Limit::Removed(channels) = &self.limits[index] {
                for &number in channels {
                    select::take(self.analysis, group.channels[number], 1, &mut extents);
                }
                choices[index].removed.clone_from(channels);
            }
        }
        for (index, group) in self.analysis.groups.iter().enumerate() {
            let Some(scores) = self.scores[index].as_deref().filter(|_| counts[index] > 0) else {
                continue;
            };
            let multiple = self.round_to.multiple(self.analysis, group);
            let wanted = (counts[index], self.minimum, multiple);
            choices[index] = select::choose(self.analysis, group, scores, wanted, &mut extents);
        }
        choices
    }
}

/// The class of every group: one for all, or one for all groups of the same structure.
pub(crate) fn classes(graph: &Graph, analysis: &Analysis, scope: Scope) -> Vec<usize> {
    if scope != Scope::Isomorphic {
        return vec![0; analysis.groups.len()];
    }
    let mut known: BTreeMap<Vec<(Role, &str)>, usize> = BTreeMap::new();
    let mut class = |group: &Group| {
        let mut structure: Vec<(Role, &str)> =
            group.members.iter().map(|member| (member.role, operator(graph, member))).collect();
        structure.sort_unstable();
        let next = known.len();
        *known.entry(structure).or_insert(next)
    };
    analysis.groups.iter().map(&mut class).collect()
}

/// The operator that reads a weight.
fn operator<'a>(graph: &'a Graph, member: &Member) -> &'a str {
    let mut readers = graph.consumers(member.place.value);
    let own = readers.find(|&node| graph[node].label(graph) == member.node);
    own.map_or("", |node| &graph[node].op_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::model;
    use lapidary_ir::Model;

    /// Hidden groups of 40, 10 and 40 channels, the second with a bias.
    fn network() -> Model {
        model(
            "g (float[1,10] x) => (float[1,10] y)
            <float[10,40] a, float[40,10] b, float[10,40] c, float[40,10] d, float[10] e>
            {
                h = MatMul(x, a)
                i = MatMul(h, b)
                j = Add(i, e)
                k = MatMul(j, c)
                y = MatMul(k, d)
            }",
        )
    }

    /// The number of channels that go of the three groups h, i and k, whose importances are their numbers, those of k from 20
    /// on.
    fn removed(
        scope: Scope,
        demand: Demand<'_>,
        limits: [Limit; 3],
        round_to: usize,
    ) -> Result<Vec<usize>, f64> {
        let model = network();
        let analysis = Analysis::of(&model.graph);
        assert_eq!(analysis.groups.len(), 4);
        let numbers = |start: usize, size: usize| -> Option<Vec<f64>> {
            Some((start..start + size).map(|number| number as f64).collect())
        };
        let scores = [numbers(0, 40), numbers(0, 10), numbers(20, 40), numbers(0, 10)];
        let mut all = limits.to_vec();
        all.push(Limit::Free);
        let whole: Vec<usize> = analysis.groups.iter().map(|group| group.size).collect();
        let chooser = Chooser {
            analysis: &analysis,
            scores: &scores,
            limits: &all,
            classes: classes(&model.graph, &analysis, scope),
            local: scope == Scope::Local,
            whole: &whole,
            minimum: 1,
            max_ratio: 0.9,
            round_to: Rounding::To(round_to),
        };
        let ledger = Ledger::of(&model, &analysis, Resource::Macs);
        let share = if let Demand::Target(target) = demand { target.share } else { 1.0 };
        let choices = chooser.choose(&demand, &ledger, 1600.0 * share)?;
        assert!(choices[3].removed.is_empty(), "outputs stay");
        Ok(choices[..3].iter().map(|choice| choice.removed.len()).collect())
    }

    const FREE: [Limit; 3] = [Limit::Free, Limit::Free, Limit::Free];

    #[test]
    fn shares_are_of_a_group_or_of_one_ranking() {
        let half = Demand::Ratio(0.5);
        assert_eq!(removed(Scope::Local, half, FREE, 1), Ok(vec![20, 5, 20]));
        assert_eq!(removed(Scope::Local, half, FREE, 8), Ok(vec![16, 2, 16]));
        // Of 90 channels 45 go: of h those below 29 or so, of i all that may, of k those from 20 on.
        assert_eq!(removed(Scope::Global, half, FREE, 1), Ok(vec![28, 9, 8]));
        // i has a bias and no twin; h and k are alike.
        assert_eq!(removed(Scope::Isomorphic, half, FREE, 1), Ok(vec![30, 5, 10]));
        assert_eq!(removed(Scope::Local, Demand::PerGroup(3), FREE, 1), Ok(vec![3, 3, 3]));
    }

    #[test]
    fn what_is_said_of_a_group_goes_before() {
        let limits = [Limit::Ratio(0.25), Limit::Whole, Limit::Removed(vec![7, 9])];
        let half = Demand::Ratio(0.5);
        assert_eq!(removed(Scope::Local, half, limits.clone(), 1), Ok(vec![10, 0, 2]));
        assert_eq!(removed(Scope::Global, half, limits, 1), Ok(vec![10, 0, 2]));
    }

    #[test]
    fn a_target_is_just_met_in_every_scope() {
        for scope in [Scope::Local, Scope::Global, Scope::Isomorphic] {
            let target = Demand::Target(Target { resource: Resource::Macs, share: 0.5 });
            let removed = removed(scope, target, FREE, 1).expect("it can be met");
            let (h, i, k) = (40 - removed[0], 10 - removed[1], 40 - removed[2]);
            let macs = 10 * h + h * i + i * k + 10 * k;
            assert!(macs <= 800 && macs > 720, "{scope:?}: {removed:?} leave {macs}");
        }
        let target = Demand::Target(Target { resource: Resource::Macs, share: 0.01 });
        assert_eq!(removed(Scope::Local, target, FREE, 1), Err(88.0));
    }

    #[test]
    fn selectors_have_to_select() {
        let model = network();
        let analysis = Analysis::of(&model.graph);
        let selector = |text: &str| text.parse::<NodeSelector>().expect("valid");
        let ratios = [(selector("h"), 0.5), (selector("re:^[hi]$"), 0.25)];
        let limits = Limit::of(&model.graph, &analysis, &[selector("k")], &ratios);
        let expected = [Limit::Ratio(0.25), Limit::Ratio(0.25), Limit::Whole, Limit::Free];
        assert_eq!(limits.as_deref(), Ok(&expected[..]));
        let idle = Limit::of(&model.graph, &analysis, &[selector("op:Conv"), selector("j")], &[]);
        let error = idle.expect_err("they make nothing").to_string();
        assert_eq!(error, "no node that makes channels is selected by `op:Conv`, `j`");
    }
}
