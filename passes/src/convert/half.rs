//! Numbers of 16 bits.
use crate::quantize::nmse;
use half::{bf16, f16};
use lapidary_ir::{ElemType, Tensor};

/// A tensor in 16 bits, and what that cost.
pub(super) struct Rounded {
    pub(super) tensor: Tensor,
    /// Finite numbers beyond the largest one, which they became.
    pub(super) clamped: usize,
    /// Numbers other than 0 that became 0.
    pub(super) lost: usize,
    /// Σ(w − ŵ)² / Σw² of the finite ones.
    pub(super) nmse: f64,
}

/// Rounds floats to the nearest number of `float16` or `bfloat16`, ties to even. Finite numbers stay
/// finite: beyond the range they become the largest. None when the tensor has no floats.
pub(super) fn rounded(tensor: &Tensor, elem_type: ElemType) -> Option<Rounded> {
    let numbers: Vec<f32> = tensor.to_vec()?;
    let round: fn(f32) -> f32 = match elem_type {
        ElemType::FLOAT16 => |x| f16::from_f32(x).to_f32(),
        _ => |x| bf16::from_f32(x).to_f32(),
    };
    let most = match elem_type {
        ElemType::FLOAT16 => f16::MAX.to_f32(),
        _ => bf16::MAX.to_f32(),
    };
    let (mut clamped, mut lost) = (0, 0);
    let mut clamp = |number: f32| {
        let found = round(number);
        lost += usize::from(found == 0.0 && number != 0.0);
        if found.is_infinite() && number.is_finite() {
            clamped += 1;
            return most.copysign(number);
        }
        found
    };
    let kept: Vec<f32> = numbers.iter().map(|&number| clamp(number)).collect();
    let finite = numbers.iter().zip(&kept).filter(|(number, _)| number.is_finite());
    let (before, after): (Vec<f32>, Vec<f32>) = finite.map(|(&a, &b)| (a, b)).unzip();
    let tensor = match elem_type {
        ElemType::FLOAT16 => {
            let kept: Vec<f16> = kept.into_iter().map(f16::from_f32).collect();
            Tensor::new(tensor.dims(), &kept)
        }
        _ => {
            let kept: Vec<bf16> = kept.into_iter().map(bf16::from_f32).collect();
            Tensor::new(tensor.dims(), &kept)
        }
    };
    Some(Rounded { tensor, clamped, lost, nmse: nmse(&before, &after) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(numbers: &[f32], elem_type: ElemType) -> (Vec<f32>, usize, usize) {
        let found = rounded(&Tensor::vector(numbers), elem_type).expect("they are floats");
        let kept = found.tensor.to_f32().expect("they are numbers");
        (kept, found.clamped, found.lost)
    }

    #[test]
    fn finite_numbers_stay_finite() {
        let numbers = [65504.0, 65519.0, 65520.0, -1e30, f32::INFINITY];
        let expected = vec![65504.0, 65504.0, 65504.0, -65504.0, f32::INFINITY];
        assert_eq!(round(&numbers, ElemType::FLOAT16), (expected, 2, 0));
        let most = bf16::MAX.to_f32();
        assert_eq!(
            round(&[f32::MAX, 1e38], ElemType::BFLOAT16).0,
            [most, bf16::from_f32(1e38).to_f32()]
        );
        assert_eq!(round(&[f32::MAX], ElemType::BFLOAT16).1, 1);
    }

    #[test]
    fn numbers_below_half_the_smallest_are_lost() {
        // The smallest subnormal is 2⁻²⁴; a tie goes to 0.
        let least = 2.0f32.powi(-24);
        let found =
            round(&[least, 0.5 * least, 0.51 * least, -0.1 * least, 0.0], ElemType::FLOAT16);
        assert_eq!(found, (vec![least, 0.0, least, 0.0, 0.0], 0, 2));
    }

    #[test]
    fn ties_go_to_even_and_the_error_is_relative() {
        // Between 2048 and 4096 halves are 2 apart.
        assert_eq!(round(&[2049.0, 2051.0], ElemType::FLOAT16).0, [2048.0, 2052.0]);
        assert_eq!(round(&[1.0 + 2.0f32.powi(-8)], ElemType::BFLOAT16).0, [1.0]);
        let tensor = Tensor::vector(&[2049.0f32, f32::NEG_INFINITY]);
        let found = rounded(&tensor, ElemType::FLOAT16).expect("they are floats");
        assert_eq!(found.nmse, 1.0 / (2049.0 * 2049.0));
        assert!(rounded(&Tensor::vector(&[1i64]), ElemType::FLOAT16).is_none());
    }
}
