//! How much one file may ask for.

use std::fmt;

use thiserror::Error;

/// Bounds on a file, checked before anything is decoded.
///
/// They exist because a file of 10 MB can otherwise ask for gigabytes. Every bound can be raised by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Messages in the file, of every type together.
    pub messages: u64,
    /// Bytes of decoded structures any file may take, however small it is.
    pub decoded_base: u64,
    /// Bytes of decoded structures each byte of the file may add to `decoded_base`.
    pub decoded_ratio: u64,
    /// Graphs inside the attributes of nodes inside graphs, counted below the main graph.
    pub subgraph_depth: u64,
    /// Bytes of one name; documentation and metadata values are not names.
    pub name_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 8_000_000,
            decoded_base: 64 << 20,
            decoded_ratio: 8,
            subgraph_depth: 32,
            name_bytes: 64 << 10,
        }
    }
}

impl Limits {
    /// Bytes of decoded structures a file of `file_bytes` may take.
    pub fn decoded_bytes(&self, file_bytes: u64) -> u64 {
        self.decoded_base.saturating_add(self.decoded_ratio.saturating_mul(file_bytes))
    }
}

/// What a [`LimitError`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// [`Limits::messages`].
    Messages,
    /// [`Limits::decoded_bytes`].
    DecodedBytes,
    /// [`Limits::subgraph_depth`].
    SubgraphDepth,
    /// [`Limits::name_bytes`].
    NameBytes,
    /// Messages inside messages of any type; fixed, because the decoder's own bound is.
    MessageDepth,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Messages => "messages",
            Self::DecodedBytes => "decoded bytes",
            Self::SubgraphDepth => "nested subgraphs",
            Self::NameBytes => "bytes in one name",
            Self::MessageDepth => "nested messages",
        })
    }
}

/// A file asks for more than a limit allows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{resource} exceed the limit of {allowed} at byte {offset} (`{field}`)")]
pub struct LimitError {
    /// What there is too much of.
    pub resource: Resource,
    /// The limit.
    pub allowed: u64,
    /// Position in the file, in bytes, where the limit is first exceeded.
    pub offset: u64,
    /// The field there, from the model down: `graph.node[3].name`.
    pub field: String,
}
