//! Residual blocks that go.
use crate::prune::{executed, read};
use crate::{Cost, Dataset, Error, optimize, optimize_with};
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::{
    Block, BlockChoice, BlockError, DroppedBlocks, NoBlock, Progress, residual_blocks,
};
use lapidary_passes::{Context, driver, pipeline};

/// Removes residual blocks; products before and behind are fitted on the samples to make up for them. The model is
/// optimized before and after.
///
/// # Errors
/// When samples can't be read, the model can't be executed, there are no such blocks or a pass is at fault.
pub fn drop_blocks(
    model: &mut Model,
    data: &Dataset,
    choice: &BlockChoice,
    progress: Progress<'_>,
) -> Result<DroppedBlocks, Error> {
    let before = Cost::of(model).macs as f64;
    let mut changed = model.clone();
    optimize_with(&mut changed, &pipeline::unshared(), &mut Context::default())?;
    changed.graph.infer();
    let samples = read(data)?;
    let dropped =
        lapidary_passes::prune::compensated::drop_blocks(&mut changed, &samples, choice, progress);
    let mut dropped = dropped.map_err(|error| match error {
        BlockError::Prune(error) => executed(error),
        error => Error::Blocks(error),
    })?;
    optimize(&mut changed)?;
    driver::check("prune", &changed)?;
    changed.graph.infer();
    dropped.share = Cost::of(&changed).macs as f64 / before.max(1.0);
    *model = changed;
    Ok(dropped)
}

/// The residual blocks of the optimized model, and the additions that close none.
///
/// # Errors
/// When a pass is at fault.
pub fn find_blocks(model: &Model) -> Result<(Vec<Block>, Vec<NoBlock>), Error> {
    let mut optimized = model.clone();
    optimize_with(&mut optimized, &pipeline::unshared(), &mut Context::default())?;
    optimized.graph.infer();
    Ok(residual_blocks(&optimized.graph))
}
