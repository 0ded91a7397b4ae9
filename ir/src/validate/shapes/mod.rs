//! Shapes of the inputs of a node against each other, where they are known: invariant 10.
mod arrangement;
mod attention;
mod broadcast;
mod convolution;
mod normalization;
mod product;
mod quantization;
#[cfg(test)]
mod tests;

use super::{Report, Scope, node_text};
use crate::{Dim, Graph, Node, NodeId, schema};

pub(super) fn check(scope: &Scope<'_>, id: NodeId, report: &mut Report) {
    let node = &scope.graph[id];
    let Some(opset) = scope.surroundings.opsets.standard() else { return };
    let mut site = Site { graph: scope.graph, node, opset, faults: Vec::new() };
    if node.is_standard() {
        site.check();
    } else if node.domain == "com.microsoft" {
        site.check_microsoft();
    }
    for fault in site.faults {
        report.add(10, || format!("{}: {fault}", node_text(scope.graph, id)));
    }
}

/// A node being looked at, and what is wrong with it so far.
struct Site<'a> {
    graph: &'a Graph,
    node: &'a Node,
    opset: i64,
    faults: Vec<String>,
}

impl<'a> Site<'a> {
    fn check(&mut self) {
        match self.node.op_type.as_str() {
            "Conv" => self.convolution(0, 1, Some(2)),
            "ConvInteger" => self.convolution(0, 1, None),
            "QLinearConv" => self.convolution(0, 3, Some(8)),
            "DeformConv" => self.convolution(0, 1, Some(3)),
            "ConvTranspose" => self.transposed_convolution(),
            "Attention" => self.attention(),
            "Gemm" => self.gemm(),
            "MatMul" | "MatMulInteger" => self.product(0, 1),
            "QLinearMatMul" => self.product(0, 3),
            "BatchNormalization" => self.batch_normalization(),
            "InstanceNormalization" => self.instance_normalization(),
            "GroupNormalization" => self.group_normalization(),
            "LayerNormalization" | "RMSNormalization" => self.broadcasts_into(&[1, 2]),
            "PRelu" if self.opset >= 7 => self.broadcasts_into(&[1]),
            "Concat" => self.concat(),
            "Split" => self.split(),
            "Transpose" => self.transpose(),
            "Reshape" => self.reshape(),
            "QuantizeLinear" | "DequantizeLinear" => self.quantization(),
            "Max" | "Mean" | "Min" | "Sum" if self.opset < 8 => {}
            op_type if schema::is_broadcasting(op_type) && self.opset >= 7 => self.broadcast(),
            _ => {}
        }
    }

    /// Operators of ONNX Runtime's own domain.
    fn check_microsoft(&mut self) {
        match self.node.op_type.as_str() {
            "Attention" => self.packed_attention(),
            "MultiHeadAttention" => self.multi_head_attention(),
            "GroupQueryAttention" => self.grouped_query_attention(),
            "FusedConv" => self.convolution(0, 1, Some(2)),
            "FusedGemm" => self.gemm(),
            "BiasGelu" | "FastGelu" => self.broadcasts_into(&[1]),
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
                self.broadcasts_into(&[2, 3, 4]);
            }
            _ => {}
        }
    }

    fn fault(&mut self, message: String) {
        self.faults.push(message);
    }

    fn shape(&self, slot: usize) -> Option<&'a [Dim]> {
        self.graph.value(self.node.input(slot)?).shape()
    }

    /// The shape of an input, when every dimension is a number.
    fn dims(&self, slot: usize) -> Option<Vec<i64>> {
        self.graph.value(self.node.input(slot)?).ty.dims()
    }

    fn dim(&self, slot: usize, axis: usize) -> Option<i64> {
        self.shape(slot)?.get(axis)?.value()
    }

    fn rank(&self, slot: usize) -> Option<usize> {
        Some(self.shape(slot)?.len())
    }

    /// The elements of a shape-like input, each a number.
    fn elements(&self, slot: usize) -> Option<Vec<i64>> {
        let value = self.graph.value(self.node.input(slot)?);
        match value.constant() {
            Some(tensor) => tensor.to_i64(),
            None => value.elements()?.iter().map(Dim::value).collect(),
        }
    }

    /// An integer attribute or its default.
    fn int(&self, name: &str) -> Option<i64> {
        let default = || schema::default_int(&self.node.op_type, self.opset, name);
        self.node.int(name).or_else(default)
    }

    /// How messages call an input: ``input 1 `w` ``.
    fn operand(&self, slot: usize) -> String {
        let name = self.node.input(slot).map_or("", |id| self.graph.value(id).name());
        format!("input {slot} `{name}`")
    }

    /// An axis counted from either end, or a fault.
    fn axis(&mut self, axis: i64, rank: usize) -> Option<usize> {
        let counted = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        let found = usize::try_from(counted).ok().filter(|&axis| axis < rank);
        if found.is_none() {
            self.fault(format!("axis is {axis}, expected one of {rank} dimensions"));
        }
        found
    }

    /// Faults an input that is not a vector of `expected` values, one per `each`.
    fn vector(&mut self, slot: usize, expected: i64, each: &str) {
        let Some(shape) = self.shape(slot) else { return };
        let fits = shape.len() == 1 && shape[0].value().is_none_or(|length| length == expected);
        if !fits {
            let operand = self.operand(slot);
            self.fault(format!(
                "{operand} has shape {shape:?}, expected [{expected}], one per {each}"
            ));
        }
    }
}
