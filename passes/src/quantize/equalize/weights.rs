//! The weights of a product, by output and input channels.
use super::edits::Edits;
use lapidary_ir::{ElemType, Graph, NodeId};

/// A product Y = W · X + b with constant weights nothing else reads.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// The node. X is at slot 0, W at slot 1, b at slot 2.
    pub(super) node: NodeId,
    /// Output channels.
    pub(super) outputs: usize,
    /// Input channels, of all groups.
    pub(super) inputs: usize,
    /// The axis of the channels in X and in Y.
    pub(super) axis: usize,
    /// Whether the operator can add a bias.
    pub(super) takes_bias: bool,
    layout: Layout,
}

/// In which order the numbers stand.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// Output channels, input channels of their group, taps.
    Conv { outputs_per_group: usize, inputs_per_group: usize, taps: usize },
    /// Output channels, input channels.
    Rows,
    /// Input channels, output channels.
    Columns,
}

type Reason = &'static str;

impl Weights {
    /// Whether a node multiplies by weights, if they are constant.
    pub(super) fn is_product(graph: &Graph, id: NodeId) -> bool {
        let node = &graph[id];
        let kind = node.is("Conv") || node.is("Gemm") || node.is("MatMul");
        kind && graph.constant_input(id, 1).is_some()
            && node.input(0).is_some_and(|input| graph.constant(input).is_none())
    }

    /// The product of a node, or why it can't be changed.
    pub(super) fn of(graph: &Graph, id: NodeId) -> Result<Self, Reason> {
        let node = &graph[id];
        if !Self::is_product(graph, id) {
            return Err("the weights are not constant");
        }
        let weights = node.input(1).ok_or("the weights are not constant")?;
        let tensor = graph.constant(weights).ok_or("the weights are not constant")?;
        if tensor.elem_type() != ElemType::FLOAT || tensor.is_empty() {
            return Err("the weights are not float");
        }
        if graph.value(weights).uses().len() != 1 || graph.value(weights).is_output() {
            return Err("the weights have several readers");
        }
        let dims: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
        let found = match (node.op_type.as_str(), dims.as_slice()) {
            ("Conv", &[outputs, inputs_per_group, ref kernel @ ..]) => {
                let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
                if groups == 0 || outputs % groups != 0 {
                    return Err("the groups do not divide the channels");
                }
                let (outputs_per_group, taps) = (outputs / groups, kernel.iter().product());
                let layout = Layout::Conv { outputs_per_group, inputs_per_group, taps };
                let inputs = groups * inputs_per_group;
                Self { node: id, outputs, inputs, axis: 1, takes_bias: true, layout }
            }
            ("Gemm", &[rows, columns]) => {
                if node.float("alpha").unwrap_or(1.0) != 1.0
                    || node.float("beta").unwrap_or(1.0) != 1.0
                {
                    return Err("alpha or beta is not 1");
                }
                if node.int("transA").unwrap_or(0) != 0 {
                    return Err("the left operand is transposed");
                }
                let (outputs, inputs, layout) = match node.int("transB").unwrap_or(0) {
                    0 => (columns, rows, Layout::Columns),
                    _ => (rows, columns, Layout::Rows),
                };
                Self { node: id, outputs, inputs, axis: 1, takes_bias: true, layout }
            }
            ("MatMul", &[inputs, outputs]) => {
                let shape = node.output(0).and_then(|output| graph.value(output).shape());
                let rank = shape.map(<[_]>::len).ok_or("the rank of its result is not known")?;
                let axis = rank.checked_sub(1).ok_or("the left operand has no channels")?;
                let layout = Layout::Columns;
                Self { node: id, outputs, inputs, axis, takes_bias: false, layout }
            }
            _ => return Err("the weights are not a matrix"),
        };
        if let Some(bias) = node.input(2) {
            let bias = graph.constant(bias).ok_or("the bias is not constant")?;
            if bias.elem_type() != ElemType::FLOAT || bias.dims() != [found.outputs as i64] {
                return Err("the bias is not one number per channel");
            }
        }
        Ok(found)
    }

    /// The output and the input channel of the weight at a place.
    pub(super) fn channels(&self, at: usize) -> (usize, usize) {
        match self.layout {
            Layout::Conv { outputs_per_group, inputs_per_group, taps } => {
                let (output, input) =
                    (at / (inputs_per_group * taps), at / taps % inputs_per_group);
                (output, output / outputs_per_group * inputs_per_group + input)
            }
            Layout::Rows => (at / self.inputs, at % self.inputs),
            Layout::Columns => (at % self.outputs, at / self.outputs),
        }
    }

    /// max |w| of every output channel.
    pub(super) fn output_ranges(&self, graph: &Graph, edits: &mut Edits) -> Vec<f64> {
        self.ranges(graph, edits, self.outputs, |(output, _)| output)
    }

    /// max |w| of every input channel.
    pub(super) fn input_ranges(&self, graph: &Graph, edits: &mut Edits) -> Vec<f64> {
        self.ranges(graph, edits, self.inputs, |(_, input)| input)
    }

    fn ranges(
        &self,
        graph: &Graph,
        edits: &mut Edits,
        count: usize,
        channel: impl Fn((usize, usize)) -> usize,
    ) -> Vec<f64> {
        let mut ranges = vec![0.0f64; count];
        let numbers = edits.numbers(graph, self.node, 1).map_or(&[][..], |numbers| numbers);
        for (at, number) in numbers.iter().enumerate() {
            let range = &mut ranges[channel(self.channels(at))];
            *range = range.max(number.abs());
        }
        ranges
    }

    /// Divides every output channel and its bias.
    pub(super) fn divide_outputs(&self, graph: &Graph, edits: &mut Edits, scale: &[f64]) {
        if let Some(numbers) = edits.numbers(graph, self.node, 1) {
            for (at, number) in numbers.iter_mut().enumerate() {
                *number /= scale[self.channels(at).0];
            }
        }
        if let Some(bias) = edits.numbers(graph, self.node, 2) {
            bias.iter_mut().zip(scale).for_each(|(number, scale)| *number /= scale);
        }
    }

    /// Multiplies every input channel.
    pub(super) fn multiply_inputs(&self, graph: &Graph, edits: &mut Edits, scale: &[f64]) {
        if let Some(numbers) = edits.numbers(graph, self.node, 1) {
            for (at, number) in numbers.iter_mut().enumerate() {
                *number *= scale[self.channels(at).1];
            }
        }
    }

    /// What every output channel makes of inputs that are the same at all positions: W · x.
    pub(super) fn times(&self, numbers: &[f64], inputs: &[f64]) -> Vec<f64> {
        let mut results = vec![0.0; self.outputs];
        for (at, number) in numbers.iter().enumerate() {
            let (output, input) = self.channels(at);
            results[output] += number * inputs[input];
        }
        results
    }

    /// b, which becomes zeros where there is none; none where the operator takes none.
    pub(super) fn bias<'a>(&self, graph: &Graph, edits: &'a mut Edits) -> Option<&'a mut Vec<f64>> {
        if !self.takes_bias {
            return None;
        }
        if edits.numbers(graph, self.node, 2).is_none() {
            let weights = graph[self.node].input(1)?;
            let name = format!("{}_bias", graph.value(weights).name());
            edits.create(self.node, 2, name, vec![0.0; self.outputs]);
        }
        edits.numbers(graph, self.node, 2)
    }

    /// Whether a Conv reads zeros around its input.
    pub(super) fn is_padded(&self, graph: &Graph) -> bool {
        let node = &graph[self.node];
        let Layout::Conv { taps, .. } = self.layout else { return false };
        match node.string("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" => node.ints("pads").is_some_and(|pads| pads.iter().any(|&pad| pad != 0)),
            "VALID" => false,
            _ => taps > 1,
        }
    }
}
