//! `Loop` with a constant trip count.
use super::{splice, stand_in};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{AttributeValue, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};

crate::pass! {
    /// Unrolls a `Loop` that runs a small constant number of times.
    ///
    /// The trip count is constant and the condition stays true, or the loop never runs. The
    /// nodes of the body are repeated while they are not many; a value that is collected over
    /// the iterations is stacked by `Unsqueeze` and `Concat`.
    ///
    /// ```onnx
    /// g (float[3] x) => (float[3] y)
    /// <int64 count = {2}, bool always = {1}>
    /// {
    ///     a = Loop(count, always, x) <
    ///         body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next) {
    ///             d = Identity(c)
    ///             next = Neg(state)
    ///         }
    ///     >
    ///     y = Relu(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3] x) => (float[3] y)
    /// {
    ///     next_1 = Neg(x)
    ///     a = Neg(next_1)
    ///     y = Relu(a)
    /// }
    /// ```
    pub struct EliminateConstantLoop
    name: "eliminate-constant-loop",
    accuracy: Exact,
    emits: ["Unsqueeze", "Concat", "Identity"],
}

/// Nodes an unrolled loop may have, unless it runs once.
const MAX_NODES: usize = 64;

impl Rule for EliminateConstantLoop {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Loop"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let Some(AttributeValue::Graph(body)) = node.attribute("body") else {
            return Err(Skip::NoMatch);
        };
        let count = trip_count(graph, root, body).or_no_match()?;
        let initial = node.inputs().get(2..).unwrap_or_default().iter();
        let initial = initial.map(|input| input.map(Operand::Value)).collect::<Option<Vec<_>>>();
        let mut state = initial.or_skip("an initial value is omitted")?;
        let carried = state.len();
        let collects = node.outputs().iter().skip(carried).any(Option::is_some);
        let per_iteration = body.total_node_count() + usize::from(collects);
        require(
            count <= 1 || per_iteration.saturating_mul(count) <= MAX_NODES,
            "the unrolled loop would be long",
        )?;
        require(count > 0 || !collects, "a loop that never runs collects values")?;

        let splice = splice(graph, root, body, patch)?;
        let always = patch.initializer("condition", Tensor::scalar(true));
        let mut collected: Vec<Vec<Operand>> = Vec::new();
        for iteration in 0..count {
            let iteration = patch.initializer("iteration", Tensor::scalar(iteration as i64));
            let inputs: Vec<Operand> = [iteration, always].into_iter().chain(state).collect();
            let mut made = splice.copy(patch, &inputs).or_no_match()?;
            (made.len() > carried).then_some(()).or_no_match()?;
            collected.push(made.split_off(carried + 1));
            state = made.split_off(1);
        }
        let outputs = node.outputs().iter().enumerate();
        let outputs: Vec<(ValueId, Operand)> = outputs
            .filter_map(|(slot, &output)| Some((slot, output?)))
            .map(|(slot, output)| match slot.checked_sub(carried) {
                None => (output, state[slot]),
                Some(index) => (output, stack(graph, patch, &collected, index)),
            })
            .collect();
        stand_in(graph, patch, outputs)
    }
}

/// How often the loop runs, if that is known.
fn trip_count(graph: &Graph, root: NodeId, body: &Graph) -> Option<usize> {
    let node = &graph[root];
    let condition = match node.input(1) {
        None => true,
        Some(_) => graph.constant_input(root, 1)?.as_bool()?,
    };
    if !condition {
        return Some(0);
    }
    let count = graph.constant_input(root, 0)?.as_i64()?;
    if count > 0 && !stays_true(body) {
        return None;
    }
    usize::try_from(count.max(0)).ok()
}

/// Whether the condition the body computes is true if the one it is given is.
fn stays_true(body: &Graph) -> bool {
    let (Some(&given), Some(&computed)) = (body.inputs().get(1), body.outputs().first()) else {
        return false;
    };
    let mut at = computed;
    loop {
        if at == given {
            return true;
        }
        if let Some(tensor) = body.constant(at) {
            return tensor.as_bool() == Some(true);
        }
        let Some(producer) = body.producer(at) else { return false };
        let producer = &body[producer];
        if producer.is("Constant") {
            return producer.tensor("value").and_then(|value| value.as_bool()) == Some(true);
        }
        let passes = producer.is("Identity") || producer.is("Cast");
        match producer.input(0).filter(|_| passes) {
            Some(input) => at = input,
            None => return false,
        }
    }
}

/// The values of all iterations, stacked along a new first axis.
fn stack(graph: &Graph, patch: &mut Patch, collected: &[Vec<Operand>], index: usize) -> Operand {
    let axes = (graph.opset() >= 13).then(|| patch.initializer("axes", Tensor::vector(&[0_i64])));
    let slices: Vec<Operand> = collected
        .iter()
        .map(|values| {
            let slice = NewNode::new("Unsqueeze").input(values[index]);
            patch.node(match axes {
                Some(axes) => slice.input(axes),
                None => slice.attribute("axes", vec![0_i64]),
            })
        })
        .collect();
    let [only] = slices[..] else {
        let all = NewNode::new("Concat").attribute("axis", 0_i64);
        return patch.node(slices.into_iter().fold(all, NewNode::input));
    };
    only
}

#[cfg(test)]
mod tests {
    use super::EliminateConstantLoop;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn stacks_what_is_collected() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConstantLoop {}, "
            g (float[3] x) => (float[3] y, float[2,3] z)
            <int64 count = {2}>
            {
                y, z = Loop(count, , x) <
                    body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next, float[3] seen)
                        <float[3] w = {1, 2, 3}> {
                        d = Constant<value = bool[1] {1}>()
                        next = Add(state, w)
                        f = Cast<to = 1>(i)
                        seen = Mul(next, f)
                    }
                >
            }
        "), @r"
        eliminate-constant-loop: 1 rewrites
        g (float[3] x) => (float[3] y, float[2,3] z)
        <float[3] w_1 = {1, 2, 3}, int64 iteration = {0}, int64 iteration_1 = {1}, int64[1] axes = {0}>
        {
            next_1 = Add(x, w_1)
            f_1 = Cast <to = 1> (iteration)
            seen_1 = Mul(next_1, f_1)
            y = Add(next_1, w_1)
            f_2 = Cast <to = 1> (iteration_1)
            seen_2 = Mul(y, f_2)
            z_unsqueeze = Unsqueeze(seen_1, axes)
            z_unsqueeze_1 = Unsqueeze(seen_2, axes)
            z = Concat <axis = 0> (z_unsqueeze, z_unsqueeze_1)
        }
        ");
    }

    #[test]
    fn a_loop_that_never_runs_gives_its_initial_values() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConstantLoop {}, "
            g (float[3] x, int64 count) => (float[3] y)
            <bool never = {0}>
            {
                a = Loop(count, never, x) <
                    body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next) {
                        d = Identity(c)
                        next = Neg(state)
                    }
                >
                y = Relu(a)
            }
        "), @r"
        eliminate-constant-loop: 1 rewrites
        g (float[3] x, int64 count) => (float[3] y)
        {
            y = Relu(x)
        }
        ");
    }

    fn keeps(count: i64, condition: &str, output: &str) -> String {
        rewrite_unexecuted(&EliminateConstantLoop {}, &format!("
            g (float[3] x, bool go) => (float[3] y)
            <int64 count = {{{count}}}, bool never = {{0}}>
            {{
                a, s = Loop(count, {condition}, x) <
                    body = b (int64 i, bool c, float[3] state) => (bool d, float[3] next, float[3] seen) {{
                        k = Not(c)
                        d = {output}
                        next = Neg(state)
                        seen = Abs(state)
                    }}
                >
                y = Sum(a, s)
            }}
        "))
    }

    #[test]
    fn keeps_one_whose_end_is_not_known() {
        let unknown = "eliminate-constant-loop: 0 rewrites (no match)\nunchanged";
        assert_eq!(keeps(2, "go", "Identity(c)"), unknown);
        assert_eq!(keeps(2, "", "Identity(k)"), unknown);
    }

    #[test]
    fn keeps_one_without_an_initial_value() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConstantLoop {}, "
            g (float[3] x) => (float[3] y)
            <int64 count = {2}>
            {
                o, y = Loop(count, , , x) <
                    body = b (int64 i, bool c, optional(float[3]) none, float[3] state) => (bool d, optional(float[3]) o2, float[3] next) {
                        d = Identity(c)
                        o2 = Identity(none)
                        next = Neg(state)
                    }
                >
            }
        "), @r"
        eliminate-constant-loop: 0 rewrites
        skipped 1: an initial value is omitted
        unchanged
        ");
    }

    #[test]
    fn keeps_a_long_one() {
        assert_snapshot!(keeps(20, "", "Identity(c)"), @r"
        eliminate-constant-loop: 0 rewrites
        skipped 1: the unrolled loop would be long
        unchanged
        ");
    }

    #[test]
    fn keeps_one_that_never_runs_and_collects() {
        assert_snapshot!(keeps(20, "never", "Identity(c)"), @r"
        eliminate-constant-loop: 0 rewrites
        skipped 1: a loop that never runs collects values
        unchanged
        ");
    }
}
