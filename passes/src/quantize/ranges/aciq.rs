//! The analytically best clipping of Laplace and Gauss distributions.
use super::{IntegerFormat, Range, Sides};
use lapidary_exec::{Bin, Statistics};
use std::f64::consts::PI;

/// For 2 to 17 bits M the α / b that minimises the mean squared error of Laplace-distributed numbers
///
/// 2b² · e^(−α/b) + α² / (3 · 4ᴹ).
const LAPLACE: [f64; 16] = [
    2.830683, 3.897229, 5.02864, 6.204766, 7.413126, 8.64562, 9.89676, 11.162685, 12.440591,
    13.728385, 15.024465, 16.327583, 17.636749, 18.951162, 20.270172, 21.593236,
];

/// For 2 to 17 bits M the α / σ that minimises the mean squared error of normally distributed numbers
///
/// (σ² + α²) · erfc(α / √2σ) − √(2/π) · α · σ · e^(−α²/2σ²) + α² / (3 · 4ᴹ).
const GAUSS: [f64; 16] = [
    1.710635, 2.151593, 2.559136, 2.936201, 3.286914, 3.615114, 3.924035, 4.21633, 4.494161,
    4.7593, 5.01321, 5.257111, 5.492026, 5.718824, 5.938248, 6.150938,
];

/// From μ − α to μ + α.
///
/// Of numbers on one side of 0, as Relu leaves them, half of a distribution around 0 is seen, by the
/// numbers that are not 0; the range from 0 to α then has the steps of one more bit.
pub(super) fn range(statistics: &Statistics, format: IntegerFormat) -> Option<Range> {
    let sides = Sides::of(statistics)?;
    let bits = format.elem_type.bits() as usize;
    if sides == Sides::Both {
        let alpha = Fit::around(statistics.mean()?, statistics.bins())?.alpha(bits);
        let mean = statistics.mean()?;
        return Some(Range { min: (mean - alpha) as f32, max: (mean + alpha) as f32 });
    }
    // A symmetric format spends half of its integers on the side that does not occur.
    let bits = if format.symmetric { bits } else { bits + 1 };
    let others = statistics.magnitude_bins().filter(|bin| bin.lower > 0.0);
    let alpha = Fit::around(0.0, others.flat_map(|bin| [mirrored(bin), bin]))?.alpha(bits);
    Some(sides.range(alpha as f32))
}

fn mirrored(bin: Bin) -> Bin {
    Bin { lower: -bin.upper, upper: -bin.lower, ..bin }
}

/// The distributions with the moments of the numbers.
struct Fit {
    /// b = E |x − μ|.
    laplace_scale: f64,
    /// σ² = E (x − μ)².
    variance: f64,
    /// Whether the density of Laplace is nearer to the histogram.
    is_laplace: bool,
}

impl Fit {
    fn around(mean: f64, bins: impl Iterator<Item = Bin>) -> Option<Self> {
        let bins: Vec<Bin> = bins.collect();
        let total: f64 = bins.iter().map(|bin| bin.count as f64).sum();
        if total == 0.0 {
            return None;
        }
        let moment = |of: fn(f64) -> f64| {
            let weighted = bins.iter().map(|bin| bin.count as f64 * of(middle(bin) - mean));
            weighted.sum::<f64>() / total
        };
        let laplace_scale = moment(f64::abs);
        let variance = moment(|distance| distance * distance);
        let deviation = variance.sqrt();
        let (mut from_laplace, mut from_gauss) = (0.0, 0.0);
        for bin in &bins {
            let distance = (middle(bin) - mean).abs();
            let width = f64::from(bin.upper) - f64::from(bin.lower);
            if width < 1e-4 * deviation && bin.lower <= 0.0 && bin.upper >= 0.0 {
                // A peak without width at 0 is far from any density.
                continue;
            }
            let density = bin.count as f64 / (total * width);
            let laplace = (-distance / laplace_scale).exp() / (2.0 * laplace_scale);
            let ratio = distance / deviation;
            let gauss = (-ratio * ratio / 2.0).exp() / (deviation * (2.0 * PI).sqrt());
            from_laplace += width * (density - laplace) * (density - laplace);
            from_gauss += width * (density - gauss) * (density - gauss);
        }
        Some(Self { laplace_scale, variance, is_laplace: from_laplace <= from_gauss })
    }

    fn alpha(&self, bits: usize) -> f64 {
        let entry = bits.clamp(2, 17) - 2;
        if self.is_laplace {
            LAPLACE[entry] * self.laplace_scale
        } else {
            GAUSS[entry] * self.variance.sqrt()
        }
    }
}

fn middle(bin: &Bin) -> f64 {
    f64::midpoint(f64::from(bin.lower), f64::from(bin.upper))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gauss, laplace, of, rectified};
    use super::*;

    /// ∫ over x > α of weight(x) · density(x), numerically.
    fn tail(alpha: f64, density: impl Fn(f64) -> f64, weight: impl Fn(f64) -> f64) -> f64 {
        const STEP: f64 = 1e-4;
        let places = (0..400_000).map(|index| alpha + (f64::from(index) + 0.5) * STEP);
        places.map(|x| STEP * weight(x) * density(x)).sum()
    }

    /// The mean squared error of clipping at α and of rounding to 2ᴹ steps over [−α, α].
    fn error(alpha: f64, bits: i32, density: impl Fn(f64) -> f64) -> f64 {
        let clipped = 2.0 * tail(alpha, density, |x| (x - alpha) * (x - alpha));
        clipped + alpha * alpha / (3.0 * 4f64.powi(bits))
    }

    #[test]
    fn the_constants_minimise_the_error() {
        let normal = |x: f64| (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
        let laplace = |x: f64| (-x).exp() / 2.0;
        for bits in [2, 4, 8, 9] {
            let entry = bits as usize - 2;
            for (best, of) in
                [(GAUSS[entry], &normal as &dyn Fn(f64) -> f64), (LAPLACE[entry], &laplace)]
            {
                let least = error(best, bits, of);
                assert!(least < error(0.99 * best, bits, of), "{bits} {best}");
                assert!(least < error(1.01 * best, bits, of), "{bits} {best}");
            }
        }
    }

    #[test]
    fn the_constants_of_many_bits_solve_their_equations() {
        for (entry, (&laplace, &gauss)) in LAPLACE.iter().zip(&GAUSS).enumerate() {
            let levels = 3.0 * 4f64.powi(entry as i32 + 2);
            // The derivatives: α e^α = 3 · 4ᴹ and α / (3 · 4ᴹ) = 2 E max(x − α, 0).
            assert!((laplace * laplace.exp() / levels - 1.0).abs() < 1e-4, "{laplace}");
            let normal = |x: f64| (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
            let beyond = 2.0 * tail(gauss, normal, |x| x - gauss);
            assert!((levels * beyond / gauss - 1.0).abs() < 1e-3, "{gauss}");
        }
    }

    #[test]
    fn known_distributions_have_their_constants() {
        let near = |found: f32, expected: f64| (f64::from(found) / expected - 1.0).abs() < 0.02;
        let uint4 = IntegerFormat::asymmetric(super::super::super::IntegerType::Uint4);
        let found = range(&of(&laplace(200_000, 2.0, 3.0)).numbers, uint4);
        let found = found.expect("there are numbers");
        assert!(near(found.min - 2.0, -3.0 * LAPLACE[2]), "{found:?}");
        assert!(near(found.max - 2.0, 3.0 * LAPLACE[2]), "{found:?}");
        let found = range(&of(&gauss(200_000, -1.0, 3.0)).numbers, uint4);
        let found = found.expect("there are numbers");
        assert!(near(found.max + 1.0, 3.0 * GAUSS[2]), "{found:?}");
        let found = range(&of(&rectified(200_000, 3.0)).numbers, uint4);
        let found = found.expect("there are numbers");
        assert!(found.min == 0.0 && near(found.max, 3.0 * LAPLACE[3]), "{found:?}");
        let half: Vec<f32> = gauss(200_000, 0.0, 3.0).iter().map(|x| x.max(0.0)).collect();
        let found = range(&of(&half).numbers, uint4).expect("there are numbers");
        assert!(near(found.max, 3.0 * GAUSS[3]), "{found:?}");
    }
}
