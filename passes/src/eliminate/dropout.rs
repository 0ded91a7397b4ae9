//! `Dropout` at inference.
use super::pass_through;
use crate::{PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes `Dropout` that drops nothing.
    ///
    /// At inference it hands its input on; so it does in training mode with ratio 0.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Dropout(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateDropout
    name: "eliminate-dropout",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateDropout {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Dropout"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        require(drops_nothing(graph, root), "Dropout is in training mode")?;
        let mask = graph[root].output(1);
        require(mask.is_none_or(|mask| graph.value(mask).is_unused()), "the mask is read")?;
        pass_through(graph, root, patch)
    }
}

fn drops_nothing(graph: &Graph, root: NodeId) -> bool {
    let node = &graph[root];
    match graph.opset() {
        // `is_test` is 0 unless given.
        ..=6 => {
            node.int("is_test").is_some_and(|test| test != 0) || node.float("ratio") == Some(0.0)
        }
        7..=11 => true,
        _ => {
            let zero_ratio =
                || graph.constant_input(root, 1).is_some_and(|ratio| ratio.as_f32() == Some(0.0));
            node.input(2).is_none()
                || graph.constant_input(root, 2).is_some_and(|mode| mode.as_i64() == Some(0))
                || zero_ratio()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateDropout;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_dropout_in_training_mode() {
        assert_snapshot!(rewrite_unexecuted(&EliminateDropout {}, "
            g (float[3] x) => (float[3] y)
            <float ratio = {0.5}, bool mode = {1}>
            {
                a = Relu(x)
                y = Dropout(a, ratio, mode)
            }
        "), @r"
        eliminate-dropout: 0 rewrites
        skipped 1: Dropout is in training mode
        unchanged
        ");
    }

    #[test]
    fn removes_dropout_of_ratio_0_in_training_mode() {
        assert_snapshot!(rewrite_unexecuted(&EliminateDropout {}, "
            g (float[3] x) => (float[3] y)
            <float ratio = {0}, bool mode = {1}>
            {
                a = Relu(x)
                y = Dropout(a, ratio, mode)
            }
        "), @r"
        eliminate-dropout: 1 rewrites
        g (float[3] x) => (float[3] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_dropout_whose_mask_is_read() {
        assert_snapshot!(rewrite_unexecuted(&EliminateDropout {}, "
            g (float[3] x) => (float[3] y, bool[3] mask)
            {
                a = Relu(x)
                y, mask = Dropout(a)
            }
        "), @r"
        eliminate-dropout: 0 rewrites
        skipped 1: the mask is read
        unchanged
        ");
    }
}
