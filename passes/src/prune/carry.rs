//! The channels of one graph in another graph of the same model.
//!
//! Values keep their names as long as they live, so an element of an axis of a computed value is the same in both
//! graphs; of the data of constants, which passes may transpose under one name, only where no computed value tells.
use super::amounts::Limit;
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
    /// For every channel of this analysis the channels of `other` that are the same, none where no value tells. This one
    /// may be of the graph of `other` after a `cut`.
    pub(crate) fn counterparts(&self, other: &Self, cut: Option<&ChannelPlan>) -> Vec<Vec<usize>> {
        let mut named: FxHashMap<(&str, usize), Axis> = FxHashMap::default();
        for axis in other.extents.keys() {
            named.insert((&other.names[axis], axis.axis), *axis);
        }
        let twin = |axis: &Axis| {
            let twin = *named.get(&(self.names[axis].as_str(), axis.axis))?;
            let whole = other.extents[&twin];
            let left = cut.and_then(|cut| cut.kept(twin)).map_or(whole, <[_]>::len);
            let same = left == self.extents[axis];
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
                own.filter_map(|(axis, index)| {
                    let twin = *twins.get(axis)?;
                    let kept = cut.and_then(|cut| cut.kept(twin));
                    Some(other.owners[&twin][kept.map_or(*index, |kept| kept[*index])])
                })
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
        let counterparts = self.counterparts(other, None);
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

    /// For every channel of every group, the group and the number of a channel of `other` that is the same, as
    /// [`Self::counterparts`] finds them.
    pub(crate) fn places_in(
        &self,
        other: &Self,
        cut: Option<&ChannelPlan>,
    ) -> Vec<Vec<Option<(usize, usize)>>> {
        let mut places: FxHashMap<usize, (usize, usize)> = FxHashMap::default();
        for (index, group) in other.groups.iter().enumerate() {
            for (number, &channel) in group.channels.iter().enumerate() {
                places.insert(channel, (index, number));
            }
        }
        let counterparts = self.counterparts(other, cut);
        let place =
            |own: &usize| counterparts[*own].iter().find_map(|their| places.get(their)).copied();
        self.groups.iter().map(|group| group.channels.iter().map(place).collect()).collect()
    }

    /// What is known of the channels of `other`, by group and number, for those of this analysis.
    #[must_use]
    pub fn scores_from(&self, other: &Self, scores: &[Option<Vec<f64>>]) -> Vec<Option<Vec<f64>>> {
        carry_scores(&self.places_in(other, None), scores)
    }

    /// What is said of the groups of `other`, for those of this analysis.
    #[must_use]
    pub fn limits_from(&self, other: &Self, limits: &[Limit]) -> Vec<Limit> {
        carry_limits(&self.places_in(other, None), limits)
    }
}

/// Where the channels of every group are in another analysis: group and number.
pub(crate) type Places = [Vec<Option<(usize, usize)>>];

/// What is known of the channels at some places; none of a group with a channel of which nothing is known.
pub(crate) fn carry_scores(places: &Places, scores: &[Option<Vec<f64>>]) -> Vec<Option<Vec<f64>>> {
    let score = |place: &Option<(usize, usize)>| {
        let (group, number) = (*place)?;
        Some(scores[group].as_ref()?[number])
    };
    places.iter().map(|group| group.iter().map(score).collect()).collect()
}

/// What is said of the groups at some places.
pub(crate) fn carry_limits(places: &Places, limits: &[Limit]) -> Vec<Limit> {
    let limit = |places: &Vec<Option<(usize, usize)>>| {
        let group = places.iter().flatten().map(|&(group, _)| group).next();
        match group.map(|group| (group, &limits[group])) {
            Some((group, Limit::Removed(gone))) => {
                let own = places.iter().enumerate();
                let goes = |(_, place): &(usize, &Option<(usize, usize)>)| {
                    place.is_some_and(|(at, number)| at == group && gone.contains(&number))
                };
                Limit::Removed(own.filter(goes).map(|(number, _)| number).collect())
            }
            Some((_, limit)) => limit.clone(),
            None => Limit::Free,
        }
    };
    places.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver;
    use crate::fuse::FuseConvBatchNormalization;
    use crate::testing::model;
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
        let whole = model(SOURCE);
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
            let model = model(source);
            Analysis::of(&model.graph)
        };
        let (before, after) = (analysis(source), analysis(&renamed));
        let plan = before.plan_removing(&[(0, vec![1])]).expect("it can go");
        assert_eq!(after.carried(&plan, &before), Err(CarryError::Lost { group: "h".to_owned() }));
    }
}
