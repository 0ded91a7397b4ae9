//! The harness of the tests of passes: rewrite, validate, execute before and after, compare.
use crate::{Accuracy, Context, Pass, driver};
use lapidary_exec::{RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{Graph, Model, Node, text};

/// Runs one pass over a model in ONNX text.
///
/// The text is parsed, validated, executed on seeded inputs; then the pass runs until it is done,
/// and once more to prove that it is; the result is validated, executed and compared within the
/// tolerance the pass promises. Returns the number of rewrites or the reasons for none, then the
/// new graph, or `unchanged`.
///
/// # Panics
/// When any of that fails.
pub(crate) fn rewrite(pass: &dyn Pass, source: &str) -> String {
    let (original, changed, report) = transform(pass, source);
    if pass.info().accuracy != Accuracy::Lossy {
        assert_same_outputs(&original, &changed, pass.info().accuracy);
    }
    report
}

/// Like [`rewrite`], without executing: for what the runtime does not run, such as operators it
/// lacks, random ones and graphs without a meaning.
pub(crate) fn rewrite_unexecuted(pass: &dyn Pass, source: &str) -> String {
    transform(pass, source).2
}

/// The model before and after a pass, and the report.
fn transform(pass: &dyn Pass, source: &str) -> (Model, Model, String) {
    let original = parse(source);
    let mut model = original.clone();
    model.graph.infer();
    let before = print(&model);
    let mut context = Context { validate_each: true, ..Context::default() };
    driver::run(&[pass], &mut model, &mut context).expect("the pass runs");
    let mut again = model.clone();
    let mut second = Context { validate_each: true, ..Context::default() };
    driver::run(&[pass], &mut again, &mut second).expect("the pass runs again");
    assert_eq!(second.rewrites(), 0, "a second run of the pass rewrites nothing");
    assert_emits_what_it_declares(pass, &original, &model);
    let after = print(&model);
    let record = &context.records[0];
    let mut report = format!("{}: {} rewrites", pass.info().name, record.rewrites);
    if record.skips.is_empty() && record.rewrites == 0 {
        report.push_str(" (no match)");
    }
    for (reason, count) in &record.skips {
        report.push_str(&format!("\nskipped {count}: {reason}"));
    }
    let graph = if before == after { "unchanged" } else { &after };
    let report = format!("{report}\n{graph}");
    (original, model, report)
}

/// A model in ONNX text, with its functions.
pub(crate) fn print(model: &Model) -> String {
    text::print_model(model, text::PrintOptions::default())
}

/// A valid model from text.
pub(crate) fn parse(source: &str) -> Model {
    let model = text::parse(source).unwrap_or_else(|error| panic!("{error}"));
    let violations = model.validate();
    assert!(violations.is_empty(), "the text is a valid model: {violations:?}");
    model
}

/// A valid model from text, with inferred types.
pub(crate) fn model(source: &str) -> Model {
    let mut model = parse(source);
    model.graph.infer();
    model
}

/// Executes both models on seeded inputs and compares all outputs.
pub(crate) fn assert_same_outputs(original: &Model, changed: &Model, accuracy: Accuracy) {
    let options = RunOptions::default();
    let before = Runner::new(original, &options).expect("the original loads");
    let after = Runner::new(changed, &options).expect("the result loads");
    for seed in 0..2 {
        let random = RandomInputs { seed, ..RandomInputs::default() };
        let inputs = random.generate(original).expect("inputs can be made");
        let expected = before.run(&inputs).expect("the original runs");
        let found = after.run(&inputs).expect("the result runs");
        for comparison in compare(&expected, &found).expect("the outputs correspond") {
            assert!(
                comparison.max_rel <= accuracy.tolerance(),
                "output `{}` differs by {}, allowed is {} ({accuracy})",
                comparison.name,
                comparison.max_rel,
                accuracy.tolerance(),
            );
        }
    }
}

fn assert_emits_what_it_declares(pass: &dyn Pass, original: &Model, changed: &Model) {
    let had: Vec<&str> =
        all_nodes(&original.graph).iter().map(|node| node.op_type.as_str()).collect();
    for node in all_nodes(&changed.graph) {
        let name = if node.is_standard() {
            node.op_type.clone()
        } else {
            format!("{}.{}", node.domain, node.op_type)
        };
        assert!(
            had.contains(&node.op_type.as_str()) || pass.info().emits.contains(&name.as_str()),
            "{} introduces {name}, which it does not declare",
            pass.info().name,
        );
    }
}

/// The nodes of a graph and its subgraphs.
fn all_nodes(graph: &Graph) -> Vec<&Node> {
    let nodes = graph.nodes().map(|(_, node)| node);
    nodes
        .flat_map(|node| std::iter::once(node).chain(node.subgraphs().flat_map(all_nodes)))
        .collect()
}
