//! Carries out a plan.
use super::plan::{QuantizationPlan, Reader, ValueQuantization};
use super::static_qdq::QuantizeStaticQdq;
use super::weight::{quantize_bias, quantize_weights};
use crate::PassError;
use lapidary_ir::{Graph, Model, NewNode, NodeId, Operand, Patch, Port, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

impl QuantizationPlan {
    /// Inserts `QuantizeLinear` and `DequantizeLinear` and stores weights and biases as integers.
    ///
    /// A quantized value keeps its name on the dequantized side, where every reader and the caller of the
    /// model find it; what its producer computes is called `…_float`.
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
        Ok(())
    }

    /// Weights and biases.
    fn constants(&self, graph: &Graph) -> Patch {
        let mut patch = Patch::default();
        for weights in &self.weights {
            let tensor = graph.find(&weights.name).and_then(|id| graph.constant(id));
            let quantized =
                tensor.and_then(|tensor| quantize_weights(tensor, weights.axis, &weights.scales));
            let Some(quantized) = quantized else { continue };
            let zero_point = Tensor::vector(&vec![0i8; weights.scales.len()]);
            let node = dequantize(&mut patch, &weights.name, quantized, &weights.scales)
                .attribute("axis", weights.axis as i64);
            let zero_point = patch.initializer(format!("{}_zero_point", weights.name), zero_point);
            let dequantized = patch.node(node.input(zero_point));
            for reader in &weights.readers {
                read(&mut patch, graph, reader, dequantized);
            }
        }
        for bias in &self.biases {
            let tensor = graph.find(&bias.name).and_then(|id| graph.constant(id));
            let Some(quantized) = tensor.and_then(|tensor| quantize_bias(tensor, &bias.scales))
            else {
                continue;
            };
            let node =
                dequantize(&mut patch, &bias.name, quantized, &bias.scales).attribute("axis", 0);
            let dequantized = patch.node(node);
            read(&mut patch, graph, &bias.reader, dequantized);
        }
        patch
    }

    /// Inputs of the graph and what nodes compute. A node one of whose outputs is quantized is made anew, so
    /// that the value can move behind the pair.
    fn activations(&self, graph: &Graph) -> Patch {
        let mut patch = Patch::default();
        let mut pairs = Pairs::default();
        let mut remade: BTreeSet<NodeId> = BTreeSet::new();
        let mut inputs: BTreeMap<ValueId, Operand> = BTreeMap::new();
        for value in &self.values {
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
            self.values.iter().map(|value| (value.name.as_str(), value)).collect();
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

/// The initializers of the scale and zero point of every value, shared where values share them.
#[derive(Default)]
struct Pairs(BTreeMap<String, (Operand, Operand)>);

impl Pairs {
    /// Puts a `QuantizeLinear` and a `DequantizeLinear` behind `operand`.
    fn insert(
        &mut self,
        patch: &mut Patch,
        value: &ValueQuantization,
        operand: Operand,
    ) -> Operand {
        let owner = value.shares.as_ref().unwrap_or(&value.name);
        let (scale, zero_point) = *self.0.entry(owner.clone()).or_insert_with(|| {
            let scale = patch.initializer(format!("{owner}_scale"), Tensor::scalar(value.scale));
            let zero_point = Tensor::scalar(value.zero_point as u8);
            (scale, patch.initializer(format!("{owner}_zero_point"), zero_point))
        });
        let quantized =
            patch.node(quantization("QuantizeLinear", &value.name, operand, scale, zero_point));
        patch.node(quantization("DequantizeLinear", &value.name, quantized, scale, zero_point))
    }
}

fn quantization(
    op_type: &str,
    value: &str,
    operand: Operand,
    scale: Operand,
    zero_point: Operand,
) -> NewNode {
    let node = NewNode::new(op_type).input(operand).input(scale).input(zero_point);
    node.named(format!("{value}_{op_type}")).output_name(format!("{value}_{op_type}_Output"))
}

/// A `DequantizeLinear` of a constant per channel, without zero point and axis.
fn dequantize(patch: &mut Patch, name: &str, quantized: Tensor, scales: &[f32]) -> NewNode {
    let quantized = patch.initializer(format!("{name}_quantized"), quantized);
    let scale = patch.initializer(format!("{name}_scale"), Tensor::vector(scales));
    let node = NewNode::new("DequantizeLinear").input(quantized).input(scale);
    node.named(format!("{name}_DequantizeLinear"))
        .output_name(format!("{name}_DequantizeLinear_Output"))
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
