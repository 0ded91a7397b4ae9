//! Equal initializers.
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_ir::{Graph, Model, Patch, Tensor, ValueId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

crate::pass! {
    /// Keeps one of several initializers of equal type, dimensions and data.
    ///
    /// Initializers a caller may override and graph outputs stay. Shared weights make
    /// later pruning and quantization harder: what is done to one of its readers is done to all.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[3] a = {1, 2, 3}, float[3] b = {1, 2, 3}>
    /// {
    ///     c = Mul(x, a)
    ///     y = Add(c, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[3] a = {1, 2, 3}>
    /// {
    ///     c = Mul(x, a)
    ///     y = Add(c, a)
    /// }
    /// ```
    pub struct EliminateDuplicateInitializers
    name: "eliminate-duplicate-initializers",
    accuracy: Exact,
    emits: [],
}

impl Pass for EliminateDuplicateInitializers {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        context.record(&Self::INFO);
        model.edit_graphs(|graph| eliminate(graph, context))?;
        Ok(())
    }
}

fn eliminate(graph: &mut Graph, context: &mut Context) -> Result<bool, PassError> {
    let mut patch = Patch::default();
    let mut rewrites = 0;
    let mut kept: FxHashMap<u64, Vec<(ValueId, &Arc<Tensor>)>> = FxHashMap::default();
    for (id, tensor) in graph.initializers() {
        let value = graph.value(id);
        if value.constant().is_none() || value.uses().len() == 0 {
            continue;
        }
        let candidates = kept.entry(tensor.digest()).or_default();
        match candidates.iter().find(|(_, candidate)| candidate.same_content(tensor)) {
            Some(&(first, _)) if !value.is_output() && !value.is_pinned() => {
                patch.replace(id, first);
                rewrites += 1;
            }
            _ => candidates.push((id, tensor)),
        }
    }
    if rewrites == 0 {
        return Ok(false);
    }
    context.apply(&EliminateDuplicateInitializers::INFO, graph, patch)?;
    context.record(&EliminateDuplicateInitializers::INFO).rewrites += rewrites;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::EliminateDuplicateInitializers;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_equal_bytes_of_other_dimensions_or_types() {
        assert_snapshot!(rewrite(&EliminateDuplicateInitializers {}, "
            g (float[1,1] x) => (float[1,1] y)
            <float[1] a = {0}, float[1,1] b = {0}, int32[1] c = {0}>
            {
                d = Add(x, a)
                e = Add(d, b)
                f = Cast<to = 1>(c)
                y = Add(e, f)
            }
        "), @r"
        eliminate-duplicate-initializers: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_one_the_caller_may_override() {
        assert_snapshot!(rewrite(&EliminateDuplicateInitializers {}, "
            g (float[3] x, float[3] a = {1, 2, 3}) => (float[3] y)
            <float[3] b = {1, 2, 3}>
            {
                c = Mul(x, a)
                y = Add(c, b)
            }
        "), @r"
        eliminate-duplicate-initializers: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn merges_one_that_a_subgraph_reads() {
        assert_snapshot!(rewrite(&EliminateDuplicateInitializers {}, "
            g (float[3] x, bool c) => (float[3] y)
            <float[3] a = {1, 2, 3}, float[3] b = {1, 2, 3}>
            {
                d = Add(x, a)
                y = If (c) <
                    then_branch = t () => (float[3] u) { u = Mul(d, b) },
                    else_branch = e () => (float[3] v) { v = Abs(d) }
                >
            }
        "), @r"
        eliminate-duplicate-initializers: 1 rewrites
        g (float[3] x, bool c) => (float[3] y)
        <float[3] a = {1, 2, 3}>
        {
            d = Add(x, a)
            y = If(c) <
                then_branch = t () => (float[3] u)
                {
                    u = Mul(d, a)
                },
                else_branch = e () => (float[3] v)
                {
                    v = Abs(d)
                }
            >
        }
        ");
    }
}
