//! The program and the library from outside, on the models in `fixtures/`.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod calibration;
mod cli;
mod data;
mod equalize;
mod factorize;
mod gradients;
mod hostile;
mod layers;
mod light;
mod mixed_precision;
mod models;
mod program;
mod pruning;
mod qoperator;
mod quantized;
#[cfg(unix)]
mod runtime;
mod sparsify;
