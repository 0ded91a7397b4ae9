//! The program from outside: help, exit codes, messages, JSON.
use crate::program::{fixture, lapidary};
use tempfile::tempdir;

#[test]
fn help_names_every_verb() {
    let help = lapidary(["--help"]).succeeds().stdout;
    for verb in [
        "optimize",
        "calibrate",
        "quantize",
        "prune",
        "factorize",
        "compress",
        "verify",
        "diff",
        "inspect",
    ] {
        assert!(help.contains(verb), "{verb} is missing in:\n{help}");
    }
}

#[test]
fn a_missing_option_is_a_usage_error() {
    let folder = tempdir().unwrap();
    let run = lapidary(["optimize", "fixtures/digits_resnet_dynamo_op18.onnx"]);
    assert!(run.fails_with(2, folder.path()).contains("--output"));
}

#[test]
fn quantizing_without_samples_says_how_to_give_them() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let model = fixture("digits_resnet_dynamo_op18.onnx");
    let run = lapidary(["quantize".as_ref(), model.as_os_str(), "-o".as_ref(), out.as_os_str()]);
    insta::assert_snapshot!(run.fails_with(2, folder.path()));
    assert!(!out.exists());
}

#[test]
fn an_unknown_pass_is_named() {
    let folder = tempdir().unwrap();
    insta::assert_snapshot!(lapidary(["passes", "fuse-everything"]).fails_with(2, folder.path()));
}

#[test]
fn a_ratio_of_one_is_refused() {
    let folder = tempdir().unwrap();
    let model = "fixtures/digits_resnet_dynamo_op18.onnx";
    let run = lapidary(["prune", model, "--ratio", "1", "--plan"]);
    insta::assert_snapshot!(run.fails_with(2, folder.path()));
}

#[test]
fn passes_lists_every_pass_and_explains_one() {
    let list = lapidary(["passes"]).succeeds().stdout;
    for pass in lapidary::passes::passes() {
        assert!(list.contains(pass.info().name), "{} is missing", pass.info().name);
    }
    let explained = lapidary(["passes", "fuse-conv-batch-normalization"]).succeeds().stdout;
    assert!(explained.contains("becomes"), "{explained}");
}

#[test]
fn errors_are_json_on_request() {
    let run = lapidary(["--json", "inspect", "does-not-exist.onnx"]);
    assert_eq!(run.code, 5);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["command"], "error");
    assert_eq!(report["error"]["exit_code"], 5);
    assert_eq!(report["error"]["code"], "LP0301");
}

#[test]
fn a_missed_gate_writes_nothing_and_exits_with_1() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    std::fs::write(&out, "the old output").unwrap();
    let run = lapidary([
        "prune",
        "fixtures/digits_resnet_dynamo_op18.onnx",
        "--ratio",
        "0.95",
        "--data",
        "fixtures/digits_test.npz",
        "--max-drop",
        "1",
        "-o",
        out.to_str().unwrap(),
    ]);
    assert!(run.fails_with(1, folder.path()).contains("accuracy drops by"));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "the old output");
}

#[test]
fn verify_tells_equal_models_from_different_ones() {
    let model = "fixtures/digits_resnet_dynamo_op18.onnx";
    let data = "fixtures/digits_test.npz";
    lapidary(["verify", model, model, "--data", data]).succeeds();
    let other = "fixtures/digits_mobilenetv2_dynamo_op18.onnx";
    let run = lapidary(["verify", model, other, "--data", data]);
    assert_eq!(run.code, 1, "{}", run.stderr);
}

#[test]
fn sizes_of_open_dimensions_reach_the_outputs() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("fixed.onnx");
    let out = out.to_str().unwrap();
    let model = "fixtures/digits_transformer_dynamo_op18.onnx";
    lapidary(["optimize", model, "--dim", "batch=4", "-o", out]).succeeds();
    let report = lapidary(["--json", "inspect", out]).succeeds().stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["inputs"][0]["shape"][0], "4");
    assert_eq!(report["outputs"][0]["shape"][0], "4");
    let run = lapidary(["inspect", model, "--input-shape", "4,8"]);
    assert!(run.fails_with(2, folder.path()).contains("has rank"));
}

#[test]
fn no_pass_at_all_writes_the_same_bytes() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("same.onnx");
    let model = fixture("digits_resnet_unfused_op17.onnx");
    let arguments = ["optimize", "--only", "none", "--verify", "off", "-o", out.to_str().unwrap()];
    lapidary(arguments.into_iter().chain([model.to_str().unwrap()])).succeeds();
    assert!(std::fs::read(out).unwrap() == std::fs::read(model).unwrap());
}

#[test]
fn a_model_is_raised_to_a_newer_operator_set_but_not_lowered() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("newer.onnx");
    let out = out.to_str().unwrap();
    let model = "fixtures/digits_resnet_unfused_op17.onnx";
    lapidary(["optimize", model, "--opset", "21", "-o", out]).succeeds();
    let report = lapidary(["--json", "inspect", out]).succeeds().stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["opsets"][""], 21);
    let run = lapidary(["optimize", model, "--opset", "13", "-o", out]);
    assert!(run.fails_with(2, folder.path()).contains("only raised"));
}

#[test]
fn optimize_executes_what_it_changed_and_nothing_else_by_default() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("o.onnx");
    let report = |options: &[&str]| -> serde_json::Value {
        let model = "fixtures/digits_resnet_unfused_op17.onnx";
        let arguments = ["--json", "optimize", model, "-o", out.to_str().unwrap()];
        let run = lapidary(arguments.iter().chain(options)).succeeds();
        let mut report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        report["verification"].take()
    };
    let fast = report(&[]);
    assert_eq!((&fast["executed"], &fast["on"]), (&true.into(), &"random numbers".into()));
    assert!(fast["proof"]["by_execution"].as_u64() > Some(0), "{fast}");
    assert!(fast["proof"]["by_construction"].as_u64() > Some(0), "{fast}");
    assert!(fast["proof"]["not_executable"].is_null() && fast["evaluation"].is_null(), "{fast}");
    let full = report(&["--verify", "full"]);
    assert!(full["proof"].is_null() && full["evaluation"].is_object(), "{full}");
    let data = report(&["--data", "fixtures/digits_test.npz"]);
    assert_eq!(data["on"], "--data");
    let off = report(&["--verify", "off"]);
    assert_eq!(off["not_executed_because"], "--verify off");
}

#[test]
fn diff_says_what_optimize_did() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("o.onnx");
    let (model, out) = ("fixtures/digits_resnet_unfused_op17.onnx", out.to_str().unwrap());
    let run = lapidary(["diff", model, model]).succeeds();
    assert!(run.stdout.starts_with("equal: "), "{}", run.stdout);
    lapidary(["optimize", model, "-o", out]).succeeds();
    let run = lapidary(["diff", model, out]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(run.stdout.lines().last().unwrap(), @"nodes: 13 removed, 0 added, 11 changed, 0 renamed, 16 equal");
    let run = lapidary(["--json", "diff", model, out]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["command"]), (1, &"diff".into()));
    assert!(report["operators"]["BatchNormalization"][0].as_u64() > Some(0), "{report}");
}

#[test]
fn a_report_nobody_reads_is_no_panic() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .arg("passes")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty());
}
