//! What the caller decides.
use super::error::SparsifyError;
use super::pattern::Pattern;
use crate::quantize::NodeSelector;
use lapidary_ir::Tensor;
use std::collections::BTreeMap;

/// What goes first, and what becomes of what stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The smallest magnitudes.
    Magnitude,
    /// Any, by a hash of the seed.
    Random,
    /// The smallest \|w\| ‖x‖₂ of every output channel (Sun et al. 2023, "A simple and effective pruning approach").
    Wanda,
    /// The smallest w² / \[H⁻¹\]ⱼⱼ; what stays makes up for it (Frantar and Alistarh 2023, "SparseGPT").
    SparseGpt,
}

impl Method {
    /// Whether it has to see what weights multiply.
    #[must_use]
    pub fn needs_samples(self) -> bool {
        matches!(self, Self::Wanda | Self::SparseGpt)
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Magnitude => "magnitude",
            Self::Random => "random",
            Self::Wanda => "wanda",
            Self::SparseGpt => "sparsegpt",
        }
    }
}

/// How the share of zeros is spread over weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// The same share in each.
    Local,
    /// One threshold over all, for scores relative to what is left of their own weight; at most this share of each.
    Global {
        /// From 0 to 1.
        most: f64,
    },
}

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct SparsifyOptions {
    /// What goes first.
    pub method: Method,
    /// What goes together.
    pub pattern: Pattern,
    /// The share of zeros, from 0 to below 1; patterns of groups have their own.
    pub sparsity: f64,
    /// How the share is spread.
    pub scope: Scope,
    /// What [`Method::Random`] is chosen by.
    pub seed: u64,
    /// Arrays of the shape of weights, by their names, that are not 0 where a weight stays: instead of what method, pattern
    /// and share would choose. With [`Method::SparseGpt`] what stays makes up for the rest.
    pub masks: Option<BTreeMap<String, Tensor>>,
    /// Nodes whose weights stay.
    pub exclude: Vec<NodeSelector>,
    /// Whether the products nearest to the inputs and to the outputs keep their weights.
    pub keep_first_last: bool,
    /// Weights of fewer numbers stay.
    pub min_weights: usize,
}

impl SparsifyOptions {
    /// Half of each weight, by magnitude.
    pub const DEFAULT: Self = Self {
        method: Method::Magnitude,
        pattern: Pattern::Unstructured,
        sparsity: 0.5,
        scope: Scope::Local,
        seed: 0,
        masks: None,
        exclude: Vec::new(),
        keep_first_last: false,
        min_weights: 0,
    };

    /// What does not go together.
    pub(super) fn check(&self, has_samples: bool) -> Result<(), SparsifyError> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        if !share(self.sparsity) {
            return Err(SparsifyError::Share { found: self.sparsity });
        }
        if let Scope::Global { most } = self.scope {
            if !(most <= 1.0 && most >= self.sparsity) {
                return Err(SparsifyError::MostPerLayer { most, sparsity: self.sparsity });
            }
            if matches!(self.pattern, Pattern::GroupWise { .. }) {
                return Err(SparsifyError::GlobalGroups { pattern: self.pattern });
            }
        }
        if self.method.needs_samples() && !has_samples {
            return Err(SparsifyError::NeedsSamples { method: self.method.name() });
        }
        Ok(())
    }
}

impl Default for SparsifyOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: SparsifyOptions) -> String {
        options.check(false).expect_err("they do not go together").to_string()
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let all = || SparsifyOptions::DEFAULT;
        assert!(all().check(false).is_ok());
        assert!(refused(SparsifyOptions { sparsity: 1.0, ..all() }).contains("below 1"));
        assert!(refused(SparsifyOptions { sparsity: f64::NAN, ..all() }).contains("NaN"));
        let scope = Scope::Global { most: 0.4 };
        assert!(refused(SparsifyOptions { scope, ..all() }).contains("0.4"));
        let (scope, pattern) =
            (Scope::Global { most: 0.9 }, Pattern::GroupWise { kept: 2, group: 4 });
        assert!(refused(SparsifyOptions { scope, pattern, ..all() }).contains("2:4"));
        assert!(refused(SparsifyOptions { method: Method::Wanda, ..all() }).contains("wanda"));
    }
}
