//! `Softmax`.
use super::super::region::require_closed;
use super::reduction::Reduction;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `Softmax` of exponentials over their sum.
    ///
    /// With e = exp(x − max(x)): y = e / sum(e), maximum and sum along one axis. Without the maximum the
    /// exponentials may overflow, which the operator does not: such a quotient is kept.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <int64[1] axes = {-1}>
    /// {
    ///     largest = ReduceMax(x, axes)
    ///     difference = Sub(x, largest)
    ///     power = Exp(difference)
    ///     sum = ReduceSum(power, axes)
    ///     y = Div(power, sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = Softmax <axis = -1> (x)
    /// }
    /// ```
    pub struct FuseSoftmax
    name: "fuse-softmax",
    accuracy: Rounding,
    emits: ["Softmax"],
}

impl Rule for FuseSoftmax {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Div"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let (power, sum) = (graph[root].input(0), graph[root].input(1));
        let (power, sum) = (power.or_no_match()?, sum.or_no_match()?);
        let sum = Reduction::of(graph, sum, "ReduceSum").or_no_match()?;
        if sum.x != power {
            return Err(Skip::NoMatch);
        }
        let inputs = |value: ValueId, op_type| {
            let id = graph.producer(value).filter(|&id| graph[id].is(op_type)).or_no_match()?;
            Ok::<_, Skip>((graph[id].input(0).or_no_match()?, graph[id].input(1)))
        };
        let (difference, _) = inputs(power, "Exp")?;
        let (x, largest) = inputs(difference, "Sub")?;
        let largest = Reduction::of(graph, largest.or_no_match()?, "ReduceMax").or_no_match()?;
        if largest.x != x {
            return Err(Skip::NoMatch);
        }
        require(graph.opset() >= 13, "Softmax flattens dimensions before opset 13")?;
        let axis = sum.axis().or_skip("the sum is over several axes")?;
        require(largest.axes == sum.axes, "maximum and sum are along different axes")?;
        require_closed(graph, root, &[x])?;

        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("Softmax").named(graph[root].name.clone()).input(x);
        let node = patch.node(node.attribute("axis", axis));
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    /// The report for these axes of maximum and sum, and these outputs.
    fn report(opset: i64, largest: &str, sum: &str, outputs: &str) -> String {
        let (sum, constant) = if opset < 13 {
            (format!("ReduceSum<axes = [{sum}]>(e)"), String::new())
        } else {
            let count = sum.split(',').count();
            ("ReduceSum(e, axes)".to_owned(), format!("<int64[{count}] axes = {{{sum}}}>"))
        };
        let source = format!(
            "<ir_version: 6, opset_import: [\"\" : {opset}]>
             g (float[2,3,4] x) => ({outputs}) {constant} {{
                m = ReduceMax<axes = [{largest}]>(x) d = Sub(x, m) e = Exp(d) s = {sum} y = Div(e, s)
             }}"
        );
        rewrite(&FuseSoftmax {}, &source)
    }

    #[test]
    fn keeps_what_older_operator_sets_compute_otherwise() {
        assert_snapshot!(report(12, "1", "1", "float[2,3,4] y"), @r"
        fuse-softmax: 0 rewrites
        skipped 1: Softmax flattens dimensions before opset 13
        unchanged
        ");
    }

    #[test]
    fn keeps_other_axes() {
        assert_snapshot!(report(13, "1", "2", "float[2,3,4] y"), @r"
        fuse-softmax: 0 rewrites
        skipped 1: maximum and sum are along different axes
        unchanged
        ");
        assert_snapshot!(report(13, "1, 2", "1, 2", "float[2,3,4] y"), @r"
        fuse-softmax: 0 rewrites
        skipped 1: the sum is over several axes
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        assert_snapshot!(report(13, "1", "1", "float[2,3,4] y, float[2,3,4] e"), @r"
        fuse-softmax: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn keeps_a_quotient_that_may_overflow() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            <int64[1] axes = {-1}>
            {
                power = Exp(x)
                sum = ReduceSum(power, axes)
                y = Div(power, sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseSoftmax {}, source), @r"
        fuse-softmax: 0 rewrites (no match)
        unchanged
        ");
    }
}
