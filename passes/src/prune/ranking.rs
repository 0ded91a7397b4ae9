//! What makes a channel important, by name, and how what several weights say of it is put together.
use std::fmt;
use std::str::FromStr;

/// What makes a channel important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Importance {
    /// What its readers lose when the others make up for it: Optimal Brain Surgeon.
    #[default]
    Obs,
    /// What its readers lose when nothing makes up for it but a bias: Σ ‖W_c‖² Var x, over the columns of the
    /// channel (Wanda, Sun et al. 2024, for channels).
    Wanda,
    /// How much it varies: Σ Var x.
    Activation,
    /// The share of numbers its readers read that are not zero (`APoZ`, Hu et al. 2016).
    Apoz,
    /// The sum of distances to the other channels of the weights that make it (FPGM, He et al. 2019).
    Fpgm,
    /// The sum of magnitudes of the weights that make it.
    L1,
    /// The root of the sum of squares of the weights that make it.
    L2,
    /// w² / Σ v² over the channels of the group with v² ≥ w², w² the sum of squares of the weights that make it (LAMP,
    /// Lee et al. 2021): groups can be compared.
    Lamp,
    /// |γ| of the `BatchNormalization` behind what makes it (network slimming, Liu et al. 2017).
    BnScale,
    /// |Σ g·w| over the weights that make it, g the gradient of the loss (Molchanov et al. 2019).
    Taylor,
    /// (Σ g·w)² over the weights that make it, in the mean over samples where there are gradients of each.
    Fisher,
    /// Nothing: channels go in an order that a seed alone tells.
    Random,
}

/// The importances by name.
const NAMES: [(&str, Importance); 12] = [
    ("obs", Importance::Obs),
    ("wanda", Importance::Wanda),
    ("activation", Importance::Activation),
    ("apoz", Importance::Apoz),
    ("fpgm", Importance::Fpgm),
    ("l1", Importance::L1),
    ("l2", Importance::L2),
    ("lamp", Importance::Lamp),
    ("bn-scale", Importance::BnScale),
    ("taylor", Importance::Taylor),
    ("fisher", Importance::Fisher),
    ("random", Importance::Random),
];

/// No importance has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of {names}", names = NAMES.map(|(name, _)| name).join(", "))]
pub struct UnknownImportance(String);

impl Importance {
    /// Whether it is known only from running the model on samples.
    #[must_use]
    pub fn needs_samples(self) -> bool {
        matches!(self, Self::Obs | Self::Wanda | Self::Activation | Self::Apoz)
    }

    /// Whether it is known only from gradients of the weights.
    #[must_use]
    pub fn needs_gradients(self) -> bool {
        matches!(self, Self::Taylor | Self::Fisher)
    }
}

impl FromStr for Importance {
    type Err = UnknownImportance;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, found)| found).ok_or_else(|| UnknownImportance(text.to_owned()))
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, importance)| importance == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// How what several weights say of a channel becomes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

/// What the numbers of a weight are divided by, so that weights of different magnitude count alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalization {
    /// Their mean.
    #[default]
    Mean,
    /// The largest.
    Max,
    /// Nothing.
    None,
}

/// How channels are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ranking {
    /// What makes a channel important.
    pub importance: Importance,
    /// How several weights count.
    pub reduction: Reduction,
    /// What makes them comparable.
    pub normalization: Normalization,
    /// What [`Importance::Random`] goes by.
    pub seed: u64,
}

/// What a weight says of the channels of a group, by number; nothing of those it has nothing to do with.
pub(crate) type Part = Vec<Option<f64>>;

impl Ranking {
    /// One number for every one of `size` channels.
    pub(crate) fn combine(&self, size: usize, parts: &[Part]) -> Vec<f64> {
        let mut said: Vec<Vec<f64>> = vec![Vec::new(); size];
        for part in parts {
            let known: Vec<f64> = part.iter().copied().flatten().collect();
            let largest = known.iter().copied().fold(0.0, f64::max);
            let divisor = match self.normalization {
                Normalization::Mean => known.iter().sum::<f64>() / known.len().max(1) as f64,
                Normalization::Max => largest,
                Normalization::None => 1.0,
            };
            let divisor = if divisor > 0.0 { divisor } else { 1.0 };
            for (said, number) in said.iter_mut().zip(part) {
                said.extend(number.map(|number| number / divisor));
            }
        }
        let reduce = |said: Vec<f64>| {
            let sum: f64 = said.iter().sum();
            match self.reduction {
                Reduction::Sum => sum,
                Reduction::Mean => sum / said.len().max(1) as f64,
                Reduction::Max => said.into_iter().fold(0.0, f64::max),
            }
        };
        said.into_iter().map(reduce).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_importance_has_a_name() {
        for (name, importance) in NAMES {
            assert_eq!(name.parse(), Ok(importance));
            assert_eq!(importance.to_string(), name);
        }
        let error = "norm".parse::<Importance>().expect_err("there is none");
        assert!(error.to_string().starts_with("`norm` is none of obs, wanda, "), "{error}");
    }

    #[test]
    fn what_weights_say_is_normalized_then_reduced() {
        let parts = [vec![Some(1.0), Some(3.0), Some(8.0)], vec![Some(10.0), Some(30.0), None]];
        let scores = |reduction, normalization| {
            Ranking { reduction, normalization, ..Ranking::default() }.combine(3, &parts)
        };
        assert_eq!(scores(Reduction::Sum, Normalization::Mean), [0.75, 2.25, 2.0]);
        assert_eq!(scores(Reduction::Mean, Normalization::None), [5.5, 16.5, 8.0]);
        assert_eq!(scores(Reduction::Max, Normalization::Max), [1.0 / 3.0, 1.0, 1.0]);
        assert_eq!(Ranking::default().combine(2, &[vec![Some(0.0), Some(0.0)]]), [0.0, 0.0]);
    }
}
