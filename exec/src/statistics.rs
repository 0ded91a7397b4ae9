//! What is known about the elements of a value: range, moments, histogram.
use crate::{Observation, Statistic};
use std::fmt;

mod codec;
mod tally;

pub(crate) use codec::MAX_COUNT;
pub use codec::StatisticsError;

/// The bits of the mantissa that tell the bins of the histogram apart.
pub const MANTISSA_BITS: u32 = 7;

const BINS: usize = 1 << MANTISSA_BITS;
/// Bits of a mantissa in an `f32`, without the implicit one.
const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;
const FRACTION_MASK: u32 = (1 << FRACTION) - 1;
/// The exponent of infinities and NaN.
const NOT_FINITE: usize = 255;
/// As many squares of fractions are summed before 64 bits could overflow.
const PIECE: usize = 1 << (64 - 2 * FRACTION);

/// Statistics of floating-point numbers that are exact, and so the same in any order and any
/// division.
///
/// The numbers are sorted by the bits of their `f32`: sign, exponent and the first
/// [`MANTISSA_BITS`] bits of the mantissa make the bin of a histogram whose width is at most 1/2⁷
/// of its lower edge. Per sign and exponent the mantissas and their squares are summed as integers.
/// Adding counts and integers is associative and commutative, which adding floating-point numbers
/// is not; every number derived from them is computed from the same integers in the same order.
///
/// Infinities and NaN are counted and otherwise left out; −0 counts as 0.
#[derive(Clone, PartialEq)]
pub struct Statistics {
    nans: u64,
    positive_infinities: u64,
    negative_infinities: u64,
    min: f32,
    max: f32,
    /// By sign and exponent; nothing for those that did not occur.
    rows: Box<[Option<Box<Row>>; 512]>,
}

/// The numbers of one sign and exponent.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    /// By the first bits of the mantissa.
    bins: [u64; BINS],
    /// The sum of the mantissas, without the implicit bit.
    fractions: u128,
    /// The sum of their squares.
    squares: u128,
    /// What is not yet in `fractions` and `squares`; nothing outside of an update.
    pending: (u64, u64),
}

/// A bin of the histogram: how many numbers lie between two edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The lower edge.
    pub lower: f32,
    /// The upper edge.
    pub upper: f32,
    /// The numbers between; a number on an edge belongs to the bin that is farther from zero.
    pub count: u64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            nans: 0,
            positive_infinities: 0,
            negative_infinities: 0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            rows: Box::new([const { None }; 512]),
        }
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics")
            .field("count", &self.count())
            .field("nans", &self.nans)
            .field("infinities", &self.infinities())
            .field("range", &self.range())
            .field("mean", &self.mean())
            .field("std", &self.std())
            .finish_non_exhaustive()
    }
}

impl Statistic for Statistics {
    fn observe(&mut self, observation: &Observation<'_>) {
        self.update(observation.data);
    }

    fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        self.positive_infinities += other.positive_infinities;
        self.negative_infinities += other.negative_infinities;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (row, other) in self.rows.iter_mut().zip(other.rows.iter()) {
            if let Some(other) = other {
                row.get_or_insert_with(Box::default).merge(other);
            }
        }
    }
}

impl Statistics {
    /// Takes in numbers. Returns the smallest and the largest finite one among them.
    pub fn update(&mut self, data: &[f32]) -> Option<(f32, f32)> {
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for piece in data.chunks(PIECE) {
            let (min, max) = range(piece);
            (least, most) = (least.min(min), most.max(max));
            if piece.len() >= tally::WORTHWHILE && is_finite(piece) {
                tally::add(&mut self.rows, piece);
            } else {
                self.add_singly(piece);
            }
        }
        (self.min, self.max) = (self.min.min(least), self.max.max(most));
        (least <= most).then_some((least, most))
    }

    fn add_singly(&mut self, numbers: &[f32]) {
        for &number in numbers {
            // −0 + 0 = 0, and nothing else changes.
            let bits = (number + 0.0).to_bits();
            match &mut self.rows[(bits >> FRACTION) as usize] {
                Some(row) => row.add(bits),
                None => self.add_first(bits),
            }
        }
        self.rows.iter_mut().flatten().for_each(|row| row.settle());
    }

    /// Takes in the first number of a sign and exponent, and those that are not finite.
    #[cold]
    fn add_first(&mut self, bits: u32) {
        let number = f32::from_bits(bits);
        if number.is_nan() {
            self.nans += 1;
        } else if number == f32::INFINITY {
            self.positive_infinities += 1;
        } else if number == f32::NEG_INFINITY {
            self.negative_infinities += 1;
        } else {
            self.rows[(bits >> FRACTION) as usize].insert(Box::default()).add(bits);
        }
    }

    /// The finite numbers seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.rows.iter().flatten().map(|row| row.count()).sum()
    }

    /// The NaN seen.
    #[must_use]
    pub fn nans(&self) -> u64 {
        self.nans
    }

    /// The infinities seen, of either sign.
    #[must_use]
    pub fn infinities(&self) -> u64 {
        self.positive_infinities + self.negative_infinities
    }

    /// The smallest and the largest finite number.
    #[must_use]
    pub fn range(&self) -> Option<(f32, f32)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// The smallest finite number.
    #[must_use]
    pub fn min(&self) -> Option<f32> {
        self.range().map(|(min, _)| min)
    }

    /// The largest finite number.
    #[must_use]
    pub fn max(&self) -> Option<f32> {
        self.range().map(|(_, max)| max)
    }

    /// The largest magnitude of a finite number.
    #[must_use]
    pub fn absmax(&self) -> Option<f32> {
        self.range().map(|(min, max)| min.abs().max(max.abs()))
    }

    /// The sum of the finite numbers, from exact sums per exponent.
    #[must_use]
    pub fn sum(&self) -> f64 {
        // Numbers of opposite sign cancel exactly before anything is rounded.
        let mantissas = |row: &Option<Box<Row>>, exponent| {
            row.as_ref().map_or(0, |row| row.mantissas(exponent)).cast_signed()
        };
        let (positive, negative) = self.rows.split_at(256);
        let pairs = positive.iter().zip(negative).take(NOT_FINITE).enumerate();
        pairs.fold(0.0, |sum, (exponent, (positive, negative))| {
            let mantissas = mantissas(positive, exponent) - mantissas(negative, exponent);
            sum + mantissas as f64 * unit(exponent)
        })
    }

    /// The sum of the squares of the finite numbers, from exact sums per exponent.
    #[must_use]
    pub fn sum_of_squares(&self) -> f64 {
        let (positive, negative) = self.rows.split_at(256);
        let pairs = positive.iter().zip(negative).take(NOT_FINITE).enumerate();
        pairs.fold(0.0, |sum, (exponent, (positive, negative))| {
            let rows = positive.iter().chain(negative);
            let squares: u128 = rows.map(|row| row.mantissa_squares(exponent)).sum();
            sum + squares as f64 * unit(exponent) * unit(exponent)
        })
    }

    /// The mean of the finite numbers.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum() / count as f64)
    }

    /// The variance of the finite numbers: the mean square of the distance to the mean.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let variance = self.sum_of_squares() / self.count() as f64 - mean * mean;
        Some(variance.max(0.0))
    }

    /// The standard deviation of the finite numbers.
    #[must_use]
    pub fn std(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// The bins that are not empty, in ascending order.
    pub fn bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let occurs = |row: &usize| self.rows[*row].is_some();
        let descending = (256..512)
            .rev()
            .filter(occurs)
            .flat_map(|row| (0..BINS).rev().map(move |bin| (row, bin)));
        let ascending =
            (0..256).filter(occurs).flat_map(|row| (0..BINS).map(move |bin| (row, bin)));
        descending.chain(ascending).filter_map(|(row, bin)| self.bin(row, bin))
    }

    /// The bins of the magnitudes that are not empty, in ascending order.
    pub fn magnitude_bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let occurs = |row: &usize| self.rows[*row].is_some() || self.rows[row + 256].is_some();
        let all = (0..256).filter(occurs).flat_map(|row| (0..BINS).map(move |bin| (row, bin)));
        all.filter_map(|(row, bin)| match (self.bin(row, bin), self.bin(row + 256, bin)) {
            (Some(a), Some(b)) => Some(Bin { count: a.count + b.count, ..a }),
            (None, Some(Bin { lower, upper, count })) => {
                Some(Bin { lower: -upper, upper: -lower, count })
            }
            (only, None) => only,
        })
    }

    fn bin(&self, row: usize, bin: usize) -> Option<Bin> {
        let count = self.rows[row].as_ref()?.bins[bin];
        if count == 0 {
            return None;
        }
        let edge = |bin: usize| {
            let bits = ((row & 255) * BINS + bin) as u32;
            f32::from_bits(bits << (FRACTION - MANTISSA_BITS)).min(f32::MAX)
        };
        let (near, far) = (edge(bin), edge(bin + 1));
        Some(if row < 256 {
            Bin { lower: near, upper: far, count }
        } else {
            Bin { lower: -far, upper: -near, count }
        })
    }

    /// The number below which the share `p` of the finite numbers lies, interpolated between the
    /// edges of a bin: unless it is subnormal it is at most 1/2⁷ of its magnitude away from a
    /// number that was seen.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f32> {
        let (min, max) = self.range()?;
        Some(interpolate(self.bins(), self.count(), p)?.clamp(min, max))
    }

    /// The magnitude below which the share `p` of the magnitudes of the finite numbers lies.
    #[must_use]
    pub fn magnitude_quantile(&self, p: f64) -> Option<f32> {
        let absmax = self.absmax()?;
        Some(interpolate(self.magnitude_bins(), self.count(), p)?.min(absmax))
    }
}

/// The place of share `p` of all numbers.
fn interpolate(bins: impl Iterator<Item = Bin>, count: u64, p: f64) -> Option<f32> {
    let target = p.clamp(0.0, 1.0) * count as f64;
    let mut below = 0;
    let mut last = None;
    for bin in bins {
        let inside = target - below as f64;
        below += bin.count;
        last = Some(bin.upper);
        if below as f64 >= target {
            // Next to zero almost every number is zero itself, as rectified ones are.
            if bin.lower == 0.0 || bin.upper == 0.0 {
                return Some(0.0);
            }
            let (lower, upper) = (f64::from(bin.lower), f64::from(bin.upper));
            return Some((lower + (upper - lower) * inside / bin.count as f64) as f32);
        }
    }
    last
}

/// The value of the last bit of a mantissa.
fn unit(exponent: usize) -> f64 {
    debug_assert!(exponent < NOT_FINITE, "infinities and NaN have no row");
    // Numbers without the implicit bit have the same unit as the smallest with it. As an f64 the
    // unit is normal: 2^(exponent − 150), its own exponent shifted by 1023.
    f64::from_bits((exponent.max(1) as u64 + 1023 - 150) << (f64::MANTISSA_DIGITS - 1))
}

/// Whether there is neither an infinity nor NaN.
fn is_finite(data: &[f32]) -> bool {
    data.iter().fold(true, |all, number| all & number.is_finite())
}

/// The smallest and largest finite number, 0 for −0.
fn range(data: &[f32]) -> (f32, f32) {
    // Comparisons with NaN are false.
    let min = reduce(data, f32::INFINITY, |x, min| if x < min { x } else { min });
    let max = reduce(data, f32::NEG_INFINITY, |x, max| if x > max { x } else { max });
    if min == f32::NEG_INFINITY || max == f32::INFINITY {
        let finite = || data.iter().copied().filter(|number| number.is_finite());
        let min = finite().fold(f32::INFINITY, f32::min);
        return (min + 0.0, finite().fold(f32::NEG_INFINITY, f32::max) + 0.0);
    }
    (min + 0.0, max + 0.0)
}

/// The one of all numbers that remains when of two always one is picked. One reduction at a time and
/// in lanes: the compiler makes vector instructions of this, and nothing good of two at a time.
#[inline(always)]
fn reduce(data: &[f32], start: f32, pick: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut picked = [start; LANES];
    let (chunks, rest) = data.as_chunks::<LANES>();
    for chunk in chunks {
        for (picked, &number) in picked.iter_mut().zip(chunk) {
            *picked = pick(number, *picked);
        }
    }
    let all = picked.into_iter().chain(rest.iter().copied());
    all.fold(start, |picked, number| pick(number, picked))
}

impl Default for Row {
    fn default() -> Self {
        Self { bins: [0; BINS], fractions: 0, squares: 0, pending: (0, 0) }
    }
}

impl Row {
    fn add(&mut self, bits: u32) {
        self.bins[(bits >> (FRACTION - MANTISSA_BITS)) as usize % BINS] += 1;
        let fraction = u64::from(bits & FRACTION_MASK);
        self.pending.0 += fraction;
        self.pending.1 += fraction * fraction;
    }

    fn settle(&mut self) {
        let (fractions, squares) = std::mem::take(&mut self.pending);
        self.fractions += u128::from(fractions);
        self.squares += u128::from(squares);
    }

    fn merge(&mut self, other: &Self) {
        for (count, other) in self.bins.iter_mut().zip(&other.bins) {
            *count += other;
        }
        self.fractions += other.fractions;
        self.squares += other.squares;
    }

    fn count(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// The sum of the mantissas with the implicit bit.
    fn mantissas(&self, exponent: usize) -> u128 {
        self.fractions + u128::from(self.count()) * implicit(exponent)
    }

    /// The sum of (implicit + fraction)².
    fn mantissa_squares(&self, exponent: usize) -> u128 {
        let implicit = implicit(exponent);
        let count = u128::from(self.count());
        count * implicit * implicit + 2 * implicit * self.fractions + self.squares
    }
}

/// The bit that numbers have before the fraction, unless they are subnormal.
fn implicit(exponent: usize) -> u128 {
    if exponent == 0 { 0 } else { 1 << FRACTION }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn of(data: &[f32]) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.update(data);
        statistics
    }

    /// Numbers of many magnitudes, with zeros of both signs, infinities and NaN among them.
    fn numbers(count: usize) -> Vec<f32> {
        let mut generator = Generator::new(5, "numbers");
        let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-42, f32::MAX];
        let mut number = |index: usize| match special.get(index % 97) {
            Some(&special) => special,
            None => generator.normal() * [1.0, 1e-3, 1e5, 0.3][index % 4],
        };
        (0..count).map(&mut number).collect()
    }

    #[test]
    fn any_order_and_any_division_gives_the_same() {
        let data = numbers(5000);
        let whole = of(&data);
        for seed in 0..8 {
            let mut generator = Generator::new(seed, "order");
            let mut shuffled = data.clone();
            for index in (1..shuffled.len()).rev() {
                shuffled.swap(index, generator.below(index as u64 + 1) as usize);
            }
            assert_eq!(of(&shuffled), whole);
            let mut parts: Vec<Statistics> =
                shuffled.chunks(1 + 137 * seed as usize).map(of).collect();
            while parts.len() > 1 {
                let part = parts.swap_remove(generator.below(parts.len() as u64) as usize);
                let into = generator.below(parts.len() as u64) as usize;
                parts[into].merge(&part);
            }
            assert_eq!(parts[0], whole);
            assert_eq!(parts[0].sum().to_bits(), whole.sum().to_bits());
            assert_eq!(parts[0].sum_of_squares().to_bits(), whole.sum_of_squares().to_bits());
            assert_eq!(parts[0].quantile(0.999), whole.quantile(0.999));
        }
    }

    #[test]
    fn many_numbers_at_a_time_are_the_same_as_one_by_one() {
        let data: Vec<f32> = numbers(PIECE + 70_001);
        let finite: Vec<f32> = data.iter().copied().filter(|x| x.is_finite()).collect();
        for data in [data, finite, vec![0.0; 100_000], vec![-0.0; 5000]] {
            let mut singly = Statistics::default();
            for number in &data {
                singly.update(&[*number]);
            }
            assert_eq!(of(&data), singly);
        }
    }

    #[test]
    fn moments_are_those_of_the_numbers() {
        let mut generator = Generator::new(1, "moments");
        let data: Vec<f32> = (0..100_000).map(|_| generator.normal() * 3.0 + 1.0).collect();
        let statistics = of(&data);
        let count = data.len() as f64;
        let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let squares = data.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
        assert!((statistics.mean().expect("not empty") - mean).abs() < 1e-12);
        assert!((statistics.variance().expect("not empty") - squares / count).abs() < 1e-9);
        assert_eq!(statistics.count(), 100_000);
    }

    #[test]
    fn opposite_numbers_cancel_exactly() {
        let statistics = of(&[1e30, 1.0, -1e30, 3.0]);
        assert_eq!(statistics.sum(), 4.0);
        assert_eq!(statistics.mean(), Some(1.0));
    }

    #[test]
    fn subnormals_have_their_value() {
        let smallest = f32::from_bits(1);
        let statistics = of(&[smallest, smallest, f32::MIN_POSITIVE]);
        assert_eq!(statistics.sum(), 2.0 * f64::from(smallest) + f64::from(f32::MIN_POSITIVE));
        assert_eq!(statistics.min(), Some(smallest));
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let statistics =
            of(&[f32::NAN, 2.0, f32::INFINITY, -0.0, f32::NEG_INFINITY, -f32::NAN, -1.0]);
        assert_eq!((statistics.nans(), statistics.infinities(), statistics.count()), (2, 2, 3));
        assert_eq!(statistics.range(), Some((-1.0, 2.0)));
        assert_eq!(statistics.absmax(), Some(2.0));
        assert_eq!(statistics.sum(), 1.0);
        assert_eq!(statistics.bins().map(|bin| bin.count).sum::<u64>(), 3);
    }

    #[test]
    fn a_zero_has_no_sign() {
        assert_eq!(of(&[-0.0]), of(&[0.0]));
        assert_eq!(of(&[-0.0; 40]).min().map(f32::to_bits), Some(0));
    }

    #[test]
    fn nothing_has_no_statistics() {
        for statistics in [of(&[]), of(&[f32::NAN])] {
            assert_eq!(statistics.range(), None);
            assert_eq!(statistics.mean(), None);
            assert_eq!(statistics.quantile(0.5), None);
            assert_eq!(statistics.magnitude_quantile(0.5), None);
        }
    }

    #[test]
    fn quantiles_are_within_a_bin_of_the_sorted_numbers() {
        let mut data: Vec<f32> = numbers(20_000).into_iter().filter(|x| x.is_finite()).collect();
        let statistics = of(&data);
        data.sort_by(f32::total_cmp);
        for p in [0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.999, 1.0] {
            let rank = (p * data.len() as f64).ceil().max(1.0) as usize - 1;
            let (found, expected) = (statistics.quantile(p).expect("not empty"), data[rank]);
            let tolerance = expected.abs() / BINS as f32 + f32::MIN_POSITIVE;
            assert!((found - expected).abs() <= tolerance, "{p}: {found} {expected}");
        }
        assert_eq!(statistics.quantile(0.0), statistics.min());
        assert_eq!(statistics.quantile(1.0), statistics.max());
        data.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let expected = data[(0.99 * data.len() as f64).ceil() as usize - 1].abs();
        let found = statistics.magnitude_quantile(0.99).expect("not empty");
        assert!((found - expected).abs() <= expected / BINS as f32, "{found} {expected}");
    }

    #[test]
    fn the_quantile_of_rectified_numbers_is_zero() {
        let statistics = of(&[0.0, 0.0, 0.0, 2.0]);
        assert_eq!(statistics.quantile(0.5), Some(0.0));
        assert_eq!(statistics.magnitude_quantile(0.5), Some(0.0));
    }

    #[test]
    fn bins_ascend_and_hold_their_numbers() {
        let data = [-3.0f32, -1.0, 0.0, 1.0, 1.003, 1.5, f32::MAX];
        let statistics = of(&data);
        let bins: Vec<Bin> = statistics.bins().collect();
        assert!(bins.windows(2).all(|pair| pair[0].upper <= pair[1].lower), "{bins:?}");
        for number in data {
            assert!(bins.iter().any(|bin| bin.lower <= number && number <= bin.upper), "{number}");
        }
        assert_eq!(bins.iter().find(|bin| bin.lower == 1.0).map(|bin| bin.count), Some(2));
        let magnitudes: Vec<Bin> = statistics.magnitude_bins().collect();
        assert_eq!(magnitudes.iter().find(|bin| bin.lower == 1.0).map(|bin| bin.count), Some(3));
    }
}
