//! Changes of the model in floating point, judged by samples that were kept out.
use super::super::calibration::Calibration;
use super::super::calibration_statistics::CalibrationStatistics;
use super::super::equalize::{
    ALPHAS, ChannelStatistics, FloatChange, FloatSteps, equalize, is_smoothable, smooth,
};
use super::super::plan::QuantizationPlan;
use super::super::settings::QuantizeOptions;
use super::batches::Batches;
use super::holdout::Holdout;
use super::{RefineError, RefineStep, Refined};
use lapidary_exec::Inputs;
use lapidary_ir::Model;

/// A changed model, calibrated, quantized and judged.
struct Candidate {
    model: Model,
    change: FloatChange,
    calibration: Calibration,
    plan: QuantizationPlan,
    sqnr_db: f64,
}

/// Changes the model where samples kept out gain: equalization where all channels of a weight share a scale, smoothing
/// where there is something to smooth. Returns the calibration of the changed model, if it is changed.
///
/// # Errors
/// When the runtime can't run the model, or what a plan makes of it.
pub(super) fn improve(
    model: &mut Model,
    holdout: &Holdout<'_>,
    (refined, sqnr_db): (&mut Refined, &mut f64),
    options: &QuantizeOptions,
    made: &FloatSteps,
) -> Result<Option<Calibration>, RefineError> {
    let mut calibration = None;
    let mut consider = |model: &mut Model, candidate: Option<Candidate>| {
        let Some(candidate) = candidate else { return };
        let Candidate { change, sqnr_db: after, plan, .. } = candidate;
        let step = RefineStep { name: change.name, before: *sqnr_db, after };
        if step.kept() {
            *sqnr_db = after;
            *model = candidate.model;
            calibration = Some(candidate.calibration);
            refined.plan = plan;
            refined.changes.push(change);
        }
        refined.steps.push(step);
    };
    if !made.equalize && !options.weights.per_channel {
        let statistics = statistics(model, &holdout.learning)?;
        let equalized = judge(model, holdout, options, |model| equalize(model, &statistics))?;
        consider(model, equalized);
    }
    if made.smooth.is_none() {
        let smoothed = smoothest(model, holdout, options)?;
        consider(model, smoothed);
    }
    Ok(calibration)
}

/// The strength of smoothing that is best for samples that are kept out; the first of [`ALPHAS`] if there are fewer
/// than five samples or nothing to smooth.
///
/// # Errors
/// When the runtime can't run the model, or what a plan makes of it.
pub fn best_alpha(
    model: &Model,
    samples: &Inputs,
    options: &QuantizeOptions,
) -> Result<f64, RefineError> {
    let found = match Holdout::new(model, samples)? {
        Some(holdout) => smoothest(model, &holdout, options)?,
        None => None,
    };
    Ok(found.and_then(|found| found.change.alpha).unwrap_or(ALPHAS[0]))
}

/// The model smoothed as is best; none if there is nothing to smooth.
fn smoothest(
    model: &Model,
    holdout: &Holdout<'_>,
    options: &QuantizeOptions,
) -> Result<Option<Candidate>, RefineError> {
    if !is_smoothable(&model.graph) {
        return Ok(None);
    }
    let statistics = statistics(model, &holdout.learning)?;
    let mut best: Option<Candidate> = None;
    for alpha in ALPHAS {
        let found = judge(model, holdout, options, |model| smooth(model, &statistics, alpha))?;
        let Some(found) = found else { return Ok(None) };
        if best.as_ref().is_none_or(|best| found.sqnr_db > best.sqnr_db) {
            best = Some(found);
        }
    }
    Ok(best)
}

/// What a change makes of the quantized model; none if it changes nothing.
fn judge(
    model: &Model,
    holdout: &Holdout<'_>,
    options: &QuantizeOptions,
    change: impl FnOnce(&mut Model) -> Result<FloatChange, crate::PassError>,
) -> Result<Option<Candidate>, RefineError> {
    let mut model = model.clone();
    let change = change(&mut model)?;
    if change.is_empty() {
        return Ok(None);
    }
    let statistics = CalibrationStatistics::collect(&model, single(&holdout.learning))?;
    let calibration = Calibration::from(&statistics);
    let plan = QuantizationPlan::of_model(&model, &calibration, options);
    let sqnr_db = holdout.sqnr_db(&model, &plan)?;
    Ok(Some(Candidate { model, change, calibration, plan, sqnr_db }))
}

fn statistics(model: &Model, samples: &Batches<'_>) -> Result<ChannelStatistics, RefineError> {
    ChannelStatistics::collect(model, single(samples))
}

/// The samples, one by one.
fn single<'a>(
    samples: &'a Batches<'_>,
) -> impl Iterator<Item = Result<Inputs, RefineError>> + Send + use<'a> {
    (0..samples.count()).map(|number| Ok(samples.select(&[number]).stacked()?))
}

#[cfg(test)]
mod tests {
    use super::super::super::equalize::Smoothing;
    use super::super::super::testing::model;
    use super::super::refine;
    use super::*;
    use lapidary_exec::ExecError;
    use lapidary_ir::Tensor;

    /// A channel of activations is a hundred times as large as the others.
    const UNEVEN: &str = "
        g (float[N,4] x) => (float[N,2] y)
        <float[4] scale = {100, 1, 1, 1}, float[4,2] w = {0.01, 0.02, 1, -0.9, 0.7, 0.8, -0.6, 1}>
        {
            n = LayerNormalization(x, scale)
            y = MatMul(n, w)
        }
    ";

    /// A row of weights is a hundred times as large as the other.
    const LOPSIDED: &str = "
        g (float[N,4] x) => (float[N,2] y)
        <float[4,2] a = {90, 0.9, 70, -0.7, 50, 0.6, -80, 0.8}, float[2,2] b = {0.01, 0.008, 1, 0.9}>
        {
            p = Gemm(x, a)
            r = Relu(p)
            y = Gemm(r, b)
        }
    ";

    fn refined(source: &str, per_channel: bool, made: FloatSteps) -> (Model, Refined) {
        let mut model = model(source);
        let count = 40;
        let number = |at: usize| ((at as f32 * 0.618_034 + 0.3).fract() - 0.4) * 2.0;
        let numbers: Vec<f32> = (0..count * 4).map(|at| number(at * at + at)).collect();
        let samples = Inputs::from([("x".to_owned(), Tensor::new(&[count as i64, 4], &numbers))]);
        let batches = Batches::new(&model.graph, &samples).expect("there are samples");
        let single = single(&batches).map(|sample| match sample {
            Err(RefineError::Execute(error)) => Err(error),
            sample => Ok::<_, ExecError>(sample.expect("nothing is rewritten")),
        });
        let calibration = Calibration::collect(&model, single).expect("the model runs");
        let mut options = QuantizeOptions::default();
        options.weights.per_channel = per_channel;
        let found = refine(&mut model, &samples, &calibration, &options, &made);
        let found = found.expect("the model runs");
        let mut quantized = model.clone();
        found.plan.apply(&mut quantized).expect("the plan is for the changed model");
        assert_eq!(quantized.validate(), []);
        (model, found)
    }

    fn step<'a>(refined: &'a Refined, name: &str) -> Option<&'a RefineStep> {
        refined.steps.iter().find(|step| step.name == name)
    }

    #[test]
    fn smoothing_is_kept_where_it_gains() {
        let (changed, found) = refined(UNEVEN, true, FloatSteps::default());
        let step = step(&found, "smooth").expect("there is a normalization");
        assert!(step.kept() && step.after > step.before + 3.0, "{step:?}");
        assert_eq!(found.changes[0].changed, ["n -> y"]);
        assert!(found.changes[0].alpha.is_some_and(|alpha| ALPHAS.contains(&alpha)));
        let scale = changed.graph.find("scale").and_then(|id| changed.graph.constant(id));
        assert_ne!(scale.and_then(|scale| scale.to_vec::<f32>()), Some(vec![100.0, 1.0, 1.0, 1.0]));
    }

    #[test]
    fn equalization_is_tried_where_channels_share_a_scale() {
        let (_, found) = refined(LOPSIDED, false, FloatSteps::default());
        let tried = step(&found, "equalize").expect("weights are per tensor");
        assert!(tried.kept() && tried.after > tried.before + 3.0, "{tried:?}");
        assert_eq!(found.changes[0].changed, ["p -> y"]);
        let (_, found) = refined(LOPSIDED, true, FloatSteps::default());
        assert!(step(&found, "equalize").is_none() && found.changes.is_empty());
    }

    #[test]
    fn what_was_made_already_is_not_tried() {
        let smooth = Some(Smoothing::Alpha(0.5));
        let made = FloatSteps { equalize: true, smooth, ..FloatSteps::default() };
        for source in [UNEVEN, LOPSIDED] {
            let (_, found) = refined(source, false, made);
            assert!(step(&found, "equalize").is_none() && step(&found, "smooth").is_none());
        }
    }
}
