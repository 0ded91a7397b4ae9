//! Matrices in blocks.
use super::block::{Fit, Search};
use super::grid::Grid;
use rayon::prelude::*;

/// A matrix whose rows are cut into blocks, each with a scale and a zero point.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Rows: output channels.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
    /// Numbers of a block; the last one of a row may have fewer.
    pub block: usize,
    /// Row by row.
    pub codes: Vec<i16>,
    /// Row by row, block by block.
    pub fits: Vec<Fit>,
}

impl Blocks {
    /// Quantizes a matrix. None when a number is not finite.
    #[must_use]
    pub fn new(
        numbers: &[f32],
        rows: usize,
        block: usize,
        grid: Grid,
        symmetric: bool,
        search: Search,
    ) -> Option<Self> {
        if rows == 0 || numbers.is_empty() || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        let width = numbers.len() / rows;
        let fit = |numbers: &[f32]| Fit::new(numbers, grid, symmetric, search);
        let fits: Vec<Fit> =
            numbers.par_chunks(width).flat_map_iter(|row| row.chunks(block).map(fit)).collect();
        let per_row = width.div_ceil(block);
        let code = |(index, &number): (usize, &f32)| {
            fits[index / width * per_row + index % width / block].code(number, grid)
        };
        let codes = numbers.iter().enumerate().map(code).collect();
        Some(Self { rows, width, block, codes, fits })
    }

    /// Blocks of a row.
    #[must_use]
    pub fn per_row(&self) -> usize {
        self.width.div_ceil(self.block)
    }

    /// The numbers that are restored, row by row.
    #[must_use]
    pub fn restored(&self) -> Vec<f32> {
        let restore = |(index, &code): (usize, &i16)| {
            let block = index / self.width * self.per_row() + index % self.width / self.block;
            self.fits[block].restored(code)
        };
        self.codes.iter().enumerate().map(restore).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::ElemType;

    #[test]
    fn every_block_of_a_row_has_its_own_scale() {
        let numbers = [7.0, -7.0, 14.0, 3.5, 0.0, 0.0];
        let grid = Grid::of(ElemType::INT4).expect("it is an integer type");
        let blocks =
            Blocks::new(&numbers, 2, 2, grid, true, Search::Range).expect("they are finite");
        assert_eq!(blocks.per_row(), 2);
        let scales: Vec<f32> = blocks.fits.iter().map(|fit| fit.scale).collect();
        assert_eq!(scales, [1.0, 2.0, 0.5, 1.0]);
        assert_eq!(blocks.codes, [7, -7, 7, 7, 0, 0]);
        assert_eq!(blocks.restored(), numbers);
        assert_eq!(Blocks::new(&[f32::NAN], 1, 1, grid, true, Search::Range), None);
    }
}
