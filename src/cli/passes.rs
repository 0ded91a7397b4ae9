//! The arguments of `lapidary passes`.
use clap::Args;

/// `lapidary passes`
#[derive(Debug, Args)]
pub(crate) struct Passes {
    /// The pass to explain.
    pub(crate) name: Option<String>,
}
