//! Structured pruning by a share of every group.
use super::{Analysis, ChannelPlan, MeanReplacement, Norm, Rounding, Selection, importance};
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::Model;

pass! {
    /// Removes the channels with the smallest weights.
    ///
    /// Channels that are added, normalized, gated or read together form a group and go together.
    /// Of each group of n, ⌈(1 − ratio) · n⌉ stay: those whose slices of the weights that make
    /// them have the largest norm. What can't be followed stays, with a reason.
    ///
    /// y = W₂ · f(W₁ · x) without channel c: W₁ loses row c, W₂ loses column c.
    ///
    /// ```onnx
    /// g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    /// <float[4,1,1,1] w1 = {4, -1, 3, -2}, float[2,4,1,1] w2 = {1, 2, 3, 4, 5, 6, 7, 8}>
    /// {
    ///     a = Conv(x, w1)
    ///     b = Relu(a)
    ///     y = Conv(b, w2)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    /// <float[3,1,1,1] w1 = {4, 3, -2}, float[2,3,1,1] w2 = {1, 3, 4, 5, 7, 8}>
    /// {
    ///     a = Conv(x, w1)
    ///     b = Relu(a)
    ///     y = Conv(b, w2)
    /// }
    /// ```
    pub struct PruneChannels {
        /// The share of each group that goes, from 0 to 1.
        pub ratio: f64,
        /// How a slice of a weight is measured.
        pub norm: Norm,
        /// Channels every axis keeps at least; 0 counts as 1.
        pub min_channels: usize,
        /// What numbers of channels a group keeps where it can.
        pub round_to: Rounding,
    }
    name: "prune-channels",
    accuracy: Lossy,
    emits: ["Gather"],
}

impl PruneChannels {
    /// What the pass would do to a model.
    #[must_use]
    pub fn plan(&self, model: &Model) -> ChannelPlan {
        let analysis = Analysis::of(&model.graph);
        let scores = importance(&model.graph, &analysis, self.norm);
        let Self { ratio, min_channels, round_to, .. } = *self;
        analysis.plan(&scores, &Selection { ratio, min_channels, round_to })
    }
}

impl Pass for PruneChannels {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let idle = "the group is too small for the ratio";
        CutChannels { plan: self.plan(model), idle, means: None }.run(model, context)
    }
}

/// Removes the channels of a plan.
#[derive(Debug, Clone)]
pub struct CutChannels {
    /// What goes.
    pub plan: ChannelPlan,
    /// Why nothing goes of a group, where the plan has no reason.
    pub idle: &'static str,
    /// What products get in place of what goes.
    pub means: Option<MeanReplacement>,
}

impl Pass for CutChannels {
    fn info(&self) -> &'static PassInfo {
        &PruneChannels::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let (plan, info) = (&self.plan, self.info());
        let mut applied = plan.apply(model);
        if let (Ok(()), Some(means)) = (&applied, &self.means) {
            applied = means.apply(model);
        }
        let record = context.record(info);
        if let Err(error) = applied {
            record.skip(error.into_fault(info.name)?);
            return Ok(());
        }
        record.rewrites += plan.pruned_groups();
        if plan.groups.is_empty() {
            record.skip("no weight makes channels");
        }
        for group in plan.groups.iter().filter(|group| group.removed.is_empty()) {
            match (group.held.first(), &group.note) {
                (_, Some(note)) => record.skip(note.clone()),
                (Some((reason, _)), None) => record.skip(reason.clone()),
                (None, None) => record.skip(self.idle),
            }
        }
        Ok(())
    }
}
