//! One file per verb.
mod compress;
mod convert;
mod diff;
mod gates;
mod inspect;
mod measure;
mod optimize;
mod passes;
mod prune;
mod quantize;
mod quantize_light;
mod verification;
mod verify;

pub(crate) use convert::Convert;
pub(crate) use quantize_light::Light;

use crate::cli::{Cli, Command, Data, Input, Shapes};
use crate::render;
use lapidary::ir::{FixedDims, Model};
use lapidary::{Dataset, Error, Opened, ReadOptions};
use std::path::Path;

/// Runs the verb of the command line. Whether the answer is yes, for verbs that ask.
pub(crate) fn run(cli: Cli) -> Result<bool, Error> {
    let json = cli.json;
    match cli.command {
        Command::Diff(options) => return diff::run(&options, json),
        Command::Optimize(options) => optimize::run(&options, json),
        Command::Quantize(options) => quantize::run(&options, json),
        Command::Convert(options) => convert::run(&options, json),
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

/// Reads samples that fit a model.
fn read_data(path: &Path, model: &Model, limit: Option<usize>) -> Result<Dataset, Error> {
    Dataset::read(path, &model.graph, limit).map_err(|source| Error::Data {
        path: path.to_owned(),
        help: source.help(),
        source,
    })
}

/// Reads the samples of `--data`, which the command can't do without.
fn require_data(data: &Data, model: &Model, why: &str) -> Result<Dataset, Error> {
    let Some(path) = &data.data else {
        return Err(Error::Usage {
            problem: format!("{why} needs samples"),
            help: "give them with --data FILE.npz: an array per input, 100 to 500 samples"
                .to_owned(),
        });
    };
    read_data(path, model, data.samples)
}
