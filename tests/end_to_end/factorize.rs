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
        lines.push(format!("{name}: {} of {} matrices", sites.len(), {
            let left: usize = factors["left_alone"]
                .as_object()
                .unwrap()
                .values()
                .map(|v| v.as_array().unwrap().len())
                .sum();
            sites.len() + left
        }));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    digits_transformer_unfused_op17: 12 of 18 matrices
    digits_resnet_dynamo_op18: 2 of 12 matrices
    ");
}

#[test]
fn fixtures_are_factorized_in_every_way_and_measured_on_other_samples() {
    let svd = FIXTURES.map(|name| (name, "svd"));
    let others = ["spatial", "tucker"].map(|conv| ("digits_resnet_unfused_op17", conv));
    let mut lines = Vec::new();
    for (name, conv) in svd.into_iter().chain(others) {
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
    insta::assert_snapshot!(lines.join("\n"), @r"
    digits_resnet_unfused_op17 svd: 5
    digits_resnet_dynamo_op18 svd: 5
    digits_mobilenetv2_unfused_op17 svd: 6
    digits_mobilenetv2_dynamo_op18 svd: 6
    digits_transformer_unfused_op17 svd: 7
    digits_transformer_dynamo_op18 svd: 7
    digits_resnet_unfused_op17 spatial: 3
    digits_resnet_unfused_op17 tucker: 3
    ");
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
    insta::assert_snapshot!(run.succeeds().stdout, @r"
     step       nodes  parameters    bytes       MACs 
     original      27      95 914  390 120  1 058 432 
     optimize      27      95 914  390 120  1 058 432 
     factorize     36      82 026  335 841    935 296 

    86.09 % of the bytes

     matrix                                shape  rank  parameters   after  discarded 
     stages.0.conv1.0.weight     16 x 16 x 3 x 3    13       2 304   2 080     9.07 % 
     stages.0.conv2.0.weight     16 x 16 x 3 x 3    13       2 304   2 080     9.37 % 
     stages.1.conv1.0.weight     32 x 16 x 3 x 3    24       4 608   4 224     9.89 % 
     stages.1.conv2.0.weight     32 x 32 x 3 x 3    26       9 216   8 320     8.84 % 
     stages.2.conv1.0.weight     32 x 32 x 3 x 3    26       9 216   8 320     8.82 % 
     stages.2.conv2.0.weight     32 x 32 x 3 x 3    25       9 216   8 000     9.89 % 
     stages.3.conv1.0.weight     64 x 32 x 3 x 3    45      18 432  15 840     9.94 % 
     stages.3.conv2.0.weight     64 x 64 x 3 x 3    46      36 864  29 440     9.48 % 
     stages.3.shortcut.0.weight  64 x 32 x 1 x 1    21       2 048   2 016     9.21 % 

    9 matrices factorized: 80 976 of 94 864 parameters and 934 656 of 1 057 792 MACs of all that could be
    discarded is the share of the energy of its weights; on --data it would be of what it computes
    left alone: node_linear (Gemm): excluded
    left alone: node_Conv_166 (Conv), node_Conv_176 (Conv): keeping 90.00 % of its energy would not make it smaller
    ");
    let budget = lapidary(["factorize", model, "--parameters", "0.001", "-o", "x.onnx"]);
    insta::assert_snapshot!(budget.fails_with(2, folder.path()), @"LP0201  × 0.1 % of what can be factorized is asked for, 2.8 % is the least help: ask for a larger share");
    let nothing = lapidary(["factorize", model, "--exclude", "op:Einsum", "-o", "x.onnx"]);
    insta::assert_snapshot!(nothing.fails_with(2, folder.path()), @"LP0201  × no node is `op:Einsum` help: names of nodes, op:TYPE and re:PATTERN are expected; `lapidary inspect --text` shows the names");
}
