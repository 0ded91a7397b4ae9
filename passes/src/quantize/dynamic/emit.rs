//! Writes the integer form of sites into a patch.
use super::DynamicOptions;
use super::rows::{Rows, quantize_rows};
use super::site::{Kind, Product, Site, Weights};
use crate::quantize::matrix::transposed;
use crate::quantize::outcome::{Outcome, StoredWeight};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};
use std::collections::BTreeMap;

/// Why a weight has no integer form.
pub(super) const NOT_FINITE: &str = "its weights are not all finite";

/// The integer forms of the nodes of one graph.
pub(super) struct Emitter<'a> {
    pub(super) graph: &'a Graph,
    pub(super) options: &'a DynamicOptions,
    pub(super) patch: Patch,
    pub(super) outcome: Outcome,
    /// Values quantized so far: numbers, scale, zero point.
    inputs: BTreeMap<ValueId, [Operand; 3]>,
    /// Matrices stored so far.
    matrices: Vec<Matrix>,
}

/// A matrix of channels or rows of a table, stored once for all that read it.
struct Matrix {
    /// The numbers, channel by channel.
    numbers: Vec<f32>,
    channels: usize,
    /// The codes `[channels, width]`, if something reads them so.
    by_channel: Option<Operand>,
    /// The codes `[width, channels]`.
    by_column: Option<Operand>,
    /// The scales `[channels, 1]`.
    scale_column: Option<Operand>,
    /// The scales `[channels]`.
    scale_row: Option<Operand>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(graph: &'a Graph, options: &'a DynamicOptions) -> Self {
        Self {
            graph,
            options,
            patch: Patch::default(),
            outcome: Outcome::default(),
            inputs: BTreeMap::new(),
            matrices: Vec::new(),
        }
    }

    /// Writes one site, or says why not.
    pub(super) fn site(&mut self, site: &Site) -> Result<(), &'static str> {
        match &site.kind {
            Kind::Product(product) => self.product(site.id, product),
            Kind::Conv { weights } => self.conv(site.id, weights),
            Kind::Gather { weights } => self.gather(site.id, weights),
            Kind::Lstm { input, recurrent } => self.lstm(site.id, input, recurrent),
        }
    }

    fn product(&mut self, id: NodeId, product: &Product) -> Result<(), &'static str> {
        let node = &self.graph[id];
        let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
            return Err("it computes nothing");
        };
        let matrix = self.matrix(&product.weights, product.channels_first, product.alpha)?;
        let codes = self.codes_by_column(matrix, &product.weights);
        let scales = self.scale_row(matrix);
        let [numbers, scale, zero_point] = self.quantized(x);
        let name = self.graph.value(y).name().to_owned();
        let integers = NewNode::new("MatMulInteger").input(numbers).input(codes).input(zero_point);
        let integers = self.patch.node(integers.output_name(format!("{name}_integer")));
        let bias = product.bias.map(|(bias, beta)| self.bias(bias, beta));
        self.restore(y, integers, scale, scales, bias);
        Ok(())
    }

    fn conv(&mut self, id: NodeId, weights: &Weights) -> Result<(), &'static str> {
        let node = &self.graph[id];
        let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
            return Err("it computes nothing");
        };
        let (dims, rank) = (weights.tensor.dims(), weights.tensor.rank());
        let channels = dims[0] as usize;
        let rows = self.rows(weights, channels, &weights.tensor.to_vec().unwrap_or_default())?;
        let name = self.graph.value(weights.value).name();
        let codes = Tensor::new(dims, &rows.codes);
        let codes = self.patch.initializer(format!("{name}_quantized"), codes);
        let mut broadcast = vec![1; rank - 1];
        broadcast[0] = channels as i64;
        let scales = Tensor::new(&broadcast, &rows.scales);
        let scales = self.patch.initializer(format!("{name}_scale"), scales);
        let [numbers, scale, zero_point] = self.quantized(x);
        let name = self.graph.value(y).name().to_owned();
        let integers = NewNode::like(self.graph, id).op_type("ConvInteger").truncate_inputs(0);
        let integers = integers.input(numbers).input(codes).input(zero_point);
        let integers = self.patch.node(integers.output_name(format!("{name}_integer")));
        let bias = match self.graph[id].input(2) {
            None => None,
            Some(bias) => Some(self.channel_bias(bias, &broadcast)?),
        };
        self.restore(y, integers, scale, scales, bias);
        Ok(())
    }

    fn gather(&mut self, id: NodeId, weights: &Weights) -> Result<(), &'static str> {
        let Some(y) = self.graph[id].output(0) else { return Err("it computes nothing") };
        let matrix = self.matrix(weights, true, 1.0)?;
        let codes = self.codes_by_channel(matrix, weights);
        let scales = self.scale_column(matrix);
        let name = self.graph.value(y).name().to_owned();
        let look_up = |emitter: &mut Self, table: Operand, what: &str| {
            let gather = NewNode::like(emitter.graph, id).with_input(0, table);
            let named = format!("{}_{what}", emitter.graph[id].label(emitter.graph));
            emitter.patch.node(gather.named(named).output_name(format!("{name}_{what}")))
        };
        let integers = look_up(self, codes, "integer");
        let scale = look_up(self, scales, "scale");
        let float = self.cast(&name, integers);
        let product = self.patch.node(NewNode::new("Mul").input(float).input(scale));
        self.patch.replace(y, product);
        Ok(())
    }

    /// Makes `y` from integers: float(integers) · (scale · scales) + bias.
    fn restore(
        &mut self,
        y: ValueId,
        integers: Operand,
        scale: Operand,
        scales: Operand,
        bias: Option<Operand>,
    ) {
        let name = self.graph.value(y).name().to_owned();
        let float = self.cast(&name, integers);
        let scale = NewNode::new("Mul").input(scale).input(scales);
        let scale = self.patch.node(scale.output_name(format!("{name}_scale")));
        let product = NewNode::new("Mul").input(float).input(scale);
        let mut result = self.patch.node(product.output_name(format!("{name}_product")));
        if let Some(bias) = bias {
            result = self.patch.node(NewNode::new("Add").input(result).input(bias));
        }
        self.patch.replace(y, result);
    }

    fn cast(&mut self, name: &str, integers: Operand) -> Operand {
        let cast = NewNode::new("Cast").attribute("to", i64::from(ElemType::FLOAT.0));
        self.patch.node(cast.input(integers).output_name(format!("{name}_float")))
    }

    /// A value in 8 bits: numbers, scale and zero point.
    fn quantized(&mut self, x: ValueId) -> [Operand; 3] {
        if let Some(&known) = self.inputs.get(&x) {
            return known;
        }
        let name = self.graph.value(x).name();
        let node = NewNode::new("DynamicQuantizeLinear").input(x).outputs(3);
        let node = node.named(format!("{name}_DynamicQuantizeLinear"));
        let numbers = self.patch.node(node.output_name(format!("{name}_quantized")));
        let outputs = [0, 1, 2].map(|slot| self.patch.output(numbers, slot));
        self.inputs.insert(x, outputs);
        outputs
    }

    /// A bias times beta.
    fn bias(&mut self, bias: ValueId, beta: f32) -> Operand {
        let scaled = self.graph.constant(bias).filter(|_| beta != 1.0).and_then(|tensor| {
            let numbers: Vec<f32> = tensor.to_vec()?.into_iter().map(|b: f32| beta * b).collect();
            Some(Tensor::new(tensor.dims(), &numbers))
        });
        match scaled {
            None => bias.into(),
            Some(tensor) => {
                let name = format!("{}_scaled", self.graph.value(bias).name());
                self.patch.initializer(name, tensor)
            }
        }
    }

    /// A bias per channel in the shape that broadcasts over an image.
    fn channel_bias(&mut self, bias: ValueId, dims: &[i64]) -> Result<Operand, &'static str> {
        let constant = self.graph.constant(bias);
        let Some(tensor) = constant.and_then(|tensor| tensor.reshaped(dims.to_vec()).ok()) else {
            return Err("its bias is no constant");
        };
        let name = format!("{}_channels", self.graph.value(bias).name());
        Ok(self.patch.initializer(name, tensor))
    }

    /// Rounds weights, channel by channel, and notes how they are stored.
    pub(super) fn rows(
        &mut self,
        weights: &Weights,
        channels: usize,
        numbers: &[f32],
    ) -> Result<Rows, &'static str> {
        let rows = quantize_rows(numbers, channels, self.options.steps()).ok_or(NOT_FINITE)?;
        let bits = if self.options.reduce_range { "7 bits of int8" } else { "int8" };
        self.outcome.weights.push(StoredWeight {
            name: self.graph.value(weights.value).name().to_owned(),
            form: format!("{bits}, {channels} scales"),
            bytes_before: weights.tensor.byte_len(),
            bytes_after: (rows.codes.len() + 4 * rows.scales.len()) as u64,
            nmse: rows.nmse,
        });
        Ok(rows)
    }
}

/// Matrices that several nodes read, also one transposed and the other not, are stored once.
impl Emitter<'_> {
    /// The index of the matrix of some weights, whose channels are rows or columns.
    fn matrix(
        &mut self,
        weights: &Weights,
        channels_first: bool,
        alpha: f32,
    ) -> Result<usize, &'static str> {
        let dims = weights.tensor.dims();
        let mut numbers: Vec<f32> = weights.tensor.to_vec().ok_or(NOT_FINITE)?;
        if !channels_first {
            numbers = transposed(&numbers, dims[0] as usize);
        }
        numbers.iter_mut().for_each(|number| *number *= alpha);
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(NOT_FINITE);
        }
        let channels = dims[usize::from(!channels_first)] as usize;
        let same = |matrix: &Matrix| matrix.channels == channels && matrix.numbers == numbers;
        if let Some(known) = self.matrices.iter().position(same) {
            return Ok(known);
        }
        self.matrices.push(Matrix {
            numbers,
            channels,
            by_channel: None,
            by_column: None,
            scale_column: None,
            scale_row: None,
        });
        Ok(self.matrices.len() - 1)
    }

    /// Whether the codes of a matrix are stored already.
    fn is_stored(&self, matrix: usize) -> bool {
        let matrix = &self.matrices[matrix];
        matrix.by_channel.is_some() || matrix.by_column.is_some()
    }

    /// Stores codes and scales: `[channels, width]` and `[channels, 1]`, or transposed.
    fn store(&mut self, index: usize, weights: &Weights, by_channel: bool) {
        let (numbers, channels) =
            (std::mem::take(&mut self.matrices[index].numbers), self.matrices[index].channels);
        let rows = self.rows(weights, channels, &numbers).expect("the numbers are finite");
        let (name, width) = (self.graph.value(weights.value).name(), numbers.len() / channels);
        let (channels, width) = (channels as i64, width as i64);
        let (codes, scales) = if by_channel {
            let codes = Tensor::new(&[channels, width], &rows.codes);
            (codes, Tensor::new(&[channels, 1], &rows.scales))
        } else {
            let codes = transposed(&rows.codes, channels as usize);
            (Tensor::new(&[width, channels], &codes), Tensor::vector(&rows.scales))
        };
        let codes = self.patch.initializer(format!("{name}_quantized"), codes);
        let scales = self.patch.initializer(format!("{name}_scale"), scales);
        let matrix = &mut self.matrices[index];
        matrix.numbers = numbers;
        if by_channel {
            (matrix.by_channel, matrix.scale_column) = (Some(codes), Some(scales));
        } else {
            (matrix.by_column, matrix.scale_row) = (Some(codes), Some(scales));
        }
    }

    fn codes_by_channel(&mut self, index: usize, weights: &Weights) -> Operand {
        if !self.is_stored(index) {
            self.store(index, weights, true);
        }
        if let Some(codes) = self.matrices[index].by_channel {
            return codes;
        }
        let codes = self.transpose(self.matrices[index].by_column.expect("it is stored"));
        self.matrices[index].by_channel = Some(codes);
        codes
    }

    fn codes_by_column(&mut self, index: usize, weights: &Weights) -> Operand {
        if !self.is_stored(index) {
            self.store(index, weights, false);
        }
        if let Some(codes) = self.matrices[index].by_column {
            return codes;
        }
        let codes = self.transpose(self.matrices[index].by_channel.expect("it is stored"));
        self.matrices[index].by_column = Some(codes);
        codes
    }

    fn scale_row(&mut self, index: usize) -> Operand {
        if let Some(scales) = self.matrices[index].scale_row {
            return scales;
        }
        let column = self.matrices[index].scale_column.expect("it is stored");
        let scales = self.reshape(column, &[-1]);
        self.matrices[index].scale_row = Some(scales);
        scales
    }

    fn scale_column(&mut self, index: usize) -> Operand {
        if let Some(scales) = self.matrices[index].scale_column {
            return scales;
        }
        let row = self.matrices[index].scale_row.expect("it is stored");
        let scales = self.reshape(row, &[-1, 1]);
        self.matrices[index].scale_column = Some(scales);
        scales
    }

    fn transpose(&mut self, codes: Operand) -> Operand {
        self.patch.node(NewNode::new("Transpose").attribute("perm", vec![1i64, 0]).input(codes))
    }

    fn reshape(&mut self, scales: Operand, dims: &[i64]) -> Operand {
        let shape = self.patch.initializer("scale_shape", Tensor::vector(dims));
        self.patch.node(NewNode::new("Reshape").input(scales).input(shape))
    }
}
