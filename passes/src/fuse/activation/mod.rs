//! Activations that exporters write as arithmetic.
mod gelu;
mod gelu_site;
mod hard_gate;
mod hard_sigmoid;
mod hard_swish;
mod mish;
mod softplus;
mod swish;

pub use gelu::FuseGelu;
pub(super) use gelu_site::GeluSite;
pub use hard_sigmoid::FuseHardSigmoid;
pub use hard_swish::FuseHardSwish;
pub use mish::FuseMish;
pub use softplus::FuseSoftplus;
pub use swish::FuseSwish;
