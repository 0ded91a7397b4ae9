//! Why weights can't be made sparse.
use super::pattern::Pattern;
use crate::PassError;
use lapidary_exec::ExecError;

/// Why weights can't be made sparse as asked for.
#[derive(Debug, thiserror::Error)]
pub enum SparsifyError {
    /// The share of zeros is none.
    #[error("the share of zeros is {found}, expected at least 0 and below 1")]
    Share {
        /// What was given.
        found: f64,
    },
    /// All weights at their limit have fewer zeros than asked for.
    #[error("at most {most} of each weight can't make {sparsity} of all")]
    MostPerLayer {
        /// The limit.
        most: f64,
        /// The share of all.
        sparsity: f64,
    },
    /// Groups have the same share everywhere.
    #[error("the pattern {pattern} has the same share of zeros in every weight")]
    GlobalGroups {
        /// The pattern.
        pattern: Pattern,
    },
    /// The method has to see what weights multiply.
    #[error("the method {method} needs samples")]
    NeedsSamples {
        /// The method.
        method: &'static str,
    },
    /// What is excluded is not there.
    #[error("no node is `{name}`")]
    UnknownNode {
        /// The name, operator or pattern.
        name: String,
    },
    /// A mask is for no weight.
    #[error("the mask `{name}` has the name of no weight of a product that can be sparse")]
    UnknownMask {
        /// The name.
        name: String,
    },
    /// A mask is of another shape, or no numbers.
    #[error("the mask `{name}` is {found}, expected numbers of the shape {expected:?}")]
    Mask {
        /// The name.
        name: String,
        /// Type and shape of the mask.
        found: String,
        /// The shape of the weight.
        expected: Vec<i64>,
    },
    /// The runtime can't run the model.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// The result is no valid model.
    #[error(transparent)]
    Pass(#[from] PassError),
}
