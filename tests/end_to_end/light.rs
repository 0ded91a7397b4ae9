//! Quantization without samples: valid, executed, smaller, deterministic.
use crate::program::{FIXTURES, run_on as run};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

/// The report of a run that must succeed, whose result must be the same the second time.
fn report(verb: &str, name: &str, options: &[&str]) -> Value {
    let folder = tempdir().unwrap();
    let (out, again) = (folder.path().join("q.onnx"), folder.path().join("a.onnx"));
    let done = run(verb, name, &out, options).succeeds();
    run(verb, name, &again, options).succeeds();
    assert!(fs::read(&out).unwrap() == fs::read(&again).unwrap(), "{name} differs");
    lapidary::open(&out, &lapidary::ReadOptions::default()).expect("the result is valid");
    serde_json::from_str(&done.stdout).unwrap()
}

fn bytes(step: &Value) -> u64 {
    step["bytes"].as_u64().unwrap()
}

fn sqnr(report: &Value) -> f64 {
    report["measured"]["executed"]["evaluation"]["outputs"][0]["sqnr_db"].as_f64().unwrap()
}

/// Bytes before and after, and what was changed.
fn line(name: &str, report: &Value) -> String {
    let steps = report["steps"].as_array().unwrap();
    let (first, last) = (bytes(&steps[0]), bytes(steps.last().unwrap()));
    assert!(last <= first, "{name} grows from {first} to {last} bytes");
    let left: Vec<&String> = report["left_alone"].as_object().unwrap().keys().collect();
    format!("{name}: {} nodes, {first} -> {last} bytes, left alone: {left:?}", report["quantized"])
}

#[test]
fn dynamic_quantization_needs_no_samples() {
    let mut lines = Vec::new();
    for name in FIXTURES {
        let report = report("quantize", name, &["--dynamic"]);
        lines.push(line(name, &report));
        if report["quantized"].as_u64() > Some(0) {
            let sqnr = sqnr(&report);
            assert!(sqnr > 25.0, "{name}: {sqnr} dB");
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    digits_resnet_unfused_op17: 1 nodes, 399002 -> 389368 bytes, left alone: []
    digits_resnet_dynamo_op18: 1 nodes, 390120 -> 388598 bytes, left alone: []
    digits_mobilenetv2_unfused_op17: 1 nodes, 218982 -> 189264 bytes, left alone: []
    digits_mobilenetv2_dynamo_op18: 1 nodes, 190566 -> 187130 bytes, left alone: []
    digits_transformer_unfused_op17: 13 nodes, 314975 -> 107014 bytes, left alone: ["its weights are no constant"]
    digits_transformer_dynamo_op18: 13 nodes, 286960 -> 96501 bytes, left alone: ["its weights are no constant"]
    "#);
}

#[test]
fn convolutions_are_quantized_dynamically_on_request() {
    let name = "digits_resnet_unfused_op17";
    let options = ["--dynamic", "--op-types", "Conv,Gemm", "--data", "fixtures/digits_test.npz"];
    let report = report("quantize", name, &options);
    insta::assert_snapshot!(line(name, &report), @r#"digits_resnet_unfused_op17: 11 nodes, 399002 -> 119731 bytes, left alone: ["its weights are too few to gain from it"]"#);
    let accuracy = |value: &Value| value.as_f64().unwrap();
    let measured = &report["measured"]["executed"];
    let before = accuracy(&measured["accuracy_before"]);
    let after = accuracy(&measured["evaluation"]["accuracy"]);
    assert!(before - after < 0.01, "accuracy {before} -> {after}");
}

#[test]
fn an_operator_without_a_dynamic_form_is_a_usage_error() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let options = ["--dynamic", "--op-types", "Softmax"];
    let done = run("quantize", FIXTURES[0], &out, &options);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stdout.contains("`Softmax` can't be quantized this way"), "{}", done.stdout);
    let done = run("quantize", FIXTURES[0], &out, &["--dynamic", "--exclude", "nobody"]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stdout.contains("no node is `nobody`"), "{}", done.stdout);
    assert!(!out.exists());
}

#[test]
fn weights_are_stored_in_every_form() {
    const FORMS: [(&str, f64); 7] = [
        ("int8 --per-channel --symmetric", 35.0),
        ("uint8 --block 64", 35.0),
        ("int4", 15.0),
        ("int4 --format mat-mul-n-bits --accuracy-level 4", 15.0),
        ("int8 --format codebook --bits 6", 25.0),
        ("uint4 --format nf4 --block 64", 15.0),
        ("int2 --block 16 --op-types MatMul", 2.0),
    ];
    let mut lines = Vec::new();
    for (form, least) in FORMS {
        let options: Vec<&str> = ["--weight-only"].into_iter().chain(form.split(' ')).collect();
        let name = "digits_transformer_dynamo_op18";
        let report = report("quantize", name, &options);
        lines.push(line(form, &report));
        let sqnr = sqnr(&report);
        assert!(sqnr > least, "{form}: {sqnr} dB");
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    int8 --per-channel --symmetric: 13 nodes, 286960 -> 93550 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    uint8 --block 64: 13 nodes, 286960 -> 95760 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    int4: 13 nodes, 286960 -> 67071 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    int4 --format mat-mul-n-bits --accuracy-level 4: 13 nodes, 286960 -> 66861 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    int8 --format codebook --bits 6: 13 nodes, 286960 -> 93538 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    uint4 --format nf4 --block 64: 13 nodes, 286960 -> 64388 bytes, left alone: ["its weights are no constant", "its weights are too few to gain from it"]
    int2 --block 16 --op-types MatMul: 12 nodes, 286960 -> 60800 bytes, left alone: ["its weights are no constant"]
    "#);
}

#[test]
fn convolutions_keep_their_accuracy_with_weights_of_four_bits() {
    let options = ["--weight-only", "int4", "--data", "fixtures/digits_test.npz"];
    let report = report("quantize", "digits_resnet_unfused_op17", &options);
    insta::assert_snapshot!(line("int4", &report), @r#"int4: 11 nodes, 399002 -> 76018 bytes, left alone: ["its weights are too few to gain from it"]"#);
    let measured = &report["measured"]["executed"];
    let before = measured["accuracy_before"].as_f64().unwrap();
    let after = measured["evaluation"]["accuracy"].as_f64().unwrap();
    assert!(before - after < 0.03, "accuracy {before} -> {after}");
    assert!(report["notes"].as_array().is_none_or(Vec::is_empty), "{report}");
}

#[test]
fn options_that_do_not_go_together_are_usage_errors() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    for options in [
        &["--weight-only", "int4", "--dynamic"][..],
        &["--weight-only", "int4", "--block", "20"],
        &["--weight-only", "int8", "--format", "nf4"],
        &["--dynamic", "--symmetric"],
    ] {
        assert_eq!(run("quantize", FIXTURES[0], &out, options).code, 2, "{options:?}");
    }
    assert!(!out.exists());
}

#[test]
fn half_precision_is_half_the_bytes() {
    let mut lines = Vec::new();
    for options in [&["--to", "fp16"][..], &["--to", "bf16"], &["--to", "fp16", "--no-keep-io"]] {
        let name = "digits_transformer_unfused_op17";
        let report = report("convert", name, options);
        lines.push(line(&options.join(" "), &report));
        let sqnr = sqnr(&report);
        assert!(sqnr > 40.0, "{options:?}: {sqnr} dB");
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    --to fp16: 71 nodes, 314975 -> 151705 bytes, left alone: []
    --to bf16: 71 nodes, 314975 -> 151767 bytes, left alone: []
    --to fp16 --no-keep-io: 71 nodes, 314975 -> 151571 bytes, left alone: []
    ");
}

#[test]
fn a_node_to_block_must_exist() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let done = run("convert", FIXTURES[0], &out, &["--to", "fp16", "--block-node", "nobody"]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(!out.exists());
}

#[test]
fn options_of_static_quantization_are_refused() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    for options in [
        ["--dynamic", "--per-tensor"].as_slice(),
        &["--dynamic", "--weights", "int4"],
        &["--weight-only", "int8", "--method", "min-max"],
        &["--weight-only", "int4", "--keep-first-last"],
    ] {
        let done = run("quantize", FIXTURES[0], &out, options);
        assert_eq!(done.code, 2, "{options:?}: {}", done.stdout);
    }
}
