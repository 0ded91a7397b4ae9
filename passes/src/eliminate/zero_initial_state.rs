//! Initial states of zeros.
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

crate::pass! {
    /// Omits the initial state of an `LSTM`, `GRU` or `RNN` when it is all zeros.
    ///
    /// That is what an omitted one is taken for. The zeros of a state whose size depends on the
    /// batch come from a `ConstantOfShape`, which then goes with everything that computes the
    /// size.
    ///
    /// ```onnx
    /// g (float[3,N,4] x) => (float[3,1,N,2] y)
    /// <float[1,6,4] w, float[1,6,2] r, float[1,12] b, int64[1] one = {1}, int64[1] hidden = {2}>
    /// {
    ///     batch = Shape<start = 1, end = 2>(x)
    ///     size = Concat<axis = 0>(one, batch, hidden)
    ///     state = ConstantOfShape(size)
    ///     y = GRU<hidden_size = 2>(x, w, r, b, , state)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,N,4] x) => (float[3,1,N,2] y)
    /// <float[1,6,4] w, float[1,6,2] r, float[1,12] b>
    /// {
    ///     y = GRU<hidden_size = 2>(x, w, r, b)
    /// }
    /// ```
    pub struct EliminateZeroInitialState
    name: "eliminate-zero-initial-state",
    accuracy: Exact,
    emits: [],
}

/// Values between the zeros and the state, at most.
const MAX_STEPS: usize = 8;

impl Rule for EliminateZeroInitialState {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["LSTM", "GRU", "RNN"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let state = |slot: &usize| graph[root].input(*slot);
        let zero = |slot: &usize| state(slot).is_some_and(|id| is_zero(graph, id, MAX_STEPS));
        let slots: &[usize] = if graph[root].is("LSTM") { &[5, 6] } else { &[5] };
        let slots: Vec<usize> = slots.iter().copied().filter(zero).collect();
        if slots.is_empty() {
            return Err(Skip::NoMatch);
        }
        for slot in slots {
            patch.set_input(root, slot, None);
        }
        Ok(())
    }
}

/// Whether every element is known to be zero.
fn is_zero(graph: &Graph, id: ValueId, steps: usize) -> bool {
    if let Some(tensor) = graph.constant(id) {
        return tensor.bytes().is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0));
    }
    let Some(node) = graph.producer(id).map(|producer| &graph[producer]) else { return false };
    if steps == 0 || !node.is_standard() {
        return false;
    }
    match node.op_type.as_str() {
        "ConstantOfShape" => node.tensor("value").is_none_or(|value| {
            value.bytes().is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
        }),
        "Slice" | "Expand" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Identity" => {
            node.input(0).is_some_and(|input| is_zero(graph, input, steps - 1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateZeroInitialState;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_state_of_ones() {
        assert_snapshot!(rewrite(&EliminateZeroInitialState {}, "
            g (float[3,1,4] x) => (float[3,1,1,2] y)
            <float[1,6,4] w, float[1,6,2] r, float[1,12] b, float[1,1,2] state = {1, 1}>
            {
                y = GRU<hidden_size = 2>(x, w, r, b, , state)
            }
        "), @r"
        eliminate-zero-initial-state: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn omits_both_states_of_an_lstm() {
        assert_snapshot!(rewrite(&EliminateZeroInitialState {}, "
            g (float[3,1,4] x) => (float[3,1,1,2] y)
            <float[1,8,4] w, float[1,8,2] r, float[1,1,2] h = {0, 0}, float[1,1,2] c = {0, 0}>
            {
                y = LSTM<hidden_size = 2>(x, w, r, , , h, c)
            }
        "), @r"
        eliminate-zero-initial-state: 1 rewrites
        g (float[3,1,4] x) => (float[3,1,1,2] y)
        <float[1,8,4] w, float[1,8,2] r>
        {
            y = LSTM <hidden_size = 2> (x, w, r)
        }
        ");
    }
}
