//! What a model costs as a function of how many channels stay.
use super::analysis::Analysis;
use super::elements::Axis;
use super::latency::{ProductTimes, Table};
use super::relations::Rewrite;
use super::select::Extents;
use crate::macs::{node_macs, sample_shape};
use lapidary_ir::{ElemType, Graph, Model, Node, ValueId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fmt;

/// What is to become less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul.
    Macs,
    /// Elements of constants that are not indices.
    Parameters,
    /// Bytes of the file.
    Bytes,
    /// Time in the built-in runtime, as it was measured.
    Latency,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Macs => "MACs",
            Self::Parameters => "parameters",
            Self::Bytes => "bytes",
            Self::Latency => "latency",
        })
    }
}

/// A sum of products of extents, some with what a table says of two extents: cost = c + Σ_t c_t · Π extents · T_t.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    axes: BTreeMap<Axis, usize>,
    constant: f64,
    terms: Vec<Term>,
    /// The terms an axis is a factor of.
    terms_of: Vec<Vec<usize>>,
}

/// A part of a cost.
#[derive(Debug, Clone)]
struct Term {
    amount: f64,
    /// The extents it is proportional to.
    places: Vec<usize>,
    /// A table, and the extents it goes by; where there is none it goes by 1.
    table: Option<(Table, [Option<usize>; 2])>,
}

impl Ledger {
    /// The cost of a model in `resource`, by the extents of the axes of its analysis. Of latency nothing is known here:
    /// that is in [`Self::of_times`].
    pub(crate) fn of(model: &Model, analysis: &Analysis, resource: Resource) -> Self {
        let graph = &model.graph;
        let mut ledger = Self::empty(analysis);
        match resource {
            Resource::Latency => {}
            Resource::Macs => ledger.add_macs(graph, analysis),
            Resource::Parameters => ledger.add_constants(graph, analysis, false),
            Resource::Bytes => {
                let stored: u64 = graph.initializers().map(|(_, data)| data.byte_len()).sum();
                ledger.constant = model.encoded_len().saturating_sub(stored as usize) as f64;
                ledger.add_constants(graph, analysis, true);
            }
        }
        ledger
    }

    /// The nanoseconds of a model by the times of its products.
    pub(crate) fn of_times(graph: &Graph, analysis: &Analysis, times: &ProductTimes) -> Self {
        let mut ledger = Self::empty(analysis);
        let mut others = Vec::new();
        for (_, node) in graph.nodes().filter(|(_, node)| !node.is("Constant")) {
            let Some(output) = node.output(0) else { continue };
            let Some(time) = times.products.get(graph.value(output).name()) else {
                let shape = sample_shape(graph, output).unwrap_or_default();
                others.push((shape.iter().product::<u64>() as f64, shape.len(), output));
                continue;
            };
            let factors = factors(graph, node);
            let place = |factor: Option<&usize>| ledger.axes.get(factors.get(*factor?)?).copied();
            let by = [place(time.sides.first()), place(time.sides.get(1))];
            let mut amount = time.scale;
            let mut places = Vec::new();
            for (factor, size) in &time.others {
                if let Some(place) = place(Some(factor)) {
                    amount /= *size as f64;
                    places.push(place);
                }
            }
            ledger.push(Term { amount, places, table: Some((time.table.clone(), by)) });
        }
        let elements: f64 = others.iter().map(|(elements, ..)| elements).sum();
        for (own, rank, output) in others {
            let axes: Vec<Axis> = (0..rank).map(|axis| Axis::new(output, axis)).collect();
            ledger.add(times.rest * own / elements.max(1.0), &axes, analysis);
        }
        ledger
    }

    fn empty(analysis: &Analysis) -> Self {
        let axes: BTreeMap<Axis, usize> =
            analysis.extents.keys().enumerate().map(|(number, &axis)| (axis, number)).collect();
        let terms_of = vec![Vec::new(); axes.len()];
        Self { axes, constant: 0.0, terms: Vec::new(), terms_of }
    }

    fn add_macs(&mut self, graph: &Graph, analysis: &Analysis) {
        for (_, node) in graph.nodes() {
            let Some(macs) = node_macs(graph, node) else { continue };
            self.add(macs as f64, &factors(graph, node), analysis);
        }
    }

    fn add_constants(&mut self, graph: &Graph, analysis: &Analysis, bytes: bool) {
        let mut grouped: FxHashMap<ValueId, Axis> = FxHashMap::default();
        for rewrite in &analysis.rewrites {
            if let Rewrite::GroupedColumns { node, kernel, input, .. } = rewrite
                && let Some(kernel) = graph[*node].input(*kernel)
            {
                grouped.insert(kernel, *input);
            }
        }
        for (value, data) in graph.initializers() {
            let counted = ![ElemType::INT64, ElemType::STRING].contains(&data.elem_type());
            let amount = if bytes { data.byte_len() } else { data.len() as u64 };
            if !bytes && !counted {
                continue;
            }
            let mut own: Vec<Axis> = (0..data.rank()).map(|axis| Axis::new(value, axis)).collect();
            own.extend(grouped.get(&value));
            self.add(amount as f64, &own, analysis);
        }
    }

    fn add(&mut self, amount: f64, factors: &[Axis], analysis: &Analysis) {
        let mut places = Vec::new();
        let mut each = amount;
        for axis in factors {
            if let (Some(&place), Some(&extent)) = (self.axes.get(axis), analysis.extents.get(axis))
                && extent > 0
            {
                each /= extent as f64;
                places.push(place);
            }
        }
        self.push(Term { amount: each, places, table: None });
    }

    fn push(&mut self, term: Term) {
        let by = term.table.iter().flat_map(|(_, by)| by).flatten();
        for &place in term.places.iter().chain(by) {
            self.terms_of[place].push(self.terms.len());
        }
        self.terms.push(term);
    }

    /// The extents as a list, in the order of this ledger.
    pub(crate) fn extents(&self, extents: &Extents) -> Vec<usize> {
        extents.values().copied().collect()
    }

    /// What channels of the analysis take off the axes: places and counts.
    pub(crate) fn elements(&self, analysis: &Analysis, channels: &[usize]) -> Vec<(usize, usize)> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &channel in channels {
            for (axis, _) in &analysis.channels[channel].elements {
                if let Some(&place) = self.axes.get(axis) {
                    *counts.entry(place).or_default() += 1;
                }
            }
        }
        counts.into_iter().collect()
    }

    /// The cost with these extents.
    pub(crate) fn total(&self, extents: &[usize]) -> f64 {
        let terms = 0..self.terms.len();
        self.constant + terms.map(|term| self.term(term, extents)).sum::<f64>()
    }

    /// What the cost falls by when elements go.
    pub(crate) fn saved(&self, extents: &[usize], elements: &[(usize, usize)]) -> f64 {
        let mut after = extents.to_vec();
        let mut touched = Vec::new();
        for &(place, count) in elements {
            after[place] = after[place].saturating_sub(count);
            touched.extend(&self.terms_of[place]);
        }
        touched.sort_unstable();
        touched.dedup();
        touched.iter().map(|&term| self.term(term, extents) - self.term(term, &after)).sum()
    }

    fn term(&self, term: usize, extents: &[usize]) -> f64 {
        let Term { amount, places, table } = &self.terms[term];
        let size = |place: Option<usize>| place.map_or(1, |place| extents[place]);
        let time = table
            .as_ref()
            .map_or(1.0, |(table, [row, column])| table.at(size(*row), size(*column)));
        places.iter().fold(amount * time, |product, &place| product * extents[place] as f64)
    }
}

/// The axes the multiply-accumulates of a node are proportional to.
pub(super) fn factors(graph: &Graph, node: &Node) -> Vec<Axis> {
    let axes = |value: Option<ValueId>| {
        let rank = value.and_then(|value| Some((value, graph.value(value).shape()?.len())));
        rank.map(|(value, rank)| (0..rank).map(|axis| Axis::new(value, axis)).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let (input, mut factors) = (axes(node.input(0)), axes(node.output(0)));
    match node.op_type.as_str() {
        "Conv" | "ConvInteger" | "ConvTranspose" | "FusedConv" | "QLinearConv" => {
            let extent = node.input(0).and_then(|value| sample_shape(graph, value));
            let channels = extent.and_then(|shape| shape.get(1).copied());
            let groups = node.int("group").and_then(|groups| u64::try_from(groups).ok());
            // A depthwise convolution reads one channel for every one it makes.
            let depthwise = groups.is_some_and(|groups| groups > 1 && channels == Some(groups));
            factors.truncate(2);
            factors.extend(input.get(1).filter(|_| !depthwise));
        }
        "Gemm" | "QGemm" => {
            let contracted = usize::from(node.int("transA").unwrap_or(0) == 0);
            factors.extend(input.get(contracted));
        }
        _ => factors.extend(input.last()),
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{ChannelPlan, Rounding, Selection};
    use crate::quantize::testing::model;

    /// What a ledger says of a plan, and what the pruned model says.
    fn costs(source: &str, of: impl Fn(&Graph) -> f64, resource: Resource) -> (f64, f64, f64) {
        let mut model = model(source);
        let analysis = Analysis::of(&model.graph);
        let ledger = Ledger::of(&model, &analysis, resource);
        let scores: Vec<Vec<f64>> =
            analysis.groups.iter().map(|group| vec![0.0; group.size]).collect();
        let selection = Selection { ratio: 0.5, min_channels: 1, round_to: Rounding::To(1) };
        let plan: ChannelPlan = analysis.plan(&scores, &selection);
        let mut extents = analysis.extents.clone();
        for axis in &plan.axes {
            extents.insert(axis.place, axis.keep.len());
        }
        let before = ledger.extents(&analysis.extents);
        let groups = analysis.groups.iter().zip(&plan.groups);
        let gone: Vec<usize> = groups
            .flat_map(|(group, plan)| plan.removed.iter().map(|&number| group.channels[number]))
            .collect();
        let saved = ledger.saved(&before, &ledger.elements(&analysis, &gone));
        let told = ledger.total(&ledger.extents(&extents));
        assert!((ledger.total(&before) - saved - told).abs() < 1e-6);
        assert!((ledger.total(&before) - of(&model.graph)).abs() < 1e-6);
        plan.apply(&mut model).expect("the plan applies");
        (ledger.total(&before), told, of(&model.graph))
    }

    fn parameters(graph: &Graph) -> f64 {
        let counted = |data: &lapidary_ir::Tensor| data.elem_type() != ElemType::INT64;
        let initializers = graph.initializers().filter(|(_, data)| counted(data));
        initializers.map(|(_, data)| data.len() as f64).sum()
    }

    fn macs(graph: &Graph) -> f64 {
        graph.nodes().filter_map(|(_, node)| node_macs(graph, node)).map(|macs| macs as f64).sum()
    }

    #[test]
    fn a_matrix_that_loses_units_on_both_axes_is_quadratic() {
        let found = costs(
            "g (float[5,1,3] x) => (float[5,1,2] y)
            <float[1,24,3] w, float[1,24,6] r, float[1,48] b, float[6,2] v, int64[1] one = {1}> {
                h = LSTM<hidden_size = 6>(x, w, r, b)
                s = Squeeze(h, one)
                y = MatMul(s, v)
            }",
            parameters,
            Resource::Parameters,
        );
        // W 24 · 3, R 24 · 6, B 48 and V 6 · 2; then 12 · 3, 12 · 3, 24 and 3 · 2.
        assert_eq!(found, (276.0, 102.0, 102.0));
    }

    #[test]
    fn convolutions_of_integers_cost_what_those_of_numbers_cost() {
        let (_, told, found) = costs(
            "g (float[1,3,4,4] x) => (float[1,4,4,4] y)
            <float s = {0.02}, uint8 z = {128}, int8[6,3,1,1] w1, int8[6,3,1,1] w2, int8 wz = {0},
             int8[4,6,1,1] w3> {
                q = QuantizeLinear(x, s, z)
                a = QLinearConv(q, s, z, w1, s, wz, s, z)
                b = QLinearConv<group = 2>(a, s, z, w2, s, wz, s, z)
                c = QLinearConv(b, s, z, w3, s, wz, s, z)
                y = DequantizeLinear(c, s, z)
            }",
            macs,
            Resource::Macs,
        );
        assert_eq!(told, found);
    }
}
