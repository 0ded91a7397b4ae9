//! One row of weights as integers, such that its products change least.
use super::super::weight::WeightFormat;
use super::factor::{Factor, dot};

/// The integers weights may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodeRange {
    low: i8,
    high: i8,
}

impl CodeRange {
    /// All numbers of `int4`: leaving out −8 makes the error of 4 bits an eighth larger. Of `int8` and of 7 bits
    /// the symmetric ones.
    pub(super) fn new(format: WeightFormat) -> Self {
        match format.bits {
            4 => Self { low: -8, high: 7 },
            _ => Self { low: -(format.steps() as i8), high: format.steps() as i8 },
        }
    }

    /// The smallest scale with which all weights are within the range.
    fn scale(self, weights: &[f32]) -> f32 {
        let reach =
            |&weight: &f32| weight / f32::from(if weight < 0.0 { self.low } else { self.high });
        weights.iter().map(reach).fold(0.0, f32::max)
    }

    /// The integer nearest to a number.
    pub(super) fn nearest(self, number: f32) -> f32 {
        // Adding 1.5 · 2²³ rounds to the nearest integer, ties to even.
        let within = number.clamp(f32::from(self.low), f32::from(self.high));
        (within + 12_582_912.0) - 12_582_912.0
    }
}

/// What the rows of a product are rounded for: dᵀ H d, the mean square of what an error d of the weights does to
/// the product.
#[derive(Clone, Debug)]
pub(super) struct Objective {
    /// H, symmetric, of K rows.
    hessian: Vec<f32>,
    size: usize,
    factor: Option<Factor>,
}

/// A row of integers and what they are multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rounded {
    pub(super) codes: Vec<f32>,
    pub(super) scale: f32,
}

/// Scales tried per row.
const SCALES: usize = 24;
/// The smallest scale tried, relative to the one that represents the largest weight.
const LEAST_RATIO_8: f32 = 0.85;
const LEAST_RATIO_4: f32 = 0.4;
/// How often every integer is reconsidered.
const SWEEPS: usize = 4;
/// Up to this many weights a scale is judged after its integers were found, otherwise after rounding to nearest.
const SEARCHED: usize = 64;

impl Objective {
    /// For a matrix of `size` rows, of which `damping` of the mean diagonal is added to the diagonal.
    pub(super) fn new(mut hessian: Vec<f32>, size: usize, damping: f64) -> Self {
        let trace: f64 = (0..size).map(|at| f64::from(hessian[at * size + at])).sum();
        let added = (damping * trace / size.max(1) as f64).max(f64::from(f32::MIN_POSITIVE));
        for at in 0..size {
            hessian[at * size + at] += added as f32;
        }
        let factor = Factor::new(&hessian, size);
        Self { hessian, size, factor }
    }

    /// Integers and a scale, not less than `least`, for weights. Weights that are 0 stay 0: they were made sparse.
    pub(super) fn round(&self, weights: &[f32], range: CodeRange, least: f32) -> Rounded {
        let full = range.scale(weights).max(least);
        if full <= 0.0 {
            return Rounded { codes: vec![0.0; weights.len()], scale: 1.0 };
        }
        let lowest = if range.high < 64 { LEAST_RATIO_4 } else { LEAST_RATIO_8 };
        let ratio = |index: usize| 1.0 - (1.0 - lowest) * index as f32 / (SCALES - 1) as f32;
        let scales = (0..SCALES).map(|index| (full * ratio(index)).max(least));
        let mut best: Option<(f64, Rounded)> = None;
        for scale in scales {
            let found = if self.size <= SEARCHED {
                let codes = self.search(weights, range, scale);
                (self.cost(weights, &codes, scale), Rounded { codes, scale })
            } else {
                let codes = nearest(weights, range, scale);
                (self.diagonal_cost(weights, &codes, scale), Rounded { codes, scale })
            };
            if best.as_ref().is_none_or(|(least, _)| found.0 < *least) {
                best = Some(found);
            }
        }
        let Some((_, mut best)) = best else { return Rounded { codes: Vec::new(), scale: full } };
        if self.size > SEARCHED {
            best.codes = self.search(weights, range, best.scale);
        }
        self.refit(weights, range, least, best)
    }

    /// The integers for a scale: nearest plane, then coordinate descent; or coordinate descent from the nearest
    /// integers where that is better, which it hardly ever is for many weights.
    fn search(&self, weights: &[f32], range: CodeRange, scale: f32) -> Vec<f32> {
        let plain = || self.descend(weights, range, scale, nearest(weights, range, scale));
        let Some(factor) = &self.factor else { return plain() };
        let plane = self.descend(weights, range, scale, plane(factor, weights, range, scale));
        if self.size > SEARCHED {
            return plane;
        }
        let plain = plain();
        let better = self.cost(weights, &plane, scale) < self.cost(weights, &plain, scale);
        if better { plane } else { plain }
    }

    /// Coordinate descent: with g = H (w/s − q), the best integer in the place of q_j is q_j + g_j / H_jj,
    /// rounded.
    fn descend(&self, weights: &[f32], range: CodeRange, scale: f32, codes: Vec<f32>) -> Vec<f32> {
        let mut codes = codes;
        let error: Vec<f32> =
            weights.iter().zip(&codes).map(|(weight, code)| weight / scale - code).collect();
        let mut gradient: Vec<f32> =
            self.hessian.chunks_exact(self.size).map(|row| dot(row, &error)).collect();
        for _ in 0..SWEEPS {
            let mut changed = false;
            for at in (0..self.size).filter(|&at| weights[at] != 0.0) {
                let row = &self.hessian[at * self.size..][..self.size];
                let code = range.nearest(codes[at] + gradient[at] / row[at]);
                let step = code - codes[at];
                if step == 0.0 {
                    continue;
                }
                // Not for the sake of rounding errors in the gradient.
                let gain = 2.0 * step * gradient[at] - step * step * row[at];
                if gain <= 1e-5 * row[at] {
                    continue;
                }
                codes[at] = code;
                changed = true;
                for (gradient, entry) in gradient.iter_mut().zip(row) {
                    *gradient -= step * entry;
                }
            }
            if !changed {
                break;
            }
        }
        codes
    }

    /// The best scale for the integers, s = qᵀ H w / qᵀ H q, and the best integers for that scale.
    fn refit(&self, weights: &[f32], range: CodeRange, least: f32, found: Rounded) -> Rounded {
        let image: Vec<f32> =
            self.hessian.chunks_exact(self.size).map(|row| dot(row, &found.codes)).collect();
        let (with_weights, with_codes) = (dot(&image, weights), dot(&image, &found.codes));
        let scale = with_weights / with_codes;
        if !(scale.is_normal() && scale >= least) {
            return found;
        }
        let codes = self.descend(weights, range, scale, found.codes.clone());
        let better =
            self.cost(weights, &codes, scale) < self.cost(weights, &found.codes, found.scale);
        if better { Rounded { codes, scale } } else { found }
    }

    /// dᵀ H d for d = w − s q.
    fn cost(&self, weights: &[f32], codes: &[f32], scale: f32) -> f64 {
        let error: Vec<f32> =
            weights.iter().zip(codes).map(|(weight, code)| weight - scale * code).collect();
        let rows = self.hessian.chunks_exact(self.size).zip(&error);
        rows.map(|(row, &entry)| f64::from(dot(row, &error)) * f64::from(entry)).sum()
    }

    /// dᵀ diag(H) d.
    fn diagonal_cost(&self, weights: &[f32], codes: &[f32], scale: f32) -> f64 {
        let entry = |(at, (weight, code)): (usize, (&f32, &f32))| {
            let error = f64::from(weight - scale * code);
            f64::from(self.hessian[at * self.size + at]) * error * error
        };
        weights.iter().zip(codes).enumerate().map(entry).sum()
    }
}

fn nearest(weights: &[f32], range: CodeRange, scale: f32) -> Vec<f32> {
    weights.iter().map(|weight| range.nearest(weight / scale)).collect()
}

fn plane(factor: &Factor, weights: &[f32], range: CodeRange, scale: f32) -> Vec<f32> {
    let mut codes = vec![0.0; weights.len()];
    let mut errors = Vec::with_capacity(weights.len());
    for (index, &at) in factor.order.iter().enumerate() {
        let weight = weights[at] / scale;
        if weight != 0.0 {
            codes[at] = range.nearest(weight + dot(factor.ratios(index), &errors));
        }
        errors.push(weight - codes[at]);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT8: CodeRange = CodeRange { low: -127, high: 127 };
    const INT4: CodeRange = CodeRange { low: -8, high: 7 };

    /// E\[x xᵀ\] of numbers with a common part.
    fn hessian(size: usize) -> Vec<f32> {
        let entry = |row: usize, column: usize| {
            let apart = row.abs_diff(column) as f32;
            (-0.3 * apart).exp() + f32::from(u8::from(row == column)) * 0.05
        };
        (0..size * size).map(|at| entry(at / size, at % size)).collect()
    }

    fn weights(size: usize, seed: usize) -> Vec<f32> {
        (0..size)
            .map(|at| ((at * 7919 + seed * 104_729 + 13) % 1009) as f32 / 504.5 - 1.0)
            .collect()
    }

    #[test]
    fn weights_that_are_zero_stay_zero() {
        let mut weights: Vec<f32> = (0..80u8).map(|at| (f32::from(at) * 0.37).sin()).collect();
        weights.iter_mut().step_by(2).for_each(|weight| *weight = 0.0);
        for (size, range) in [(80, INT8), (80, INT4), (40, INT4)] {
            let objective = Objective::new(hessian(size), size, 0.01);
            let codes = objective.round(&weights[..size], range, 0.0).codes;
            assert!(codes.iter().step_by(2).all(|&code| code == 0.0), "{codes:?}");
            assert!(codes.iter().skip(1).step_by(2).any(|&code| code != 0.0));
        }
    }

    #[test]
    fn four_bits_reach_from_minus_8_to_7() {
        assert_eq!(CodeRange::new(WeightFormat::INT8), INT8);
        assert_eq!(CodeRange::new(WeightFormat { bits: 4, ..WeightFormat::INT8 }), INT4);
        assert_eq!(INT4.scale(&[-8.0, 3.5]), 1.0);
        assert_eq!(INT4.scale(&[-8.0, 14.0]), 2.0);
        let rounded = Objective::new(vec![1.0], 1, 0.0).round(&[-8.0], INT4, 0.0);
        assert!((rounded.codes[0] * rounded.scale + 8.0).abs() < 1e-6, "{rounded:?}");
    }

    #[test]
    fn few_integers_come_near_the_best_there_are() {
        let (size, scale) = (6, 0.21);
        let objective = Objective::new(hessian(size), size, 0.0);
        let (mut plain, mut found, mut best) = (0.0, 0.0, 0.0);
        for seed in 0..20 {
            let weights = weights(size, seed);
            let cost = |codes: &[f32]| objective.cost(&weights, codes, scale);
            plain += cost(&nearest(&weights, INT4, scale));
            found += cost(&objective.search(&weights, INT4, scale));
            let floors: Vec<f32> = weights.iter().map(|weight| (weight / scale).floor()).collect();
            let all = (0..1usize << size).map(|bits| {
                let up = |(at, floor): (usize, &f32)| floor + ((bits >> at) & 1) as f32;
                cost(&floors.iter().enumerate().map(up).collect::<Vec<_>>())
            });
            best += all.fold(f64::INFINITY, f64::min);
        }
        assert!(found <= 1.5 * best, "{found} is far from {best}");
        assert!(found < 0.8 * plain, "{found} of {plain}");
    }

    #[test]
    fn products_change_less_than_with_the_nearest_integers() {
        let size = 96;
        let objective = Objective::new(hessian(size), size, 0.01);
        for range in [INT8, INT4] {
            let (mut plain, mut refined) = (0.0, 0.0);
            for seed in 0..8 {
                let weights = weights(size, seed);
                let scale = range.scale(&weights);
                plain += objective.cost(&weights, &nearest(&weights, range, scale), scale);
                let found = objective.round(&weights, range, 0.0);
                refined += objective.cost(&weights, &found.codes, found.scale);
                let within = |code: &f32| range.nearest(*code) == *code;
                assert!(found.codes.iter().all(within));
            }
            assert!(refined < 0.75 * plain, "{range:?}: {refined} of {plain}");
        }
    }

    #[test]
    fn a_scale_is_not_less_than_the_least() {
        let objective = Objective::new(hessian(4), 4, 0.01);
        let rounded = objective.round(&[0.1, -0.2, 0.3, 0.05], INT8, 0.01);
        assert!(rounded.scale >= 0.01);
        let zero = objective.round(&[0.0; 4], INT8, 0.0);
        assert_eq!(zero, Rounded { codes: vec![0.0; 4], scale: 1.0 });
    }
}
