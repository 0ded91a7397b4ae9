//! Everything computed from constants.
use super::region::{Fold, Region, added_bytes};
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_exec::{ExecError, Inputs, RunOptions, Runner};
use lapidary_ir::{Graph, Model, NodeId, Patch, Tensor, ValueId};
use rustc_hash::FxHashSet;

crate::pass! {
    /// Computes what depends on constants alone, and keeps the result as initializers.
    ///
    /// The part of the graph without inputs runs in the built-in runtime; the values the rest
    /// reads become initializers. The sizes are known before anything runs: what would make
    /// the model larger than the growth budget allows stays as it is. So do random operators,
    /// operators outside ONNX's own domain, nodes with subgraphs, what depends on an initializer
    /// that is also an input, and `DequantizeLinear`, which keeps quantized weights small;
    /// `QuantizeLinear` is left to `fold-quantized-constant`.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[3] a = {1, 2, 3}, float[1] b = {4}>
    /// {
    ///     c = Mul(a, b)
    ///     d = Sqrt(b)
    ///     e = Div(c, d)
    ///     f = Mul(e, d)
    ///     y = Add(x, f)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[3] f = {4, 8, 12}>
    /// {
    ///     y = Add(x, f)
    /// }
    /// ```
    pub struct FoldConstants
    name: "fold-constants",
    accuracy: Rounding,
    emits: [],
}

/// Values that are computed in one run of the runtime, about: it takes time that grows faster than
/// their number.
const MAX_BATCH: usize = 256;

/// Of the models that are run.
const IR_VERSION: i64 = 10;

impl Pass for FoldConstants {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        // A result whose size depends on data tells the sizes of what is computed from it.
        context.record(&Self::INFO).skips.clear();
        model.edit_graphs(|graph| {
            let before = context.rewrites();
            // The last look at a graph sees everything that stays: its reasons count.
            let elsewhere = context.record(&Self::INFO).skips.clone();
            while fold(graph, context)? {
                context.record(&Self::INFO).skips.clone_from(&elsewhere);
            }
            Ok(context.rewrites() > before)
        })?;
        Ok(())
    }
}

/// Folds what can be folded now. Whether anything was.
fn fold(graph: &mut Graph, context: &mut Context) -> Result<bool, PassError> {
    let before = context.record(&FoldConstants::INFO).rewrites;
    let growth = context.growth;
    let mut region = Region::new(graph, growth, &FoldConstants::INFO, context);
    let folds = region.select(graph, growth, &FoldConstants::INFO, context);
    if folds.is_empty() {
        return Ok(false);
    }
    for batch in batches(&folds) {
        if fold_together(graph, context, batch)? {
            continue;
        }
        for part in batch.chunk_by(|a, b| a.part == b.part) {
            if !fold_together(graph, context, part)? {
                fold_one_by_one(graph, context, part)?;
            }
        }
    }
    Ok(context.record(&FoldConstants::INFO).rewrites > before)
}

/// Parts that run at once.
fn batches(folds: &[Fold]) -> Vec<&[Fold]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for part in folds.chunk_by(|a, b| a.part == b.part) {
        end += part.len();
        if end - start >= MAX_BATCH {
            batches.push(&folds[start..end]);
            start = end;
        }
    }
    if start < end {
        batches.push(&folds[start..end]);
    }
    batches
}

/// Whether the runtime could compute all the values, which are then initializers.
fn fold_together(
    graph: &mut Graph,
    context: &mut Context,
    folds: &[Fold],
) -> Result<bool, PassError> {
    let values: Vec<ValueId> = folds.iter().map(|fold| fold.value).collect();
    let Ok(tensors) = evaluate(graph, &values) else { return Ok(false) };
    replace(graph, context, &values, tensors)?;
    context.grown += folds.iter().map(|fold| fold.added).sum::<u64>();
    Ok(true)
}

/// Runs the part of the model that makes `values`.
fn evaluate(graph: &Graph, values: &[ValueId]) -> Result<Vec<Tensor>, String> {
    let part = Model::new(graph.extract(values, &|_| None), IR_VERSION);
    let options = RunOptions { optimize: false, ..RunOptions::default() };
    let runner = Runner::new(&part, &options).map_err(|error| reason(&error))?;
    let outputs = runner.run(&Inputs::default()).map_err(|error| reason(&error))?;
    let tensors = outputs.into_iter().map(|(_, tensor)| tensor);
    let checked = values.iter().zip(tensors).map(|(&id, tensor)| check(graph, id, tensor));
    let tensors = checked.collect::<Result<Vec<Tensor>, String>>()?;
    if tensors.len() == values.len() {
        Ok(tensors)
    } else {
        Err("the runtime lost a result".to_owned())
    }
}

/// Why the runtime could not, the same for all nodes of an operator.
fn reason(error: &ExecError) -> String {
    match error {
        ExecError::Unsupported { op_type, .. } => format!("the runtime can't run {op_type}"),
        ExecError::UnsupportedType { elem_type, .. } => format!("the runtime has no {elem_type}"),
        other => other.to_string(),
    }
}

/// The result, if it has the type that shape inference found.
fn check(graph: &Graph, id: ValueId, tensor: Tensor) -> Result<Tensor, String> {
    let ty = graph.ty(id);
    let elem_type = ty.elem_type.is_none_or(|elem_type| elem_type == tensor.elem_type());
    let shape = ty.shape.as_ref().is_none_or(|shape| {
        let fits =
            |(dim, found): (&lapidary_ir::Dim, &i64)| dim.value().is_none_or(|dim| dim == *found);
        shape.len() == tensor.rank() && shape.iter().zip(tensor.dims()).all(fits)
    });
    if elem_type && shape {
        return Ok(tensor);
    }
    Err("the runtime's result has another type than shape inference found".to_owned())
}

/// Makes readers of `values` read initializers.
fn replace(
    graph: &mut Graph,
    context: &mut Context,
    values: &[ValueId],
    tensors: Vec<Tensor>,
) -> Result<(), PassError> {
    let mut patch = Patch::default();
    for (&id, tensor) in values.iter().zip(tensors) {
        let initializer = patch.initializer(graph.value(id).name(), tensor);
        patch.replace(id, initializer);
    }
    context.apply(&FoldConstants::INFO, graph, patch)?;
    context.record(&FoldConstants::INFO).rewrites += values.len();
    Ok(())
}

/// Folds the nodes that the values need one at a time, as far as the runtime can.
fn fold_one_by_one(
    graph: &mut Graph,
    context: &mut Context,
    folds: &[Fold],
) -> Result<(), PassError> {
    for id in needed(graph, folds) {
        let Some(node) = graph.get_node(id) else { continue };
        let constant = |&input: &ValueId| graph.constant(input).is_some();
        if node.is("Constant") || !node.inputs().iter().flatten().all(constant) {
            continue;
        }
        let added = added_bytes(graph, id);
        let left = context.growth.total.saturating_sub(context.grown);
        if added > context.growth.per_value.min(left) {
            continue;
        }
        let outputs: Vec<ValueId> = node.outputs().iter().flatten().copied().collect();
        match evaluate(graph, &outputs) {
            Ok(tensors) => {
                replace(graph, context, &outputs, tensors)?;
                context.grown += added;
            }
            Err(reason) => context.record(&FoldConstants::INFO).skip(reason),
        }
    }
    Ok(())
}

/// The nodes that the values depend on, each behind those it reads from.
fn needed(graph: &Graph, folds: &[Fold]) -> Vec<NodeId> {
    let mut seen = FxHashSet::default();
    let mut nodes = Vec::new();
    let makers = folds.iter().rev().filter_map(|fold| graph.producer(fold.value));
    let mut waiting: Vec<(NodeId, bool)> = makers.map(|id| (id, false)).collect();
    while let Some((id, ready)) = waiting.pop() {
        if ready {
            nodes.push(id);
        } else if seen.insert(id) {
            waiting.push((id, true));
            let inputs = graph[id].inputs().iter().flatten();
            waiting.extend(inputs.filter_map(|&id| Some((graph.producer(id)?, false))));
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::FoldConstants;
    use crate::testing::{parse, rewrite, rewrite_unexecuted};
    use crate::{Context, GrowthBudget, driver};
    use insta::assert_snapshot;

    #[test]
    fn folds_a_transposed_weight_whatever_its_size() {
        assert_snapshot!(rewrite(&FoldConstants {}, "
            g (float[1,600] x) => (float[1,600] y)
            <float[600,600] w>
            {
                t = Transpose<perm = [1, 0]>(w)
                y = MatMul(x, t)
            }
        "), @r"
        fold-constants: 1 rewrites
        g (float[1,600] x) => (float[1,600] y)
        <float[600,600] t>
        {
            y = MatMul(x, t)
        }
        ");
    }

    #[test]
    fn keeps_what_would_make_the_model_much_larger() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, "
            g (float[1] x) => (float[N] y)
            <int64[1] size = {268435456}>
            {
                bomb = ConstantOfShape(size)
                y = Add(x, bomb)
            }
        "), @r"
        fold-constants: 0 rewrites
        skipped 1: a constant result would be far larger than what it is computed from
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_over_the_budget_but_folds_what_is_before_it() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, "
            g (float[1] x) => (float[N] y)
            <int64[1] half = {250000}, int64[1] two = {2}>
            {
                size = Mul(half, two)
                large = ConstantOfShape(size)
                y = Add(x, large)
            }
        "), @r"
        fold-constants: 1 rewrites
        skipped 1: folding would make the model larger than the budget
        g (float[1] x) => (float[N] y)
        <int64[1] size = {500000}>
        {
            large = ConstantOfShape(size)
            y = Add(x, large)
        }
        ");
    }

    #[test]
    fn keeps_to_the_budget_of_all_values_however_often_it_runs() {
        let mut model = parse(
            "g (float[1] x) => (float[10] y)
             <int64[1] n = {10}, float a = {1}, float b = {2}, float c = {3}>
             {
                 a_ = Expand(a, n)
                 b_ = Expand(b, n)
                 c_ = Expand(c, n)
                 y = Sum(x, a_, b_, c_)
             }",
        );
        let growth = GrowthBudget { per_value: 50, total: 90 };
        let mut context = Context { growth, ..Context::default() };
        let folded = driver::run_to_fixpoint(&[&FoldConstants {}], &mut model, &mut context);
        folded.expect("the pass runs");
        assert_eq!((context.rewrites(), context.grown), (2, 72));
    }

    #[test]
    fn keeps_what_a_caller_may_override() {
        assert_snapshot!(rewrite(&FoldConstants {}, "
            g (float[3] x, float[3] w = {1, 2, 3}) => (float[3] y)
            <float[3] c = {4, 5, 6}>
            {
                a = Mul(w, c)
                y = Add(x, a)
            }
        "), @r"
        fold-constants: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_random_nodes_and_dequantized_weights() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, "
            g (float[3] x) => (float[3] y)
            <float[3] c = {4, 5, 6}, int8[3] q = {1, 2, 3}, float scale = {0.5}>
            {
                a = RandomNormalLike(c)
                b = DequantizeLinear(q, scale)
                d = Add(a, b)
                y = Add(x, d)
            }
        "), @r"
        fold-constants: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn folds_a_value_that_a_subgraph_reads() {
        assert_snapshot!(rewrite(&FoldConstants {}, "
            g (float[3] x, bool c) => (float[3] y)
            <float[3] a = {4, 9, 16}>
            {
                root = Sqrt(a)
                y = If (c) <
                    then_branch = t () => (float[3] u) { u = Add(x, root) },
                    else_branch = e () => (float[3] v) { v = Sub(x, root) }
                >
            }
        "), @r"
        fold-constants: 1 rewrites
        g (float[3] x, bool c) => (float[3] y)
        <float[3] root = {2, 3, 4}>
        {
            y = If(c) <
                then_branch = t () => (float[3] u)
                {
                    u = Add(x, root)
                },
                else_branch = e () => (float[3] v)
                {
                    v = Sub(x, root)
                }
            >
        }
        ");
    }

    #[test]
    fn keeps_a_constant_graph_output() {
        assert_snapshot!(rewrite(&FoldConstants {}, "
            g () => (float[3] y)
            <float[3] a = {4, 9, 16}>
            {
                y = Sqrt(a)
            }
        "), @r"
        fold-constants: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn folds_around_what_the_runtime_can_not_run() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, "
            g (float[2,3] x) => (float[2,3] y, float[2,3] z)
            <float[2,3] a = {1, 4, 9, 16, 25, 36}, int64[3] lengths = {2, 1, 2}>
            {
                b = Sqrt(a)
                c = ReverseSequence(b, lengths)
                y = Add(x, c)
                d = Neg(a)
                z = Add(x, d)
            }
        "), @r"
        fold-constants: 2 rewrites
        skipped 1: the runtime can't run ReverseSequence
        g (float[2,3] x) => (float[2,3] y, float[2,3] z)
        <int64[3] lengths = {2, 1, 2}, float[2,3] b = {1, 2, 3, 4, 5, 6},
            float[2,3] d = {-1, -4, -9, -16, -25, -36}>
        {
            c = ReverseSequence(b, lengths)
            y = Add(x, c)
            z = Add(x, d)
        }
        ");
    }

    #[test]
    fn folds_behind_a_result_whose_size_depends_on_data() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, "
            g (int64[1,N] x) => (int64[1,M] y)
            <float[3] a = {1, 0, 2}, int64 three = {3}>
            {
                b = NonZero(a)
                c = Mul(b, three)
                y = Concat<axis = 1>(x, c)
            }
        "), @r"
        fold-constants: 2 rewrites
        g (int64[1,N] x) => (int64[1,M] y)
        <int64[1,2] c = {0, 6}>
        {
            y = Concat <axis = 1> (x, c)
        }
        ");
    }

    #[test]
    fn keeps_results_of_unknown_size() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstants {}, r#"
            g () => (string[N] y)
            <string[2] a = {"b", "c"}>
            {
                b = StringNormalizer(a)
                y = Identity(b)
            }
        "#), @r"
        fold-constants: 0 rewrites
        skipped 1: the size of a constant result is unknown
        unchanged
        ");
    }
}
