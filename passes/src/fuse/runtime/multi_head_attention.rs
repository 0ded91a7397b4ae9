//! Attention of several heads.
use super::super::attention_site::{AttentionSite, Heads};
use super::super::region::require_closed;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, ElemType, Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `com.microsoft.MultiHeadAttention` of the products that compute one.
    ///
    /// Head by head: softmax(scale · q · kᵀ + mask) · v. The mask is added, or hides scores by −∞.
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// g (float[N,3,8] q, float[N,5,8] k, float[N,5,8] v, float[1,1,3,5] mask) => (float[N,3,8] y)
    /// <int64[4] heads = {0, 0, 2, 4}, int64[3] joined = {0, 0, 8}, float two = {2}>
    /// {
    ///     q1 = Reshape(q, heads)
    ///     q2 = Transpose <perm = [0, 2, 1, 3]> (q1)
    ///     k1 = Reshape(k, heads)
    ///     k2 = Transpose <perm = [0, 2, 3, 1]> (k1)
    ///     v1 = Reshape(v, heads)
    ///     v2 = Transpose <perm = [0, 2, 1, 3]> (v1)
    ///     scores = MatMul(q2, k2)
    ///     scaled = Div(scores, two)
    ///     masked = Add(scaled, mask)
    ///     weights = Softmax(masked)
    ///     mixed = MatMul(weights, v2)
    ///     turned = Transpose <perm = [0, 2, 1, 3]> (mixed)
    ///     y = Reshape(turned, joined)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,3,8] q, float[N,5,8] k, float[N,5,8] v, float[1,1,3,5] mask) => (float[N,3,8] y)
    /// {
    ///     y = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 0.5> (q, k, v, , , mask)
    /// }
    /// ```
    pub struct FuseMultiHeadAttention
    name: "fuse-multi-head-attention",
    accuracy: Rounding,
    emits: ["com.microsoft.MultiHeadAttention", "Unsqueeze", "Where"],
}

impl Rule for FuseMultiHeadAttention {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = AttentionSite::find(graph, root)?;
        let mixed = graph[root].output(0).or_no_match()?;
        let float = graph.ty(mixed).elem_type == Some(ElemType::FLOAT);
        require(float, "the operator is for float only")?;
        let q = Heads::of(graph, site.q).or_skip("q is not split into heads")?;
        let k = Heads::swapped(graph, site.k).or_skip("k is not split into heads")?;
        let v = Heads::of(graph, site.v).or_skip("v is not split into heads")?;
        let same = q.heads == k.heads && k.heads == v.heads && q.size == k.size;
        require(same, "q, k and v have different heads")?;
        let batch = |value: ValueId| graph.ty(value).shape.as_deref().map(|shape| &shape[0]);
        let length = |value: ValueId| graph.ty(value).shape.as_deref().map(|shape| &shape[1]);
        let one =
            batch(q.x) == batch(k.x) && batch(k.x) == batch(v.x) && length(k.x) == length(v.x);
        require(one, "q, k and v are not known to be of the same batch and length")?;
        let join = join(graph, mixed).or_skip("heads are not joined")?;
        let leaves = [q.x, k.x, v.x, q.shape, k.shape, v.shape, join.shape];
        let mask = site.mask.map(|mask| mask.source());
        let leaves: Vec<ValueId> = leaves.into_iter().chain(mask).collect();
        require_closed(graph, join.node, &leaves)?;

        let mut node = NewNode::new("MultiHeadAttention")
            .domain("com.microsoft")
            .named(graph[root].name.clone())
            .input(q.x)
            .input(k.x)
            .input(v.x)
            .attribute("num_heads", q.heads)
            .attribute("scale", site.scale);
        if let Some(mask) = site.mask {
            let weights = graph[root].input(0).or_no_match()?;
            let mask = mask.summand(graph, graph.ty(weights), patch)?;
            node = node.with_input(5, mask);
        }
        let node = node.output_name(graph.value(mixed).name());
        let mut y = patch.node(node);
        if !join.is_plain(graph, q.x, v.heads * v.size) {
            let copies =
                |dim: &Dim| dim.value() != Some(-1) && dim.lower_bound().is_none_or(|low| low < 1);
            let elements = graph.ty(join.shape).elements.as_deref();
            let plain = elements.is_some_and(|elements| !elements.iter().any(copies));
            require(plain, "the shape of the joined heads may copy dimensions")?;
            y = patch.node(NewNode::like(graph, join.node).with_input(0, y));
        }
        patch.replace(join.y, y);
        Ok(())
    }
}

/// The `Transpose` and `Reshape` that join heads.
struct Join {
    node: NodeId,
    y: ValueId,
    shape: ValueId,
}

impl Join {
    /// Whether the result is `[batch, length, hidden]`.
    fn is_plain(&self, graph: &Graph, q: ValueId, hidden: i64) -> bool {
        let (y, q) = (graph.ty(self.y).shape.as_deref(), graph.ty(q).shape.as_deref());
        y.zip(q)
            .is_some_and(|(y, q)| y.len() == 3 && y[..2] == q[..2] && y[2].value() == Some(hidden))
    }
}

fn join(graph: &Graph, mixed: ValueId) -> Option<Join> {
    let turn = graph.only_use(mixed)?.node;
    let turned = graph[turn].output(0).filter(|_| graph[turn].is("Transpose"))?;
    let node = graph.only_use(turned)?.node;
    let joins = graph[node].is("Reshape") && graph[turn].ints("perm") == Some(&[0, 2, 1, 3]);
    let (y, shape) = (graph[node].output(0)?, graph[node].input(1)?);
    joins.then_some(Join { node, y, shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    const SPLIT: &str = "
        q1 = Reshape(q, heads) q2 = Transpose <perm = [0, 2, 1, 3]> (q1)
        k1 = Reshape(k, heads) k2 = Transpose <perm = [0, 2, 1, 3]> (k1)
        v1 = Reshape(v, heads) v2 = Transpose <perm = [0, 2, 1, 3]> (v1)
        k3 = Transpose <perm = [0, 1, 3, 2]> (k2)";
    const JOIN: &str = "t = Transpose <perm = [0, 2, 1, 3]> (o) y = Reshape(t, joined)";

    /// A model with this mask and these nodes between splitting and joining.
    fn source(mask: &str, nodes: &str, outputs: &str, joined: &str) -> String {
        let rank = joined.split(',').count();
        format!(
            "g (float[2,3,8] q, float[2,5,8] k, float[2,5,8] v, {mask} m) => ({outputs})
             <int64[4] heads = {{0, 0, 2, 4}}, int64[{rank}] joined = {{{joined}}}, float half = {{0.5}},
              float low = {{-3.4e38}}, float mild = {{-10000}}>
             {{ {SPLIT} {nodes} {JOIN} }}"
        )
    }

    #[test]
    fn hides_scores() {
        let nodes = "p = MatMul(q2, k3) s = Where(m, low, p) e = Softmax(s) o = MatMul(e, v2)";
        let source = source("bool[3,5]", nodes, "float[2,3,8] y", "2, 3, 8");
        assert_snapshot!(rewrite_unexecuted(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 1 rewrites
        g (float[2,3,8] q, float[2,5,8] k, float[2,5,8] v, bool[3,5] m) => (float[2,3,8] y)
        <float half = {0.5}, float mild = {-10000}, float hidden = {-inf}, float visible = {0},
            int64[2] axes = {0, 1}>
        {
            m_mask = Where(m, hidden, visible)
            m_mask_1 = Unsqueeze(m_mask, axes)
            y = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 1.0> (q, k, v, , , m_mask_1)
        }
        ");
    }

    #[test]
    fn gathers_factors_of_operands() {
        let nodes = "q3 = Mul(q2, half) k4 = Mul(k3, half) p = MatMul(q3, k4) e = Softmax(p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[6,8] y", "6, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 1 rewrites
        g (float[2,3,8] q, float[2,5,8] k, float[2,5,8] v, bool m) => (float[6,8] y)
        <int64[2] joined = {6, 8}, float low = {-3.4e38}, float mild = {-10000}>
        {
            o_1 = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 0.25> (q, k, v)
            y = Reshape(o_1, joined)
        }
        ");
    }

    #[test]
    fn keeps_a_mild_mask() {
        let nodes = "p = MatMul(q2, k3) s = Where(m, mild, p) e = Softmax(s) o = MatMul(e, v2)";
        let source = source("bool[3,5]", nodes, "float[2,3,8] y", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_mask_that_broadcasts_along_scores() {
        let nodes = "p = MatMul(q2, k3) s = Add(m, p) e = Softmax(s) o = MatMul(e, v2)";
        let source = source("float[2,1,1,5]", nodes, "float[2,3,8] y", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: the mask is not one number per score
        unchanged
        ");
    }

    #[test]
    fn keeps_weights_that_are_read() {
        let nodes = "p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[2,3,8] y, float[2,2,3,5] e", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn keeps_another_axis() {
        let nodes = "p = MatMul(q2, k3) e = Softmax <axis = 2> (p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[2,3,8] y", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: the softmax is not along the last axis
        unchanged
        ");
    }

    #[test]
    fn keeps_operands_that_are_not_split() {
        let nodes = "v3 = Neg(v2) p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v3)";
        let source = source("bool", nodes, "float[2,3,8] y", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: v is not split into heads
        unchanged
        ");
    }

    #[test]
    fn keeps_a_shape_that_copies_dimensions() {
        let nodes = "p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[2,24] y", "0, 24");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: the shape of the joined heads may copy dimensions
        unchanged
        ");
    }

    #[test]
    fn keeps_heads_that_are_not_joined() {
        let nodes = "p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[2,3,8] y, float[2,2,3,4] o", "2, 3, 8");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: heads are not joined
        unchanged
        ");
    }

    #[test]
    fn keeps_batches_that_broadcast() {
        let nodes = "p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v2)";
        let source = source("bool", nodes, "float[2,3,8] y", "2, 3, 8");
        let source = source.replace("float[2,3,8] q", "float[1,3,8] q");
        assert_snapshot!(rewrite(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: q, k and v are not known to be of the same batch and length
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let nodes = "p = MatMul(q2, k3) e = Softmax(p) o = MatMul(e, v2)";
        let source =
            source("bool", nodes, "float[2,3,8] y", "2, 3, 8").replace("float[", "double[");
        assert_snapshot!(rewrite_unexecuted(&FuseMultiHeadAttention {}, &source), @r"
        fuse-multi-head-attention: 0 rewrites
        skipped 1: the operator is for float only
        unchanged
        ");
    }
}
