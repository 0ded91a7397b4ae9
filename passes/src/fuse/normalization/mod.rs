//! Normalizations that exporters write as arithmetic.
mod affine_tail;
mod centered;
mod channel_tail;
mod group_normalization;
mod instance_normalization;
mod layer_normalization;
mod log_softmax;
mod lp_normalization;
mod quadratic_mean;
mod reduction;
mod rms_normalization;
mod softmax;

pub use group_normalization::FuseGroupNormalization;
pub use instance_normalization::FuseInstanceNormalization;
pub use layer_normalization::FuseLayerNormalization;
pub use log_softmax::FuseLogSoftmax;
pub use lp_normalization::FuseLpNormalization;
pub use rms_normalization::FuseRmsNormalization;
pub use softmax::FuseSoftmax;
