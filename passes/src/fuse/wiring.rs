//! Which input channel and which output channel each element of a weight connects.
use lapidary_ir::Node;

/// The arrangement of the weight of a linear operator.
///
/// Two neighbouring axes stand for channels. Along the outer one lie all channels of one side,
/// along the inner one the channels of the other side that are in the same group.
///
/// | operator | outer | inner |
/// | --- | --- | --- |
/// | `Conv`, `Gemm` with `transB` | output | input |
/// | `ConvTranspose`, `Gemm`, `MatMul` | input | output |
#[derive(Debug)]
pub(super) struct Wiring {
    outer: usize,
    inner: usize,
    /// Elements for each pair of channels: the extent of a kernel.
    window: usize,
    groups: usize,
    outer_is_output: bool,
}

impl Wiring {
    /// The arrangement of a weight of `node` with dimensions `dims`; none if the node is no linear
    /// operator or has no such weight.
    pub(super) fn of(node: &Node, dims: &[i64]) -> Option<Self> {
        let groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
        let (axis, groups, outer_is_output) = match node.op_type.as_str() {
            "Conv" => (0, groups, true),
            "ConvTranspose" => (0, groups, false),
            "Gemm" => (0, 1, node.int("transB").unwrap_or(0) != 0),
            // Matrices are stacked along the axes before the last two.
            "MatMul" => (dims.len().checked_sub(2)?, 1, false),
            _ => return None,
        };
        let dims: Vec<usize> = dims.get(axis..)?.iter().map(|&dim| dim as usize).collect();
        let [outer, inner, kernel @ ..] = dims.as_slice() else { return None };
        let fits = groups > 0 && outer % groups == 0;
        let window = kernel.iter().product();
        fits.then_some(Self { outer: *outer, inner: *inner, window, groups, outer_is_output })
    }

    /// Whether the outer channels are those of the output.
    pub(super) fn is_by_output(&self) -> bool {
        self.outer_is_output
    }

    /// Whether the channels are in one group only.
    pub(super) fn is_in_one_group(&self) -> bool {
        self.groups == 1
    }

    /// The channels of the input.
    pub(super) fn inputs(&self) -> usize {
        if self.outer_is_output { self.inner * self.groups } else { self.outer }
    }

    /// The channels of the output.
    pub(super) fn outputs(&self) -> usize {
        if self.outer_is_output { self.outer } else { self.inner * self.groups }
    }

    /// The input channel that element `index` of the weight reads.
    pub(super) fn input(&self, index: usize) -> usize {
        let (outer, grouped) = self.pair(index);
        if self.outer_is_output { grouped } else { outer }
    }

    /// The output channel that element `index` of the weight contributes to.
    pub(super) fn output(&self, index: usize) -> usize {
        let (outer, grouped) = self.pair(index);
        if self.outer_is_output { outer } else { grouped }
    }

    fn pair(&self, index: usize) -> (usize, usize) {
        let pair = index / self.window % (self.outer * self.inner);
        let (outer, inner) = (pair / self.inner, pair % self.inner);
        (outer, outer / (self.outer / self.groups) * self.inner + inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    /// Input and output channel of each element of a weight, in order.
    fn pairs(dims: &[i64], node: &str) -> Vec<(usize, usize)> {
        let model = parse(&format!("g (float[] x, float[] w) => (float[] y) {{ y = {node} }}"));
        let (_, node) = model.graph.nodes().next().expect("there is a node");
        let wiring = Wiring::of(node, dims).expect("the weight fits");
        let count = dims.iter().product::<i64>() as usize;
        (0..count).map(|index| (wiring.input(index), wiring.output(index))).collect()
    }

    #[test]
    fn reads_the_weight_of_each_operator() {
        assert_eq!(pairs(&[2, 2, 1], "Conv(x, w)"), [(0, 0), (1, 0), (0, 1), (1, 1)]);
        assert_eq!(pairs(&[2, 2, 1], "ConvTranspose(x, w)"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(pairs(&[2, 2], "Gemm(x, w)"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(pairs(&[2, 2], "Gemm<transB = 1>(x, w)"), [(0, 0), (1, 0), (0, 1), (1, 1)]);
        assert_eq!(pairs(&[2, 1, 2], "MatMul(x, w)"), [(0, 0), (0, 1), (0, 0), (0, 1)]);
    }

    #[test]
    fn counts_channels_through_groups() {
        let conv = pairs(&[4, 1, 2], "Conv<group = 2>(x, w)");
        assert_eq!(conv, [(0, 0), (0, 0), (0, 1), (0, 1), (1, 2), (1, 2), (1, 3), (1, 3)]);
        let transposed = pairs(&[4, 1, 1], "ConvTranspose<group = 2>(x, w)");
        assert_eq!(transposed, [(0, 0), (1, 0), (2, 1), (3, 1)]);
    }
}
