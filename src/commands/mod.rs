//! One file per verb.
mod compress;
mod data_args;
mod diff;
mod gates;
mod inspect;
mod optimize;
mod passes;
mod prune;
mod quantize;
mod verification;
mod verify;

pub(crate) use data_args::Data;

use crate::cli::{Cli, Command, Input, Shapes};
use crate::render;
use lapidary::ir::{FixedDims, Model};
use lapidary::{Error, Opened, ReadOptions};

/// Runs the verb of the command line. Whether the answer is yes, for verbs that ask.
pub(crate) fn run(cli: Cli) -> Result<bool, Error> {
    let json = cli.json;
    match cli.command {
        Command::Diff(options) => return diff::run(&options, json),
        Command::Optimize(options) => optimize::run(&options, json),
        Command::Quantize(options) => quantize::run(&options, json),
        Command::Prune(options) => prune::run(&options, json),
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
    let options = ReadOptions {
        allow_unknown_fields: input.allow_unknown_fields,
        external_roots: input.external_root.clone(),
        ..ReadOptions::default()
    };
    let mut opened = lapidary::open(&input.model, &options)?;
    for field in &opened.dropped {
        render::warning(&format!("dropped {field}"));
    }
    fix_dims(&mut opened.model, &input.shapes)?;
    Ok(opened)
}

fn fix_dims(model: &mut Model, shapes: &Shapes) -> Result<(), Error> {
    if shapes.dim.is_empty() && shapes.input_shape.is_empty() {
        return Ok(());
    }
    let inputs = shapes.input_shape.iter().map(|(name, dims)| (name.clone(), dims.to_vec()));
    lapidary::fix_dims(model, &FixedDims { params: shapes.dim.clone(), inputs: inputs.collect() })
}
