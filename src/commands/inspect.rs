//! `lapidary inspect`
use super::open;
use crate::cli::Inspect;
use crate::render;
use lapidary::Error;

pub(crate) fn run(options: &Inspect, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut model = opened.model;
    model.graph.infer();
    if options.text {
        render::text(&model);
    } else if options.quantization {
        render::quantization(&model, options.target, json);
    } else {
        render::inspect(&model, opened.bytes, json);
    }
    Ok(())
}
