//! Optimizes a model of 1 GiB with the built program and prints time and memory.
//!
//! `cargo bench --bench large_model`. Anonymous memory is what the process really holds; pages of
//! the mapped file belong to the system's cache. Linux only: it reads `/proc`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use lapidary::ir::{NewNode, Patch, Tensor, text};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Matrices of 16 MiB each.
const LAYERS: usize = 64;
const WIDTH: usize = 2048;

fn main() {
    let folder = tempfile::tempdir().expect("a folder for the model");
    let (model, out) = (folder.path().join("large.onnx"), folder.path().join("small.onnx"));
    write_model(&model);
    let bytes = fs::metadata(&model).expect("the model is written").len();
    let start = Instant::now();
    let mut program = Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .args([Path::new("optimize"), &model, Path::new("-o"), &out])
        .spawn()
        .expect("the program starts");
    let peak = watch(&mut program);
    let seconds = start.elapsed().as_secs_f64();
    println!("{bytes} bytes, {seconds:.2} s, peak anonymous memory {} MB", peak / 1024);
}

/// A chain of MatMul, each behind an Identity that `optimize` removes.
fn write_model(path: &Path) {
    let source = format!("g (float[1,{WIDTH}] x) => (float[1,{WIDTH}] y) {{\ny = Identity(x)\n}}");
    let mut model = text::parse(&source).expect("the text is valid");
    let (x, y) = (model.graph.inputs()[0], model.graph.outputs()[0]);
    let mut patch = Patch::default();
    let mut last = x.into();
    for layer in 0..LAYERS {
        let values: Vec<f32> =
            (0..WIDTH * WIDTH).map(|i| ((i + layer) % 251) as f32 / 251.0).collect();
        let weight = Tensor::new(&[WIDTH as i64, WIDTH as i64], &values);
        let weight = patch.initializer(format!("w{layer}"), weight);
        let identity = patch.node(NewNode::new("Identity").input(last));
        last = patch.node(NewNode::new("MatMul").input(identity).input(weight));
    }
    patch.replace(y, last);
    model.graph.apply(patch).expect("the patch applies");
    lapidary::save(&model, path).expect("the model is written");
}

/// Waits for the program; the most anonymous memory seen on the way, in KiB.
fn watch(program: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", program.id());
    let mut peak = 0;
    loop {
        let anonymous = fs::read_to_string(&status).ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("RssAnon"))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        peak = peak.max(anonymous.unwrap_or(0));
        if let Some(end) = program.try_wait().expect("the program can be waited for") {
            assert!(end.success(), "the program ends well");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
