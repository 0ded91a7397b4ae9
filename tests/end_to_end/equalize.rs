//! Changes of the model in floating point before it is quantized.
use crate::program::{Run, lapidary};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const CONVOLUTIONS: &str = "fixtures/digits_mobilenetv2_unfused_op17.onnx";
const TRANSFORMER: &str = "fixtures/digits_transformer_unfused_op17.onnx";
const DATA: &str = "--data fixtures/digits_calib.npz --limit 20";

fn run(line: &str, folder: &Path) -> Run {
    let part = |part: &str| part.replace("FOLDER", folder.to_str().unwrap());
    lapidary(line.split_whitespace().map(part))
}

fn report(line: &str, folder: &Path) -> Value {
    serde_json::from_str(&run(&format!("{line} --json"), folder).succeeds().stdout).unwrap()
}

/// The names under a key of a change.
fn count(change: &Value, key: &str) -> usize {
    change[key].as_array().map_or(0, Vec::len)
}

#[test]
fn a_changed_model_computes_the_same_until_it_is_quantized() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let line = format!(
        "quantize {CONVOLUTIONS} {DATA} --no-refine --per-tensor --equalize --absorb-bias -o FOLDER/q.onnx"
    );
    let found = report(&line, folder);
    let changes = found["float_changes"].as_array().unwrap();
    let steps: Vec<_> = changes.iter().map(|change| change["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["equalize", "absorb-bias"]);
    assert!(count(&changes[0], "changed") > 0, "{found}");
    assert!(changes[0]["left_alone"]["Add reads it"].is_array(), "{found}");
    let steps = found["steps"].as_array().unwrap();
    let float = steps.iter().find(|step| step["name"] == "float").unwrap();
    assert!(float["outputs"][0]["max_rel"].as_f64().unwrap() < 1e-4, "{float}");
    let text = run(&line, folder).succeeds().stdout;
    assert!(text.contains("equalize: changed") && text.contains("alone: Add reads it"), "{text}");
}

#[test]
fn equalization_is_judged_where_channels_share_a_scale() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let tried = |options: &str| {
        let line = format!("quantize {CONVOLUTIONS} {DATA} {options} -o FOLDER/q.onnx");
        let found = report(&line, folder);
        let steps = found["refinement"].as_array().unwrap().clone();
        steps.into_iter().find(|step| step["step"] == "equalize")
    };
    assert!(tried("--per-tensor").is_some());
    assert!(tried("--per-tensor --equalize").is_none());
}

#[test]
fn the_strength_of_smoothing_is_given_or_found_whatever_the_number_of_threads() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let line =
        format!("quantize {TRANSFORMER} {DATA} --no-refine -o FOLDER/given.onnx --smooth 0.4");
    let found = report(&line, folder);
    assert_eq!(found["float_changes"][0]["alpha"], 0.4, "{found}");
    assert!(count(&found["float_changes"][0], "changed") > 0, "{found}");
    let searched = |threads: usize| {
        let out = format!("FOLDER/searched{threads}.onnx --threads {threads}");
        let line = format!("quantize {TRANSFORMER} {DATA} --no-refine --smooth -o {out}");
        let found = report(&line, folder);
        let alpha = found["float_changes"][0]["alpha"].as_f64().unwrap();
        assert!([0.25, 0.5, 0.75].contains(&alpha), "{found}");
        fs::read(folder.join(format!("searched{threads}.onnx"))).unwrap()
    };
    assert!(searched(1) == searched(2), "it depends on the number of threads");
    let refined = report(&format!("quantize {TRANSFORMER} {DATA} -o FOLDER/q.onnx"), folder);
    assert_eq!(refined["refinement"][0]["step"], "smooth", "{refined}");
}

#[test]
fn biases_are_corrected_without_samples() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    run(&format!("calibrate {CONVOLUTIONS} {DATA} -o FOLDER/s"), folder).succeeds();
    let line = format!("quantize {CONVOLUTIONS} --calib FOLDER/s -o FOLDER/q.onnx");
    let found = report(&format!("{line} --bias-correction analytic"), folder);
    let change = &found["float_changes"][0];
    assert_eq!(change["step"], "bias-correction");
    let named = change["changed"].as_array().unwrap();
    let from = |origin: &str| named.iter().any(|name| name.as_str().unwrap().ends_with(origin));
    assert!(from("(normalization)") && from("(mean of all channels)"), "{change}");
    let corrected = fs::read(folder.join("q.onnx")).unwrap();
    run(&line, folder).succeeds();
    assert!(corrected != fs::read(folder.join("q.onnx")).unwrap());
    // Normalizations say nothing of channels that were scaled.
    let line = format!("quantize {CONVOLUTIONS} {DATA} --no-refine -o FOLDER/q.onnx");
    let found = report(&format!("{line} --equalize --bias-correction analytic"), folder);
    let change = &found["float_changes"][1];
    assert!(count(change, "changed") > 0, "{change}");
    assert!(!change.to_string().contains("(normalization)"), "{change}");
}

#[test]
fn ranges_that_are_no_longer_true_are_refused() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    run(&format!("calibrate {CONVOLUTIONS} {DATA} -o FOLDER/s"), folder).succeeds();
    for option in ["--equalize", "--absorb-bias", "--smooth"] {
        let line = format!("quantize {CONVOLUTIONS} --calib FOLDER/s -o FOLDER/q.onnx {option}");
        let message = run(&line, folder).fails_with(2, folder);
        assert!(message.contains(option) && message.contains("--data"), "{message}");
    }
    let line = format!("quantize {CONVOLUTIONS} {DATA} -o FOLDER/q.onnx");
    let twice = run(&format!("{line} --bias-correction analytic"), folder);
    assert!(twice.fails_with(2, folder).contains("--no-refine"));
    let wrong = run(&format!("{line} --smooth 2"), folder);
    assert!(wrong.fails_with(2, folder).contains("from 0 to 1"));
}
