//! Weights that are zero: where, how many, at what loss, and that they stay zero.
use crate::program::{Run, lapidary};
use lapidary::ReadOptions;
use lapidary::ir::Tensor;
use lapidary::passes::sparsify::sparsity;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::tempdir;

const RESNET: &str = "fixtures/digits_resnet_unfused_op17.onnx";
const MOBILENET: &str = "fixtures/digits_mobilenetv2_unfused_op17.onnx";
const TRANSFORMER: &str = "fixtures/digits_transformer_unfused_op17.onnx";
const DATA: &str = "--data fixtures/digits_calib.npz --test fixtures/digits_test.npz";
const FEW: &str = "--data fixtures/digits_calib.npz --limit 40";

fn run(line: &str, folder: &Path) -> Run {
    let part = |part: &str| part.replace("FOLDER", folder.to_str().unwrap());
    lapidary(line.split_whitespace().map(part))
}

fn report(line: &str, folder: &Path) -> Value {
    serde_json::from_str(&run(&format!("{line} --json"), folder).succeeds().stdout).unwrap()
}

fn last(report: &Value) -> &Value {
    report["steps"].as_array().unwrap().last().unwrap()
}

/// The accuracy, the share of zeros and whether compression gains.
fn line(name: &str, found: &Value) -> String {
    let sparsity = &found["sparsity"];
    let share = sparsity["zeros"].as_f64().unwrap() / sparsity["elements"].as_f64().unwrap();
    let bytes = &sparsity["bytes"];
    let compressed = |key: &str| bytes[key].as_u64().unwrap();
    assert!(compressed("compressed") < compressed("compressed_before"), "{bytes}");
    let accuracy = last(found)["accuracy"].as_f64().unwrap();
    format!("{name}: {:.1} % zeros, accuracy {:.2} %", 100.0 * share, 100.0 * accuracy)
}

#[test]
fn every_method_and_pattern_keeps_what_it_promises() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let mut lines = Vec::new();
    for options in [
        "--method magnitude --sparsity 0.7",
        "--method wanda --sparsity 0.7",
        "--sparsity 0.7",
        "--sparsity 0.7 --scope local",
        "--pattern 2:4",
        "--pattern block:4x1 --sparsity 0.3",
    ] {
        let found = report(&format!("sparsify {RESNET} {DATA} {options} -o FOLDER/s.onnx"), folder);
        lines.push(line(options, &found));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    --method magnitude --sparsity 0.7: 70.0 % zeros, accuracy 95.00 %
    --method wanda --sparsity 0.7: 70.0 % zeros, accuracy 97.50 %
    --sparsity 0.7: 70.0 % zeros, accuracy 99.17 %
    --sparsity 0.7 --scope local: 70.0 % zeros, accuracy 97.22 %
    --pattern 2:4: 50.0 % zeros, accuracy 99.44 %
    --pattern block:4x1 --sparsity 0.3: 30.0 % zeros, accuracy 98.89 %
    ");
}

#[test]
fn other_networks_become_sparse_too() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let mut lines = Vec::new();
    for model in [MOBILENET, TRANSFORMER] {
        let found = report(&format!("sparsify {model} {DATA} -o FOLDER/s.onnx"), folder);
        lines.push(line(model, &found));
        let left = found["sparsity"]["left_alone"].as_object().unwrap();
        lines.extend(left.iter().map(|(reason, nodes)| {
            format!("  {} left: {reason}", nodes.as_array().unwrap().len())
        }));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    fixtures/digits_mobilenetv2_unfused_op17.onnx: 50.0 % zeros, accuracy 98.33 %
      2 left: its weights are too few to gain from it
    fixtures/digits_transformer_unfused_op17.onnx: 50.0 % zeros, accuracy 96.67 %
      4 left: its weights are no constant
    ");
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let bytes = |threads: usize| {
        let out = format!("FOLDER/{threads}.onnx --threads {threads}");
        run(&format!("sparsify {MOBILENET} {FEW} -o {out}"), folder).succeeds();
        fs::read(folder.join(format!("{threads}.onnx"))).unwrap()
    };
    assert!(bytes(1) == bytes(2));
}

/// The constants of a model by name.
fn constants(path: &Path) -> BTreeMap<String, Arc<Tensor>> {
    let model = lapidary::open(path, &ReadOptions::default()).unwrap().model;
    let graph = &model.graph;
    graph
        .initializers()
        .map(|(id, tensor)| (graph.value(id).name().to_owned(), tensor.clone()))
        .collect()
}

/// How many numbers are 0 in a weight and in its integers; none may be 0 in the weight alone.
fn zeros_kept(weights: &Tensor, codes: &Tensor) -> usize {
    let (weights, codes) = (weights.to_vec::<f32>().unwrap(), codes.to_i64().unwrap());
    let zeros = weights.iter().zip(&codes).filter(|(weight, _)| **weight == 0.0);
    zeros.map(|(_, &code)| assert_eq!(code, 0)).count()
}

#[test]
fn zeros_survive_quantization() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    run(&format!("sparsify {RESNET} {FEW} -o FOLDER/s.onnx"), folder).succeeds();
    let before = constants(&folder.join("s.onnx"));
    for options in [
        FEW.to_owned(),
        format!("{FEW} --weights int4"),
        format!("{FEW} --format qoperator --no-refine"),
        "--weight-only int8 --per-channel --symmetric".to_owned(),
        "--weight-only int4 --symmetric".to_owned(),
    ] {
        run(&format!("quantize FOLDER/s.onnx {options} -o FOLDER/q.onnx"), folder).succeeds();
        let kept = constants(&folder.join("q.onnx")).into_iter().filter_map(|(name, codes)| {
            let weights = before.get(name.strip_suffix("_quantized")?)?;
            (weights.len() == codes.len() && weights.rank() > 1)
                .then(|| zeros_kept(weights, &codes))
        });
        let kept: Vec<usize> = kept.collect();
        assert!(kept.len() >= 8 && kept.iter().sum::<usize>() > 30_000, "{options}: {kept:?}");
    }
}

#[test]
fn inspect_shows_zeros_and_their_pattern() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    run(&format!("sparsify {RESNET} --pattern 2:4 -o FOLDER/s.onnx"), folder).succeeds();
    let found = report("inspect FOLDER/s.onnx", folder);
    let weights = found["weights"].as_array().unwrap();
    let two_of_four = weights.iter().filter(|weight| weight["two_of_four"] == true).count();
    assert!(two_of_four >= 8, "{found}");
    let text = run("inspect FOLDER/s.onnx", folder).succeeds().stdout;
    assert!(text.contains("sparse weights") && text.contains("50.00 %"), "{text}");
    let text = run(&format!("inspect {RESNET}"), folder).succeeds().stdout;
    assert!(!text.contains("sparse weights"), "{text}");
}

#[test]
fn masks_come_from_a_file() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let out = "FOLDER/s.onnx --no-optimize";
    run(&format!("sparsify {RESNET} --method random --seed 5 -o {out}"), folder).succeeds();
    let random = lapidary::open(&folder.join("s.onnx"), &ReadOptions::default()).unwrap().model;
    let name = sparsity(&random.graph)[3].name.clone();
    let id = random.graph.find(&name).unwrap();
    let numbers: Vec<f32> = random.graph.constant(id).unwrap().to_vec().unwrap();
    let dims = random.graph.constant(id).unwrap().dims();
    let dims: Vec<usize> = dims.iter().map(|&dim| dim as usize).collect();
    let kept: Vec<bool> = numbers.iter().map(|&number| number != 0.0).collect();
    let mask = ndarray::ArrayD::from_shape_vec(dims, kept).unwrap();
    let file = fs::File::create(folder.join("masks.npz")).unwrap();
    let mut npz = ndarray_npy::NpzWriter::new(file);
    npz.add_array(&name, &mask).unwrap();
    npz.finish().unwrap();
    let line = format!("sparsify {RESNET} --masks FOLDER/masks.npz --no-optimize");
    let found = report(&format!("{line} -o FOLDER/m.onnx"), folder);
    assert_eq!(found["sparsity"]["weights"].as_array().unwrap().len(), 1, "{found}");
    let masked = lapidary::open(&folder.join("m.onnx"), &ReadOptions::default()).unwrap().model;
    let id = masked.graph.find(&name).unwrap();
    assert_eq!(masked.graph.constant(id).unwrap().to_vec::<f32>(), Some(numbers));
    let solved = format!("{line} {FEW} --method sparsegpt -o FOLDER/c.onnx");
    let found = report(&solved, folder);
    assert!(found["sparsity"]["weights"][0]["error"].as_f64().unwrap() > 0.0, "{found}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    for (options, part) in [
        ("--method wanda", "needs samples"),
        ("--sparsity 1", "below 1"),
        ("--pattern 2:4 --sparsity 0.5", "its own share"),
        ("--pattern 4:2", "no pattern"),
        ("--pattern 2:4 --scope global", "the same share"),
        ("--exclude nobody", "no node is `nobody`"),
        ("--masks fixtures/digits_test.npz", "has the name of no weight"),
        ("--min-sqnr 10", "needs samples"),
    ] {
        let line = format!("sparsify {RESNET} {options} -o FOLDER/s.onnx");
        let message = run(&line, folder).fails_with(2, folder);
        assert!(message.contains(part), "{options}: {message}");
    }
    let gate = format!("sparsify {RESNET} {FEW} --method magnitude --sparsity 0.95 --min-sqnr 30");
    run(&format!("{gate} -o FOLDER/s.onnx"), folder).fails_with(1, folder);
    assert!(!folder.join("s.onnx").exists());
}
