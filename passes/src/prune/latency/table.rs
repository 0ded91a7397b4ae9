//! Times on a grid of sizes.

/// What something takes by two sizes, from measurements on a grid.
///
/// Between the points of the grid times are bilinear; beyond it they are those of the nearest point. Whatever else the
/// machine does only adds to a measurement, and a smaller product can be computed as a larger one with zeros, so a time is
/// the least of those at its point and at larger ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// By row, then column.
    times: Vec<f64>,
}

impl Table {
    /// A table of times by ascending sizes; none without sizes or without a time for each pair of them.
    pub(crate) fn new(rows: Vec<usize>, columns: Vec<usize>, mut times: Vec<f64>) -> Option<Self> {
        if rows.is_empty() || times.len() != rows.len() * columns.len() {
            return None;
        }
        let width = columns.len();
        for at in (0..times.len()).rev() {
            let (right, below) = (at + 1, at + width);
            if right % width != 0 {
                times[at] = times[at].min(times[right]);
            }
            if below < times.len() {
                times[at] = times[at].min(times[below]);
            }
        }
        Some(Self { rows, columns, times })
    }

    /// The time of the largest sizes.
    pub(crate) fn largest(&self) -> f64 {
        self.times.last().copied().unwrap_or(0.0)
    }

    /// The number of measurements.
    #[cfg(test)]
    pub(crate) fn points(&self) -> usize {
        self.times.len()
    }

    /// The time by two sizes.
    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        let (above, below, down) = place(&self.rows, row);
        let (left, right, across) = place(&self.columns, column);
        let time = |row: usize, column: usize| self.times[row * self.columns.len() + column];
        let along = |row: usize| between(time(row, left), time(row, right), across);
        between(along(above), along(below), down)
    }
}

fn between(from: f64, to: f64, share: f64) -> f64 {
    from + share * (to - from)
}

/// The points around a size, and how far it is on the way from the first to the second.
fn place(points: &[usize], size: usize) -> (usize, usize, f64) {
    let above = points.partition_point(|&point| point < size).min(points.len() - 1);
    let Some(below) = above.checked_sub(1).filter(|_| points[above] > size) else {
        return (above, above, 0.0);
    };
    let share = (size - points[below]) as f64 / (points[above] - points[below]) as f64;
    (below, above, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bilinear_and_end_at_the_edges() {
        let table = Table::new(vec![8, 16], vec![2, 4, 8], vec![1.0, 2.0, 4.0, 2.0, 4.0, 8.0]);
        let table = table.expect("it is complete");
        let times = [(8, 2), (16, 8), (12, 4), (12, 3), (16, 6), (1, 1), (99, 99)];
        let found = times.map(|(row, column)| table.at(row, column));
        assert_eq!(found, [1.0, 8.0, 3.0, 2.25, 6.0, 1.0, 8.0]);
        assert_eq!(table.largest(), 8.0);
        assert_eq!(Table::new(vec![8], vec![2, 4], vec![1.0]), None);
        let single = Table::new(vec![1], vec![1], vec![3.0]).expect("it is complete");
        assert_eq!(single.at(7, 0), 3.0);
    }

    #[test]
    fn what_is_smaller_takes_no_longer() {
        let times = vec![5.0, 3.0, 4.0, 9.0, 2.0, 7.0];
        let table = Table::new(vec![1, 2], vec![1, 2, 3], times).expect("it is complete");
        let found = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)];
        let found = found.map(|(row, column)| table.at(row, column));
        assert_eq!(found, [2.0, 2.0, 4.0, 2.0, 2.0, 7.0]);
    }
}
