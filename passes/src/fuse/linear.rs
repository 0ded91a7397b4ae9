//! `Conv`, `ConvTranspose`, `Gemm` and `MatMul` with constant weights, seen by output channel.
use super::affine::Affine;
use super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Constant, Graph, NewNode, NodeId, Operand, Patch, Tensor};

/// Bytes of a weight other nodes read too that may be copied to fold something into one use.
const MAX_COPY: u64 = 64 << 10;

/// A linear operator with constant weights and a constant bias, or none.
pub(super) struct Linear {
    node: NodeId,
    weight: Constant,
    bias: Option<Constant>,
    /// Output channels.
    pub(super) channels: usize,
    /// Of the output.
    rank: usize,
    layout: Layout,
}

/// Where the output channel of a weight's element is found.
enum Layout {
    /// Along one axis.
    Axis(usize),
    /// `ConvTranspose`: groups of input channels along axis 0, the channels of a group along 1.
    Grouped { groups: usize },
}

impl Linear {
    /// The operator at `id`. Its weight and bias are known to be constant.
    pub(super) fn of(graph: &Graph, id: NodeId) -> Result<Self, Skip> {
        let node = &graph[id];
        let constant = |slot| {
            let id = node.input(slot)?;
            Some(Constant { id, tensor: graph.constant(id)?.clone() })
        };
        let weight = constant(1).or_no_match()?;
        let (groups, layout) = match node.op_type.as_str() {
            "Conv" => (1, Layout::Axis(0)),
            "ConvTranspose" => {
                let groups = usize::try_from(node.int("group").unwrap_or(1));
                let groups = groups.ok().filter(|&groups| groups > 0).or_no_match()?;
                (groups, Layout::Grouped { groups })
            }
            "Gemm" if node.int("transB").unwrap_or(0) != 0 => (1, Layout::Axis(0)),
            "Gemm" => (1, Layout::Axis(1)),
            "MatMul" => {
                let rank = node.input(0).and_then(|x| graph.ty(x).rank());
                let matrices = rank == Some(2) && weight.tensor.rank() == 2;
                require(matrices, "MatMul is not known to multiply matrices")?;
                (1, Layout::Axis(1))
            }
            _ => return Err(Skip::NoMatch),
        };
        if matches!(node.op_type.as_str(), "Gemm" | "MatMul") {
            require(graph.opset() >= 7, "Gemm broadcasts its bias from opset 7 on")?;
        }
        let axis = match layout {
            Layout::Axis(axis) => axis,
            Layout::Grouped { .. } => 1,
        };
        let extent = weight.tensor.dims().get(axis).or_no_match()?;
        let channels = usize::try_from(*extent).ok().or_no_match()? * groups;
        let rank = weight.tensor.rank();
        Ok(Self { node: id, bias: constant(2), rank, weight, channels, layout })
    }

    /// One value per output channel from a constant that `Add` or `Mul` broadcasts to the output.
    pub(super) fn per_channel(&self, graph: &Graph, constant: &Tensor) -> Result<Vec<f64>, Skip> {
        require(graph.opset() >= 7, "operands broadcast in another way before opset 7")?;
        weights::per_channel(constant, self.rank, 1, self.channels)
            .or_skip("constant is not one value per output channel")
    }

    /// Lets the operator compute what `reader`, the only one to read it, makes of its output.
    ///
    /// (x ∗ w + b) · s + t = x ∗ (w · s) + (b · s + t)
    pub(super) fn fold(
        &self,
        graph: &Graph,
        reader: NodeId,
        affine: &Affine,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        let y = graph[reader].output(0).or_no_match()?;
        require(affine.is_finite(), "scale or shift is not finite")?;
        let mut node = NewNode::like(graph, self.node);

        if !affine.is_shift() {
            let channel = self.channel_of();
            let factor = |index| affine.scale[channel(index)];
            let weight = weights::scale(&self.weight.tensor, factor)?;
            let weight = update(graph, patch, &self.weight, weight)?;
            node = node.with_input(1, weight);
        }
        if self.bias.is_some() || !affine.is_scale() {
            let elem_type = self.weight.tensor.elem_type();
            let before = self.bias_per_channel(graph)?;
            let pairs = affine.scale.iter().zip(&affine.shift);
            let bias: Vec<f64> = before.iter().zip(pairs).map(|(b, (s, t))| b * s + t).collect();
            let bias = weights::tensor(elem_type, &[bias.len() as i64], &bias)?;
            let bias = match &self.bias {
                Some(constant) => update(graph, patch, constant, bias)?,
                None => patch.initializer(format!("{}_bias", graph.value(y).name()), bias),
            };
            node = node.with_input(2, bias).without_attribute("beta");
            if graph[self.node].op_type == "MatMul" {
                node = node.op_type("Gemm");
            }
        }
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }

    /// From the index of an element of the weight to the output channel it contributes to.
    fn channel_of(&self) -> impl Fn(usize) -> usize {
        let dims = self.weight.tensor.dims();
        let axis = match self.layout {
            Layout::Axis(axis) => axis,
            Layout::Grouped { .. } => 1,
        };
        let stride = |axis: usize| dims[axis + 1..].iter().product::<i64>() as usize;
        let (inner, extent) = (stride(axis), dims[axis] as usize);
        // Elements of one group, all of them when there is one group only.
        let group = match self.layout {
            Layout::Axis(_) => usize::MAX,
            Layout::Grouped { groups } => (self.weight.tensor.len() / groups).max(1),
        };
        move |index| index / group * extent + index / inner % extent
    }

    /// What is added to each output channel: the bias, for `Gemm` times `beta`.
    fn bias_per_channel(&self, graph: &Graph) -> Result<Vec<f64>, Skip> {
        let Some(bias) = &self.bias else { return Ok(vec![0.0; self.channels]) };
        let rank = if self.rank == 2 { 2 } else { 1 };
        let values = weights::per_channel(&bias.tensor, rank, rank - 1, self.channels)
            .or_skip("bias is not one value per output channel")?;
        let beta = f64::from(graph[self.node].float("beta").unwrap_or(1.0));
        Ok(values.into_iter().map(|value| value * beta).collect())
    }
}

/// Gives `constant` new data: in place when one node alone reads it, else as a copy.
pub(super) fn update(
    graph: &Graph,
    patch: &mut Patch,
    constant: &Constant,
    tensor: Tensor,
) -> Result<Operand, Skip> {
    if graph.only_use(constant.id).is_some() {
        patch.set_tensor(constant.id, tensor);
        return Ok(constant.id.into());
    }
    require(tensor.byte_len() <= MAX_COPY, "weights are shared and too large to copy")?;
    Ok(patch.initializer(graph.value(constant.id).name(), tensor))
}

#[cfg(test)]
mod tests {
    use crate::fuse::{FuseConvAdd, FuseConvMul, FuseGemmAdd};
    use crate::fuse::{FuseGemmMul, FuseMatMulBatchNormalization};
    use crate::testing::{parse, rewrite};
    use crate::{Rule, Skip};
    use insta::assert_snapshot;
    use lapidary_ir::Patch;

    /// What a rule says to the second node of a model that no runtime has to accept.
    fn answer(rule: &dyn Rule, source: &str) -> String {
        let model = parse(source);
        let (root, _) = model.graph.nodes().nth(1).expect("there are two nodes");
        match rule.rewrite(&model.graph, root, &mut Patch::default()) {
            Err(Skip::Because(reason)) => reason.into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn keeps_a_division_by_zero() {
        let source = "
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float[4,1] k = {1, 2, 0, 4}>
            {
                c = Conv(x, w)
                y = Div(c, k)
            }
        ";
        assert_eq!(answer(&FuseConvMul {}, source), "scale or shift is not finite");
    }

    #[test]
    fn keeps_the_broadcasting_of_old_operators() {
        let source = r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float[4] k>
            {
                c = Conv(x, w)
                y = Add<axis = 1, broadcast = 1>(c, k)
            }
        "#;
        let reason = "operands broadcast in another way before opset 7";
        assert_eq!(answer(&FuseConvAdd {}, source), reason);
    }

    #[test]
    fn keeps_an_old_gemm() {
        let source = r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float[2,4] b, float[2,4] k>
            {
                c = Gemm(x, w, b)
                y = Add(c, k)
            }
        "#;
        let reason = "Gemm broadcasts its bias from opset 7 on";
        assert_eq!(answer(&FuseGemmAdd {}, source), reason);
    }

    #[test]
    fn keeps_a_product_of_unknown_rank() {
        let source = "
            g (float[] x) => (float[] y)
            <float[3,4] w, float[4] scale, float[4] shift, float[4] mean, float[4] var>
            {
                c = MatMul(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        let reason = "MatMul is not known to multiply matrices";
        assert_eq!(answer(&FuseMatMulBatchNormalization {}, source), reason);
    }

    #[test]
    fn keeps_a_bias_for_each_row() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float[2,4] b, float k>
            {
                c = Gemm(x, w, b)
                y = Add(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmAdd {}, source), @r"
        fuse-gemm-add: 0 rewrites
        skipped 1: bias is not one value per output channel
        unchanged
        ");
    }

    #[test]
    fn keeps_large_weights_that_another_node_reads() {
        let source = "
            g (float[1,128] x) => (float[1,256] y, float[1,256] other)
            <float[128,256] w, float k>
            {
                c = Gemm(x, w)
                y = Mul(c, k)
                other = MatMul(x, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmMul {}, source), @r"
        fuse-gemm-mul: 0 rewrites
        skipped 1: weights are shared and too large to copy
        unchanged
        ");
    }

    #[test]
    fn shares_the_weights_when_only_the_bias_changes() {
        let source = "
            g (float[1,128] x) => (float[1,256] y, float[1,256] other)
            <float[128,256] w, float k>
            {
                c = Gemm(x, w)
                y = Add(c, k)
                other = MatMul(x, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmAdd {}, source), @r"
        fuse-gemm-add: 1 rewrites
        g (float[1,128] x) => (float[1,256] y, float[1,256] other)
        <float[128,256] w, float[256] y_bias>
        {
            y = Gemm(x, w, y_bias)
            other = MatMul(x, w)
        }
        ");
    }
}
