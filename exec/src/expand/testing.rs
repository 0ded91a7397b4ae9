//! Comparison of an operator with what it stands for.
use crate::{RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::text;

/// Runs two bodies of a graph on the same inputs and demands the same outputs.
pub(super) fn assert_same(interface: &str, operator: &str, plain: &str) {
    let model = |nodes: &str| format!("{interface} {{ {nodes} }}");
    assert_same_models(&model(operator), &model(plain));
}

/// Runs two models on the same inputs and demands the same outputs.
pub(super) fn assert_same_models(operator: &str, plain: &str) {
    let run = |nodes: &str| {
        let model = text::parse(nodes).expect("the text is valid");
        let inputs = RandomInputs::default().generate(&model).expect("inputs can be made");
        let outputs =
            Runner::new(&model, &RunOptions::default()).and_then(|runner| runner.run(&inputs));
        outputs.unwrap_or_else(|error| panic!("{nodes}: {error}"))
    };
    let (found, expected) = (run(operator), run(plain));
    for comparison in compare(&expected, &found).expect("the outputs correspond") {
        assert!(comparison.max_rel <= 1e-6, "{operator} differs by {}", comparison.max_rel);
    }
}
