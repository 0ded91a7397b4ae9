//! `lapidary optimize`
use super::{open, read_data};
use crate::cli::{Optimize, VerifyMode};
use crate::render::{self, OptimizeReport};
use lapidary::exec::RandomInputs;
use lapidary::ir::Model;
use lapidary::passes::{Accuracy, Context, GrowthBudget, Pass, driver, pipeline};
use lapidary::{Cost, Dataset, Error, Evaluation, Reference};

const MEGABYTE: u64 = 1 << 20;

/// Alone in `--only`: the model is read, checked and written again, and nothing is rewritten.
const NONE: &str = "none";

pub(crate) fn run(options: &Optimize, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let mut model = original.clone();
    let mut context = Context {
        validate_each: options.verify_each,
        growth: growth(options.growth * MEGABYTE),
        file_growth: options.growth * MEGABYTE,
        ..Context::default()
    };
    run_passes(options, &mut model, &mut context)?;
    let (before, after) = (Cost::of(&original), Cost::of(&model));
    let verification = verify(options, &original, &model, before.bytes)?;
    lapidary::save(&model, &options.output.output)?;
    let report = OptimizeReport {
        before,
        after,
        passes: &context.records,
        reverted: &context.reverted,
        verification,
    };
    render::optimize(&report, options.explain, json);
    Ok(())
}

/// What folding may add on the way, when the file may become larger by `bytes`.
fn growth(bytes: u64) -> GrowthBudget {
    let GrowthBudget { per_value, total } = GrowthBudget::default();
    GrowthBudget { per_value: per_value.max(bytes), total: total.max(bytes) }
}

fn run_passes(options: &Optimize, model: &mut Model, context: &mut Context) -> Result<(), Error> {
    if !options.only.is_empty() {
        let none = options.only == [NONE];
        let passes = if none { Vec::new() } else { find_all(&options.only)? };
        driver::run(&passes, model, context)?;
        return Ok(driver::check("the chosen passes", model)?);
    }
    let skipped: Vec<&str> = find_all(&options.skip)?.iter().map(|pass| pass.info().name).collect();
    let chosen = pipeline::OPTIMIZE.iter().filter(|pass| !skipped.contains(&pass.info().name));
    let passes: Vec<&dyn Pass> = chosen.copied().collect();
    lapidary::optimize_with(model, &passes, context)?;
    let also = find_all(&options.also)?;
    driver::run(&also, model, context)?;
    Ok(driver::check("the chosen passes", model)?)
}

/// The passes of these names; lossy ones have commands of their own.
fn find_all(names: &[String]) -> Result<Vec<&'static dyn Pass>, Error> {
    names.iter().map(|name| find(name)).collect()
}

fn find(name: &str) -> Result<&'static dyn Pass, Error> {
    let Some(pass) = lapidary::passes::find(name) else {
        return Err(Error::Usage {
            problem: format!("there is no pass `{name}`"),
            help: "`lapidary passes` lists them".to_owned(),
        });
    };
    if pass.info().accuracy == Accuracy::Lossy {
        return Err(Error::Usage {
            problem: format!("pass `{name}` changes what the model computes"),
            help: "use `lapidary prune` or `lapidary quantize`, which measure the loss".to_owned(),
        });
    }
    Ok(pass)
}

/// Executes both models and compares every output, unless told not to or too large.
fn verify(
    options: &Optimize,
    original: &Model,
    model: &Model,
    bytes: u64,
) -> Result<render::Verification, Error> {
    if options.verify == VerifyMode::Off {
        return Ok(render::Verification::skipped("--verify off"));
    }
    if bytes > options.verify_limit * MEGABYTE {
        return Ok(render::Verification::skipped("larger than --verify-limit"));
    }
    let (dataset, source) = match &options.data.data {
        Some(path) => (read_data(path, original, options.data.samples)?, "--data"),
        None => match RandomInputs::default().generate(original) {
            Ok(inputs) => (Dataset::whole(inputs), "random inputs"),
            Err(error) => return Ok(render::Verification::skipped(&error.to_string())),
        },
    };
    let reference = match Reference::new(original, dataset) {
        Ok(reference) => reference,
        Err(Error::Execute { source, .. }) if options.data.data.is_none() => {
            let why = format!("the built-in runtime can't execute the original: {source}");
            return Ok(render::Verification::skipped(&why));
        }
        Err(error) => return Err(error),
    };
    let evaluation = reference.evaluate(model)?;
    let allowed = gate(&reference, original, &evaluation)?;
    Ok(render::Verification::done(source, evaluation, allowed))
}

/// The difference that is allowed, or the error that it is exceeded. Deep networks amplify
/// rounding: what the original loses against itself, executed in another order, is no fault of a
/// rewrite.
fn gate(reference: &Reference, original: &Model, evaluation: &Evaluation) -> Result<f64, Error> {
    let (found, tolerance) = (evaluation.max_rel(), Accuracy::Rounding.tolerance());
    if found <= tolerance {
        return Ok(tolerance);
    }
    let allowed = tolerance.max(reference.noise(original)?);
    if found <= allowed {
        return Ok(allowed);
    }
    Err(Error::Gate {
        problem: format!(
            "an output differs by {found:.2e} of its largest value, allowed is {allowed:.2e}"
        ),
        help: "nothing was written; `--only` and `--skip` help to find the pass at fault, please report it",
    })
}
