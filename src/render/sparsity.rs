//! The weights that are zero, and what that saves.
use super::{grouped, percent, table};
use lapidary::passes::sparsify::Sparsified;
use lapidary::{DEFLATE_LEVEL, WeightBytes};
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of the weights.
#[derive(Serialize)]
pub(crate) struct Sparsity {
    method: &'static str,
    pattern: String,
    elements: usize,
    zeros: usize,
    weights: Vec<Weight>,
    left_alone: BTreeMap<String, Vec<String>>,
    bytes: Bytes,
}

#[derive(Serialize)]
struct Weight {
    name: String,
    elements: usize,
    zeros_before: usize,
    zeros: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f64>,
}

/// What initializers take, as they are and compressed.
#[derive(Serialize)]
struct Bytes {
    raw: u64,
    compression: String,
    compressed_before: u64,
    compressed: u64,
}

impl Sparsity {
    /// What was done with a method and a pattern, with the bytes of the weights before and after.
    pub(crate) fn new(
        (method, pattern): (&'static str, String),
        done: &Sparsified,
        (before, after): (WeightBytes, WeightBytes),
    ) -> Self {
        let weight = |weight: &lapidary::passes::sparsify::SparseWeight| Weight {
            name: weight.name.clone(),
            elements: weight.elements,
            zeros_before: weight.zeros_before,
            zeros: weight.zeros,
            error: weight.error,
        };
        Self {
            method,
            pattern,
            elements: done.weights.iter().map(|weight| weight.elements).sum(),
            zeros: done.weights.iter().map(|weight| weight.zeros).sum(),
            weights: done.weights.iter().map(weight).collect(),
            left_alone: done.left.clone(),
            bytes: Bytes {
                raw: after.raw,
                compression: format!("deflate, level {DEFLATE_LEVEL}"),
                compressed_before: before.deflated,
                compressed: after.deflated,
            },
        }
    }

    pub(super) fn print(&self) {
        let share = |zeros: usize, elements: usize| percent(zeros as f64 / elements.max(1) as f64);
        let row = |weight: &Weight| {
            vec![
                weight.name.clone(),
                grouped(weight.elements as u64),
                share(weight.zeros_before, weight.elements),
                share(weight.zeros, weight.elements),
                weight.error.map_or_else(|| "-".to_owned(), |error| format!("{error:.1e}")),
            ]
        };
        let header = ["weight", "numbers", "zeros before", "zeros", "relative error"];
        println!("\n{}\n", table(&header, self.weights.iter().map(row).collect()));
        println!(
            "{} by {}: {} of {} weights are zero, {}",
            self.pattern,
            self.method,
            grouped(self.zeros as u64),
            grouped(self.elements as u64),
            share(self.zeros, self.elements),
        );
        for (reason, nodes) in &self.left_alone {
            println!("left alone: {}: {reason}", nodes.join(", "));
        }
        let Bytes { raw, compression, compressed_before, compressed } = &self.bytes;
        println!(
            "initializers: {} bytes as they are; compressed ({compression}) {} instead of {}",
            grouped(*raw),
            grouped(*compressed),
            grouped(*compressed_before),
        );
        println!(
            "ONNX Runtime and tract multiply by zeros as by any number: no run is faster. TensorRT uses 2:4 with its \
             sparse weights on (trtexec --sparsity=enable)."
        );
    }
}
