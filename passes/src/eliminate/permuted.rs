//! What an operator becomes when its operands come with their axes in another order.
use super::integers;
use crate::slices::position;
use lapidary_ir::{
    AttributeValue, ElemType, Graph, NewNode, Node, NodeId, Tensor, ValueId, schema,
};

/// A node for operands of which each is the `Transpose` of what the node will read.
///
/// With the permutation p, axis i of the old operands is axis p\[i\] of the new ones. The old
/// outputs are the `Transpose`s by p of the new ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Permuted {
    /// The slots of the inputs that change their order.
    pub(super) inputs: Vec<usize>,
    /// The slots of the outputs that change their order; the others stay as they are.
    pub(super) outputs: Vec<usize>,
    /// Attributes that change.
    attributes: Vec<(&'static str, AttributeValue)>,
    /// Constant inputs that change.
    constants: Vec<(usize, Tensor)>,
}

/// How `id` works with operands in the order before `perm`; nothing when it can't, or not as fast.
pub(super) fn permuted(graph: &Graph, id: NodeId, perm: &[usize]) -> Option<Permuted> {
    let node = &graph[id];
    if !node.is_standard() || graph.opset() < 13 {
        return None;
    }
    let same_rank = |slot: usize| graph.ty(node.input(slot)?).rank().filter(|&r| r == perm.len());
    let one = || Permuted { inputs: vec![0], outputs: vec![0], ..Permuted::default() };
    let axis = |default: i64| position(node.int("axis").unwrap_or(default), perm.len());
    let moved = |axis: usize| ("axis", AttributeValue::from(perm[axis] as i64));
    match node.op_type.as_str() {
        op_type if schema::is_elementwise_unary(op_type) => same_rank(0).map(|_| one()),
        op_type if schema::is_broadcasting(op_type) || op_type == "PRelu" => {
            broadcasting(graph, node, perm)
        }
        "Softmax" | "LogSoftmax" => {
            let (_, axis) = (same_rank(0)?, axis(-1)?);
            // Along the last axis the elements lie together.
            let last = perm.len() - 1;
            let as_fast = axis != last || perm[axis] == last;
            as_fast.then(|| Permuted { attributes: vec![moved(axis)], ..one() })
        }
        "QuantizeLinear" | "DequantizeLinear" => {
            let (_, axis) = (same_rank(0)?, axis(1)?);
            let blocks = node.int("block_size").unwrap_or(0) != 0;
            match graph.ty(node.input(1)?).shape.as_deref()? {
                [] => Some(one()),
                [_] if !blocks => Some(Permuted { attributes: vec![moved(axis)], ..one() }),
                _ => None,
            }
        }
        "Resize" => {
            same_rank(0)?;
            let scales = graph.constant(node.input(2)?).filter(|scales| scales.len() == perm.len());
            let plain = node.input(1).is_none() && node.attribute("axes").is_none();
            let sources: Vec<usize> = (0..perm.len()).filter_map(|to| place(perm, to)).collect();
            let scales = scales.filter(|_| plain)?.gather_axis(0, &sources)?;
            // Runtimes are made for images whose rows lie together.
            let outer = scales.to_f32()?.into_iter().take(2).all(|scale| scale == 1.0);
            outer.then(|| Permuted { constants: vec![(2, scales)], ..one() })
        }
        "LayerNormalization" => {
            let (_, axis) = (same_rank(0)?, axis(-1)?);
            let stay = (axis..perm.len()).all(|axis| perm[axis] == axis);
            (stay && node.outputs().len() == 1).then(one)
        }
        "Concat" => {
            let (axis, operands) = (axis(0)?, broadcasting(graph, node, perm)?);
            let whole = node.inputs().iter().flatten();
            let equal = whole.into_iter().all(|&x| graph.ty(x).rank() == Some(perm.len()));
            equal.then(|| Permuted { attributes: vec![moved(axis)], ..operands })
        }
        "Split" => {
            let (_, axis) = (same_rank(0)?, axis(0)?);
            let outputs = (0..node.outputs().len()).collect();
            Some(Permuted { attributes: vec![moved(axis)], outputs, ..one() })
        }
        "Slice" => {
            same_rank(0)?;
            // All bounds of a slice have one type.
            graph.ty(node.input(1)?).elem_type.filter(|&elem_type| elem_type == ElemType::INT64)?;
            let count = graph.ty(node.input(1)?).shape.as_ref()?.first()?.value()?;
            let axes = match node.input(3) {
                None => (0..count).collect(),
                Some(_) => integers(graph, id, 3, "axes")?,
            };
            Some(Permuted { constants: vec![(3, moved_axes(&axes, perm)?)], ..one() })
        }
        "Gather" => {
            let (_, axis) = (same_rank(0)?, axis(0)?);
            let moved = Permuted { attributes: vec![moved(axis)], ..one() };
            match graph.ty(node.input(1)?).rank()? {
                1 => Some(moved),
                0 => {
                    let stay = perm.iter().filter(|&&to| to != perm[axis]);
                    stay.is_sorted().then(|| Permuted { outputs: Vec::new(), ..moved })
                }
                _ => None,
            }
        }
        "Pad" => {
            same_rank(0)?;
            if node.input(3).is_some() {
                let axes = integers(graph, id, 3, "axes")?;
                return Some(Permuted { constants: vec![(3, moved_axes(&axes, perm)?)], ..one() });
            }
            let pads =
                integers(graph, id, 1, "pads").filter(|pads| pads.len() == 2 * perm.len())?;
            let mut moved = pads.clone();
            for (axis, &to) in perm.iter().enumerate() {
                moved[to] = pads[axis];
                moved[to + perm.len()] = pads[axis + perm.len()];
            }
            Some(Permuted { constants: vec![(1, Tensor::vector(&moved))], ..one() })
        }
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
        | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
            same_rank(0)?;
            reduction(graph, id, perm)
        }
        _ => None,
    }
}

/// The axis that comes from axis `to`.
fn place(perm: &[usize], to: usize) -> Option<usize> {
    perm.iter().position(|&from| from == to)
}

/// The axes where they come from.
fn moved_axes(axes: &[i64], perm: &[usize]) -> Option<Tensor> {
    Some(Tensor::vector(&moved_positions(axes, perm)?))
}

fn moved_positions(axes: &[i64], perm: &[usize]) -> Option<Vec<i64>> {
    axes.iter().map(|&axis| Some(perm[position(axis, perm.len())?] as i64)).collect()
}

/// Operands of full rank change their order, constants of lower rank with them; single elements
/// do not care.
fn broadcasting(graph: &Graph, node: &Node, perm: &[usize]) -> Option<Permuted> {
    let mut made = Permuted { outputs: vec![0], ..Permuted::default() };
    for (slot, input) in node.inputs().iter().enumerate() {
        let input = (*input)?;
        let shape = graph.value(input).shape()?;
        match graph.constant(input) {
            Some(tensor) if tensor.len() == 1 && tensor.rank() < perm.len() => {}
            Some(tensor) if tensor.rank() <= perm.len() => {
                made.constants.push((slot, restored(tensor, perm)?));
            }
            None if shape.len() == perm.len() => made.inputs.push(slot),
            None if shape.is_empty() => {}
            _ => return None,
        }
    }
    (!made.inputs.is_empty()).then_some(made)
}

/// Reduced axes that stay as ones move like others; without them, the axes that stay have to be
/// in order.
fn reduction(graph: &Graph, id: NodeId, perm: &[usize]) -> Option<Permuted> {
    let axes = integers(graph, id, 1, "axes").filter(|axes| !axes.is_empty())?;
    let moved = moved_positions(&axes, perm)?;
    let mut made = Permuted { inputs: vec![0], outputs: vec![0], ..Permuted::default() };
    if graph[id].int("keepdims") == Some(0) {
        let stay = perm.iter().filter(|&&axis| !moved.contains(&(axis as i64)));
        if !stay.is_sorted() {
            return None;
        }
        made.outputs.clear();
    }
    match graph[id].input(1) {
        Some(_) => made.constants.push((1, Tensor::vector(&moved))),
        None => made.attributes.push(("axes", moved.into())),
    }
    Some(made)
}

impl Permuted {
    /// The new node, with its old operands where they do not change their order.
    pub(super) fn node(
        self,
        graph: &Graph,
        id: NodeId,
        mut initializer: impl FnMut(ValueId, Tensor) -> lapidary_ir::Operand,
    ) -> NewNode {
        let mut node = NewNode::like(graph, id);
        for (name, value) in self.attributes {
            node = node.attribute(name, value);
        }
        for (slot, tensor) in self.constants {
            let hint = graph[id].input(slot).or(graph[id].output(0));
            let hint = hint.expect("a node has an output");
            node = node.with_input(slot, initializer(hint, tensor));
        }
        node
    }
}

/// A constant that becomes `tensor`, under as many axes as `perm` has, by `Transpose`.
fn restored(tensor: &Tensor, perm: &[usize]) -> Option<Tensor> {
    let lead = perm.len() - tensor.rank();
    let dim = |axis: usize| axis.checked_sub(lead).map_or(1, |axis| tensor.dims()[axis]);
    let mut strides = vec![0; perm.len()];
    let mut dims = vec![0; perm.len()];
    let mut stride = 1;
    for axis in (0..perm.len()).rev() {
        (dims[perm[axis]], strides[perm[axis]]) = (dim(axis), stride);
        stride *= dim(axis);
    }
    let bits = tensor.elem_type().bits()? as usize;
    let bytes = tensor.bytes().filter(|_| bits.is_multiple_of(8))?;
    let mut moved = Vec::with_capacity(bytes.len());
    let mut index = vec![0; perm.len()];
    for _ in 0..tensor.len() {
        let at: i64 = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        let at = at as usize * (bits / 8);
        moved.extend_from_slice(&bytes[at..at + bits / 8]);
        for axis in (0..perm.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Tensor::from_bytes(tensor.elem_type(), dims, moved.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_restored_by_the_permutation() {
        let tensor = Tensor::new(&[2, 3], &[1i64, 2, 3, 4, 5, 6]);
        let before = restored(&tensor, &[2, 0, 1]).expect("the type has whole bytes");
        // Axis i of the constant is axis perm[i] of what it is made of: 1, 2, 3 become 2, 3, 1.
        assert_eq!(before.dims(), [2, 3, 1]);
        assert_eq!(before.to_i64(), Some(vec![1, 2, 3, 4, 5, 6]));
        let before = restored(&tensor, &[1, 0]).expect("the type has whole bytes");
        assert_eq!(
            (before.dims(), before.to_i64()),
            ([3, 2].as_slice(), Some(vec![1, 4, 2, 5, 3, 6]))
        );
    }
}
