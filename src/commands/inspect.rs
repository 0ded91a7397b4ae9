//! `lapidary inspect`
use super::{open, open_at};
use crate::cli::Inspect;
use crate::render;
use lapidary::ir::Model;
use lapidary::{Error, LayerError};

pub(crate) fn run(options: &Inspect, json: bool) -> Result<(), Error> {
    if lapidary::is_calibration(&options.input.model) {
        let statistics = lapidary::read_calibration(&options.input.model)?;
        render::calibration(&statistics, options.method, json);
        return Ok(());
    }
    let opened = open(&options.input)?;
    let mut model = opened.model;
    model.graph.infer();
    if options.text {
        render::text(&model);
    } else if options.quantization {
        let errors = layers(options, &model)?;
        render::quantization(&model, options.target, errors.as_deref(), json);
    } else {
        render::inspect(&model, opened.bytes, json);
    }
    Ok(())
}

/// The errors of the layers, if there is an original to compare with.
fn layers(options: &Inspect, model: &Model) -> Result<Option<Vec<LayerError>>, Error> {
    let Some(path) = &options.original else { return Ok(None) };
    let mut original = open_at(path, &options.input.reading)?.model;
    original.graph.infer();
    let data = options.data.read_or_random(&original)?;
    lapidary::layer_errors(&original, model, &data).map(Some)
}
