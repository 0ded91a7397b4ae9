//! `lapidary diff`
use crate::cli::Diff as Options;
use crate::render;
use lapidary::ir::Model;
use lapidary::{Diff, Error, ReadOptions};
use std::path::Path;

/// Whether the models are equal.
pub(crate) fn run(options: &Options, json: bool) -> Result<bool, Error> {
    let diff = Diff::new(&open(&options.a)?, &open(&options.b)?);
    render::diff(&diff, json);
    Ok(diff.is_equal())
}

fn open(path: &Path) -> Result<Model, Error> {
    let mut model = lapidary::open(path, &ReadOptions::default())?.model;
    model.graph.infer();
    Ok(model)
}
