//! How many samples are classified right.
use lapidary_exec::Outputs;

/// Counts over batches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hits {
    right: usize,
    rows: usize,
}

impl Hits {
    /// Adds the outputs of one batch, which has at least as many rows as there are labels: those of the first output
    /// with a row of scores per sample.
    pub(super) fn add(&mut self, found: &Outputs, labels: &[i64]) {
        let scores = found.iter().find_map(|(_, tensor)| match *tensor.dims() {
            [rows, classes] if rows as usize >= labels.len() && classes > 1 => {
                Some((tensor.to_f32()?, classes as usize))
            }
            _ => None,
        });
        let Some((scores, classes)) = scores else { return };
        for (row, &label) in scores.chunks_exact(classes).zip(labels) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            self.right += usize::from(best.is_some_and(|(class, _)| class as i64 == label));
            self.rows += 1;
        }
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.right += other.right;
        self.rows += other.rows;
    }

    /// The share that is right, if anything was counted.
    pub(super) fn share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.right as f64 / self.rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::Tensor;

    #[test]
    fn the_first_largest_score_is_the_answer() {
        let scores = [0.0, 2.0, 2.0, 5.0, 1.0, 1.0, 9.0, 9.0, 9.0];
        let outputs: Outputs = vec![("y".to_owned(), Tensor::new(&[3, 3], &scores))];
        let mut hits = Hits::default();
        // The last row fills the batch up.
        hits.add(&outputs, &[1, 2]);
        assert_eq!(hits.share(), Some(0.5));
        let mut sum = Hits::default();
        assert_eq!(sum.share(), None);
        sum.merge(&hits);
        sum.add(&outputs, &[1, 0, 0]);
        assert_eq!(sum.share(), Some(0.8));
    }

    #[test]
    fn outputs_that_are_no_scores_are_not_counted() {
        let outputs: Outputs = vec![("y".to_owned(), Tensor::new(&[1, 2, 2], &[0.0; 4]))];
        let mut hits = Hits::default();
        hits.add(&outputs, &[0]);
        assert_eq!(hits.share(), None);
    }
}
