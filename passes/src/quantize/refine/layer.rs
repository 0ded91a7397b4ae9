//! The products of a plan, as matrices.
use super::super::calibration::Calibration;
use super::super::placement::{Support, support};
use super::super::plan::QuantizationPlan;
use super::super::weight::least_weight_scale;
use super::windows::Windows;
use lapidary_ir::{ElemType, Graph, Node, NodeId};
use std::collections::BTreeMap;

/// A product Y = W · X + b of a plan, whose weights nothing else reads.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The node.
    pub(super) node: NodeId,
    /// Its weights in the plan.
    pub(super) index: usize,
    /// What it reads.
    pub(super) input: String,
    /// What it computes, before any activation.
    pub(super) output: String,
    /// The groups of a convolution.
    pub(super) groups: usize,
    /// Output channels.
    pub(super) outputs: usize,
    /// K: the numbers an output channel multiplies.
    pub(super) size: usize,
    /// W, row by row.
    pub(super) weights: Vec<f32>,
    /// b; zeros where there is none.
    pub(super) bias: Vec<f32>,
    /// Whether the operator can add a bias that is not shared.
    pub(super) takes_bias: bool,
    /// Whether output channels have scales of their own, which may be any number.
    pub(super) free_scales: bool,
    /// How the input is quantized.
    pub(super) scale: f32,
    /// What stands for 0 in the input.
    pub(super) zero_point: f32,
    /// The smallest and the largest integer of the input.
    pub(super) ends: (f32, f32),
    /// Results outside of these are cut off by the activation behind it or its quantization.
    pub(super) zone: Option<(f32, f32)>,
    /// The largest magnitude of a result.
    pub(super) reach: f32,
    /// Per output channel, the least scale of weights.
    pub(super) least: Vec<f32>,
    /// Whether the channels of the weights are columns.
    columns: bool,
}

/// Beyond the zone by this part of it, rounding may bring a result back.
const MARGIN: f32 = 0.05;

impl Layer {
    /// The products of a plan whose weights have one reader.
    pub(super) fn of_plan(
        graph: &Graph,
        plan: &QuantizationPlan,
        calibration: &Calibration,
    ) -> Vec<Self> {
        let layers = (0..plan.weights.len()).filter_map(|index| {
            let found = Self::new(graph, plan, calibration, index)?;
            let finite = found.weights.iter().chain(&found.bias).all(|number| number.is_finite());
            (finite && found.reach.is_finite() && found.reach > 0.0).then_some(found)
        });
        layers.collect()
    }

    fn new(
        graph: &Graph,
        plan: &QuantizationPlan,
        calibration: &Calibration,
        index: usize,
    ) -> Option<Self> {
        let weights_plan = &plan.weights[index];
        let [reader] = weights_plan.readers.as_slice() else { return None };
        let id = graph.producer(graph.find(&reader.output)?)?;
        let Support::Product(product) = support(graph, id, plan.target) else { return None };
        let node = &graph[id];
        let tensor = graph.constant(product.weights)?;
        let input = graph.value(node.input(0)?).name().to_owned();
        let output = graph.value(node.output(0)?).name().to_owned();
        let quantization = plan.values.iter().find(|value| value.name == input)?;
        let groups = match node.op_type.as_str() {
            "Conv" => usize::try_from(node.int("group").unwrap_or(1)).ok()?,
            _ => 1,
        };
        let columns = product.axis == 1;
        let outputs = usize::try_from(tensor.dims()[product.axis]).ok()?;
        let size = tensor.len() / outputs;
        let mut weights = tensor.to_vec::<f32>()?;
        if columns {
            weights = transposed(&weights, size, outputs);
        }
        let bias = match product.bias {
            Some(bias) => graph.constant(bias)?.to_vec::<f32>()?,
            None => vec![0.0; outputs],
        };
        let range = calibration.range(&output)?;
        let least = bias.iter().map(|&bias| least_weight_scale(bias, quantization.scale)).collect();
        Some(Self {
            node: id,
            index,
            input,
            groups,
            outputs,
            size,
            weights,
            bias,
            takes_bias: !node.is("MatMul"),
            free_scales: weights_plan.axis.is_some() && !weights_plan.format.power_of_two,
            scale: quantization.scale,
            zero_point: quantization.zero_point as f32,
            ends: ends(quantization.elem_type)?,
            zone: zone(graph, plan, id).filter(|&(low, high)| range.min < low || high < range.max),
            reach: range.min.abs().max(range.max.abs()),
            output,
            least,
            columns,
        })
    }

    /// What it multiplies, for an input of these dimensions.
    pub(super) fn windows(&self, node: &Node, kernel: &[i64], dims: &[usize]) -> Option<Windows> {
        let windows = match node.op_type.as_str() {
            "Conv" => Windows::conv(node, kernel, dims),
            _ => Windows::rows(dims),
        };
        windows.filter(|windows| windows.width() == self.groups * self.size)
    }

    /// The distance of a number from 0 in steps of its quantization.
    pub(super) fn code(&self, number: f32) -> f32 {
        let (low, high) = self.ends;
        ((number / self.scale).round_ties_even() + self.zero_point).clamp(low, high)
            - self.zero_point
    }

    /// Row `channel` of W.
    pub(super) fn row(&self, channel: usize) -> &[f32] {
        &self.weights[channel * self.size..][..self.size]
    }

    /// Integers given row by row, in the order of the weights.
    pub(super) fn laid_out(&self, codes: &[i8]) -> Vec<i8> {
        match self.columns {
            true => transposed(codes, self.outputs, self.size),
            false => codes.to_vec(),
        }
    }
}

/// The constants of a plan that are the weights of no [`Layer`], by the reason a user can do something about.
pub(super) fn unrefined(plan: &QuantizationPlan) -> BTreeMap<&'static str, Vec<String>> {
    let wide = plan.values.iter().any(|value| ends(value.elem_type).is_none());
    let mut unrefined: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for weights in &plan.weights {
        let reason = match weights.readers.as_slice() {
            [_] if !wide => continue,
            [_] => "activations have 16 bits",
            _ => "weights have several readers",
        };
        unrefined.entry(reason).or_default().push(weights.name.clone());
    }
    unrefined
}

/// The spatial dimensions of the kernel of a product.
pub(super) fn kernel(graph: &Graph, id: NodeId) -> Vec<i64> {
    let weights = graph.constant_input(id, 1);
    weights.map_or_else(Vec::new, |weights| weights.dims().iter().skip(2).copied().collect())
}

/// Where results pass the activation and the quantization behind the product, and a little beyond.
fn zone(graph: &Graph, plan: &QuantizationPlan, id: NodeId) -> Option<(f32, f32)> {
    let output = graph[id].output(0)?;
    let limiter = graph.only_use(output).map(|used| used.node);
    let limiter =
        limiter.filter(|&reader| matches!(support(graph, reader, plan.target), Support::Limits(_)));
    let result = match limiter {
        Some(limiter) => graph[limiter].output(0)?,
        None => output,
    };
    let name = graph.value(result).name();
    let value = plan.values.iter().find(|value| value.name == name)?;
    let (low, high) = ends(value.elem_type)?;
    let (low, high) = (low - value.zero_point as f32, high - value.zero_point as f32);
    let (low, high) = (value.scale * low, value.scale * high);
    let margin = MARGIN * (high - low);
    Some((low - margin, high + margin))
}

/// The smallest and the largest number of a type of 8 bits: sums of products of more would not be exact.
fn ends(elem_type: ElemType) -> Option<(f32, f32)> {
    match elem_type {
        ElemType::UINT8 => Some((0.0, 255.0)),
        ElemType::INT8 => Some((-128.0, 127.0)),
        _ => None,
    }
}

/// The transpose of a matrix of `rows` rows.
fn transposed<T: Copy>(numbers: &[T], rows: usize, columns: usize) -> Vec<T> {
    let entry = |at: usize| numbers[at % rows * columns + at / rows];
    (0..rows * columns).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{calibration, model, plan};
    use super::*;

    fn layers(source: &str, ranges: &[(&str, f32, f32)]) -> Vec<Layer> {
        let model = model(source);
        let calibration = calibration(&model, ranges);
        Layer::of_plan(&model.graph, &plan(source, ranges), &calibration)
    }

    #[test]
    fn rows_of_a_product_are_its_output_channels() {
        let source = "
            g (float[1,2] x) => (float[1,3] y)
            <float[2,3] w = {1, 2, 3, 4, 5, 6}, float[3,3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
            {
                h = MatMul(x, w)
                y = Gemm<transB = 1>(h, v)
            }
        ";
        let layers = layers(source, &[]);
        assert_eq!(layers[0].weights, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!((layers[0].outputs, layers[0].size, layers[0].takes_bias), (3, 2, false));
        assert_eq!(layers[0].laid_out(&[1, 4, 2, 5, 3, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(layers[1].row(1), [4.0, 5.0, 6.0]);
        assert_eq!((layers[1].bias.as_slice(), layers[1].takes_bias), (&[0.0; 3][..], true));
    }

    #[test]
    fn the_zone_is_what_the_activation_lets_pass() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <float[1,1,1,1] w = {127}, float[1,1,1,1] v = {1}>
            {
                c = Conv(x, w)
                r = Relu(c)
                y = Conv(r, v)
            }
        ";
        let layers = layers(source, &[("r", 0.0, 255.0), ("c", -90.0, 255.0)]);
        assert_eq!(layers[0].zone, Some((-12.75, 267.75)));
        assert_eq!(layers[1].zone, None);
        assert_eq!(layers[1].code(1000.0), 255.0);
        assert_eq!(layers[0].code(-1.5), -2.0);
    }

    #[test]
    fn weights_read_twice_are_left_out() {
        let source = "
            g (float[1,2] x) => (float[1,2] y)
            <float[2,2] w = {1, 2, 3, 4}>
            {
                h = MatMul(x, w)
                y = MatMul(h, w)
            }
        ";
        assert!(layers(source, &[]).is_empty());
        let mut plan = plan(source, &[]);
        let found = unrefined(&plan);
        assert_eq!(found, BTreeMap::from([("weights have several readers", vec!["w".to_owned()])]));
        plan.weights[0].readers.truncate(1);
        assert!(unrefined(&plan).is_empty());
        plan.values[0].elem_type = ElemType::INT16;
        let found = unrefined(&plan);
        assert_eq!(found, BTreeMap::from([("activations have 16 bits", vec!["w".to_owned()])]));
    }
}
