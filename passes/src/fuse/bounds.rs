//! The bounds that `Relu` and `Clip` put around numbers.
use super::weights;
use lapidary_ir::{Graph, NodeId};

/// y = min(high, max(low, x)), either one possibly absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Bounds {
    /// The bounds of a `Relu`, or of a `Clip` with constant, finite ones.
    pub(crate) fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let node = &graph[id];
        if node.is("Relu") {
            return Some(Self { low: Some(0.0), high: None });
        }
        if !node.is("Clip") {
            return None;
        }
        if graph.opset() < 11 {
            let bound = |name| match node.float(name) {
                None => Some(None),
                Some(bound) => bound.is_finite().then_some(Some(f64::from(bound))),
            };
            return Some(Self { low: bound("min")?, high: bound("max")? });
        }
        let bound = |slot| match node.input(slot) {
            None => Some(None),
            Some(input) => match weights::values(graph.constant(input)?)?.as_slice() {
                [bound] if bound.is_finite() => Some(Some(*bound)),
                _ => None,
            },
        };
        Some(Self { low: bound(1)?, high: bound(2)? })
    }

    /// The bounds of `self` followed by `next`: where the smallest and largest numbers go.
    pub(super) fn then(self, next: Self) -> Self {
        let image = |x: f64| Some(next.apply(self.apply(x))).filter(|bound| bound.is_finite());
        Self { low: image(f64::NEG_INFINITY), high: image(f64::INFINITY) }
    }

    fn apply(self, x: f64) -> f64 {
        let above = self.low.map_or(x, |low| x.max(low));
        self.high.map_or(above, |high| above.min(high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(low: impl Into<Option<f64>>, high: impl Into<Option<f64>>) -> Bounds {
        Bounds { low: low.into(), high: high.into() }
    }

    #[test]
    fn keeps_the_tighter_bound() {
        assert_eq!(clip(0.0, None).then(clip(-1.0, 6.0)), clip(0.0, 6.0));
        assert_eq!(clip(-1.0, 6.0).then(clip(0.0, None)), clip(0.0, 6.0));
        assert_eq!(clip(None, 3.0).then(clip(None, 2.0)), clip(None, 2.0));
    }

    #[test]
    fn sends_everything_to_one_bound_when_the_ranges_are_apart() {
        assert_eq!(clip(0.0, 1.0).then(clip(2.0, 3.0)), clip(2.0, 2.0));
        assert_eq!(clip(2.0, 3.0).then(clip(0.0, 1.0)), clip(1.0, 1.0));
    }
}
