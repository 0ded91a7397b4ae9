//! `lapidary optimize`
use super::open;
use super::verification::{MEGABYTE, Verifier};
use crate::cli::Optimize;
use crate::render::{self, OptimizeReport};
use lapidary::ir::Model;
use lapidary::passes::{Accuracy, Context, GrowthBudget, Pass, driver, pipeline};
use lapidary::{Cost, Error, bisect};

pub(crate) fn run(options: &Optimize, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let mut model = original.clone();
    let settings = Context {
        validate_each: options.verify_each,
        growth: GrowthBudget { total: options.growth * MEGABYTE, ..GrowthBudget::default() },
        ..Context::default()
    };
    let mut context = settings.clone();
    run_passes(options, &mut model, &mut context)?;
    let (before, after) = (Cost::of(&original), Cost::of(&model));
    let verifier = Verifier { options, original: &original, bytes: before.bytes };
    let verification = verifier.check(&model).map_err(|error| match options.bisect {
        true => accuse(options, &original, &settings, &verifier, error),
        false => error,
    })?;
    lapidary::save(&model, &options.output.output)?;
    let report = OptimizeReport { before, after, passes: &context.records, verification };
    render::optimize(&report, options.explain, json);
    Ok(())
}

fn run_passes(options: &Optimize, model: &mut Model, context: &mut Context) -> Result<(), Error> {
    if !options.only.is_empty() {
        let passes = find_all(&options.only)?;
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
