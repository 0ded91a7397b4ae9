//! What a node does to every channel of its input: multiply and add.
use super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// Where the channels of a value of rank `rank` lie, and how many they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channels {
    pub(crate) rank: usize,
    pub(crate) axis: usize,
    pub(crate) count: usize,
}

/// y = x · scale + shift, one of each per channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f64>,
    pub(crate) shift: Vec<f64>,
    /// The magnitude y is meant to have, where the parameters tell.
    reach: Option<f64>,
}

/// How much larger than the result what is added may be. Its rounding error, relative to the result, is
/// then what a pass may add.
const MAX_CANCELLATION: f64 = 1e-5 / f32::EPSILON as f64;

/// The input that node `id` adds constants to or multiplies by constants.
pub(crate) fn data(graph: &Graph, id: NodeId) -> Result<ValueId, Skip> {
    match constant_slot(graph, id)? {
        Some(slot) => graph[id].input(1 - slot).or_no_match(),
        None => graph[id].input(0).or_no_match(),
    }
}

/// The constant one of the two inputs of an arithmetic node; none for `BatchNormalization` and
/// `Neg`.
pub(super) fn constant_slot(graph: &Graph, id: NodeId) -> Result<Option<usize>, Skip> {
    let node = &graph[id];
    let is_constant = |slot: &usize| graph.constant_input(id, *slot).is_some();
    let slots: &[usize] = match node.op_type.as_str() {
        _ if !node.is_standard() => return Err(Skip::NoMatch),
        "BatchNormalization" | "Neg" => return Ok(None),
        "Add" | "Sub" | "Mul" => &[1, 0],
        // A constant by x is not linear.
        "Div" => &[1],
        _ => return Err(Skip::NoMatch),
    };
    let slot = slots.iter().copied().find(is_constant).or_no_match()?;
    if is_constant(&(1 - slot)) { Err(Skip::NoMatch) } else { Ok(Some(slot)) }
}

/// Whether node `id` makes a value of the shape of `x`, its data with channels `channels`.
pub(super) fn keeps_shape(graph: &Graph, id: NodeId, x: ValueId, channels: Channels) -> bool {
    let constant = constant_slot(graph, id).ok().flatten();
    let constant = constant.and_then(|slot| graph.constant_input(id, slot));
    let shape = graph.value(x).shape();
    constant.is_none_or(|constant| constant.rank() == 0)
        || shape.is_some_and(|shape| {
            shape.len() == channels.rank && shape[channels.axis] == channels.count as i64
        })
}

impl Affine {
    /// What node `id` makes of its [`data`], whose channels are `channels`.
    pub(crate) fn of(graph: &Graph, id: NodeId, channels: Channels) -> Result<Self, Skip> {
        let op_type = graph[id].op_type.as_str();
        let Some(slot) = constant_slot(graph, id)? else {
            if op_type == "Neg" {
                return Ok(Self::scale(vec![-1.0; channels.count]));
            }
            require(channels.axis == 1, "BatchNormalization normalizes another axis")?;
            return Self::batch_normalization(graph, id, channels.count);
        };
        require(graph.opset() >= 7, "operands broadcast in another way before opset 7")?;
        let constant = graph.constant_input(id, slot).or_no_match()?;
        let values = weights::per_channel(constant, channels.rank, channels.axis, channels.count)
            .or_skip("constant is not one value per channel")?;
        let each = |function: fn(f64) -> f64| values.iter().copied().map(function).collect();
        Ok(match (op_type, slot) {
            ("Add", _) => Self::shift(values),
            ("Sub", 1) => Self::shift(each(|value| -value)),
            ("Sub", _) => Self { scale: vec![-1.0; values.len()], shift: values, reach: None },
            ("Mul", _) => Self::scale(values),
            _ => Self::scale(each(|value| 1.0 / value)),
        })
    }

    /// y = x + shift
    fn shift(shift: Vec<f64>) -> Self {
        Self { scale: vec![1.0; shift.len()], shift, reach: None }
    }

    /// y = x · scale
    pub(super) fn scale(scale: Vec<f64>) -> Self {
        Self { shift: vec![0.0; scale.len()], scale, reach: None }
    }

    /// What an inference-mode `BatchNormalization` of `channels` channels does.
    ///
    /// y = (x − mean) · s + shift with s = scale / sqrt(var + epsilon), so that the shift of the
    /// whole is shift − mean · s.
    pub(crate) fn batch_normalization(
        graph: &Graph,
        id: NodeId,
        channels: usize,
    ) -> Result<Self, Skip> {
        let node = &graph[id];
        // Before opset 7 the attribute `is_test` chose the mode, from 14 on `training_mode`
        // does; in between, the presence of the other outputs.
        let old = graph.opset() < 7 && node.int("is_test").unwrap_or(0) == 0;
        let training = old || node.int("training_mode").unwrap_or(0) != 0;
        require(!training && node.outputs().len() == 1, "BatchNormalization is in training mode")?;
        require(node.int("spatial") != Some(0), "BatchNormalization is not per channel")?;

        let read = |slot| weights::values(graph.constant_input(id, slot)?);
        let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
        let scale = read(1).or_no_match()?;
        let shift = read(2).or_no_match()?;
        let mean = read(3).or_no_match()?;
        let variance = read(4).or_no_match()?;
        let lengths = [scale.len(), shift.len(), mean.len(), variance.len()];
        require(lengths == [channels; 4], "BatchNormalization has another number of channels")?;

        // A normalized value is about 1.
        let reach = scale.iter().zip(&shift).map(|(scale, shift)| scale.abs() + shift.abs());
        let reach = Some(reach.fold(0.0, f64::max));
        let float = graph.constant_input(id, 4).is_some_and(|t| t.elem_type() == ElemType::FLOAT);
        let channel = if float { channel_in_float } else { channel };
        let per_channel = scale.iter().zip(&shift).zip(mean.iter().zip(&variance));
        let (scale, shift) = per_channel
            .map(|((&scale, &shift), (&mean, &var))| channel(scale, shift, mean, var + epsilon))
            .unzip();
        Ok(Self { scale, shift, reach })
    }

    /// The same for channels of which each stands `count` times in a row.
    pub(super) fn repeated(&self, count: usize) -> Self {
        let repeat = |numbers: &[f64]| {
            numbers.iter().flat_map(|&number| std::iter::repeat_n(number, count)).collect()
        };
        Self { scale: repeat(&self.scale), shift: repeat(&self.shift), ..*self }
    }

    /// Whether every number is one.
    pub(crate) fn is_finite(&self) -> bool {
        self.scale.iter().chain(&self.shift).all(|value| value.is_finite())
    }

    /// Whether adding the shift rounds away what should remain: the normalization of a value that
    /// hardly varies around a mean far from 0.
    pub(super) fn cancels(&self) -> bool {
        let largest = self.shift.iter().fold(0.0, |largest: f64, shift| largest.max(shift.abs()));
        self.reach.is_some_and(|reach| largest > MAX_CANCELLATION * reach)
    }

    /// Whether nothing is added.
    pub(super) fn is_scale(&self) -> bool {
        self.shift.iter().all(|&shift| shift == 0.0)
    }

    /// Whether nothing is multiplied.
    pub(super) fn is_shift(&self) -> bool {
        self.scale.iter().all(|&scale| scale == 1.0)
    }
}

/// s = scale / sqrt(var + epsilon) and shift − mean · s, of one channel.
fn channel(scale: f64, shift: f64, mean: f64, variance: f64) -> (f64, f64) {
    let s = scale / variance.sqrt();
    (s, shift - mean * s)
}

/// The same in the arithmetic of `float`, rounded as a runtime rounds it: what is folded is then
/// what was executed, not a neighbour of it.
#[expect(clippy::cast_possible_truncation, reason = "rounding to float is the purpose")]
fn channel_in_float(scale: f64, shift: f64, mean: f64, variance: f64) -> (f64, f64) {
    let s = scale as f32 / (variance as f32).sqrt();
    (f64::from(s), f64::from(shift as f32 - mean as f32 * s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn of(source: &str, channels: usize) -> Result<Affine, Skip> {
        let model = parse(source);
        let (id, _) = model.graph.nodes().next().expect("there is a node");
        Affine::batch_normalization(&model.graph, id, channels)
    }

    fn because(reason: &'static str) -> Result<Affine, Skip> {
        Err(Skip::Because(reason.into()))
    }

    #[test]
    fn multiplies_and_adds_per_channel() {
        let affine = of(
            "
            g (float[1,1,4] x) => (float[1,1,4] y)
            <float[1] scale = {3}, float[1] shift = {10}, float[1] mean = {2}, float[1] var = {0.75}>
            {
                y = BatchNormalization<epsilon = 0.25>(x, scale, shift, mean, var)
            }
            ",
            1,
        );
        assert_eq!(affine, Ok(Affine { scale: vec![3.0], shift: vec![4.0], reach: Some(13.0) }));
    }

    #[test]
    fn keeps_training_mode() {
        let source = "
            g (float[1,1,4] x) => (float[1,1,4] y)
            <float[1] scale, float[1] shift, float[1] mean, float[1] var>
            {
                y = BatchNormalization<training_mode = 1>(x, scale, shift, mean, var)
            }
        ";
        assert_eq!(of(source, 1), because("BatchNormalization is in training mode"));
    }

    #[test]
    fn keeps_running_statistics_that_are_asked_for() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 9]>
            g (float[1,1,4] x) => (float[1,1,4] y)
            <float[1] scale, float[1] shift, float[1] mean, float[1] var>
            {
                y, running_mean, running_var = BatchNormalization(x, scale, shift, mean, var)
            }
        "#;
        assert_eq!(of(source, 1), because("BatchNormalization is in training mode"));
    }

    #[test]
    fn takes_is_test_at_its_word_before_opset_7() {
        let source = |is_test| {
            format!(
                r#"
                <ir_version: 3, opset_import: ["" : 6]>
                g (float[1,1,4] x) => (float[1,1,4] y)
                <float[1] scale, float[1] shift, float[1] mean, float[1] var = {{1}}>
                {{
                    y = BatchNormalization<is_test = {is_test}>(x, scale, shift, mean, var)
                }}
                "#
            )
        };
        assert_eq!(of(&source(0), 1), because("BatchNormalization is in training mode"));
        assert!(of(&source(1), 1).is_ok());
    }

    #[test]
    fn keeps_statistics_of_each_position() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 8]>
            g (float[1,1,4] x) => (float[1,1,4] y)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var>
            {
                y = BatchNormalization<spatial = 0>(x, scale, shift, mean, var)
            }
        "#;
        assert_eq!(of(source, 1), because("BatchNormalization is not per channel"));
    }

    #[test]
    fn keeps_statistics_of_other_channels() {
        let source = "
            g (float[1,2,4] x) => (float[1,2,4] y)
            <float[2] scale, float[2] shift, float[2] mean, float[2] var>
            {
                y = BatchNormalization(x, scale, shift, mean, var)
            }
        ";
        assert_eq!(of(source, 3), because("BatchNormalization has another number of channels"));
    }
}
