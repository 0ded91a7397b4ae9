//! The range whose quantized histogram is nearest to the real one.
use super::{IntegerFormat, Range, Sides};
use lapidary_exec::Statistics;

/// The bins of the histogram of magnitudes.
const BINS: usize = 2048;
/// The least count of the last bin after quantization.
const LEAST: f64 = 1e-4;

/// The range that loses the least information when its histogram is quantized.
///
/// The magnitudes are counted in 2048 bins of equal width. For every number of bins i from the number
/// of integers L on, the first i bins are p, with everything beyond in the last of them; the same
/// bins without what is beyond, merged to L and spread again evenly over the bins that are not empty,
/// are q. The threshold is the end of the bins with the least
///
/// KL(p ‖ q) = Σ p · ln(p / q).
///
/// A bin is empty if it is so in p; q is never less than 10⁻⁴ of a number in the last bin.
/// L · (i / L) = i where the parts are no whole numbers of bins: a bin on an edge belongs to both
/// parts by its share. Zeros are left out, since every range represents them exactly.
pub(super) fn range(statistics: &Statistics, format: IntegerFormat) -> Option<Range> {
    let sides = Sides::of(statistics)?;
    let width = f64::from(statistics.absmax()?) / BINS as f64;
    let bits = format.elem_type.bits();
    let one_side = !format.symmetric && sides != Sides::Both;
    let levels = 1usize << if one_side { bits } else { bits - 1 };
    let histogram = histogram(statistics, width);
    let bins = least_divergence(&histogram, levels);
    Some(sides.range((bins as f64 * width) as f32))
}

/// The magnitudes in bins of equal width, each bin of the statistics shared among those it overlaps.
fn histogram(statistics: &Statistics, width: f64) -> Vec<f64> {
    let mut histogram = vec![0.0; BINS];
    if width <= 0.0 {
        return histogram;
    }
    for bin in statistics.magnitude_bins().filter(|bin| bin.lower > 0.0) {
        // The last bin ends beyond the largest number.
        let lower = (f64::from(bin.lower) / width).min(BINS as f64);
        let upper = (f64::from(bin.upper) / width).min(BINS as f64);
        let (first, count) = ((lower as usize).min(BINS - 1), bin.count as f64);
        let last = ((upper.ceil() as usize).max(first + 1) - 1).min(BINS - 1);
        if first == last {
            histogram[first] += count;
            continue;
        }
        for (index, share) in histogram.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = upper.min(index as f64 + 1.0) - lower.max(index as f64);
            *share += count * overlap / (upper - lower);
        }
    }
    histogram
}

/// The number of bins that, quantized to `levels`, diverge the least from the whole.
fn least_divergence(histogram: &[f64], levels: usize) -> usize {
    let sums = Sums::new(histogram);
    let mut best = (histogram.len(), f64::INFINITY);
    // The fewest bins lose nothing but what is beyond; others that end in an empty bin only lose more.
    let is_candidate = |bins: &usize| *bins == levels || histogram[bins - 1] > 0.0;
    for bins in (levels..=histogram.len()).filter(is_candidate) {
        let divergence = divergence(histogram, &sums, bins, levels);
        if divergence < best.1 {
            best = (bins, divergence);
        }
    }
    best.0
}

/// Sums over the first bins.
struct Sums {
    /// Of the counts.
    counts: Vec<f64>,
    /// Of 1 for every bin that is not empty.
    filled: Vec<f64>,
    /// Of count · ln(count).
    entropies: Vec<f64>,
}

impl Sums {
    fn new(histogram: &[f64]) -> Self {
        let sums = |of: &dyn Fn(f64) -> f64| {
            let mut sum = 0.0;
            let rest = histogram.iter().map(|&count| {
                sum += if count > 0.0 { of(count) } else { 0.0 };
                sum
            });
            let rest: Vec<f64> = rest.collect();
            [vec![0.0], rest].concat()
        };
        Self {
            counts: sums(&|count| count),
            filled: sums(&|_| 1.0),
            entropies: sums(&|count| count * count.ln()),
        }
    }
}

/// KL(p ‖ q) with p and q of sum 1. With P and Q their sums in counts it is
///
/// (Σ p ln p − Σ p ln q) / P + ln(Q / P).
fn divergence(histogram: &[f64], sums: &Sums, bins: usize, levels: usize) -> f64 {
    let total = sums.counts[histogram.len()];
    let inside = sums.counts[bins];
    let last = bins - 1;
    let beyond = total - inside;
    let folded = histogram[last] + beyond;
    let own = sums.entropies[last] + if folded > 0.0 { folded * folded.ln() } else { 0.0 };
    // What is beyond fills a last bin that is empty.
    let newly_filled = if histogram[last] > 0.0 { 0.0 } else { 1.0 };
    let average = |part: usize| {
        let (from, to) = edges(part, bins, levels);
        let (counts, filled) = (at(&sums.counts, from), at(&sums.filled, from));
        let is_last = part + 1 == levels;
        let filled = at(&sums.filled, to) - filled + if is_last { newly_filled } else { 0.0 };
        let average = if filled > 0.0 { (at(&sums.counts, to) - counts) / filled } else { 0.0 };
        if is_last { average.max(LEAST) } else { average }
    };
    let mut cross = 0.0;
    let mut current = average(0);
    for part in 0..levels {
        let (from, to) = edges(part, bins, levels);
        let next = if part + 1 < levels { average(part + 1) } else { 0.0 };
        // The bins that lie in this part alone, then the one shared with the next.
        let (first, end) = (from.ceil() as usize, to.floor() as usize);
        if end > first && current > 0.0 {
            cross += (sums.counts[end] - sums.counts[first]) * current.ln();
        }
        let share = to - end as f64;
        if share > 0.0 && end < bins && histogram[end] > 0.0 {
            cross += histogram[end] * (share * current + (1.0 - share) * next).ln();
        }
        current = next;
    }
    // What is beyond lies in the last bin, which belongs to the last part.
    cross += beyond * average(levels - 1).ln();
    (own - cross) / total + (inside / total).ln()
}

/// Where a part of the bins begins and ends.
fn edges(part: usize, bins: usize, levels: usize) -> (f64, f64) {
    let edge = |part: usize| {
        let product = part * bins;
        let (whole, rest) = (product / levels, product % levels);
        whole as f64 + rest as f64 / levels as f64
    };
    (edge(part), edge(part + 1))
}

/// A sum at a place between bins.
fn at(sums: &[f64], place: f64) -> f64 {
    let index = place as usize;
    let share = place - index as f64;
    if share == 0.0 { sums[index] } else { sums[index] + share * (sums[index + 1] - sums[index]) }
}

#[cfg(test)]
mod tests {
    use super::super::super::IntegerType;
    use super::super::testing::{gauss, laplace, of, rectified};
    use super::*;

    /// By definition, bin by bin.
    fn divergence_by_definition(histogram: &[f64], bins: usize, levels: usize) -> f64 {
        let mut p = histogram[..bins].to_vec();
        p[bins - 1] += histogram[bins..].iter().sum::<f64>();
        let overlap = |bin: usize, part: usize| {
            let (from, to) = edges(part, bins, levels);
            (to.min(bin as f64 + 1.0) - from.max(bin as f64)).max(0.0)
        };
        let mut q = vec![0.0; bins];
        for part in 0..levels {
            let shares: Vec<f64> = (0..bins).map(|bin| overlap(bin, part)).collect();
            let count: f64 = shares.iter().zip(histogram).map(|(share, count)| share * count).sum();
            let filled: f64 =
                shares.iter().zip(&p).filter(|(_, count)| **count > 0.0).map(|x| x.0).sum();
            for bin in (0..bins).filter(|&bin| p[bin] > 0.0 && shares[bin] > 0.0) {
                q[bin] += shares[bin] * count / filled;
            }
        }
        let (sum_p, sum_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
        q[bins - 1] = q[bins - 1].max(LEAST);
        let terms = p.iter().zip(&q).filter(|(p, _)| **p > 0.0);
        terms.map(|(p, q)| p / sum_p * ((p / sum_p) / (q / sum_q)).ln()).sum()
    }

    #[test]
    fn the_divergence_is_that_of_the_definition() {
        let counts = |index: usize| match index % 7 {
            0 | 4 => 0.0,
            odd => (100 + 37 * odd) as f64 / (1.0 + index as f64),
        };
        let histogram: Vec<f64> = (0..60).map(counts).collect();
        let sums = Sums::new(&histogram);
        for levels in [4, 8, 16] {
            for bins in levels..=60 {
                let found = divergence(&histogram, &sums, bins, levels);
                let expected = divergence_by_definition(&histogram, bins, levels);
                assert!((found - expected).abs() < 1e-9, "{bins} {levels}: {found} {expected}");
            }
        }
    }

    #[test]
    fn evenly_spread_numbers_are_kept_whole() {
        let data: Vec<f32> = (1..=100_000).map(|index| index as f32 / 100_000.0).collect();
        let found = range(&of(&data).numbers, IntegerFormat::UINT8).expect("there are numbers");
        assert!(found.max > 0.98, "{found:?}");
    }

    #[test]
    fn an_outlier_is_cut_off() {
        let mut data = gauss(100_000, 0.0, 1.0);
        data.push(100.0);
        let found = range(&of(&data).numbers, IntegerFormat::SYMMETRIC_INT8);
        let found = found.expect("there are numbers");
        assert!((3.0..20.0).contains(&found.max), "{found:?}");
        assert_eq!(found.min, -found.max);
    }

    #[test]
    fn zeros_do_not_matter() {
        let with: Vec<f32> = rectified(50_000, 1.0);
        let without: Vec<f32> = with.iter().copied().filter(|&number| number > 0.0).collect();
        let of = |data: &[f32]| range(&of(data).numbers, IntegerFormat::UINT8);
        assert_eq!(of(&with), of(&without));
    }

    #[test]
    fn as_many_integers_as_bins_lose_nothing() {
        let data = laplace(10_000, 0.0, 1.0);
        let most = data.iter().copied().fold(0.0, f32::max);
        let int16 = IntegerFormat::symmetric(IntegerType::Int16);
        let found = range(&of(&data).numbers, int16).expect("there are numbers");
        assert!((found.max / most - 1.0).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn the_histogram_holds_every_number() {
        let data = laplace(10_000, 0.5, 1.0);
        let statistics = of(&data).numbers;
        let most = f64::from(statistics.absmax().expect("there are numbers"));
        let histogram = histogram(&statistics, most / BINS as f64);
        assert!((histogram.iter().sum::<f64>() - 10_000.0).abs() < 1e-6);
        for end in [100, 300, 1000, 2047] {
            let edge = most * end as f64 / BINS as f64;
            let expected = data.iter().filter(|x| f64::from(x.abs()) <= edge).count() as f64;
            let found: f64 = histogram[..end].iter().sum();
            assert!((found / expected - 1.0).abs() < 0.03, "{end}: {found} {expected}");
        }
    }
}
