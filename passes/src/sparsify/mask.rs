//! Which weights stay, by their scores.
use super::pattern::Pattern;

/// What scores are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// All others.
    All,
    /// Those of the same row.
    Row,
}

/// Of a matrix of scores, `width` in a row, whether each weight stays.
///
/// Of groups the `kept` largest stay, of equal ones the first. Else the `removed` weights with the least scores go, whole
/// cells at a time; the score of a cell is the sum of its scores.
pub(super) fn choose(
    scores: &[f64],
    width: usize,
    pattern: Pattern,
    removed: usize,
    among: Among,
) -> Vec<bool> {
    let mut keep = vec![true; scores.len()];
    if let Pattern::GroupWise { kept, group } = pattern {
        for (scores, keep) in scores.chunks(group).zip(keep.chunks_mut(group)) {
            for index in lowest(scores, group - kept) {
                keep[index] = false;
            }
        }
        return keep;
    }
    let (rows, columns) = pattern.cell();
    let cells = cells(scores, width, pattern);
    let removed = removed / (rows * columns);
    let per_row = width / columns;
    let gone: Vec<usize> = match among {
        Among::All => lowest(&cells, removed),
        Among::Row => {
            let count = cells.len() / per_row.max(1);
            let row = |row: usize| {
                let share = |row: usize| (row * removed + count / 2) / count.max(1);
                let scores = &cells[row * per_row..][..per_row];
                let found = lowest(scores, share(row + 1) - share(row));
                found.into_iter().map(move |index| row * per_row + index)
            };
            (0..count).flat_map(row).collect()
        }
    };
    for cell in gone {
        let (row, column) = (cell / per_row * rows, cell % per_row * columns);
        for row in row..row + rows {
            keep[row * width + column..][..columns].fill(false);
        }
    }
    keep
}

/// The sums of the scores of cells, row by row.
pub(super) fn cells(scores: &[f64], width: usize, pattern: Pattern) -> Vec<f64> {
    let (rows, columns) = pattern.cell();
    if (rows, columns) == (1, 1) {
        return scores.to_vec();
    }
    let per_row = width / columns;
    let mut cells = vec![0.0; scores.len() / (rows * columns)];
    for (at, score) in scores.iter().enumerate() {
        cells[at / width / rows * per_row + at % width / columns] += score;
    }
    cells
}

/// The places of the `count` lowest scores; of equal ones the last.
fn lowest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let count = count.min(order.len());
    let before = |&a: &usize, &b: &usize| scores[a].total_cmp(&scores[b]).then(b.cmp(&a));
    if count < order.len() {
        order.select_nth_unstable_by(count, before);
    }
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 8] = [4.0, 1.0, 3.0, 2.0, 8.0, 7.0, 6.0, 5.0];

    fn kept(pattern: Pattern, removed: usize, among: Among) -> String {
        let keep = choose(&SCORES, 4, pattern, removed, among);
        keep.iter().map(|&keep| if keep { '1' } else { '0' }).collect()
    }

    #[test]
    fn the_lowest_go() {
        assert_eq!(kept(Pattern::Unstructured, 3, Among::All), "10001111");
        assert_eq!(kept(Pattern::Unstructured, 4, Among::Row), "10101100");
        assert_eq!(kept(Pattern::Unstructured, 3, Among::Row).matches('0').count(), 3);
        assert_eq!(kept(Pattern::Unstructured, 0, Among::All), "11111111");
        assert_eq!(kept(Pattern::Unstructured, 99, Among::All), "00000000");
    }

    #[test]
    fn every_group_keeps_its_largest() {
        assert_eq!(kept(Pattern::GroupWise { kept: 2, group: 4 }, 0, Among::All), "10101100");
        assert_eq!(kept(Pattern::GroupWise { kept: 1, group: 2 }, 0, Among::All), "10101010");
        let equal = choose(&[1.0; 4], 4, Pattern::GroupWise { kept: 2, group: 4 }, 0, Among::All);
        assert_eq!(equal, [true, true, false, false]);
    }

    #[test]
    fn blocks_go_whole() {
        // Sums of 2 x 1: 12, 8, 9, 7.
        assert_eq!(kept(Pattern::Blocks { rows: 2, columns: 1 }, 4, Among::All), "10101010");
        // Of 1 x 2: 5, 5 and 15, 11; the last of equal ones goes.
        assert_eq!(kept(Pattern::Blocks { rows: 1, columns: 2 }, 2, Among::All), "11001111");
        assert_eq!(kept(Pattern::Blocks { rows: 1, columns: 2 }, 4, Among::Row), "11001100");
    }
}
