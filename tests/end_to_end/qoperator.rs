//! Quantized models in operators on integers.
use crate::program::{fixture, lapidary};
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

const DATA: &str = "--data fixtures/digits_calib.npz --test fixtures/digits_test.npz --no-refine";

/// Quantizes a fixture with options.
fn quantize(name: &str, out: &Path, options: &str) -> Value {
    let model = fixture(&format!("{name}.onnx"));
    let line = format!("--json quantize {} -o {} {DATA} {options}", model.display(), out.display());
    serde_json::from_str(&lapidary(line.split_whitespace()).succeeds().stdout).unwrap()
}

/// What was written and what was left.
fn counts(report: &Value) -> String {
    let operators = &report["integer_operators"];
    let written = operators["written"].as_object().unwrap();
    let mut words: Vec<String> =
        written.iter().map(|(op, count)| format!("{count} {op}")).collect();
    for left in operators["left"].as_array().unwrap() {
        let nodes = left["nodes"].as_array().unwrap().len();
        words.push(format!("left {nodes} {}: {}", left["op_type"], left["reason"]));
    }
    words.join(", ")
}

#[test]
fn both_forms_compute_the_same() {
    let folder = tempdir().unwrap();
    let (one, other) = (folder.path().join("qdq.onnx"), folder.path().join("qoperator.onnx"));
    let mut lines = Vec::new();
    for name in [
        "digits_resnet_unfused_op17",
        "digits_mobilenetv2_dynamo_op18",
        "digits_transformer_unfused_op17",
    ] {
        for target in ["onnxruntime-x86", "onnxruntime-arm", "generic"] {
            quantize(name, &one, &format!("--target {target}"));
            let options = format!("--target {target} --format qoperator");
            let report = quantize(name, &other, &options);
            lines.push(format!("{name} {target}: {}", counts(&report)));
            let steps = report["steps"].as_array().unwrap();
            let [.., quantized, written] = steps.as_slice() else { panic!("{report}") };
            assert_eq!(
                (&quantized["name"], &written["name"]),
                (&"quantize".into(), &"qoperator".into())
            );
            assert_eq!(quantized["accuracy"], written["accuracy"], "{name} {target}");
            assert!(written["nodes"].as_u64() < quantized["nodes"].as_u64(), "{name} {target}");
            let float = &report["prediction"]["float"];
            assert_eq!(
                float.as_array().unwrap().iter().filter(|f| f["op_type"] == "Conv").count(),
                0,
                "{float}"
            );
        }
        let verified = lapidary([
            "verify",
            one.to_str().unwrap(),
            other.to_str().unwrap(),
            "--data",
            "fixtures/digits_test.npz",
            "--min-sqnr",
            "60",
        ]);
        verified.succeeds();
    }
    insta::assert_snapshot!(lines.join("\n"), @"");
    let inspected = lapidary(["inspect", "--quantization", other.to_str().unwrap()]).succeeds();
    assert!(inspected.stdout.contains("int8"), "{}", inspected.stdout);
}

#[test]
fn a_form_a_target_or_a_type_does_not_have_is_a_usage_error() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let mut lines = Vec::new();
    for options in [
        "--format qoperator --target tensorrt",
        "--format qoperator --target qnn",
        "--format qoperator --target openvino",
        "--format qoperator --activations uint16",
        "--format qoperator --weights int4",
        "--format nf4",
        "--format qoperator --weight-only int8",
    ] {
        let model = fixture("digits_resnet_unfused_op17.onnx");
        let data = if options.contains("weight-only") { "" } else { DATA };
        let line = format!("quantize {} -o {} {data} {options}", model.display(), out.display());
        lines.push(lapidary(line.split_whitespace()).fails_with(2, folder.path()));
    }
    insta::assert_snapshot!(lines.join("\n"), @"");
    let line = format!("quantize m.onnx -o {} --dynamic --format qoperator", out.display());
    lapidary(line.split_whitespace()).fails_with(2, folder.path());
    assert!(!out.exists());
}
