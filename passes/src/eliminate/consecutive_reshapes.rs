//! Changes of shape of changes of shape.
use super::{elements, integers};
use crate::slices::position;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, Node, NodeId, Patch, Tensor};

crate::pass! {
    /// Merges two of `Reshape`, `Flatten`, `Squeeze` and `Unsqueeze` in a row.
    ///
    /// Only the last shape counts. It is written down as a `Reshape` with at most one open
    /// dimension, or as the axes of both; a pair that ends at the shape it began with goes altogether.
    ///
    /// ```onnx
    /// g (float[N,2,3,4] x) => (float[N,6,4] y)
    /// <int64[3] first = {-1, 2, 12}, int64[3] last = {-1, 6, 4}>
    /// {
    ///     a = Reshape(x, first)
    ///     y = Reshape(a, last)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,2,3,4] x) => (float[N,6,4] y)
    /// <int64[3] last = {-1, 6, 4}>
    /// {
    ///     y = Reshape(x, last)
    /// }
    /// ```
    pub struct EliminateConsecutiveReshapes
    name: "eliminate-consecutive-reshapes",
    accuracy: Exact,
    emits: ["Reshape"],
}

impl Rule for EliminateConsecutiveReshapes {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape", "Flatten", "Squeeze", "Unsqueeze"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let middle = graph[root].input(0).or_no_match()?;
        let inner = graph.producer(middle).or_no_match()?;
        if !changes_shape(&graph[inner]) {
            return Err(Skip::NoMatch);
        }
        let x = graph[inner].input(0).or_no_match()?;
        let before = graph.value(x).shape();
        let after = graph.value(y).shape();
        if before.is_some() && before == after && graph.can_replace(y, x) {
            patch.replace(y, x);
            return Ok(());
        }
        if graph[root].is("Reshape") && !copies(graph, root) {
            patch.set_input(root, 0, Some(x.into()));
            return Ok(());
        }
        require(graph.opset() >= 5, "Reshape takes no shape input before opset 5")?;
        let shape = after.and_then(|after| shape_input(after, before.unwrap_or_default()));
        if let (None, Some(axes)) = (&shape, merged_axes(graph, inner, root)) {
            let node = NewNode::like(graph, root).with_input(0, x);
            let node = if graph.opset() < 13 {
                node.attribute("axes", axes)
            } else {
                let hint = format!("{}_axes", graph.value(y).name());
                node.with_input(1, patch.initializer(hint, Tensor::vector(&axes)))
            };
            let node = patch.node(node);
            patch.replace(y, node);
            return Ok(());
        }
        let shape = shape.or_skip("more than one dimension of the last shape is open")?;
        let hint = format!("{}_shape", graph.value(y).name());
        let shape = patch.initializer(hint, Tensor::vector(&shape));
        let reshape = NewNode::new("Reshape").named(graph[root].name.clone());
        let reshape = patch.node(reshape.input(x).input(shape));
        patch.replace(y, reshape);
        Ok(())
    }
}

/// The axes that two of `Squeeze` or two of `Unsqueeze` take away or add together.
fn merged_axes(graph: &Graph, first: NodeId, second: NodeId) -> Option<Vec<i64>> {
    let both = |op_type: &str| graph[first].is(op_type) && graph[second].is(op_type);
    let squeezes = both("Squeeze");
    if !squeezes && !both("Unsqueeze") {
        return None;
    }
    // Both sets of axes count in the widest shape when the one nearer to it is marked first.
    let (near, far) = if squeezes { (first, second) } else { (second, first) };
    let widest = if squeezes { graph[near].input(0)? } else { graph[near].output(0)? };
    let rank = graph.ty(widest).rank()?;
    let axes = integers(graph, near, 1, "axes")?;
    let mut marked = vec![false; rank];
    for &axis in &axes {
        *marked.get_mut(position(axis, rank)?)? = true;
    }
    let rest: Vec<usize> = (0..rank).filter(|&axis| !marked[axis]).collect();
    for axis in integers(graph, far, 1, "axes")? {
        marked[rest[position(axis, rest.len())?]] = true;
    }
    Some((0..rank).filter(|&axis| marked[axis]).map(|axis| axis as i64).collect())
}

fn changes_shape(node: &Node) -> bool {
    ["Reshape", "Flatten", "Squeeze", "Unsqueeze"].iter().any(|op_type| node.is(op_type))
}

/// Whether a `Reshape` may take over dimensions of its input.
fn copies(graph: &Graph, reshape: NodeId) -> bool {
    if graph[reshape].int("allowzero").unwrap_or(0) != 0 {
        return false;
    }
    let never_zero = |dim: &Dim| dim.value().is_some_and(|value| value != 0);
    !elements(graph, reshape, 1).is_some_and(|dims| dims.iter().all(never_zero))
}

/// `shape` for a `Reshape` of a value of shape `before`: 0 copies a dimension, −1 is open.
fn shape_input(shape: &[Dim], before: &[Dim]) -> Option<Vec<i64>> {
    let mut open = 0;
    let entry = |(axis, dim): (usize, &Dim)| match dim.value() {
        Some(value) => value,
        None if before.get(axis) == Some(dim) => 0,
        None => {
            open += 1;
            -1
        }
    };
    let entries: Vec<i64> = shape.iter().enumerate().map(entry).collect();
    let empty = shape.iter().any(|dim| *dim == 0);
    (open <= 1 && !empty).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::EliminateConsecutiveReshapes;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn merges_axes_where_two_dimensions_are_open() {
        assert_snapshot!(rewrite(&EliminateConsecutiveReshapes {}, "
            g (float[1,N,1,M] x, float[N,M] z) => (float[N,M] y, float[1,N,1,M] w)
            <int64[1] one = {1}, int64[1] zero = {0}>
            {
                a = Squeeze(x, zero)
                y = Squeeze(a, one)
                b = Unsqueeze(z, one)
                w = Unsqueeze(b, zero)
            }
        "), @r"
        eliminate-consecutive-reshapes: 2 rewrites
        g (float[1,N,1,M] x, float[N,M] z) => (float[N,M] y, float[1,N,1,M] w)
        <int64[2] y_axes = {0, 2}, int64[2] w_axes = {0, 2}>
        {
            y = Squeeze(x, y_axes)
            w = Unsqueeze(z, w_axes)
        }
        ");
    }

    #[test]
    fn removes_a_squeeze_of_an_unsqueeze() {
        assert_snapshot!(rewrite(&EliminateConsecutiveReshapes {}, "
            g (float[N,M] x) => (float[N,M] y)
            <int64[1] axes = {1}>
            {
                a = Relu(x)
                b = Unsqueeze(a, axes)
                y = Squeeze(b, axes)
            }
        "), @r"
        eliminate-consecutive-reshapes: 1 rewrites
        g (float[N,M] x) => (float[N,M] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn copies_a_symbolic_dimension() {
        assert_snapshot!(rewrite(&EliminateConsecutiveReshapes {}, "
            g (float[N,M,4] x) => (float[N,M,2,2,1] y)
            <int64[4] shape = {0, 0, 2, 2}, int64[1] axes = {4}>
            {
                a = Reshape(x, shape)
                y = Unsqueeze(a, axes)
            }
        "), @r"
        eliminate-consecutive-reshapes: 1 rewrites
        g (float[N,M,4] x) => (float[N,M,2,2,1] y)
        <int64[5] y_shape = {0, 0, 2, 2, 1}>
        {
            y = Reshape(x, y_shape)
        }
        ");
    }

    #[test]
    fn keeps_a_pair_with_two_open_dimensions() {
        assert_snapshot!(rewrite(&EliminateConsecutiveReshapes {}, "
            g (float[N,M,1] x) => (float[1,N,M] y)
            <int64[1] two = {2}, int64[1] zero = {0}>
            {
                a = Squeeze(x, two)
                y = Unsqueeze(a, zero)
            }
        "), @r"
        eliminate-consecutive-reshapes: 0 rewrites
        skipped 1: more than one dimension of the last shape is open
        unchanged
        ");
    }

    #[test]
    fn keeps_reshapes_of_opset_4() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConsecutiveReshapes {}, r#"
            <ir_version: 3, opset_import: ["" : 4]>
            g (float[2,6] x) => (float[12,1] y)
            {
                a = Reshape<shape = [3, 4]>(x)
                y = Flatten<axis = 2>(a)
            }
        "#), @r"
        eliminate-consecutive-reshapes: 0 rewrites
        skipped 1: Reshape takes no shape input before opset 5
        unchanged
        ");
    }
}
