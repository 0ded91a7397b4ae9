//! Low-rank factorization: valid, executed, within the budget, as wrong as predicted.
use crate::program::{FIXTURES, lapidary, run_on};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

const CALIB: [&str; 2] = ["--data", "fixtures/digits_calib.npz"];
const TEST: [&str; 2] = ["--test", "fixtures/digits_test.npz"];

/// The report of a run that must succeed; the result must be valid.
fn report(name: &str, options: &[&str]) -> Value {
    let folder = tempdir().unwrap();
    let out = folder.path().join("f.onnx");
    let done = run_on("factorize", name, &out, options).succeeds();
    lapidary::open(&out, &lapidary::ReadOptions::default()).expect("the result is valid");
    serde_json::from_str(&done.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn on_samples_every_matrix_is_as_wrong_as_predicted_and_the_budget_is_met() {
    let mut lines = Vec::new();
    for name in ["digits_transformer_unfused_op17", "digits_resnet_dynamo_op18"] {
        let report = report(name, &[&CALIB[..], &["--parameters", "0.6"]].concat());
        let factors = &report["factorization"];
        let share = number(&factors["parameters_after"]) / number(&factors["parameters_before"]);
        assert!((share - 0.6).abs() < 0.006, "{name}: {share}");
        let sites = factors["sites"].as_array().unwrap();
        for site in sites {
            let (predicted, measured) =
                (number(&site["predicted_error"]), number(&site["measured_error"]));
            assert_eq!(site["norm"], "outputs");
            // What is next to nothing is lost in the rounding of the factors.
            let slack = 0.01 * predicted + 1e-9;
            assert!((measured - predicted).abs() < slack, "{name}: {site}");
        }
        let accuracy = |step: usize| number(&report["steps"][step]["accuracy"]);
        lines.push(format!("{name}: {} of {} matrices", sites.len(), {
            let left: usize = factors["left_alone"]
                .as_object()
                .unwrap()
                .values()
                .map(|v| v.as_array().unwrap().len())
                .sum();
            sites.len() + left
        }));
        assert!(accuracy(0) - accuracy(2) < 0.02, "{name}: {report}");
    }
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn every_fixture_is_factorized_in_every_way_with_other_samples_to_test_on() {
    let mut lines = Vec::new();
    for name in FIXTURES {
        for conv in ["svd", "spatial", "tucker"] {
            let options = [&CALIB[..], &TEST[..], &["--macs", "0.8", "--conv", conv]].concat();
            let report = report(name, &options);
            let step = |index: usize| &report["steps"][index];
            assert!(number(&step(2)["macs"]) < number(&step(1)["macs"]), "{name} {conv}");
            assert!(number(&step(2)["parameters"]) < number(&step(1)["parameters"]));
            let drop = number(&step(0)["accuracy"]) - number(&step(2)["accuracy"]);
            assert!(drop < 0.1, "{name} {conv}: {drop}");
            let sites = report["factorization"]["sites"].as_array().unwrap().len();
            lines.push(format!("{name} {conv}: {sites}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn threads_and_repetition_change_nothing() {
    let folder = tempdir().unwrap();
    let files = ["1", "2"].map(|threads| {
        let out = folder.path().join(threads);
        let options = [&CALIB[..], &["--parameters", "0.7", "--threads", threads]].concat();
        run_on("factorize", "digits_resnet_unfused_op17", &out, &options).succeeds();
        fs::read(&out).unwrap()
    });
    assert!(files[0] == files[1]);
}

#[test]
fn a_missed_gate_writes_nothing() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("f.onnx");
    let options = [&TEST[..], &["--parameters", "0.3", "--min-sqnr", "60"]].concat();
    let run = run_on("factorize", "digits_transformer_dynamo_op18", &out, &options);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(!out.exists());
}

#[test]
fn the_text_names_matrices_and_what_was_left_alone() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("f.onnx");
    let model = "fixtures/digits_resnet_dynamo_op18.onnx";
    let run = lapidary([
        "factorize",
        model,
        "--energy",
        "0.9",
        "--exclude",
        "op:Gemm",
        "--explain",
        "-o",
        out.to_str().unwrap(),
    ]);
    insta::assert_snapshot!(run.succeeds().stdout, @"");
    let budget = lapidary(["factorize", model, "--parameters", "0.001", "-o", "x.onnx"]);
    insta::assert_snapshot!(budget.fails_with(2, folder.path()), @"");
    let nothing = lapidary(["factorize", model, "--exclude", "op:Einsum", "-o", "x.onnx"]);
    insta::assert_snapshot!(nothing.fails_with(2, folder.path()), @"");
}
