//! Constants as signed integers: weights per channel, biases.
use super::range::Parameters;
use super::weight_only::pack;
use lapidary_ir::{ElemType, Tensor};
use std::fmt;

/// The largest magnitude of a quantized bias. The other half of the 32 bits is for the products added to it.
const BIAS_STEPS: f64 = (1u32 << 30) as f64;

/// The integers of weights, symmetric around 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightFormat {
    /// How many bits are used: 8 of `int8`, or 7 where a runtime adds two products in 16 bits (x86 without VNNI); 4 of `int4`.
    pub bits: u8,
    /// Whether every output channel has a scale of its own.
    pub per_channel: bool,
    /// Whether scales are powers of two.
    pub power_of_two: bool,
}

impl Default for WeightFormat {
    fn default() -> Self {
        Self::INT8
    }
}

impl WeightFormat {
    /// `int8` with a scale per channel.
    pub const INT8: Self = Self { bits: 8, per_channel: true, power_of_two: false };

    /// The type the integers are stored in.
    #[must_use]
    pub fn elem_type(self) -> ElemType {
        if self.bits > 4 { ElemType::INT8 } else { ElemType::INT4 }
    }

    /// The largest magnitude: 127, 63 or 7, so that every number has its opposite.
    #[must_use]
    pub fn steps(self) -> f32 {
        ((1u32 << (self.bits - 1)) - 1) as f32
    }

    /// The axis of the scales, where `channels` is that of the output channels.
    #[must_use]
    pub fn axis(self, channels: usize) -> Option<usize> {
        self.per_channel.then_some(channels)
    }

    /// A scale that is allowed, not smaller than `scale`.
    #[must_use]
    pub fn round_up(self, scale: f32) -> f32 {
        if self.power_of_two { scale.log2().ceil().exp2() } else { scale }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            4 | 8 => write!(f, "{}", self.elem_type()),
            bits => write!(f, "{} of {bits} bits", self.elem_type()),
        }
    }
}

/// Per channel of `axis`, or for all without one, the scale of symmetric weights:
///
/// scale = max |w| / (2ᵇ⁻¹ − 1).
///
/// A channel without weights other than 0 takes the largest scale of the others, or 1. None when the weights
/// are no `float` numbers, all finite, at least one.
pub(super) fn channel_scales(
    weights: &Tensor,
    axis: Option<usize>,
    format: WeightFormat,
) -> Option<Vec<f32>> {
    let (channels, inner) = blocks(weights, axis)?;
    let numbers = weights.to_vec::<f32>()?;
    if numbers.is_empty() || !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let mut largest = vec![0.0f32; channels];
    for (block, numbers) in numbers.chunks_exact(inner).enumerate() {
        let largest = &mut largest[block % channels];
        *largest = numbers.iter().fold(*largest, |most, number| most.max(number.abs()));
    }
    let scale = |&largest: &f32| format.round_up(largest / format.steps()).max(f32::MIN_POSITIVE);
    let used = largest.iter().copied().reduce(f32::max).filter(|&most| most > 0.0);
    let unused = used.as_ref().map_or(1.0, scale);
    Some(largest.iter().map(|most| if *most > 0.0 { scale(most) } else { unused }).collect())
}

/// The smallest weight scale with which a bias fits into 32 bits next to inputs of `input_scale`.
///
/// A bias is quantized with `input_scale` · `weight_scale`, which must be a normal number:
///
/// weight scale ≥ |b| / (input scale · 2³⁰) and weight scale ≥ tiny / input scale.
pub(super) fn least_weight_scale(bias: f32, input_scale: f32) -> f32 {
    let input_scale = f64::from(input_scale);
    let for_bias = f64::from(bias.abs()) / (input_scale * BIAS_STEPS);
    // Twice the smallest normal number, so that a product rounded down is still normal.
    let for_product = 2.0 * f64::from(f32::MIN_POSITIVE) / input_scale;
    for_bias.max(for_product) as f32
}

/// Whether a bias can be an integer of 32 bits in steps of a normal `scale`: |b| ≤ scale · 2³⁰.
pub(super) fn fits_bias(bias: f32, scale: f32) -> bool {
    scale.is_normal() && f64::from(bias.abs()) <= f64::from(scale) * BIAS_STEPS
}

/// The channels along `axis`, and how many numbers in a row are of one of them.
fn blocks(weights: &Tensor, axis: Option<usize>) -> Option<(usize, usize)> {
    let Some(axis) = axis else { return Some((1, weights.len().max(1))) };
    let channels = usize::try_from(*weights.dims().get(axis)?).ok()?;
    Some((channels, weights.dims()[axis + 1..].iter().map(|&dim| dim as usize).product()))
}

/// The weights as integers, each channel of `axis` in steps of its scale.
pub(super) fn quantize_weights(
    weights: &Tensor,
    axis: Option<usize>,
    scales: &[f32],
    format: WeightFormat,
) -> Option<Tensor> {
    let (_, inner) = blocks(weights, axis)?;
    let steps = format.steps();
    let numbers = weights.to_vec::<f32>()?;
    let mut quantized = Vec::with_capacity(numbers.len());
    for (block, numbers) in numbers.chunks_exact(inner).enumerate() {
        let scale = scales[block % scales.len()];
        quantized.extend(
            numbers
                .iter()
                .map(|number| (number / scale).round_ties_even().clamp(-steps, steps) as i8),
        );
    }
    stored(weights.dims(), &quantized, format)
}

/// Integers as weights are stored; none when there are more or fewer than dimensions say.
pub(super) fn stored(dims: &[i64], codes: &[i8], format: WeightFormat) -> Option<Tensor> {
    if dims.iter().product::<i64>() != codes.len() as i64 {
        return None;
    }
    match format.elem_type() {
        ElemType::INT4 => pack_int4(dims, codes),
        _ => Some(Tensor::new(dims, codes)),
    }
}

/// A constant in the integers of activations: q = clamp(round(x / scale) + zero point).
pub(super) fn quantize_operand(tensor: &Tensor, parameters: Parameters) -> Option<Tensor> {
    let numbers = tensor.to_vec::<f32>()?;
    let Parameters { scale, zero_point, elem_type } = parameters;
    let quantized = numbers.iter().map(|number| {
        let nearest = (number / scale).round_ties_even() as i32;
        nearest.saturating_add(zero_point).clamp(elem_type.min(), elem_type.max())
    });
    Some(integers(tensor.dims(), &quantized.collect::<Vec<i32>>(), elem_type.elem_type()))
}

/// Numbers in one of the types of activations.
pub(super) fn integers(dims: &[i64], numbers: &[i32], elem_type: ElemType) -> Tensor {
    macro_rules! tensor {
        ($ty:ty) => {
            Tensor::new(dims, &numbers.iter().map(|&number| number as $ty).collect::<Vec<$ty>>())
        };
    }
    match elem_type {
        ElemType::INT8 => tensor!(i8),
        ElemType::INT16 => tensor!(i16),
        ElemType::UINT16 => tensor!(u16),
        _ => tensor!(u8),
    }
}

/// The zero points of `channels` channels, or the one without an axis.
pub(super) fn zero_weights(
    channels: usize,
    axis: Option<usize>,
    format: WeightFormat,
) -> Option<Tensor> {
    let dims: &[i64] = if axis.is_some() { &[channels as i64] } else { &[] };
    match format.elem_type() {
        ElemType::INT4 => pack_int4(dims, &vec![0; channels]),
        _ => Some(Tensor::new(dims, &vec![0i8; channels])),
    }
}

/// Integers of 4 bits.
fn pack_int4(dims: &[i64], numbers: &[i8]) -> Option<Tensor> {
    let codes: Vec<i16> = numbers.iter().map(|&number| number.into()).collect();
    Tensor::from_bytes(ElemType::INT4, dims.to_vec(), pack(&codes, 4).into()).ok()
}

/// A bias as `int32`, each entry in steps of its scale.
pub(super) fn quantize_bias(bias: &Tensor, scales: &[f32]) -> Option<Tensor> {
    let numbers = bias.to_vec::<f32>()?;
    let entries = numbers.iter().zip(scales.iter().cycle());
    let quantized: Vec<i32> = entries
        .map(|(&number, &scale)| (f64::from(number) / f64::from(scale)).round_ties_even() as i32)
        .collect();
    Some(Tensor::vector(&quantized))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT8: WeightFormat = WeightFormat::INT8;

    #[test]
    fn every_channel_has_its_own_scale() {
        let weights = Tensor::new(&[2, 2], &[1.27f32, -0.5, 2.0, -254.0]);
        let scales = channel_scales(&weights, Some(0), INT8).expect("it has scales");
        assert_eq!(scales, [1.27f32 / 127.0, 2.0]);
        let quantized =
            quantize_weights(&weights, Some(0), &scales, INT8).expect("they are floats");
        assert_eq!(quantized.to_vec::<i8>(), Some(vec![127, -50, 1, -127]));
    }

    #[test]
    fn channels_may_be_columns() {
        let weights = Tensor::new(&[2, 2], &[127.0f32, 0.5, -1.0, 254.0]);
        assert_eq!(channel_scales(&weights, Some(1), INT8), Some(vec![1.0, 2.0]));
        let quantized =
            quantize_weights(&weights, Some(1), &[1.0, 2.0], INT8).expect("they are floats");
        assert_eq!(quantized.to_vec::<i8>(), Some(vec![127, 0, -1, 127]));
    }

    #[test]
    fn a_channel_of_zeros_takes_the_scale_of_another() {
        let weights = Tensor::new(&[3, 1], &[127.0f32, 0.0, 254.0]);
        assert_eq!(channel_scales(&weights, Some(0), INT8), Some(vec![1.0, 2.0, 2.0]));
        assert_eq!(
            channel_scales(&Tensor::new(&[2, 1], &[0.0f32, 0.0]), Some(0), INT8),
            Some(vec![1.0, 1.0])
        );
    }

    #[test]
    fn weights_that_are_no_finite_floats_have_no_scales() {
        assert_eq!(channel_scales(&Tensor::new(&[1, 2], &[1.0, f32::NAN]), Some(0), INT8), None);
        assert_eq!(channel_scales(&Tensor::new(&[1, 2], &[1i64, 2]), Some(0), INT8), None);
        assert_eq!(channel_scales(&Tensor::new::<f32>(&[1, 0], &[]), Some(0), INT8), None);
        assert_eq!(channel_scales(&Tensor::scalar(1.0f32), Some(0), INT8), None);
    }

    #[test]
    fn a_bias_fits_with_the_least_weight_scale() {
        for (bias, input_scale) in [(1e6f32, 1e-6f32), (-3.0, 1e-30), (0.0, 1e-3), (1e30, 1.0)] {
            let scale = input_scale * least_weight_scale(bias, input_scale);
            assert!(scale.is_normal(), "{bias} and {input_scale} give {scale}");
            assert!((bias / scale).abs() <= 1.001 * (1u32 << 30) as f32);
        }
    }

    #[test]
    fn a_bias_fits_up_to_half_of_the_integers() {
        assert!(fits_bias((1u32 << 30) as f32, 1.0) && fits_bias(0.0, 1.0));
        assert!(!fits_bias((1u32 << 31) as f32, 1.0) && !fits_bias(f32::NAN, 1.0));
        assert!(!fits_bias(0.0, 1e-40));
    }

    #[test]
    fn a_bias_is_rounded_to_even() {
        let bias = Tensor::vector(&[0.5f32, 1.5, -4.0]);
        let quantized = quantize_bias(&bias, &[1.0, 1.0, 2.0]).expect("they are floats");
        assert_eq!(quantized.to_vec::<i32>(), Some(vec![0, 2, -2]));
    }
}
