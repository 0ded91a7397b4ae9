//! What the caller asks for, and what was done.
use std::collections::BTreeMap;

/// The changes of a model in floating point that are made for their own sake, whatever they gain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloatSteps {
    /// Scales of channels move between products.
    pub equalize: bool,
    /// Biases move behind a Relu.
    pub absorb_bias: bool,
    /// Scales of channels move from activations to weights.
    pub smooth: Option<Smoothing>,
}

/// How much of the scales of activations becomes that of weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smoothing {
    /// As much as is best for samples that are kept out.
    Searched,
    /// α, from 0 (nothing) to 1 (everything).
    Alpha(f64),
}

/// What a change of a model in floating point did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatChange {
    /// The step.
    pub name: &'static str,
    /// How strongly activations were smoothed.
    pub alpha: Option<f64>,
    /// What was changed: `first -> second`, each the name of a node.
    pub changed: Vec<String>,
    /// Nodes that could not be changed, by why.
    pub left_alone: BTreeMap<String, Vec<String>>,
}

impl FloatSteps {
    /// Whether there is anything to do.
    #[must_use]
    pub fn any(&self) -> bool {
        self.equalize || self.absorb_bias || self.smooth.is_some()
    }
}

impl FloatChange {
    pub(in crate::quantize) fn of(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    pub(in crate::quantize) fn leave(&mut self, reason: impl Into<String>, node: &str) {
        self.left_alone.entry(reason.into()).or_default().push(node.to_owned());
    }
}
