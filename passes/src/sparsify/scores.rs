//! How much weights matter.
use super::layer::Layer;
use super::moments::Moments;
use crate::samples::sampling::hash;

/// |w|.
pub(super) fn magnitude(layer: &Layer) -> Vec<f64> {
    layer.matrix.iter().map(|&weight| f64::from(weight.abs())).collect()
}

/// Numbers between 0 and 1, by the seed, the name of the weight and the place in it.
pub(super) fn random(layer: &Layer, seed: u64) -> Vec<f64> {
    let name = layer.name.bytes().fold(hash(seed), |state, byte| hash(state ^ u64::from(byte)));
    let number = |at: usize| (hash(name ^ hash(at as u64)) >> 11) as f64 / (1u64 << 53) as f64;
    (0..layer.matrix.len()).map(number).collect()
}

/// |w| ‖x‖₂, x being what the weight multiplies.
pub(super) fn wanda(layer: &Layer, moments: &Moments) -> Vec<f64> {
    let layout = &layer.layout;
    let score = |(at, &weight): (usize, &f32)| {
        let (row, column) = (at / layout.size(), at % layout.size());
        let square = moments.square(layout.group(row), layout.in_window(column));
        f64::from(weight.abs()) * square.sqrt()
    };
    layer.matrix.iter().enumerate().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Layout, Order};
    use super::*;
    use lapidary_ir::Graph;

    fn layer() -> Layer {
        let source = "g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {3, 1, -2, 4}>
            { y = MatMul(x, w) }";
        let model = crate::testing::parse(source);
        let graph: &Graph = &model.graph;
        let layout = Layout { rows: 2, channels: 2, taps: 1, groups: 1, order: Order::Columns };
        let value = graph.find("w").expect("there are weights");
        let matrix = layout.matrix(&[3.0, 1.0, -2.0, 4.0]);
        Layer { value, name: "w".to_owned(), readers: Vec::new(), layout, matrix }
    }

    #[test]
    fn wanda_weighs_by_the_norm_of_the_input() {
        let mut moments = Moments::new(1, 2, false);
        moments.add(ndarray::array![[3.0f32, 1.0], [4.0, 0.0]].view());
        // Norms: 5 and 1. Rows of output channels: (3, -2) and (1, 4).
        assert_eq!(wanda(&layer(), &moments), [15.0, 2.0, 5.0, 4.0]);
        assert_eq!(magnitude(&layer()), [3.0, 2.0, 1.0, 4.0]);
    }

    #[test]
    fn random_numbers_depend_on_the_seed_alone() {
        let scores = random(&layer(), 1);
        assert_eq!(scores, random(&layer(), 1));
        assert_ne!(scores, random(&layer(), 2));
        assert!(scores.iter().all(|score| (0.0..1.0).contains(score)));
    }
}
