//! What the tests of changes share.
use super::super::testing::model;
use super::change::FloatChange;
use super::statistics::ChannelStatistics;
use crate::{Accuracy, PassError};
use lapidary_exec::{ExecError, Inputs, RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{Model, text};

/// A model after a change.
pub(super) struct Changed {
    /// The graph.
    pub(super) text: String,
    /// What was changed and what not.
    pub(super) report: String,
    /// Whether any constant is another one.
    pub(super) is_changed: bool,
    model: Model,
}

impl Changed {
    /// The numbers of a constant.
    pub(super) fn numbers(&self, name: &str) -> Vec<f32> {
        let graph = &self.model.graph;
        let tensor = graph.find(name).and_then(|id| graph.constant(id)).expect("it is a constant");
        tensor.to_vec().expect("it is float")
    }
}

/// What a change makes of a model with the statistics of some samples, on which it computes the same afterwards.
pub(super) fn change(
    source: &str,
    change: impl FnOnce(&mut Model, &ChannelStatistics) -> Result<FloatChange, PassError>,
) -> Changed {
    let original = model(source);
    let sample = |seed| RandomInputs { seed, ..RandomInputs::default() }.generate(&original);
    let samples: Vec<Inputs> =
        (0..4).map(|seed| sample(seed).expect("inputs can be made")).collect();
    let given = samples.iter().map(|sample| Ok::<_, ExecError>(sample.clone()));
    let statistics = ChannelStatistics::collect(&original, given).expect("the model runs");
    let mut model = original.clone();
    let change = change(&mut model, &statistics).expect("it fits the graph");
    assert_eq!(model.validate(), [], "the changed model is valid");
    let runner = |model| Runner::new(model, &RunOptions::default()).expect("the model loads");
    let (before, after) = (runner(&original), runner(&model));
    for sample in &samples {
        let run = |runner: &Runner| runner.run(sample).expect("the model runs");
        for found in compare(&run(&before), &run(&after)).expect("the outputs correspond") {
            let allowed = Accuracy::Rounding.tolerance();
            assert!(found.max_rel <= allowed, "`{}` differs by {}", found.name, found.max_rel);
        }
    }
    let mut lines = change.changed.clone();
    for (reason, nodes) in &change.left_alone {
        lines.push(format!("{}: {reason}", nodes.join(", ")));
    }
    let (text, was) = (text::print(&model.graph), text::print(&original.graph));
    Changed { is_changed: text != was, text, report: lines.join("\n"), model }
}
