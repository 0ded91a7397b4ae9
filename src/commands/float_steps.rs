//! The options of `lapidary quantize` that change the model in floating point, or its biases, before samples judge.
use super::quantize::Source;
use clap::{Args, ValueEnum};
use lapidary::Error;
use lapidary::passes::quantize::equalize::{FloatSteps, Smoothing};

/// Changes of the model in floating point.
#[derive(Debug, Args)]
pub(crate) struct Float {
    /// Move the scales of channels between products until both sides have the same range (cross-layer
    /// equalization). With --per-tensor it is tried anyway, and kept if samples held out gain.
    #[arg(long, visible_alias = "cle", conflicts_with_all = ["dynamic", "weight_only"])]
    equalize: bool,
    /// Move what of a bias no Relu ever cuts off into the next bias.
    #[arg(long, conflicts_with_all = ["dynamic", "weight_only"])]
    absorb_bias: bool,
    /// Divide the channels of activations by max |X|^ALPHA / max |W|^(1 - ALPHA) and multiply those of the weights
    /// (SmoothQuant). Without ALPHA, that of 0.25, 0.5 and 0.75 which is best for samples held out. Behind
    /// normalizations it is tried anyway, and kept if they gain.
    #[arg(long, visible_alias = "smooth-quant", value_name = "ALPHA", num_args = 0..=1, value_parser = alpha, conflicts_with_all = ["dynamic", "weight_only"])]
    smooth: Option<Option<f64>>,
    /// Correct biases by what rounding weights adds to the mean of results, where there are no samples to refine
    /// them on.
    #[arg(long, value_enum, value_name = "HOW", conflicts_with_all = ["dynamic", "weight_only"])]
    bias_correction: Option<BiasCorrection>,
}

/// Where the mean of activations comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BiasCorrection {
    /// From batch normalizations, weights and biases, as if channels were normally distributed.
    Analytic,
}

/// A number from 0 to 1.
fn alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok().filter(|alpha| (0.0..=1.0).contains(alpha));
    alpha.ok_or_else(|| format!("`{text}` is no number from 0 to 1"))
}

impl Float {
    /// What is asked for.
    pub(super) fn steps(&self) -> FloatSteps {
        FloatSteps {
            equalize: self.equalize,
            absorb_bias: self.absorb_bias,
            smooth: self.smooth.map(|alpha| alpha.map_or(Smoothing::Searched, Smoothing::Alpha)),
        }
    }

    /// Whether biases are corrected without samples.
    pub(super) fn corrects_biases(&self) -> bool {
        self.bias_correction.is_some()
    }

    /// There are samples for what needs them, and none for what replaces them.
    pub(super) fn check(&self, source: &Source, refining: bool) -> Result<(), Error> {
        let steps = self.steps();
        if steps.any() && !matches!(source, Source::Samples(_)) {
            let step = match steps {
                FloatSteps { equalize: true, .. } => "--equalize",
                FloatSteps { absorb_bias: true, .. } => "--absorb-bias",
                _ => "--smooth",
            };
            return Err(Error::Usage {
                problem: format!("{step} changes values, whose ranges have to be observed again"),
                help: "give samples with --data, instead of --calib".to_owned(),
            });
        }
        if self.corrects_biases() && refining {
            return Err(Error::Usage {
                problem: "refinement corrects biases on the samples already".to_owned(),
                help: "leave out --bias-correction, or refinement with --no-refine".to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::alpha;

    #[test]
    fn the_strength_is_between_0_and_1() {
        assert_eq!((alpha("0"), alpha("0.5"), alpha("1")), (Ok(0.0), Ok(0.5), Ok(1.0)));
        assert!(alpha("1.5").is_err() && alpha("-1").is_err() && alpha("model.onnx").is_err());
        assert!(alpha("nan").is_err());
    }
}
