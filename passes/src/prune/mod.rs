//! Removes channels.
//!
//! A channel is not a row of one weight: whatever is added to it, normalizes it, reads it or moves
//! it elsewhere has to lose it too. [`Analysis::of`] follows every single channel through
//! the graph, [`Analysis::plan`] chooses, [`ChannelPlan::apply`] cuts.
mod amounts;
mod analysis;
mod apply;
mod carry;
mod changes;
mod channels;
mod choose;
pub mod compensated;
mod elements;
mod heads;
mod importance;
mod keep;
mod latency;
mod mean_replacement;
#[cfg(test)]
mod oracle;
mod plan;
mod products;
mod propagate;
mod ranking;
mod relations;
mod resources;
mod rounding;
mod select;
mod sequence;
#[cfg(test)]
mod testing;
mod ungrouped;

pub use amounts::{Demand, Limit, Scope, Target, Unselected};
pub use analysis::{Analysis, Group, Member};
pub use apply::ApplyError;
pub use carry::CarryError;
pub use changes::{CutWeight, KeptElements, NodeNumbers, node_numbers};
pub use channels::{CutChannels, PruneChannels};
pub use elements::Axis;
pub use heads::Grain;
pub use importance::{Norm, ScoreError, importance, weight_scores};
pub use keep::{Keep, KeepError, KeepProblem};
pub use latency::{
    Latency, Measure, ProductTimes, RuntimeStopwatch, Stopwatch, StopwatchError, Try,
};
pub use mean_replacement::{BiasShift, MeanReplacement, Unreplaced, VarianceScale};
pub use plan::{AxisPlan, ChannelPlan, GroupPlan, PlanError};
pub use ranking::{Importance, Normalization, Ranking, Reduction, UnknownImportance};
pub use relations::{Place, Rewrite, Role};
pub use resources::Resource;
pub use rounding::{Rounding, UnknownRounding};
pub use select::Selection;
pub use ungrouped::Ungrouped;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] =
    &[&PruneChannels { ratio: 0.3, norm: Norm::L2, min_channels: 1, round_to: Rounding::To(1) }];
