//! Which factors a Clip allows.
use super::path::Bound;
use super::statistics::ChannelStatistics;
use lapidary_ir::Graph;

/// What a channel may be divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// Any number that is not smaller.
    AtLeast(f64),
    /// Nothing but 1.
    One,
}

impl Limit {
    /// The nearest number that is allowed.
    pub(super) fn apply(self, scale: f64) -> f64 {
        match self {
            Self::AtLeast(least) => scale.max(least),
            Self::One => 1.0,
        }
    }
}

/// What every channel may be divided by, so that a Clip cuts off nothing it did not, and what it did the same.
///
/// With observed numbers from m to M and limits l to h, a channel that is cut off anywhere but at 0 stays as it is;
/// of others M / s ≤ h and m / s ≥ l, so s ≥ M / h and, for l < 0, s ≥ m / l.
pub(super) fn limits(
    graph: &Graph,
    bounds: &[Bound],
    channels: usize,
    statistics: &ChannelStatistics,
) -> Result<Vec<Limit>, String> {
    let mut limits = vec![Limit::AtLeast(0.0); channels];
    for bound in bounds {
        let name = graph.value(bound.value).name();
        let ranges = statistics.ranges(name, bound.axis, channels);
        let ranges = ranges.ok_or("what Clip limits was not observed")?;
        for (limit, (min, max)) in limits.iter_mut().zip(ranges) {
            *limit = match (*limit, of(*bound, min, max)) {
                (Limit::AtLeast(one), Limit::AtLeast(other)) => Limit::AtLeast(one.max(other)),
                _ => Limit::One,
            };
        }
    }
    Ok(limits)
}

fn of(Bound { low, high, .. }: Bound, min: f32, max: f32) -> Limit {
    let cut = (low != 0.0 && min < low) || max > high || low > 0.0 || high <= 0.0;
    if cut {
        return Limit::One;
    }
    let ratio = |number: f32, limit: f32| {
        let bounded = limit.is_finite() && limit != 0.0;
        if bounded { (f64::from(number) / f64::from(limit)).max(0.0) } else { 0.0 }
    };
    Limit::AtLeast(ratio(max, high).max(ratio(min, low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_observed_number_passes_the_limit() {
        let value = crate::testing::parse("g (float[1] x) => (float[1] y) { y = Relu(x) }");
        let value = value.graph.inputs()[0];
        let at = |low, high, min, max| of(Bound { value, axis: 1, low, high }, min, max);
        assert_eq!(at(0.0, 6.0, -9.0, 3.0), Limit::AtLeast(0.5));
        assert_eq!(at(0.0, 6.0, -9.0, -3.0), Limit::AtLeast(0.0));
        assert_eq!(at(0.0, 6.0, -9.0, 7.0), Limit::One);
        assert_eq!(at(-1.0, 1.0, -0.75, 0.5), Limit::AtLeast(0.75));
        assert_eq!(at(-1.0, 1.0, -1.5, 0.5), Limit::One);
        assert_eq!(at(0.0, f32::INFINITY, -9.0, 1e9), Limit::AtLeast(0.0));
        assert_eq!(Limit::AtLeast(0.5).apply(0.25), 0.5);
        assert_eq!(Limit::One.apply(3.0), 1.0);
    }
}
