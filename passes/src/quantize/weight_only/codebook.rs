//! Codebooks: the k numbers that stand for all with the least squared error.
//!
//! In one dimension the best k clusters are intervals of the sorted numbers, so the best cut is found
//! exactly by dynamic programming over cuts (Wang and Song, "Ckmeans.1d.dp", The R Journal 2011):
//!
//! D(1, i) = cost(0, i), D(j, i) = min over m of D(j − 1, m) + cost(m, i),
//!
//! where cost(m, i) = Σx² − (Σx)² / n of the points m to i. The best m does not fall as i grows, which
//! halves the range to look at in each step of a recursion. More than [`POINTS`] different numbers are
//! gathered into bins of equal width first; Lloyd's steps on all of them remove what that costs.

/// Points the dynamic programme looks at.
const POINTS: usize = 4096;

/// Lloyd's steps at most.
const STEPS: usize = 50;

/// Numbers as indices of centers.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// In ascending order.
    pub centers: Vec<f32>,
    /// One per number.
    pub codes: Vec<i16>,
}

/// Equal or neighbouring numbers.
#[derive(Clone, Copy)]
struct Point {
    weight: f64,
    mean: f64,
}

impl Codebook {
    /// The codebook of at most `count` centers. None when a number is not finite or there are none.
    #[must_use]
    pub fn new(numbers: &[f32], count: usize) -> Option<Self> {
        if numbers.is_empty() || count == 0 || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f32::total_cmp);
        let centers = lloyd(&sorted, best_centers(&points(&sorted), count));
        let codes = numbers.iter().map(|&number| nearest(&centers, number) as i16).collect();
        Some(Self { centers, codes })
    }

    /// The numbers that are restored.
    #[must_use]
    pub fn restored(&self) -> Vec<f32> {
        self.codes.iter().map(|&code| self.centers[code as usize]).collect()
    }
}

/// The index of the nearest of ascending centers, the lower one of two.
pub(super) fn nearest(centers: &[f32], number: f32) -> usize {
    let above = centers.partition_point(|&center| center < number);
    if above == 0 {
        return 0;
    }
    let upper = centers.get(above).map_or(f32::INFINITY, |center| center - number);
    if number - centers[above - 1] <= upper { above - 1 } else { above }
}

/// The points of sorted numbers: the different ones, or the means of bins.
fn points(sorted: &[f32]) -> Vec<Point> {
    let distinct = sorted.chunk_by(|a, b| a == b);
    let points: Vec<Point> = distinct
        .map(|same| Point { weight: same.len() as f64, mean: f64::from(same[0]) })
        .collect();
    if points.len() <= POINTS {
        return points;
    }
    let (low, high) = (points[0].mean, points[points.len() - 1].mean);
    let bin = |point: &Point| {
        ((point.mean - low) / (high - low) * POINTS as f64).min((POINTS - 1) as f64) as usize
    };
    let merge = |bin: &[Point]| {
        let weight: f64 = bin.iter().map(|point| point.weight).sum();
        let sum: f64 = bin.iter().map(|point| point.weight * point.mean).sum();
        Point { weight, mean: sum / weight }
    };
    points.chunk_by(|a, b| bin(a) == bin(b)).map(merge).collect()
}

/// The centers of the best `count` intervals of ascending points.
fn best_centers(points: &[Point], count: usize) -> Vec<f64> {
    if points.len() <= count {
        return points.iter().map(|point| point.mean).collect();
    }
    let sums = Sums::new(points);
    let mut costs: Vec<f64> = (0..=points.len()).map(|end| sums.cost(0, end)).collect();
    let mut cuts: Vec<Vec<u32>> = Vec::with_capacity(count);
    for _ in 1..count {
        let mut layer = Layer {
            sums: &sums,
            before: &costs,
            costs: vec![0.0; points.len() + 1],
            cuts: vec![0; points.len() + 1],
        };
        layer.solve(0, points.len() + 1, 0, points.len());
        cuts.push(layer.cuts);
        costs = layer.costs;
    }
    let mut centers = Vec::with_capacity(count);
    let mut end = points.len();
    for cuts in cuts.iter().rev() {
        let start = cuts[end] as usize;
        centers.extend(sums.mean(start, end));
        end = start;
    }
    centers.extend(sums.mean(0, end));
    centers.reverse();
    centers
}

/// Running sums over points, of numbers less their mean so that squares do not cancel.
struct Sums {
    center: f64,
    weights: Vec<f64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn new(points: &[Point]) -> Self {
        let weight: f64 = points.iter().map(|point| point.weight).sum();
        let center = points.iter().map(|point| point.weight * point.mean).sum::<f64>() / weight;
        let mut sums = Self { center, weights: vec![0.0], sums: vec![0.0], squares: vec![0.0] };
        for point in points {
            let (x, last) = (point.mean - center, sums.weights.len() - 1);
            sums.weights.push(sums.weights[last] + point.weight);
            sums.sums.push(sums.sums[last] + point.weight * x);
            sums.squares.push(sums.squares[last] + point.weight * x * x);
        }
        sums
    }

    /// Σx² − (Σx)² / n of the points from `start` to before `end`.
    fn cost(&self, start: usize, end: usize) -> f64 {
        let weight = self.weights[end] - self.weights[start];
        if weight == 0.0 {
            return 0.0;
        }
        let sum = self.sums[end] - self.sums[start];
        (self.squares[end] - self.squares[start] - sum * sum / weight).max(0.0)
    }

    /// The mean of those points; none of none.
    fn mean(&self, start: usize, end: usize) -> Option<f64> {
        let weight = self.weights[end] - self.weights[start];
        (weight > 0.0).then(|| self.center + (self.sums[end] - self.sums[start]) / weight)
    }
}

/// One row of the dynamic programme.
struct Layer<'a> {
    sums: &'a Sums,
    before: &'a [f64],
    costs: Vec<f64>,
    cuts: Vec<u32>,
}

impl Layer<'_> {
    /// Solves the ends from `start` to before `stop`, whose best cuts lie from `low` to `high`.
    fn solve(&mut self, start: usize, stop: usize, low: usize, high: usize) {
        if start >= stop {
            return;
        }
        let end = start.midpoint(stop);
        let mut best = (f64::INFINITY, low);
        for cut in low..=high.min(end) {
            let cost = self.before[cut] + self.sums.cost(cut, end);
            if cost < best.0 {
                best = (cost, cut);
            }
        }
        (self.costs[end], self.cuts[end]) = (best.0, best.1 as u32);
        self.solve(start, end, low, best.1);
        self.solve(end + 1, stop, best.1, high);
    }
}

/// Moves centers to the means of the numbers nearest to them until none moves.
fn lloyd(sorted: &[f32], centers: Vec<f64>) -> Vec<f32> {
    let mut sums = Vec::with_capacity(sorted.len() + 1);
    sums.push(0.0f64);
    for (&number, index) in sorted.iter().zip(0..) {
        let sum: f64 = sums[index];
        sums.push(sum + f64::from(number));
    }
    let mut centers: Vec<f32> = centers.into_iter().map(|center| center as f32).collect();
    for _ in 0..STEPS {
        centers.dedup();
        let border = |pair: &[f32]| {
            let middle = f64::from(pair[0]).midpoint(f64::from(pair[1]));
            sorted.partition_point(|&number| f64::from(number) <= middle)
        };
        let inner: Vec<usize> = centers.windows(2).map(border).collect();
        let starts = std::iter::once(0).chain(inner.iter().copied());
        let ends = inner.iter().copied().chain([sorted.len()]);
        let moved: Vec<f32> = starts
            .zip(ends)
            .filter(|(start, end)| start < end)
            .map(|(start, end)| ((sums[end] - sums[start]) / (end - start) as f64) as f32)
            .collect();
        if moved == centers {
            break;
        }
        centers = moved;
    }
    centers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least squared error of `count` clusters, by trying every cut.
    fn brute_force(sorted: &[f32], count: usize) -> f64 {
        let cost = |part: &[f32]| {
            let mean = part.iter().map(|&x| f64::from(x)).sum::<f64>() / part.len() as f64;
            part.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>()
        };
        if count == 1 {
            return cost(sorted);
        }
        let cuts = 1..=sorted.len() - (count - 1);
        let split = |cut: usize| cost(&sorted[..cut]) + brute_force(&sorted[cut..], count - 1);
        cuts.map(split).fold(f64::INFINITY, f64::min)
    }

    fn error(numbers: &[f32], book: &Codebook) -> f64 {
        let pairs = numbers.iter().zip(book.restored());
        pairs.map(|(&x, r)| (f64::from(x) - f64::from(r)).powi(2)).sum()
    }

    #[test]
    fn no_other_clusters_are_better() {
        let mut state = 7u32;
        for count in 1..=4 {
            for _ in 0..5 {
                let mut numbers: Vec<f32> = (0..11)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 20) as f32 / 100.0 - 20.0
                    })
                    .collect();
                let book = Codebook::new(&numbers, count).expect("they are finite");
                let found = error(&numbers, &book);
                numbers.sort_by(f32::total_cmp);
                let best = brute_force(&numbers, count);
                assert!((found - best).abs() <= 1e-4 * best + 1e-6, "{found} instead of {best}");
            }
        }
    }

    #[test]
    fn few_numbers_are_kept_exactly() {
        let numbers = [3.0, -1.0, 3.0, 0.5];
        let book = Codebook::new(&numbers, 16).expect("they are finite");
        assert_eq!(book.centers, [-1.0, 0.5, 3.0]);
        assert_eq!(book.codes, [2, 0, 2, 1]);
        assert_eq!(book.restored(), numbers);
    }

    #[test]
    fn many_numbers_are_gathered_and_then_refined() {
        let numbers: Vec<f32> = (0..20_000).map(|n| (n as f32 / 20_000.0).powi(3)).collect();
        let book = Codebook::new(&numbers, 16).expect("they are finite");
        assert_eq!(book.centers.len(), 16);
        let uniform: f64 = numbers
            .iter()
            .map(|&x| (f64::from(x) - (f64::from(x * 16.0).floor().min(15.0) + 0.5) / 16.0).powi(2))
            .sum();
        assert!(error(&numbers, &book) < 0.75 * uniform);
    }

    #[test]
    fn the_nearest_center_may_be_at_either_end() {
        let centers = [-1.0, 0.0, 2.0];
        assert_eq!(
            [-5.0, -0.5, -0.4, 1.0, 1.1, 9.0].map(|x| nearest(&centers, x)),
            [0, 0, 1, 1, 2, 2]
        );
    }

    #[test]
    fn there_is_no_codebook_of_what_is_not_finite() {
        assert_eq!(Codebook::new(&[1.0, f32::NAN], 2), None);
        assert_eq!(Codebook::new(&[], 2), None);
    }
}
