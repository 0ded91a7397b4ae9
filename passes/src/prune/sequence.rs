//! The order in which the channels of a group go.
//!
//! Where blocks have to keep equally many, a step takes one channel out of every bucket of channels that lie in
//! the same blocks; else a step is a channel.
use super::analysis::{Analysis, Group};
use super::select::{Extents, balances_of, buckets, take, unbalanced};

/// Steps that can be taken one after another, each with the channels it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Numbers of channels within the group, by step.
    pub(crate) steps: Vec<Vec<usize>>,
}

impl Sequence {
    /// The steps for a group, least score first, ties by number, as long as every axis keeps `minimum` elements
    /// and at most `most` channels go.
    pub(crate) fn new(
        analysis: &Analysis,
        group: &Group,
        scores: &[f64],
        minimum: usize,
        most: usize,
    ) -> Self {
        let balances = balances_of(analysis, group);
        let buckets = buckets(analysis, group, &balances, scores);
        let count = buckets.iter().map(Vec::len).min().unwrap_or(0);
        let mut extents: Extents = analysis.extents.clone();
        let mut sequence = Self::default();
        for index in 0..count {
            let mut step: Vec<usize> = buckets.iter().map(|bucket| bucket[index]).collect();
            step.sort_unstable();
            let taken = (index + 1) * step.len();
            let fits = taken <= most
                && unbalanced(analysis, group, &balances, &step).is_none()
                && step
                    .iter()
                    .all(|&number| take(analysis, group.channels[number], minimum, &mut extents));
            if !fits {
                break;
            }
            sequence.steps.push(step);
        }
        sequence
    }

    /// The same in longer steps: after each of them a multiple of `multiple` is left of the `size` channels of the
    /// group. What does not make a step stays.
    pub(crate) fn rounded(self, size: usize, multiple: usize) -> Self {
        if multiple < 2 {
            return self;
        }
        let (mut left, mut step, mut steps) = (size, Vec::new(), Vec::new());
        for next in self.steps {
            left -= next.len();
            step.extend(next);
            if left.is_multiple_of(multiple) {
                step.sort_unstable();
                steps.push(std::mem::take(&mut step));
            }
        }
        Self { steps }
    }

    /// The channels the first steps take.
    pub(crate) fn first(&self, steps: usize) -> Vec<usize> {
        self.steps[..steps].iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::testing::grouped;
    use crate::testing::model;

    #[test]
    fn the_least_important_channel_goes_first_and_one_stays() {
        let model = model(
            "g (float[1,2] x) => (float[1,2] y)
            <float[2,3] w = {1, 2, 3, 4, 5, 6}, float[3,2] v = {1, 2, 3, 4, 5, 6}>
            { h = MatMul(x, w) y = MatMul(h, v) }",
        );
        let analysis = Analysis::of(&model.graph);
        let group = &analysis.groups[0];
        let steps = Sequence::new(&analysis, group, &[2.0, 0.0, 1.0], 1, 3).steps;
        assert_eq!(steps, [vec![1], vec![2]]);
        assert_eq!(Sequence::new(&analysis, group, &[2.0, 0.0, 1.0], 1, 1).steps, [vec![1]]);
    }

    #[test]
    fn rounded_steps_leave_multiples() {
        let steps = |numbers: &[&[usize]]| numbers.iter().map(|step| step.to_vec()).collect();
        let sequence = Sequence { steps: steps(&[&[6], &[1], &[4], &[0], &[2], &[5]]) };
        assert_eq!(sequence.clone().rounded(7, 3).steps, [vec![6], vec![0, 1, 4]]);
        assert_eq!(sequence.clone().rounded(8, 4).steps, [vec![0, 1, 4, 6]]);
        assert_eq!(sequence.clone().rounded(7, 1), sequence);
        // Two channels go at a time, and an odd number never is left.
        let pairs = Sequence { steps: steps(&[&[0, 4], &[1, 5], &[2, 6]]) };
        assert_eq!(pairs.clone().rounded(8, 4).steps, [vec![0, 1, 4, 5]]);
        assert_eq!(pairs.rounded(8, 3).steps, [vec![0, 4]]);
    }

    #[test]
    fn blocks_lose_one_channel_each() {
        let model = grouped();
        let analysis = Analysis::of(&model.graph);
        let group = &analysis.groups[0];
        let sequence = Sequence::new(&analysis, group, &[2.0, 0.0, 1.0, 5.0, 4.0, 3.0], 1, 6);
        assert_eq!(sequence.steps[0], [1, 5]);
        assert_eq!(sequence.first(2), [1, 5, 2, 4]);
    }
}
