//! Why a `ModelProto` is no model.
use super::MAX_DEPTH;
use super::tensor::TensorDecodeError;

/// Why a `ModelProto` is no model.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There is no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// There is no `opset_import`.
    #[error("the model imports no operator set")]
    NoOpset,
    /// A subgraph is nested too deeply.
    #[error("subgraphs are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A value has no name.
    #[error("{what} {index} of graph `{graph}` has no name")]
    Unnamed {
        /// Input, output, or initializer.
        what: &'static str,
        /// Its position.
        index: usize,
        /// The graph.
        graph: String,
    },
    /// Two values of a graph have the same name.
    #[error("{what} `{name}` has the name of another value of graph `{graph}`")]
    DuplicateName {
        /// What the second one is.
        what: &'static str,
        /// The name.
        name: String,
        /// The graph.
        graph: String,
    },
    /// A graph output that nothing makes.
    #[error("graph output `{name}` is made by no node, input or initializer")]
    UnknownOutput {
        /// The name.
        name: String,
    },
    /// A problem in a node.
    #[error("node `{name}` ({op_type})")]
    Node {
        /// The node's name, or that of its first output.
        name: String,
        /// The operator.
        op_type: String,
        /// The problem.
        #[source]
        source: Box<NodeError>,
    },
    /// A problem in an initializer.
    #[error("initializer `{name}`")]
    Initializer {
        /// Its name.
        name: String,
        /// The problem.
        #[source]
        source: TensorDecodeError,
    },
}

/// What can be wrong with a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An input that nothing makes.
    #[error("input {slot} reads `{name}`, which no node, input or initializer makes")]
    UnknownInput {
        /// Which input.
        slot: usize,
        /// What it names.
        name: String,
    },
    /// A subgraph reads a value that no enclosing graph has.
    #[error("subgraph `{attribute}` reads `{name}`, which no enclosing graph makes")]
    UnknownCapture {
        /// The attribute that holds the subgraph.
        attribute: String,
        /// What it names.
        name: String,
    },
    /// Two attributes have the same name.
    #[error("attribute `{0}` is given twice")]
    DuplicateAttribute(String),
    /// A list of subgraphs: no operator has one, and what they read could not be followed.
    #[error("attribute `{0}` is a list of subgraphs, expected one subgraph per attribute")]
    GraphList(String),
    /// A tensor attribute is malformed.
    #[error("attribute `{name}`")]
    Tensor {
        /// The attribute.
        name: String,
        /// The problem.
        #[source]
        source: TensorDecodeError,
    },
    /// A subgraph is malformed.
    #[error("subgraph `{name}`")]
    Subgraph {
        /// The attribute.
        name: String,
        /// The problem.
        #[source]
        source: DecodeError,
    },
}
