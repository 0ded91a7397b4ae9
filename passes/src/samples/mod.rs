//! What products multiply when a model runs on samples: the samples in batches, the positions looked at and the
//! windows there.
pub(crate) mod batches;
pub(crate) mod sampling;
pub(crate) mod windows;
