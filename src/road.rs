//! The road of a model, one call per step.
use crate::calibrate::{Uncalibrated, calibrate};
use crate::{Dataset, Error};
use lapidary_ir::{FixedDims, Model};
use lapidary_passes::convert::ConvertOpset;
use lapidary_passes::quantize::equalize::{
    ChannelMoments, ChannelStatistics, FloatChange, FloatSteps, Smoothing, absorb_bias, equalize,
    smooth,
};
use lapidary_passes::quantize::qoperator::OperatorForm;
use lapidary_passes::quantize::refine::{RefineError, Refined, best_alpha, correct_biases, refine};
use lapidary_passes::quantize::{Calibration, QuantizationPlan, QuantizeOptions, Target};
use lapidary_passes::{Context, Pass, driver, guard, pipeline};

/// Gives numbers to dimensions the model leaves open.
///
/// # Errors
/// When an input or dimension does not exist or has another size, and when the model can't work
/// with these sizes.
pub fn fix_dims(model: &mut Model, fixed: &FixedDims) -> Result<(), Error> {
    model.fix_dims(fixed).map_err(Error::FixDims)?;
    let violations = model.validate();
    if violations.is_empty() { Ok(()) } else { Err(Error::Misfit { violations }) }
}

/// Raises the version of ONNX's own operators the model is written in.
///
/// # Errors
/// When the version is older or unknown, or a node can't be converted; the model is then unchanged.
pub fn convert_opset(model: &mut Model, target: i64, context: &mut Context) -> Result<(), Error> {
    let pass = ConvertOpset { target };
    let rewrites = pass.convert(model).map_err(Error::Convert)?;
    context.record(pass.info()).rewrites += rewrites;
    Ok(driver::check(pass.info().name, model)?)
}

/// Replaces calls of the model's functions by their bodies. Returns the number of calls.
///
/// # Errors
/// When a function calls itself, is of another operator set or does not fit its calls; when the
/// result is too large or no valid model.
pub fn inline_functions(model: &mut Model) -> Result<usize, Error> {
    let calls = model.inline_functions().map_err(Error::Inline)?;
    let violations = model.validate();
    if violations.is_empty() { Ok(calls) } else { Err(Error::InvalidFunctions { violations }) }
}

/// Removes, folds and fuses what a model computes needlessly; outputs stay within rounding.
///
/// # Errors
/// When a pass is at fault.
pub fn optimize(model: &mut Model) -> Result<Context, Error> {
    let mut context = Context::default();
    optimize_with(model, pipeline::OPTIMIZE, &mut context)?;
    Ok(context)
}

/// Runs passes to a fixpoint and validates the result. A pass at fault, or one that makes the file
/// larger than the context allows, is left out; the context names it.
///
/// # Errors
/// When a fault can't be told to be one pass's.
pub fn optimize_with(
    model: &mut Model,
    passes: &[&dyn Pass],
    context: &mut Context,
) -> Result<(), Error> {
    Ok(guard::run_guarded(passes, model, context)?)
}

/// Quantizes weights and activations, with ranges from running the model on `data`.
///
/// # Errors
/// When samples can't be read, the model can't be executed or a pass is at fault.
pub fn quantize(
    model: &mut Model,
    data: &Dataset,
    options: &QuantizeOptions,
) -> Result<QuantizationPlan, Error> {
    let statistics = calibrate(model, data, 0..data.len())?;
    quantize_with(model, &Calibration::from(&statistics), options)
}

/// Quantizes weights and activations, with what is known of the values.
///
/// # Errors
/// When a pass is at fault.
pub fn quantize_with(
    model: &mut Model,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<QuantizationPlan, Error> {
    let plan = QuantizationPlan::of_model(model, calibration, options);
    plan.apply(model)?;
    driver::check("quantize-static", model)?;
    Ok(plan)
}

/// Quantizes weights and activations, and takes from biases what rounding weights adds to the mean of results, as
/// batch normalizations of the model `before` it was optimized tell it, or weights and biases.
///
/// # Errors
/// When a pass is at fault.
pub fn quantize_corrected(
    model: &mut Model,
    before: &Model,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<Refined, Error> {
    let plan = QuantizationPlan::of_model(model, calibration, options);
    let known = ChannelMoments::of_normalizations(&before.graph);
    let (plan, change) = correct_biases(model, &plan, calibration, options, &known);
    plan.apply(model)?;
    driver::check("quantize-static", model)?;
    Ok(Refined { changes: vec![change], ..Refined::from(plan) })
}

/// Changes a model in floating point so that its integers lose less, as it is asked for. Each step runs the model on the
/// data; ranges that were observed before are no longer true.
///
/// # Errors
/// When the model can't be executed or a step is at fault.
pub fn change_float(
    model: &mut Model,
    data: &Dataset,
    steps: &FloatSteps,
    options: &QuantizeOptions,
) -> Result<Vec<FloatChange>, Error> {
    let mut changes = Vec::new();
    if steps.equalize {
        let statistics = channel_statistics(model, data)?;
        changes.push(equalize(model, &statistics)?);
    }
    if steps.absorb_bias {
        let statistics = channel_statistics(model, data)?;
        changes.push(absorb_bias(model, &statistics)?);
    }
    if let Some(smoothing) = steps.smooth {
        let alpha = match smoothing {
            Smoothing::Alpha(alpha) => alpha,
            Smoothing::Searched => {
                let samples = data.stacked().map_err(|source| Error::data(data.path(), source))?;
                best_alpha(model, &samples, options).map_err(not_refined)?
            }
        };
        let statistics = channel_statistics(model, data)?;
        changes.push(smooth(model, &statistics, alpha)?);
    }
    driver::check("change-float", model)?;
    Ok(changes)
}

fn channel_statistics(model: &Model, data: &Dataset) -> Result<ChannelStatistics, Error> {
    let samples = (0..data.len()).map(|index| Ok(data.sample(index)?));
    ChannelStatistics::collect(model, samples).map_err(|error: Uncalibrated| error.at(data))
}

/// Quantizes weights and activations such that the outputs change least, which it tries on a fifth of the
/// samples. Changes of the model in floating point that were `made` already are not tried again.
///
/// # Errors
/// When the model can't be executed or a pass is at fault.
pub fn quantize_refined(
    model: &mut Model,
    data: &Dataset,
    calibration: &Calibration,
    options: &QuantizeOptions,
    made: &FloatSteps,
) -> Result<Refined, Error> {
    let samples = data.stacked().map_err(|source| Error::data(data.path(), source))?;
    let refined = refine(model, &samples, calibration, options, made).map_err(not_refined)?;
    refined.plan.apply(model)?;
    driver::check("quantize-static", model)?;
    Ok(refined)
}

fn not_refined(error: RefineError) -> Error {
    match error {
        RefineError::Execute(source) => Error::Execute {
            what: "model",
            source,
            help: "refinement runs the model on the data; leave it out with --no-refine",
        },
        RefineError::Pass(error) => error.into(),
    }
}

/// Writes operators on integers into a quantized model, in place of operators between `DequantizeLinear` and `QuantizeLinear`.
///
/// # Errors
/// When that step is at fault.
pub fn write_integer_operators(model: &mut Model, target: Target) -> Result<OperatorForm, Error> {
    let form = OperatorForm::write(model, target)?;
    driver::check("quantize-qoperator", model)?;
    Ok(form)
}
