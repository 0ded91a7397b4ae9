//! Moments of a normal distribution that is cut off.
use std::f64::consts::PI;

/// A mean and a standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// μ.
    pub mean: f64,
    /// σ.
    pub std: f64,
}

/// Beyond so many standard deviations nothing is left of a normal distribution in 64 bits.
const FAR: f64 = 8.3;

impl Moments {
    /// The moments of min(max(x, a), b) for x ~ N(μ, σ²), with α = (a − μ) / σ and β = (b − μ) / σ:
    ///
    /// E = a Φ(α) + b (1 − Φ(β)) + μ (Φ(β) − Φ(α)) + σ (φ(α) − φ(β)),
    ///
    /// E₂ = a² Φ(α) + b² (1 − Φ(β)) + (μ² + σ²)(Φ(β) − Φ(α)) + 2 μ σ (φ(α) − φ(β)) + σ² (α φ(α) − β φ(β)),
    ///
    /// σ'² = E₂ − E².
    #[must_use]
    pub fn clipped(self, low: f64, high: f64) -> Self {
        let Self { mean, std } = self;
        if std <= 0.0 {
            return Self { mean: mean.max(low).min(high), std: 0.0 };
        }
        let (alpha, beta) = ((low - mean) / std, (high - mean) / std);
        let (below, within) = (cumulative(alpha), cumulative(beta) - cumulative(alpha));
        let above = 1.0 - cumulative(beta);
        // What nothing reaches has no weight, however large it is.
        let weighted = |limit: f64, weight: f64| if weight == 0.0 { 0.0 } else { limit * weight };
        let edges = density(alpha) - density(beta);
        let first = weighted(low, below) + weighted(high, above) + mean * within + std * edges;
        let second = weighted(low * low, below)
            + weighted(high * high, above)
            + (mean * mean + std * std) * within
            + 2.0 * mean * std * edges
            + std * std * (weighted(alpha, density(alpha)) - weighted(beta, density(beta)));
        Self { mean: first, std: (second - first * first).max(0.0).sqrt() }
    }
}

/// φ(x) = exp(−x² / 2) / √(2π).
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * PI).sqrt()
}

/// Φ(x) = 1/2 + φ(x) (x + x³/3 + x⁵/(3 · 5) + x⁷/(3 · 5 · 7) + …): G. Marsaglia, "Evaluating the Normal
/// Distribution", 2004.
fn cumulative(x: f64) -> f64 {
    if x.abs() > FAR {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    loop {
        odd += 2.0;
        term *= x * x / odd;
        let next = sum + term;
        if next == sum {
            return (0.5 + sum * density(x)).clamp(0.0, 1.0);
        }
        sum = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments by adding up.
    fn summed(Moments { mean, std }: Moments, low: f64, high: f64) -> Moments {
        let step = 1e-4;
        let (mut first, mut second) = (0.0, 0.0);
        for at in -90_000..90_000 {
            let z = (f64::from(at) + 0.5) * step;
            let (x, weight) = ((mean + std * z).max(low).min(high), density(z) * step);
            first += x * weight;
            second += x * x * weight;
        }
        Moments { mean: first, std: (second - first * first).sqrt() }
    }

    #[test]
    fn probabilities_are_those_of_tables() {
        for (x, wanted) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (-3.0, 0.001_349_898_031_63)]
        {
            assert!((cumulative(x) - wanted).abs() < 1e-14, "{x}");
        }
        assert_eq!((cumulative(-40.0), cumulative(f64::INFINITY)), (0.0, 1.0));
    }

    #[test]
    fn moments_are_integrals() {
        let limits = [(0.0, f64::INFINITY), (0.0, 6.0), (-1.0, 1.0), (f64::NEG_INFINITY, 2.0)];
        for (mean, std) in [(0.0, 1.0), (-2.0, 3.0), (5.0, 2.0), (1.0, 0.01)] {
            for (low, high) in limits {
                let of = Moments { mean, std };
                let (found, wanted) = (of.clipped(low, high), summed(of, low, high));
                assert!((found.mean - wanted.mean).abs() < 1e-6, "{of:?} {found:?} {wanted:?}");
                assert!((found.std - wanted.std).abs() < 1e-5, "{of:?} {found:?} {wanted:?}");
            }
        }
        // A Relu of the standard normal distribution: 1/√(2π).
        let relu = Moments { mean: 0.0, std: 1.0 }.clipped(0.0, f64::INFINITY);
        assert!((relu.mean - 0.398_942_280_401_433).abs() < 1e-14);
    }

    #[test]
    fn what_does_not_vary_is_clipped() {
        let still = Moments { mean: 7.0, std: 0.0 };
        assert_eq!(still.clipped(0.0, 6.0), Moments { mean: 6.0, std: 0.0 });
    }
}
