//! ONNX files: reading without copying, limits before memory, external data, writing without half-written files.
//!
//! A model passes through this crate twice.
//!
//! * **In**: [`read()`] maps the file, [`scan()`] walks its wire format once to check what decoding would cost and whether
//!   anything would be lost, and only then the bytes become an [`onnx::ModelProto`]. Weights in `raw_data` are [`Bytes`]
//!   that point into the mapped file. Tensors kept in other files are resolved by [`ExternalData`], which opens files
//!   of the model's own folder only.
//! * **Out**: [`write()`] and [`write_with_external`] stream the model to a temporary file beside the destination and rename
//!   it into place. Weights go from their memory straight to the file.
//!
//! # Invariants
//!
//! 1. Decoding never starts before the scan has accepted every byte: an accepted file costs at most
//!    [`Limits::decoded_bytes`] of memory beyond the file itself.
//! 2. A field this crate does not know is refused by name, or dropped with the caller's consent and reported.
//! 3. Tensor bytes come from the model, from its folder, or from a folder the caller named; never from elsewhere.
//! 4. A file that exists is replaced whole or stays as it was; a mapped file is never changed in place.
//! 5. `raw_data` has no alignment: it starts wherever the file put it.

mod atomic;
mod external;
mod foreign;
mod limits;
mod memory;
mod open;
mod read;
mod scan;
mod table;
mod wire;
mod write;

/// The messages of `onnx.proto`, generated.
#[expect(missing_docs, clippy::all, reason = "generated from onnx.proto")]
pub mod onnx {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

pub use bytes::Bytes;
pub use prost;

pub use external::{ExternalData, ExternalError};
pub use foreign::Foreign;
pub use limits::{LimitError, Limits, Resource};
pub use memory::map;
pub use open::{OpenError, contents};
pub use read::{File, NotOnnx, ReadError, ReadOptions, decode, read};
pub use scan::{ScanError, UnknownField, scan};
pub use wire::WireProblem;
pub use write::{WriteError, Written, encode, replace, write, write_with_external};
