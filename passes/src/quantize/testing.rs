//! What the tests of quantization share.
use super::{Calibration, QuantizationPlan, QuantizeOptions, Range};
pub(crate) use crate::testing::model;
use lapidary_exec::{ExecError, RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{Model, text};
use std::collections::BTreeSet;

/// A calibration in which every value has the range −128 to 127, that is scale 1 and zero point 128, except for
/// those given.
pub(crate) fn calibration(model: &Model, ranges: &[(&str, f32, f32)]) -> Calibration {
    let range = |name: &str| {
        let given = ranges.iter().find(|(known, ..)| *known == name);
        given.map_or(Range { min: -128.0, max: 127.0 }, |&(_, min, max)| Range { min, max })
    };
    model.graph.values().map(|(_, value)| (value.name().to_owned(), range(value.name()))).collect()
}

/// The plan for a model with these ranges.
pub(super) fn plan(source: &str, ranges: &[(&str, f32, f32)]) -> QuantizationPlan {
    let model = model(source);
    QuantizationPlan::new(&model.graph, &calibration(&model, ranges), &QuantizeOptions::default())
}

/// The quantized graph with these ranges, which is valid and not quantized twice.
pub(super) fn quantize(source: &str, ranges: &[(&str, f32, f32)]) -> String {
    let mut model = model(source);
    let calibration = calibration(&model, ranges);
    QuantizationPlan::new(&model.graph, &calibration, &QuantizeOptions::default())
        .apply(&mut model)
        .expect("the plan is for this graph");
    assert_eq!(model.validate(), [], "the quantized model is valid");
    let mut names = BTreeSet::new();
    let mut named = model.graph.nodes().map(|(_, node)| &node.name).filter(|name| !name.is_empty());
    assert!(named.all(|name| names.insert(name)), "the names of nodes differ");
    let again = QuantizationPlan::new(&model.graph, &calibration, &QuantizeOptions::default());
    assert_eq!(again.integer_nodes(), 0, "a quantized model is not quantized again");
    text::print(&model.graph)
}

/// The signal-to-noise ratio in dB of the quantized model's outputs, calibrated on the inputs it is measured with.
pub(super) fn sqnr_db(source: &str) -> Vec<f64> {
    let original = model(source);
    let inputs = RandomInputs::default().generate(&original).expect("inputs can be made");
    let sample = std::iter::once(Ok::<_, ExecError>(inputs.clone()));
    let calibration = Calibration::collect(&original, sample).expect("the original runs");
    let plan = QuantizationPlan::new(&original.graph, &calibration, &QuantizeOptions::default());
    let mut quantized = original.clone();
    plan.apply(&mut quantized).expect("the plan is for this graph");
    let run = |model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
        runner.run(&inputs).expect("the model runs")
    };
    let comparisons = compare(&run(&original), &run(&quantized)).expect("the outputs correspond");
    comparisons.iter().map(|comparison| comparison.sqnr_db).collect()
}
