//! The text notation of models: a subset of ONNX's own textual syntax (`onnx/docs/Syntax.md`).
//!
//! ```text
//! <ir_version: 10, opset_import: ["" : 21]>
//! g (float[N,4] x) => (float[N,4] y)
//! <float[4,4] w, float[4] b = {1, 2, 3, 4}>
//! {
//!     p = MatMul(x, w)
//!     y = Add(p, b)
//! }
//! ```
//!
//! `float` is a scalar, `float[]` a tensor of unknown rank, `?` an unknown dimension, `#` starts a
//! comment. The notation means what it means to ONNX's own parser, with these differences:
//!
//! * The header may be missing; [`DEFAULT_OPSET`] and [`DEFAULT_IR_VERSION`] then hold. Without
//!   `opset_import`, every other domain that a node uses is imported at version 1.
//! * A declaration without data in `<…>` is a value info only if a node makes the value. Otherwise
//!   it is an initializer, filled by [`seeded`]. So is a tensor attribute whose type is followed
//!   by a name: `value = float[64,64] w`.
//! * The type of constant data may be written `float[]` for a scalar too.
//! * Elements of `float16` and `bfloat16` are numbers with a decimal point. Integers, which ONNX's
//!   parser takes for bits, are refused.
//! * Strings know the escapes `\n`, `\r`, `\t` and `\xff`, which ONNX's parser takes for letters.
//! * Domains, operators, attributes and subgraphs may have quoted names.
//! * A list of numbers with and without decimal points is a list of floats.
//! * Opaque types, external data and lists of tensors, graphs or types are not read.
//!
//! What is printed is the interface, the initializers and the nodes in topological order. Tensors
//! of more than eight elements print as their type, values between nodes without type;
//! documentation, metadata of nodes and quantization annotations are not printed. A dimension
//! that is an expression prints quoted and is read back as a `dim_param`. An attribute that the
//! notation can't express prints as `…`, which is not read back.
mod data;
mod error;
mod lex;
mod parse;
mod parse_node;
mod parse_type;
mod print;
mod print_function;
mod seed;
mod spell;
#[cfg(test)]
mod tests;

pub use error::ParseError;
pub use parse::{DEFAULT_IR_VERSION, DEFAULT_OPSET, parse};
pub use print::{PrintOptions, print, print_attribute, print_model, print_node, print_value};
pub use seed::seeded;
