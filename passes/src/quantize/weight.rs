//! Constants as signed integers: weights per channel, biases.
use lapidary_ir::Tensor;

/// The largest magnitude of a quantized weight: symmetric, so −128 is left out.
const WEIGHT_STEPS: f32 = 127.0;

/// The largest magnitude of a quantized bias. The other half of the 32 bits is for the products added to it.
const BIAS_STEPS: f64 = (1u32 << 30) as f64;

/// Per channel of `axis`, the scale of symmetric `int8` weights:
///
/// scale = max |w| / 127.
///
/// A channel without weights other than 0 takes the largest scale of the others, or 1. None when the weights
/// are no `float` numbers, all finite, at least one.
pub(super) fn channel_scales(weights: &Tensor, axis: usize) -> Option<Vec<f32>> {
    let channels = usize::try_from(*weights.dims().get(axis)?).ok()?;
    let inner: usize = weights.dims()[axis + 1..].iter().map(|&dim| dim as usize).product();
    let numbers = weights.to_vec::<f32>()?;
    if numbers.is_empty() || !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let mut largest = vec![0.0f32; channels];
    for (block, numbers) in numbers.chunks_exact(inner).enumerate() {
        let largest = &mut largest[block % channels];
        *largest = numbers.iter().fold(*largest, |most, number| most.max(number.abs()));
    }
    let scale = |&largest: &f32| (largest / WEIGHT_STEPS).max(f32::MIN_POSITIVE);
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

/// The weights as `int8`, each channel of `axis` in steps of its scale.
pub(super) fn quantize_weights(weights: &Tensor, axis: usize, scales: &[f32]) -> Option<Tensor> {
    let inner: usize = weights.dims().get(axis + 1..)?.iter().map(|&dim| dim as usize).product();
    let numbers = weights.to_vec::<f32>()?;
    let mut quantized = Vec::with_capacity(numbers.len());
    for (block, numbers) in numbers.chunks_exact(inner).enumerate() {
        let scale = scales[block % scales.len()];
        quantized.extend(numbers.iter().map(|number| {
            (number / scale).round_ties_even().clamp(-WEIGHT_STEPS, WEIGHT_STEPS) as i8
        }));
    }
    Some(Tensor::new(weights.dims(), &quantized))
}

/// A bias as `int32`, each entry in steps of its scale.
pub(super) fn quantize_bias(bias: &Tensor, scales: &[f32]) -> Option<Tensor> {
    let numbers = bias.to_vec::<f32>()?;
    let entries = numbers.iter().zip(scales);
    let quantized: Vec<i32> = entries
        .map(|(&number, &scale)| (f64::from(number) / f64::from(scale)).round_ties_even() as i32)
        .collect();
    Some(Tensor::vector(&quantized))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_own_scale() {
        let weights = Tensor::new(&[2, 2], &[1.27f32, -0.5, 2.0, -254.0]);
        let scales = channel_scales(&weights, 0).expect("it has scales");
        assert_eq!(scales, [1.27f32 / 127.0, 2.0]);
        let quantized = quantize_weights(&weights, 0, &scales).expect("they are floats");
        assert_eq!(quantized.to_vec::<i8>(), Some(vec![127, -50, 1, -127]));
    }

    #[test]
    fn channels_may_be_columns() {
        let weights = Tensor::new(&[2, 2], &[127.0f32, 0.5, -1.0, 254.0]);
        assert_eq!(channel_scales(&weights, 1), Some(vec![1.0, 2.0]));
        let quantized = quantize_weights(&weights, 1, &[1.0, 2.0]).expect("they are floats");
        assert_eq!(quantized.to_vec::<i8>(), Some(vec![127, 0, -1, 127]));
    }

    #[test]
    fn a_channel_of_zeros_takes_the_scale_of_another() {
        let weights = Tensor::new(&[3, 1], &[127.0f32, 0.0, 254.0]);
        assert_eq!(channel_scales(&weights, 0), Some(vec![1.0, 2.0, 2.0]));
        assert_eq!(channel_scales(&Tensor::new(&[2, 1], &[0.0f32, 0.0]), 0), Some(vec![1.0, 1.0]));
    }

    #[test]
    fn weights_that_are_no_finite_floats_have_no_scales() {
        assert_eq!(channel_scales(&Tensor::new(&[1, 2], &[1.0, f32::NAN]), 0), None);
        assert_eq!(channel_scales(&Tensor::new(&[1, 2], &[1i64, 2]), 0), None);
        assert_eq!(channel_scales(&Tensor::new::<f32>(&[1, 0], &[]), 0), None);
        assert_eq!(channel_scales(&Tensor::scalar(1.0f32), 0), None);
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
    fn a_bias_is_rounded_to_even() {
        let bias = Tensor::vector(&[0.5f32, 1.5, -4.0]);
        let quantized = quantize_bias(&bias, &[1.0, 1.0, 2.0]).expect("they are floats");
        assert_eq!(quantized.to_vec::<i32>(), Some(vec![0, 2, -2]));
    }
}
