//! The graph of an ONNX model: values, shapes, patterns, patches, validation, text.
#![expect(
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "ids are u32 by construction; pedantic lints are not on"
)]

mod attribute;
mod decode;
mod dim;
mod elem_type;
mod encode;
mod extract;
mod graph;
mod infer;
mod model;
mod node;
mod patch;
pub mod pattern;
pub mod schema;
mod tensor;
mod validate;
mod value;

pub use attribute::{Attribute, AttributeValue};
pub use decode::{BoxedError, DecodeError, LoadExternal, MAX_DEPTH, NodeError, TensorDecodeError};
pub use dim::Dim;
pub use elem_type::ElemType;
pub use graph::{Graph, NodeId, ValueId};
pub use lapidary_proto as proto;
pub use model::{Model, OpsetImports};
pub use node::Node;
pub use patch::{Applied, NewNode, Operand, Patch, PatchError};
pub use pattern::{Constant, NoMatch, Scalar};
pub use tensor::{Element, Notes, Tensor, TensorError, element_count};
pub use validate::Violation;
pub use value::{Port, Use, Value, ValueType};
