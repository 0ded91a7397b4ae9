//! What becomes integers, decided before anything is changed.
use super::calibration::Calibration;
use super::placement::{Limits, Product, Support, activations, support};
use super::range::{Parameters, Range};
use super::weight::{channel_scales, least_weight_scale};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The operator set that brought scales per channel.
const PER_CHANNEL_OPSET: i64 = 13;

/// What the caller decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// Nodes that stay as they are, by name; a node without a name goes by that of its first output.
    pub exclude: Vec<String>,
}

/// Which nodes of a graph run on integers, and with which scales.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizationPlan {
    /// Every node of the main graph, in topological order.
    pub nodes: Vec<NodePlacement>,
    /// The values that are quantized and dequantized once where they are made.
    pub values: Vec<ValueQuantization>,
    /// The constants stored as `int8`.
    pub weights: Vec<WeightQuantization>,
    /// The constants stored as `int32`.
    pub biases: Vec<BiasQuantization>,
    /// Names in [`QuantizeOptions::exclude`] that no node has.
    pub unknown_exclusions: Vec<String>,
}

/// How a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlacement {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op_type: String,
    /// Whether it runs on integers.
    pub integer: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// How a value is quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueQuantization {
    /// The value.
    pub name: String,
    /// The type of the integers.
    pub elem_type: ElemType,
    /// The distance of neighbouring numbers.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: i64,
    /// The smallest number observed.
    pub min: f32,
    /// The largest number observed.
    pub max: f32,
    /// The value whose scale and zero point it shares.
    pub shares: Option<String>,
}

/// How weights are quantized: symmetric, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightQuantization {
    /// The initializer.
    pub name: String,
    /// The axis of the channels.
    pub axis: usize,
    /// The scale of every channel.
    pub scales: Vec<f32>,
    /// Who reads the integers.
    pub readers: Vec<Reader>,
}

/// How a bias is quantized: with the product of the scales of what it is added to.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasQuantization {
    /// The initializer.
    pub name: String,
    /// The scale of every channel.
    pub scales: Vec<f32>,
    /// Who reads the integers.
    pub reader: Reader,
}

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The first output of the node.
    pub output: String,
    /// The input.
    pub slot: usize,
}

impl QuantizationPlan {
    /// Decides what becomes integers in a graph whose types are inferred.
    #[must_use]
    pub fn new(graph: &Graph, calibration: &Calibration, options: &QuantizeOptions) -> Self {
        let order = graph.topological_order();
        let unknown_exclusions = unknown(graph, &options.exclude);
        if let Some(reason) = refusal(graph) {
            let nodes = order.iter().map(|&id| placement(graph, id, Some(&reason))).collect();
            return Self { nodes, unknown_exclusions, ..Self::default() };
        }
        let mut planner = Planner::new(graph, calibration, options, order);
        planner.settle();
        Self { unknown_exclusions, ..planner.finish() }
    }

    /// Whether nothing becomes integers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.weights.is_empty()
    }

    /// The nodes that run on integers.
    #[must_use]
    pub fn integer_nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.integer).count()
    }
}

/// Why a graph as a whole stays as it is.
fn refusal(graph: &Graph) -> Option<String> {
    let opset = graph.opset();
    if opset < PER_CHANNEL_OPSET {
        return Some(format!(
            "per-axis DequantizeLinear needs opset {PER_CHANNEL_OPSET}, the model has {opset}"
        ));
    }
    let quantized = graph.nodes().any(|(_, node)| {
        let op_type = node.op_type.as_str();
        op_type.ends_with("QuantizeLinear")
            || op_type.ends_with("DequantizeLinear")
            || op_type.starts_with("QLinear")
            || op_type.ends_with("Integer")
    });
    quantized.then(|| "the model is already quantized".to_owned())
}

fn unknown(graph: &Graph, names: &[String]) -> Vec<String> {
    let known = |name: &&String| graph.nodes().any(|(_, node)| node.label(graph) == name.as_str());
    names.iter().filter(|name| !known(name)).cloned().collect()
}

fn placement(graph: &Graph, id: NodeId, reason: Option<&str>) -> NodePlacement {
    NodePlacement {
        node: graph[id].label(graph).to_owned(),
        op_type: graph[id].op_type.clone(),
        integer: reason.is_none(),
        reason: reason.map(str::to_owned),
    }
}

type Reason = Cow<'static, str>;

/// Starts with every operator that can run on integers and takes back what does not fit its surroundings.
struct Planner<'a> {
    graph: &'a Graph,
    calibration: &'a Calibration,
    order: Vec<NodeId>,
    /// By node.
    support: Vec<Support>,
    /// By node: why it stays in floating point.
    float: Vec<Option<Reason>>,
    /// By node: the one behind it that only limits what it computes.
    limiter: Vec<Option<NodeId>>,
}

impl<'a> Planner<'a> {
    fn new(
        graph: &'a Graph,
        calibration: &'a Calibration,
        options: &QuantizeOptions,
        order: Vec<NodeId>,
    ) -> Self {
        let bound = graph.node_bound();
        let mut planner = Self {
            graph,
            calibration,
            order,
            support: vec![Support::Float(Reason::Borrowed("")); bound],
            float: vec![None; bound],
            limiter: vec![None; bound],
        };
        for id in planner.order.clone() {
            let found = support(graph, id);
            planner.float[id.index()] = match &found {
                _ if options.exclude.iter().any(|name| name == graph[id].label(graph)) => {
                    Some("excluded".into())
                }
                Support::Float(reason) => Some(reason.clone()),
                Support::Product(product) => planner.weightless(*product),
                Support::Limits(_) => planner.join(id),
                Support::Arithmetic { .. } | Support::Movement => None,
            };
            planner.support[id.index()] = found;
        }
        planner
    }

    fn weightless(&self, product: Product) -> Option<Reason> {
        let weights = self.graph.constant(product.weights)?;
        let scales = channel_scales(weights, product.axis);
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

    /// Whether a node that runs on integers reads a value as an activation.
    fn is_wanted(&self, value: ValueId) -> bool {
        self.graph.consumers(value).any(|reader| {
            self.is_integer(reader)
                && !matches!(self.support(reader), Support::Limits(_))
                && activations(&self.graph[reader], self.support(reader)).any(|read| read == value)
        })
    }

    /// What a node computes, behind the limits if there are any.
    fn results(&self, id: NodeId) -> impl Iterator<Item = ValueId> + '_ {
        let last = self.limiter[id.index()].filter(|&limiter| self.is_integer(limiter));
        self.graph[last.unwrap_or(id)].outputs().iter().flatten().copied()
    }

    /// Takes nodes back until all others fit together.
    fn settle(&mut self) {
        loop {
            let mut changed = false;
            for id in self.order.clone() {
                if self.is_integer(id)
                    && let Some(reason) = self.obstacle(id)
                {
                    self.float[id.index()] = Some(reason);
                    changed = true;
                }
            }
            changed |= self.leave_islands();
            if !changed {
                return;
            }
        }
    }

    /// Why a node can't run on integers between its present neighbours.
    fn obstacle(&self, id: NodeId) -> Option<Reason> {
        let node = &self.graph[id];
        let found = self.support(id);
        if let Support::Limits(_) = found {
            return self.limits_obstacle(id);
        }
        let mut inputs = activations(node, found);
        if let Some(reason) = inputs.find_map(|value| self.unquantizable(value)) {
            return Some(reason);
        }
        let on_integers = |value: ValueId| match self.graph.producer(value) {
            Some(producer) => self.is_integer(producer),
            None => self.graph.value(value).is_input(),
        };
        if !self.is_product(id) && !activations(node, found).any(on_integers) {
            return Some("what it reads is not computed on integers".into());
        }
        let unread = |value: ValueId| self.graph.consumers(value).next().is_none();
        if *found == Support::Movement && self.results(id).all(unread) {
            return Some("only the caller reads what it moves".into());
        }
        let may_write_float = matches!(found, Support::Product(product) if product.float_output);
        let mut results = self.results(id);
        if may_write_float && !results.any(|value| self.is_wanted(value)) {
            return None;
        }
        self.results(id).find_map(|value| self.unquantizable(value))
    }

    /// Why limits have to be computed: not when the quantization right behind them implies them.
    fn limits_obstacle(&self, id: NodeId) -> Option<Reason> {
        let producer = self.graph[id].input(0).and_then(|input| self.graph.producer(input));
        let Some(head) = producer.filter(|&head| self.is_integer(head)) else {
            return Some("what it reads is not computed on integers".into());
        };
        let may_write_float = matches!(self.support(head), Support::Product(p) if p.float_output);
        let wanted = self.graph[id].output(0).is_some_and(|value| self.is_wanted(value));
        if may_write_float && !wanted {
            return Some("its result is not read as integers".into());
        }
        let output = self.graph[id].output(0)?;
        self.unquantizable(output)
    }

    /// Takes back groups of neighbouring nodes that multiply by no weights: not worth a quantization.
    fn leave_islands(&mut self) -> bool {
        let mut mainland = vec![false; self.support.len()];
        let mut waiting: Vec<NodeId> = self.order.clone();
        waiting.retain(|&id| self.is_integer(id) && self.is_product(id));
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut mainland[id.index()], true) {
                continue;
            }
            let node = &self.graph[id];
            let before = activations(node, self.support(id)).filter_map(|v| self.graph.producer(v));
            let after = node.outputs().iter().flatten().flat_map(|&v| self.graph.consumers(v));
            waiting.extend(before.chain(after).filter(|&next| self.is_integer(next)));
        }
        let mut changed = false;
        for &id in &self.order {
            if self.float[id.index()].is_none() && !mainland[id.index()] {
                self.float[id.index()] = Some("no Conv, Gemm or MatMul on integers is near".into());
                changed = true;
            }
        }
        changed
    }

    /// The value whose parameters a value has: itself unless it is moved from elsewhere.
    fn origin(&self, mut value: ValueId) -> ValueId {
        while let Some(producer) = self.graph.producer(value)
            && self.is_integer(producer)
            && *self.support(producer) == Support::Movement
            && let Some(input) = self.graph[producer].input(0)
        {
            value = input;
        }
        value
    }

    /// The parameters of a value, or why there are none.
    fn parameters(&self, value: ValueId) -> Result<Parameters, Reason> {
        let origin = self.origin(value);
        let name = self.graph.value(origin).name();
        let maker = self.graph.producer(origin).filter(|&maker| self.is_integer(maker));
        if let Some(Support::Arithmetic { fixed: Some(parameters) }) =
            maker.map(|id| self.support(id))
        {
            return Ok(*parameters);
        }
        let found = self.calibration.parameters(name);
        let found = found.map_err(|error| Reason::from(format!("`{name}` {error}")))?;
        match maker.map(|id| self.support(id)) {
            Some(&Support::Limits(Limits { low, high })) => {
                let within = found.within(low, high);
                within.ok_or_else(|| format!("`{name}` has no scale within its limits").into())
            }
            _ => Ok(found),
        }
    }

    fn unquantizable(&self, value: ValueId) -> Option<Reason> {
        let (found, name) = (self.graph.value(value), self.graph.value(value).name());
        if found.initializer().is_some() {
            return Some(format!("`{name}` is constant").into());
        }
        match found.elem_type() {
            Some(ElemType::FLOAT) | None => self.parameters(value).err(),
            Some(other) => Some(format!("`{name}` is {other}").into()),
        }
    }
}

impl Planner<'_> {
    fn finish(self) -> QuantizationPlan {
        let mut wanted = vec![false; self.graph.value_bound()];
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            if matches!(self.support(id), Support::Limits(_)) {
                continue;
            }
            for value in activations(&self.graph[id], self.support(id)) {
                wanted[value.index()] = true;
            }
            let may_write_float = matches!(self.support(id), Support::Product(p) if p.float_output);
            if !may_write_float {
                self.results(id).for_each(|value| wanted[value.index()] = true);
            }
        }
        let made = self.order.iter().flat_map(|&id| self.graph[id].outputs().iter().flatten());
        let values = self.graph.inputs().iter().chain(made).copied();
        let values =
            values.filter(|id| wanted[id.index()]).filter_map(|id| self.value(id)).collect();
        let (weights, biases) = self.constants();
        let place = |&id: &NodeId| placement(self.graph, id, self.float[id.index()].as_deref());
        QuantizationPlan {
            nodes: self.order.iter().map(place).collect(),
            values,
            weights,
            biases,
            unknown_exclusions: Vec::new(),
        }
    }

    fn value(&self, id: ValueId) -> Option<ValueQuantization> {
        let Parameters { scale, zero_point } = self.parameters(id).ok()?;
        let (name, origin) = (self.graph.value(id).name(), self.origin(id));
        let unknown = Range { min: f32::NEG_INFINITY, max: f32::INFINITY };
        let Range { min, max } = self.calibration.range(name).unwrap_or(unknown);
        let shares = (origin != id).then(|| self.graph.value(origin).name().to_owned());
        let (name, elem_type) = (name.to_owned(), ElemType::UINT8);
        let zero_point = i64::from(zero_point);
        Some(ValueQuantization { name, elem_type, scale, zero_point, min, max, shares })
    }

    /// Weights first, since a bias may need the scale of its weights larger; then biases.
    fn constants(&self) -> (Vec<WeightQuantization>, Vec<BiasQuantization>) {
        let mut weights: BTreeMap<(ValueId, usize), WeightQuantization> = BTreeMap::new();
        let mut biased = Vec::new();
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            let Support::Product(product) = *self.support(id) else { continue };
            let (Some(tensor), Some(input)) =
                (self.graph.constant(product.weights), self.graph[id].input(0))
            else {
                continue;
            };
            let Some(scales) = channel_scales(tensor, product.axis) else { continue };
            let Ok(parameters) = self.parameters(input) else { continue };
            let planned = weights.entry((product.weights, product.axis));
            let planned = planned.or_insert_with(|| WeightQuantization {
                name: self.graph.value(product.weights).name().to_owned(),
                axis: product.axis,
                scales,
                readers: Vec::new(),
            });
            planned.readers.push(self.reader(id, 1));
            let bias = product.bias.and_then(|bias| self.graph.constant(bias)?.to_vec::<f32>());
            for (channel, scale) in planned.scales.iter_mut().enumerate() {
                let bias = bias.as_ref().map_or(0.0, |bias| bias[channel]);
                *scale = scale.max(least_weight_scale(bias, parameters.scale));
            }
            if let Some(bias) = product.bias {
                biased.push((id, product, bias, parameters.scale));
            }
        }
        let scales = |product: Product| &weights[&(product.weights, product.axis)].scales;
        let bias = |&(id, product, bias, input_scale): &(NodeId, Product, ValueId, f32)| {
            BiasQuantization {
                name: self.graph.value(bias).name().to_owned(),
                scales: scales(product).iter().map(|scale| input_scale * scale).collect(),
                reader: self.reader(id, 2),
            }
        };
        let biases = biased.iter().map(bias).collect();
        (weights.into_values().collect(), biases)
    }

    fn reader(&self, id: NodeId, slot: usize) -> Reader {
        let output = self.graph[id].outputs().iter().flatten().next();
        let output = output.map_or("", |&output| self.graph.value(output).name());
        Reader { output: output.to_owned(), slot }
    }
}

impl fmt::Display for QuantizationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} nodes run on integers", self.integer_nodes(), self.nodes.len())?;
        for NodePlacement { node, op_type, integer: _, reason } in &self.nodes {
            match reason {
                None => writeln!(f, "  {op_type} `{node}`: integer")?,
                Some(reason) => writeln!(f, "  {op_type} `{node}`: float, {reason}")?,
            }
        }
        for value in &self.values {
            let ValueQuantization { name, elem_type, scale, zero_point, min, max, shares } = value;
            write!(f, "value `{name}`: {elem_type}, ")?;
            match shares {
                Some(origin) => writeln!(f, "scale and zero point of `{origin}`")?,
                None => {
                    writeln!(f, "scale {scale}, zero point {zero_point}, observed {min} to {max}")?
                }
            }
        }
        for WeightQuantization { name, axis, scales, readers: _ } in &self.weights {
            let (least, most) = ends(scales);
            writeln!(f, "weights `{name}`: int8, axis {axis}, scales {least} to {most}")?;
        }
        for BiasQuantization { name, scales, reader: _ } in &self.biases {
            let (least, most) = ends(scales);
            writeln!(f, "bias `{name}`: int32, scales {least} to {most}")?;
        }
        for name in &self.unknown_exclusions {
            writeln!(f, "no node is called `{name}`")?;
        }
        Ok(())
    }
}

fn ends(scales: &[f32]) -> (f32, f32) {
    scales
        .iter()
        .fold((f32::INFINITY, 0.0), |(least, most), &scale| (least.min(scale), most.max(scale)))
}
