//! Activations that exporters write as arithmetic.
mod gelu;
mod gelu_site;
mod hard_gate;
mod hard_sigmoid;
mod hard_swish;
mod mish;
mod softplus;
mod swish;

use crate::{Skip, require};
use lapidary_ir::{ElemType, Graph, ValueId};

pub use gelu::FuseGelu;
pub(super) use gelu_site::GeluSite;
pub use hard_sigmoid::FuseHardSigmoid;
pub use hard_swish::FuseHardSwish;
pub use mish::FuseMish;
pub use softplus::FuseSoftplus;
pub use swish::FuseSwish;
pub(super) use swish::SwishSite;

/// ONNX Runtime computes `Gelu`, `HardSigmoid`, `HardSwish` and `Softplus` of `float` and `float16` alone: a model of doubles
/// that ran would not run any more.
fn require_kernel(graph: &Graph, x: ValueId) -> Result<(), Skip> {
    let double = graph.ty(x).elem_type == Some(ElemType::DOUBLE);
    require(!double, "ONNX Runtime has no such operator of doubles")
}
