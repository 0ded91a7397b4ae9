//! What makes the activations of a product, if its channels can be divided.
use super::edits::Edits;
use super::weights::Weights;
use crate::fuse::weights::per_channel;
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// A node whose channels can be divided.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The node.
    pub(super) node: NodeId,
    /// What it makes.
    pub(super) value: ValueId,
    /// The axis of the channels.
    pub(super) axis: usize,
    /// How many there are.
    pub(super) channels: usize,
    /// Where they are divided.
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// In vectors at these slots.
    Vectors(Vec<usize>),
    Product(Box<Weights>),
}

impl Source {
    /// The normalization, product or factor that decides about the channels of a value, on its last axis; or why there
    /// is none.
    pub(super) fn of(graph: &Graph, value: ValueId) -> Result<Self, String> {
        let id = graph.producer(value).ok_or("it is an input of the model")?;
        let node = &graph[id];
        let from = || format!("it comes from {}", node.op_type);
        if !node.is_standard() {
            return Err(from());
        }
        let rank = graph.value(value).shape().map(<[_]>::len);
        let rank = rank.ok_or("the rank of the value is not known")?;
        if rank == 0 {
            return Err("the value has no channels".to_owned());
        }
        let vectors = |slots: Vec<usize>| {
            let lengths = slots.iter().map(|&slot| {
                let constant = graph.constant_input(id, slot)?;
                let float = constant.elem_type() == ElemType::FLOAT;
                let channels = constant.len();
                let fits = per_channel(constant, rank, rank - 1, channels).is_some();
                (float && fits && channels > 1).then_some(channels)
            });
            let lengths: Option<Vec<usize>> = lengths.collect();
            let lengths = lengths.filter(|all| all.windows(2).all(|pair| pair[0] == pair[1]));
            let channels = lengths.and_then(|all| all.first().copied())?;
            Some(Self { node: id, value, axis: rank - 1, channels, at: At::Vectors(slots) })
        };
        match node.op_type.as_str() {
            "LayerNormalization" | "RMSNormalization" => {
                let axis = node.int("axis").unwrap_or(-1);
                if axis != -1 && axis != rank as i64 - 1 {
                    return Err(format!("{} normalizes several axes", node.op_type));
                }
                let slots = (1..3).filter(|&slot| node.input(slot).is_some()).collect();
                let unknown = || format!("the scale of {} is not constant", node.op_type);
                vectors(slots).ok_or_else(unknown)
            }
            "Mul" => {
                let constant = (0..2).find(|&slot| graph.constant_input(id, slot).is_some());
                let slot = constant.ok_or_else(from)?;
                match vectors(vec![slot]) {
                    Some(found) => Ok(found),
                    None => Self::of(graph, node.input(1 - slot).ok_or_else(from)?),
                }
            }
            "Add" => {
                let constant = (0..2).find(|&slot| graph.constant_input(id, slot).is_some());
                let slot = constant.ok_or_else(from)?;
                Self::of(graph, node.input(1 - slot).ok_or_else(from)?)
            }
            "Relu" | "LeakyRelu" | "Clip" | "Identity" => {
                Self::of(graph, node.input(0).ok_or_else(from)?)
            }
            "Gemm" | "MatMul" if Weights::is_product(graph, id) => {
                let weights = Weights::of(graph, id)?;
                let (axis, channels) = (weights.axis, weights.outputs);
                Ok(Self { node: id, value, axis, channels, at: At::Product(Box::new(weights)) })
            }
            _ => Err(from()),
        }
    }

    /// Divides the channels where they are made.
    pub(super) fn divide(&self, graph: &Graph, edits: &mut Edits, scale: &[f64]) {
        match &self.at {
            At::Product(weights) => weights.divide_outputs(graph, edits, scale),
            At::Vectors(slots) => {
                for &slot in slots {
                    divide(graph, edits, (self.node, slot), scale);
                }
            }
        }
    }
}

/// Divides a vector.
pub(super) fn divide(
    graph: &Graph,
    edits: &mut Edits,
    (node, slot): (NodeId, usize),
    scale: &[f64],
) {
    if let Some(numbers) = edits.numbers(graph, node, slot) {
        numbers.iter_mut().zip(scale).for_each(|(number, scale)| *number /= scale);
    }
}
