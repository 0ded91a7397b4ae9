//! The way of a channel from where it is made to the products that read it.
use super::edits::Edits;
use super::source::divide;
use super::weights::Weights;
use crate::fuse::weights::per_channel;
use lapidary_ir::{Graph, NodeId, Port, ValueId};

/// Everything between a value and the products that read it, where every operator passes a positive factor per
/// channel on:
///
/// f(s ∘ x) = s ∘ f(x) for s > 0.
#[derive(Debug, Default)]
pub(super) struct Path {
    /// The products.
    pub(super) readers: Vec<Weights>,
    /// What is added per channel on the way, by node and slot.
    pub(super) shifts: Vec<(NodeId, usize)>,
    /// The limits a Clip sets.
    pub(super) bounds: Vec<Bound>,
    /// All operators on the way.
    pub(super) operators: Vec<NodeId>,
}

/// A Clip, which passes a factor on where it does not cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    /// What it limits.
    pub(super) value: ValueId,
    /// The axis of the channels.
    pub(super) axis: usize,
    /// The least it passes.
    pub(super) low: f32,
    /// The most it passes.
    pub(super) high: f32,
}

impl Path {
    /// The path from a value with so many channels on an axis, or why a factor can't be passed on.
    pub(super) fn from(
        graph: &Graph,
        value: ValueId,
        axis: usize,
        channels: usize,
    ) -> Result<Self, String> {
        let mut path = Self::default();
        path.follow(graph, value, axis, channels)?;
        if path.readers.is_empty() {
            return Err("nothing reads it".to_owned());
        }
        Ok(path)
    }

    /// What is changed along the path, as `first -> second`.
    pub(super) fn label(&self, graph: &Graph, first: &str) -> String {
        let readers = self.readers.iter().map(|reader| graph[reader.node].label(graph));
        format!("{first} -> {}", readers.collect::<Vec<_>>().join(", "))
    }

    /// Divides the channels at the start of the path and multiplies them at its ends.
    pub(super) fn divide(&self, graph: &Graph, edits: &mut Edits, first: &Weights, scale: &[f64]) {
        first.divide_outputs(graph, edits, scale);
        self.pass(graph, edits, scale);
    }

    /// The same for what is divided at its start.
    pub(super) fn pass(&self, graph: &Graph, edits: &mut Edits, scale: &[f64]) {
        for &shift in &self.shifts {
            divide(graph, edits, shift, scale);
        }
        for reader in &self.readers {
            reader.multiply_inputs(graph, edits, scale);
        }
    }

    fn follow(
        &mut self,
        graph: &Graph,
        value: ValueId,
        axis: usize,
        channels: usize,
    ) -> Result<(), String> {
        let info = graph.value(value);
        if info.is_output() || info.is_pinned() {
            return Err("it is an output of the model".to_owned());
        }
        let rank = info.shape().map(<[_]>::len).ok_or("the rank of the value is not known")?;
        for used in info.uses() {
            let Port::Input(slot) = used.port else {
                return Err("a subgraph reads it".to_owned());
            };
            self.read(graph, used.node, slot as usize, (axis, rank, channels))?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        graph: &Graph,
        id: NodeId,
        slot: usize,
        (axis, rank, channels): (usize, usize, usize),
    ) -> Result<(), String> {
        let node = &graph[id];
        let foreign = || format!("{} reads it", node.op_type);
        if !node.is_standard() {
            return Err(foreign());
        }
        let output = node.output(0).ok_or_else(foreign)?;
        let next = match node.op_type.as_str() {
            "Conv" | "Gemm" | "MatMul" if slot == 0 => {
                let weights = Weights::of(graph, id)?;
                let expected = if node.is("MatMul") { rank - 1 } else { 1 };
                if axis != expected || weights.inputs != channels {
                    return Err(format!("{} reads other channels", node.op_type));
                }
                self.readers.push(weights);
                return Ok(());
            }
            "Relu" | "LeakyRelu" | "Identity" => axis,
            "PRelu" if slot == 0 => axis,
            // Linear in what is no constant.
            "Mul" if constant_factor(graph, id, slot, rank) => axis,
            "Div" if slot == 0 && constant_factor(graph, id, 0, rank) => axis,
            "Add" => {
                let other = 1 - slot;
                let constant = graph.constant_input(id, other).ok_or_else(foreign)?;
                let shift = per_channel(constant, rank, axis, channels);
                if shift.is_none() || constant.len() != channels {
                    return Err("what is added is not one number per channel".to_owned());
                }
                self.shifts.push((id, other));
                axis
            }
            "Clip" if slot == 0 => {
                self.bounds.push(bound(graph, id, axis).ok_or("the limits are not constant")?);
                axis
            }
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool"
                if axis == 1 && node.output(1).is_none() =>
            {
                axis
            }
            "Transpose" => {
                let perm = node.ints("perm").ok_or_else(foreign)?;
                perm.iter().position(|&from| from == axis as i64).ok_or_else(foreign)?
            }
            "Flatten" | "Reshape" | "Squeeze" if slot == 0 && axis == 1 => {
                flattened(graph, id).ok_or_else(|| format!("{} mixes channels", node.op_type))?
            }
            _ => return Err(foreign()),
        };
        self.operators.push(id);
        self.follow(graph, output, next, channels)
    }
}

/// Whether the other operand of a product of two is constant and does not add axes in front.
fn constant_factor(graph: &Graph, id: NodeId, slot: usize, rank: usize) -> bool {
    graph.constant_input(id, 1 - slot.min(1)).is_some_and(|constant| constant.rank() <= rank)
}

fn bound(graph: &Graph, id: NodeId, axis: usize) -> Option<Bound> {
    let node = &graph[id];
    if graph.opset() < 11 {
        return None;
    }
    let limit = |slot: usize, open: f32| match node.input(slot) {
        None => Some(open),
        Some(id) => graph.constant(id)?.as_f32(),
    };
    let (low, high) = (limit(1, f32::NEG_INFINITY)?, limit(2, f32::INFINITY)?);
    Some(Bound { value: node.input(0)?, axis, low, high })
}

/// The axis of the channels behind a node that drops axes of one entry: N, C, 1, … becomes N, C.
fn flattened(graph: &Graph, id: NodeId) -> Option<usize> {
    let node = &graph[id];
    let before = graph.value(node.input(0)?).shape()?;
    let after = graph.value(node.output(0)?).shape()?;
    let channels = before.get(1)?.value()?;
    let single = before.iter().skip(2).all(|dim| dim.value() == Some(1));
    (single && after.len() == 2 && after[1].value() == Some(channels)).then_some(1)
}
