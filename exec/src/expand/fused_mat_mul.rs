//! `com.microsoft.FusedMatMul` as `Transpose`, `MatMul` and `Mul`.
use super::part;
use lapidary_ir::{Graph, NodeId, Operand, Patch, Tensor};

/// y = alpha · a' · b'
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let flag = |name| node.int(name).unwrap_or(0) != 0;
    if flag("transBatchA") || flag("transBatchB") {
        return None;
    }
    let mut patch = Patch::default();
    let a = operand(graph, id, 0, flag("transA"), &mut patch)?;
    let b = operand(graph, id, 1, flag("transB"), &mut patch)?;
    let mut y = patch.node(part(graph, id, "MatMul", "product").input(a).input(b));
    let alpha = node.float("alpha").unwrap_or(1.0);
    if alpha != 1.0 {
        let alpha = patch.initializer("alpha", Tensor::scalar(alpha));
        y = patch.node(part(graph, id, "Mul", "scaled").input(y).input(alpha));
    }
    patch.replace(node.output(0)?, y);
    Some(patch)
}

/// The input, with the last two dimensions swapped if there are two.
fn operand(
    graph: &Graph,
    id: NodeId,
    slot: usize,
    swap: bool,
    patch: &mut Patch,
) -> Option<Operand> {
    let input = graph[id].input(slot)?;
    if !swap {
        return Some(input.into());
    }
    let rank = i64::try_from(graph.ty(input).rank()?).ok()?;
    if rank < 2 {
        return Some(input.into());
    }
    let perm: Vec<i64> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    let swapped = part(graph, id, "Transpose", &format!("swapped_{slot}")).input(input);
    Some(patch.node(swapped.attribute("perm", perm)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn transposes_and_scales() {
        let interface = "
            g (float[2,4,3] a, float[2,5,4] b) => (float[2,3,5] y) <float alpha = {0.25}>
        ";
        assert_same(
            interface,
            "y = com.microsoft.FusedMatMul <transA = 1, transB = 1, alpha = 0.25> (a, b)",
            "p = Transpose <perm = [0, 2, 1]> (a) q = Transpose <perm = [0, 2, 1]> (b)
             r = MatMul(p, q) y = Mul(r, alpha)",
        );
    }
}
