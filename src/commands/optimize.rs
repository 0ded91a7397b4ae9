//! `lapidary optimize`
use super::open;
use super::verification::{MEGABYTE, Verifier};
use crate::cli::{Optimize, Target};
use crate::render::{self, OptimizeReport};
use lapidary::ir::Model;
use lapidary::passes::{Accuracy, Context, GrowthBudget, Pass, driver, pipeline};
use lapidary::{Cost, Error, bisect};

/// Alone in `--only`: the model is read, checked and written again, and nothing is rewritten.
const NONE: &str = "none";

pub(crate) fn run(options: &Optimize, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    if options.inline {
        lapidary::inline_functions(&mut original)?;
    }
    original.graph.infer();
    let mut model = original.clone();
    let settings = Context {
        validate_each: options.verify_each,
        growth: growth(options.growth * MEGABYTE),
        file_growth: options.growth * MEGABYTE,
        ..Context::default()
    };
    let mut context = settings.clone();
    if let Some(opset) = options.opset {
        lapidary::convert_opset(&mut model, opset, &mut context)?;
    }
    run_passes(options, &mut model, &mut context)?;
    let (before, after) = (Cost::of(&original), Cost::of(&model));
    let verifier = Verifier { options, original: &original, bytes: before.bytes };
    let verification = verifier.check(&model).map_err(|error| match options.bisect {
        true => accuse(options, &original, &settings, &verifier, error),
        false => error,
    })?;
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
    let chosen = |preset: &[&'static dyn Pass]| -> Vec<&dyn Pass> {
        let kept = preset.iter().filter(|pass| !skipped.contains(&pass.info().name));
        kept.map(|&pass| pass as &dyn Pass).collect()
    };
    lapidary::optimize_with(model, &chosen(pipeline::OPTIMIZE), context)?;
    if options.target == Target::Onnxruntime {
        lapidary::optimize_with(model, &chosen(pipeline::ONNXRUNTIME), context)?;
    }
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

/// Adds to the error of a failed check which rewrite is at fault, and writes the smallest model it
/// spoils beside the output.
fn accuse(
    options: &Optimize,
    original: &Model,
    settings: &Context,
    verifier: &Verifier<'_>,
    error: Error,
) -> Error {
    let Error::Gate { problem, help } = error else { return error };
    let rewrite = |model: &mut Model, context: &mut Context| run_passes(options, model, context);
    let fails = |model: &Model| matches!(verifier.check(model), Err(Error::Gate { .. }));
    let guilty = match bisect(original, settings, &rewrite, &fails, &lapidary::passes::find) {
        Ok(Some(guilty)) => guilty,
        Ok(None) => {
            let problem = format!("{problem}; no single rewrite is at fault");
            return Error::Gate { problem, help };
        }
        Err(error) => return error,
    };
    let path = options.output.output.with_extension("guilty.onnx");
    if let Err(error) = lapidary::save(&guilty.model, &path) {
        return error;
    }
    let problem = format!("{problem}; {guilty}: `{}` is a model it spoils", path.display());
    Error::Gate { problem, help: "nothing else was written; please report it with that model" }
}
