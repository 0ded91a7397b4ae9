//! `Conv`, `ConvTranspose`, `Gemm` and `MatMul` with constant weights, seen by channel.
use super::affine::{self, Affine, Channels};
use super::wiring::Wiring;
use super::{padding, weights};
use crate::quantize::is_dequantized;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Constant, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};

/// Bytes of a weight other nodes read too that may be copied to fold something into one use.
const MAX_COPY: u64 = 64 << 10;

/// A linear operator with constant weights and a constant bias, or none.
#[derive(Debug)]
pub(super) struct Linear<'a> {
    graph: &'a Graph,
    node: NodeId,
    weight: Constant,
    bias: Option<Constant>,
    wiring: Wiring,
}

/// Folds what `root` does to each channel into the operator `op_type` that alone feeds it.
pub(super) fn fold_reader(
    graph: &Graph,
    root: NodeId,
    op_type: &str,
    patch: &mut Patch,
) -> Result<(), Skip> {
    let data = affine::data(graph, root)?;
    graph.only_use(data).or_no_match()?;
    let linear = Linear::of(graph, graph.producer(data).or_no_match()?, op_type)?;
    let affine = Affine::of(graph, root, linear.outputs())?;
    let y = graph[root].output(0).or_no_match()?;
    linear.fold_output(y, &affine, patch)
}

impl<'a> Linear<'a> {
    /// The operator at `id`, if it is an `op_type` whose weight and bias are constant.
    pub(super) fn of(graph: &'a Graph, id: NodeId, op_type: &str) -> Result<Self, Skip> {
        let node = &graph[id];
        if !node.is(op_type) {
            return Err(Skip::NoMatch);
        }
        let Some(weight) = constant(graph, id, 1) else {
            // Scales belong to the integers they were chosen for.
            let quantized = node.input(1).is_some_and(|weight| is_dequantized(graph, weight));
            require(!quantized, "the weights are quantized")?;
            return Err(Skip::NoMatch);
        };
        let bias = node.input(2).map(|_| constant(graph, id, 2).or_no_match()).transpose()?;
        if matches!(op_type, "Gemm" | "MatMul") {
            require(graph.opset() >= 7, "Gemm broadcasts its bias from opset 7 on")?;
        }
        let wiring = Wiring::of(node, weight.tensor.dims()).or_no_match()?;
        Ok(Self { graph, node: id, weight, bias, wiring })
    }

    /// The channels of the input.
    pub(super) fn inputs(&self) -> Channels {
        self.channels(self.graph[self.node].input(0), self.wiring.inputs())
    }

    /// The channels of the output.
    pub(super) fn outputs(&self) -> Channels {
        self.channels(self.graph[self.node].output(0), self.wiring.outputs())
    }

    /// The channels of `value`, the data that goes in or comes out.
    fn channels(&self, value: Option<ValueId>, count: usize) -> Channels {
        if self.graph[self.node].op_type != "MatMul" {
            return Channels { rank: self.weight.tensor.rank(), axis: 1, count };
        }
        // Rank 1 is the part of an unknown rank that is known.
        let rank = value.and_then(|value| self.graph.ty(value).rank()).unwrap_or(1);
        Channels { rank, axis: rank.saturating_sub(1), count }
    }

    /// Lets the operator make `y`, which is what the only node to read it makes of its output.
    ///
    /// (x ∗ w + b) · s + t = x ∗ (w · s) + (b · s + t)
    pub(super) fn fold_output(
        &self,
        y: ValueId,
        affine: &Affine,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        require(affine.is_finite(), "scale or shift is not finite")?;
        let weight = match affine.is_shift() {
            true => None,
            false => Some(self.scaled(|index| affine.scale[self.wiring.output(index)])?),
        };
        let bias = if self.bias.is_some() || !affine.is_scale() {
            let before = self.bias_per_channel()?;
            let pairs = affine.scale.iter().zip(&affine.shift);
            let bias: Vec<f64> = before.iter().zip(pairs).map(|(b, (s, t))| b * s + t).collect();
            require(!affine.cancels(), "the normalization cancels a far larger mean")?;
            Some(bias)
        } else {
            None
        };
        self.replace(y, NewNode::like(self.graph, self.node), weight, bias, patch)
    }

    /// Lets the operator read `x` and compute what is made of it before.
    ///
    /// (x · s + t) ∗ w + b = x ∗ (w · s) + (t ∗ w + b)
    pub(super) fn fold_input(
        &self,
        x: ValueId,
        affine: &Affine,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        let node = &self.graph[self.node];
        let y = node.output(0).or_no_match()?;
        require(node.int("transA").unwrap_or(0) == 0, "Gemm transposes its input")?;
        require(affine.is_finite(), "scale or shift is not finite")?;
        let weight = match affine.is_shift() {
            true => None,
            false => Some(self.scaled(|index| affine.scale[self.wiring.input(index)])?),
        };
        let bias = if affine.is_scale() { None } else { Some(self.shifted(affine)?) };
        let fused = NewNode::like(self.graph, self.node).with_input(0, x);
        self.replace(y, fused, weight, bias, patch)
    }

    /// The node.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// The dimensions of the weight.
    pub(super) fn weight_dims(&self) -> &[i64] {
        self.weight.tensor.dims()
    }

    /// The number of elements of the weight.
    pub(super) fn weight_len(&self) -> usize {
        self.weight.tensor.len()
    }

    /// Whether there is a bias.
    pub(super) fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// Whether no other node reads the weight.
    pub(super) fn has_own_weight(&self) -> bool {
        self.graph.only_use(self.weight.id).is_some()
    }

    /// The weight of an operator without groups: for each output channel, what it is multiplied by.
    pub(super) fn by_output(&self) -> Result<Vec<f64>, Skip> {
        let is_matrix = self.wiring.is_by_output() || self.weight.tensor.rank() == 2;
        require(self.wiring.is_in_one_group() && is_matrix, "weights are more than one matrix")?;
        let values =
            weights::values(&self.weight.tensor).or_skip("weights are not floating-point")?;
        let columns = self.wiring.outputs();
        Ok(if self.wiring.is_by_output() { values } else { transposed(&values, columns) })
    }

    /// A weight in the layout of this operator, for `outputs` channels, from what
    /// [`by_output`](Self::by_output) gives.
    pub(super) fn weight_by_output(&self, outputs: usize, values: &[f64]) -> Result<Tensor, Skip> {
        let mut dims = self.weight.tensor.dims().to_vec();
        let elem_type = self.weight.tensor.elem_type();
        if self.wiring.is_by_output() {
            dims[0] = outputs as i64;
            return weights::tensor(elem_type, &dims, values);
        }
        dims[1] = outputs as i64;
        weights::tensor(elem_type, &dims, &transposed(values, self.wiring.inputs()))
    }

    /// t ∗ w + b, per output channel.
    fn shifted(&self, affine: &Affine) -> Result<Vec<f64>, Skip> {
        let node = &self.graph[self.node];
        require(!node.is("ConvTranspose"), "ConvTranspose spreads the shift unevenly")?;
        if node.is("Conv") {
            let pads = padding::pads(node, self.weight.tensor.rank() - 2)?;
            require(pads.iter().all(|&pad| pad == 0), "padding lies behind the shift")?;
        }
        let alpha = f64::from(node.float("alpha").unwrap_or(1.0));
        let weights =
            weights::values(&self.weight.tensor).or_skip("weights are not floating-point")?;
        let mut bias = self.bias_per_channel()?;
        for (index, weight) in weights.iter().enumerate() {
            let shift = affine.shift[self.wiring.input(index)];
            bias[self.wiring.output(index)] += alpha * weight * shift;
        }
        Ok(bias)
    }

    fn scaled(&self, factor: impl Fn(usize) -> f64) -> Result<Tensor, Skip> {
        weights::scale(&self.weight.tensor, factor)
    }

    /// Replaces `y` by `node`, a copy of the operator, with the weight and the bias that changed.
    pub(super) fn replace(
        &self,
        y: ValueId,
        mut node: NewNode,
        weight: Option<Tensor>,
        bias: Option<Vec<f64>>,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        if let Some(weight) = weight {
            node = node.with_input(1, update(self.graph, patch, &self.weight, weight)?);
        }
        if let Some(bias) = bias {
            let elem_type = self.weight.tensor.elem_type();
            let bias = weights::tensor(elem_type, &[bias.len() as i64], &bias)?;
            let bias = match &self.bias {
                Some(constant) => update(self.graph, patch, constant, bias)?,
                None => patch.initializer(format!("{}_bias", self.graph.value(y).name()), bias),
            };
            node = node.with_input(2, bias).without_attribute("beta");
            if self.graph[self.node].is("MatMul") {
                require(self.multiplies_matrices(), "MatMul is not known to multiply matrices")?;
                node = node.op_type("Gemm");
            }
        }
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }

    fn multiplies_matrices(&self) -> bool {
        let x = self.graph[self.node].input(0);
        x.and_then(|x| self.graph.ty(x).rank()) == Some(2) && self.weight.tensor.rank() == 2
    }

    /// What is added to each output channel: the bias, for `Gemm` times `beta`.
    pub(super) fn bias_per_channel(&self) -> Result<Vec<f64>, Skip> {
        let count = self.wiring.outputs();
        let Some(bias) = &self.bias else { return Ok(vec![0.0; count]) };
        let node = &self.graph[self.node];
        let rank = if node.is("Gemm") { 2 } else { 1 };
        let values = weights::per_channel(&bias.tensor, rank, rank - 1, count)
            .or_skip("bias is not one value per output channel")?;
        let beta = f64::from(node.float("beta").unwrap_or(1.0));
        Ok(values.into_iter().map(|value| value * beta).collect())
    }
}

/// The transpose of a matrix with `columns` columns.
fn transposed(values: &[f64], columns: usize) -> Vec<f64> {
    let column = |column| values.iter().skip(column).step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}

/// Input `slot` of `node`, if it is constant.
pub(super) fn constant(graph: &Graph, node: NodeId, slot: usize) -> Option<Constant> {
    let id = graph[node].input(slot)?;
    Some(Constant { id, tensor: graph.constant(id)?.clone() })
}

/// Gives `constant` new data: in place when one node alone reads it, else as a copy. One that a
/// subgraph captures may have readers outside of it.
pub(super) fn update(
    graph: &Graph,
    patch: &mut Patch,
    constant: &Constant,
    tensor: Tensor,
) -> Result<Operand, Skip> {
    let is_own = graph.value(constant.id).initializer().is_some();
    if is_own && graph.only_use(constant.id).is_some() {
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
        let reason = "BatchNormalization normalizes another axis";
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
