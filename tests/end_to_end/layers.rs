//! The errors of values inside a model.
use crate::program::{Run, lapidary};
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

const MODEL: &str = "fixtures/digits_resnet_unfused_op17.onnx";
const DATA: &str = "fixtures/digits_test.npz";

fn run(line: &str, folder: &Path) -> Run {
    let part = |part: &str| part.replace("FOLDER", folder.to_str().unwrap());
    lapidary(line.split_whitespace().map(part))
}

/// The values of the layers and their signal-to-noise ratios.
fn layers(done: Run) -> Vec<(String, f64)> {
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let layers = report["layers"].as_array().unwrap().iter();
    let pair = |layer: &Value| {
        (layer["value"].as_str().unwrap().to_owned(), layer["sqnr_db"].as_f64().unwrap())
    };
    layers.map(pair).collect()
}

#[test]
fn every_layer_of_a_quantized_model_has_its_error() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let quantize = format!("quantize {MODEL} -o FOLDER/q.onnx --data {DATA} --no-refine");
    run(&quantize, folder).succeeds();
    let inspect = format!(
        "--json inspect FOLDER/q.onnx --quantization --original {MODEL} --data {DATA} --limit 16"
    );
    let inspected = layers(run(&inspect, folder).succeeds());
    assert_eq!(inspected.len(), 27);
    assert_eq!(inspected.last().map(|(name, _)| name.as_str()), Some("logits"));
    for (name, sqnr_db) in &inspected {
        assert!((20.0..60.0).contains(sqnr_db), "{name}: {sqnr_db} dB");
    }
    let verify = format!(
        "--json verify {MODEL} FOLDER/q.onnx --layers --min-sqnr 10 --data {DATA} --limit 16"
    );
    assert_eq!(layers(run(&verify, folder).succeeds()), inspected);
}

#[test]
fn an_original_needs_something_to_compare() {
    let folder = tempdir().unwrap();
    let done = run(&format!("inspect {MODEL} --original {MODEL}"), folder.path());
    assert_eq!(done.code, 2, "{}", done.stderr);
}
