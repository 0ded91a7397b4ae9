//! One file per verb.
mod blocks;
mod calibrate;
mod compress;
mod convert;
mod data_args;
mod diff;
mod factorize;
mod float_steps;
mod gates;
mod group_sensitivity;
mod inspect;
mod integers;
mod measure;
mod optimize;
mod passes;
mod prune;
mod quantize;
mod quantize_light;
mod recipe;
mod search;
mod sensitivity;
mod sparsify;
mod verification;
mod verify;

pub(crate) use convert::Convert;
pub(crate) use data_args::Data;
pub(crate) use factorize::Factorize;
pub(crate) use float_steps::Float;
pub(crate) use quantize_light::Light;
pub(crate) use search::Search;
pub(crate) use sensitivity::Sensitivity;
pub(crate) use sparsify::Sparsify;

use crate::cli::{Cli, Command, Input, Reading, Shapes};
use crate::render;
use lapidary::ir::{FixedDims, Model};
use lapidary::{Error, Opened, ReadOptions};
use std::path::Path;

/// Runs the verb of the command line. Whether the answer is yes, for verbs that ask.
pub(crate) fn run(cli: Cli) -> Result<bool, Error> {
    let json = cli.json;
    match cli.command {
        Command::Diff(options) => return diff::run(&options, json),
        Command::Optimize(options) => optimize::run(&options, json),
        Command::Calibrate(options) => calibrate::run(&options, json),
        Command::Quantize(options) => quantize::run(&options, json),
        Command::Sensitivity(options) => sensitivity::run(&options, json),
        Command::Convert(options) => convert::run(&options, json),
        Command::Prune(options) => prune::run(&options, json),
        Command::Factorize(options) => factorize::run(&options, json),
        Command::Sparsify(options) => sparsify::run(&options, json),
        Command::Compress(options) => compress::run(&options, json),
        Command::Verify(options) => verify::run(&options, json),
        Command::Inspect(options) => inspect::run(&options, json),
        Command::Passes(options) => passes::run(&options, json),
    }
    .map(|()| true)
}

/// Sets the number of worker threads of the whole process.
pub(crate) fn set_threads(threads: usize) {
    // A second call can't happen; the default pool serves as well.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// Opens the model of a command, with the sizes it is given, and says what was dropped.
fn open(input: &Input) -> Result<Opened, Error> {
    open_at(&input.model, &input.reading)
}

fn open_at(path: &Path, reading: &Reading) -> Result<Opened, Error> {
    let options = ReadOptions {
        allow_unknown_fields: reading.allow_unknown_fields,
        external_roots: reading.external_root.clone(),
        ..ReadOptions::default()
    };
    let mut opened = lapidary::open(path, &options)?;
    for field in &opened.dropped {
        render::warning(&format!("dropped {field}"));
    }
    fix_dims(&mut opened.model, &reading.shapes)?;
    Ok(opened)
}

fn fix_dims(model: &mut Model, shapes: &Shapes) -> Result<(), Error> {
    if shapes.dim.is_empty() && shapes.input_shape.is_empty() {
        return Ok(());
    }
    let inputs = shapes.input_shape.iter().map(|(name, dims)| (name.clone(), dims.to_vec()));
    lapidary::fix_dims(model, &FixedDims { params: shapes.dim.clone(), inputs: inputs.collect() })
}
