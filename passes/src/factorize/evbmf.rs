//! The rank of what a matrix holds besides noise: empirical variational Bayes, the analytic solution.
//!
//! S. Nakajima, M. Sugiyama, S. D. Babacan, R. Tomioka: Global analytic solution of fully-observed variational Bayesian
//! matrix factorization, JMLR 14, 2013.

/// Noise variances that are tried before the best is made more precise.
const GRID: usize = 256;

/// Steps of the golden section, each of which divides what is left by 1.6.
const SECTIONS: usize = 60;

/// The number of singular values above the noise of a matrix of L × M numbers, from their squares γ², the largest
/// first. With L ≤ M, α = L / M, τ̲ = 2.5129 √α and x̲ = (1 + τ̲)(1 + α / τ̲):
///
/// rank = #{γ > √(M σ² x̲)},  σ² = argmin Σ over x ≤ x̲ of (x − ln x) + Σ over x > x̲ of
/// (x − τ + ln((τ + 1) / x) + α ln(τ / α + 1)),
///
/// x = γ² / (M σ²), τ(x) = (x − (1 + α) + √((x − (1 + α))² − 4 α)) / 2.
pub(super) fn rank(squares: &[f64], rows: usize, columns: usize) -> usize {
    let (small, large) = (rows.min(columns) as f64, rows.max(columns) as f64);
    let total: f64 = squares.iter().sum();
    if squares.is_empty() || total <= 0.0 {
        return 0;
    }
    // What is lost in the rounding of weights stands for 0, whose logarithm there is none of.
    let squares: Vec<f64> = squares.iter().map(|square| square.max(1e-14 * total)).collect();
    let alpha = small / large;
    let least = 2.5129 * alpha.sqrt();
    let limit = (1.0 + least) * (1.0 + alpha / least);
    let most = ((small / (1.0 + alpha)).ceil() as usize).saturating_sub(1).min(squares.len() - 1);
    let tail = &squares[most..];
    let mean = tail.iter().sum::<f64>() / tail.len() as f64 / large;
    let low = (squares[most] / (large * limit)).max(mean);
    let high = total / (small * large);
    let noise =
        minimize(low.min(high), high, |noise| free_energy(&squares, large, alpha, limit, noise));
    let threshold = large * noise * limit;
    squares.iter().filter(|&&square| square > threshold).count()
}

fn free_energy(squares: &[f64], large: f64, alpha: f64, limit: f64, noise: f64) -> f64 {
    let term = |square: &f64| {
        let x = square / (large * noise);
        if x <= limit {
            return x - x.ln();
        }
        let rest = x - (1.0 + alpha);
        let tau = 0.5 * (rest + (rest * rest - 4.0 * alpha).max(0.0).sqrt());
        x - tau + ((tau + 1.0) / x).ln() + alpha * (tau / alpha + 1.0).ln()
    };
    squares.iter().map(term).sum()
}

/// Where a function of a positive number is least: the best of a grid of equal ratios, then the golden section.
fn minimize(low: f64, high: f64, function: impl Fn(f64) -> f64) -> f64 {
    let (low, high) = (low.ln(), high.ln());
    let value = |at: f64| function(at.exp());
    let step = (high - low) / GRID as f64;
    let grid = (0..=GRID).map(|index| low + step * index as f64);
    let best = grid.fold((f64::INFINITY, low), |best, at| {
        let found = value(at);
        if found < best.0 { (found, at) } else { best }
    });
    let ratio = 0.5 * (5.0f64.sqrt() - 1.0);
    let (mut left, mut right) = ((best.1 - step).max(low), (best.1 + step).min(high));
    for _ in 0..SECTIONS {
        let (a, b) = (right - ratio * (right - left), left + ratio * (right - left));
        if value(a) <= value(b) { right = b } else { left = a }
    }
    (0.5 * (left + right)).exp()
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::Spectrum;
    use super::*;
    use ndarray::Array2;

    /// Numbers of mean 0 and variance 1, nearly normal: sums of twelve from splitmix64.
    fn noise(rows: usize, columns: usize, mut seed: u64) -> Array2<f64> {
        let mut uniform = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        Array2::from_shape_simple_fn((rows, columns), || {
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        })
    }

    fn found(matrix: &Array2<f64>) -> usize {
        let spectrum = Spectrum::plain(matrix.view()).expect("it has a spectrum");
        rank(&spectrum.energies, matrix.nrows(), matrix.ncols())
    }

    #[test]
    fn the_rank_of_a_low_rank_matrix_in_noise_is_found() {
        let signal = noise(30, 4, 1).dot(&noise(4, 50, 2));
        assert_eq!(found(&(&signal + &(0.3 * noise(30, 50, 3)))), 4);
        assert_eq!(found(&(&signal + &(0.3 * noise(30, 50, 3))).t().to_owned()), 4);
        assert_eq!(found(&signal), 4);
    }

    #[test]
    fn noise_has_no_rank() {
        assert_eq!(found(&noise(30, 50, 4)), 0);
        assert_eq!(rank(&[0.0, 0.0], 2, 2), 0);
        assert_eq!(rank(&[], 0, 2), 0);
    }
}
