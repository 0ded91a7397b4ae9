//! Models that are quantized already: read, completed, and never quantized twice.
use crate::program::{lapidary, run_on};
use lapidary::ir::{ElemType, Graph, Model};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Trained with fake quantization; biases are floats, and so are the weights.
const TRAINED: &str = "qat_digits_op17";

const CALIBRATION: &str = "fixtures/digits_calib.npz";

const TEST: &str = "fixtures/digits_test.npz";

fn open(path: &Path) -> Model {
    let mut model =
        lapidary::open(path, &lapidary::ReadOptions::default()).expect("the file is valid").model;
    model.graph.infer();
    model
}

/// The constants that are dequantized: name, type, numbers.
fn integers(graph: &Graph) -> Vec<(String, ElemType, Vec<i64>)> {
    let nodes = graph.nodes().filter(|(_, node)| node.is("DequantizeLinear"));
    let constant = |(id, _)| {
        let tensor = graph.constant_input(id, 0)?;
        let name = graph.value(graph[id].input(0)?).name().to_owned();
        Some((name, tensor.elem_type(), tensor.to_i64()?))
    };
    nodes.filter_map(constant).collect()
}

fn report(verb: &str, model: &Path, out: &Path, options: &[&str]) -> Value {
    let (model, out) = (model.to_str().unwrap(), out.to_str().unwrap());
    let mut arguments = vec![verb, model, "-o", out, "--json"];
    arguments.extend(options);
    serde_json::from_str(&lapidary(arguments).succeeds().stdout).unwrap()
}

#[test]
fn a_model_trained_quantized_needs_no_samples() {
    let folder = tempdir().unwrap();
    let (out, again) = (folder.path().join("q.onnx"), folder.path().join("a.onnx"));
    let done = run_on("quantize", TRAINED, &out, &["--test", TEST]).succeeds();
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let already = &report["placement"]["already"];
    insta::assert_snapshot!(format!("{}, {} biases", already["operators"], already["biases"]), @r#"{"Add":2,"Conv":4,"DequantizeLinear":14,"Gemm":1,"QuantizeLinear":9,"ReduceMean":1,"Relu":4}, 5 biases"#);
    assert_eq!(report["placement"]["integer"], 0);
    assert_eq!(report["prediction"]["operators"]["Conv"]["integer"], 4);
    let steps = report["steps"].as_array().unwrap();
    let of = |step: &Value, what: &str| step[what].as_f64().unwrap();
    let (first, last) = (&steps[0], &steps[2]);
    assert!(of(last, "bytes") < 0.4 * of(first, "bytes"), "weights take a byte each");
    assert!(of(last, "accuracy") >= of(first, "accuracy") - 0.003);
    assert_eq!(steps[1]["outputs"][0]["max_rel"], 0.0, "folding weights changes nothing");
    let model = open(&out);
    let found = integers(&model.graph);
    let weights = found.iter().filter(|(_, elem_type, _)| *elem_type == ElemType::INT8).count();
    let biases = found.iter().filter(|(_, elem_type, _)| *elem_type == ElemType::INT32).count();
    assert_eq!((weights, biases), (5, 5));
    report_of_nothing_left(&out, &again);
}

/// A second quantization finds everything done: same bytes.
fn report_of_nothing_left(out: &Path, again: &Path) {
    let report = report("quantize", out, again, &["--data", CALIBRATION, "--no-optimize"]);
    assert_eq!(report["placement"]["integer"], 0);
    assert_eq!(report["placement"]["already"]["biases"], 0);
    assert!(fs::read(out).unwrap() == fs::read(again).unwrap(), "nothing was left to do");
}

#[test]
fn the_integers_are_those_of_the_definition() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("o.onnx");
    run_on("optimize", TRAINED, &out, &[]).succeeds();
    let original = open(&crate::program::fixture(&format!("{TRAINED}.onnx")));
    let graph = &original.graph;
    let mut expected = Vec::new();
    for (id, node) in graph.nodes().filter(|(_, node)| node.is("QuantizeLinear")) {
        let Some(weights) = graph.constant_input(id, 0).and_then(|it| it.to_f32()) else {
            continue;
        };
        let scales = graph.constant_input(id, 1).and_then(|it| it.to_f32()).unwrap();
        assert_eq!(node.int("axis"), Some(0));
        let share = weights.len() / scales.len();
        let code = |(n, w): (usize, &f32)| {
            (w / scales[n / share]).round_ties_even().clamp(-128.0, 127.0) as i64
        };
        expected.push(weights.iter().enumerate().map(code).collect::<Vec<i64>>());
    }
    let found: Vec<Vec<i64>> =
        integers(&open(&out).graph).into_iter().map(|(_, _, numbers)| numbers).collect();
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|numbers| expected.contains(numbers)), "each is one of the file's");
}

#[test]
fn what_was_left_in_float_is_quantized_later() {
    let folder = tempdir().unwrap();
    let [part, rest, again] = ["part", "rest", "again"].map(|name| folder.path().join(name));
    let name = "digits_resnet_dynamo_op18";
    let options = ["--data", CALIBRATION, "--no-refine", "--exclude", "op:Gemm"];
    run_on("quantize", name, &part, &options).succeeds();
    let before = integers(&open(&part).graph);
    let report = report("quantize", &part, &rest, &["--data", CALIBRATION, "--test", TEST]);
    assert_eq!(report["placement"]["integer"], 1, "{}", report["placement"]);
    assert_eq!(report["placement"]["already"]["operators"]["Conv"], 11);
    assert_eq!(report["prediction"]["operators"]["Gemm"]["integer"], 1);
    let after = integers(&open(&rest).graph);
    assert!(before.iter().all(|constant| after.contains(constant)), "integers stay");
    let accuracy = |step: usize| report["steps"][step]["accuracy"].as_f64().unwrap();
    assert!(accuracy(0) - accuracy(2) < 0.01);
    report_of_nothing_left(&rest, &again);
}

#[test]
fn other_verbs_leave_integers_alone_and_say_so() {
    let folder = tempdir().unwrap();
    let (quantized, out) = (folder.path().join("q.onnx"), folder.path().join("o.onnx"));
    run_on("quantize", TRAINED, &quantized, &[]).succeeds();
    let before = integers(&open(&quantized).graph);
    let mut lines = Vec::new();
    for (verb, options) in [
        ("quantize", &["--dynamic"][..]),
        ("quantize", &["--weight-only", "int4"]),
        ("convert", &["--to", "fp16"]),
    ] {
        let report = report(verb, &quantized, &out, options);
        let left = report["left_alone"].as_object().unwrap().iter();
        let left: Vec<String> = left
            .map(|(reason, nodes)| format!("{} {reason}", nodes.as_array().unwrap().len()))
            .collect();
        lines.push(format!("{options:?}: {} changed, {}", report["quantized"], left.join(", ")));
        assert_eq!(integers(&open(&out).graph), before, "{options:?}");
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ["--dynamic"]: 0 changed, 1 its weights are quantized already
    ["--weight-only", "int4"]: 0 changed, 5 its weights are quantized already
    ["--to", "fp16"]: 0 changed, 40 it is quantized already
    "#);
}

#[test]
fn a_model_in_floating_point_still_needs_samples() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let run = run_on("quantize", "digits_resnet_dynamo_op18", &out, &[]);
    assert_eq!(run.code, 2, "{}", run.stdout);
    assert!(run.stdout.contains("calibration needs samples"), "{}", run.stdout);
}
