//! `lapidary verify`
use crate::cli::Verify;
use crate::render;
use lapidary::ir::Model;
use lapidary::passes::Accuracy;
use lapidary::{Error, ReadOptions, Reference};
use std::path::Path;

pub(crate) fn run(options: &Verify, json: bool) -> Result<(), Error> {
    let original = open(&options.original)?;
    let changed = open(&options.changed)?;
    let dataset = options.data.read_or_random(&original)?;
    let layers = options.layers.then(|| lapidary::layer_errors(&original, &changed, &dataset));
    let layers = layers.transpose()?;
    let reference = Reference::new(&original, dataset)?;
    let evaluation = reference.evaluate(&changed)?;
    render::verify(&reference, &evaluation, layers.as_deref(), json);
    options.gates.check(&reference, &evaluation)?;
    let default = (!options.gates.any()).then(|| Accuracy::Rounding.tolerance());
    let Some(allowed) = options.tolerance.or(default) else { return Ok(()) };
    let found = evaluation.max_rel();
    if found <= allowed {
        return Ok(());
    }
    Err(Error::Gate {
        problem: format!(
            "an output differs by {found:.2e} of its largest value, allowed is {allowed:.0e}"
        ),
        help: "for a lossy step set what is acceptable: --tolerance, --min-sqnr or --max-drop",
    })
}

fn open(path: &Path) -> Result<Model, Error> {
    let mut model = lapidary::open(path, &ReadOptions::default())?.model;
    model.graph.infer();
    Ok(model)
}
