//! The graph of an ONNX model: values, shapes, patterns, patches, validation, text.
//!
//! A [`Model`] is a [`Graph`] and what stands around it in the file. A graph is an arena of
//! [`Node`]s and a table of [`Value`]s: the inputs, the initializers and the outputs of nodes. A
//! node names the values it reads and makes, a value knows the node that makes it and every place
//! that reads it; both directions are kept, so that neither has to be searched for. A subgraph (a
//! branch of `If`, the body of `Loop`) is a graph in an [`Attribute`] of its node; the values it
//! reads from outside are uses by that node. What no pass looks at rides along as the file has it.
//!
//! Graphs are read and looked at freely and changed by a [`Patch`] only. petgraph's algorithms run
//! on `&Graph` as it stands.
//!
//! # Invariants
//!
//! [`Model::validate`] and [`Graph::validate`] report what does not hold, under these numbers. They
//! hold after decoding a well-formed file and after every patch, for every graph and subgraph:
//!
//! 1. Every input of a node is a value of the graph. Every output of a node is a value that has
//!    that node and slot as its producer, and every producer makes its value. A value that is used
//!    is an input, an initializer, captured, or made by a node.
//! 2. The uses of a value are exactly the places that read it.
//! 3. Names are unique and not empty, and the table of names leads to each value and nowhere else.
//! 4. No node depends on itself.
//! 5. Inputs and outputs of the graph exist, each marked as such and no other value. No input is
//!    made by a node.
//! 6. Every initializer is listed, once, has the type and shape of its data, and is not made by a
//!    node. (Data that does not fit its type and dimensions is refused by [`Tensor`].)
//! 7. Nodes of ONNX's own domain have the inputs, outputs and attributes that [`schema`] asks for
//!    in the imported operator set. Operators it does not know pass. No attribute is given twice.
//! 8. The domain of every node is imported, or a function of the model is the operator.
//! 9. What a subgraph captures is captured by its node, and is not made in the subgraph too. No
//!    output of a node in it has a name that is visible from outside. Subgraphs are nested at most
//!    [`MAX_DEPTH`] deep.
//! 10. Shapes agree as far as they are known: channels, groups and biases of convolutions; inner
//!     dimensions of matrix products; vectors of normalizations; operands that broadcast; ranks
//!     and axes of `Concat`, sizes of `Split`, the permutation of `Transpose`, the element count of
//!     `Reshape`; scales and zero points of quantization.
//!
//! While 1, 2 or 5 is broken in a graph, 4, 7, 8, 10 and its subgraphs are not looked at: they
//! follow the links.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "ids are u32 by construction; pedantic lints are not on"
)]

mod apply;
mod attribute;
mod bind;
mod decode;
mod dim;
mod elem_type;
mod encode;
mod extract;
mod fix_dims;
mod function;
mod graph;
mod infer;
mod model;
mod node;
mod number;
mod patch;
pub mod pattern;
mod pinned;
mod retype;
pub mod schema;
mod splice;
mod subgraph;
mod tensor;
pub mod text;
mod validate;
mod value;
mod visit;

pub use attribute::{Attribute, AttributeValue};
pub use decode::{BoxedError, DecodeError, LoadExternal, MAX_DEPTH, NodeError, TensorDecodeError};
pub use dim::Dim;
pub use elem_type::ElemType;
pub use extract::Boundary;
pub use fix_dims::{FixDimsError, FixedDims};
pub use function::{FunctionError, InlineError};
pub use graph::{Graph, NodeId, ValueId};
pub use lapidary_proto as proto;
pub use model::{Model, OpsetImports};
pub use node::Node;
pub use number::{Number, Numbering};
pub use patch::{Applied, NewNode, Operand, Patch, PatchError};
pub use pattern::{Constant, NoMatch, Scalar};
pub use splice::Splice;
pub use subgraph::InputFate;
pub use tensor::{Element, Notes, Tensor, TensorError, element_count};
pub use validate::Violation;
pub use value::{Port, Use, Value, ValueType};
