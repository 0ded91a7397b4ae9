//! Which operators run on integers together.
//!
//! [`settle`] and [`before`] decide that for targets that want pairs of `QuantizeLinear` and `DequantizeLinear` behind what is
//! computed and before what is read; [`sharing`] which values have one scale. What is left becomes the plan.
mod before;
mod constants;
mod existing;
#[cfg(test)]
mod existing_tests;
mod settle;
mod sharing;
#[cfg(test)]
mod target_tests;
#[cfg(test)]
mod tests;

use super::calibration::Calibration;
use super::existing::{ALREADY, Existing};
use super::format::IntegerFormat;
use super::placement::{Product, Support, activations, support};
use super::plan::{NodePlacement, QuantizationPlan, ValueQuantization};
use super::range::Range;
use super::ranges::RangeMethod;
use super::settings::QuantizeOptions;
use super::target::{BiasForm, Profile, Side};
use super::weight::{WeightFormat, channel_scales};
use lapidary_ir::{Graph, Node, NodeId, ValueId};
use std::borrow::Cow;

type Reason = Cow<'static, str>;

/// The state of planning.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    calibration: &'a Calibration,
    profile: Profile,
    /// Of activations.
    format: IntegerFormat,
    method: RangeMethod,
    weights: WeightFormat,
    bias: BiasForm,
    order: Vec<NodeId>,
    existing: Existing,
    /// By node.
    support: Vec<Support>,
    /// By node: why it stays in floating point.
    float: Vec<Option<Reason>>,
    /// By node: the one behind it that only limits what it computes.
    limiter: Vec<Option<NodeId>>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        calibration: &'a Calibration,
        options: &QuantizeOptions,
    ) -> Self {
        let order = graph.topological_order();
        let bound = graph.node_bound();
        let profile = options.target.profile();
        let mut planner = Self {
            graph,
            calibration,
            profile,
            format: options.activations(),
            method: options.method,
            weights: options.weights,
            bias: options.bias.unwrap_or(profile.bias),
            existing: Existing::new(graph, &order),
            order,
            support: vec![Support::Float(Reason::Borrowed("")); bound],
            float: vec![None; bound],
            limiter: vec![None; bound],
        };
        let excluded = options.excluded(graph, &planner.order);
        // Without samples, what is quantized already is completed and nothing else is done.
        let complete = calibration.is_empty() && !planner.existing.is_empty();
        for id in planner.order.clone() {
            if planner.existing.contains(id) {
                planner.float[id.index()] = Some(planner.already(id, excluded.contains(&id)));
                continue;
            }
            let found = support(graph, id, options.target);
            planner.float[id.index()] = match &found {
                _ if excluded.contains(&id) => Some("excluded".into()),
                Support::Float(reason) => Some(reason.clone()),
                _ if complete => Some("there are no samples to quantize it with".into()),
                Support::Product(product) => planner.weightless(*product),
                Support::Limits(_) => planner.join(id),
                Support::Arithmetic { .. } | Support::Pool | Support::Movement => None,
            };
            planner.support[id.index()] = found;
        }
        planner
    }

    fn weightless(&self, product: Product) -> Option<Reason> {
        let weights = self.graph.constant(product.weights)?;
        let scales = channel_scales(weights, self.weights.axis(product.axis), self.weights);
        scales.is_none().then(|| "the weights are not finite".into())
    }

    /// Attaches a limiting node to the one that computes what it reads; the reason if there is none.
    fn join(&mut self, id: NodeId) -> Option<Reason> {
        let producer = self.graph[id].input(0).and_then(|input| {
            self.graph.only_use(input)?;
            self.graph.producer(input)
        });
        let computes = |head: &NodeId| {
            let computes = matches!(
                self.support(*head),
                Support::Product(_) | Support::Arithmetic { fixed: None }
            );
            computes && self.is_integer(*head)
        };
        match producer.filter(computes) {
            None => Some("no integer operator computes its input for it alone".into()),
            Some(head) => {
                self.limiter[head.index()] = Some(id);
                None
            }
        }
    }

    fn support(&self, id: NodeId) -> &Support {
        &self.support[id.index()]
    }

    fn is_integer(&self, id: NodeId) -> bool {
        self.float[id.index()].is_none()
    }

    fn is_product(&self, id: NodeId) -> bool {
        matches!(self.support(id), Support::Product(_))
    }

    /// Whether a node has to write integers to run on them.
    fn writes_integers(&self, id: NodeId) -> bool {
        let may_write_float = matches!(self.support(id), Support::Product(p) if p.float_output);
        self.profile.integer_results || !may_write_float
    }

    /// What a node computes, behind the limits if there are any.
    fn results(&self, id: NodeId) -> impl Iterator<Item = ValueId> + '_ {
        let last = self.limiter[id.index()].filter(|&limiter| self.is_integer(limiter));
        self.graph[last.unwrap_or(id)].outputs().iter().flatten().copied()
    }

    /// Takes back what does not fit and writes down the rest.
    pub(super) fn plan(mut self) -> QuantizationPlan {
        let wanted = match self.profile.side {
            Side::Behind => {
                self.settle();
                self.read_or_written()
            }
            Side::Before => self.read(),
        };
        let made = self.order.iter().flat_map(|&id| self.graph[id].outputs().iter().flatten());
        let values = self.graph.inputs().iter().chain(made).copied();
        let values = values.filter(|&id| wanted[id.index()] && !self.graph.value(id).is_unused());
        let values = values.filter_map(|id| self.value(id)).collect();
        let (weights, mut biases) = self.constants();
        let existing = |&&id: &&NodeId| self.float[id.index()].as_deref() == Some(ALREADY);
        let existing = self.order.iter().filter(existing);
        biases.extend(existing.filter_map(|&id| self.existing_bias(id).ok()?));
        let operands = self.constant_operands();
        let place =
            |&id: &NodeId| NodePlacement::new(self.graph, id, self.float[id.index()].as_deref());
        let mut nodes: Vec<NodePlacement> = self.order.iter().map(place).collect();
        self.graph.nodes().for_each(|(_, node)| name_products(node, &mut nodes));
        QuantizationPlan {
            target: self.profile.target,
            nodes,
            values,
            weights,
            biases,
            operands,
            unknown_exclusions: Vec::new(),
        }
    }

    /// The activations operators on integers read, and what they have to write as integers.
    fn read_or_written(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.graph.value_bound()];
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            if matches!(self.support(id), Support::Limits(_)) {
                continue;
            }
            for value in activations(&self.graph[id], self.support(id)) {
                wanted[value.index()] = true;
            }
            if self.writes_integers(id) {
                self.results(id).for_each(|value| wanted[value.index()] = true);
            }
        }
        wanted
    }

    fn value(&self, id: ValueId) -> Option<ValueQuantization> {
        let parameters = self.parameters(id).ok()?;
        let (name, owner) = (self.graph.value(id).name(), self.owner(id));
        let Range { min, max } = self.calibration.range(name).unwrap_or(Range::UNBOUNDED);
        let shares = (owner != id).then(|| self.graph.value(owner).name().to_owned());
        Some(ValueQuantization {
            name: name.to_owned(),
            elem_type: parameters.elem_type.elem_type(),
            scale: parameters.scale,
            zero_point: parameters.zero_point.into(),
            min,
            max,
            shares,
            present: self.existing.is_covered(self.graph, id),
        })
    }
}

/// Names the products in the subgraphs of a node, which stay as they are.
fn name_products(node: &Node, nodes: &mut Vec<NodePlacement>) {
    const REASON: &str = "it is in a subgraph, whose values are not calibrated";
    for graph in node.subgraphs() {
        for (id, inner) in graph.nodes() {
            if matches!(&*inner.op_type, "Conv" | "ConvTranspose" | "Gemm" | "MatMul") {
                nodes.push(NodePlacement::new(graph, id, Some(REASON)));
            }
            name_products(inner, nodes);
        }
    }
}
