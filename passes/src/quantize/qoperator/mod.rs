//! The form of a quantized graph in which operators read and write integers themselves (QOperator), in place of
//! `DequantizeLinear` → operator → `QuantizeLinear` (QDQ).
//!
//! | between conversions | becomes | operator of |
//! | --- | --- | --- |
//! | Conv, MatMul | QLinearConv, QLinearMatMul | ONNX |
//! | Gemm | QGemm | ONNX Runtime |
//! | MatMul or Gemm whose result is read as numbers | MatMulIntegerToFloat, QGemm | ONNX Runtime |
//! | Add, Mul, Where, Concat | QLinearAdd, … | ONNX Runtime |
//! | AveragePool, GlobalAveragePool | QLinearAveragePool, … | ONNX Runtime |
//! | LeakyRelu, Sigmoid, Softmax | QLinearLeakyRelu, … | ONNX Runtime |
//! | MaxPool, Reshape, Transpose, …, Concat of one scale | the same on integers | ONNX |
//! | Relu, Clip that the quantization implies | nothing | |
//!
//! Integers, scales and zero points are those of the conversions. Kernels of integers multiply the sum of the products by one
//! number, scale(x) · scale(w) / scale(y), where the operators between conversions round the products of scales and numbers
//! first: a result at the middle of two integers may become the other one. ONNX Runtime makes the same kernels of either form
//! when it optimizes, and computes the same then.
mod arithmetic;
mod concat;
mod movement;
mod pool;
mod product;
mod redundant;
mod softmax;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unit;

use super::format::IntegerType;
use super::plan::NodePlacement;
use super::settings::QuantizeOptions;
use super::target::Target;
use crate::PassError;
use lapidary_ir::{ElemType, Graph, Model, NodeId, Patch};
use std::collections::BTreeMap;
use unit::{Reason, Unit};

/// How faults of this step are reported.
const NAME: &str = "quantize-qoperator";

/// What of a quantized graph computes on integers by itself now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorForm {
    /// The operators that were written, and how many of each.
    pub written: BTreeMap<String, usize>,
    /// The nodes that stay between conversions, in topological order, with the reason.
    pub left: Vec<NodePlacement>,
}

/// Why there is no such form for what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOperatorForm {
    /// The runtime looks for conversions.
    #[error("{0} reads QuantizeLinear and DequantizeLinear only")]
    Target(Target),
    /// Operators on integers read activations of 8 bits.
    #[error("operators on integers read activations of 8 bits, not {0}")]
    Activations(IntegerType),
    /// Operators on integers read weights of 8 bits.
    #[error("operators on integers read weights of 8 bits, not {0}")]
    Weights(ElemType),
}

impl OperatorForm {
    /// Whether a model quantized like this can be written in operators on integers.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn check(options: &QuantizeOptions) -> Result<(), NoOperatorForm> {
        let target = options.target;
        if matches!(target, Target::TensorRt | Target::Qnn | Target::OpenVino) {
            return Err(NoOperatorForm::Target(target));
        }
        let activations = options.activations().elem_type;
        if !matches!(activations, IntegerType::Int8 | IntegerType::Uint8) {
            return Err(NoOperatorForm::Activations(activations));
        }
        match options.weights.elem_type() {
            ElemType::INT8 => Ok(()),
            elem_type => Err(NoOperatorForm::Weights(elem_type)),
        }
    }

    /// Writes operators on integers into the main graph of a quantized model whose types are inferred: those of ONNX, and for
    /// ONNX Runtime its own too.
    ///
    /// # Errors
    /// When a patch can't be applied: a fault of this step.
    pub fn write(model: &mut Model, target: Target) -> Result<Self, PassError> {
        let microsoft = matches!(target, Target::OnnxRuntimeX86 | Target::OnnxRuntimeArm);
        let graph = &mut model.graph;
        let mut form = Self::default();
        for id in graph.topological_order() {
            if graph.get_node(id).is_none() || !unit::is_between_conversions(graph, id) {
                continue;
            }
            match operator(&Unit::new(graph, id, microsoft)) {
                Ok(Written { patch, op_type }) => {
                    apply(graph, patch)?;
                    if let Some(op_type) = op_type {
                        *form.written.entry(op_type).or_default() += 1;
                    }
                }
                Err(reason) => form.left.push(NodePlacement::new(graph, id, Some(&reason))),
            }
        }
        for id in graph.topological_order() {
            if let Some(patch) = graph.get_node(id).and_then(|_| redundant::meeting(graph, id)) {
                apply(graph, patch)?;
            }
        }
        graph.infer();
        if model.graph.nodes().any(|(_, node)| node.domain == unit::MICROSOFT) {
            model.import_opset(unit::MICROSOFT, 1);
        }
        Ok(form)
    }

    /// How many nodes stay between conversions, by operator and reason.
    #[must_use]
    pub fn left_by_reason(&self) -> BTreeMap<(&str, &str), usize> {
        let mut counts = BTreeMap::new();
        for NodePlacement { op_type, reason, .. } in &self.left {
            let reason = reason.as_deref().unwrap_or_default();
            *counts.entry((op_type.as_str(), reason)).or_default() += 1;
        }
        counts
    }
}

/// A node that computes on integers now.
struct Written {
    patch: Patch,
    /// What it is now; none if it is gone.
    op_type: Option<String>,
}

/// The operator on integers for a node between conversions, or why there is none.
fn operator(unit: &Unit<'_>) -> Result<Written, Reason> {
    if !unit.node.is_standard() {
        return Err(format!("operators of domain `{}` are not known", unit.node.domain));
    }
    match unit.node.op_type.as_str() {
        "Conv" => product::conv(unit),
        "MatMul" => product::mat_mul(unit),
        "Gemm" => product::gemm(unit),
        "Add" | "Mul" | "Where" | "LeakyRelu" | "Sigmoid" => {
            let name = format!("QLinear{}", unit.node.op_type);
            arithmetic::arithmetic(unit, &name, |node| node)
        }
        "Softmax" => softmax::softmax(unit),
        "GlobalAveragePool" | "AveragePool" => pool::average(unit),
        "Concat" => concat::concat(unit),
        "Relu" | "Clip" => redundant::limited(unit),
        op_type if movement::MOVEMENT.contains(&op_type) => movement::moved(unit),
        op_type => Err(format!("there is no {op_type} of integers")),
    }
}

fn apply(graph: &mut Graph, patch: Patch) -> Result<(), PassError> {
    let applied = graph.apply(patch);
    let applied = applied.map_err(|source| PassError::Patch { pass: NAME, source })?;
    graph.infer_from(&applied.touched);
    Ok(())
}

/// Whether a node only converts between numbers and integers.
fn is_conversion(graph: &Graph, id: NodeId) -> bool {
    matches!(graph[id].op_type.as_str(), "QuantizeLinear" | "DequantizeLinear")
}
