//! The program and the library from outside, on the models in `fixtures/`.
mod cli;
mod hostile;
mod models;
mod program;
