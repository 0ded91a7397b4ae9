//! Calibration apart from quantization.
use crate::program::{Run, lapidary};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

const MODEL: &str = "fixtures/digits_mobilenetv2_unfused_op17.onnx";
const OTHER: &str = "fixtures/digits_resnet_dynamo_op18.onnx";
const DATA: &str = "fixtures/digits_calib.npz";

fn run(line: &str, folder: &Path) -> Run {
    let part = |part: &str| part.replace("FOLDER", folder.to_str().unwrap());
    lapidary(line.split_whitespace().map(part))
}

fn calibrate(options: &str, name: &str, folder: &Path) -> PathBuf {
    let line = format!("calibrate {options} -o FOLDER/{name}");
    run(&line, folder).succeeds();
    folder.join(name)
}

#[test]
fn shards_and_threads_give_the_same_file_and_the_same_model() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let samples = format!("{MODEL} --data {DATA} --limit 40");
    let whole = calibrate(&format!("{samples} --threads 1"), "whole", folder);
    for (index, threads) in [(1, 1), (2, 2), (3, 3)] {
        let options = format!("{samples} --shard {index}/3 --threads {threads}");
        calibrate(&options, &format!("part{index}"), folder);
    }
    let parts = "--merge FOLDER/part3 FOLDER/part1 FOLDER/part2";
    let merged = calibrate(parts, "merged", folder);
    assert_eq!(fs::read(whole).unwrap(), fs::read(merged).unwrap());
    for method in ["min-max", "percentile:99.9"] {
        let from_file = format!("quantize {MODEL} --calib FOLDER/merged --method {method}");
        let from_data =
            format!("quantize {MODEL} --data {DATA} --limit 40 --no-refine --method {method}");
        run(&format!("{from_file} -o FOLDER/a.onnx"), folder).succeeds();
        run(&format!("{from_data} -o FOLDER/b.onnx"), folder).succeeds();
        let (a, b) = (fs::read(folder.join("a.onnx")), fs::read(folder.join("b.onnx")));
        assert_eq!(a.unwrap(), b.unwrap());
    }
}

#[test]
fn statistics_are_shown_by_inspect() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    calibrate(&format!("{MODEL} --data {DATA} --limit 4"), "s", folder);
    let table = run("inspect FOLDER/s --method aciq", folder).succeeds().stdout;
    assert!(table.contains("samples      4") && table.contains("aciq"), "{table}");
    let json = run("inspect FOLDER/s --json", folder).succeeds().stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let value = &report["values"][0];
    for method in ["min-max", "mean-min-max", "entropy", "mse:2.4", "mean-std:3", "aciq"] {
        assert_eq!(value["ranges"][method].as_array().map(Vec::len), Some(2), "{value}");
    }
}

#[test]
fn statistics_of_another_model_are_refused_by_name() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    calibrate(&format!("{MODEL} --data {DATA} --limit 2"), "s", folder);
    calibrate(&format!("{OTHER} --data {DATA} --limit 2"), "t", folder);
    let refused = run(&format!("quantize {OTHER} --calib FOLDER/s -o FOLDER/q.onnx"), folder);
    let message = refused.fails_with(3, folder);
    assert!(message.contains("of another model") && message.contains("missing"), "{message}");
    let message = run("calibrate --merge FOLDER/s FOLDER/t -o FOLDER/u", folder);
    assert!(message.fails_with(3, folder).contains("different models"));
    assert!(!folder.join("q.onnx").exists() && !folder.join("u").exists());
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let path = calibrate(&format!("{MODEL} --data {DATA} --limit 2"), "s", folder);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 64;
    fs::write(&path, &bytes).unwrap();
    let message = run("inspect FOLDER/s", folder).fails_with(3, folder);
    assert!(message.contains("LP0311") && message.contains("damaged"), "{message}");
    fs::write(&path, &bytes[..middle]).unwrap();
    assert!(run("inspect FOLDER/s", folder).fails_with(3, folder).contains("LP0311"));
    let gone = run("calibrate --merge FOLDER/none -o FOLDER/u", folder);
    assert!(gone.fails_with(5, folder).contains("LP0310"));
}

#[test]
fn gates_without_samples_are_refused() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    calibrate(&format!("{MODEL} --data {DATA} --limit 2"), "s", folder);
    let line = format!("quantize {MODEL} --calib FOLDER/s --min-sqnr 3 -o FOLDER/q.onnx");
    assert!(run(&line, folder).fails_with(2, folder).contains("--test"));
}
