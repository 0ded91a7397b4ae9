//! Which products stay in float, and why.
use crate::program::{Run, lapidary};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const MODEL: &str = "fixtures/digits_resnet_unfused_op17.onnx";
const DATA: &str = "--data fixtures/digits_calib.npz --samples 16";

fn run(line: &str, folder: &Path) -> Run {
    let part = |part: &str| part.replace("FOLDER", folder.to_str().unwrap());
    lapidary(line.split_whitespace().map(part))
}

fn report(line: &str, folder: &Path) -> Value {
    serde_json::from_str(&run(&format!("{line} --json"), folder).succeeds().stdout).unwrap()
}

fn list(report: &Value, name: &str) -> Vec<Value> {
    report[name].as_array().unwrap().clone()
}

/// The last step of a road.
fn result(report: &Value) -> Value {
    list(report, "steps").pop().unwrap()
}

#[test]
fn products_are_ranked_by_what_they_lose_alone() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let line = format!("sensitivity {MODEL} {DATA} --accumulated");
    let one = run(&format!("{line} --json --threads 1"), folder).succeeds().stdout;
    let two = run(&format!("{line} --json --threads 2"), folder).succeeds().stdout;
    let without_command = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("\"command\": \"lapidary"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(without_command(&one), without_command(&two));
    let found: Value = serde_json::from_str(&one).unwrap();
    let products = list(&found, "products");
    assert_eq!(products.len(), 12, "11 Conv and the classifier");
    let sqnr: Vec<f64> = products.iter().map(|p| p["sqnr_db"].as_f64().unwrap()).collect();
    assert!(sqnr.is_sorted() && sqnr[0] < sqnr[11], "{sqnr:?}");
    let prefixes = list(&found, "prefixes");
    assert_eq!(prefixes.len(), 13);
    let of = |name: &str| prefixes.iter().map(|p| p[name].as_f64().unwrap()).collect::<Vec<_>>();
    assert!(of("bytes")[0] < of("bytes")[12] && of("sqnr_db")[0] < of("sqnr_db")[12]);
    assert!(of("sqnr_db")[0] < sqnr[0], "all together lose more than any alone");
    assert_eq!(of("integer")[12], 0.0);
    let table = run(&line, folder).succeeds().stdout;
    assert!(table.contains("lapidary quantize fixtures/digits_resnet_unfused_op17.onnx"));
}

#[test]
fn the_recipe_reaches_what_was_asked_for() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let all = report(&format!("quantize {MODEL} {DATA} --no-refine -o FOLDER/all.onnx"), folder);
    let all = result(&all)["outputs"][0]["sqnr_db"].as_f64().unwrap();
    let least = all + 4.0;
    for also in ["", "--accumulated"] {
        let line = format!("sensitivity {MODEL} {DATA} --min-sqnr {least} {also}");
        let found = report(&line, folder);
        let recipe = &found["recipe"];
        let measured = recipe["measured"]["sqnr_db"].as_f64().unwrap();
        assert!(measured >= least, "{measured} of {least}");
        let float = list(recipe, "float");
        assert!(!float.is_empty() && float.len() < 12, "{float:?}");
        let command = recipe["command"].as_str().unwrap();
        let line = command.strip_prefix("lapidary ").unwrap();
        let line = line.replace("digits_resnet_unfused_op17_int8", "FOLDER/q");
        let made = report(&format!("{line} --no-refine"), folder);
        assert_eq!(result(&made)["outputs"][0]["sqnr_db"].as_f64(), Some(measured));
        assert_eq!(result(&made)["bytes"], recipe["measured"]["bytes"]);
    }
    let beyond = report(&format!("sensitivity {MODEL} {DATA} --min-sqnr 900"), folder);
    assert!(beyond["recipe"].is_null());
}

#[test]
fn products_are_taken_back_until_the_gate_holds() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let quantize = format!("quantize {MODEL} {DATA} --no-refine -o FOLDER/q.onnx");
    let all = result(&report(&quantize, folder));
    let sqnr = |step: &Value| step["outputs"][0]["sqnr_db"].as_f64().unwrap();
    let gate = format!("{quantize} --min-sqnr {}", sqnr(&all) + 4.0);
    fs::remove_file(folder.join("q.onnx")).unwrap();
    assert!(run(&gate, folder).fails_with(1, folder).contains("signal-to-noise"));
    assert!(!folder.join("q.onnx").exists());
    let found = report(&format!("{gate} --search"), folder);
    assert!(sqnr(&result(&found)) >= sqnr(&all) + 4.0);
    let float = list(&found["search"], "float");
    assert!(!float.is_empty() && float.len() < 12, "{found}");
    let reasons = found["placement"]["float"]["taken back to float by --search"].as_array();
    assert_eq!(reasons.unwrap().len(), float.len());
    let bytes = result(&found)["bytes"].as_u64().unwrap();
    assert_eq!(fs::metadata(folder.join("q.onnx")).unwrap().len(), bytes);
    assert!(bytes > all["bytes"].as_u64().unwrap());
    let small = format!("{gate} --search --max-bytes {}", bytes - 1);
    assert!(run(&small, folder).fails_with(1, folder).contains("at most"));
    let never = format!("{quantize} --search --min-sqnr 900");
    assert!(run(&never, folder).fails_with(1, folder).contains("all products in float"));
}

#[test]
fn bytes_are_spent_on_what_is_most_sensitive() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let quantize = format!("quantize {MODEL} {DATA} --no-refine -o FOLDER/q.onnx");
    let all = result(&report(&quantize, folder));
    let least = all["bytes"].as_u64().unwrap();
    let filled = report(&format!("{quantize} --search --max-bytes {}", least + 20_000), folder);
    let bytes = result(&filled)["bytes"].as_u64().unwrap();
    assert!(bytes > least && bytes <= least + 20_000, "{bytes} of {least}");
    let sqnr = |step: &Value| step["outputs"][0]["sqnr_db"].as_f64().unwrap();
    assert!(sqnr(&result(&filled)) > sqnr(&all));
    for search in ["", "--search"] {
        fs::remove_file(folder.join("q.onnx")).unwrap_or_default();
        let small = format!("{quantize} {search} --max-bytes {}", least - 1);
        assert!(run(&small, folder).fails_with(1, folder).contains("LP0101"));
        assert!(!folder.join("q.onnx").exists());
    }
}

#[test]
fn a_search_needs_a_goal_and_samples() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let line = format!("quantize {MODEL} {DATA} --search -o FOLDER/q.onnx");
    assert!(run(&line, folder).fails_with(2, folder).contains("--max-drop"));
    let unknown = format!("sensitivity {MODEL} {DATA} --exclude nobody");
    assert!(run(&unknown, folder).fails_with(2, folder).contains("no node is `nobody`"));
    let none = format!("sensitivity {MODEL}");
    assert!(run(&none, folder).fails_with(2, folder).contains("--data"));
}
