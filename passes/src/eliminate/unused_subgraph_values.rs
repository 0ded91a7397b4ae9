//! Inputs and outputs of subgraphs that carry nothing.
use super::stand_in;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{AttributeValue, Graph, InputFate, NewNode, NodeId, Operand, Patch, ValueId};

crate::pass! {
    /// Removes what subgraphs of `If` and `Loop` hand on for nobody.
    ///
    /// Outputs nobody reads are not computed, and a value that a loop carries unchanged through
    /// its iterations is captured instead.
    ///
    /// ```onnx
    /// g (float[3] x, float[3] k, int64 count) => (float[3] y)
    /// {
    ///     y, same, seen = Loop(count, , x, k) <
    ///         body = b (int64 i, bool c, float[3] state, float[3] step)
    ///             => (bool d, float[3] next, float[3] kept, float[3] all) {
    ///             d = Identity(c)
    ///             next = Add(state, step)
    ///             kept = Identity(step)
    ///             all = Abs(next)
    ///         }
    ///     >
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3] x, float[3] k, int64 count) => (float[3] y)
    /// {
    ///     y = Loop(count, , x) <
    ///         body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next)
    ///         {
    ///             d = Identity(c)
    ///             next = Add(state, k)
    ///         }
    ///     >
    /// }
    /// ```
    pub struct EliminateUnusedSubgraphValues
    name: "eliminate-unused-subgraph-values",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateUnusedSubgraphValues {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["If", "Loop"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        if graph[root].is("If") { branches(graph, root, patch) } else { body(graph, root, patch) }
    }
}

/// Drops the outputs of an `If` that nobody reads from both branches.
fn branches(graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
    let node = &graph[root];
    let used: Vec<bool> =
        (0..node.outputs().len()).map(|slot| is_used(graph, root, slot)).collect();
    require_change(&used)?;
    let mut narrow = NewNode::like(graph, root);
    for name in ["then_branch", "else_branch"] {
        let branch = subgraph(graph, root, name)?;
        let branch = branch.narrowed(&[], &used).or_no_match()?;
        narrow = narrow.attribute(name, AttributeValue::Graph(Box::new(branch)));
    }
    let kept = (0..used.len()).filter(|&slot| used[slot]).filter_map(|slot| node.output(slot));
    replace(graph, patch, narrow, kept.collect(), Vec::new())
}

/// Drops what a `Loop` collects for nobody and carries for nothing.
fn body(graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
    let node = &graph[root];
    let body = subgraph(graph, root, "body")?;
    let carried = node.inputs().len().saturating_sub(2);
    let complete = node.inputs().iter().skip(2).all(Option::is_some)
        && body.inputs().len() == carried + 2
        && body.outputs().len() > carried;
    require(complete, "an initial value is omitted")?;

    let mut loop_node = NewNode::like(graph, root).truncate_inputs(2);
    let mut fates = vec![InputFate::Stays; carried + 2];
    // The condition comes first among the outputs of the body, but not of the loop.
    let mut outputs = vec![true; body.outputs().len()];
    let mut unchanged = Vec::new();
    let mut kept = Vec::new();
    let mut capture = node.captured().len() as u32;
    let mut slot = 2;
    for state in 0..carried {
        let initial = node.input(state + 2).or_no_match()?;
        let input = body.inputs()[state + 2];
        let output = node.output(state);
        if passes(body, input, body.outputs()[state + 1]) {
            outputs[state + 1] = false;
            fates[state + 2] = InputFate::Captured(capture);
            loop_node = loop_node.capturing(initial);
            capture += 1;
            unchanged.extend(output.map(|output| (output, Operand::Value(initial))));
        } else if !is_used(graph, root, state) && body.value(input).is_unused() {
            outputs[state + 1] = false;
            fates[state + 2] = InputFate::Dropped;
        } else {
            loop_node = loop_node.with_input(slot, initial);
            slot += 1;
            kept.push(output.or_skip("a carried value has no name outside")?);
        }
    }
    for collected in carried..body.outputs().len() - 1 {
        outputs[collected + 1] = is_used(graph, root, collected);
        kept.extend(node.output(collected).filter(|_| outputs[collected + 1]));
    }
    require_change(&outputs)?;
    let body = body.narrowed(&fates, &outputs).or_no_match()?;
    let loop_node = loop_node.attribute("body", AttributeValue::Graph(Box::new(body)));
    replace(graph, patch, loop_node, kept, unchanged)
}

fn subgraph<'a>(graph: &'a Graph, root: NodeId, name: &str) -> Result<&'a Graph, Skip> {
    match graph[root].attribute(name) {
        Some(AttributeValue::Graph(body)) => Ok(body),
        _ => Err(Skip::NoMatch),
    }
}

fn is_used(graph: &Graph, root: NodeId, slot: usize) -> bool {
    graph[root].output(slot).is_some_and(|output| !graph.value(output).is_unused())
}

/// No match when everything stays, or nothing would.
fn require_change(stays: &[bool]) -> Result<(), Skip> {
    let some = stays.contains(&true) && stays.contains(&false);
    some.then_some(()).or_no_match()
}

/// Whether the body hands `input` on as `output`, unchanged.
fn passes(body: &Graph, input: ValueId, output: ValueId) -> bool {
    if input == output {
        return true;
    }
    let Some(producer) = body.producer(output) else { return false };
    body[producer].is("Identity") && body[producer].input(0) == Some(input)
}

/// Puts the narrow node in the place of the old one.
fn replace(
    graph: &Graph,
    patch: &mut Patch,
    narrow: NewNode,
    kept: Vec<ValueId>,
    unchanged: Vec<(ValueId, Operand)>,
) -> Result<(), Skip> {
    let made = patch.node(narrow.outputs(kept.len()));
    let kept = kept.into_iter().enumerate().map(|(slot, id)| (id, patch.output(made, slot)));
    let values: Vec<(ValueId, Operand)> = kept.chain(unchanged).collect();
    stand_in(graph, patch, values)
}

#[cfg(test)]
mod tests {
    use super::EliminateUnusedSubgraphValues;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn drops_what_nobody_reads_from_both_branches() {
        assert_snapshot!(rewrite(&EliminateUnusedSubgraphValues {}, "
            g (float[3] x, bool c) => (float[3] y)
            {
                a, y = If(c) <
                    then_branch = t () => (float[3] p, float[3] q) { p = Neg(x) q = Exp(x) },
                    else_branch = e () => (float[3] r, float[3] s) { s = Abs(x) r = Sin(s) }
                >
            }
        "), @r"
        eliminate-unused-subgraph-values: 1 rewrites
        g (float[3] x, bool c) => (float[3] y)
        {
            y = If(c) <
                then_branch = t () => (float[3] q)
                {
                    q = Exp(x)
                },
                else_branch = e () => (float[3] s)
                {
                    s = Abs(x)
                }
            >
        }
        ");
    }

    #[test]
    fn gives_the_initial_value_for_one_that_stays_the_same() {
        assert_snapshot!(rewrite_unexecuted(&EliminateUnusedSubgraphValues {}, "
            g (float[3] x, float[3] k, int64 count) => (float[3] y, float[3] same)
            {
                y, same = Loop(count, , x, k) <
                    body = b (int64 i, bool c, float[3] state, float[3] step)
                        => (bool d, float[3] next, float[3] step) {
                        d = Identity(c)
                        next = Add(state, step)
                    }
                >
            }
        "), @r"
        eliminate-unused-subgraph-values: 1 rewrites
        g (float[3] x, float[3] k, int64 count) => (float[3] y, float[3] same)
        {
            y = Loop(count, , x) <
                body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next)
                {
                    d = Identity(c)
                    next = Add(state, k)
                }
            >
            same = Identity(k)
        }
        ");
    }

    #[test]
    fn keeps_a_body_that_does_not_fit() {
        assert_snapshot!(rewrite_unexecuted(&EliminateUnusedSubgraphValues {}, "
            g (float[3] x, int64 count) => (float[3] y)
            {
                y = Loop(count, , , x) <
                    body = b (int64 i, bool c, float[3] n, float[3] state) => (bool d, float[3] m, float[3] next) {
                        d = Identity(c)
                        m = Identity(n)
                        next = Neg(state)
                    }
                >
            }
        "), @r"
        eliminate-unused-subgraph-values: 0 rewrites
        skipped 1: an initial value is omitted
        unchanged
        ");
    }

    #[test]
    fn keeps_a_carried_value_without_a_name_outside() {
        assert_snapshot!(rewrite_unexecuted(&EliminateUnusedSubgraphValues {}, "
            g (float[3] x, int64 count) => (float[3] y)
            {
                , y = Loop(count, , x, x) <
                    body = b (int64 i, bool c, float[3] a, float[3] b2) => (bool d, float[3] m, float[3] next) {
                        d = Identity(c)
                        m = Neg(a)
                        next = Add(a, b2)
                    }
                >
            }
        "), @r"
        eliminate-unused-subgraph-values: 0 rewrites
        skipped 1: a carried value has no name outside
        unchanged
        ");
    }
}
