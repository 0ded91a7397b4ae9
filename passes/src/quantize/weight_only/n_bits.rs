//! The layout of `com.microsoft.MatMulNBits`.
use super::blocks::Blocks;
use super::grid::Grid;
use super::pack::pack;
use lapidary_ir::NewNode;

/// The inputs of `MatMulNBits` behind A.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NBits {
    /// `[N, blocks, block · bits / 8]`: codes without sign, low bits first, the last block of a row
    /// filled up with its zero point.
    pub(super) codes: Vec<u8>,
    /// `[N, ⌈blocks · bits / 8⌉]`: zero points without sign, packed row by row.
    pub(super) zero_points: Vec<u8>,
}

/// Packs blocks. Codes of a signed type are moved up by half the grid, and so are zero points.
pub(super) fn layout(blocks: &Blocks, grid: Grid) -> NBits {
    let up = |code: i16| code - grid.least;
    let (mut codes, mut zero_points) = (Vec::new(), Vec::new());
    let per_row = blocks.per_row();
    let rows = blocks.codes.chunks(blocks.width).zip(blocks.fits.chunks(per_row));
    for (row, fits) in rows {
        for (block, fit) in row.chunks(blocks.block).zip(fits) {
            let mut block: Vec<i16> = block.iter().map(|&code| up(code)).collect();
            block.resize(blocks.block, up(fit.zero_point));
            codes.extend(pack(&block, grid.bits));
        }
        let points: Vec<i16> = fits.iter().map(|fit| up(fit.zero_point)).collect();
        zero_points.extend(pack(&points, grid.bits));
    }
    NBits { codes, zero_points }
}

/// The node with its attributes, without inputs.
pub(super) fn node(blocks: &Blocks, grid: Grid, accuracy_level: u8) -> NewNode {
    let node = NewNode::new("MatMulNBits")
        .domain("com.microsoft")
        .attribute("K", blocks.width as i64)
        .attribute("N", blocks.rows as i64)
        .attribute("bits", i64::from(grid.bits))
        .attribute("block_size", blocks.block as i64);
    match accuracy_level {
        0 => node,
        level => node.attribute("accuracy_level", i64::from(level)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::Fit;
    use super::*;
    use lapidary_ir::ElemType;

    #[test]
    fn rows_are_filled_up_to_whole_blocks() {
        let fit = |zero_point| Fit { scale: 1.0, zero_point };
        let fits = vec![fit(0), fit(3), fit(-8), fit(7)];
        let codes = vec![-8, -7, 7, 1, 2, 3];
        let blocks = Blocks { rows: 2, width: 3, block: 2, codes, fits };
        let grid = Grid::of(ElemType::INT4).expect("it is an integer type");
        let found = layout(&blocks, grid);
        // 0, 1 | 15, 11 || 9, 10 | 11, 15.
        assert_eq!(found.codes, [0x10, 0xbf, 0xa9, 0xfb]);
        // 8, 11 || 0, 15.
        assert_eq!(found.zero_points, [0xb8, 0xf0]);
    }
}
