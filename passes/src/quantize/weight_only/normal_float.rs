//! NormalFloat: 16 quantiles of the normal distribution, a scale per block (Dettmers et al., "QLoRA", 2023).
use super::codebook::nearest;

/// The numbers that codes stand for, in parts of the largest magnitude of a block.
pub const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The smallest block that is worth a scale.
const LEAST_BLOCK: usize = 16;

/// Numbers as x̂ = scale · `NF4[code]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalFloat {
    /// Numbers of a block, all of the same size.
    pub block: usize,
    /// One per number.
    pub codes: Vec<i16>,
    /// One per block: max |x|, or 1.
    pub scales: Vec<f32>,
}

impl NormalFloat {
    /// Quantizes numbers in blocks of at most `block`, the largest that divides them. None when there
    /// is none of at least 16, or a number is not finite.
    #[must_use]
    pub fn new(numbers: &[f32], block: usize) -> Option<Self> {
        let block =
            (LEAST_BLOCK..=block).rev().find(|block| numbers.len().is_multiple_of(*block))?;
        if numbers.is_empty() || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        let scale = |numbers: &[f32]| {
            let most = numbers.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            if most == 0.0 { 1.0 } else { most.max(f32::MIN_POSITIVE) }
        };
        let scales: Vec<f32> = numbers.chunks(block).map(scale).collect();
        let blocks = numbers.chunks(block).zip(&scales);
        let codes = blocks
            .flat_map(|(block, scale)| block.iter().map(move |x| nearest(&NF4, x / scale) as i16))
            .collect();
        Some(Self { block, codes, scales })
    }

    /// The numbers that are restored.
    #[must_use]
    pub fn restored(&self) -> Vec<f32> {
        let blocks = self.codes.chunks(self.block).zip(&self.scales);
        blocks
            .flat_map(|(codes, scale)| codes.iter().map(move |&c| scale * NF4[c as usize]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_kept_exactly() {
        let numbers = NF4.map(|x| 2.0 * x);
        let found = NormalFloat::new(&numbers, 64).expect("they are finite");
        assert_eq!((found.block, found.scales.as_slice()), (16, &[2.0][..]));
        assert_eq!(found.codes, (0..16).collect::<Vec<i16>>());
        assert_eq!(found.restored(), numbers);
    }

    #[test]
    fn blocks_divide_the_numbers() {
        let block = |count: usize| Some(NormalFloat::new(&vec![0.5; count], 64)?.block);
        assert_eq!(
            [128, 96, 36, 17, 37, 74].map(block),
            [Some(64), Some(48), Some(36), Some(17), Some(37), Some(37)]
        );
        assert_eq!(block(2 * 67), None);
        assert_eq!(NormalFloat::new(&[f32::INFINITY; 16], 64), None);
    }

    #[test]
    fn a_block_of_zeros_is_restored_as_zeros() {
        let found = NormalFloat::new(&[0.0; 16], 64).expect("they are finite");
        assert_eq!((found.scales.as_slice(), found.restored()), (&[1.0][..], vec![0.0; 16]));
    }
}
