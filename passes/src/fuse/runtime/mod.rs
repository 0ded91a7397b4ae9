//! Operators of ONNX Runtime's own domain.
//!
//! All of them are opt-in: no other runtime has them.
mod bias_gelu;
mod biased;
mod fast_gelu;
mod multi_head_attention;
mod quick_gelu;
mod scaled_mat_mul;
mod skip_layer_normalization;
mod skip_rms_normalization;
mod skip_sum;

pub use bias_gelu::FuseBiasGelu;
pub use fast_gelu::FuseFastGelu;
pub use multi_head_attention::FuseMultiHeadAttention;
pub use quick_gelu::FuseQuickGelu;
pub use scaled_mat_mul::FuseScaledMatMul;
pub use skip_layer_normalization::FuseSkipLayerNormalization;
pub use skip_rms_normalization::FuseSkipRmsNormalization;
