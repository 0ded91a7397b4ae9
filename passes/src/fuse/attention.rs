//! `Attention` of ONNX's own domain.
use super::attention_site::{AttentionSite, transposed};
use super::region::require_closed;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Operand, Patch, ValueId};

crate::pass! {
    /// Makes an `Attention` of the products that compute one.
    ///
    /// softmax(scale · q · kᵀ + mask) · v, of `[batch, heads, length, size]`. The mask is added, or hides
    /// scores by −∞.
    ///
    /// Opt-in: ONNX Runtime computes short sequences faster as products.
    ///
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23]>
    /// g (float[2,2,3,4] q, float[2,2,5,4] k, float[2,2,5,4] v) => (float[2,2,3,4] y)
    /// <float two = {2}>
    /// {
    ///     turned = Transpose <perm = [0, 1, 3, 2]> (k)
    ///     scores = MatMul(q, turned)
    ///     scaled = Div(scores, two)
    ///     weights = Softmax(scaled)
    ///     y = MatMul(weights, v)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23]>
    /// g (float[2,2,3,4] q, float[2,2,5,4] k, float[2,2,5,4] v) => (float[2,2,3,4] y)
    /// {
    ///     y = Attention <scale = 0.5> (q, k, v)
    /// }
    /// ```
    pub struct FuseAttention
    name: "fuse-attention",
    accuracy: Rounding,
    emits: ["Attention", "Transpose", "Unsqueeze", "Where"],
}

impl Rule for FuseAttention {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = AttentionSite::find(graph, root)?;
        let (y, weights) = (graph[root].output(0), graph[root].input(0));
        let (y, weights) = (y.or_no_match()?, weights.or_no_match()?);
        let float = graph.ty(y).elem_type == Some(ElemType::FLOAT);
        require(float, "elements are not known to be float")?;
        let heads = |value: ValueId| graph.ty(value).shape.as_deref().map(|shape| &shape[..2]);
        let same = heads(site.q) == heads(site.k) && heads(site.k) == heads(site.v);
        require(same, "q, k and v are not known to be of the same batch and heads")?;
        let k = transposed(graph, site.k, &[0, 1, 3, 2]);
        let lying = || transposed(graph, site.k, &[0, 2, 3, 1]);
        let source = k.or_else(lying).or_skip("k is not transposed")?;
        let mask = site.mask.map(|mask| mask.source());
        let leaves: Vec<ValueId> = [site.q, source, site.v].into_iter().chain(mask).collect();
        require_closed(graph, root, &leaves)?;

        let k = match k {
            Some(k) => Operand::from(k),
            None => {
                let node = NewNode::new("Transpose").input(source);
                let node = node.output_name(graph.value(source).name());
                patch.node(node.attribute("perm", vec![0, 2, 1, 3]))
            }
        };
        let mut node = NewNode::new("Attention")
            .named(graph[root].name.clone())
            .input(site.q)
            .input(k)
            .input(site.v)
            .attribute("scale", site.scale);
        if let Some(mask) = site.mask {
            node = node.with_input(3, mask.summand(graph, graph.ty(weights), patch)?);
        }
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    fn report(k: &str, nodes: &str, outputs: &str) -> String {
        let source = format!(
            "<ir_version: 11, opset_import: [\"\" : 23]>
             g (float[2,2,3,4] q, {k} k, float[2,2,5,4] v, float[3,5] m) => (float[2,2,3,4] y{outputs})
             {{ {nodes} e = Softmax(s) y = MatMul(e, v) }}"
        );
        rewrite(&FuseAttention {}, &source)
    }

    #[test]
    fn turns_lying_heads_and_adds_a_mask() {
        let nodes = "t = Transpose <perm = [0, 2, 3, 1]> (k) p = MatMul(q, t) s = Add(p, m)";
        assert_snapshot!(report("float[2,5,2,4]", nodes, ""), @r"
        fuse-attention: 1 rewrites
        g (float[2,2,3,4] q, float[2,5,2,4] k, float[2,2,5,4] v, float[3,5] m) => (float[2,2,3,4] y)
        <int64[2] axes = {0, 1}>
        {
            k_1 = Transpose <perm = [0, 2, 1, 3]> (k)
            m_mask = Unsqueeze(m, axes)
            y = Attention <scale = 1.0> (q, k_1, v, m_mask)
        }
        ");
    }

    #[test]
    fn keeps_shared_heads() {
        let nodes = "t = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul(q, t)";
        assert_snapshot!(report("float[2,1,5,4]", nodes, ""), @r"
        fuse-attention: 0 rewrites
        skipped 1: q, k and v are not known to be of the same batch and heads
        unchanged
        ");
    }

    #[test]
    fn keeps_keys_that_are_not_transposed() {
        assert_snapshot!(report("float[2,2,4,5]", "s = MatMul(q, k)", ""), @r"
        fuse-attention: 0 rewrites
        skipped 1: k is not transposed
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let nodes = "t = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul(q, t)";
        assert_snapshot!(report("float[2,2,5,4]", nodes, ", float[2,2,3,5] s"), @r"
        fuse-attention: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
