//! What the tests of this form share.
use super::super::testing::{calibration, model};
use super::super::{QuantizationPlan, QuantizeOptions, Target};
use super::OperatorForm;
use lapidary_exec::{RandomInputs, RunOptions, Runner};
use lapidary_ir::{Graph, Model, text};

/// Quantizes a model with these ranges for a target, writes it in operators on integers, and prints it.
pub(super) fn quantized(target: Target, source: &str, ranges: &[(&str, f32, f32)]) -> String {
    let mut model = model(source);
    let calibration = calibration(&model, ranges);
    let options = QuantizeOptions { target, ..QuantizeOptions::default() };
    let plan = QuantizationPlan::new(&model.graph, &calibration, &options);
    plan.apply(&mut model).expect("the plan is for this graph");
    written(target, model)
}

/// Writes a quantized model in operators on integers, compares it with what it was, and prints it.
pub(super) fn rewritten(target: Target, source: &str) -> String {
    written(target, model(source))
}

fn written(target: Target, quantized: Model) -> String {
    let mut model = quantized.clone();
    let form = OperatorForm::write(&mut model, target).expect("the form can be written");
    assert_eq!(model.validate(), [], "what is written is valid");
    assert_same_within_a_step(&quantized, &model);
    let mut again = model.clone();
    let second = OperatorForm::write(&mut again, target).expect("the form can be written again");
    assert!(second.written.is_empty(), "nothing is left to write: {second:?}");
    let mut lines: Vec<String> = Vec::new();
    for (op_type, count) in &form.written {
        lines.push(format!("{count} {op_type}"));
    }
    for ((op_type, reason), count) in form.left_by_reason() {
        lines.push(format!("left {count} {op_type}: {reason}"));
    }
    lines.push(text::print(&model.graph));
    lines.join("\n")
}

/// Runs both models on random inputs: what they compute differs by one step of its quantization at most.
pub(super) fn assert_same_within_a_step(quantized: &Model, operators: &Model) {
    for seed in 0..3 {
        let inputs = RandomInputs { seed, ..RandomInputs::default() };
        let inputs = inputs.generate(quantized).expect("inputs can be made");
        let run = |model: &Model| {
            let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
            runner.run(&inputs).expect("the model runs")
        };
        for ((name, expected), (_, found)) in run(quantized).iter().zip(run(operators)) {
            let step = step(&quantized.graph, name);
            let (expected, found) = (expected.to_f32(), found.to_f32());
            let (expected, found) = expected.zip(found).expect("outputs are numbers");
            assert_eq!(expected.len(), found.len(), "`{name}` has the same shape");
            for (expected, found) in expected.iter().zip(found) {
                assert!((expected - found).abs() <= step, "`{name}`: {found}, not {expected}");
            }
        }
    }
}

/// The distance of neighbouring numbers of an output; almost nothing if it is not quantized.
fn step(graph: &Graph, name: &str) -> f32 {
    let scale = graph.find(name).and_then(|output| {
        let producer = &graph[graph.producer(output)?];
        let scale = graph.constant(producer.input(1)?)?;
        producer.is("DequantizeLinear").then(|| scale.as_f32()).flatten()
    });
    scale.map_or(1e-4, |scale| scale * 1.0001)
}
