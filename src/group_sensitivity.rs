//! What groups of coupled channels cost at the outputs when a share of them goes.
use crate::data::synthetic;
use crate::prune::{executed, prune_base, read};
use crate::{Cost, Dataset, Error, optimize, optimize_with};
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::{
    Options, Progress, PruneError, PruningGoal, Sensitivities, SensitivityOptions, Target,
    renormalized, sensitivities,
};
use lapidary_passes::prune::{Analysis, CarryError, ChannelPlan};
use lapidary_passes::{Context, pipeline};

/// Samples that are made up when there are none.
const MADE_UP: usize = 256;

/// What groups of channels cost, and the recipe in the form in which groups have their names.
#[derive(Debug, Clone)]
pub struct GroupSensitivities {
    /// What was measured, in the optimized model.
    pub found: Sensitivities,
    /// The model in the form of `prune --plan`.
    pub base: Model,
    /// What the recipe removes of it; an error where it can't be told in this form.
    pub recipe: Option<Result<ChannelPlan, CarryError>>,
}

/// Measures what every group of coupled channels costs, alone, in the optimized model; a share that is asked for is
/// one of the model as it is given. With labels in the data also accuracies.
///
/// Without samples they are made up, as for [`prune_by`](crate::prune_by).
///
/// # Errors
/// When samples can't be read or the model can't be executed.
pub fn group_sensitivities(
    model: &Model,
    data: Option<&Dataset>,
    options: &Options,
    settings: &SensitivityOptions,
    progress: Progress<'_>,
) -> Result<GroupSensitivities, Error> {
    let base = prune_base(model, true)?;
    let mut optimized = model.clone();
    optimize_with(&mut optimized, &pipeline::unshared(), &mut Context::default())?;
    optimized.graph.infer();
    let mut settings = settings.clone();
    let mut given = 1.0;
    if let PruningGoal::Share(Target { resource, share }) = &mut settings.goal {
        let cost = |model: &Model| {
            let cost = Cost::of(model).of_resource(*resource).map(|cost| cost as f64);
            cost.ok_or(Error::Prune(PruneError::Unmeasured))
        };
        given = cost(model)? / cost(&optimized)?.max(1.0);
        *share *= given;
    }
    let mut found = match data {
        Some(data) => {
            settings.labels = data.labels().map(<[i64]>::to_vec);
            sensitivities(&optimized, &read(data)?, options, &settings, progress)
        }
        None => {
            let samples = synthetic(&optimized, MADE_UP).map_err(|error| Error::Usage {
                problem: format!("samples can't be made up: {error}"),
                help: "give samples with --data".to_owned(),
            })?;
            let mut other = renormalized(&base, &samples).map_err(executed)?;
            optimize(&mut other)?;
            optimized = other;
            sensitivities(&optimized, &samples, options, &settings, progress)
        }
    }
    .map_err(executed)?;
    if let (Some(recipe), PruningGoal::Share(_)) = (&mut found.recipe, settings.goal) {
        let left = &mut recipe.left;
        for share in [&mut left.macs, &mut left.parameters, &mut left.bytes] {
            *share /= given;
        }
    }
    let recipe = found.recipe.as_ref().map(|recipe| {
        let analysis = Analysis::with(&base.graph, options.attention);
        let own = Analysis::with(&optimized.graph, options.attention);
        let lists = analysis.carried(&recipe.plan, &own)?;
        Ok(analysis.plan_removing(&lists).unwrap_or_default())
    });
    Ok(GroupSensitivities { found, base, recipe })
}
