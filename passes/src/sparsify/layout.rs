//! Weights as a matrix: a row per output channel, input channels side by side for each tap of the kernel.

/// How the numbers of a weight stand in a matrix of output channels by taps and input channels.
///
/// Columns are ordered by tap first: the input channels of one tap follow each other, as sparse tensor cores count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Output channels.
    pub(super) rows: usize,
    /// Input channels of a group.
    pub(super) channels: usize,
    /// Positions of the kernel; 1 for matrices.
    pub(super) taps: usize,
    /// Groups of the convolution: output channels are divided among them.
    pub(super) groups: usize,
    pub(super) order: Order,
}

/// How the numbers stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Output channels, input channels, taps.
    Rows,
    /// Input channels, output channels.
    Columns,
}

impl Layout {
    /// Columns: what an output channel multiplies.
    pub(super) fn size(&self) -> usize {
        self.channels * self.taps
    }

    /// The group of a row.
    pub(super) fn group(&self, row: usize) -> usize {
        row / (self.rows / self.groups)
    }

    /// Where the number of a column stands in a window of its group, channels first.
    pub(super) fn in_window(&self, column: usize) -> usize {
        column % self.channels * self.taps + column / self.channels
    }

    /// The numbers of a weight as the matrix, row by row.
    pub(super) fn matrix<T: Copy>(&self, numbers: &[T]) -> Vec<T> {
        let cells = 0..self.rows * self.size();
        cells.map(|cell| numbers[self.place(cell)]).collect()
    }

    /// The matrix as the weight has its numbers.
    pub(super) fn laid_out<T: Copy + Default>(&self, matrix: &[T]) -> Vec<T> {
        let mut numbers = vec![T::default(); matrix.len()];
        for (cell, &number) in matrix.iter().enumerate() {
            numbers[self.place(cell)] = number;
        }
        numbers
    }

    fn place(&self, cell: usize) -> usize {
        let (row, column) = (cell / self.size(), cell % self.size());
        match self.order {
            Order::Rows => row * self.size() + self.in_window(column),
            Order::Columns => column * self.rows + row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_tap_stand_side_by_side() {
        let layout = Layout { rows: 2, channels: 2, taps: 3, groups: 1, order: Order::Rows };
        let numbers: Vec<usize> = (0..12).collect();
        let matrix = layout.matrix(&numbers);
        assert_eq!(matrix[..6], [0, 3, 1, 4, 2, 5]);
        assert_eq!(layout.laid_out(&matrix), numbers);
        assert_eq!((layout.in_window(1), layout.in_window(2)), (3, 1));
    }

    #[test]
    fn columns_are_output_channels_where_they_stand_last() {
        let layout = Layout { rows: 3, channels: 2, taps: 1, groups: 1, order: Order::Columns };
        let matrix = layout.matrix(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(matrix, [1, 4, 2, 5, 3, 6]);
        assert_eq!(layout.laid_out(&matrix), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn groups_divide_rows() {
        let layout = Layout { rows: 6, channels: 1, taps: 1, groups: 3, order: Order::Rows };
        assert_eq!((0..6).map(|row| layout.group(row)).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    }
}
