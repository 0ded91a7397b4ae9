//! What a product adds to its results, which can take over the mean of what is lost.
use super::site::{Form, Site};
use lapidary_ir::{ElemType, Graph, NodeId, Port, Tensor};
use ndarray::Array1;

/// A constant vector that is added to the results of one node and of no other.
#[derive(Clone, Debug)]
pub(super) struct Bias {
    pub(super) place: Place,
    name: String,
    dims: Vec<i64>,
    numbers: Vec<f32>,
    /// What the product is multiplied by, over what the bias is.
    factor: f64,
}

/// Where the vector is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Input 2 of the node itself.
    Node,
    /// An Add behind it.
    Add(NodeId, usize),
}

impl Bias {
    /// The bias of a site of one node; none if it has none and can't be given one for nothing.
    ///
    /// Conv and Gemm compute α · product + β · bias with α = β = 1 unless a Gemm says otherwise.
    pub(super) fn of(graph: &Graph, site: &Site) -> Option<Self> {
        let &[id] = site.nodes.as_slice() else { return None };
        let (node, width) = (&graph[id], site.outputs());
        if site.form == Form::Left {
            return None;
        }
        if node.is("MatMul") {
            let used = graph.only_use(node.output(0)?)?;
            let Port::Input(slot @ 0..=1) = used.port else { return None };
            let (add, slot) = (&graph[used.node], 1 - slot as usize);
            let found = add.input(slot).filter(|_| add.is("Add"))?;
            let (dims, numbers) = vector(graph.constant(found)?, width)?;
            let name = graph.value(found).name().to_owned();
            return Some(Self {
                place: Place::Add(used.node, slot),
                name,
                dims,
                numbers,
                factor: 1.0,
            });
        }
        let (alpha, beta) = match node.is("Gemm") {
            true => (node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0)),
            false => (1.0, 1.0),
        };
        if beta == 0.0 {
            return None;
        }
        let factor = f64::from(alpha) / f64::from(beta);
        let (name, dims, numbers) = match node.input(2) {
            Some(bias) => {
                let (dims, numbers) = vector(graph.constant(bias)?, width)?;
                (graph.value(bias).name().to_owned(), dims, numbers)
            }
            None => {
                let name = format!("{}_bias", graph.value(site.weight).name());
                (name, vec![width as i64], vec![0.0; width])
            }
        };
        Some(Self { place: Place::Node, name, dims, numbers, factor })
    }

    /// The name it derives from, and the bias for products that lack `shift`.
    pub(super) fn shifted(&self, shift: &Array1<f64>) -> (String, Tensor) {
        let numbers: Vec<f32> = self
            .numbers
            .iter()
            .zip(shift)
            .map(|(&number, shift)| (f64::from(number) + self.factor * shift) as f32)
            .collect();
        (self.name.clone(), Tensor::new(&self.dims, &numbers))
    }
}

/// The numbers of a constant that is a row of `width`.
fn vector(tensor: &Tensor, width: usize) -> Option<(Vec<i64>, Vec<f32>)> {
    let row = tensor.dims().last() == Some(&(width as i64)) && tensor.len() == width;
    if !row || tensor.elem_type() != ElemType::FLOAT {
        return None;
    }
    let numbers: Vec<f32> = tensor.to_vec()?;
    numbers.iter().all(|number| number.is_finite()).then(|| (tensor.dims().to_vec(), numbers))
}
