//! The range with the least error of quantization.
use super::{IntegerFormat, Range, Sides};
use crate::quantize::range::Parameters;
use lapidary_exec::Statistics;

/// Parts into which the largest magnitude is divided: finer bins are joined.
const PARTS: f64 = 1024.0;
/// The narrowest range tried, relative to everything observed.
const NARROWEST: f64 = 0.2;
/// The distance of the ratios tried for one end.
const STEP: f64 = 0.01;
/// The distance of the ratios tried first where both ends are free.
const COARSE: f64 = 0.1;
/// The distance of the ratios tried last.
const FINEST: f64 = 0.00125;

/// The range with the least Σ |x − Q(x)|ᵖ over the histogram, where within a bin the numbers count
/// as evenly spread.
///
/// Ranges of one end, those of numbers on one side of 0 and those of symmetric formats, are tried in
/// steps of a hundredth from everything observed to a fifth of it. Where both ends are free, the
/// pairs of their tenths are tried. From the best of these, neighbours ever nearer are tried.
pub(super) fn range(
    statistics: &Statistics,
    format: IntegerFormat,
    observed: Range,
    norm: f64,
) -> Range {
    let cost = Cost::new(statistics, norm);
    let sides = Sides::of(statistics).unwrap_or(Sides::Both);
    let magnitude = f64::from(observed.min.abs().max(observed.max.abs()));
    if format.symmetric || sides != Sides::Both {
        let at = |ratio: f64| sides.range((ratio * magnitude) as f32);
        let evaluate = |[ratio]: [f64; 1]| cost.of(at(ratio), format);
        let count = ((1.0 - NARROWEST) / STEP).round() as usize;
        let tried = (0..=count).map(|index| [1.0 - STEP * index as f64]);
        let [ratio] = descend(best(tried, &evaluate), STEP / 2.0, &evaluate);
        return at(ratio);
    }
    let (min, max) = (f64::from(observed.min), f64::from(observed.max));
    let at = |[low, high]: [f64; 2]| Range { min: (low * min) as f32, max: (high * max) as f32 };
    let evaluate = |ratios: [f64; 2]| cost.of(at(ratios), format);
    let count = ((1.0 - NARROWEST) / COARSE).round() as usize;
    let ratios = move || (0..=count).map(|index| 1.0 - COARSE * index as f64);
    let tried = ratios().flat_map(|low| ratios().map(move |high| [low, high]));
    at(descend(best(tried, &evaluate), COARSE / 2.0, &evaluate))
}

/// The first of the points with the least cost.
fn best<const N: usize>(
    points: impl Iterator<Item = [f64; N]>,
    cost: &impl Fn([f64; N]) -> f64,
) -> ([f64; N], f64) {
    let start = ([1.0; N], f64::INFINITY);
    points.fold(start, |best, point| {
        let found = cost(point);
        if found < best.1 { (point, found) } else { best }
    })
}

/// Goes to the better neighbour along an axis until there is none, then halves the distance.
fn descend<const N: usize>(
    (mut point, mut least): ([f64; N], f64),
    mut step: f64,
    cost: &impl Fn([f64; N]) -> f64,
) -> [f64; N] {
    while step >= FINEST {
        let mut moved = false;
        for axis in 0..N {
            for direction in [step, -step] {
                let mut next = point;
                next[axis] = (next[axis] + direction).clamp(NARROWEST / 2.0, 1.0);
                let found = cost(next);
                if found < least {
                    (point, least, moved) = (next, found, true);
                    break;
                }
            }
        }
        if !moved {
            step /= 2.0;
        }
    }
    point
}

/// Numbers evenly spread between two edges.
struct Cell {
    lower: f64,
    upper: f64,
    count: f64,
}

/// Powers of positive numbers, to a thousandth.
struct Power {
    norm: f64,
    /// The powers of 2⁻ᵏ times the largest power of two, k = 0, 1, …
    exponents: Vec<f64>,
    /// The largest exponent, as in the bits of an `f64`.
    largest: u64,
    /// The powers of the middles of equal parts of 1 to 2.
    mantissas: Vec<f64>,
}

/// Bits of a mantissa that are looked up.
const LOOKED_UP: u32 = 9;

impl Power {
    /// For numbers up to `most`; those 2⁻⁶⁴ as large count as 0.
    fn new(norm: f64, most: f64) -> Self {
        let largest = most.to_bits() >> (f64::MANTISSA_DIGITS - 1);
        let unit = f64::from_bits(largest << (f64::MANTISSA_DIGITS - 1));
        let exponents = (0..64).map(|below| (unit * 0.5f64.powi(below)).powf(norm)).collect();
        let parts = 1usize << LOOKED_UP;
        let middle = |part: usize| 1.0 + (part as f64 + 0.5) / parts as f64;
        let mantissas = (0..parts).map(|part| middle(part).powf(norm)).collect();
        Self { norm, exponents, largest, mantissas }
    }

    fn of(&self, number: f64) -> f64 {
        let bits = number.to_bits();
        let below = self.largest.wrapping_sub(bits >> (f64::MANTISSA_DIGITS - 1));
        let part = (bits >> (f64::MANTISSA_DIGITS - 1 - LOOKED_UP)) as usize;
        match self.exponents.get(below as usize) {
            Some(exponent) => exponent * self.mantissas[part % self.mantissas.len()],
            None if below < 1 << 11 => 0.0,
            None => number.powf(self.norm),
        }
    }
}

/// What quantizing the numbers of a histogram costs.
struct Cost {
    cells: Vec<Cell>,
    norm: f64,
    power: Power,
    rounding: Rounding,
}

impl Cost {
    fn new(statistics: &Statistics, norm: f64) -> Self {
        let most = f64::from(statistics.absmax().unwrap_or(0.0));
        let part = most / PARTS;
        let mut cells: Vec<Cell> = Vec::new();
        let mut last = None;
        // 0 is represented exactly.
        for bin in statistics.bins().filter(|bin| bin.lower != 0.0 && bin.upper != 0.0) {
            let (lower, upper, count) =
                (f64::from(bin.lower), f64::from(bin.upper), bin.count as f64);
            let place = (f64::midpoint(lower, upper) / part).floor();
            match cells.last_mut().filter(|_| last == Some(place)) {
                Some(cell) => {
                    cell.upper = upper;
                    cell.count += count;
                }
                None => cells.push(Cell { lower, upper, count }),
            }
            last = Some(place);
        }
        Self { cells, norm, power: Power::new(norm, most), rounding: Rounding::new(norm) }
    }

    /// Σ |x − Q(x)|ᵖ.
    fn of(&self, range: Range, format: IntegerFormat) -> f64 {
        range.parameters(format).map_or(f64::INFINITY, |parameters| self.with(parameters))
    }

    fn with(&self, parameters: Parameters) -> f64 {
        let scale = f64::from(parameters.scale);
        let (per_step, unit) = (scale.recip(), scale.powf(self.norm));
        let Range { min, max } = parameters.represented();
        let (min, max) = (f64::from(min), f64::from(max));
        let (mut rounded, mut cut) = (0.0, 0.0);
        // Neighbours share an edge.
        let mut edge = (f64::NAN, 0.0);
        for cell in &self.cells {
            let middle = f64::midpoint(cell.lower, cell.upper);
            let outside = (min - middle).max(middle - max);
            if outside > 0.0 {
                cut += cell.count * self.power.of(outside);
            } else {
                let (lower, upper) = (cell.lower * per_step, cell.upper * per_step);
                let before = if edge.0 == lower { edge.1 } else { self.rounding.integral(lower) };
                edge = (upper, self.rounding.integral(upper));
                rounded += cell.count * (edge.1 - before) / (upper - lower);
            }
        }
        rounded * unit + cut
    }
}

/// The integral of the error of rounding to integers.
struct Rounding {
    /// ∫₀ʳ |t − round(t)|ᵖ dt for r = 0, 1/n, … 1, and once more the last.
    integrals: Vec<f64>,
}

/// Entries of the table per step.
const ENTRIES: usize = 512;

impl Rounding {
    /// Up to r ≤ ½ the integral is rᵖ⁺¹ / (p + 1); the second half of a step mirrors the first.
    fn new(norm: f64) -> Self {
        let power = norm + 1.0;
        let half = 0.5f64.powf(power) / power;
        let integral = |entry: usize| {
            let place = entry.min(ENTRIES) as f64 / ENTRIES as f64;
            if place <= 0.5 {
                place.powf(power) / power
            } else {
                2.0 * half - (1.0 - place).powf(power) / power
            }
        };
        Self { integrals: (0..=ENTRIES + 1).map(integral).collect() }
    }

    /// ∫₀ᵘ |t − round(t)|ᵖ dt.
    fn integral(&self, place: f64) -> f64 {
        // The error of −u is that of u.
        let magnitude = place.abs();
        let whole = magnitude as u32;
        let inside = (magnitude - f64::from(whole)) * ENTRIES as f64;
        let entry = (inside as u32).min(ENTRIES as u32);
        let (low, high) = (self.integrals[entry as usize], self.integrals[entry as usize + 1]);
        let part = low + (high - low) * (inside - f64::from(entry));
        (f64::from(whole) * self.integrals[ENTRIES] + part).copysign(place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::IntegerType;
    use super::super::testing::{gauss, laplace, of, rectified};
    use super::*;

    /// Σ |x − Q(x)|ᵖ by definition.
    fn error(data: &[f32], range: Range, format: IntegerFormat, norm: f64) -> f64 {
        let with = range.parameters(format).expect("it has parameters");
        let (scale, zero) = (f64::from(with.scale), f64::from(with.zero_point));
        let (least, most) = (f64::from(with.elem_type.min()), f64::from(with.elem_type.max()));
        let error = |&x: &f32| {
            let integer = (f64::from(x) / scale).round_ties_even() + zero;
            (f64::from(x) - scale * (integer.clamp(least, most) - zero)).abs().powf(norm)
        };
        data.iter().map(error).sum()
    }

    fn found(data: &[f32], format: IntegerFormat, norm: f64) -> Range {
        let statistics = of(data).numbers;
        let (min, max) = statistics.range().expect("there are numbers");
        range(&statistics, format, Range { min, max }, norm)
    }

    #[test]
    fn the_cost_is_the_error_of_the_numbers() {
        for data in [gauss(20_000, 0.5, 2.0), rectified(20_000, 1.0), laplace(20_000, 0.0, 3.0)] {
            let statistics = of(&data).numbers;
            let (min, max) = statistics.range().expect("there are numbers");
            for elem_type in [IntegerType::Uint8, IntegerType::Int4] {
                let format = IntegerFormat::asymmetric(elem_type);
                for norm in [2.0, 2.4] {
                    for ratio in [1.0, 0.6, 0.25] {
                        let range = Range { min: ratio * min, max: ratio * max };
                        let cost = Cost::new(&statistics, norm).of(range, format);
                        let expected = error(&data, range, format, norm);
                        assert!((cost / expected - 1.0).abs() < 0.03, "{cost} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_ratio_of_one_end_is_better() {
        for data in [rectified(5000, 2.0), laplace(5000, 0.0, 1.0)] {
            for elem_type in [IntegerType::Int8, IntegerType::Int4] {
                for norm in [2.0, 2.4] {
                    let format = IntegerFormat::symmetric(elem_type);
                    let least = error(&data, found(&data, format, norm), format, norm);
                    let most = f64::from(data.iter().copied().fold(0.0, f32::max));
                    for percent in 20..=100 {
                        let magnitude = (most * f64::from(percent) / 100.0) as f32;
                        let tried = Range { min: 0.0, max: magnitude };
                        let other = error(&data, tried, format, norm);
                        assert!(least <= 1.02 * other, "{percent}: {least} {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_pair_of_ends_is_much_better() {
        // An outlier below, a long tail above.
        let mut data = rectified(4000, 1.0);
        data.extend(gauss(4000, 0.0, 0.5));
        data.push(-12.0);
        for elem_type in [IntegerType::Uint8, IntegerType::Uint4] {
            let format = IntegerFormat::asymmetric(elem_type);
            let best = found(&data, format, 2.0);
            let least = error(&data, best, format, 2.0);
            let most = data.iter().copied().fold(0.0, f32::max);
            for low in 1..=20 {
                for high in 4..=20 {
                    let tried = Range { min: -0.6 * low as f32, max: most * 0.05 * high as f32 };
                    let other = error(&data, tried, format, 2.0);
                    let inside = low >= 4;
                    assert!(!inside || least <= 1.05 * other, "{tried:?} {best:?}");
                }
            }
        }
    }

    #[test]
    fn few_bits_cut_the_tail_off_and_many_do_not() {
        let data = laplace(50_000, 0.0, 1.0);
        let most = data.iter().copied().fold(0.0, f32::max);
        let at = |elem_type| found(&data, IntegerFormat::symmetric(elem_type), 2.0).max;
        assert!(at(IntegerType::Int16) > 0.98 * most);
        // The closed form for 4 bits is 5.03 b; steps of 1/7 instead of 1/8 make it a bit more.
        assert!((4.6..5.6).contains(&at(IntegerType::Int4)), "{}", at(IntegerType::Int4));
        assert!(at(IntegerType::Int8) > at(IntegerType::Int4));
    }

    #[test]
    fn what_the_integers_hold_exactly_is_kept() {
        let data: Vec<f32> = (0..=255).map(|integer| 0.5 * integer as f32).collect();
        let found = found(&data, IntegerFormat::UINT8, 2.0);
        assert!((found.max - 127.5).abs() < 0.3, "{found:?}");
    }

    #[test]
    fn powers_are_right_to_a_thousandth() {
        let power = Power::new(2.4, 7.3);
        for number in [7.3f64, 4.0, 3.999_999, 1.0, 0.123, 1e-9] {
            let ratio = power.of(number) / number.powf(2.4);
            assert!((ratio - 1.0).abs() < 3e-3, "{number}: {ratio}");
        }
        assert_eq!(power.of(1e-30), 0.0);
        assert_eq!(power.of(100.0), 100f64.powf(2.4));
    }

    #[test]
    fn the_integral_of_rounding_is_that_of_its_steps() {
        let rounding = Rounding::new(2.0);
        // ∫ over a step of t² is 1/12.
        assert!((rounding.integral(1.0) - 1.0 / 12.0).abs() < 1e-12);
        assert!((rounding.integral(-3.0) + 0.25).abs() < 1e-12);
        assert!((rounding.integral(7.5) - 7.5 / 12.0).abs() < 1e-12);
        assert!((rounding.integral(0.25) - 0.25f64.powi(3) / 3.0).abs() < 1e-6);
    }
}
