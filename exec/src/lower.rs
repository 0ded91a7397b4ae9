//! Lowering: what the runtime's optimizer does to single operators and nothing else.
use tract_onnx::prelude::{TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::optim::{Optimizer, OptimizerSession, TypedPass};

/// Folds constants and makes of every operator the form the runtime runs fast.
///
/// A convolution that is not lowered is lowered in every run, which takes several times as long as the
/// convolution itself. Simplifications across operators are left out: they make tables of what lies between
/// a dequantization and a quantization, which is wrong for what is not element-wise.
pub(crate) fn lower(mut model: TypedModel) -> TractResult<TypedModel> {
    Optimizer::prop_consts().optimize(&mut model)?;
    let passes: Vec<Box<dyn TypedPass>> = vec![Box::<Lowering>::default()];
    Optimizer { passes, steps: None }.optimize(&mut model)?;
    Ok(model)
}

/// Replaces one operator after the other.
#[derive(Clone, Debug, Default)]
struct Lowering {
    next: usize,
}

impl TypedPass for Lowering {
    fn reset(&mut self) -> TractResult<()> {
        self.next = 0;
        Ok(())
    }

    fn next(
        &mut self,
        _session: &mut OptimizerSession<'_>,
        model: &TypedModel,
    ) -> TractResult<Option<TypedModelPatch>> {
        while let Some(node) = model.nodes.get(self.next) {
            self.next += 1;
            if let Some(patch) = node.op.codegen(model, node)? {
                return Ok(Some(patch));
            }
        }
        Ok(None)
    }
}
