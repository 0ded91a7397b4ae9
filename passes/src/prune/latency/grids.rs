//! Times of products on grids of sizes.
//!
//! Calling a runtime takes a time of its own, which a model of many products takes but once. So with every product a model is
//! measured that does next to nothing, and what that takes is no part of the product's time.
use super::product::{LEVELS, Product};
use super::stopwatch::{Stopwatch, StopwatchError};
use super::table::Table;
use crate::prune::compensated::Progress;
use lapidary_exec::{ExecError, Inputs, RandomInputs};
use lapidary_ir::{Model, text};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Times by sizes of the sides, rows first.
type Cells = BTreeMap<(usize, usize), f64>;

/// Bytes of weights that are measured at once at most, if those of one product are not more.
const BYTES: u64 = 256 << 20;

/// A model that does next to nothing.
const IDLE: &str = "g (float[1] x) => (float[1] y) { y = Relu(x) }";

/// What is known of products.
pub(super) struct Grids<'a> {
    watch: &'a dyn Stopwatch,
    /// From this time on nothing is tried that failed together with something else.
    limit: Duration,
    cells: BTreeMap<Product, Cells>,
    /// Products that failed, and why.
    failed: BTreeMap<Product, String>,
}

impl<'a> Grids<'a> {
    /// Measures products, on a grid as fine as `limit` allows.
    pub(super) fn measure(
        products: BTreeSet<Product>,
        watch: &'a dyn Stopwatch,
        limit: Duration,
        progress: Progress<'_>,
    ) -> Self {
        let cells = products.into_iter().map(|product| (product, Cells::new())).collect();
        let mut own = Self { watch, limit, cells, failed: BTreeMap::new() };
        for level in 0..LEVELS {
            if level > 0 && own.expected(level) > limit.as_secs_f64() {
                break;
            }
            let products: Vec<Product> = own.tried().cloned().collect();
            let mut done = 0;
            for together in own.batches(&products, level) {
                progress("latency", level * products.len() + done, LEVELS * products.len());
                own.refine(together, level);
                done += together.len();
            }
        }
        own
    }

    /// The times on the finest grid of which all are known, or why there is none.
    pub(super) fn table(&self, product: &Product) -> Result<Table, String> {
        let cells = self.cells.get(product);
        let at = |level: usize| {
            let (rows, columns) = sizes(product, level);
            let times: Option<Vec<f64>> =
                pairs(product, level).iter().map(|pair| cells?.get(pair).copied()).collect();
            Table::new(rows, columns, times?)
        };
        let reason = || self.failed.get(product).cloned().unwrap_or_default();
        (0..LEVELS).rev().find_map(at).ok_or_else(reason)
    }

    /// Products that can be measured, as far as is known.
    fn tried(&self) -> impl Iterator<Item = &Product> {
        self.cells.keys().filter(|product| !self.failed.contains_key(*product))
    }

    /// The seconds that all points of a grid take, at the pace so far.
    fn expected(&self, level: usize) -> f64 {
        let known: usize = self.cells.values().map(BTreeMap::len).sum();
        let all: usize = self.tried().map(|product| pairs(product, level).len()).sum();
        self.watch.elapsed().as_secs_f64() / known.max(1) as f64 * all as f64
    }

    /// Products in parts that are measured at once.
    fn batches<'p>(&self, products: &'p [Product], level: usize) -> Vec<&'p [Product]> {
        let mut parts = Vec::new();
        let (mut start, mut models, mut bytes) = (0, 0, 0);
        for (at, product) in products.iter().enumerate() {
            let points = self.missing(product, level).len();
            let own = product.bytes().saturating_mul(points as u64);
            if at > start && (models + points > self.watch.at_once() || bytes + own > BYTES) {
                parts.push(&products[start..at]);
                (start, models, bytes) = (at, 0, 0);
            }
            models += points;
            bytes = own.saturating_add(bytes);
        }
        parts.extend(Some(&products[start..]).filter(|rest| !rest.is_empty()));
        parts
    }

    /// Points of a grid that are not known yet.
    fn missing(&self, product: &Product, level: usize) -> Vec<(usize, usize)> {
        let cells = self.cells.get(product);
        let known = |pair: &(usize, usize)| cells.is_some_and(|cells| cells.contains_key(pair));
        pairs(product, level).into_iter().filter(|pair| !known(pair)).collect()
    }

    /// Measures the points of a grid that are not known yet: of all products at once, or in halves where that fails.
    fn refine(&mut self, products: &[Product], level: usize) {
        let error = match self.points(products, level) {
            Ok(()) => return,
            Err(error) => error,
        };
        if products.len() > 1 && self.watch.elapsed() < self.limit {
            let (first, second) = products.split_at(products.len() / 2);
            self.refine(first, level);
            self.refine(second, level);
            return;
        }
        for product in products {
            self.failed.insert(product.clone(), error.to_string());
        }
    }

    fn points(&mut self, products: &[Product], level: usize) -> Result<(), StopwatchError> {
        let random = RandomInputs { batch: 1, ..RandomInputs::default() };
        let unreadable = || ExecError::Load { reason: "the product has no text".to_owned() };
        let idle = text::parse(IDLE).map_err(|_| unreadable())?;
        let inputs = random.generate(&idle)?;
        let mut models: Vec<(Model, Inputs)> = vec![(idle, inputs)];
        let mut places = Vec::new();
        for product in products {
            for (row, column) in self.missing(product, level) {
                let model = product.model(&[row, column]).ok_or_else(unreadable)?;
                let inputs = random.generate(&model)?;
                models.push((model, inputs));
                places.push((product, (row, column)));
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let borrowed: Vec<(&Model, &Inputs)> =
            models.iter().map(|(model, inputs)| (model, inputs)).collect();
        let times = self.watch.nanoseconds(&borrowed)?;
        let idle = times.first().copied().unwrap_or(0.0);
        for ((product, pair), time) in places.into_iter().zip(times.into_iter().skip(1)) {
            self.cells.entry(product.clone()).or_default().insert(pair, (time - idle).max(0.0));
        }
        Ok(())
    }
}

/// The sizes of the sides; a side that is not there has one.
fn sizes(product: &Product, level: usize) -> (Vec<usize>, Vec<usize>) {
    let of = |side: usize| product.sides.get(side).map_or(vec![1], |side| side.sizes(level));
    (of(0), of(1))
}

/// All pairs of sizes, by rows.
fn pairs(product: &Product, level: usize) -> Vec<(usize, usize)> {
    let (rows, columns) = sizes(product, level);
    rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::analysis::Analysis;
    use crate::prune::latency::testing::counted;
    use crate::prune::rounding::Rounding;
    use crate::quantize::testing::model;
    use std::sync::Mutex;

    /// Takes so many models at once, and none with an input of `bad` elements; writes down of how many products it was asked.
    struct Choosy {
        at_once: usize,
        bad: usize,
        elapsed: Duration,
        asked: Mutex<Vec<usize>>,
    }

    impl Stopwatch for Choosy {
        fn nanoseconds(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, StopwatchError> {
            self.asked.lock().expect("nothing panics").push(models.len() - 1);
            let long = |(_, inputs): &(&Model, &Inputs)| {
                inputs
                    .values()
                    .any(|tensor| tensor.dims().iter().product::<i64>() == self.bad as i64)
            };
            if models.iter().any(long) {
                return Err(StopwatchError::Other("it is too long".into()));
            }
            Ok(models.iter().map(|(model, _)| counted(model)).collect())
        }

        fn at_once(&self) -> usize {
            self.at_once
        }

        fn elapsed(&self) -> Duration {
            self.elapsed
        }
    }

    /// How many models each call was for, and which products have times, by the length of what they read.
    fn asked(at_once: usize, bad: usize, elapsed: u64) -> (Vec<usize>, Vec<(u64, bool)>) {
        let model = model(
            "g (float[1,10] x) => (float[1,10] y)
            <float[10,40] a, float[40,20] b, float[20,24] c, float[24,10] d>
            {
                h = MatMul(x, a)
                i = MatMul(h, b)
                j = MatMul(i, c)
                y = MatMul(j, d)
            }",
        );
        let analysis = Analysis::of(&model.graph);
        let of = |(_, node)| Product::of(&model.graph, node, &analysis, Rounding::To(4));
        let products: BTreeSet<Product> = model.graph.nodes().filter_map(of).collect();
        let elapsed = Duration::from_secs(elapsed);
        let watch = Choosy { at_once, bad, elapsed, asked: Mutex::default() };
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let grids = Grids::measure(products.clone(), &watch, Duration::from_secs(20), &quiet);
        let known = |product: &Product| (product.read(), grids.table(product).is_ok());
        let known = products.iter().map(known).collect();
        drop(grids);
        (watch.asked.into_inner().expect("nothing panics"), known)
    }

    #[test]
    fn points_are_measured_as_many_at_once_as_may_be() {
        // 2, 4, 4 and 2 points of the coarsest grid: at the corners.
        let all = vec![(10, true), (20, true), (24, true), (40, true)];
        assert_eq!(asked(1, 0, 1000), (vec![2, 4, 2, 4], all.clone()));
        assert_eq!(asked(8, 0, 1000), (vec![8, 4], all.clone()));
        assert_eq!(asked(100, 0, 1000), (vec![12], all.clone()));
        // The finer ones add to them.
        let (finer, known) = asked(100, 0, 0);
        assert_eq!((finer.len(), finer[0], known), (3, 12, all));
    }

    #[test]
    fn a_product_that_fails_is_found_by_halves() {
        let (calls, known) = asked(100, 24, 19);
        assert_eq!(known, [(10, true), (20, true), (24, false), (40, true)]);
        // All; the first two; the others; each of them.
        assert_eq!(calls, [12, 6, 6, 2, 4]);
        // When time is up they are all given up.
        let (calls, known) = asked(100, 24, 21);
        assert_eq!(calls, [12]);
        assert!(known.iter().all(|(_, known)| !known));
    }
}
