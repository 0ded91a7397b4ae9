//! Sums over the rows a product multiplies: as integers, so that their order does not matter.
use ndarray::{Array2, ArrayView2, s};

/// Rows summed at once: as many products of 9-bit integers add up exactly in the 24 bits of an `f32`.
pub(super) const BLOCK: usize = 256;

/// Numbers in the Gram matrices of single output channels at most.
const MOST_SINGLE: usize = 1_000_000;

/// Matrices of at most this many columns are summed number by number.
const SMALL: usize = 32;

/// How much a row counts whose result the activation behind the product cuts off, next to 1 for the others.
pub(super) const CUT_OFF: f64 = 0.01;

/// What the moments of a product are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    /// The groups of a convolution.
    pub(super) groups: usize,
    /// K: the numbers an output channel multiplies.
    pub(super) size: usize,
    /// Output channels.
    pub(super) outputs: usize,
    /// Results between these pass the activation behind the product.
    pub(super) zone: Option<(f32, f32)>,
    /// The unit results are summed in.
    pub(super) unit: f64,
}

/// Moments of the quantized inputs of a product, as integers q − zero point, and of its results.
///
/// All sums are of integers, exact whatever the order; those of products fit into 32 bits up to 33,000 rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) form: Form,
    /// How many rows there are.
    pub(super) rows: usize,
    /// Σ x, per group K numbers.
    sum: Vec<i64>,
    /// Σ x xᵀ, per group K · K numbers; nothing if output channels have their own.
    gram: Vec<i32>,
    /// Σ y, per output channel, in units.
    output: Vec<i64>,
    /// The same over the rows in the zone, per output channel.
    zone: Option<Zone>,
}

#[derive(Clone, Debug, PartialEq)]
struct Zone {
    rows: Vec<u32>,
    sum: Vec<i32>,
    output: Vec<i64>,
    /// None if it would be too large.
    gram: Option<Vec<i32>>,
}

/// Moments as an output channel weighs its rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mean {
    /// E\[x\], K numbers.
    pub(super) input: Vec<f64>,
    /// E\[y\].
    pub(super) output: f64,
}

impl Moments {
    pub(super) fn new(form: Form) -> Self {
        let Form { groups, size, outputs, zone, unit: _ } = form;
        let single = outputs * size * size;
        let own = zone.is_some() && single <= MOST_SINGLE;
        let zone = zone.map(|_| Zone {
            rows: vec![0; outputs],
            sum: vec![0; outputs * size],
            output: vec![0; outputs],
            gram: own.then(|| vec![0; single]),
        });
        Self {
            form,
            rows: 0,
            sum: vec![0; groups * size],
            gram: if own { Vec::new() } else { vec![0; groups * size * size] },
            output: vec![0; outputs],
            zone,
        }
    }

    /// Adds at most [`BLOCK`] rows of integers, the groups' numbers side by side, and their results.
    pub(super) fn add(&mut self, inputs: ArrayView2<'_, f32>, outputs: ArrayView2<'_, f32>) {
        let Form { groups, size, zone: limits, unit, .. } = self.form;
        let in_units = |number: f32| (f64::from(number) / unit).round() as i64;
        self.rows += inputs.nrows();
        for (row, results) in inputs.rows().into_iter().zip(outputs.rows()) {
            for (sum, &number) in self.sum.iter_mut().zip(row) {
                *sum += number as i64;
            }
            for (sum, &number) in self.output.iter_mut().zip(results) {
                *sum += in_units(number);
            }
        }
        let part = |group: usize| inputs.slice(s![.., group * size..(group + 1) * size]);
        for (group, gram) in self.gram.chunks_exact_mut(size * size).enumerate() {
            add_gram(gram, part(group));
        }
        let (Some(zone), Some((low, high))) = (&mut self.zone, limits) else { return };
        let per_group = outputs.ncols() / groups;
        let passes = outputs.mapv(|result| f32::from(u8::from(low <= result && result <= high)));
        for (group, sums) in zone.sum.chunks_exact_mut(per_group * size).enumerate() {
            let passes = passes.slice(s![.., group * per_group..(group + 1) * per_group]);
            add_product(sums, passes.t(), part(group));
        }
        let mut rows = Array2::zeros((inputs.nrows(), size));
        for (channel, results) in outputs.columns().into_iter().enumerate() {
            let group = part(channel / per_group);
            let mut passing = 0;
            for (row, _) in passes.column(channel).iter().enumerate().filter(|(_, p)| **p > 0.0) {
                zone.output[channel] += in_units(results[row]);
                if zone.gram.is_some() {
                    rows.row_mut(passing).assign(&group.row(row));
                }
                passing += 1;
            }
            zone.rows[channel] += passing as u32;
            if let Some(gram) = &mut zone.gram {
                let gram = &mut gram[channel * size * size..][..size * size];
                add_gram(gram, rows.slice(s![..passing, ..]));
            }
        }
    }

    /// The means over the rows, those in the zone of an output channel counting 1 and the others
    /// [`CUT_OFF`].
    pub(super) fn mean(&self, channel: usize) -> Mean {
        let Form { groups, size, outputs, unit, .. } = self.form;
        let group = channel / (outputs / groups);
        let all = &self.sum[group * size..][..size];
        let (weight, rows) = self.weights(channel);
        let zone = |index: usize| {
            self.zone.as_ref().map_or(0.0, |zone| f64::from(zone.sum[channel * size + index]))
        };
        let blend = |inside: f64, all: f64| {
            if rows == 0.0 { 0.0 } else { ((1.0 - weight) * inside + weight * all) / rows }
        };
        let input = all.iter().enumerate().map(|(at, &sum)| blend(zone(at), sum as f64)).collect();
        let inside = self.zone.as_ref().map_or(0.0, |zone| zone.output[channel] as f64);
        Mean { input, output: unit * blend(inside, self.output[channel] as f64) }
    }

    /// What rows outside of the zone weigh, and the sum of all weights.
    fn weights(&self, channel: usize) -> (f64, f64) {
        match &self.zone {
            None => (1.0, self.rows as f64),
            Some(zone) => {
                let inside = f64::from(zone.rows[channel]);
                (CUT_OFF, (1.0 - CUT_OFF) * inside + CUT_OFF * self.rows as f64)
            }
        }
    }

    /// Whether output channels have matrices of their own.
    pub(super) fn is_single(&self) -> bool {
        self.zone.as_ref().is_some_and(|zone| zone.gram.is_some())
    }

    /// E\[x xᵀ\] of a group; without its mean, E\[x\] E\[x\]ᵀ, where a bias makes up for that.
    pub(super) fn shared(&self, group: usize, centred: bool) -> Vec<f32> {
        let size = self.form.size;
        let rows = self.rows.max(1) as f64;
        let mean: Vec<f64> =
            self.sum[group * size..][..size].iter().map(|&sum| sum as f64 / rows).collect();
        let gram = &self.gram[group * size * size..][..size * size];
        moment(gram.iter().map(|&sum| f64::from(sum) / rows), &mean, centred)
    }

    /// The same over the rows in the zone of an output channel; none if only groups have matrices.
    pub(super) fn single(&self, channel: usize, centred: bool) -> Option<Vec<f32>> {
        let size = self.form.size;
        let zone = self.zone.as_ref()?;
        let gram = &zone.gram.as_ref()?[channel * size * size..][..size * size];
        let rows = f64::from(zone.rows[channel].max(1));
        let sum = &zone.sum[channel * size..][..size];
        let mean: Vec<f64> = sum.iter().map(|&sum| f64::from(sum) / rows).collect();
        Some(moment(gram.iter().map(|&sum| f64::from(sum) / rows), &mean, centred))
    }

    /// The rows in the zone of an output channel.
    pub(super) fn passing(&self, channel: usize) -> f64 {
        self.zone.as_ref().map_or(self.rows as f64, |zone| f64::from(zone.rows[channel]))
    }
}

fn moment(entries: impl Iterator<Item = f64>, mean: &[f64], centred: bool) -> Vec<f32> {
    let size = mean.len();
    let entry = |(at, entry): (usize, f64)| match centred {
        true => (entry - mean[at / size] * mean[at % size]) as f32,
        false => entry as f32,
    };
    entries.enumerate().map(entry).collect()
}

fn add_gram(gram: &mut [i32], rows: ArrayView2<'_, f32>) {
    let size = rows.ncols();
    if size > SMALL {
        return add_product(gram, rows.t(), rows);
    }
    let mut numbers = [0i32; SMALL];
    for row in rows.rows() {
        numbers.iter_mut().zip(row).for_each(|(number, &found)| *number = found as i32);
        let numbers = &numbers[..size];
        for (gram, &number) in gram.chunks_exact_mut(size).zip(numbers) {
            gram.iter_mut().zip(numbers).for_each(|(sum, other)| *sum += number * other);
        }
    }
}

/// Adds a product of matrices whose entries stay below 2²⁴.
fn add_product(sums: &mut [i32], left: ArrayView2<'_, f32>, right: ArrayView2<'_, f32>) {
    let (rows, columns) = (left.nrows(), right.ncols());
    if rows == 1 {
        for (&factor, row) in left.iter().zip(right.rows()) {
            let products = row.into_iter().map(|&number| (factor * number) as i32);
            sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        }
        return;
    }
    let product = left.dot(&right);
    debug_assert_eq!(product.dim(), (rows, columns));
    sums.iter_mut().zip(&product).for_each(|(sum, &number)| *sum += number as i32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, columns: usize, seed: usize) -> Array2<f32> {
        let number = |row: usize, column: usize| (row * 37 + column * 101 + seed * 17) % 256;
        Array2::from_shape_fn((count, columns), |(row, column)| number(row, column) as f32 - 100.0)
    }

    fn form(zone: Option<(f32, f32)>, groups: usize, size: usize) -> Form {
        Form { groups, size, outputs: 2, zone, unit: 0.5 }
    }

    #[test]
    fn moments_are_means_of_products() {
        for size in [2, 40] {
            let mut moments = Moments::new(form(None, 1, size));
            let (x, y) = (rows(5, size, 1), rows(5, 2, 2));
            moments.add(x.view(), y.view());
            let gram = x.t().dot(&x) / 5.0;
            assert_eq!(moments.shared(0, false), gram.iter().copied().collect::<Vec<_>>());
            let mean = moments.mean(1);
            assert_eq!(mean.output, f64::from(y.column(1).sum()) / 5.0);
            assert_eq!(mean.input[1], f64::from(x.column(1).sum()) / 5.0);
            let centred = gram[(0, 1)] - x.column(0).sum() * x.column(1).sum() / 25.0;
            assert!((moments.shared(0, true)[1] - centred).abs() < 1e-2);
        }
    }

    #[test]
    fn rows_outside_of_the_zone_hardly_count() {
        let mut moments = Moments::new(form(Some((0.0, 6.0)), 1, 1));
        let x = Array2::from_shape_vec((3, 1), vec![1.0, 2.0, 4.0]).expect("three numbers");
        let y = Array2::from_shape_vec((3, 2), vec![1.0, -9.0, 2.0, -9.0, 9.0, 9.0]);
        moments.add(x.view(), y.expect("six numbers").view());
        let weights = 2.0 + CUT_OFF;
        let mean = moments.mean(0);
        assert!((mean.input[0] - (3.0 + 4.0 * CUT_OFF) / weights).abs() < 1e-12);
        assert!((mean.output - (3.0 + 9.0 * CUT_OFF) / weights).abs() < 1e-12);
        let single = moments.single(0, false).expect("it is small");
        assert_eq!((single[0], moments.passing(0)), (2.5, 2.0));
        // Nothing passes in the other channel: all rows count the same.
        assert!((moments.mean(1).input[0] - 7.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn groups_see_their_own_numbers() {
        let mut moments = Moments::new(form(Some((-200.0, 200.0)), 2, 3));
        let (x, y) = (rows(4, 6, 3), rows(4, 2, 4));
        moments.add(x.view(), y.view());
        let second = x.slice(s![.., 3..]);
        let gram = second.t().dot(&second) / 4.0;
        let single = moments.single(1, false).expect("it is small");
        assert!(single.iter().zip(&gram).all(|(a, b)| (a - b).abs() <= 1e-3 * b.abs()));
    }

    #[test]
    fn the_order_does_not_matter() {
        let blocks: Vec<_> = (0..4).map(|seed| (rows(6, 40, seed), rows(6, 2, seed))).collect();
        let sum = |order: [usize; 4]| {
            let mut moments = Moments::new(form(Some((-50.0, 60.0)), 1, 40));
            order.iter().for_each(|&at| moments.add(blocks[at].0.view(), blocks[at].1.view()));
            moments
        };
        assert_eq!(sum([0, 1, 2, 3]), sum([2, 0, 3, 1]));
    }
}
