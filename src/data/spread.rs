//! A few samples of many.
use super::{DatasetError, Source, stack};
use lapidary_exec::Inputs;
use std::ops::Range;
use std::sync::Arc;

/// Samples at equal distances: number ⌊i · n / k⌋ of n for every i below k. Files are often sorted by class,
/// so the first few tell little of all.
#[derive(Debug)]
pub(super) struct Spread {
    pub(super) source: Arc<dyn Source>,
    /// The number of samples of the source, or as many of the first as are meant.
    pub(super) all: usize,
    pub(super) count: usize,
}

impl Spread {
    /// The number in the source of a sample.
    pub(super) fn place(&self, index: usize) -> usize {
        index * self.all / self.count
    }
}

impl Source for Spread {
    fn len(&self) -> usize {
        self.count
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        let one = |index| self.source.read(self.place(index)..self.place(index) + 1);
        stack::join(range.map(one).collect::<Result<_, _>>()?)
    }

    fn is_whole(&self) -> bool {
        self.source.is_whole()
    }

    fn is_images(&self) -> bool {
        self.source.is_images()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use lapidary_ir::Tensor;
    use std::collections::BTreeMap;

    fn ten() -> Dataset {
        let numbers: Vec<f32> = (0..10u8).map(f32::from).collect();
        let text = "<ir_version: 8, opset_import: [\"\" : 17]>
            g (float[N] x) => (float[N] y) { y = Relu(x) }";
        let model = lapidary_ir::text::parse(text).expect("it is a model");
        let arrays = BTreeMap::from([("x".to_owned(), Tensor::vector(&numbers))]);
        let mut data = Dataset::new(arrays, &model.graph).expect("it fits");
        data.labels = Some((0..10).collect());
        data
    }

    #[test]
    fn samples_and_labels_are_spread() {
        let few = ten().spread(4);
        assert_eq!((few.len(), few.labels()), (4, Some(&[0, 2, 5, 7][..])));
        let read = few.batch(1..3).expect("they can be read");
        assert!(read["x"].same_content(&Tensor::vector(&[2.0f32, 5.0])));
        assert!(
            few.sample(3).expect("it can be read")["x"].same_content(&Tensor::vector(&[7.0f32]))
        );
    }

    #[test]
    fn the_first_ones_are_meant_if_others_are_left_out() {
        assert_eq!(ten().take(5).spread(2).labels(), Some(&[0, 2][..]));
    }

    #[test]
    fn all_or_more_are_all() {
        assert_eq!(ten().spread(10).labels(), ten().labels());
        assert_eq!(ten().spread(99).len(), 10);
    }

    #[test]
    fn what_was_made_for_one_run_stays_whole() {
        let numbers: Vec<f32> = (0..10u8).map(f32::from).collect();
        let inputs = BTreeMap::from([("x".to_owned(), Tensor::vector(&numbers))]);
        assert_eq!(Dataset::whole(inputs).spread(2).len(), 10);
    }
}
