//! What is known of the numbers along a channel.
use crate::quantize::equalize::Moments;
use lapidary_ir::{Graph, NodeId};

/// Mean and, where it is known, standard deviation of the numbers of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Law {
    /// E\[x\].
    pub(super) mean: f64,
    /// The root of Var\[x\]; 0 for a channel that is a constant.
    pub(super) std: Option<f64>,
}

/// What is known of a channel, or why nothing is.
pub(super) type Told = Result<Law, Cause>;

/// Where the way of a mean ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The node that ends it.
    pub(super) node: NodeId,
    /// What the node does.
    pub(super) why: Why,
}

/// Why the mean of what a node makes is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It makes channels, and no normalization says what they are like.
    Unnormalized,
    /// It computes from several values that vary.
    Several,
    /// It computes a function of numbers of which only the mean is known.
    MeanAlone,
    /// It lays channels of different means on one another.
    Mixed,
    /// It is none of the operators a mean is followed through.
    Operator,
}

impl Cause {
    /// The reason in words, the same for all nodes of an operator.
    pub(super) fn reason(&self, graph: &Graph) -> String {
        let op_type = &graph[self.node].op_type;
        match self.why {
            Why::Unnormalized => {
                format!("no normalization tells the mean of what {op_type} makes")
            }
            Why::Several => format!("{op_type} computes from several values that vary"),
            Why::MeanAlone => format!("only the mean is known of what {op_type} reads"),
            Why::Mixed => format!("{op_type} puts channels of different means together"),
            Why::Operator => format!("a mean is not followed through {op_type}"),
        }
    }
}

impl Law {
    /// A number that never changes.
    pub(super) fn constant(number: f64) -> Self {
        Self { mean: number, std: Some(0.0) }
    }

    pub(super) fn is_constant(&self) -> bool {
        self.std == Some(0.0)
    }

    /// Only the mean, unless the channel is a constant: of averages and products.
    pub(super) fn without_deviation(self) -> Self {
        if self.is_constant() { self } else { Self { std: None, ..self } }
    }

    /// s · x + t.
    pub(super) fn affine(self, s: f64, t: f64) -> Self {
        let mean = if s == 0.0 { t } else { s * self.mean + t };
        let std = if s == 0.0 { Some(0.0) } else { self.std.map(|std| s.abs() * std) };
        Self { mean, std }
    }

    /// Σ cᵢ xᵢ of values taken for independent: E = Σ cᵢ E\[xᵢ\], Var = Σ cᵢ² Var\[xᵢ\].
    pub(super) fn sum(terms: &[(f64, Self)]) -> Self {
        let mean = terms.iter().map(|(c, law)| c * law.mean).sum();
        let squares = terms.iter().map(|(c, law)| Some((c * law.std?).powi(2)));
        let variance: Option<f64> = squares.sum();
        Self { mean, std: variance.map(f64::sqrt) }
    }

    /// x · y where one of them is a constant.
    pub(super) fn product(self, other: Self) -> Option<Self> {
        match (self.is_constant(), other.is_constant()) {
            (true, _) => Some(other.affine(self.mean, 0.0)),
            (_, true) => Some(self.affine(other.mean, 0.0)),
            _ => None,
        }
    }

    /// min(max(x, low), high) of a normal distribution.
    pub(super) fn clipped(self, low: f64, high: f64) -> Option<Self> {
        let Moments { mean, std } = Moments { mean: self.mean, std: self.std? }.clipped(low, high);
        Some(Self { mean, std: Some(std) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Law = Law { mean: 2.0, std: Some(3.0) };

    #[test]
    fn sums_add_means_and_variances() {
        let y = Law { mean: -1.0, std: Some(2.0) };
        let sum = Law::sum(&[(1.0, X), (-2.0, y)]);
        assert_eq!(sum, Law { mean: 4.0, std: Some(5.0) });
        let open = Law::sum(&[(1.0, X), (1.0, y.without_deviation())]);
        assert_eq!(open, Law { mean: 1.0, std: None });
        let shifted = Law::sum(&[(1.0, X), (1.0, Law::constant(4.0))]);
        assert_eq!(shifted, Law { mean: 6.0, std: Some(3.0) });
    }

    #[test]
    fn what_is_multiplied_by_a_constant_is_scaled() {
        let scaled = Law { mean: -4.0, std: Some(6.0) };
        assert_eq!(X.affine(-2.0, 0.0), scaled);
        assert_eq!(X.product(Law::constant(-2.0)), Some(scaled));
        assert_eq!(Law::constant(-2.0).product(X), Some(scaled));
        assert_eq!(X.product(X), None);
        let open = X.without_deviation();
        assert_eq!(open.affine(0.0, 5.0), Law::constant(5.0));
        assert_eq!(open.clipped(0.0, 1.0), None);
        assert_eq!(Law::constant(7.0).without_deviation(), Law::constant(7.0));
    }
}
