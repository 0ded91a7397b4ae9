//! The channels of one graph in another graph of the same model.
//!
//! Values keep their names as long as they live, so an element of an axis of a computed value is the same in both
//! graphs; of the data of constants, which passes may transpose under one name, only where no computed value tells.
use super::analysis::Analysis;
use super::elements::Axis;
use super::plan::ChannelPlan;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Why channels of one graph are not channels of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// A channel of one is several of the other, not all of which go.
    #[error(
        "channel {channel} of `{group}` is coupled differently in the other graph of the model"
    )]
    Coupled {
        /// The name of the group.
        group: String,
        /// The number of the channel.
        channel: usize,
    },
    /// No value both graphs have tells where the channels are.
    #[error("the channels of `{group}` are not found in the other graph of the model")]
    Lost {
        /// The name of the group.
        group: String,
    },
}

impl Analysis {
    /// For every channel of this analysis the channels of `other` that are the same, none where no value tells.
    pub(crate) fn counterparts(&self, other: &Self) -> Vec<Vec<usize>> {
        let mut named: FxHashMap<(&str, usize), Axis> = FxHashMap::default();
        for (axis, name) in &other.names {
            named.insert((name, axis.axis), *axis);
        }
        let twin = |axis: &Axis| {
            let twin = *named.get(&(self.names[axis].as_str(), axis.axis))?;
            let same = other.extents[&twin] == self.extents[axis];
            (same && other.computed.contains(&twin.value) == self.computed.contains(&axis.value))
                .then_some(twin)
        };
        let twins: FxHashMap<Axis, Axis> =
            self.extents.keys().filter_map(|axis| Some((*axis, twin(axis)?))).collect();
        let of_channel = |channel: &super::analysis::Channel| {
            let told = |computed: bool| -> BTreeSet<usize> {
                let elements = channel.elements.iter();
                let own =
                    elements.filter(|(axis, _)| self.computed.contains(&axis.value) == computed);
                own.filter_map(|(axis, index)| Some(other.owners[twins.get(axis)?][*index]))
                    .collect()
            };
            let mut found = told(true);
            if found.is_empty() {
                found = told(false);
            }
            found.into_iter().collect()
        };
        self.channels.iter().map(of_channel).collect()
    }

    /// The channels of this analysis, by group, that go when `plan` of `other` is carried out here.
    ///
    /// # Errors
    /// When the graphs couple channels differently, or channels are not found.
    pub fn carried(
        &self,
        plan: &ChannelPlan,
        other: &Self,
    ) -> Result<Vec<(usize, Vec<usize>)>, CarryError> {
        let mut gone: FxHashMap<usize, (&str, usize)> = FxHashMap::default();
        for (group, planned) in other.groups.iter().zip(&plan.groups) {
            for &number in &planned.removed {
                gone.insert(group.channels[number], (&group.name, number));
            }
        }
        let counterparts = self.counterparts(other);
        let mut found: BTreeSet<usize> = BTreeSet::new();
        let mut lists = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            let mut removed = Vec::new();
            for (channel, &own) in group.channels.iter().enumerate() {
                let theirs = &counterparts[own];
                let going = theirs.iter().filter(|their| gone.contains_key(*their)).count();
                if going > 0 && going < theirs.len() {
                    return Err(CarryError::Coupled { group: group.name.clone(), channel });
                }
                if going > 0 {
                    removed.push(channel);
                    found.extend(theirs);
                }
            }
            if !removed.is_empty() {
                lists.push((number, removed));
            }
        }
        let lost = other.groups.iter().flat_map(|group| &group.channels);
        match lost
            .into_iter()
            .find(|channel| gone.contains_key(channel) && !found.contains(channel))
        {
            Some(channel) => Err(CarryError::Lost { group: gone[channel].0.to_owned() }),
            None => Ok(lists),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver;
    use crate::fuse::FuseConvBatchNormalization;
    use crate::testing::parse;
    use crate::{Context, Pass};

    const SOURCE: &str = "g (float[1,2,4,4] x) => (float[1,2,4,4] y)
        <float[4,2,1,1] w = {1, 2, -1, 1, 0.5, 1, 2, -1}, float[4] s = {1, 2, 1, 0.5}, float[4] h, float[4] m,
         float[4] v = {4, 1, 9, 0.25}, float[2,4,1,1] u>
        {
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            r = Relu(n)
            y = Conv(r, u)
        }";

    #[test]
    fn a_plan_holds_where_normalizations_are_folded() {
        let mut whole = parse(SOURCE);
        whole.graph.infer();
        let mut folded = whole.clone();
        let passes: [&dyn Pass; 1] = [&FuseConvBatchNormalization {}];
        driver::run(&passes, &mut folded, &mut Context::default()).expect("it folds");
        folded.graph.infer();
        let (before, after) = (Analysis::of(&whole.graph), Analysis::of(&folded.graph));
        let plan = before.plan_removing(&[(0, vec![1, 2])]).expect("they can go");
        assert_eq!(after.carried(&plan, &before), Ok(vec![(0, vec![1, 2])]));
        let back = after.plan_removing(&[(0, vec![3])]).expect("it can go");
        assert_eq!(before.carried(&back, &after), Ok(vec![(0, vec![3])]));
    }

    #[test]
    fn channels_that_are_not_there_are_lost() {
        let source = "g (float[1,2] x) => (float[1,2] y) <float[2,3] w, float[3,2] v>
            { h = MatMul(x, w) y = MatMul(h, v) }";
        let renamed = source.replace("h", "k").replace("w", "z").replace("v", "u");
        let analysis = |source: &str| {
            let mut model = parse(source);
            model.graph.infer();
            Analysis::of(&model.graph)
        };
        let (before, after) = (analysis(source), analysis(&renamed));
        let plan = before.plan_removing(&[(0, vec![1])]).expect("it can go");
        assert_eq!(after.carried(&plan, &before), Err(CarryError::Lost { group: "h".to_owned() }));
    }
}
