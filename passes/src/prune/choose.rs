//! A plan by what channels are said to be worth, without running the model.
use super::amounts::{Chooser, Demand, Limit, Scope, classes};
use super::analysis::Analysis;
use super::compensated::{Options, PruneError};
use super::plan::ChannelPlan;
use super::resources::Resource;
use lapidary_ir::Model;

/// Why a group stays whose channels nothing ranks.
const UNRANKED: &str = "nothing tells how important its channels are";

impl Analysis {
    /// Chooses the least important channels, with an importance for every channel by group and number; groups without one
    /// stay.
    ///
    /// # Errors
    /// When a target is out of reach, or channels that are listed can't go.
    pub fn choose(
        &self,
        model: &Model,
        scores: &[Option<Vec<f64>>],
        demand: &Demand<'_>,
        options: &Options,
    ) -> Result<ChannelPlan, PruneError> {
        if let Demand::Channels(lists) = demand {
            return Ok(self.plan_removing(lists)?);
        }
        let resource = match demand {
            Demand::Target(target) => target.resource,
            _ => Resource::Macs,
        };
        let ledger = options.ledger(model, self, resource)?;
        let cost = ledger.total(&ledger.extents(&self.extents));
        let share = if let Demand::Target(target) = demand { target.share } else { 1.0 };
        let limits = options.all_limits(&model.graph, self);
        let whole: Vec<usize> = self.groups.iter().map(|group| group.size).collect();
        let chooser = Chooser {
            analysis: self,
            scores,
            limits: &limits,
            classes: classes(&model.graph, self, options.scope),
            local: matches!(options.scope, Scope::Local | Scope::Measured),
            whole: &whole,
            minimum: options.min_channels.max(1),
            max_ratio: options.max_ratio,
            round_to: options.round_to,
        };
        let out_of_reach =
            |least: f64| PruneError::OutOfReach { share, resource, least: least / cost.max(1.0) };
        let mut choices = chooser.choose(demand, &ledger, share * cost).map_err(out_of_reach)?;
        for ((choice, scores), limit) in choices.iter_mut().zip(scores).zip(&limits) {
            if scores.is_none() && *limit == Limit::Free {
                choice.note = Some(UNRANKED);
            }
        }
        Ok(self.plan_of(choices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Importance, PruneChannels, Ranking, Rounding, weight_scores};
    use crate::testing::model;

    #[test]
    fn the_default_is_that_of_the_pass() {
        let model = model(
            "g (float[1,3,4,4] x) => (float[1,2,4,4] y)
            <float[8,3,1,1] w, float[8] s = {3, 2, 8, 1, 9, 4, 5, 6}, float[8] h, float[8] m, float[8] v = {1, 1, 1, 1, 1, 1, 1, 1},
             float[6,8,1,1] u, float[2,6,1,1] r>
            {
                a = Conv(x, w)
                n = BatchNormalization(a, s, h, m, v)
                b = Conv(n, u)
                y = Conv(b, r)
            }",
        );
        let analysis = Analysis::of(&model.graph);
        let plan = |importance, ratio, options: &Options| {
            let ranking = Ranking { importance, ..Ranking::default() };
            let scores = weight_scores(&model.graph, &analysis, &ranking, None).expect("known");
            analysis.choose(&model, &scores, &Demand::Ratio(ratio), options).expect("chosen")
        };
        let round_to = Rounding::To(1);
        let local = Options { scope: Scope::Local, round_to, ..Options::default() };
        for ratio in [0.1, 0.3, 0.5, 0.9] {
            let pass = PruneChannels { ratio, round_to, ..PruneChannels::default() };
            assert_eq!(plan(Importance::L2, ratio, &local), pass.plan(&model));
        }
        let scaled = plan(Importance::BnScale, 0.4, &local);
        assert_eq!(scaled.groups[0].removed, [0, 1, 3]);
        assert_eq!(scaled.groups[1].removed, [0usize; 0]);
        assert_eq!(scaled.groups[1].note.as_deref(), Some(UNRANKED));
    }
}
