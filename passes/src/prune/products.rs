//! The products of a graph as matrices: Y = W · X + b.
use crate::prune::elements::Axis;
use crate::samples::windows::Windows;
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch, Tensor, ValueId};
use ndarray::Array2;

/// A Conv, Gemm or MatMul with constant weights of its own.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) node: NodeId,
    pub(super) input: ValueId,
    /// Its result, with the bias.
    pub(super) output: ValueId,
    pub(super) weight: ValueId,
    pub(super) bias: Bias,
    pub(super) form: Form,
    /// The groups of a convolution.
    pub(super) groups: usize,
    /// Numbers in a window per channel of the input.
    pub(super) taps: usize,
}

/// Where the bias of a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// It can be an input of the node, and is one if there is a value.
    Slot(Option<ValueId>),
    /// A constant that the only reader of the result adds.
    Added(ValueId),
    /// There is none, and no place for one.
    Nowhere,
}

/// How the weights are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// W\[O, I/g, …\], read by a window that slides.
    Conv,
    /// W\[N, K\].
    Rows,
    /// W\[K, N\].
    Columns,
}

impl Product {
    /// The products of a graph, in topological order. Weights have a single reader.
    pub(super) fn of(graph: &Graph) -> Vec<Self> {
        graph
            .topological_order()
            .into_iter()
            .filter_map(|id| Self::at(graph, id, own_floats))
            .collect()
    }

    /// A product whose constants other nodes may read too.
    pub(super) fn reading(graph: &Graph, id: NodeId) -> Option<Self> {
        Self::at(graph, id, floats)
    }

    /// The product of a node, with such constants.
    fn at(graph: &Graph, id: NodeId, floats: Constants) -> Option<Self> {
        let node = &graph[id];
        if !node.is_standard() {
            return None;
        }
        let (input, weight, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
        let dims = floats(graph, weight)?.dims().to_vec();
        let (mut output, mut form) = (output, Form::Columns);
        let (mut groups, mut taps) = (1, 1);
        let bias = match node.op_type.as_str() {
            "Conv" if dims.len() >= 3 => {
                form = Form::Conv;
                groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?.max(1);
                taps = dims[2..].iter().product::<i64>() as usize;
                Bias::Slot(node.input(2))
            }
            "Gemm" if dims.len() == 2 => {
                let flag = |name| node.int(name).unwrap_or(0) != 0;
                let one = |name| node.float(name).unwrap_or(1.0) == 1.0;
                if flag("transA") || !one("alpha") || !one("beta") {
                    return None;
                }
                form = if flag("transB") { Form::Rows } else { Form::Columns };
                Bias::Slot(node.input(2))
            }
            "MatMul" if dims.len() == 2 => match added(graph, output, floats) {
                Some((sum, bias)) => {
                    output = sum;
                    Bias::Added(bias)
                }
                None => Bias::Nowhere,
            },
            _ => return None,
        };
        let found = Self { node: id, input, output, weight, bias, form, groups, taps };
        if let Bias::Slot(Some(bias)) | Bias::Added(bias) = bias
            && floats(graph, bias)?.len() != found.outputs(graph)?
        {
            return None;
        }
        Some(found)
    }

    /// The axis of channels of the input.
    pub(super) fn input_axis(&self, graph: &Graph) -> Option<Axis> {
        self.channels(graph, self.input)
    }

    /// The axis of channels of the output.
    pub(super) fn output_axis(&self, graph: &Graph) -> Option<Axis> {
        self.channels(graph, self.output)
    }

    fn channels(&self, graph: &Graph, value: ValueId) -> Option<Axis> {
        let rank = graph.value(value).shape()?.len();
        Some(Axis::new(value, if self.form == Form::Conv { 1 } else { rank.checked_sub(1)? }))
    }

    /// The number of output channels.
    pub(super) fn outputs(&self, graph: &Graph) -> Option<usize> {
        let dims = graph.constant(self.weight)?.dims();
        Some(if self.form == Form::Columns { dims[1] } else { dims[0] } as usize)
    }

    /// Whether a bias can make up for a change of the mean.
    pub(super) fn has_bias(&self) -> bool {
        self.bias != Bias::Nowhere
    }

    /// W, a row per output channel.
    pub(super) fn rows(&self, graph: &Graph) -> Option<Array2<f64>> {
        let numbers: Vec<f64> =
            graph.constant(self.weight)?.to_f32()?.into_iter().map(f64::from).collect();
        let outputs = self.outputs(graph)?;
        let size = numbers.len().checked_div(outputs)?;
        match self.form {
            Form::Columns => {
                Some(Array2::from_shape_vec((size, outputs), numbers).ok()?.reversed_axes())
            }
            Form::Conv | Form::Rows => Array2::from_shape_vec((outputs, size), numbers).ok(),
        }
    }

    /// b, a number per output channel.
    pub(super) fn offsets(&self, graph: &Graph) -> Option<Vec<f64>> {
        match self.bias {
            Bias::Slot(Some(bias)) | Bias::Added(bias) => {
                Some(graph.constant(bias)?.to_f32()?.into_iter().map(f64::from).collect())
            }
            Bias::Slot(None) | Bias::Nowhere => Some(vec![0.0; self.outputs(graph)?]),
        }
    }

    /// The channel of the input that the weight in a row and a column multiplies, W being of these dimensions: row o
    /// belongs to group o / (O/g), and column j of it reads channel o / (O/g) · I/g + j / taps.
    pub(super) fn input_channel(
        &self,
        (outputs, size): (usize, usize),
        row: usize,
        column: usize,
    ) -> usize {
        let group = row / (outputs / self.groups).max(1);
        group * (size / self.taps.max(1)) + column / self.taps.max(1)
    }

    /// Whether its bias is added by another node.
    pub(super) fn is_added_apart(&self) -> bool {
        matches!(self.bias, Bias::Added(_))
    }

    /// Whether it reads every channel of its input for itself: row o reads channel o / m.
    pub(super) fn is_depthwise(&self, graph: &Graph) -> bool {
        let columns = graph.constant(self.weight).and_then(|weight| weight.dims().get(1).copied());
        self.form == Form::Conv && self.groups > 1 && columns == Some(1)
    }

    /// What it multiplies, for an input of these dimensions.
    pub(super) fn windows(&self, graph: &Graph, dims: &[usize]) -> Option<Windows> {
        match self.form {
            Form::Conv => {
                let kernel = graph.constant(self.weight)?.dims().get(2..)?;
                Windows::conv(&graph[self.node], kernel, dims)
            }
            Form::Rows | Form::Columns => Windows::rows(dims),
        }
    }

    /// Adds numbers to the bias, which it gets if there is none. Other readers of the same bias keep it as it is.
    pub(super) fn shift(&self, graph: &Graph, patch: &mut Patch, added: &[f64]) {
        let Some(offsets) = self.offsets(graph) else { return };
        let numbers: Vec<f32> =
            offsets.iter().zip(added).map(|(offset, added)| (offset + added) as f32).collect();
        let own = |bias: ValueId| {
            let value = graph.value(bias);
            value.uses().len() == 1 && !value.is_output() && !value.is_pinned()
        };
        let reader = match self.bias {
            Bias::Added(_) => graph.producer(self.output).unwrap_or(self.node),
            Bias::Slot(_) | Bias::Nowhere => self.node,
        };
        match self.bias {
            Bias::Slot(Some(bias)) | Bias::Added(bias) => {
                let Some(old) = graph.constant(bias) else { return };
                let tensor = Tensor::new(old.dims(), &numbers);
                if own(bias) {
                    return patch.set_tensor(bias, tensor);
                }
                let copy = patch.initializer(graph.value(bias).name(), tensor);
                let slots = graph[reader].inputs().iter().enumerate();
                for (slot, _) in slots.filter(|(_, input)| **input == Some(bias)) {
                    patch.set_input(reader, slot, Some(copy));
                }
            }
            Bias::Slot(None) => {
                let bias = patch.initializer(self.bias_name(graph), Tensor::vector(&numbers));
                patch.set_input(self.node, 2, Some(bias));
            }
            Bias::Nowhere => {
                let bias = patch.initializer(self.bias_name(graph), Tensor::vector(&numbers));
                let product = patch.node(NewNode::like(graph, self.node));
                let sum = patch.node(NewNode::new("Add").input(product).input(bias));
                patch.replace(self.output, sum);
            }
        }
    }

    fn bias_name(&self, graph: &Graph) -> String {
        format!("{}_bias", graph.value(self.weight).name())
    }

    /// Gives it other weights and a bias, of the present sizes.
    pub(super) fn install(
        &self,
        graph: &Graph,
        patch: &mut Patch,
        rows: &Array2<f64>,
        offsets: &[f64],
    ) {
        let Some(old) = graph.constant(self.weight) else { return };
        let ordered = if self.form == Form::Columns { rows.t() } else { rows.view() };
        let numbers: Vec<f32> = ordered.iter().map(|&number| number as f32).collect();
        patch.set_tensor(self.weight, Tensor::new(old.dims(), &numbers));
        let offsets: Vec<f32> = offsets.iter().map(|&number| number as f32).collect();
        match self.bias {
            Bias::Slot(Some(bias)) | Bias::Added(bias) => {
                let Some(old) = graph.constant(bias) else { return };
                patch.set_tensor(bias, Tensor::new(old.dims(), &offsets));
            }
            Bias::Slot(None) if offsets.iter().any(|&number| number != 0.0) => {
                let bias = patch.initializer(self.bias_name(graph), Tensor::vector(&offsets));
                patch.set_input(self.node, 2, Some(bias));
            }
            Bias::Slot(None) | Bias::Nowhere => {}
        }
    }
}

/// Which constants count.
type Constants = fn(&Graph, ValueId) -> Option<&Tensor>;

/// An initializer of floats.
fn floats(graph: &Graph, value: ValueId) -> Option<&Tensor> {
    Some(&**graph.constant(value).filter(|tensor| tensor.elem_type() == ElemType::FLOAT)?)
}

/// An initializer of floats that nothing else reads.
fn own_floats(graph: &Graph, value: ValueId) -> Option<&Tensor> {
    floats(graph, value).filter(|_| graph.value(value).uses().len() == 1)
}

/// The sum with a constant that is all a result is used for, and the constant.
fn added(graph: &Graph, result: ValueId, floats: Constants) -> Option<(ValueId, ValueId)> {
    let reader = &graph[graph.only_use(result)?.node];
    if !reader.is("Add") {
        return None;
    }
    let mut others = reader.inputs().iter().copied().flatten().filter(|&value| value != result);
    let bias = others.next()?;
    let last = *floats(graph, bias)?.dims().last()?;
    let whole = graph.value(result).shape()?.last()?.value() == Some(last);
    whole.then_some((reader.output(0)?, bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn rows_are_output_channels_in_every_form() {
        let model = model(
            "g (float[1,2] x) => (float[1,3] y)
            <float[2,3] w = {1, 2, 3, 4, 5, 6}, float[3] b = {7, 8, 9}, float[3,3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
            {
                h = MatMul(x, w)
                s = Add(b, h)
                y = Gemm<transB = 1>(s, v)
            }",
        );
        let products = Product::of(&model.graph);
        let [first, second] = products.as_slice() else { panic!("there are two") };
        let rows = first.rows(&model.graph).expect("they are constant");
        assert_eq!(rows, ndarray::array![[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        assert_eq!(first.offsets(&model.graph), Some(vec![7.0, 8.0, 9.0]));
        assert_eq!(model.graph.value(first.output).name(), "s");
        assert_eq!(second.bias, Bias::Slot(None));
        assert_eq!(second.rows(&model.graph).expect("they are constant")[(0, 1)], 2.0);
    }

    #[test]
    fn installed_weights_are_read_back() {
        let mut model = model(
            "g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}> { y = Gemm(x, w) }",
        );
        let product = Product::of(&model.graph).remove(0);
        let rows = ndarray::array![[5.0, 6.0], [7.0, 8.0]];
        let mut patch = Patch::default();
        product.install(&model.graph, &mut patch, &rows, &[1.0, 2.0]);
        model.graph.apply(patch).expect("the patch applies");
        let product = Product::of(&model.graph).remove(0);
        assert_eq!(product.rows(&model.graph), Some(rows));
        assert_eq!(product.offsets(&model.graph), Some(vec![1.0, 2.0]));
    }

    #[test]
    fn weights_read_twice_make_no_product() {
        let model = model(
            "g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}>
            { h = MatMul(x, w) y = MatMul(h, w) }",
        );
        assert!(Product::of(&model.graph).is_empty());
    }
}
