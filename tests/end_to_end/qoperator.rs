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
        let shown = lapidary(["--json", "inspect", "--quantization", other.to_str().unwrap()]);
        let shown: Value = serde_json::from_str(&shown.succeeds().stdout).unwrap();
        let types = |list: &str, elem_type: &str| {
            let found = shown[list].as_array().unwrap().iter();
            found.filter(|found| found["elem_type"] == elem_type).count()
        };
        assert!(types("constants", "int8") > 0 && types("constants", "int32") > 0, "{shown}");
        assert!(types("activations", "uint8") > 0, "{shown}");
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    digits_resnet_unfused_op17 onnxruntime-x86: 1 Flatten, 1 QGemm, 4 QLinearAdd, 11 QLinearConv, 1 QLinearGlobalAveragePool
    digits_resnet_unfused_op17 onnxruntime-arm: 1 Flatten, 1 QGemm, 4 QLinearAdd, 11 QLinearConv, 1 QLinearGlobalAveragePool
    digits_resnet_unfused_op17 generic: 1 Flatten, 11 QLinearConv, left 4 "Add": "QLinearAdd is an operator of ONNX Runtime alone", left 1 "Gemm": "ONNX has no product of integers with a bias but QLinearConv", left 1 "GlobalAveragePool": "QLinearGlobalAveragePool is an operator of ONNX Runtime alone"
    digits_mobilenetv2_dynamo_op18 onnxruntime-x86: 1 QGemm, 3 QLinearAdd, 19 QLinearConv
    digits_mobilenetv2_dynamo_op18 onnxruntime-arm: 1 QGemm, 3 QLinearAdd, 19 QLinearConv
    digits_mobilenetv2_dynamo_op18 generic: 19 QLinearConv, left 3 "Add": "QLinearAdd is an operator of ONNX Runtime alone", left 1 "Gemm": "ONNX has no product of integers with a bias but QLinearConv"
    digits_transformer_unfused_op17 onnxruntime-x86: 12 MatMulIntegerToFloat, 1 QGemm, 1 QLinearConv, 1 Reshape, 1 Transpose
    digits_transformer_unfused_op17 onnxruntime-arm: 12 MatMulIntegerToFloat, 1 QGemm, 1 QLinearConv, 1 Reshape, 1 Transpose
    digits_transformer_unfused_op17 generic: 1 QLinearConv, 1 Reshape, 1 Transpose, left 1 "Gemm": "ONNX has no product of integers with a bias but QLinearConv", left 12 "MatMul": "ONNX has no product of integers that writes numbers"
    "#);
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
    insta::assert_snapshot!(lines.join("\n"), @r"
    LP0201  × there is no --format qoperator: tensorrt reads QuantizeLinear and DequantizeLinear only help: write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits
    LP0201  × there is no --format qoperator: qnn reads QuantizeLinear and DequantizeLinear only help: write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits
    LP0201  × there is no --format qoperator: openvino reads QuantizeLinear and DequantizeLinear only help: write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits
    LP0201  × there is no --format qoperator: operators on integers read activations of 8 bits, not uint16 help: write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits
    LP0201  × there is no --format qoperator: operators on integers read weights of 8 bits, not int4 help: write --format qdq, or quantize for onnxruntime-x86, onnxruntime-arm or generic in 8 bits
    LP0201  × with samples, --format is qdq or qoperator help: the others are for --weight-only
    LP0201  × --weight-only leaves activations in float help: leave --format out, or --weight-only to quantize both
    ");
    let line = format!("quantize m.onnx -o {} --dynamic --format qoperator", out.display());
    lapidary(line.split_whitespace()).fails_with(2, folder.path());
    assert!(!out.exists());
}
