//! Channels that stay because somebody says so, by the names of groups.
use super::analysis::{Analysis, Group};
use super::elements::Axis;
use super::plan::ChannelPlan;
use super::select::{balances_of, unbalanced};
use std::collections::BTreeMap;
use std::fmt;

/// The channels of a group that stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// The name of the group.
    pub name: String,
    /// The number of channels the group is thought to have, if that is said.
    pub size: Option<usize>,
    /// The numbers of the channels that stay.
    pub keep: Vec<usize>,
}

/// What is wrong with a list of channels that stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepProblem {
    /// No group has that name.
    #[error("there is no group `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A group is listed twice.
    #[error("group `{name}` is listed more than once")]
    Twice {
        /// The name.
        name: String,
    },
    /// The group has another size.
    #[error("group `{name}` has {size} channels, the list is for {found}")]
    Size {
        /// The name.
        name: String,
        /// Its channels.
        size: usize,
        /// What the list says.
        found: usize,
    },
    /// There are no such channels.
    #[error("group `{name}` has channels 0 to {}, not {}", size - 1, List(channels))]
    OutOfRange {
        /// The name.
        name: String,
        /// The channels.
        channels: Vec<usize>,
        /// The number of channels.
        size: usize,
    },
    /// Channels have to stay.
    #[error("channels {} of `{name}` have to stay: {}", List(channels), reasons.join("; "))]
    Held {
        /// The name.
        name: String,
        /// The channels.
        channels: Vec<usize>,
        /// What holds channels of the group.
        reasons: Vec<String>,
    },
    /// Blocks would have different sizes.
    #[error("`{name}` does not keep as many in each of {blocks} blocks, which {} asks for", nodes.join(", "))]
    Unbalanced {
        /// The name.
        name: String,
        /// The number of blocks.
        blocks: usize,
        /// The nodes that ask for it.
        nodes: Vec<String>,
    },
    /// A value would have nothing left along an axis.
    #[error("nothing would be left of axis {axis} of `{value}`, made by {}", names.join(", "))]
    Empties {
        /// The value.
        value: String,
        /// Its axis.
        axis: usize,
        /// The groups whose channels run along it.
        names: Vec<String>,
    },
}

/// Why lists of channels that stay do not fit a model: all that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct KeepError(pub Vec<KeepProblem>);

/// Numbers, the first few of them.
struct List<'a>(&'a [usize]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let numbers: Vec<String> = self.0.iter().take(SHOWN).map(usize::to_string).collect();
        f.write_str(&numbers.join(", "))?;
        match self.0.len() {
            more if more > SHOWN => write!(f, " and {} more", more - SHOWN),
            _ => Ok(()),
        }
    }
}

impl Analysis {
    /// The channels that go when those of the listed groups stay that the lists name, by number of the group. Groups
    /// that are not listed stay whole.
    ///
    /// # Errors
    /// When lists do not fit the groups; everything that is wrong is named.
    pub fn removed_by(&self, lists: &[Keep]) -> Result<Vec<(usize, Vec<usize>)>, KeepError> {
        let mut problems = Vec::new();
        let mut removed: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for list in lists {
            let name = || list.name.clone();
            let Some(number) = self.groups.iter().position(|group| group.name == list.name) else {
                problems.push(KeepProblem::Unknown { name: name() });
                continue;
            };
            let group = &self.groups[number];
            if let Some(found) = list.size.filter(|&found| found != group.size) {
                problems.push(KeepProblem::Size { name: name(), size: group.size, found });
                continue;
            }
            let gone = self.gone(group, list, &mut problems);
            if removed.insert(number, gone).is_some() {
                problems.push(KeepProblem::Twice { name: name() });
            }
        }
        self.emptied(&removed, &mut problems);
        removed.retain(|_, gone| !gone.is_empty());
        if problems.is_empty() {
            Ok(removed.into_iter().collect())
        } else {
            Err(KeepError(problems))
        }
    }

    /// Cuts what the lists do not keep.
    ///
    /// # Errors
    /// Those of [`Self::removed_by`].
    pub fn plan_keeping(&self, lists: &[Keep]) -> Result<ChannelPlan, KeepError> {
        Ok(self.plan_of_lists(&self.removed_by(lists)?))
    }

    fn gone(&self, group: &Group, list: &Keep, problems: &mut Vec<KeepProblem>) -> Vec<usize> {
        let mut stays = vec![false; group.size];
        let mut beyond = Vec::new();
        for &channel in &list.keep {
            match stays.get_mut(channel) {
                Some(stays) => *stays = true,
                None => beyond.push(channel),
            }
        }
        let name = group.name.clone();
        if !beyond.is_empty() {
            let problem = KeepProblem::OutOfRange { name, channels: beyond, size: group.size };
            problems.push(problem);
            return Vec::new();
        }
        let gone: Vec<usize> = (0..group.size).filter(|&channel| !stays[channel]).collect();
        let fixed = |&channel: &usize| !self.channels[group.channels[channel]].removable;
        let held: Vec<usize> = gone.iter().copied().filter(fixed).collect();
        if !held.is_empty() {
            let reasons = group.pins.iter().map(|(reason, _)| reason.clone()).collect();
            problems.push(KeepProblem::Held { name, channels: held, reasons });
            return Vec::new();
        }
        if let Some(balance) = unbalanced(self, group, &balances_of(self, group), &gone) {
            let asks = group.balances.iter().filter(|(_, blocks)| *blocks == balance.blocks);
            let nodes = asks.map(|(node, _)| node.clone()).collect();
            problems.push(KeepProblem::Unbalanced { name, blocks: balance.blocks, nodes });
        }
        gone
    }

    /// The axes of which nothing is left, of values that no other names already.
    fn emptied(&self, removed: &BTreeMap<usize, Vec<usize>>, problems: &mut Vec<KeepProblem>) {
        let mut lost: BTreeMap<Axis, (usize, Vec<String>)> = BTreeMap::new();
        for (&number, gone) in removed {
            let group = &self.groups[number];
            for &channel in gone {
                for (axis, _) in &self.channels[group.channels[channel]].elements {
                    let (count, names) = lost.entry(*axis).or_default();
                    *count += 1;
                    if names.last() != Some(&group.name) {
                        names.push(group.name.clone());
                    }
                }
            }
        }
        let mut told: Vec<Vec<String>> = Vec::new();
        for (axis, (count, names)) in lost {
            if count >= self.extents[&axis] && !told.contains(&names) {
                told.push(names.clone());
                let value = self.names[&axis].clone();
                problems.push(KeepProblem::Empties { value, axis: axis.axis, names });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::testing::grouped;

    fn analysis() -> Analysis {
        Analysis::of(&grouped().graph)
    }

    fn keep(name: &str, keep: &[usize]) -> Keep {
        Keep { name: name.to_owned(), size: None, keep: keep.to_vec() }
    }

    #[test]
    fn what_is_not_kept_goes() {
        let analysis = analysis();
        let plan = analysis.plan_keeping(&[keep("a", &[0, 2, 3, 4])]).expect("it fits");
        assert_eq!(plan.groups[0].removed, [1, 5]);
        assert!(plan.groups.iter().skip(1).all(|group| group.removed.is_empty()));
        let listed = analysis.plan_removing(&[(0, vec![1, 5])]).expect("they can go");
        assert_eq!(plan, listed);
    }

    #[test]
    fn everything_that_does_not_fit_is_named() {
        let lists = [
            keep("a", &[0, 2, 9, 12]),
            keep("b", &[0, 1, 2, 3]),
            keep("y", &[0]),
            keep("z", &[]),
            Keep { size: Some(5), ..keep("a", &[0]) },
        ];
        let error = analysis().plan_keeping(&lists).expect_err("they do not fit");
        insta::assert_snapshot!(error.to_string().replace("; ", "\n"), @r"
        group `a` has channels 0 to 5, not 9, 12
        `b` does not keep as many in each of 2 blocks, which `b` (Conv) asks for
        channels 1 of `y` have to stay: `y` is a graph output
        there is no group `z`
        group `a` has 6 channels, the list is for 5
        ");
        let empties = analysis().plan_keeping(&[keep("a", &[])]).expect_err("nothing is left");
        let told = empties.to_string();
        assert!(told.starts_with("nothing would be left of axis 0 of `w`, made by a"), "{told}");
        assert_eq!(empties.0.len(), 1, "{told}");
    }

    #[test]
    fn groups_of_one_name_are_told_apart() {
        let mut groups = ["a", "b", "a", "a (2)", "a"]
            .map(|name| Group { name: name.to_owned(), ..Group::default() });
        crate::prune::analysis::make_unique(&mut groups);
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "a (3)", "a (2)", "a (4)"]);
    }
}
