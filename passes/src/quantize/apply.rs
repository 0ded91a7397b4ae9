//! Carries out a plan.
use super::plan::{QuantizationPlan, Reader, ValueQuantization, WeightQuantization};
use super::range::Parameters;
use super::static_qdq::QuantizeStaticQdq;
use super::weight::{
    integers, quantize_bias, quantize_operand, quantize_weights, stored, zero_weights,
};
use crate::eliminate::EliminateConsecutiveQuantizations;
use crate::{Context, PassError, driver};
use lapidary_ir::{Graph, Model, NewNode, NodeId, Operand, Patch, Port, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

impl QuantizationPlan {
    /// Inserts `QuantizeLinear` and `DequantizeLinear` and stores weights and biases as integers.
    ///
    /// A quantized value keeps its name on the dequantized side, where every reader and the caller of the
    /// model find it; what its producer computes is called `…_float`. What is quantized already stays as it is.
    ///
    /// # Errors
    /// When the plan was made for another graph.
    pub fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = &mut model.graph;
        let patch = self.constants(graph);
        apply(graph, patch)?;
        let patch = self.activations(graph);
        apply(graph, patch)?;
        graph.infer();
        // A value that some read quantized before has its new pair in front of the one it had.
        if self.quantized_already().next().is_some() {
            let rule = EliminateConsecutiveQuantizations {};
            driver::run_rules(&[&rule], model, &mut Context::default())?;
            model.graph.infer();
        }
        Ok(())
    }

    /// Weights and biases.
    fn constants(&self, graph: &Graph) -> Patch {
        let mut patch = Patch::default();
        let mut names = NodeNames::new(graph);
        for weights in &self.weights {
            let tensor = graph.find(&weights.name).and_then(|id| graph.constant(id));
            let WeightQuantization { name, axis, format, scales, codes, .. } = weights;
            let quantized = tensor.and_then(|tensor| {
                let quantized = match codes {
                    Some(codes) => stored(tensor.dims(), codes, *format)?,
                    None => quantize_weights(tensor, *axis, scales, *format)?,
                };
                Some((quantized, zero_weights(scales.len(), *axis, *format)?))
            });
            let Some((quantized, zero_point)) = quantized else { continue };
            let node = dequantize(&mut patch, &mut names, name, quantized, scales, *axis);
            let zero_point = patch.initializer(format!("{}_zero_point", weights.name), zero_point);
            let dequantized = patch.node(node.input(zero_point));
            for reader in &weights.readers {
                read(&mut patch, graph, reader, dequantized);
            }
        }
        for bias in &self.biases {
            let tensor = graph.find(&bias.name).and_then(|id| graph.constant(id));
            let given = bias.values.as_ref().map(|values| Tensor::vector(values));
            let tensor = given.as_ref().or(tensor.map(|tensor| &**tensor));
            if bias.scales.is_empty() {
                if let Some(given) = given {
                    let float = patch.initializer(bias.name.clone(), given);
                    read(&mut patch, graph, &bias.reader, float);
                }
                continue;
            }
            let Some(quantized) = tensor.and_then(|tensor| quantize_bias(tensor, &bias.scales))
            else {
                continue;
            };
            let axis = (bias.scales.len() > 1 || quantized.len() == 1).then_some(0);
            let node =
                dequantize(&mut patch, &mut names, &bias.name, quantized, &bias.scales, axis);
            let dequantized = patch.node(node);
            read(&mut patch, graph, &bias.reader, dequantized);
        }
        for constant in &self.operands {
            let tensor = graph.find(&constant.name).and_then(|id| graph.constant(id));
            let quantized = tensor.and_then(|tensor| quantize_operand(tensor, constant.parameters));
            let Some(quantized) = quantized else { continue };
            let scales = [constant.parameters.scale];
            let node = dequantize(&mut patch, &mut names, &constant.name, quantized, &scales, None);
            let Parameters { zero_point, elem_type, .. } = constant.parameters;
            let zero_point = integers(&[], &[zero_point], elem_type.elem_type());
            let zero_point = patch.initializer(format!("{}_zero_point", constant.name), zero_point);
            let dequantized = patch.node(node.input(zero_point));
            for reader in &constant.readers {
                read(&mut patch, graph, reader, dequantized);
            }
        }
        patch
    }

    /// Inputs of the graph and what nodes compute. A node one of whose outputs is quantized is made anew, so
    /// that the value can move behind the pair.
    fn activations(&self, graph: &Graph) -> Patch {
        let mut patch = Patch::default();
        let mut pairs = Pairs { parameters: BTreeMap::new(), names: NodeNames::new(graph) };
        let mut remade: BTreeSet<NodeId> = BTreeSet::new();
        let mut inputs: BTreeMap<ValueId, Operand> = BTreeMap::new();
        let missing = || self.values.iter().filter(|value| !value.present);
        for value in missing() {
            let Some(id) = graph.find(&value.name) else { continue };
            match graph.producer(id) {
                Some(producer) => {
                    remade.insert(producer);
                }
                None => {
                    inputs.insert(id, pairs.insert(&mut patch, value, id.into()));
                }
            }
        }
        for (&input, &dequantized) in &inputs {
            for used in graph.value(input).uses() {
                if let Port::Input(slot) = used.port
                    && !remade.contains(&used.node)
                {
                    patch.set_input(used.node, slot as usize, Some(dequantized));
                }
            }
        }
        let by_name: BTreeMap<&str, &ValueQuantization> =
            missing().map(|value| (value.name.as_str(), value)).collect();
        for id in graph.topological_order().into_iter().filter(|id| remade.contains(id)) {
            remake(&mut patch, &mut pairs, graph, id, &inputs, &by_name);
        }
        patch
    }
}

/// Replaces a node by a copy with a pair behind each output that has one.
fn remake(
    patch: &mut Patch,
    pairs: &mut Pairs,
    graph: &Graph,
    id: NodeId,
    inputs: &BTreeMap<ValueId, Operand>,
    quantized: &BTreeMap<&str, &ValueQuantization>,
) {
    let mut copy = NewNode::like(graph, id);
    for (slot, input) in graph[id].inputs().iter().enumerate() {
        if let Some(&dequantized) = input.as_ref().and_then(|input| inputs.get(input)) {
            copy = copy.with_input(slot, dequantized);
        }
    }
    if let Some(first) = graph[id].outputs().iter().flatten().next() {
        copy = copy.output_name(format!("{}_float", graph.value(*first).name()));
    }
    let first = patch.node(copy);
    for (slot, output) in graph[id].outputs().iter().enumerate() {
        let Some(output) = *output else { continue };
        let made = patch.output(first, slot);
        match quantized.get(graph.value(output).name()) {
            Some(value) => {
                let dequantized = pairs.insert(patch, value, made);
                patch.replace(output, dequantized);
            }
            None if graph.value(output).is_unused() => {}
            None => patch.replace(output, made),
        }
    }
}

/// The pairs inserted so far.
struct Pairs {
    /// The initializers of scale and zero point, by the value they belong to.
    parameters: BTreeMap<String, (Operand, Operand)>,
    names: NodeNames,
}

impl Pairs {
    /// Puts a `QuantizeLinear` and a `DequantizeLinear` behind `operand`.
    fn insert(
        &mut self,
        patch: &mut Patch,
        value: &ValueQuantization,
        operand: Operand,
    ) -> Operand {
        let owner = value.shares.as_ref().unwrap_or(&value.name);
        let (scale, zero_point) = *self.parameters.entry(owner.clone()).or_insert_with(|| {
            let scale = patch.initializer(format!("{owner}_scale"), Tensor::scalar(value.scale));
            let zero_point = integers(&[], &[value.zero_point as i32], value.elem_type);
            (scale, patch.initializer(format!("{owner}_zero_point"), zero_point))
        });
        let mut operand = operand;
        for op_type in ["QuantizeLinear", "DequantizeLinear"] {
            let name = format!("{}_{op_type}", value.name);
            let node = NewNode::new(op_type).input(operand).input(scale).input(zero_point);
            let node = node.output_name(format!("{name}_Output")).named(self.names.fresh(name));
            operand = patch.node(node);
        }
        operand
    }
}

/// The names of nodes, which must differ.
struct NodeNames(BTreeSet<String>);

impl NodeNames {
    fn new(graph: &Graph) -> Self {
        Self(graph.nodes().map(|(_, node)| node.name.clone()).collect())
    }

    fn fresh(&mut self, base: String) -> String {
        let numbered = (1..).map(|number: usize| format!("{base}_{number}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or(base);
        self.0.insert(name.clone());
        name
    }
}

/// A `DequantizeLinear` of a constant, per channel of `axis` if there is one, without zero point.
fn dequantize(
    patch: &mut Patch,
    names: &mut NodeNames,
    name: &str,
    quantized: Tensor,
    scales: &[f32],
    axis: Option<usize>,
) -> NewNode {
    let quantized = patch.initializer(format!("{name}_quantized"), quantized);
    let scale = match axis {
        Some(_) => Tensor::vector(scales),
        None => Tensor::scalar(scales[0]),
    };
    let scale = patch.initializer(format!("{name}_scale"), scale);
    let mut node = NewNode::new("DequantizeLinear").input(quantized).input(scale);
    if let Some(axis) = axis {
        node = node.attribute("axis", axis as i64);
    }
    let name = format!("{name}_DequantizeLinear");
    node.output_name(format!("{name}_Output")).named(names.fresh(name))
}

fn read(patch: &mut Patch, graph: &Graph, reader: &Reader, operand: Operand) {
    let node = graph.find(&reader.output).and_then(|output| graph.producer(output));
    if let Some(node) = node {
        patch.set_input(node, reader.slot, Some(operand));
    }
}

fn apply(graph: &mut Graph, patch: Patch) -> Result<(), PassError> {
    let pass = QuantizeStaticQdq::INFO.name;
    graph.apply(patch).map_err(|source| PassError::Patch { pass, source })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{quantize, sqnr_db};
    use insta::assert_snapshot;

    #[test]
    fn a_pair_stands_behind_the_unit_and_before_the_output() {
        let source = "
            g (float[1,2,4,4] x) => (float[1,1,4,4] y)
            <float[2,2,1,1] w1 = {127, 0, 0, 254}, float[2] b1 = {1, 2}, float[1,2,1,1] w2 = {1, 127}>
            {
                c = Conv(x, w1, b1)
                r = Relu(c)
                y = Conv(r, w2)
            }
        ";
        assert_snapshot!(quantize(source, &[("r", 0.0, 510.0)]), @r"
        g (float[1,2,4,4] x) => (float[1,1,4,4] y)
        <int8[2,2,1,1] w1_quantized = {127, 0, 0, 127}, float[2] w1_scale = {1, 2},
            int8[2] w1_zero_point = {0, 0}, int8[1,2,1,1] w2_quantized = {1, 127}, float[1] w2_scale = {1},
            int8[1] w2_zero_point = {0}, int32[2] b1_quantized = {1, 1}, float[2] b1_scale = {1, 2},
            float x_scale = {1}, uint8 x_zero_point = {128}, float r_scale = {2}, uint8 r_zero_point = {0},
            float y_scale = {1}, uint8 y_zero_point = {128}>
        {
            w1_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w1_quantized, w1_scale, w1_zero_point)
            b1_DequantizeLinear_Output = DequantizeLinear <axis = 0> (b1_quantized, b1_scale)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            c = Conv(x_DequantizeLinear_Output, w1_DequantizeLinear_Output, b1_DequantizeLinear_Output)
            r_float = Relu(c)
            r_QuantizeLinear_Output = QuantizeLinear(r_float, r_scale, r_zero_point)
            r = DequantizeLinear(r_QuantizeLinear_Output, r_scale, r_zero_point)
            w2_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w2_quantized, w2_scale, w2_zero_point)
            y_float = Conv(r, w2_DequantizeLinear_Output)
            y_QuantizeLinear_Output = QuantizeLinear(y_float, y_scale, y_zero_point)
            y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
        }
        ");
    }

    #[test]
    fn all_readers_of_a_value_share_one_pair() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] c, float[1,1,4,4] t, float[1,1,2,2] y)
            <float[1,1,1,1] w = {127}>
            {
                c = Conv(x, w)
                t = Tanh(c)
                p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)
                y = Conv(p, w)
            }
        ";
        assert_snapshot!(quantize(source, &[]), @r"
        g (float[1,1,4,4] x) => (float[1,1,4,4] c, float[1,1,4,4] t, float[1,1,2,2] y)
        <int8[1,1,1,1] w_quantized = {127}, float[1] w_scale = {1}, int8[1] w_zero_point = {0},
            float x_scale = {1}, uint8 x_zero_point = {128}, float c_scale = {1},
            uint8 c_zero_point = {128}, float y_scale = {1}, uint8 y_zero_point = {128}>
        {
            w_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w_quantized, w_scale, w_zero_point)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            c_float = Conv(x_DequantizeLinear_Output, w_DequantizeLinear_Output)
            c_QuantizeLinear_Output = QuantizeLinear(c_float, c_scale, c_zero_point)
            c = DequantizeLinear(c_QuantizeLinear_Output, c_scale, c_zero_point)
            t = Tanh(c)
            p_float = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
            p_QuantizeLinear_Output = QuantizeLinear(p_float, c_scale, c_zero_point)
            p = DequantizeLinear(p_QuantizeLinear_Output, c_scale, c_zero_point)
            y_float = Conv(p, w_DequantizeLinear_Output)
            y_QuantizeLinear_Output = QuantizeLinear(y_float, y_scale, y_zero_point)
            y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
        }
        ");
    }

    #[test]
    fn the_last_gemm_writes_floats() {
        let source = "
            g (float[1,2] x) => (float[1,2] y)
            <float[2,2] w = {127, 1, 254, 1}, float[2] b = {1, 2}>
            {
                y = Gemm(x, w, b)
            }
        ";
        assert_snapshot!(quantize(source, &[]), @r"
        g (float[1,2] x) => (float[1,2] y)
        <int8[2,2] w_quantized = {64, 127, 127, 127}, float[2] w_scale = {2, 0.007874016},
            int8[2] w_zero_point = {0, 0}, int32[2] b_quantized = {0, 254},
            float[2] b_scale = {2, 0.007874016}, float x_scale = {1}, uint8 x_zero_point = {128}>
        {
            w_DequantizeLinear_Output = DequantizeLinear <axis = 1> (w_quantized, w_scale, w_zero_point)
            b_DequantizeLinear_Output = DequantizeLinear <axis = 0> (b_quantized, b_scale)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            y = Gemm(x_DequantizeLinear_Output, w_DequantizeLinear_Output, b_DequantizeLinear_Output)
        }
        ");
    }

    #[test]
    fn constants_of_several_readers_have_names_of_their_own() {
        let source = "
            g (float[1,2] x) => (float[1,2] y)
            <float[2,2] w = {127, 1, 254, 1}, float[2] b = {1, 2}>
            {
                h = Gemm(x, w, b)
                y = Gemm<transB = 1>(h, w, b)
            }
        ";
        assert_snapshot!(quantize(source, &[]), @r"
        g (float[1,2] x) => (float[1,2] y)
        <int8[2,2] w_quantized = {64, 127, 127, 127}, float[2] w_scale = {2, 0.007874016},
            int8[2] w_zero_point = {0, 0}, int8[2,2] w_quantized_1 = {127, 1, 127, 0},
            float[2] w_scale_1 = {1, 2}, int8[2] w_zero_point_1 = {0, 0}, int32[2] b_quantized = {0, 254},
            float[2] b_scale = {2, 0.007874016}, int32[2] b_quantized_1 = {1, 1},
            float[2] b_scale_1 = {1, 2}, float x_scale = {1}, uint8 x_zero_point = {128},
            float h_scale = {1}, uint8 h_zero_point = {128}>
        {
            w_DequantizeLinear_Output = DequantizeLinear <axis = 1> (w_quantized, w_scale, w_zero_point)
            b_DequantizeLinear_Output = DequantizeLinear <axis = 0> (b_quantized, b_scale)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            h_float = Gemm(x_DequantizeLinear_Output, w_DequantizeLinear_Output, b_DequantizeLinear_Output)
            h_QuantizeLinear_Output = QuantizeLinear(h_float, h_scale, h_zero_point)
            h = DequantizeLinear(h_QuantizeLinear_Output, h_scale, h_zero_point)
            w_DequantizeLinear_Output_1 = DequantizeLinear <axis = 0> (w_quantized_1, w_scale_1, w_zero_point_1)
            b_DequantizeLinear_Output_1 = DequantizeLinear <axis = 0> (b_quantized_1, b_scale_1)
            y = Gemm <transB = 1> (h, w_DequantizeLinear_Output_1, b_DequantizeLinear_Output_1)
        }
        ");
    }

    #[test]
    fn each_part_of_a_split_has_its_pair() {
        let source = "
            g (float[1,2,2,2] x) => (float[1,1,2,2] y, float[1,1,2,2] z)
            <float[2,2,1,1] w1 = {127, 0, 0, 127}, float[1,1,1,1] w2 = {127}>
            {
                c = Conv(x, w1)
                a, b = Split<axis = 1, num_outputs = 2>(c)
                y = Conv(a, w2)
                z = Tanh(b)
            }
        ";
        assert_snapshot!(quantize(source, &[]), @r"
        g (float[1,2,2,2] x) => (float[1,1,2,2] y, float[1,1,2,2] z)
        <int8[2,2,1,1] w1_quantized = {127, 0, 0, 127}, float[2] w1_scale = {1, 1},
            int8[2] w1_zero_point = {0, 0}, int8[1,1,1,1] w2_quantized = {127}, float[1] w2_scale = {1},
            int8[1] w2_zero_point = {0}, float x_scale = {1}, uint8 x_zero_point = {128},
            float c_scale = {1}, uint8 c_zero_point = {128}, float y_scale = {1},
            uint8 y_zero_point = {128}>
        {
            w1_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w1_quantized, w1_scale, w1_zero_point)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            c_float = Conv(x_DequantizeLinear_Output, w1_DequantizeLinear_Output)
            c_QuantizeLinear_Output = QuantizeLinear(c_float, c_scale, c_zero_point)
            c = DequantizeLinear(c_QuantizeLinear_Output, c_scale, c_zero_point)
            a_float, a_float_1 = Split <axis = 1, num_outputs = 2> (c)
            a_QuantizeLinear_Output = QuantizeLinear(a_float, c_scale, c_zero_point)
            a = DequantizeLinear(a_QuantizeLinear_Output, c_scale, c_zero_point)
            b_QuantizeLinear_Output = QuantizeLinear(a_float_1, c_scale, c_zero_point)
            b = DequantizeLinear(b_QuantizeLinear_Output, c_scale, c_zero_point)
            w2_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w2_quantized, w2_scale, w2_zero_point)
            y_float = Conv(a, w2_DequantizeLinear_Output)
            y_QuantizeLinear_Output = QuantizeLinear(y_float, y_scale, y_zero_point)
            y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
            z = Tanh(b)
        }
        ");
    }

    #[test]
    fn a_subgraph_reads_what_is_quantized() {
        let source = "
            g (float[1,1,2,2] x, bool k) => (float[1,1,2,2] y, float[1,1,2,2] z)
            <float[1,1,1,1] w = {127}>
            {
                c = Conv(x, w)
                y = Conv(c, w)
                z = If (k) <
                    then_branch = t () => (float[1,1,2,2] p) { p = Tanh(c) },
                    else_branch = e () => (float[1,1,2,2] q) { q = Identity(c) }
                >
            }
        ";
        assert_snapshot!(quantize(source, &[]), @r"
        g (float[1,1,2,2] x, bool k) => (float[1,1,2,2] y, float[1,1,2,2] z)
        <int8[1,1,1,1] w_quantized = {127}, float[1] w_scale = {1}, int8[1] w_zero_point = {0},
            float x_scale = {1}, uint8 x_zero_point = {128}, float c_scale = {1},
            uint8 c_zero_point = {128}, float y_scale = {1}, uint8 y_zero_point = {128}>
        {
            w_DequantizeLinear_Output = DequantizeLinear <axis = 0> (w_quantized, w_scale, w_zero_point)
            x_QuantizeLinear_Output = QuantizeLinear(x, x_scale, x_zero_point)
            x_DequantizeLinear_Output = DequantizeLinear(x_QuantizeLinear_Output, x_scale, x_zero_point)
            c_float = Conv(x_DequantizeLinear_Output, w_DequantizeLinear_Output)
            c_QuantizeLinear_Output = QuantizeLinear(c_float, c_scale, c_zero_point)
            c = DequantizeLinear(c_QuantizeLinear_Output, c_scale, c_zero_point)
            y_float = Conv(c, w_DequantizeLinear_Output)
            y_QuantizeLinear_Output = QuantizeLinear(y_float, y_scale, y_zero_point)
            y = DequantizeLinear(y_QuantizeLinear_Output, y_scale, y_zero_point)
            z = If(k) <
                then_branch = t () => (float[1,1,2,2] p)
                {
                    p = Tanh(c)
                },
                else_branch = e () => (float[1,1,2,2] q)
                {
                    q = Identity(c)
                }
            >
        }
        ");
    }

    #[test]
    fn a_quantized_network_computes_nearly_the_same() {
        let found = sqnr_db(
            "
            g (float[4,3,16,16] x) => (float[4,5] y, float[4,8,8,8] m)
            <float[8,3,3,3] w1, float[8] b1, float[8,1,3,3] w2, float[8] b2, float[8,8,1,1] w3,
             float[5,16] w4, float[5] b4, float low = {0}, float high = {6}>
            {
                c1 = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
                r1 = Clip(c1, low, high)
                p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
                c2 = Conv<group = 8, pads = [1, 1, 1, 1]>(p, w2, b2)
                s = Sigmoid(c2)
                silu = Mul(c2, s)
                c3 = Conv(silu, w3)
                a = Add(c3, p)
                m = Relu(a)
                j = Concat<axis = 1>(m, silu)
                pool = GlobalAveragePool(j)
                f = Flatten(pool)
                y = Gemm<transB = 1>(f, w4, b4)
            }
        ",
        );
        assert!(found.iter().all(|&sqnr_db| sqnr_db > 30.0), "{found:?}");
    }
}
