//! Half precision as a pass.
use super::casting::Casting;
use super::half::rounded;
use super::opset::{ConvertError, ConvertOpset};
use crate::quantize::Outcome;
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::{ElemType, Model, Patch, Tensor};

/// What the caller decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatOptions {
    /// `float16` or `bfloat16`.
    pub elem_type: ElemType,
    /// Inputs and outputs stay float.
    pub keep_io: bool,
    /// Operators that stay float, besides those that do anyway.
    pub block_ops: Vec<String>,
    /// Nodes that stay float, by name; a node without a name goes by that of its first output.
    pub block_nodes: Vec<String>,
}

impl FloatOptions {
    /// `float16` inside.
    pub const DEFAULT: Self = Self {
        elem_type: ElemType::FLOAT16,
        keep_io: true,
        block_ops: Vec::new(),
        block_nodes: Vec::new(),
    };

    /// The operator set in which the listed operators take the type.
    fn opset(&self) -> i64 {
        if self.elem_type == ElemType::FLOAT16 { 13 } else { 22 }
    }
}

impl Default for FloatOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

pass! {
    /// Computes in floating-point numbers of 16 bits.
    ///
    /// Constants are rounded, and what is too large becomes the largest number there is. Operators
    /// that are not known to do their work in 16 bits stay in single precision, and so do subgraphs;
    /// a `Cast` stands between them and the others.
    pub struct ConvertFloatType {
        /// What the caller decides.
        pub options: FloatOptions,
    }
    name: "convert-float-type",
    accuracy: Lossy,
    emits: ["Cast"],
}

impl Pass for ConvertFloatType {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let record = context.record(&Self::INFO);
        match self.convert(model) {
            Err(FloatTypeError::Pass(error)) => return Err(error),
            Err(error @ FloatTypeError::Opset { .. }) => record.skip(error.to_string()),
            Ok(outcome) => {
                record.rewrites += outcome.changed();
                let reasons = outcome.nodes.into_iter().filter_map(|node| node.reason);
                reasons.for_each(|reason| record.skip(reason));
            }
        }
        Ok(())
    }
}

/// Why a model can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum FloatTypeError {
    /// The operators of the model take the type from a newer operator set on.
    #[error("opset {needed} is needed: {source}")]
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

impl ConvertFloatType {
    /// Converts the main graph of a model whose types are inferred; says what became of each node.
    ///
    /// # Errors
    /// When the model can't be raised to the operator set that needs; it is then unchanged. Or when a
    /// patch can't be applied: a fault of the pass.
    pub fn convert(&self, model: &mut Model) -> Result<Outcome, FloatTypeError> {
        let mut changed = model.clone();
        let needed = self.options.opset();
        if changed.opsets().standard().unwrap_or(0) < needed {
            let raised = ConvertOpset { target: needed }.convert(&mut changed);
            raised.map_err(|source| FloatTypeError::Opset { needed, source })?;
        }
        let mut casting = Casting::new(&changed.graph, &self.options);
        if casting.outcome.is_empty() {
            return Ok(casting.outcome);
        }
        casting.write();
        let interface = casting.interface();
        let Casting { patch, outcome, .. } = casting;
        for value in interface {
            changed.graph.declare_elem_type(value, self.options.elem_type);
        }
        let applied = changed.graph.apply(patch);
        applied.map_err(|source| PassError::Patch { pass: Self::INFO.name, source })?;
        changed.graph.infer();
        *model = changed;
        Ok(outcome)
    }
}

/// The model with the constants of `outcome` rounded to a type and stored as floats again: what is lost by
/// storing them, without what is lost by computing with them.
///
/// # Errors
/// When a patch can't be applied: a fault of this function.
pub fn rounded_constants(
    model: &Model,
    outcome: &Outcome,
    elem_type: ElemType,
) -> Result<Model, PassError> {
    let mut model = model.clone();
    let mut patch = Patch::default();
    for weight in &outcome.weights {
        let Some(id) = model.graph.find(&weight.name) else { continue };
        let constant = model.graph.constant(id).and_then(|tensor| rounded(tensor, elem_type));
        let Some(numbers) = constant.and_then(|rounded| rounded.tensor.to_f32()) else { continue };
        let dims =
            model.graph.constant(id).map(|tensor| tensor.dims().to_vec()).unwrap_or_default();
        patch.set_tensor(id, Tensor::new(&dims, &numbers));
    }
    let applied = model.graph.apply(patch);
    applied.map_err(|source| PassError::Patch { pass: ConvertFloatType::INFO.name, source })?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{parse, rewrite_unexecuted};
    use insta::assert_snapshot;
    use lapidary_exec::{RandomInputs, RunOptions, Runner, compare};

    fn pass() -> ConvertFloatType {
        ConvertFloatType::default()
    }

    const SOURCE: &str = "
        g (float[2,3] x, int64[1] n) => (float[2,2] y, float[3] r)
        <float[3,2] w = {1e9, 1, -1e-9, 0.5, 2, -1e9}, float zero = {0}, float one = {1}, float top = {3}>
        {
            a = MatMul(x, w)
            f = Cast <to = 1> (n)
            y = Mul(a, f)
            r = Range(zero, top, one)
        }
    ";

    #[test]
    fn what_is_quantized_stays_so() {
        let source = "
            g (float[1,2] x) => (float[1,2] y)
            <float s = {0.5}, uint8 z = {128}, int8[2,2] w = {1, 2, 3, 4}, float[2] b = {1, 2}>
            {
                q = QuantizeLinear(x, s, z)
                d = DequantizeLinear(q, s, z)
                k = DequantizeLinear(w, s)
                g = Gemm(d, k, b)
                p = QuantizeLinear(g, s, z)
                e = DequantizeLinear(p, s, z)
                y = Tanh(e)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&pass(), source), @r"
        convert-float-type: 1 rewrites
        skipped 6: it is quantized already
        g (float[1,2] x) => (float[1,2] y)
        <float s = {0.5}, uint8 z = {128}, int8[2,2] w = {1, 2, 3, 4}, float[2] b = {1, 2}>
        {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            k = DequantizeLinear(w, s)
            g = Gemm(d, k, b)
            p = QuantizeLinear(g, s, z)
            e = DequantizeLinear(p, s, z)
            e_float16 = Cast <to = 10> (e)
            y_float16 = Tanh(e_float16)
            y = Cast <to = 1> (y_float16)
        }
        ");
    }

    #[test]
    fn casts_stand_at_the_interface_and_around_what_stays() {
        assert_snapshot!(rewrite_unexecuted(&pass(), SOURCE), @r"
        convert-float-type: 2 rewrites
        skipped 1: its operator stays in single precision
        g (float[2,3] x, int64[1] n) => (float[2,2] y, float[3] r)
        <float16[3,2] w = {65504.0, 1.0, -0.0, 0.5, 2.0, -65504.0}, float zero = {0}, float one = {1},
            float top = {3}>
        {
            x_float16 = Cast <to = 10> (x)
            a = MatMul(x_float16, w)
            f = Cast <to = 10> (n)
            y_float16 = Mul(a, f)
            y = Cast <to = 1> (y_float16)
            r = Range(zero, top, one)
        }
        ");
        let options = FloatOptions { keep_io: false, ..FloatOptions::DEFAULT };
        assert_snapshot!(rewrite_unexecuted(&ConvertFloatType { options }, SOURCE), @r"
        convert-float-type: 2 rewrites
        skipped 1: its operator stays in single precision
        g (float16[2,3] x, int64[1] n) => (float16[2,2] y, float16[3] r)
        <float16[3,2] w = {65504.0, 1.0, -0.0, 0.5, 2.0, -65504.0}, float zero = {0}, float one = {1},
            float top = {3}>
        {
            a = MatMul(x, w)
            f = Cast <to = 10> (n)
            y = Mul(a, f)
            r_float = Range(zero, top, one)
            r = Cast <to = 10> (r_float)
        }
        ");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut model = parse(SOURCE);
        model.graph.infer();
        let outcome = pass().convert(&mut model).expect("the pass runs");
        let forms: Vec<&str> = outcome.weights.iter().map(|weight| weight.form.as_str()).collect();
        let kept =
            rounded_constants(&parse(SOURCE), &outcome, ElemType::FLOAT16).expect("it is rounded");
        let w = kept.graph.find("w").and_then(|id| kept.graph.constant(id)?.to_vec::<f32>());
        assert_eq!(w, Some(vec![65504.0, 1.0, 0.0, 0.5, 2.0, -65504.0]));
        assert_eq!(forms, ["float16, 2 beyond the largest number, 1 below the smallest number"]);
    }

    #[test]
    fn blocked_nodes_and_operators_stay() {
        let options = FloatOptions {
            block_ops: vec!["Mul".to_owned()],
            block_nodes: vec!["a".to_owned()],
            ..FloatOptions::DEFAULT
        };
        assert_snapshot!(rewrite_unexecuted(&ConvertFloatType { options }, SOURCE), @r"
        convert-float-type: 0 rewrites
        skipped 2: blocked
        skipped 1: its operator stays in single precision
        unchanged
        ");
    }

    #[test]
    fn subgraphs_stay_and_read_floats() {
        let source = "
            g (float[2] x, bool c) => (float[2] y)
            {
                a = Relu(x)
                b = Exp(a)
                d = If (c) <
                    then_branch = t () => (float[2] u) { u = Neg(a) },
                    else_branch = e () => (float[2] v) { v = Abs(b) }
                >
                y = Add(d, b)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&pass(), source), @r"
        convert-float-type: 3 rewrites
        skipped 1: its subgraphs stay in single precision
        g (float[2] x, bool c) => (float[2] y)
        {
            x_float16 = Cast <to = 10> (x)
            a_float16 = Relu(x_float16)
            a = Cast <to = 1> (a_float16)
            b_float16 = Exp(a_float16)
            b = Cast <to = 1> (b_float16)
            d = If(c) <
                then_branch = t () => (float[2] u)
                {
                    u = Neg(a)
                },
                else_branch = e () => (float[2] v)
                {
                    v = Abs(b)
                }
            >
            d_float16 = Cast <to = 10> (d)
            y_float16 = Add(d_float16, b_float16)
            y = Cast <to = 1> (y_float16)
        }
        ");
    }

    #[test]
    fn scales_of_a_resize_stay_and_a_filled_tensor_changes() {
        let source = "
            g (float[1,1,2,2] x) => (float[1,1,4,4] y)
            <float[4] scales = {1, 1, 2, 2}, int64[4] shape = {1, 1, 4, 4}>
            {
                a = Resize(x, , scales)
                b = ConstantOfShape(shape)
                y = Add(a, b)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&pass(), source), @r"
        convert-float-type: 3 rewrites
        g (float[1,1,2,2] x) => (float[1,1,4,4] y)
        <float[4] scales = {1, 1, 2, 2}, int64[4] shape = {1, 1, 4, 4}>
        {
            x_float16 = Cast <to = 10> (x)
            a = Resize(x_float16, , scales)
            b = ConstantOfShape <value = float16[1] {0.0}> (shape)
            y_float16 = Add(a, b)
            y = Cast <to = 1> (y_float16)
        }
        ");
    }

    #[test]
    fn brain_floats_need_a_newer_operator_set() {
        let options = FloatOptions { elem_type: ElemType::BFLOAT16, ..FloatOptions::DEFAULT };
        let source = format!("<ir_version: 8, opset_import: [\"\" : 17]> {SOURCE}");
        assert_snapshot!(rewrite_unexecuted(&ConvertFloatType { options }, &source), @r"
        convert-float-type: 2 rewrites
        skipped 1: its operator stays in single precision
        g (float[2,3] x, int64[1] n) => (float[2,2] y, float[3] r)
        <bfloat16[3,2] w = {998244350.0, 1.0, -9.968062e-10, 0.5, 2.0, -998244350.0}, float zero = {0},
            float one = {1}, float top = {3}>
        {
            x_bfloat16 = Cast <to = 16> (x)
            a = MatMul(x_bfloat16, w)
            f = Cast <to = 16> (n)
            y_bfloat16 = Mul(a, f)
            y = Cast <to = 1> (y_bfloat16)
            r = Range(zero, top, one)
        }
        ");
    }

    #[test]
    fn what_is_computed_stays_within_the_precision_of_halves() {
        let source = "
            g (float[4,16] x) => (float[4,8] y)
            <float[16,32] w, float[32] b, float[32,8] v>
            {
                p = MatMul(x, w)
                a = Add(p, b)
                t = Tanh(a)
                q = MatMul(t, v)
                y = Softmax(q)
            }
        ";
        let original = parse(source);
        let mut model = original.clone();
        model.graph.infer();
        pass().convert(&mut model).expect("the pass runs");
        assert_eq!(model.validate(), []);
        let inputs = RandomInputs::default().generate(&original).expect("inputs can be made");
        let run = |model| {
            let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
            runner.run(&inputs).expect("the model runs")
        };
        let comparisons = compare(&run(&original), &run(&model)).expect("the outputs correspond");
        assert!(comparisons[0].max_rel < 1e-2, "{}", comparisons[0].max_rel);
        assert!(comparisons[0].max_rel > 0.0);
    }
}
