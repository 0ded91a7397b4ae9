//! Changes the model in floating point so that its integers lose less. What it computes stays the same.
//!
//! | step | what is moved | why |
//! | --- | --- | --- |
//! | [`equalize`] | the scale of a channel, from a product to the next | channels share a scale of weights |
//! | [`absorb_bias`] | what of a bias no Relu ever cuts off, to the next bias | ranges of activations start at 0 |
//! | [`smooth`] | the scale of a channel, from activations to weights | channels share a scale of activations |
//!
//! All of them multiply channels in one place and divide them in another, or add and subtract. Ranges that were
//! observed before are not those of the changed model: it has to be calibrated again.
mod absorb;
mod change;
mod cross_layer;
mod edits;
mod limits;
mod moments;
mod normal;
mod path;
mod smooth;
mod source;
mod statistics;
#[cfg(test)]
mod testing;
mod weights;

pub use absorb::absorb_bias;
pub use change::{FloatChange, FloatSteps, Smoothing};
pub use cross_layer::equalize;
pub use moments::ChannelMoments;
pub use normal::Moments;
pub(super) use smooth::is_smoothable;
pub use smooth::{ALPHAS, smooth};
pub use statistics::ChannelStatistics;
