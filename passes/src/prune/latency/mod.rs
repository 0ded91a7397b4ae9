//! What a model's time depends on, from measurements of its products.
//!
//! Each product of a model is measured by itself, on a grid of sizes of what can go of it. What the model takes beyond its
//! products is divided among the other nodes by the elements they make:
//!
//! t(extents) = Σ_p t_p(outputs, inputs) + r · Σ_n e_n(extents) / Σ_n e_n.
//!
//! Products that take longer alone than the whole model, which joins them with what follows, are scaled to what it takes.
use super::analysis::Analysis;
use super::rounding::Rounding;
use grids::Grids;
use lapidary_ir::Model;
use product::Product;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
pub(crate) use table::Table;

mod grids;
mod product;
mod stopwatch;
mod table;

pub use stopwatch::{RuntimeStopwatch, Stopwatch, StopwatchError};

/// Measured times of a model's products, in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductTimes {
    /// By the name of what the product gives.
    pub(crate) products: BTreeMap<String, ProductTime>,
    /// What the other nodes take together.
    pub(crate) rest: f64,
    /// What products give that can't be measured by themselves, in the order of the graph, and why.
    pub unmeasured: Vec<(String, String)>,
}

/// The time of a product by how much of it is left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProductTime {
    pub(crate) table: Table,
    /// What the table is multiplied by.
    pub(crate) scale: f64,
    /// Which factors of its multiply-accumulates the table goes by.
    pub(crate) sides: Vec<usize>,
    /// Factors it is proportional to, with their sizes.
    pub(crate) others: Vec<(usize, usize)>,
}

impl ProductTimes {
    /// Measures products, on a grid as fine as `limit` allows. All sizes of the model are known, its types inferred; it takes
    /// `whole` nanoseconds itself. Products the runtime can't run alone count with the other nodes.
    pub fn measure(
        model: &Model,
        whole: f64,
        rounding: Rounding,
        watch: &dyn Stopwatch,
        limit: Duration,
        progress: super::compensated::Progress<'_>,
    ) -> Self {
        let graph = &model.graph;
        let analysis = Analysis::of(graph);
        let mut named = Vec::new();
        for (_, node) in graph.nodes() {
            let Some(output) = node.output(0) else { continue };
            if let Some(product) = Product::of(graph, node, &analysis, rounding) {
                named.push((graph.value(output).name().to_owned(), product));
            }
        }
        let distinct = named.iter().map(|(_, product)| product.clone()).collect();
        let grids = Grids::measure(distinct, watch, limit, progress);
        let mut products = BTreeMap::new();
        let mut unmeasured = Vec::new();
        for (name, product) in named {
            let table = match grids.table(&product) {
                Ok(table) => table,
                Err(reason) => {
                    unmeasured.push((name, reason));
                    continue;
                }
            };
            let sides = product.sides.iter().map(|side| side.factor).collect();
            let time = ProductTime { table, scale: 1.0, sides, others: product.others };
            products.insert(name, time);
        }
        let alone: f64 = products.values().map(|time| time.table.largest()).sum();
        let scale = if alone > whole { whole / alone } else { 1.0 };
        products.values_mut().for_each(|time| time.scale = scale);
        Self { products, rest: (whole - alone).max(0.0), unmeasured }
    }
}

/// Measures a model of which channels are gone: the share of the time of the model it was, before anything went.
pub type Measure = dyn Fn(&Model) -> Result<f64, StopwatchError> + Send + Sync;

/// What pruning by latency needs to know.
pub struct Latency {
    /// What products take.
    pub times: ProductTimes,
    /// Measures what a plan leaves.
    pub measure: Box<Measure>,
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").field("times", &self.times).finish_non_exhaustive()
    }
}

/// A plan that was tried: shares of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Try {
    /// By the times of products.
    pub predicted: f64,
    /// Of the whole model.
    pub measured: f64,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::macs::node_macs;
    use lapidary_exec::Inputs;

    /// A nanosecond for every multiply-accumulate and a hundred for a model.
    #[derive(Debug, Default)]
    pub(crate) struct Counting {
        /// What every look at it says went by.
        pub(crate) elapsed: Duration,
    }

    /// What [`Counting`] says of a model.
    pub(crate) fn counted(model: &Model) -> f64 {
        let macs = model.graph.nodes().filter_map(|(_, node)| node_macs(&model.graph, node));
        100.0 + macs.map(|macs| macs as f64).sum::<f64>()
    }

    impl Stopwatch for Counting {
        fn nanoseconds(&self, models: &[(&Model, &Inputs)]) -> Result<Vec<f64>, StopwatchError> {
            Ok(models.iter().map(|(model, _)| counted(model)).collect())
        }

        fn elapsed(&self) -> Duration {
            self.elapsed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Counting;
    use super::*;
    use crate::prune::resources::Ledger;
    use crate::quantize::testing::model;

    fn network() -> Model {
        model(
            "g (float[1,10] x) => (float[1,10] y)
            <float[10,40] a, float[40,20] b, float[20,40] c, float[40,10] d>
            {
                h = MatMul(x, a)
                r = Relu(h)
                i = MatMul(r, b)
                j = MatMul(i, c)
                y = MatMul(j, d)
            }",
        )
    }

    fn times(whole: f64, elapsed: u64) -> ProductTimes {
        let watch = Counting { elapsed: Duration::from_secs(elapsed) };
        let limit = Duration::from_secs(20);
        let quiet = |_: &'static str, _: usize, _: usize| {};
        ProductTimes::measure(&network(), whole, Rounding::To(4), &watch, limit, &quiet)
    }

    #[test]
    fn products_are_measured_and_the_rest_is_what_is_left() {
        let found = times(3000.0, 0);
        assert_eq!(found.products.len(), 4);
        // 400, 800, 800 and 400 multiply-accumulates, without the 100 of any model.
        assert_eq!(found.rest, 600.0);
        let own = &found.products["i"];
        assert_eq!(own.sides, [1, 2]);
        assert_eq!(
            [own.table.at(20, 40), own.table.at(4, 4), own.table.at(10, 30)],
            [800.0, 16.0, 300.0]
        );
        assert_eq!(own.scale, 1.0);
        let alike = times(1200.0, 0);
        assert_eq!((alike.rest, alike.products["i"].scale), (0.0, 0.5));
    }

    #[test]
    fn what_takes_long_is_measured_on_a_coarser_grid() {
        let points = |elapsed| times(3000.0, elapsed).products["i"].table.points();
        // 4, 12, 16 and 20 by 4, 12, 20, 32 and 40; or the corners alone.
        assert_eq!([points(0), points(1000)], [20, 4]);
    }

    #[test]
    fn a_ledger_goes_by_the_table() {
        let model = network();
        let analysis = Analysis::of(&model.graph);
        let ledger = Ledger::of_times(&model.graph, &analysis, &times(3000.0, 0));
        let extents = ledger.extents(&analysis.extents);
        assert!((ledger.total(&extents) - 3000.0).abs() < 1e-9);
        let group = &analysis.groups[0];
        let elements = ledger.elements(&analysis, &group.channels[..20]);
        // Half of h and i, and half of what is made by Relu, of all that is made there.
        let saved = ledger.saved(&extents, &elements);
        assert!((saved - (200.0 + 400.0 + 300.0)).abs() < 1e-9, "{saved}");
    }
}
