//! `com.microsoft.MultiHeadAttention` with a bias of the scores as what it stands for.
use super::part;
use lapidary_ir::{Graph, NodeId, Operand, Patch, Tensor};

/// y = softmax(scale · q · kᵀ + attention bias) · v, head by head.
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let heads = node.int("num_heads").filter(|&heads| heads > 0)?;
    let plain = [3, 4, 6, 7].iter().all(|&slot| node.input(slot).is_none())
        && node.int("unidirectional").unwrap_or(0) == 0
        && node.outputs().len() == 1;
    let hidden = |slot| graph.ty(node.input(slot)?).shape.as_ref()?.get(2)?.value();
    let size = hidden(0)? / heads;
    if !plain {
        return None;
    }
    let scale = node.float("scale").filter(|&scale| scale != 0.0);
    let scale = scale.unwrap_or_else(|| (size as f32).sqrt().recip());

    let mut patch = Patch::default();
    let mut split = |slot: usize, size: i64, perm: [i64; 4]| {
        let shape = patch.initializer("shape", Tensor::vector(&[0, 0, heads, size]));
        let heads = part(graph, id, "Reshape", &format!("heads_{slot}"));
        let heads = patch.node(heads.input(node.input(slot)?).input(shape));
        let turned = part(graph, id, "Transpose", &format!("turned_{slot}"));
        Some(patch.node(turned.input(heads).attribute("perm", perm.to_vec())))
    };
    let q: Operand = split(0, size, [0, 2, 1, 3])?;
    let k = split(1, size, [0, 2, 3, 1])?;
    let v = split(2, hidden(2)? / heads, [0, 2, 1, 3])?;
    let scores = patch.node(part(graph, id, "MatMul", "product").input(q).input(k));
    let scale = patch.initializer("scale", Tensor::scalar(scale));
    let mut scores = patch.node(part(graph, id, "Mul", "scaled").input(scores).input(scale));
    if let Some(bias) = node.input(5) {
        scores = patch.node(part(graph, id, "Add", "biased").input(scores).input(bias));
    }
    let softmax = part(graph, id, "Softmax", "weights").input(scores).attribute("axis", 3);
    let softmax = patch.node(softmax);
    let y = patch.node(part(graph, id, "MatMul", "heads").input(softmax).input(v));
    let y = part(graph, id, "Transpose", "turned").input(y).attribute("perm", vec![0, 2, 1, 3]);
    let y = patch.node(y);
    let shape = patch.initializer("shape", Tensor::vector(&[0i64, 0, hidden(2)?]));
    let y = patch.node(part(graph, id, "Reshape", "joined").input(y).input(shape));
    patch.replace(node.output(0)?, y);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn adds_the_bias_to_the_scores() {
        let interface = "
            g (float[2,3,8] q, float[2,5,8] k, float[2,5,8] v, float[1,1,3,5] m) => (float[2,3,8] y)
            <float scale = {0.25}, int64[4] heads = {0, 0, 2, 4}, int64[3] joined = {0, 0, 8}>
        ";
        assert_same(
            interface,
            "y = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 0.25> (q, k, v, , , m)",
            "q1 = Reshape(q, heads) k1 = Reshape(k, heads) v1 = Reshape(v, heads)
             q2 = Transpose <perm = [0, 2, 1, 3]> (q1) k2 = Transpose <perm = [0, 2, 3, 1]> (k1)
             v2 = Transpose <perm = [0, 2, 1, 3]> (v1)
             p = MatMul(q2, k2) s = Mul(p, scale) b = Add(s, m) e = Softmax(b) o = MatMul(e, v2)
             t = Transpose <perm = [0, 2, 1, 3]> (o) y = Reshape(t, joined)",
        );
    }
}
