//! How long the steps of the road take, and how `optimize` grows with the graph.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lapidary::ReadOptions;
use lapidary::ir::{Model, text};
use std::fmt::Write as _;
use std::path::Path;

const FIXTURES: [&str; 3] = [
    "digits_resnet_unfused_op17",
    "digits_mobilenetv2_unfused_op17",
    "digits_transformer_unfused_op17",
];

fn open(name: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.onnx"));
    lapidary::open(&path, &ReadOptions::default()).expect("the fixture is valid").model
}

fn fixtures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimize");
    for name in FIXTURES {
        let model = open(name);
        group.bench_function(name, |bencher| {
            bencher.iter(|| lapidary::optimize(&mut model.clone()).expect("it optimizes"));
        });
    }
}

/// `length` pairs of Identity and Relu: every Identity goes, and all but one Relu.
fn chain(length: usize) -> Model {
    let mut source = String::from("g (float[4] x) => (float[4] y) {\n");
    let mut last = "x".to_owned();
    for step in 0..length {
        let _ = writeln!(source, "a{step} = Identity({last})\nb{step} = Relu(a{step})");
        last = format!("b{step}");
    }
    let _ = writeln!(source, "y = Relu({last})\n}}");
    text::parse(&source).expect("the chain is valid")
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chain");
    group.sample_size(10);
    for length in [1_000, 10_000] {
        let model = chain(length);
        group.throughput(Throughput::Elements(length as u64));
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter(|| lapidary::optimize(&mut model.clone()).expect("it optimizes"));
        });
    }
}

criterion_group!(benches, fixtures, growth);
criterion_main!(benches);
