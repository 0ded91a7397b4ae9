//! Which operators run on integers together.
//!
//! Every operator that can run on integers does at first; those that don't fit their neighbours are taken
//! back one after another, until all others fit. What is left becomes the plan.
use super::calibration::Calibration;
use super::format::IntegerFormat;
use super::placement::{Product, Support, activations, support};
use super::plan::{
    BiasQuantization, NodePlacement, QuantizationPlan, QuantizeOptions, Reader, ValueQuantization,
    WeightQuantization,
};
use super::range::{Limits, Parameters, Range};
use super::ranges::RangeMethod;
use super::weight::{channel_scales, least_weight_scale};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

type Reason = Cow<'static, str>;

/// The state of planning.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    calibration: &'a Calibration,
    method: RangeMethod,
    order: Vec<NodeId>,
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
        let mut planner = Self {
            graph,
            calibration,
            method: options.method,
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

    /// Takes back what is not worth a quantization: a node that neither works on what a Conv has to quantize
    /// anyway nor prepares what a product reads. The products that can write floating-point numbers then do.
    fn leave_islands(&mut self) -> bool {
        let forced = |id: &NodeId| matches!(self.support(*id), Support::Product(product) if !product.float_output);
        let integers = || self.order.iter().copied().filter(|&id| self.is_integer(id));
        let readers = |id: NodeId| {
            let results = self.graph[id].outputs().iter().flatten();
            let readers = results.flat_map(|&value| self.graph.consumers(value));
            readers.filter(|&reader| !self.is_product(reader)).collect::<Vec<_>>()
        };
        let mut worthwhile = self.reached(integers().filter(forced).collect(), readers);
        let products = integers().filter(|&id| self.is_product(id));
        worthwhile.extend(products);
        let makers = |id: NodeId| {
            let read = activations(&self.graph[id], self.support(id));
            read.filter_map(|value| self.graph.producer(value)).collect::<Vec<_>>()
        };
        let worthwhile = self.reached(worthwhile.into_iter().collect(), makers);
        let islands: Vec<NodeId> = integers().filter(|id| !worthwhile.contains(id)).collect();
        for &id in &islands {
            let reason = "it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers";
            self.float[id.index()] = Some(reason.into());
        }
        !islands.is_empty()
    }

    /// The nodes on integers that are reached from some of them step by step.
    fn reached<N>(&self, mut waiting: Vec<NodeId>, step: impl Fn(NodeId) -> N) -> BTreeSet<NodeId>
    where
        N: IntoIterator<Item = NodeId>,
    {
        let mut reached = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if self.is_integer(id) && reached.insert(id) {
                waiting.extend(step(id));
            }
        }
        reached
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
        let limits = match maker.map(|id| self.support(id)) {
            Some(&Support::Limits(limits)) => limits,
            _ => Limits::NONE,
        };
        let found = self.calibration.parameters(name, IntegerFormat::UINT8, self.method, limits);
        found.map_err(|error| Reason::from(format!("`{name}` {error}")))
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
    /// Takes back what does not fit and writes down the rest.
    pub(super) fn plan(mut self) -> QuantizationPlan {
        self.settle();
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
        let values = values.filter(|&id| wanted[id.index()] && !self.graph.value(id).is_unused());
        let values = values.filter_map(|id| self.value(id)).collect();
        let (weights, biases) = self.constants();
        let place =
            |&id: &NodeId| NodePlacement::new(self.graph, id, self.float[id.index()].as_deref());
        QuantizationPlan {
            nodes: self.order.iter().map(place).collect(),
            values,
            weights,
            biases,
            unknown_exclusions: Vec::new(),
        }
    }

    fn value(&self, id: ValueId) -> Option<ValueQuantization> {
        let Parameters { scale, zero_point, elem_type } = self.parameters(id).ok()?;
        let (name, origin) = (self.graph.value(id).name(), self.origin(id));
        let Range { min, max } = self.calibration.range(name).unwrap_or(Range::UNBOUNDED);
        let shares = (origin != id).then(|| self.graph.value(origin).name().to_owned());
        let (name, elem_type) = (name.to_owned(), elem_type.elem_type());
        let zero_point = i64::from(zero_point);
        Some(ValueQuantization { name, elem_type, scale, zero_point, min, max, shares })
    }

    /// Weights first, since a bias may need the scale of its weights larger; then biases.
    fn constants(&self) -> (Vec<WeightQuantization>, Vec<BiasQuantization>) {
        let mut weights: Vec<WeightQuantization> = Vec::new();
        let mut known: BTreeMap<(ValueId, usize), usize> = BTreeMap::new();
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
            let index = *known.entry((product.weights, product.axis)).or_insert_with(|| {
                let name = self.graph.value(product.weights).name().to_owned();
                weights.push(WeightQuantization {
                    name,
                    axis: product.axis,
                    scales,
                    readers: Vec::new(),
                });
                weights.len() - 1
            });
            weights[index].readers.push(self.reader(id, 1));
            let bias = product.bias.and_then(|bias| self.graph.constant(bias)?.to_vec::<f32>());
            for (channel, scale) in weights[index].scales.iter_mut().enumerate() {
                let bias = bias.as_ref().map_or(0.0, |bias| bias[channel]);
                *scale = scale.max(least_weight_scale(bias, parameters.scale));
            }
            if let Some(bias) = product.bias {
                biased.push((id, bias, index, parameters.scale));
            }
        }
        let bias =
            |(id, bias, index, input_scale): (NodeId, ValueId, usize, f32)| BiasQuantization {
                name: self.graph.value(bias).name().to_owned(),
                scales: weights[index].scales.iter().map(|scale| input_scale * scale).collect(),
                reader: self.reader(id, 2),
            };
        let biases = biased.into_iter().map(bias).collect();
        (weights, biases)
    }

    fn reader(&self, id: NodeId, slot: usize) -> Reader {
        let output = self.graph[id].outputs().iter().flatten().next();
        let output = output.map_or("", |&output| self.graph.value(output).name());
        Reader { output: output.to_owned(), slot }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calibration, model, plan};
    use super::*;
    use insta::assert_snapshot;

    const CONV_RELU: &str = "
        g (float[1,2,4,4] x) => (float[1,1,4,4] y)
        <float[2,2,1,1] w1 = {127, 0, 0, 254}, float[2] b1 = {1, 2}, float[1,2,1,1] w2 = {1, 127}>
        {
            c = Conv(x, w1, b1)
            r = Relu(c)
            y = Conv(r, w2)
        }
    ";

    #[test]
    fn a_conv_and_its_relu_are_one_unit() {
        assert_snapshot!(plan(CONV_RELU, &[("r", 0.0, 510.0)]), @r"
        3 of 3 nodes run on integers
          Conv `c`: integer
          Relu `r`: integer
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `r`: uint8, scale 2, zero point 0, observed 0 to 510
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 2
        weights `w2`: int8, axis 0, scales 1 to 1
        bias `b1`: int32, scales 1 to 2
        ");
    }

    #[test]
    fn limits_cap_the_range_they_are_absorbed_in() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[1,1,1,1] w = {127}, float low = {0}, float high = {6}>
            {
                c = Conv(x, w)
                r = Clip(c, low, high)
                y = Conv(r, w)
            }
        ";
        let plan = plan(source, &[("r", 0.0, 6.000_001)]);
        assert_eq!(plan.integer_nodes(), 3);
        let r = plan.values.iter().find(|value| value.name == "r").expect("it is quantized");
        assert_eq!(r.zero_point, 0);
        assert!(r.scale * 255.0 <= 6.0);
    }

    #[test]
    fn limits_without_zero_between_them_are_computed() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[1,1,1,1] w = {127}, float low = {1}, float high = {6}>
            {
                c = Conv(x, w)
                r = Clip(c, low, high)
                y = Conv(r, w)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        2 of 3 nodes run on integers
          Conv `c`: integer
          Clip `r`: float, 0 is not between the limits
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        value `r`: uint8, scale 1, zero point 128, observed -128 to 127
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn limits_that_are_computed_themselves_stay() {
        let source = "
            g (float[1,1,4,4] x, float high) => (float[1,1,4,4] y)
            <float[1,1,1,1] w = {127}>
            {
                c = Conv(x, w)
                y = Clip(c, , high)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        1 of 2 nodes run on integers
          Conv `c`: integer
          Clip `y`: float, the limits are not constant
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn a_residual_is_added_on_integers_with_its_relu() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}, float[1,1,1,1] w3 = {127}>
            {
                a = Conv(x, w1)
                ra = Relu(a)
                b = Conv(ra, w2)
                s = Add(b, ra)
                r = Relu(s)
                y = Conv(r, w3)
            }
        ";
        assert_snapshot!(plan(source, &[("ra", 0.0, 255.0), ("r", 0.0, 510.0)]), @r"
        6 of 6 nodes run on integers
          Conv `a`: integer
          Relu `ra`: integer
          Conv `b`: integer
          Add `s`: integer
          Relu `r`: integer
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `ra`: uint8, scale 1, zero point 0, observed 0 to 255
        value `b`: uint8, scale 1, zero point 128, observed -128 to 127
        value `r`: uint8, scale 2, zero point 0, observed 0 to 510
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 0, scales 1 to 1
        weights `w3`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn what_moves_numbers_shares_their_scale() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,1,2] y)
            <float[1,1,1,1] w1 = {127}, float[1,2,1,1] w2 = {127, 1}, int64[4] shape = {1, 2, 1, 2}>
            {
                a = Conv(x, w1)
                p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
                r = Reshape(p, shape)
                y = Conv(r, w2)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        4 of 4 nodes run on integers
          Conv `a`: integer
          MaxPool `p`: integer
          Reshape `r`: integer
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `a`: uint8, scale 1, zero point 128, observed -128 to 127
        value `p`: uint8, scale and zero point of `a`
        value `r`: uint8, scale and zero point of `a`
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn a_pool_whose_indices_are_wanted_stays() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i)
            <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}>
            {
                a = Conv(x, w1)
                p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
                y = Conv(p, w2)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        2 of 3 nodes run on integers
          Conv `a`: integer
          MaxPool `p`: float, the indices of the largest numbers are wanted
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `a`: uint8, scale 1, zero point 128, observed -128 to 127
        value `p`: uint8, scale 1, zero point 128, observed -128 to 127
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn the_gate_of_a_silu_has_a_fixed_scale() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[1,1,1,1] w1 = {127}, float[1,1,1,1] w2 = {127}>
            {
                c = Conv(x, w1)
                gate = Sigmoid(c)
                m = Mul(c, gate)
                y = Conv(m, w2)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        4 of 4 nodes run on integers
          Conv `c`: integer
          Sigmoid `gate`: integer
          Mul `m`: integer
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        value `gate`: uint8, scale 0.00390625, zero point 0, observed -128 to 127
        value `m`: uint8, scale 1, zero point 128, observed -128 to 127
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn a_concat_is_quantized_whole_or_not_at_all() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y, float[1,2,4,4] z)
            <float[1,1,1,1] w1 = {127}, float[1,2,1,1] w2 = {127, 1}, float[1,1,4,4] k>
            {
                a = Conv(x, w1)
                j = Concat<axis = 1>(x, a)
                y = Conv(j, w2)
                z = Concat<axis = 1>(a, k)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        3 of 4 nodes run on integers
          Conv `a`: integer
          Concat `j`: integer
          Conv `y`: integer
          Concat `z`: float, `k` is constant
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `a`: uint8, scale 1, zero point 128, observed -128 to 127
        value `j`: uint8, scale 1, zero point 128, observed -128 to 127
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn the_last_gemm_writes_floats() {
        let source = "
            g (float[1,2] x) => (float[1,2] y, float[1,2] z)
            <float[2,2] w = {127, 1, 254, 1}, float[2] b = {1, 2}>
            {
                h = Gemm<transB = 1>(x, w, b)
                r = Relu(h)
                y = MatMul(r, w)
                z = Gemm<alpha = 2.0>(r, w)
            }
        ";
        assert_snapshot!(plan(source, &[("r", 0.0, 255.0)]), @r"
        3 of 4 nodes run on integers
          Gemm `h`: integer
          Relu `r`: integer
          MatMul `y`: integer
          Gemm `z`: float, alpha or beta is not 1
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `r`: uint8, scale 1, zero point 0, observed 0 to 255
        weights `w`: int8, axis 0, scales 1 to 2
        weights `w`: int8, axis 1, scales 0.007874016 to 2
        bias `b`: int32, scales 1 to 2
        ");
    }

    #[test]
    fn operators_without_integer_kernels_read_and_write_floats() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1] y, float[1,1,4,4] z)
            <float[1,1,1,1] w = {127}, float[1,1] w2 = {127}, int64[2] axes = {2, 3}>
            {
                c = Conv(x, w)
                m = ReduceMean<keepdims = 0>(c, axes)
                y = Gemm(m, w2)
                t = Tanh(c)
                z = ConvTranspose(t, w)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        2 of 5 nodes run on integers
          Conv `c`: integer
          ReduceMean `m`: float, ONNX Runtime computes ReduceMean in floating point
          Gemm `y`: integer
          Tanh `t`: float, ONNX Runtime computes Tanh in floating point
          ConvTranspose `z`: float, ONNX Runtime has no integer kernel for ConvTranspose
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        value `m`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w`: int8, axis 0, scales 1 to 1
        weights `w2`: int8, axis 1, scales 1 to 1
        ");
    }

    #[test]
    fn arithmetic_far_from_products_stays() {
        let source = "
            g (float[1,4] x) => (float[1,4] y)
            {
                s = Add(x, x)
                y = Sigmoid(s)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        0 of 2 nodes run on integers
          Add `s`: float, it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers
          Sigmoid `y`: float, it neither follows a Conv nor feeds a Conv, Gemm or MatMul on integers
        ");
    }

    #[test]
    fn a_product_whose_result_is_not_read_as_integers_writes_floats() {
        let source = "
            g (float[1,4,4] x) => (float[1,4,4] y)
            <float[4,4] w1, float[4,4] w2, int64[3] shape = {1, 4, 4}>
            {
                m = MatMul(x, w1)
                r = Reshape(m, shape)
                s = Add(r, x)
                t = Tanh(s)
                y = MatMul(t, w2)
            }
        ";
        let plan = plan(source, &[]);
        let integers: Vec<&str> =
            plan.nodes.iter().filter(|node| node.integer).map(|node| node.node.as_str()).collect();
        assert_eq!(integers, ["m", "y"]);
        let values: Vec<&str> = plan.values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(values, ["x", "t"]);
    }

    #[test]
    fn what_is_always_zero_or_not_finite_is_not_quantized() {
        let dead = plan(CONV_RELU, &[("r", 0.0, 0.0)]);
        assert_snapshot!(dead, @r"
        0 of 3 nodes run on integers
          Conv `c`: float, `r` is always 0
          Relu `r`: float, what it reads is not computed on integers
          Conv `y`: float, `r` is always 0
        ");
        let infinite = plan(CONV_RELU, &[("x", f32::NEG_INFINITY, 1.0)]);
        assert_eq!(infinite.nodes[0].reason.as_deref(), Some("`x` has a range that is not finite"));
        let unknown = model(CONV_RELU);
        let unknown =
            QuantizationPlan::new(&unknown.graph, &Calibration::EMPTY, &QuantizeOptions::default());
        assert_eq!(unknown.nodes[0].reason.as_deref(), Some("`x` was not observed"));
        assert!(unknown.is_empty());
    }

    #[test]
    fn an_excluded_node_stays_with_what_only_it_needs() {
        let model = model(CONV_RELU);
        let exclude = vec!["r".to_owned(), "nothing".to_owned()];
        let options = QuantizeOptions { exclude, ..QuantizeOptions::default() };
        let plan = QuantizationPlan::new(&model.graph, &calibration(&model, &[]), &options);
        assert_snapshot!(plan, @r"
        2 of 3 nodes run on integers
          Conv `c`: integer
          Relu `r`: float, excluded
          Conv `y`: integer
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        value `r`: uint8, scale 1, zero point 128, observed -128 to 127
        value `y`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w1`: int8, axis 0, scales 1 to 2
        weights `w2`: int8, axis 0, scales 1 to 1
        bias `b1`: int32, scales 1 to 2
        no node is called `nothing`
        ");
    }

    #[test]
    fn an_old_operator_set_is_refused() {
        let old = format!("<ir_version: 6, opset_import: [\"\" : 11]>{CONV_RELU}");
        let plan = plan(&old, &[]);
        assert!(plan.is_empty());
        let expected = "per-axis DequantizeLinear needs opset 13, the model has 11";
        assert!(plan.nodes.iter().all(|node| node.reason.as_deref() == Some(expected)));
    }

    #[test]
    fn an_old_format_is_refused() {
        let old = model(&format!("<ir_version: 6, opset_import: [\"\" : 13]>{CONV_RELU}"));
        let ranges = calibration(&old, &[]);
        let plan = QuantizationPlan::of_model(&old, &ranges, &QuantizeOptions::default());
        assert!(plan.is_empty());
        let expected = "per-axis DequantizeLinear needs IR version 7, the model has 6";
        assert!(plan.nodes.iter().all(|node| node.reason.as_deref() == Some(expected)));
    }

    #[test]
    fn products_of_another_form_stay() {
        let source = "
            g (float[2,2] x, float[2] c, float16[2,2] k, float[2,4] o) => (
                float[2,2] y1, float[2,2] y2, float[2,2] y3, float16[2,2] y4, float[2,2,2] y5, float[2,2] y6,
                float[2] y7
            )
            <float[2,2] w, float[1,2] b, float16[2,2] u, float[2,2,2] t, float[2] v>
            {
                y1 = Gemm(x, x)
                y2 = Gemm(x, w, c)
                y3 = Gemm(x, w, b)
                y4 = MatMul(k, u)
                y5 = MatMul(x, t)
                y6 = Gemm<transA = 1>(x, w)
                y7 = MatMul(x, v)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        0 of 7 nodes run on integers
          Gemm `y1`: float, the right operand is not constant
          Gemm `y2`: float, the bias is not constant
          Gemm `y3`: float, the bias is not one number per channel
          MatMul `y4`: float, the weights are float16
          MatMul `y5`: float, the weights are not a matrix
          Gemm `y6`: float, the left operand is transposed
          MatMul `y7`: float, the weights have no channels
        ");
    }

    #[test]
    fn pools_and_interpolations_without_kernels_stay() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,2,2] p, float[1,1,8,8] r, float[1,1,4,4] s)
            <float[1,1,1,1] w = {127}, float[4] scales = {1, 1, 2, 2}>
            {
                c = Conv(x, w)
                p = AveragePool<kernel_shape = [2, 2], dilations = [2, 2]>(c)
                r = Resize<mode = \"linear\">(c, , scales)
                s = Softmax(c)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        1 of 4 nodes run on integers
          Conv `c`: integer
          AveragePool `p`: float, the pool is dilated
          Resize `r`: float, ONNX Runtime interpolates in floating point
          Softmax `s`: float, a step of 1/256 is too coarse for the tail of Softmax
        value `x`: uint8, scale 1, zero point 128, observed -128 to 127
        value `c`: uint8, scale 1, zero point 128, observed -128 to 127
        weights `w`: int8, axis 0, scales 1 to 1
        ");
    }

    #[test]
    fn a_large_bias_widens_the_scale_of_its_channel() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,2,4,4] y)
            <float[2,1,1,1] w = {127, 127}, float[2] b = {1, 4294967296}>
            {
                y = Conv(x, w, b)
            }
        ";
        let plan = plan(source, &[]);
        assert_eq!(plan.weights[0].scales, [1.0, 4.0]);
        assert_eq!(plan.biases[0].scales, [1.0, 4.0]);
    }

    #[test]
    fn weights_that_are_not_finite_stay() {
        let source = "
            g (float[1,2] x, float[2] c) => (float[1,1] y, float[1,1] z, float[1,2] v)
            <float[2,1] w = {1, inf}, float[2,1] u, float[2] b = {1, nan}, float[2,2] t>
            {
                y = MatMul(x, w)
                z = Gemm<transA = 1>(u, u)
                v = Gemm(x, t, b)
            }
        ";
        assert_snapshot!(plan(source, &[]), @r"
        0 of 3 nodes run on integers
          MatMul `y`: float, the weights are not finite
          Gemm `z`: float, the left operand is constant
          Gemm `v`: float, the bias is not finite
        ");
    }
}
