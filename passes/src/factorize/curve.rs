//! Cost and loss at every rank.
use std::cmp::Ordering;
use std::fmt;

/// How thin the factors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Channels between two factors.
    One(usize),
    /// Channels before and behind the kernel of a Tucker split.
    Two {
        /// Before it.
        inputs: usize,
        /// Behind it.
        outputs: usize,
    },
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(rank) => write!(f, "{rank}"),
            Self::Two { inputs, outputs } => write!(f, "{inputs} x {outputs}"),
        }
    }
}

/// What a site costs and loses at a rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) rank: Rank,
    pub(super) parameters: u64,
    pub(super) macs: u64,
    /// The energy that is lost, as a share of all.
    pub(super) discarded: f64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Parameters,
    Macs,
}

impl Resource {
    pub(super) fn of(self, point: &Point) -> u64 {
        match self {
            Self::Parameters => point.parameters,
            Self::Macs => point.macs,
        }
    }
}

/// The points none of the others of which costs at most as much and loses at most as much, from the cheapest on.
pub(super) fn frontier(mut points: Vec<Point>, resource: Resource) -> Vec<Point> {
    let order = |a: &Point, b: &Point| {
        let cost = resource.of(a).cmp(&resource.of(b));
        let loss = a.discarded.partial_cmp(&b.discarded).unwrap_or(Ordering::Equal);
        cost.then(loss).then(a.rank.cmp(&b.rank))
    };
    points.sort_by(order);
    let mut least = f64::INFINITY;
    points.retain(|point| {
        let better = point.discarded < least;
        least = least.min(point.discarded);
        better
    });
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_leaves_out_what_costs_more_and_loses_as_much() {
        let point = |rank, parameters, discarded| Point {
            rank: Rank::One(rank),
            parameters,
            macs: 100 - parameters,
            discarded,
        };
        let points =
            vec![point(1, 10, 0.5), point(2, 30, 0.2), point(3, 20, 0.5), point(4, 30, 0.1)];
        let ranks = |resource| -> Vec<String> {
            frontier(points.clone(), resource).iter().map(|point| point.rank.to_string()).collect()
        };
        assert_eq!(ranks(Resource::Parameters), ["1", "4"]);
        assert_eq!(ranks(Resource::Macs), ["4"]);
        assert_eq!(Rank::Two { inputs: 3, outputs: 5 }.to_string(), "3 x 5");
    }
}
