//! Matrices as their numbers, row by row.

/// A matrix of `rows` rows with rows and columns exchanged.
pub(super) fn transposed<T: Copy>(matrix: &[T], rows: usize) -> Vec<T> {
    let width = matrix.len() / rows.max(1);
    let columns = (0..width).flat_map(|column| (0..rows).map(move |row| row * width + column));
    columns.map(|index| matrix[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::transposed;

    #[test]
    fn rows_become_columns() {
        assert_eq!(transposed(&[1, 2, 3, 4, 5, 6], 2), [1, 4, 2, 5, 3, 6]);
        assert!(transposed::<u8>(&[], 0).is_empty());
    }
}
