//! Dynamic quantization as a pass.
use super::DynamicOptions;
use super::emit::Emitter;
use super::site;
use crate::eliminate::EliminateDeadNodes;
use crate::quantize::outcome::Outcome;
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::{Graph, Model};

/// The operator set that brought `DynamicQuantizeLinear`.
const OLDEST: i64 = 11;

pass! {
    /// Computes products and lookups with constant weights in 8-bit integers.
    ///
    /// Activations are quantized while the model runs, so no calibration is needed; weights have one
    /// scale per output channel.
    pub struct QuantizeDynamicInteger {
        /// What the caller decides.
        pub options: DynamicOptions,
    }
    name: "quantize-dynamic-integer",
    accuracy: Lossy,
    emits: [
        "Add",
        "Cast",
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "Mul",
        "Reshape",
        "Transpose",
        "com.microsoft.DynamicQuantizeLSTM",
    ],
}

impl Pass for QuantizeDynamicInteger {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let outcome = self.apply(model)?;
        let record = context.record(&Self::INFO);
        record.rewrites += outcome.changed();
        outcome
            .nodes
            .into_iter()
            .filter_map(|node| node.reason)
            .for_each(|reason| record.skip(reason));
        Ok(())
    }
}

impl QuantizeDynamicInteger {
    /// Quantizes the graph and its subgraphs, whose types are inferred; says what became of each node.
    ///
    /// # Errors
    /// When a patch can't be applied: a fault of the pass.
    pub fn apply(&self, model: &mut Model) -> Result<Outcome, PassError> {
        let mut outcome = Outcome::default();
        model.edit_graphs(|graph| self.apply_to(graph, &mut outcome))?;
        if outcome.nodes.iter().any(|node| node.op_type == "LSTM" && node.reason.is_none()) {
            model.import_opset("com.microsoft", 1);
        }
        if !outcome.is_empty() {
            EliminateDeadNodes::default().run(model, &mut Context::default())?;
            model.graph.infer();
        }
        Ok(outcome)
    }

    /// Quantizes one graph. Whether anything changed.
    fn apply_to(&self, graph: &mut Graph, outcome: &mut Outcome) -> Result<bool, PassError> {
        let found = site::find(graph, &self.options);
        let mut emitter = Emitter::new(graph, &self.options);
        for (id, site) in found {
            let reason = match site {
                _ if graph.opset() < OLDEST => Some(format!(
                    "DynamicQuantizeLinear needs opset {OLDEST}, the model has {}",
                    graph.opset()
                )),
                Ok(site) => emitter.site(&site).err().map(str::to_owned),
                Err(reason) => Some(reason.to_owned()),
            };
            emitter.outcome.node(graph, id, reason);
        }
        let Emitter { patch, outcome: found, .. } = emitter;
        let changed = !patch.is_empty();
        outcome.nodes.extend(found.nodes);
        outcome.weights.extend(found.weights);
        let applied = graph.apply(patch);
        applied.map_err(|source| PassError::Patch { pass: Self::INFO.name, source })?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{parse, rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;
    use lapidary_exec::{RandomInputs, RunOptions, Runner, compare};

    fn pass(op_types: &[&str]) -> QuantizeDynamicInteger {
        let op_types = op_types.iter().map(|&op_type| op_type.to_owned()).collect();
        QuantizeDynamicInteger { options: DynamicOptions { op_types, ..DynamicOptions::DEFAULT } }
    }

    /// The smallest signal-to-noise ratio of the outputs in dB, executed before and after.
    fn sqnr_db(pass: &QuantizeDynamicInteger, source: &str) -> f64 {
        let original = parse(source);
        let mut model = original.clone();
        model.graph.infer();
        let outcome = pass.apply(&mut model).expect("the pass runs");
        assert!(!outcome.is_empty(), "something is quantized");
        assert_eq!(model.validate(), [], "the result is valid");
        let inputs = RandomInputs::default().generate(&original).expect("inputs can be made");
        let run = |model: &Model| {
            let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
            runner.run(&inputs).expect("the model runs")
        };
        let comparisons = compare(&run(&original), &run(&model)).expect("the outputs correspond");
        comparisons.iter().map(|comparison| comparison.sqnr_db).fold(f64::INFINITY, f64::min)
    }

    const SHARED: &str = "
        g (float[2,32] x) => (float[2,16] y, float[2,16] z)
        <float[32,16] w, float[16,32] v, float[16] b>
        {
            y = MatMul(x, w)
            z = Gemm <transB = 1> (x, v, b)
        }
    ";

    #[test]
    fn products_of_one_value_share_its_quantization() {
        assert_snapshot!(rewrite(&pass(&[]), SHARED), @r"
        quantize-dynamic-integer: 2 rewrites
        g (float[2,32] x) => (float[2,16] y, float[2,16] z)
        <float[16] b, int8[32,16] w_quantized, float[16] w_scale, int8[32,16] v_quantized,
            float[16] v_scale>
        {
            x_quantized, x_quantized_1, x_quantized_2 = DynamicQuantizeLinear(x)
            y_integer = MatMulInteger(x_quantized, w_quantized, x_quantized_2)
            y_float = Cast <to = 1> (y_integer)
            y_scale = Mul(x_quantized_1, w_scale)
            y = Mul(y_float, y_scale)
            z_integer = MatMulInteger(x_quantized, v_quantized, x_quantized_2)
            z_float = Cast <to = 1> (z_integer)
            z_scale = Mul(x_quantized_1, v_scale)
            z_product = Mul(z_float, z_scale)
            z = Add(z_product, b)
        }
        ");
        assert!(sqnr_db(&pass(&[]), SHARED) > 35.0);
    }

    const SCALED: &str = "
        g (float[2,32] x) => (float[2,16] y)
        <float[32,16] w, float[16] b>
        { y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b) }
    ";

    #[test]
    fn factors_of_a_gemm_go_into_the_constants() {
        assert_snapshot!(rewrite(&pass(&[]), SCALED), @r"
        quantize-dynamic-integer: 1 rewrites
        g (float[2,32] x) => (float[2,16] y)
        <int8[32,16] w_quantized, float[16] w_scale, float[16] b_scaled>
        {
            x_quantized, x_quantized_1, x_quantized_2 = DynamicQuantizeLinear(x)
            y_integer = MatMulInteger(x_quantized, w_quantized, x_quantized_2)
            y_float = Cast <to = 1> (y_integer)
            y_scale = Mul(x_quantized_1, w_scale)
            y_product = Mul(y_float, y_scale)
            y = Add(y_product, b_scaled)
        }
        ");
        assert!(sqnr_db(&pass(&[]), SCALED) > 35.0);
    }

    const TIED: &str = "
        g (int64[2] i) => (float[2,32] y)
        <float[32,16] t>
        {
            e = Gather(t, i)
            y = Gemm <transB = 1> (e, t)
        }
    ";

    #[test]
    fn an_embedding_is_stored_once_for_both_ends() {
        assert_snapshot!(rewrite(&pass(&[]), TIED), @r"
        quantize-dynamic-integer: 2 rewrites
        g (int64[2] i) => (float[2,32] y)
        <int8[32,16] t_quantized, float[32,1] t_scale, int64[1] scale_shape = {-1}>
        {
            e_integer = Gather(t_quantized, i)
            e_scale = Gather(t_scale, i)
            e_float = Cast <to = 1> (e_integer)
            e = Mul(e_float, e_scale)
            y_transpose = Transpose <perm = [1, 0]> (t_quantized)
            y_reshape = Reshape(t_scale, scale_shape)
            e_quantized, e_quantized_1, e_quantized_2 = DynamicQuantizeLinear(e)
            y_integer = MatMulInteger(e_quantized, y_transpose, e_quantized_2)
            y_float = Cast <to = 1> (y_integer)
            y_scale = Mul(e_quantized_1, y_reshape)
            y = Mul(y_float, y_scale)
        }
        ");
    }

    const CONV: &str = "
        g (float[1,8,5,5] x) => (float[1,8,5,5] y)
        <float[8,8,3,3] w, float[8] b>
        { y = Conv <pads = [1, 1, 1, 1]> (x, w, b) }
    ";

    #[test]
    fn convolutions_are_quantized_on_request() {
        assert_snapshot!(rewrite(&pass(&[]), CONV), @r"
        quantize-dynamic-integer: 0 rewrites (no match)
        unchanged
        ");
        assert_snapshot!(rewrite(&pass(&["Conv"]), CONV), @r"
        quantize-dynamic-integer: 1 rewrites
        g (float[1,8,5,5] x) => (float[1,8,5,5] y)
        <int8[8,8,3,3] w_quantized,
            float[8,1,1] w_scale = {0.0077509843, 0.007874016, 0.0075049214, 0.007874016, 0.007874016, 0.007874016, 0.007874016, 0.0077509843},
            float[8,1,1] b_channels = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375, 0.15625, 0.515625}>
        {
            x_quantized, x_quantized_1, x_quantized_2 = DynamicQuantizeLinear(x)
            y_integer = ConvInteger <pads = [1, 1, 1, 1]> (x_quantized, w_quantized, x_quantized_2)
            y_float = Cast <to = 1> (y_integer)
            y_scale = Mul(x_quantized_1, w_scale)
            y_product = Mul(y_float, y_scale)
            y = Add(y_product, b_channels)
        }
        ");
        assert!(sqnr_db(&pass(&["Conv"]), CONV) > 35.0);
    }

    const LSTM: &str = "
        g (float[3,1,16] x) => (float[3,1,1,16] y, float[1,1,16] h)
        <float[1,64,16] w, float[1,64,16] r>
        { y, h, c = LSTM <hidden_size = 16> (x, w, r) }
    ";

    #[test]
    fn an_lstm_is_quantized_for_the_runtime_that_can() {
        let options = DynamicOptions { onnxruntime: true, ..DynamicOptions::DEFAULT };
        let quantize = QuantizeDynamicInteger { options };
        assert_snapshot!(rewrite_unexecuted(&pass(&[]), LSTM), @r"
        quantize-dynamic-integer: 0 rewrites
        skipped 1: only ONNX Runtime has an LSTM with quantized weights
        unchanged
        ");
        assert_snapshot!(rewrite_unexecuted(&quantize, LSTM), @r"
        quantize-dynamic-integer: 1 rewrites
        g (float[3,1,16] x) => (float[3,1,1,16] y, float[1,1,16] h)
        <int8[1,16,64] w_quantized, float[1,64] w_scale, int8[1,64] w_zero_point, int8[1,16,64] r_quantized,
            float[1,64] r_scale, int8[1,64] r_zero_point>
        {
            y, h, h_dynamicquantizelstm_2 = com.microsoft.DynamicQuantizeLSTM <hidden_size = 16> (x, w_quantized, r_quantized, , , , , , w_scale, w_zero_point, r_scale, r_zero_point)
        }
        ");
        let batch = LSTM.replace("hidden_size = 16", "hidden_size = 16, layout = 1");
        let batch = batch.replace("float[3,1,1,16] y", "y").replace("float[1,1,16] h", "h");
        assert_snapshot!(rewrite_unexecuted(&quantize, &batch), @r"
        quantize-dynamic-integer: 0 rewrites
        skipped 1: the batch comes first in it
        unchanged
        ");
    }

    #[test]
    fn a_table_of_positions_is_sliced_in_integers() {
        let source = "
            g (int64[1] n) => (float[N,16] y)
            <float[64,16] t, int64[1] zero = {0}, int64[1] first = {-2}>
            { y = Slice(t, zero, n, first) }
        ";
        assert_snapshot!(rewrite_unexecuted(&pass(&[]), source), @r"
        quantize-dynamic-integer: 1 rewrites
        g (int64[1] n) => (float[N,16] y)
        <int64[1] zero = {0}, int64[1] first = {-2}, int8[64,16] t_quantized, float[64,1] t_scale>
        {
            y_integer = Slice(t_quantized, zero, n, first)
            y_scale = Slice(t_scale, zero, n, first)
            y_float = Cast <to = 1> (y_integer)
            y = Mul(y_float, y_scale)
        }
        ");
        assert_snapshot!(rewrite_unexecuted(&pass(&["MatMul"]), source), @r"
        quantize-dynamic-integer: 0 rewrites (no match)
        unchanged
        ");
    }

    /// Each with the reason why it stays.
    const KEPT: [(&str, &str); 10] = [
        ("float[16,2] y", "{ y = MatMul(w, x) }"),
        ("float[16,16] y", "{ y = MatMul(x, x) }"),
        ("float[16,4] y", "<float[16,4] v> { y = MatMul(x, v) }"),
        ("float[2,16,16] y", "<float[2,16,16] v> { y = MatMul(x, v) }"),
        ("float[16,32] y", "{ y = Gemm <transA = 1> (x, w) }"),
        ("float[16,32] y", "{ n = Concat <axis = 1> (x, x) y = Gemm <beta = 2.0> (x, w, n) }"),
        ("y", "<int64[2] i> { y = Gather <axis = 1> (w, i) }"),
        ("y", "<int64[1] i> { y = Slice(w, i, i, i) }"),
        ("y", "<float[200,4] v, int64[2] i> { y = Gather(v, i) }"),
        ("y, z", "<int64[2] i> { y = Gather(w, i) z = Neg(w) }"),
    ];

    #[test]
    fn what_has_no_integer_form_stays() {
        let mut lines = Vec::new();
        for (output, body) in KEPT {
            let x = if body.contains("MatMul(w") { "float[32,2] x" } else { "float[16,16] x" };
            let (weights, body) = match body.split_once('>').filter(|_| body.starts_with('<')) {
                Some((weights, body)) => (format!("{weights}, float[16,32] w>"), body),
                None => ("<float[16,32] w>".to_owned(), body),
            };
            let source = format!("g ({x}) => ({output}) {weights} {body}");
            let report = rewrite_unexecuted(&pass(&[]), &source);
            assert!(report.ends_with("unchanged"), "{source}: {report}");
            lines.push(report.lines().nth(1).unwrap_or_default().to_owned());
        }
        assert_snapshot!(lines.join("\n"), @r"
        skipped 1: its weights are the left operand
        skipped 1: its weights are no constant
        skipped 1: its weights are too few to gain from it
        skipped 1: its weights are no matrix
        skipped 1: its left operand is transposed
        skipped 1: its beta scales a bias that is computed
        skipped 1: it does not look up rows
        skipped 1: it does not look up rows
        skipped 1: the rows of its table are too short to gain from it
        skipped 1: its table is also read by a node that stays in float
        ");
    }

    #[test]
    fn excluded_nodes_and_weights_that_are_not_finite_stay() {
        let options = DynamicOptions { exclude: vec!["y".to_owned()], ..DynamicOptions::DEFAULT };
        let quantize = QuantizeDynamicInteger { options };
        assert_snapshot!(rewrite_unexecuted(&quantize, SCALED), @r"
        quantize-dynamic-integer: 0 rewrites
        skipped 1: excluded
        unchanged
        ");
        let numbers = vec!["1e38"; 512].join(", ");
        let source = format!(
            "g (float[2,16] x) => (float[2,32] y) <float[16,32] w = {{{numbers}}}>
            {{ y = Gemm <alpha = 100.0> (x, w) }}"
        );
        assert_snapshot!(rewrite_unexecuted(&pass(&[]), &source), @r"
        quantize-dynamic-integer: 0 rewrites
        skipped 1: its weights are not all finite
        unchanged
        ");
    }

    #[test]
    fn lookups_in_what_is_computed_are_none_of_its_business() {
        let source = "g (float[16,16] x, int64[2] i) => (float[2,16] y) { y = Gather(x, i) }";
        assert_snapshot!(rewrite(&pass(&[]), source), @r"
        quantize-dynamic-integer: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn bodies_of_subgraphs_are_quantized() {
        let source = "
            g (float[2,32] x, bool c) => (float[2,16] y)
            <float[32,16] w>
            {
                y = If (c) <
                    then_branch = t () => (float[2,16] u) { u = MatMul(x, w) },
                    else_branch = e () => (float[2,16] v) <float[32,16] k> { v = MatMul(x, k) }
                >
            }
        ";
        assert_snapshot!(rewrite(&pass(&[]), source), @r"
        quantize-dynamic-integer: 2 rewrites
        g (float[2,32] x, bool c) => (float[2,16] y)
        {
            y = If(c) <
                then_branch = t () => (float[2,16] u)
                <int8[32,16] w_quantized, float[16] w_scale>
                {
                    x_quantized, x_quantized_1, x_quantized_2 = DynamicQuantizeLinear(x)
                    u_integer = MatMulInteger(x_quantized, w_quantized, x_quantized_2)
                    u_float = Cast <to = 1> (u_integer)
                    u_scale = Mul(x_quantized_1, w_scale)
                    u = Mul(u_float, u_scale)
                },
                else_branch = e () => (float[2,16] v)
                <int8[32,16] k_quantized, float[16] k_scale>
                {
                    x_quantized_3, x_quantized_4, x_quantized_5 = DynamicQuantizeLinear(x)
                    v_integer = MatMulInteger(x_quantized_3, k_quantized, x_quantized_5)
                    v_float = Cast <to = 1> (v_integer)
                    v_scale = Mul(x_quantized_4, k_scale)
                    v = Mul(v_float, v_scale)
                }
            >
        }
        ");
    }

    #[test]
    fn old_models_stay() {
        let source = format!("<ir_version: 5, opset_import: [\"\" : 10]> {SCALED}");
        assert_snapshot!(rewrite_unexecuted(&pass(&[]), &source), @r"
        quantize-dynamic-integer: 0 rewrites
        skipped 1: DynamicQuantizeLinear needs opset 11, the model has 10
        unchanged
        ");
    }

    #[test]
    fn seven_bits_are_less_exact_than_eight() {
        let options = DynamicOptions { reduce_range: true, ..DynamicOptions::DEFAULT };
        let reduced = sqnr_db(&QuantizeDynamicInteger { options }, SHARED);
        assert!((30.0..sqnr_db(&pass(&[]), SHARED)).contains(&reduced), "{reduced} dB");
    }
}
