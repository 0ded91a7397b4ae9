//! Arithmetic on constant floating-point data: computed in 64 bits, rounded once.
use crate::{OrSkip, Skip, require};
use half::{bf16, f16};
use lapidary_ir::{ElemType, Element, Tensor};

/// A floating-point element that widens exactly.
trait Real: Element {
    /// The smallest magnitude with full precision.
    const MIN_NORMAL: f64;
    fn widen(self) -> f64;
    fn round(wide: f64) -> Self;
}

macro_rules! reals {
    ($($ty:ty, $min:expr, $widen:expr, $round:expr;)*) => {$(
        impl Real for $ty {
            const MIN_NORMAL: f64 = $min;
            fn widen(self) -> f64 {
                $widen(self)
            }
            fn round(wide: f64) -> Self {
                $round(wide)
            }
        }
    )*};
}
reals! {
    f16, 6.103_515_625e-5, f16::to_f64, f16::from_f64;
    bf16, f32::MIN_POSITIVE as f64, bf16::to_f64, bf16::from_f64;
    f32, f32::MIN_POSITIVE as f64, f64::from, |wide| wide as f32;
    f64, f64::MIN_POSITIVE, std::convert::identity, std::convert::identity;
}

/// Calls a generic function with the element type of a tensor; none for other types.
macro_rules! with_real {
    ($elem_type:expr, $function:ident($($argument:expr),*)) => {
        match $elem_type {
            ElemType::FLOAT => $function::<f32>($($argument),*),
            ElemType::FLOAT16 => $function::<f16>($($argument),*),
            ElemType::BFLOAT16 => $function::<bf16>($($argument),*),
            ElemType::DOUBLE => $function::<f64>($($argument),*),
            _ => None,
        }
    };
}

/// The elements of a floating-point tensor, exactly.
pub(crate) fn values(tensor: &Tensor) -> Option<Vec<f64>> {
    fn read<T: Real>(tensor: &Tensor) -> Option<Vec<f64>> {
        Some(tensor.to_vec::<T>()?.into_iter().map(T::widen).collect())
    }
    with_real!(tensor.elem_type(), read(tensor))
}

/// A tensor of floating-point type `elem_type`; skips when a value does not fit the type.
///
/// # Errors
/// When rounding makes a value infinite, or one is not finite to begin with.
pub(crate) fn tensor(elem_type: ElemType, dims: &[i64], values: &[f64]) -> Result<Tensor, Skip> {
    fn write<T: Real>(dims: &[i64], values: &[f64]) -> Option<Tensor> {
        let rounded: Vec<T> = values.iter().map(|&value| T::round(value)).collect();
        let finite = rounded.iter().all(|value| value.widen().is_finite());
        finite.then(|| Tensor::new(dims, &rounded))
    }
    with_real!(elem_type, write(dims, values)).or_skip("bias is not finite in its type")
}

/// Whether floating-point type `elem_type` holds `value` with full precision, and finite.
pub(crate) fn is_representable(elem_type: ElemType, value: f64) -> bool {
    fn check<T: Real>(value: f64) -> Option<bool> {
        let finite = T::round(value).widen().is_finite();
        Some(finite && (value == 0.0 || value.abs() >= T::MIN_NORMAL))
    }
    with_real!(elem_type, check(value)) == Some(true)
}

/// Multiplies each element by the factor `factor` gives for its index.
///
/// # Errors
/// When the type is not floating-point, or when the products leave the range of the type.
pub(crate) fn scale(tensor: &Tensor, factor: impl Fn(usize) -> f64) -> Result<Tensor, Skip> {
    fn multiply<T: Real>(tensor: &Tensor, factor: &dyn Fn(usize) -> f64) -> Option<(Tensor, bool)> {
        let elements = tensor.to_vec::<T>()?.into_iter().enumerate();
        let products: Vec<T> =
            elements.map(|(index, value)| T::round(value.widen() * factor(index))).collect();
        let magnitudes = products.iter().map(|product| product.widen().abs());
        // `max` would drop a NaN.
        let largest = magnitudes.fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
        let in_range = largest.is_finite() && (largest == 0.0 || largest >= T::MIN_NORMAL);
        Some((Tensor::new(tensor.dims(), &products), in_range))
    }
    let scaled = with_real!(tensor.elem_type(), multiply(tensor, &factor));
    let (scaled, in_range) = scaled.or_skip("weights are not floating-point")?;
    require(in_range, "scaled weights leave the range of their type")?;
    Ok(scaled)
}

/// One value per channel, if `constant`, broadcast to `rank` dimensions, varies along `axis`
/// alone and leaves a shape with `channels` there as it is.
pub(crate) fn per_channel(
    constant: &Tensor,
    rank: usize,
    axis: usize,
    channels: usize,
) -> Option<Vec<f64>> {
    let missing = rank.checked_sub(constant.rank())?;
    let flat = |(index, &dim): (usize, &i64)| dim == 1 || index + missing == axis;
    if !constant.dims().iter().enumerate().all(flat) {
        return None;
    }
    match values(constant)? {
        all if all.len() == channels => Some(all),
        one if one.len() == 1 => Some(vec![one[0]; channels]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_a_product_once() {
        let third = f16::from_f64(1.0 / 3.0);
        let scaled = scale(&Tensor::vector(&[third]), |_| 3.3).expect("in range");
        assert_eq!(scaled.to_vec::<f16>(), Some(vec![f16::from_f64(third.to_f64() * 3.3)]));
    }

    #[test]
    fn refuses_what_leaves_the_range() {
        let out = Err(Skip::Because("scaled weights leave the range of their type".into()));
        let halves = Tensor::vector(&[f16::ONE, f16::from_f64(0.5)]);
        assert_eq!(scale(&halves, |_| 1e6).map(drop), out);
        assert_eq!(scale(&halves, |_| 1e-6).map(drop), out);
        assert_eq!(scale(&halves, |_| f64::NAN).map(drop), out);
        assert!(scale(&halves, |_| 0.0).is_ok());
    }

    #[test]
    fn lets_a_single_channel_vanish() {
        let scaled = scale(&Tensor::vector(&[1f32, 1.0]), |index| [1.0, 1e-60][index]);
        assert_eq!(scaled.expect("in range").to_f32(), Some(vec![1.0, 0.0]));
    }

    #[test]
    fn refuses_integers() {
        let skip = scale(&Tensor::vector(&[1i32]), |_| 1.0).map(drop);
        assert_eq!(skip, Err(Skip::Because("weights are not floating-point".into())));
    }

    #[test]
    fn refuses_a_bias_that_overflows() {
        let skip = tensor(ElemType::FLOAT16, &[1], &[1e5]).map(drop);
        assert_eq!(skip, Err(Skip::Because("bias is not finite in its type".into())));
    }

    #[test]
    fn sees_one_value_per_channel_through_broadcasting() {
        let of = |dims: &[i64]| {
            let count = dims.iter().product::<i64>();
            let data: Vec<f32> = (0..count).map(|index| index as f32).collect();
            per_channel(&Tensor::new(dims, &data), 4, 1, 3)
        };
        assert_eq!(of(&[3, 1, 1]), Some(vec![0.0, 1.0, 2.0]));
        assert_eq!(of(&[1, 3, 1, 1]), Some(vec![0.0, 1.0, 2.0]));
        assert_eq!(of(&[]), Some(vec![0.0; 3]));
        assert_eq!(of(&[1]), Some(vec![0.0; 3]));
        assert_eq!(of(&[3]), None, "lies along the last axis");
        assert_eq!(of(&[3, 1]), None);
        assert_eq!(of(&[2, 1, 1]), None, "would not broadcast");
        assert_eq!(of(&[2, 3, 1, 1]), None, "would change the batch");
        assert_eq!(of(&[1, 1, 3, 1, 1]), None, "would change the rank");
    }
}
