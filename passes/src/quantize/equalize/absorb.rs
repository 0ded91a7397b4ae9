//! Absorption of high biases: M. Nagel et al., ICCV 2019, section 4.1.3.
use super::change::FloatChange;
use super::edits::Edits;
use super::path::Path;
use super::statistics::ChannelStatistics;
use super::weights::Weights;
use crate::PassError;
use lapidary_ir::{Graph, Model, NodeId};

const STEP: &str = "absorb-bias";

/// A product, a Relu, and the products behind it.
struct Site {
    label: String,
    first: Weights,
    path: Path,
    /// c of every channel.
    amounts: Vec<f64>,
}

/// Moves what of a bias no Relu ever cuts off into the biases behind it:
///
/// W₂ relu(W₁ x + b₁) + b₂ = W₂ relu(W₁ x + b₁ − c) + b₂ + W₂ c for W₁ x + b₁ ≥ c, with
/// c = max(0, min over samples of W₁ x + b₁),
///
/// so that it holds for all samples the statistics are from. The paper takes β − 3γ of the batch normalization for the
/// minimum, which holds for 99.87 % of a normal distribution.
///
/// # Errors
/// When the changed constants don't fit the graph: a fault of this step.
pub fn absorb_bias(
    model: &mut Model,
    statistics: &ChannelStatistics,
) -> Result<FloatChange, PassError> {
    let graph = &model.graph;
    let mut change = FloatChange::of(STEP);
    let mut edits = Edits::default();
    let order = graph.topological_order().into_iter();
    for id in order.filter(|&id| limiter(graph, id).is_some()) {
        match site(graph, id, statistics) {
            Ok(site) if site.amounts.iter().all(|&amount| amount == 0.0) => {
                change.leave("all of its channels are cut off at 0", graph[id].label(graph));
            }
            Ok(site) => {
                site.absorb(graph, &mut edits);
                change.changed.push(site.label);
            }
            Err(reason) => change.leave(reason, graph[id].label(graph)),
        }
    }
    edits.apply(model, STEP)?;
    Ok(change)
}

/// The first Relu or Clip behind a product, with nothing but a sum in between.
fn limiter(graph: &Graph, id: NodeId) -> Option<NodeId> {
    if !Weights::is_product(graph, id) {
        return None;
    }
    let mut next = graph.only_use(graph[id].output(0)?)?.node;
    if graph[next].is("Add") {
        next = graph.only_use(graph[next].output(0)?)?.node;
    }
    (graph[next].is("Relu") || graph[next].is("Clip")).then_some(next)
}

fn site(graph: &Graph, id: NodeId, statistics: &ChannelStatistics) -> Result<Site, String> {
    let limiter = limiter(graph, id).ok_or("no Relu is behind it")?;
    let first = Weights::of(graph, id)?;
    let output = graph[id].output(0).ok_or("nothing reads it")?;
    let path = Path::from(graph, output, first.axis, first.outputs)?;
    if !first.takes_bias && path.shifts.is_empty() {
        return Err("it has no bias".to_owned());
    }
    let moves = ["MaxPool", "GlobalAveragePool", "Flatten", "Reshape", "Squeeze", "Transpose"];
    let mut others = path.operators.iter().filter(|&&node| node != limiter);
    let other = others.find(|&&node| {
        let kept = path.shifts.iter().any(|&(shift, _)| shift == node);
        !kept && !moves.iter().any(|op_type| graph[node].is(op_type))
    });
    if let Some(&other) = other {
        return Err(format!("{} is behind it", graph[other].op_type));
    }
    for reader in &path.readers {
        if !reader.takes_bias {
            return Err("the next MatMul takes no bias".to_owned());
        }
        if reader.is_padded(graph) {
            return Err("the next Conv reads zeros around its input".to_owned());
        }
    }
    let value = graph[limiter].input(0).ok_or("nothing is limited")?;
    if path.shifts.iter().any(|&(shift, _)| graph.producer(value) != Some(shift)) {
        return Err("something is added behind the Relu".to_owned());
    }
    let bound = path.bounds.first().map(|bound| (bound.low, bound.high));
    let (low, high) = bound.unwrap_or((0.0, f32::INFINITY));
    if low != 0.0 {
        return Err("Clip does not cut off at 0".to_owned());
    }
    let ranges = statistics.ranges(graph.value(value).name(), first.axis, first.outputs);
    let ranges = ranges.ok_or("what Relu reads was not observed")?;
    let amounts = ranges.iter().map(|&range| amount(range, high)).collect();
    Ok(Site { label: path.label(graph, graph[id].label(graph)), first, path, amounts })
}

/// c = max(0, min); 0 if the upper limit cuts anything off, which then would be other numbers.
fn amount((min, max): (f32, f32), high: f32) -> f64 {
    if max > high { 0.0 } else { f64::from(min.max(0.0)) }
}

impl Site {
    fn absorb(&self, graph: &Graph, edits: &mut Edits) {
        let bias = match self.path.shifts.first() {
            Some(&(node, slot)) => edits.numbers(graph, node, slot),
            None => self.first.bias(graph, edits),
        };
        if let Some(bias) = bias {
            bias.iter_mut().zip(&self.amounts).for_each(|(bias, amount)| *bias -= amount);
        }
        for reader in &self.path.readers {
            let Some(weights) = edits.numbers(graph, reader.node, 1) else { continue };
            let added = reader.times(weights, &self.amounts);
            let Some(bias) = reader.bias(graph, edits) else { continue };
            bias.iter_mut().zip(added).for_each(|(bias, added)| *bias += added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Changed, change};
    use super::*;
    use insta::assert_snapshot;

    fn absorbed(source: &str) -> Changed {
        change(source, absorb_bias)
    }

    #[test]
    fn what_is_never_cut_off_is_absorbed() {
        assert_eq!(amount((2.5, 4.0), f32::INFINITY), 2.5);
        assert_eq!(amount((-2.5, 4.0), f32::INFINITY), 0.0);
        assert_eq!(amount((2.5, 7.0), 6.0), 0.0);
        let found = absorbed(
            "g (float[8,1,2,2] x) => (float[8,1,1,1] y)
            <float[2,1,1,1] a = {0, 1}, float[2] b = {10, 0}, float[1,2,2,2] c = {1,2,3,4,5,6,7,8}>
            {
                p = Conv(x, a, b)
                r = Relu(p)
                y = Conv(r, c)
            }",
        );
        // Channel 0 is 10 everywhere: c = (10, 0), and 10 · (1 + 2 + 3 + 4) is added.
        assert_snapshot!(found.text, @r"
        g (float[8,1,2,2] x) => (float[8,1,1,1] y)
        <float[2,1,1,1] a = {0, 1}, float[2] b = {0, 0}, float[1,2,2,2] c = {1, 2, 3, 4, 5, 6, 7, 8},
            float[1] c_bias = {100}>
        {
            p = Conv(x, a, b)
            r = Relu(p)
            y = Conv(r, c, c_bias)
        }
        ");
        assert_snapshot!(found.report, @"p -> y");
    }

    #[test]
    fn a_bias_may_be_added_apart() {
        let found = absorbed(
            "g (float[8,2] x) => (float[8,1] y)
            <float[2,2] a = {0, 1, 0, 1}, float[2] b = {10, 0}, float low = {0}, float high = {12},
             float[2,1] c = {2, 3}, float[1] d = {1}>
            {
                p = MatMul(x, a)
                q = Add(b, p)
                r = Clip(q, low, high)
                y = Gemm(r, c, d)
            }",
        );
        assert_snapshot!(found.text, @r"
        g (float[8,2] x) => (float[8,1] y)
        <float[2,2] a = {0, 1, 0, 1}, float[2] b = {0, 0}, float low = {0}, float high = {12},
            float[2,1] c = {2, 3}, float[1] d = {21}>
        {
            p = MatMul(x, a)
            q = Add(b, p)
            r = Clip(q, low, high)
            y = Gemm(r, c, d)
        }
        ");
    }

    #[test]
    fn what_would_not_be_exact_is_left_alone_and_named() {
        let found = absorbed(
            "g (float[8,1,2,2] x) => (float[8,1,2,2] y)
            <float[2,1,1,1] a = {0, 1}, float[2] b = {10, 0}, float[2,1,1,1] c = {1, 2}, float[2] d = {10, 5},
             float[1,2,3,3] e = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9}, float[1,1,1,1] f = {2},
             float[1,1,1,1] h = {2}>
            {
                p = Conv(x, a, b)
                r = Relu(p)
                q = Conv<pads = [1, 1, 1, 1]>(r, e)
                s = Relu(q)
                t = Conv(s, f)
                u = Relu(t)
                v = LeakyRelu(u)
                w = Conv(v, h)
                y = Relu(w)
            }",
        );
        assert_snapshot!(found.report, @r"
        q -> t
        t: LeakyRelu is behind it
        w: it is an output of the model
        p: the next Conv reads zeros around its input
        ");
    }

    #[test]
    fn what_can_take_no_bias_is_named() {
        let found = absorbed(
            "g (float[8,2] x) => (float[8,2] y)
            <float[2,2] a = {0, 1, 0, 1}, float[2] b = {10, 0}, float[2,2] c = {2, 3, 4, 5},
             float[2,2] d = {1, 2, 3, 4}, float low = {-1}, float[2] e = {1, 1}, float[2,2] f = {1, 2, 3, 4},
             float[2] h = {3, 3}, float[2,2] i = {1, 2, 3, 4}>
            {
                p = Gemm(x, a, b)
                q = Relu(p)
                r = MatMul(q, c)
                s = Relu(r)
                t = Gemm(s, d, b)
                u = Clip(t, low)
                v = Gemm(u, f, e)
                w = Relu(v)
                k = Add(w, h)
                y = Gemm(k, i)
            }",
        );
        assert_snapshot!(found.report, @r"
        t: Clip does not cut off at 0
        r: it has no bias
        v: something is added behind the Relu
        p: the next MatMul takes no bias
        ");
        assert!(!found.is_changed);
    }
}
