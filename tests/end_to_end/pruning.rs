//! Pruning to a target.
use crate::program::{fixture, lapidary, run_on};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

fn last_step(report: &Value) -> &Value {
    report["steps"].as_array().unwrap().last().unwrap()
}

#[test]
fn half_of_the_multiplications_go_and_the_accuracy_stays() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_mobilenetv2_unfused_op17";
    let options = [
        "--macs",
        "0.5",
        "--data",
        "fixtures/digits_calib.npz",
        "--samples",
        "64",
        "--test",
        "fixtures/digits_test.npz",
    ];
    let run = run_on("prune", name, &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let (first, last) = (&report["steps"][0], last_step(&report));
    let share = last["macs"].as_f64().unwrap() / first["macs"].as_f64().unwrap();
    assert!(share <= 0.5 && share > 0.495, "{name} keeps {share}");
    assert_eq!(report["pruning"]["reached"].as_f64().unwrap(), share);
    let options = ["--ratio", "0.3", "--data", "fixtures/digits_test.npz"];
    let run = run_on("prune", name, &out, &options).succeeds();
    let uniform: Value = serde_json::from_str(&run.stdout).unwrap();
    let uniform = last_step(&uniform);
    assert!(uniform["macs"].as_u64() > last["macs"].as_u64(), "{name}: the uniform one is larger");
    let accuracy = |step: &Value| step["accuracy"].as_f64().unwrap();
    assert!(accuracy(last) >= accuracy(first) - 0.02, "{name}: {}", accuracy(last));
    assert!(accuracy(last) > accuracy(uniform) + 0.3, "{name}: {}", accuracy(uniform));
}

#[test]
fn parameters_and_bytes_are_targets_too() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let size = fs::metadata(&model).unwrap().len() as f64;
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "16"];
    let run = run_on(
        "prune",
        "digits_mobilenetv2_unfused_op17",
        &out,
        &[&["--bytes", "0.6"][..], &data].concat(),
    );
    run.succeeds();
    let share = fs::metadata(&out).unwrap().len() as f64 / size;
    // Optimizing what is left takes off a little more.
    assert!(share <= 0.601 && share > 0.53, "{share}");
    let options = [&["--parameters", "0.6", "--min-channels", "8"][..], &data].concat();
    let run = run_on("prune", "digits_mobilenetv2_unfused_op17", &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let parameters = |step: &Value| step["parameters"].as_f64().unwrap();
    let share = parameters(last_step(&report)) / parameters(&report["steps"][0]);
    assert!(share <= 0.6 && share > 0.52, "{share}");
    let groups = report["pruning"]["groups"].as_array().unwrap();
    assert!(groups.iter().all(|group| group["kept"].as_u64() >= Some(8)));
}

#[test]
fn a_target_out_of_reach_is_refused() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let run = lapidary([
        "prune",
        model.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--macs",
        "0.0001",
        "--data",
        "fixtures/digits_calib.npz",
        "--samples",
        "4",
    ]);
    let message = run.fails_with(1, folder.path());
    assert!(message.contains("0.000 of the MACs can't be reached"), "{message}");
    assert!(!out.exists());
}

#[test]
fn two_targets_are_refused() {
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let model = model.to_str().unwrap();
    for other in ["--parameters", "--bytes", "--ratio"] {
        let arguments = ["prune", model, "-o", "none.onnx", "--macs", "0.5", other, "0.5"];
        lapidary(arguments).fails_with(2, std::path::Path::new("none"));
    }
}

#[test]
fn options_of_targets_are_refused_without_one() {
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let model = model.to_str().unwrap();
    for (option, value) in [
        ("--importance", "l1"),
        ("--ignore", "op:Conv"),
        ("--min-channels", "4"),
        ("--max-ratio", "0.5"),
    ] {
        let arguments = ["prune", model, "-o", "none.onnx", "--ratio", "0.1", option, value];
        lapidary(arguments).fails_with(2, std::path::Path::new("none"));
    }
    let norm = ["prune", model, "-o", "none.onnx", "--macs", "0.5", "--norm", "l1"];
    lapidary(norm).fails_with(2, std::path::Path::new("none"));
}
