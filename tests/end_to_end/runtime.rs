//! Pruning by the time of another runtime: a script of the shell.
use crate::program::{fixture, lapidary, run_on};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::tempdir;

const NAME: &str = "digits_mobilenetv2_unfused_op17";

/// Prints the bytes of every file, and writes down how many there were.
const BYTES: &str = r#"echo $# >> "$0.calls"; wc -c "$@" | head -n $# | sed 's/[^ 0-9].*//'"#;

/// A command of these lines; its path.
fn script(folder: &Path, lines: &str) -> String {
    let path = folder.join("run time.sh");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("sh '{}'", path.display())
}

const OPTIONS: [&str; 6] =
    ["--data", "fixtures/digits_calib.npz", "--samples", "16", "--latency", "0.6"];

#[test]
fn what_a_command_measures_is_what_is_met() {
    let folder = tempdir().unwrap();
    let command = script(folder.path(), BYTES);
    let prune = |out: &str| {
        let out = folder.path().join(out);
        let options = [&OPTIONS[..], &["--runtime", &command]].concat();
        let run = run_on("prune", NAME, &out, &options).succeeds();
        (serde_json::from_str::<Value>(&run.stdout).unwrap(), fs::read(&out).unwrap())
    };
    let (report, bytes) = prune("a.onnx");
    let pruning = &report["pruning"];
    assert_eq!(pruning["runtime"].as_str(), Some(command.as_str()));
    assert!(pruning.get("unmeasured").is_none());
    let last = pruning["measured"].as_array().unwrap().last().unwrap();
    let measured = last["measured"].as_f64().unwrap();
    assert!(measured <= 0.6 && measured > 0.5, "{pruning}");
    let predicted = last["predicted"].as_f64().unwrap();
    assert!((predicted / measured - 1.0).abs() < 0.1, "{pruning}");
    let before = fs::metadata(fixture(&format!("{NAME}.onnx"))).unwrap().len() as f64;
    assert!((bytes.len() as f64 / before - measured).abs() < 0.02, "{pruning}");
    // The original and the optimized one; three grids; then what was pruned beside the original.
    let calls = fs::read_to_string(folder.path().join("run time.sh.calls")).unwrap();
    let calls: Vec<usize> = calls.lines().map(|line| line.parse().unwrap()).collect();
    let tries = pruning["measured"].as_array().unwrap().len();
    assert!(calls.len() <= 4 + tries && calls[0] == 2 && calls[1] > 20, "{calls:?}");
    let (again, same) = prune("b.onnx");
    assert_eq!((&again["pruning"], same), (pruning, bytes));
}

#[test]
fn products_that_cannot_be_measured_are_named() {
    let folder = tempdir().unwrap();
    // The attribute of convolutions with groups; whole models have a Gemm as well.
    let lines = format!(
        "for file in \"$@\"; do if grep -q group \"$file\" && ! grep -q Gemm \"$file\"; \
         then echo 'no groups' >&2; exit 1; fi; done; {BYTES}"
    );
    let command = script(folder.path(), &lines);
    let out = folder.path().join("p.onnx");
    let options = [&OPTIONS[..], &["--runtime", &command]].concat();
    let run = run_on("prune", NAME, &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let unmeasured = report["pruning"]["unmeasured"].as_array().unwrap();
    let groups = report["pruning"]["groups"].as_array().unwrap();
    assert!(!unmeasured.is_empty() && unmeasured.len() < groups.len(), "{unmeasured:?}");
    for product in unmeasured {
        assert!(product["reason"].as_str().unwrap().ends_with("no groups"), "{product}");
    }
}

#[test]
fn a_command_that_does_not_do_it_is_an_error() {
    let folder = tempdir().unwrap();
    let failure = |command: &str| {
        let model = fixture(&format!("{NAME}.onnx"));
        let out = folder.path().join("p.onnx");
        let mut words = vec!["prune", model.to_str().unwrap(), "-o", out.to_str().unwrap()];
        words.extend(OPTIONS);
        words.extend(["--runtime", command]);
        let run = lapidary(words);
        assert!(!out.exists());
        run.fails_with(5, folder.path())
    };
    let wrong = [
        (
            "echo '' >&2; echo 'no such device' >&2; exit 3",
            "exit status: 3 and said: no such device",
        ),
        ("echo 1", "printed 1 lines, expected one for each of 2 models"),
        ("for file in $@; do echo 1; done; echo 1", "printed 3 lines"),
        ("echo loading; echo 1; echo 1", "printed `loading`, expected milliseconds"),
        ("echo 1; echo 0", "printed `0`, expected milliseconds"),
    ];
    for (lines, expected) in wrong {
        let message = failure(&script(folder.path(), lines));
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("lane/latency.py"), "{message}");
    }
    let message = failure("./no-such-runtime --fast");
    assert!(message.contains("`./no-such-runtime --fast` can't be started"), "{message}");
}

#[test]
fn a_runtime_is_for_latency() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    for options in [["--macs", "0.6"], ["--ratio", "0.3"]] {
        let run = run_on("prune", NAME, &out, &[&options[..], &["--runtime", "tract"]].concat());
        assert_eq!(run.code, 2, "{}", run.stderr);
    }
    let run = run_on("prune", NAME, &out, &["--latency", "0.6", "--runtime", "python 'a"]);
    assert!(run.code == 2 && run.stderr.contains("a quote is open"), "{}", run.stderr);
}
