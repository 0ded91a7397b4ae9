//! Arithmetic with constants, node after node, as one multiplication and one addition.
use super::affine;
use super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, Tensor, ValueId};

/// Nodes a chain has at most.
const MAX_NODES: usize = 16;

/// Bytes a node takes in a file, about: constants may grow by what removed nodes took.
const NODE_BYTES: u64 = 64;

/// y = x · scale + shift, with constants that broadcast.
#[derive(Debug)]
pub(super) struct Chain {
    /// The value the first node reads.
    pub(super) x: ValueId,
    /// The nodes that multiply and add now.
    pub(super) nodes: usize,
    elem_type: ElemType,
    scale: Option<Array>,
    shift: Option<Array>,
    /// Bytes of constants that no other node reads.
    own_bytes: u64,
}

/// Numbers to calculate with.
#[derive(Debug, Clone, PartialEq)]
struct Array {
    dims: Vec<i64>,
    data: Vec<f64>,
}

impl Chain {
    /// The chain that ends with `root`, each of its values read by the next node alone.
    pub(super) fn ending_with(graph: &Graph, root: NodeId) -> Result<Self, Skip> {
        let mut nodes = vec![root];
        let mut x = affine::data(graph, root)?;
        while nodes.len() < MAX_NODES {
            let above = graph.only_use(x).and_then(|_| graph.producer(x));
            let Some(above) = above.filter(|&id| !graph[id].is("BatchNormalization")) else {
                break;
            };
            let Ok(data) = affine::data(graph, above) else { break };
            nodes.push(above);
            x = data;
        }
        let constants = nodes.iter().filter_map(|&id| constant(graph, id));
        let elem_type = constants.map(Tensor::elem_type).next().or_no_match()?;
        let count = nodes.len();
        let mut chain = Self { x, nodes: count, elem_type, scale: None, shift: None, own_bytes: 0 };
        for &id in nodes.iter().rev() {
            chain.push(graph, id)?;
        }
        Ok(chain)
    }

    /// Adds what node `id` does to the end.
    fn push(&mut self, graph: &Graph, id: NodeId) -> Result<(), Skip> {
        let Some(slot) = affine::constant_slot(graph, id)? else {
            return self.multiply(&Array::scalar(-1.0));
        };
        let tensor = constant(graph, id).or_no_match()?;
        let data = weights::values(tensor).or_no_match()?;
        if tensor.elem_type() != self.elem_type {
            return Err(Skip::NoMatch);
        }
        if graph[id].input(slot).and_then(|id| graph.only_use(id)).is_some() {
            self.own_bytes += tensor.byte_len();
        }
        let array = Array { dims: tensor.dims().to_vec(), data };
        match (graph[id].op_type.as_str(), slot) {
            ("Add", _) => self.add(&array),
            ("Sub", 1) => self.add(&array.map(|value| -value)),
            ("Sub", _) => {
                self.multiply(&Array::scalar(-1.0))?;
                self.add(&array)
            }
            ("Mul", _) => self.multiply(&array),
            ("Div", _) => self.multiply(&array.map(|value| 1.0 / value)),
            _ => Err(Skip::NoMatch),
        }
    }

    fn multiply(&mut self, by: &Array) -> Result<(), Skip> {
        let times = |array: &Array| array.zip(by, |a, b| a * b).or_no_match();
        self.shift = self.shift.as_ref().map(times).transpose()?;
        self.scale = Some(self.scale.as_ref().map_or(Ok(by.clone()), times)?);
        Ok(())
    }

    fn add(&mut self, more: &Array) -> Result<(), Skip> {
        let Some(shift) = &self.shift else {
            self.shift = Some(more.clone());
            return Ok(());
        };
        let sum = shift.zip(more, |a, b| a + b).or_no_match()?;
        // (x + k) − k with a large k rounds x: that is what it is for.
        let largest = shift.zip(more, |a, b| a.abs().max(b.abs())).or_no_match()?;
        let cancels =
            sum.data.iter().zip(&largest.data).any(|(sum, term)| sum.abs() < term / 1024.0);
        require(!cancels, "the constants cancel each other")?;
        self.shift = Some(sum);
        Ok(())
    }

    /// Whether the chain is k − x.
    pub(super) fn subtracts(&self) -> bool {
        self.shift.is_some() && self.scale == Some(Array::scalar(-1.0))
    }

    /// The constant to multiply by and the constant to add.
    ///
    /// # Errors
    /// When one of them does not fit its type, or when they are larger than those there are.
    pub(super) fn constants(&self) -> Result<(Option<Tensor>, Option<Tensor>), Skip> {
        let scale = self.scale.as_ref().filter(|_| !self.subtracts());
        let made = |array: &Array| array.tensor(self.elem_type);
        let scale = scale.map(made).transpose()?;
        let shift = self.shift.as_ref().map(made).transpose()?;
        let (count, bytes) = [&scale, &shift]
            .into_iter()
            .flatten()
            .fold((0, 0), |(count, bytes), tensor| (count + 1, bytes + tensor.byte_len()));
        if count >= self.nodes {
            return Err(Skip::NoMatch);
        }
        let allowed = self.own_bytes + NODE_BYTES * (self.nodes - count) as u64;
        require(bytes <= allowed, "the constants would grow")?;
        Ok((scale, shift))
    }
}

/// The constant operand of node `id`.
fn constant(graph: &Graph, id: NodeId) -> Option<&Tensor> {
    let slot = affine::constant_slot(graph, id).ok().flatten()?;
    graph.constant_input(id, slot).map(|tensor| &**tensor)
}

impl Array {
    fn scalar(value: f64) -> Self {
        Self { dims: Vec::new(), data: vec![value] }
    }

    fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { dims: self.dims.clone(), data: self.data.iter().copied().map(function).collect() }
    }

    /// Each pair of elements; none if the dimensions do not broadcast.
    fn zip(&self, other: &Self, function: impl Fn(f64, f64) -> f64) -> Option<Self> {
        let rank = self.dims.len().max(other.dims.len());
        let pad = |dims: &[i64]| [vec![1; rank - dims.len()], dims.to_vec()].concat();
        let (left, right) = (pad(&self.dims), pad(&other.dims));
        let pairs = left.iter().zip(&right);
        let dims = pairs
            .map(|(&a, &b)| match (a, b) {
                (1, dim) | (dim, 1) => Some(dim),
                _ => (a == b).then_some(a),
            })
            .collect::<Option<Vec<i64>>>()?;
        let count = dims.iter().product::<i64>() as usize;
        let source = |own: &[i64], index: usize| {
            let (mut rest, mut stride, mut place) = (index, 1, 0);
            for (&dim, &own) in dims.iter().zip(own).rev() {
                let position = rest % dim as usize;
                rest /= dim as usize;
                place += if own == 1 { 0 } else { position * stride };
                stride *= own as usize;
            }
            place
        };
        let element =
            |index| function(self.data[source(&left, index)], other.data[source(&right, index)]);
        let data = (0..count).map(element).collect();
        Some(Self { dims, data })
    }

    fn tensor(&self, elem_type: ElemType) -> Result<Tensor, Skip> {
        let representable = |&value: &f64| weights::is_representable(elem_type, value);
        require(
            self.data.iter().all(representable),
            "the constants leave the range of their type",
        )?;
        weights::tensor(elem_type, &self.dims, &self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasts_both_arrays() {
        let column = Array { dims: vec![2, 1], data: vec![1.0, 2.0] };
        let row = Array { dims: vec![3], data: vec![10.0, 20.0, 30.0] };
        let sum = column.zip(&row, |a, b| a + b).expect("they broadcast");
        assert_eq!(sum.dims, [2, 3]);
        assert_eq!(sum.data, [11.0, 21.0, 31.0, 12.0, 22.0, 32.0]);
        let empty = Array { dims: vec![0], data: Vec::new() };
        assert_eq!(empty.zip(&column, |a, _| a), Some(Array { dims: vec![2, 0], data: vec![] }));
        assert_eq!(row.zip(&empty, |a, _| a), None);
    }
}
