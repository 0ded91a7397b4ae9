//! The part of `lapidary prune` that removes blocks.
use crate::render::Progress;
use lapidary::ir::Model;
use lapidary::passes::prune::compensated::{BlockChoice, DroppedBlocks, Target};
use lapidary::{Cost, Dataset, Error};

/// Removes blocks of a model.
pub(super) fn drop(
    model: &mut Model,
    data: Option<&Dataset>,
    choice: &BlockChoice,
) -> Result<DroppedBlocks, Error> {
    let data = data.ok_or_else(|| Error::Usage {
        problem: "blocks are chosen and made up for on samples".to_owned(),
        help: "give them with --data FILE.npz; labels are not needed".to_owned(),
    })?;
    let progress = Progress::steps();
    let show = |what, done, all| progress.show(what, done, all);
    lapidary::drop_blocks(model, data, choice, &show)
}

/// The target of a model that is left of another one, for which it was meant; none when it is met. Of a resource that
/// counts something: others stay as they are.
pub(super) fn rest(target: &Target, original: &Model, left: &Model) -> Option<Target> {
    let cost = |model: &Model| Some(Cost::of(model).of_resource(target.resource)? as f64);
    let Some((before, after)) = cost(original).zip(cost(left)) else { return Some(*target) };
    let share = target.share * before / after.max(1.0);
    (share < 1.0).then_some(Target { share, ..*target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary::ir::text;
    use lapidary::passes::prune::Resource;

    #[test]
    fn a_target_counts_what_is_gone_already() {
        let model = |columns: usize| {
            let source = format!(
                "g (float[1,4] x) => (float[1,{columns}] y) <float[4,{columns}] w> {{ y = MatMul(x, w) }}"
            );
            let mut model = text::parse(&source).expect("the text is a model");
            model.graph.infer();
            model
        };
        let target = Target { resource: Resource::Macs, share: 0.25 };
        let left = rest(&target, &model(8), &model(4)).expect("it is not met");
        assert!((left.share - 0.5).abs() < 1e-12);
        assert!(rest(&target, &model(8), &model(2)).is_none());
    }
}
