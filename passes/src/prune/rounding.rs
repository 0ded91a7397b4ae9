//! Counts of channels that kernels like.
//!
//! Kernels work on blocks of channels (8 or 16 in ONNX Runtime's convolutions, 8 for integers in `TensorRT`); a count
//! in between is padded, or takes a slower way.
use super::analysis::{Analysis, Group};
use std::fmt;
use std::str::FromStr;

/// The block most kernels work on.
const BLOCK: usize = 8;

/// What numbers of channels stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// Multiples of 8, of less where an axis has fewer than 32 elements: a quarter of it at most.
    #[default]
    Auto,
    /// Multiples of a number; 0 counts as 1.
    To(usize),
}

impl Rounding {
    /// The number of channels of a group of which a multiple stays.
    pub(crate) fn multiple(self, analysis: &Analysis, group: &Group) -> usize {
        let place = match (self, group.producers.first()) {
            (Self::To(multiple), _) => return multiple.max(1),
            (Self::Auto, None) => return 1,
            (Self::Auto, Some(place)) => place,
        };
        let extent = analysis.extents[place];
        let first = analysis.owners[place].first();
        let same = analysis.owners[place].iter().filter(|owner| Some(*owner) == first).count();
        let block = self.of_extent(extent);
        // A channel may be several elements.
        block >> block.trailing_zeros().min(same.trailing_zeros())
    }

    /// The number of elements of which an axis of `extent` keeps a multiple.
    pub(crate) fn of_extent(self, extent: usize) -> usize {
        if let Self::To(multiple) = self {
            return multiple.max(1);
        }
        let mut block = BLOCK;
        while block > 1 && extent < 4 * block {
            block /= 2;
        }
        block
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::To(multiple) => multiple.fmt(f),
        }
    }
}

/// A text is neither a number nor `auto`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of channels nor auto")]
pub struct UnknownRounding(String);

impl FromStr for Rounding {
    type Err = UnknownRounding;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            number => {
                let number = number.parse().map_err(|_| UnknownRounding(text.to_owned()))?;
                Ok(Self::To(number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    fn multiples(source: &str) -> Vec<usize> {
        let model = model(source);
        let analysis = Analysis::of(&model.graph);
        let groups = analysis.groups.iter();
        groups.map(|group| Rounding::Auto.multiple(&analysis, group)).collect()
    }

    #[test]
    fn wide_groups_keep_blocks() {
        let found = multiples(
            "g (float[1,2] x) => (float[1,2] y)
            <float[2,64] a, float[64,31] b, float[31,8] c, float[8,7] d, float[7,2] e>
            { h = MatMul(x, a) i = MatMul(h, b) j = MatMul(i, c) k = MatMul(j, d) y = MatMul(k, e) }",
        );
        assert_eq!(found, [8, 4, 2, 1, 1]);
    }

    #[test]
    fn a_channel_of_several_elements_is_part_of_a_block() {
        let found = multiples(
            "g (float[1,2] x) => (float[1,16] y)
            <float[2,64] a, int64[3] split = {1, 4, 16}, int64[1] first = {1}, float[16,16] b>
            { h = MatMul(x, a) i = Reshape(h, split) j = ReduceSum<keepdims = 0>(i, first) y = MatMul(j, b) }",
        );
        assert_eq!(found, [2, 4]);
    }

    #[test]
    fn texts_are_read_back() {
        for rounding in [Rounding::Auto, Rounding::To(4)] {
            assert_eq!(rounding.to_string().parse(), Ok(rounding));
        }
        assert!("eight".parse::<Rounding>().is_err());
    }
}
