//! What goes, as plain data: it prints, it can be looked at, changed or refused, and then applied.
use super::analysis::Analysis;
use super::elements::Axis;
use super::relations::Rewrite;
use super::select::{self, Choice, Selection};
use std::collections::BTreeMap;
use std::fmt;

/// Which channels of a model go, and what follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelPlan {
    /// What goes of each group, in order of the analysis.
    pub groups: Vec<GroupPlan>,
    /// Every axis that becomes shorter, those of constants and of computed values.
    pub axes: Vec<AxisPlan>,
    /// What changes in nodes.
    pub rewrites: Vec<Rewrite>,
}

/// What goes of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPlan {
    /// The nodes that make the channels.
    pub name: String,
    /// The number of channels.
    pub size: usize,
    /// The numbers of the channels that go, ascending.
    pub removed: Vec<usize>,
    /// Why channels stay that were asked for, and how many are held by it.
    pub held: Vec<(String, usize)>,
    /// Why less goes than was asked for.
    pub note: Option<String>,
}

/// What stays of one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisPlan {
    /// The axis.
    pub place: Axis,
    /// The name of the value.
    pub value: String,
    /// Its extent before.
    pub size: usize,
    /// The elements that stay, ascending.
    pub keep: Vec<usize>,
}

/// Why channels can't go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no such group or channel.
    #[error("group {group} has no channel {channel}")]
    Unknown {
        /// The number of the group.
        group: usize,
        /// The number of the channel.
        channel: usize,
    },
    /// The channel has to stay.
    #[error("channel {channel} of `{group}` has to stay")]
    Held {
        /// The name of the group.
        group: String,
        /// The number of the channel.
        channel: usize,
    },
    /// An axis would have no elements left.
    #[error("removing channel {channel} of `{group}` empties an axis")]
    Empties {
        /// The name of the group.
        group: String,
        /// The number of the channel.
        channel: usize,
    },
    /// Blocks would have different sizes.
    #[error("`{group}` does not keep the same number in each of {blocks} blocks")]
    Unbalanced {
        /// The name of the group.
        group: String,
        /// The number of blocks.
        blocks: usize,
    },
}

impl ChannelPlan {
    /// Whether nothing goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    /// The number of groups that lose channels.
    #[must_use]
    pub fn pruned_groups(&self) -> usize {
        self.groups.iter().filter(|group| !group.removed.is_empty()).count()
    }

    /// The elements of an axis that stay, when some go.
    pub(crate) fn kept(&self, place: Axis) -> Option<&[usize]> {
        let at = self.axes.binary_search_by_key(&place, |axis| axis.place).ok()?;
        Some(&self.axes[at].keep)
    }
}

impl Analysis {
    /// Chooses the least important channels of each group; `importance` is by group and number,
    /// as [`importance`](super::importance) computes it.
    #[must_use]
    pub fn plan(&self, importance: &[Vec<f64>], selection: &Selection) -> ChannelPlan {
        self.plan_of(select::select(self, importance, selection))
    }

    /// Removes the channels listed by group.
    ///
    /// # Errors
    /// When one of them has to stay, or all do together.
    pub fn plan_removing(&self, lists: &[(usize, Vec<usize>)]) -> Result<ChannelPlan, PlanError> {
        let mut choices = vec![Choice::default(); self.groups.len()];
        let mut extents = self.extents.clone();
        for (number, channels) in lists {
            let unknown = |channel| PlanError::Unknown { group: *number, channel };
            let group = self.groups.get(*number).ok_or(unknown(0))?;
            let removed = &mut choices[*number].removed;
            removed.extend(channels);
            removed.sort_unstable();
            removed.dedup();
            for &channel in removed.iter() {
                let index = *group.channels.get(channel).ok_or(unknown(channel))?;
                if !self.channels[index].removable {
                    return Err(PlanError::Held { group: group.name.clone(), channel });
                }
                if !select::take(self, index, 1, &mut extents) {
                    return Err(PlanError::Empties { group: group.name.clone(), channel });
                }
            }
            let balances = select::balances_of(self, group);
            if let Some(balance) = select::unbalanced(self, group, &balances, removed) {
                let blocks = balance.blocks;
                return Err(PlanError::Unbalanced { group: group.name.clone(), blocks });
            }
        }
        Ok(self.plan_of(choices))
    }

    /// Removes channels that are known to fit.
    pub(crate) fn plan_of_lists(&self, lists: &[(usize, Vec<usize>)]) -> ChannelPlan {
        let mut choices = vec![Choice::default(); self.groups.len()];
        for (number, channels) in lists {
            choices[*number].removed.clone_from(channels);
        }
        self.plan_of(choices)
    }

    pub(crate) fn plan_of(&self, choices: Vec<Choice>) -> ChannelPlan {
        let mut gone: BTreeMap<Axis, Vec<usize>> = BTreeMap::new();
        let mut groups = Vec::with_capacity(choices.len());
        for (group, choice) in self.groups.iter().zip(choices) {
            for &number in &choice.removed {
                for &(axis, index) in &self.channels[group.channels[number]].elements {
                    gone.entry(axis).or_default().push(index);
                }
            }
            groups.push(GroupPlan {
                name: group.name.clone(),
                size: group.size,
                removed: choice.removed,
                held: group.pins.clone(),
                note: choice.note.map(str::to_owned),
            });
        }
        let mut axes = Vec::with_capacity(gone.len());
        for (place, lost) in gone {
            let size = self.extents[&place];
            let mut stays = vec![true; size];
            lost.into_iter().for_each(|index| stays[index] = false);
            let keep = (0..size).filter(|&index| stays[index]).collect();
            axes.push(AxisPlan { place, value: self.names[&place].clone(), size, keep });
        }
        let shorter = |place: &Axis| axes.binary_search_by_key(place, |axis| axis.place).is_ok();
        let mut rewrites = self.rewrites.clone();
        rewrites.retain(|rewrite| match rewrite {
            Rewrite::Count { axis, .. }
            | Rewrite::Indices { axis, .. }
            | Rewrite::Picked { axis, .. } => shorter(axis),
            // What others cut has to be restored for those that cut nothing.
            Rewrite::Uniform { value, axis, .. } => {
                shorter(axis) || axes.iter().any(|cut| cut.place.value == *value)
            }
            Rewrite::GroupedColumns { input, output, .. } => shorter(input) || shorter(output),
        });
        ChannelPlan { groups, axes, rewrites }
    }
}

impl fmt::Display for ChannelPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return writeln!(f, "no weight makes channels");
        }
        for group in &self.groups {
            write!(
                f,
                "{}: keep {} of {}",
                group.name,
                group.size - group.removed.len(),
                group.size
            )?;
            if let Some(note) = &group.note {
                write!(f, " ({note})")?;
            }
            writeln!(f)?;
            for (reason, count) in &group.held {
                writeln!(f, "  {count} stay: {reason}")?;
            }
        }
        Ok(())
    }
}
