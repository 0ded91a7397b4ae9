//! Removes channels.
//!
//! A channel is not a row of one weight: whatever is added to it, normalizes it, reads it or moves
//! it elsewhere has to lose it too. [`Analysis::of`] follows every single channel through
//! the graph, [`Analysis::plan`] chooses, [`ChannelPlan::apply`] cuts.
mod analysis;
mod apply;
mod channels;
pub mod compensated;
mod elements;
mod heads;
mod importance;
#[cfg(test)]
mod oracle;
mod plan;
mod propagate;
mod relations;
mod resources;
mod select;
mod sequence;

pub use analysis::{Analysis, Group, Member};
pub use apply::ApplyError;
pub use channels::PruneChannels;
pub use elements::Axis;
pub use heads::Grain;
pub use importance::{Norm, importance};
pub use plan::{AxisPlan, ChannelPlan, GroupPlan, PlanError};
pub use relations::{Place, Rewrite, Role};
pub use resources::Resource;
pub use select::Selection;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] =
    &[&PruneChannels { ratio: 0.3, norm: Norm::L2, min_channels: 1, round_to: 1 }];
