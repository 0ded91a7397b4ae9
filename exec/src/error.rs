//! What can go wrong.
use lapidary_ir::ElemType;

/// Why a model could not be run, observed or compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The runtime can't read the model, for a reason that is not about one node.
    #[error("the runtime can't load the model: {reason}")]
    Load {
        /// The runtime's words.
        reason: String,
    },
    /// The runtime does not have an operator, or not with these inputs and attributes.
    #[error("node `{node}` ({op_type}) is not supported by the runtime: {reason}")]
    Unsupported {
        /// The node's name, or that of its first output.
        node: String,
        /// The operator.
        op_type: String,
        /// What exactly is missing.
        reason: String,
    },
    /// The runtime does not have an element type.
    #[error("value `{name}` has element type {elem_type}, which the runtime does not support")]
    UnsupportedType {
        /// The value.
        name: String,
        /// Its type.
        elem_type: ElemType,
    },
    /// The declaration of an input lacks what is needed.
    #[error("input `{name}` declares no {what}")]
    Undeclared {
        /// The input.
        name: String,
        /// What is missing: element type or shape.
        what: &'static str,
    },
    /// An input that the model does not have.
    #[error("the model has no input `{name}`, its inputs are {expected}")]
    UnknownInput {
        /// The name.
        name: String,
        /// The names of the inputs there are.
        expected: String,
    },
    /// An input that was not given.
    #[error("input `{name}` is missing")]
    MissingInput {
        /// The name.
        name: String,
    },
    /// An input has the wrong element type.
    #[error("input `{name}` has element type {found}, expected {expected}")]
    WrongElemType {
        /// The input.
        name: String,
        /// What was given.
        found: ElemType,
        /// What the model declares.
        expected: ElemType,
    },
    /// An input has the wrong number of dimensions.
    #[error("input `{name}` has dimensions {found:?}, expected rank {expected}")]
    WrongRank {
        /// The input.
        name: String,
        /// The dimensions given.
        found: Vec<i64>,
        /// The rank the model declares.
        expected: usize,
    },
    /// A dimension differs from the declared number.
    #[error("input `{name}` has {found} entries on axis {axis}, expected {expected}")]
    WrongDim {
        /// The input.
        name: String,
        /// The axis.
        axis: usize,
        /// What was given.
        found: i64,
        /// What the model declares.
        expected: i64,
    },
    /// Two dimensions named alike differ.
    #[error(
        "input `{name}` has {found} entries on axis {axis}, but `{param}` is {expected} elsewhere"
    )]
    ConflictingDim {
        /// The input.
        name: String,
        /// The axis.
        axis: usize,
        /// The `dim_param` of the axis.
        param: String,
        /// What was given.
        found: i64,
        /// What the same `dim_param` was before.
        expected: i64,
    },
    /// No input has a sample axis, or there are no samples.
    #[error("there is nothing to divide into batches: {reason}")]
    NotBatched {
        /// What is the matter.
        reason: String,
    },
    /// An output can't be put together from the outputs of batches.
    #[error(
        "output `{name}` has dimensions {found:?}, expected a multiple of {batch} on axis 0, \
         and the same for every batch"
    )]
    UnbatchedOutput {
        /// The output.
        name: String,
        /// Its dimensions for one batch.
        found: Vec<i64>,
        /// The samples in a batch.
        batch: usize,
    },
    /// Running failed.
    #[error("running the model failed: {reason}")]
    Run {
        /// The runtime's words.
        reason: String,
    },
    /// The runtime panicked. The process's panic hook has run, which by default writes to the
    /// standard error stream: the hook is the program's.
    #[error("the runtime panicked: {message}")]
    RuntimePanic {
        /// What it said.
        message: String,
    },
    /// Values to observe that the main graph does not have.
    #[error("the graph has no values {names}")]
    UnknownValues {
        /// The names.
        names: String,
    },
    /// Two sets of outputs differ in number or names.
    #[error("output {index} is {found}, expected {expected}")]
    DifferentOutputs {
        /// The position.
        index: usize,
        /// The name in the candidate.
        found: String,
        /// The name in the reference.
        expected: String,
    },
    /// Two outputs of one name differ in type or dimensions.
    #[error("output `{name}` is {found}, expected {expected}")]
    DifferentTypes {
        /// The output.
        name: String,
        /// Type and dimensions in the candidate.
        found: String,
        /// Type and dimensions in the reference.
        expected: String,
    },
}

/// Names as messages list them: each in backticks, commas between.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}
