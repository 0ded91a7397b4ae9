//! Weight-only quantization as a pass.
use super::emit::{emit, encode};
use super::site;
use super::{WeightFormat, WeightOptions};
use crate::convert::{ConvertError, ConvertOpset};
use crate::eliminate::EliminateDeadNodes;
use crate::quantize::outcome::Outcome;
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::{Graph, Model, Patch, Tensor};

pass! {
    /// Stores the weights of products, convolutions and lookups in few bits.
    ///
    /// They are restored when the model runs, by `DequantizeLinear` in blocks, by a product of ONNX
    /// Runtime's own, or from a codebook. The model is raised to the operator set that needs.
    pub struct QuantizeWeights {
        /// What the caller decides.
        pub options: WeightOptions,
    }
    name: "quantize-weights",
    accuracy: Lossy,
    emits: [
        "Add",
        "Cast",
        "DequantizeLinear",
        "Gather",
        "Mul",
        "Reshape",
        "com.microsoft.MatMulNBits",
    ],
}

/// Why weights can't be quantized.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The model can't be written in the operator set the weights need.
    #[error("weights of this form need opset {needed}")]
    Opset {
        /// The operator set.
        needed: i64,
        /// Why the model can't be raised to it.
        #[source]
        source: ConvertError,
    },
    /// A fault of the pass.
    #[error(transparent)]
    Pass(#[from] PassError),
}

impl Pass for QuantizeWeights {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let record = context.record(&Self::INFO);
        match self.apply(model) {
            Err(WeightError::Pass(error)) => return Err(error),
            Err(WeightError::Opset { needed, source }) => {
                record.skip(format!("opset {needed} is needed: {source}"));
            }
            Ok(outcome) => {
                record.rewrites += outcome.changed();
                let reasons = outcome.nodes.into_iter().filter_map(|node| node.reason);
                reasons.for_each(|reason| record.skip(reason));
            }
        }
        Ok(())
    }
}

/// What takes the place of a weight.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Codes and what restores them.
    Codes,
    /// The numbers that are restored, as they are.
    Restored,
}

impl QuantizeWeights {
    /// Stores the weights of the graph and its subgraphs, whose types are inferred; says what became
    /// of each node.
    ///
    /// # Errors
    /// When the model can't be raised to the operator set that needs, and is then unchanged; or when a
    /// patch can't be applied: a fault of the pass.
    pub fn apply(&self, model: &mut Model) -> Result<Outcome, WeightError> {
        let mut changed = model.clone();
        let needed = self.options.opset();
        if changed.opsets().standard().unwrap_or(0) < needed {
            let convert = ConvertOpset { target: needed };
            let converted = convert.convert(&mut changed);
            converted.map_err(|source| WeightError::Opset { needed, source })?;
        }
        let outcome = self.rewrite(&mut changed, Form::Codes)?;
        if !outcome.is_empty() {
            if matches!(self.options.format, WeightFormat::MatMulNBits { .. }) {
                changed.import_opset("com.microsoft", 1);
            }
            *model = changed;
        }
        Ok(outcome)
    }

    /// The same model with the numbers that would be restored, in float: what [`apply`](Self::apply)
    /// makes computes the same, up to rounding.
    ///
    /// # Errors
    /// When a patch can't be applied: a fault of the pass.
    pub fn restored(&self, model: &Model) -> Result<Model, PassError> {
        let mut restored = model.clone();
        self.rewrite(&mut restored, Form::Restored)?;
        Ok(restored)
    }

    fn rewrite(&self, model: &mut Model, form: Form) -> Result<Outcome, PassError> {
        let mut outcome = Outcome::default();
        model.edit_graphs(|graph| self.rewrite_graph(graph, form, &mut outcome))?;
        if !outcome.is_empty() {
            EliminateDeadNodes::default().run(model, &mut Context::default())?;
            model.graph.infer();
        }
        Ok(outcome)
    }

    /// Whether anything in one graph changed.
    fn rewrite_graph(
        &self,
        graph: &mut Graph,
        form: Form,
        outcome: &mut Outcome,
    ) -> Result<bool, PassError> {
        let found = site::find(graph, &self.options);
        let mut patch = Patch::default();
        for weight in &found.weights {
            let encoded = encode(graph, weight, &self.options);
            let reason = encoded.as_ref().err().map(|&reason| reason.to_owned());
            for &(id, _) in &weight.readers {
                outcome.node(graph, id, reason.clone());
            }
            let Ok(encoded) = encoded else { continue };
            match form {
                Form::Codes => emit(graph, &mut patch, weight, &encoded, &self.options),
                Form::Restored => {
                    let tensor = Tensor::new(weight.tensor.dims(), &encoded.restored);
                    patch.set_tensor(weight.value, tensor);
                }
            }
            outcome.weights.push(encoded.stored);
        }
        for (id, reason) in found.kept {
            outcome.node(graph, id, Some(reason.to_owned()));
        }
        let changed = !patch.is_empty();
        let applied = graph.apply(patch);
        applied.map_err(|source| PassError::Patch { pass: Self::INFO.name, source })?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Search;
    use super::*;
    use crate::testing::{assert_same_outputs, parse, rewrite_unexecuted};
    use insta::assert_snapshot;
    use lapidary_ir::ElemType;

    fn pass(format: WeightFormat, elem_type: ElemType) -> QuantizeWeights {
        QuantizeWeights { options: WeightOptions { format, elem_type, ..WeightOptions::DEFAULT } }
    }

    /// What the pass makes must compute what the restored numbers do.
    fn assert_restored(pass: &QuantizeWeights, source: &str) {
        let mut model = parse(source);
        model.graph.infer();
        let restored = pass.restored(&model).expect("the weights are restored");
        let outcome = pass.apply(&mut model).expect("the pass runs");
        assert!(!outcome.is_empty(), "something is quantized");
        assert_same_outputs(&restored, &model, crate::Accuracy::Rounding);
    }

    const PRODUCT: &str = "
        <ir_version: 10, opset_import: [\"\" : 21]>
        g (float[2,40] x) => (float[2,16] y)
        <float[40,16] w>
        { y = MatMul(x, w) }
    ";

    #[test]
    fn blocks_run_along_the_inputs_of_a_channel() {
        let dequantize = pass(WeightFormat::Dequantize, ElemType::INT4);
        assert_snapshot!(rewrite_unexecuted(&dequantize, PRODUCT), @r"
        quantize-weights: 1 rewrites
        g (float[2,40] x) => (float[2,16] y)
        <int4[40,16] w_quantized, float[2,16] w_scale, int4[2,16] w_zero_point>
        {
            w_dequantized = DequantizeLinear <axis = 0, block_size = 32> (w_quantized, w_scale, w_zero_point)
            y = MatMul(x, w_dequantized)
        }
        ");
    }

    #[test]
    fn a_channel_may_be_one_block() {
        let mut whole = pass(WeightFormat::Dequantize, ElemType::INT8);
        whole.options.block = None;
        whole.options.symmetric = true;
        let source = PRODUCT.replace("21]", "17]").replace("10,", "8,");
        assert_snapshot!(rewrite_unexecuted(&whole, &source), @r"
        quantize-weights: 1 rewrites
        g (float[2,40] x) => (float[2,16] y)
        <int8[40,16] w_quantized, float[16] w_scale>
        {
            w_dequantized = DequantizeLinear <axis = 1> (w_quantized, w_scale)
            y = MatMul(x, w_dequantized)
        }
        ");
        assert_restored(&whole, &source);
        whole.options.elem_type = ElemType::UINT8;
        assert_restored(&whole, &source);
        whole.options.symmetric = false;
        assert_restored(&whole, &source);
        whole.options.search = Search::Range;
        assert_restored(&whole, &source);
    }

    #[test]
    fn older_models_are_raised() {
        let source = PRODUCT.replace("21]", "17]").replace("10,", "8,");
        let report = rewrite_unexecuted(&pass(WeightFormat::Dequantize, ElemType::UINT2), &source);
        assert_snapshot!(report, @r"
        quantize-weights: 1 rewrites
        g (float[2,40] x) => (float[2,16] y)
        <uint2[40,16] w_quantized, float[2,16] w_scale, uint2[2,16] w_zero_point>
        {
            w_dequantized = DequantizeLinear <axis = 0, block_size = 32> (w_quantized, w_scale, w_zero_point)
            y = MatMul(x, w_dequantized)
        }
        ");
    }

    const CONV: &str = "
        <ir_version: 10, opset_import: [\"\" : 21]>
        g (float[1,8,5,5] x) => (float[1,8,3,3] y)
        <float[8,8,3,3] w>
        { y = Conv(x, w) }
    ";

    #[test]
    fn blocks_of_a_convolution_are_those_of_its_matrix() {
        let dequantize = pass(WeightFormat::Dequantize, ElemType::UINT4);
        assert_snapshot!(rewrite_unexecuted(&dequantize, CONV), @r"
        quantize-weights: 1 rewrites
        g (float[1,8,5,5] x) => (float[1,8,3,3] y)
        <uint4[8,72] w_quantized, float[8,3] w_scale, uint4[8,3] w_zero_point,
            int64[4] w_shape = {8, 8, 3, 3}>
        {
            w_dequantized = DequantizeLinear <axis = 1, block_size = 32> (w_quantized, w_scale, w_zero_point)
            w_restored = Reshape(w_dequantized, w_shape)
            y = Conv(x, w_restored)
        }
        ");
    }

    #[test]
    fn a_codebook_is_looked_up() {
        let book = pass(WeightFormat::Codebook { bits: 6 }, ElemType::UINT8);
        assert_snapshot!(rewrite_unexecuted(&book, CONV), @r"
        quantize-weights: 1 rewrites
        g (float[1,8,5,5] x) => (float[1,8,3,3] y)
        <uint8[8,8,3,3] w_indices, float[64] w_codebook>
        {
            w_cast = Cast <to = 6> (w_indices)
            w_restored = Gather(w_codebook, w_cast)
            y = Conv(x, w_restored)
        }
        ");
        assert_restored(&book, CONV);
        let book = pass(WeightFormat::Codebook { bits: 3 }, ElemType::UINT8);
        assert_snapshot!(rewrite_unexecuted(&book, CONV), @r"
        quantize-weights: 1 rewrites
        g (float[1,8,5,5] x) => (float[1,8,3,3] y)
        <uint4[8,8,3,3] w_indices,
            float[8] w_codebook = {-0.914388, -0.6649525, -0.44509548, -0.19131945, 0.08580509, 0.33458334, 0.6192876, 0.8653646}>
        {
            w_cast = Cast <to = 6> (w_indices)
            w_restored = Gather(w_codebook, w_cast)
            y = Conv(x, w_restored)
        }
        ");
    }

    #[test]
    fn normal_floats_are_scaled() {
        let normal = pass(WeightFormat::NormalFloat, ElemType::UINT4);
        assert_snapshot!(rewrite_unexecuted(&normal, PRODUCT), @r"
        quantize-weights: 1 rewrites
        g (float[2,40] x) => (float[2,16] y)
        <uint4[20,32] w_indices, float[16] nf4, float[20,1] w_scale, int64[2] w_shape = {40, 16}>
        {
            w_cast = Cast <to = 6> (w_indices)
            w_parts = Gather(nf4, w_cast)
            w_scaled = Mul(w_parts, w_scale)
            w_restored = Reshape(w_scaled, w_shape)
            y = MatMul(x, w_restored)
        }
        ");
    }

    #[test]
    fn products_become_mat_mul_n_bits() {
        let source = "
            g (float[2,40] x) => (float[2,16] y, float[2,16] z)
            <float[40,16] w, float[16,40] v, float[16] b>
            {
                y = MatMul(x, w)
                z = Gemm <transB = 1> (x, v, b)
            }
        ";
        let product = pass(WeightFormat::MatMulNBits { accuracy_level: 0 }, ElemType::UINT4);
        assert_snapshot!(rewrite_unexecuted(&product, source), @r"
        quantize-weights: 2 rewrites
        g (float[2,40] x) => (float[2,16] y, float[2,16] z)
        <float[16] b, uint8[16,2,16] w_quantized, float[16,2] w_scale, uint8[16,1] w_zero_point,
            uint8[16,2,16] v_quantized, float[16,2] v_scale, uint8[16,1] v_zero_point>
        {
            y = com.microsoft.MatMulNBits <K = 40, N = 16, bits = 4, block_size = 32> (x, w_quantized, w_scale, w_zero_point)
            z_product = com.microsoft.MatMulNBits <K = 40, N = 16, bits = 4, block_size = 32> (x, v_quantized, v_scale, v_zero_point)
            z = Add(z_product, b)
        }
        ");
        assert_snapshot!(rewrite_unexecuted(&product, CONV), @r"
        quantize-weights: 0 rewrites
        skipped 1: MatMulNBits is a product of matrices
        unchanged
        ");
        let integer = pass(WeightFormat::MatMulNBits { accuracy_level: 4 }, ElemType::UINT4);
        assert!(rewrite_unexecuted(&integer, source).contains("accuracy_level = 4"));
        let source = source.replace("transB = 1", "transB = 1, alpha = 2.0");
        assert!(
            rewrite_unexecuted(&product, &source).contains("it does more than multiply and add")
        );
    }

    /// Each with the reason why it stays.
    const KEPT: [(&str, &str); 6] = [
        ("float[2,16] y", "{ y = MatMul(x, x) }"),
        ("float[2,4] y", "<float[16,4] v> { y = MatMul(x, v) }"),
        ("y", "<float[2,16,32] v> { y = MatMul(x, v) }"),
        ("y", "<int64[2] i> { y = Gather <axis = 1> (w, i) }"),
        ("y", "<int64[2] i> { y = Gather(x, i) }"),
        ("y, z", "{ y = MatMul(x, w) z = Neg(w) }"),
    ];

    #[test]
    fn what_can_not_be_stored_stays() {
        let mut lines = Vec::new();
        let dequantize = pass(WeightFormat::Dequantize, ElemType::INT4);
        for (output, body) in KEPT {
            let x = if body.contains("(x, x)") { "float[16,16] x" } else { "float[2,16] x" };
            let output = if body.contains("(x, x)") { "float[16,16] y" } else { output };
            let (weights, body) = match body.split_once('>').filter(|_| body.starts_with('<')) {
                Some((weights, body)) => (format!("{weights}, float[16,32] w>"), body),
                None => ("<float[16,32] w>".to_owned(), body),
            };
            let source = format!("g ({x}) => ({output}) {weights} {body}");
            let report = rewrite_unexecuted(&dequantize, &source);
            assert!(report.ends_with("unchanged"), "{source}: {report}");
            lines.push(report.lines().nth(1).unwrap_or_default().to_owned());
        }
        assert_snapshot!(lines.join("\n"), @r"
        skipped 1: its weights are no constant
        skipped 1: its weights are too few to gain from it
        skipped 1: its weights are no matrix
        skipped 1: it does not look up rows
        unchanged
        skipped 1: its weights are also read by a node that keeps them
        ");
    }

    #[test]
    fn an_excluded_node_keeps_its_weights() {
        let mut dequantize = pass(WeightFormat::Dequantize, ElemType::INT4);
        dequantize.options.exclude = vec!["y".to_owned()];
        assert_snapshot!(rewrite_unexecuted(&dequantize, PRODUCT), @r"
        quantize-weights: 0 rewrites
        skipped 1: excluded
        unchanged
        ");
    }

    #[test]
    fn numbers_that_are_not_finite_or_take_no_fewer_bytes_stay() {
        let numbers = vec!["1e39"; 512].join(", ");
        let source = format!(
            "g (float[2,16] x) => (float[2,32] y) <float[16,32] w = {{{numbers}}}>
            {{ y = MatMul(x, w) }}"
        );
        let dequantize = pass(WeightFormat::Dequantize, ElemType::INT4);
        let report = rewrite_unexecuted(&dequantize, &source);
        assert!(report.contains("its weights are not all finite"), "{report}");
        let source = "
            g (float[2,1] x) => (float[2,600] y)
            <float[1,600] w>
            { y = MatMul(x, w) }
        ";
        let report = rewrite_unexecuted(&dequantize, source);
        assert!(report.contains("its weights would not take fewer bytes"), "{report}");
        let source = source.replace("600", "641");
        let normal = pass(WeightFormat::NormalFloat, ElemType::UINT4);
        let report = rewrite_unexecuted(&normal, &source);
        assert!(report.contains("no block of 16 numbers or more divides"), "{report}");
    }

    #[test]
    fn a_weight_of_several_nodes_is_stored_once() {
        let source = "
            <ir_version: 10, opset_import: [\"\" : 21]>
            g (int64[2] i) => (float[2,40] y)
            <float[40,16] t>
            {
                e = Gather(t, i)
                y = Gemm <transB = 1> (e, t)
            }
        ";
        let mut whole = pass(WeightFormat::Dequantize, ElemType::INT8);
        whole.options.block = None;
        assert_snapshot!(rewrite_unexecuted(&whole, source), @r"
        quantize-weights: 2 rewrites
        g (int64[2] i) => (float[2,40] y)
        <int8[40,16] t_quantized, float[40] t_scale, int8[40] t_zero_point>
        {
            t_dequantized = DequantizeLinear <axis = 0> (t_quantized, t_scale, t_zero_point)
            e = Gather(t_dequantized, i)
            y = Gemm <transB = 1> (e, t_dequantized)
        }
        ");
        assert_restored(&whole, source);
    }
}
