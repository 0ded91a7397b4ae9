//! `lapidary inspect`
use super::open;
use crate::cli::Inspect;
use crate::render;
use lapidary::Error;

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
        render::quantization(&model, options.target, json);
    } else {
        render::inspect(&model, opened.bytes, json);
    }
    Ok(())
}
