//! Every fixture through every verb: valid, executed, within budget, smaller, deterministic.
use crate::program::{FIXTURES, fixture, lapidary, run_on};
use lapidary::{ReadOptions, ir::proto::prost::Message};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Runs a verb on a fixture and returns the JSON report.
fn report(verb: &str, name: &str, out: &Path, options: &[&str]) -> Value {
    let run = run_on(verb, name, out, options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["command"], verb);
    report
}

/// What of a report is the same on every machine: costs, not errors.
fn costs(report: &Value) -> String {
    let steps = report["steps"].as_array().unwrap();
    let line = |step: &Value| {
        format!(
            "{}: nodes {}, parameters {}, bytes {}, MACs {}",
            step["name"].as_str().unwrap(),
            step["nodes"],
            step["parameters"],
            step["bytes"],
            step["macs"]
        )
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn accuracy(step: &Value) -> f64 {
    step["accuracy"].as_f64().unwrap()
}

#[test]
fn reading_and_writing_keeps_every_byte() {
    for name in FIXTURES {
        let path = fixture(&format!("{name}.onnx"));
        let model = lapidary::open(&path, &ReadOptions::default()).unwrap().model;
        assert!(model.encode().encode_to_vec() == fs::read(&path).unwrap(), "{name} changed");
    }
}

#[test]
fn optimize_never_grows_a_fixture_and_is_done_after_one_run() {
    let folder = tempdir().unwrap();
    let mut lines = Vec::new();
    for name in FIXTURES {
        let (out, again) = (folder.path().join("o.onnx"), folder.path().join("a.onnx"));
        let report = report("optimize", name, &out, &["--data", "fixtures/digits_test.npz"]);
        lapidary(["optimize", out.to_str().unwrap(), "-o", again.to_str().unwrap()]).succeeds();
        assert!(fs::read(&out).unwrap() == fs::read(&again).unwrap(), "{name} changes again");
        let (before, after) = (&report["before"], &report["after"]);
        assert!(after["bytes"].as_u64() <= before["bytes"].as_u64(), "{name} grows");
        assert!(after["nodes"].as_u64() <= before["nodes"].as_u64(), "{name} grows");
        lines.push(format!("{name}: {} -> {} nodes", before["nodes"], after["nodes"]));
        let fired = report["passes"].as_array().unwrap().iter();
        lines.extend(
            fired
                .filter(|pass| pass["rewrites"].as_u64() > Some(0))
                .map(|pass| format!("  {} {}", pass["rewrites"], pass["pass"].as_str().unwrap())),
        );
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn one_thread_and_two_write_the_same_bytes() {
    let folder = tempdir().unwrap();
    for name in ["digits_resnet_unfused_op17", "digits_mobilenetv2_dynamo_op18"] {
        let files = ["1", "2"].map(|threads| {
            let out = folder.path().join(format!("{threads}.onnx"));
            let options = ["--data", "fixtures/digits_calib.npz", "--prune", "0.3"];
            let options = [&options[..], &["--quantize", "int8", "--threads", threads]].concat();
            report("compress", name, &out, &options);
            fs::read(out).unwrap()
        });
        assert!(files[0] == files[1], "{name} depends on the number of threads");
    }
}

#[test]
fn quantize_keeps_the_accuracy_of_every_fixture() {
    let folder = tempdir().unwrap();
    let mut lines = Vec::new();
    for name in FIXTURES {
        let out = folder.path().join("q.onnx");
        let options = ["--data", "fixtures/digits_calib.npz", "--test", "fixtures/digits_test.npz"];
        let report = report("quantize", name, &out, &options);
        let steps = report["steps"].as_array().unwrap();
        let (before, after) = (accuracy(&steps[0]), accuracy(&steps[2]));
        assert!(after >= before - 0.02, "{name} drops from {before} to {after}");
        let (integer, total) = (&report["placement"]["integer"], &report["placement"]["total"]);
        lines.push(format!("{name}: {integer} of {total} nodes as integers\n{}", costs(&report)));
    }
    insta::assert_snapshot!(lines.join("\n\n"));
}

#[test]
fn prune_makes_every_convolutional_fixture_smaller() {
    let folder = tempdir().unwrap();
    let mut lines = Vec::new();
    for name in &FIXTURES[..4] {
        let out = folder.path().join("p.onnx");
        let options = ["--ratio", "0.3", "--data", "fixtures/digits_test.npz"];
        let report = report("prune", name, &out, &options);
        let steps = report["steps"].as_array().unwrap();
        assert!(steps[2]["macs"].as_u64() < steps[1]["macs"].as_u64(), "{name} keeps its MACs");
        lines.push(format!("{name}\n{}", costs(&report)));
    }
    insta::assert_snapshot!(lines.join("\n\n"));
}

#[test]
fn compress_walks_the_whole_road() {
    let folder = tempdir().unwrap();
    let mut lines = Vec::new();
    for name in FIXTURES {
        let out = folder.path().join("c.onnx");
        let options = [
            "--data",
            "fixtures/digits_calib.npz",
            "--test",
            "fixtures/digits_test.npz",
            "--prune",
            "0.1",
            "--quantize",
            "int8",
        ];
        let report = report("compress", name, &out, &options);
        let steps = report["steps"].as_array().unwrap();
        let last = steps.last().unwrap();
        assert!(last["bytes"].as_u64() < steps[0]["bytes"].as_u64(), "{name} grows");
        assert_eq!(fs::metadata(&out).unwrap().len(), last["bytes"].as_u64().unwrap());
        lines.push(format!("{name}\n{}", costs(&report)));
    }
    insta::assert_snapshot!(lines.join("\n\n"));
}

#[test]
fn inspect_and_verify_know_every_fixture() {
    let mut lines = Vec::new();
    for name in FIXTURES {
        let model = fixture(&format!("{name}.onnx"));
        let model = model.to_str().unwrap();
        lines.push(format!("{name}\n{}", lapidary(["inspect", model]).succeeds().stdout));
        let run =
            lapidary(["--json", "verify", model, model, "--data", "fixtures/digits_test.npz"]);
        let report: Value = serde_json::from_str(&run.succeeds().stdout).unwrap();
        assert_eq!(report["outputs"][0]["max_abs"], 0.0, "{name} differs from itself");
        assert!(accuracy(&report) > 0.95, "{name} is accurate");
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_plan_of_a_pruning_is_json_on_request() {
    let model = fixture("digits_resnet_dynamo_op18.onnx");
    let run = lapidary(["--json", "prune", model.to_str().unwrap(), "--plan"]).succeeds();
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    let groups = plan["groups"].as_array().unwrap();
    assert!(
        groups
            .iter()
            .any(|group| group["channels"] == 16 && group["pins"] == serde_json::json!([]))
    );
}

#[test]
fn the_example_of_the_readme_is_true() {
    let readme = fs::read_to_string(fixture("../README.md")).unwrap();
    let command = readme.split("-- compress ").nth(1).unwrap().split("\n$ ").next().unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempdir().unwrap();
    let out = folder.path().join("small.onnx");
    let words = command.split_whitespace().filter(|word| *word != "\\");
    let words = words.map(|word| if word == "small.onnx" { out.to_str().unwrap() } else { word });
    let run = lapidary(["compress"].into_iter().chain(words)).succeeds();
    // The columns of costs are the same on every machine, those of errors nearly.
    let costs = |text: &str| -> Vec<String> {
        let width = text.find("MACs").unwrap() + "MACs".len();
        text.lines().take(5).map(|line| line[..width].to_owned()).collect()
    };
    assert_eq!(costs(&run.stdout), costs(shown));
}

#[test]
fn refinement_is_judged_and_does_not_depend_on_the_number_of_threads() {
    let folder = tempdir().unwrap();
    let data = fixture("digits_calib.npz");
    let samples = ["--data", data.to_str().unwrap(), "--limit", "40"];
    let mut kept_by = Vec::new();
    for name in ["digits_resnet_dynamo_op18", "digits_mobilenetv2_unfused_op17"] {
        let quantized = |file: &str, options: &[&str]| {
            let out = folder.path().join(file);
            let report = report("quantize", name, &out, &[&samples[..], options].concat());
            (report, fs::read(out).unwrap())
        };
        let (report, one) = quantized("one.onnx", &["--threads", "1"]);
        let (_, two) = quantized("two.onnx", &["--threads", "2"]);
        assert!(one == two, "{name} depends on the number of threads");
        let (plain, unrefined) = quantized("plain.onnx", &["--no-refine"]);
        assert!(plain.get("refinement").is_none(), "{plain}");
        let steps = report["refinement"].as_array().unwrap();
        let kept = steps.iter().any(|step| step["kept"] == true);
        assert_eq!(kept, one != unrefined, "{name}: {report}");
        kept_by.push((name, kept));
        let mut reached = f64::NEG_INFINITY;
        for step in steps {
            let (before, after) = (&step["sqnr_db_before"], &step["sqnr_db_after"]);
            let (before, after) = (before.as_f64().unwrap(), after.as_f64().unwrap());
            assert_eq!(step["kept"].as_bool(), Some(after > before), "{step}");
            // What was reached is what the next step starts from; what is no gain is left out.
            assert!(reached == f64::NEG_INFINITY || reached == before, "{report}");
            reached = before.max(after);
        }
    }
    assert!(kept_by.iter().any(|(_, kept)| *kept), "{kept_by:?}");
}
