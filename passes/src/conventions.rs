//! The conventions passes follow, as tests.
use crate::testing::{parse, rewrite, rewrite_unexecuted};
use crate::{Accuracy, Pass, eliminate, fold, passes};
use lapidary_exec::{RunOptions, Runner};
use lapidary_ir::{schema, text};
use std::collections::BTreeSet;

/// The ONNX text of an example: before and after.
fn example(pass: &dyn Pass) -> Option<(String, String)> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in pass.info().doc {
        match line.trim() {
            "```onnx" => {
                inside = true;
                blocks.push(String::new());
            }
            "```" => inside = false,
            _ if inside => {
                let block = blocks.last_mut()?;
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    let [before, after] = <[String; 2]>::try_from(blocks).ok()?;
    Some((before, after))
}

#[test]
fn every_pass_is_documented_by_a_true_example() {
    for pass in passes() {
        let name = pass.info().name;
        let Some((before, after)) = example(pass) else {
            // What a lossy pass does depends on a plan: its module shows it.
            assert_eq!(pass.info().accuracy, Accuracy::Lossy, "{name} has no example");
            continue;
        };
        // A few operators the runtime lacks: their examples are compared as text only.
        let runs = Runner::new(&parse(&before), &RunOptions::default()).is_ok();
        let report = if runs { rewrite(pass, &before) } else { rewrite_unexecuted(pass, &before) };
        let expected = text::print(&parse(&after).graph);
        assert!(!report.contains(": 0 rewrites"), "{name}: {report}");
        assert!(report.ends_with(&expected), "{name} makes\n{report}\ninstead of\n{expected}");
    }
}

#[test]
fn name_path_and_struct_of_a_pass_agree() {
    for pass in passes() {
        let info = pass.info();
        let file = info.file.replace('\\', "/");
        // Between the folder of the verb and the file there may be one for a family.
        let path = file.trim_end_matches(".rs").split_once("/src/").map(|(_, path)| path);
        let path: Vec<_> = path.unwrap_or_default().split('/').collect();
        let [verb, .., subject] = path[..] else { panic!("{file} is in no folder") };
        assert_eq!(info.name, format!("{verb}-{subject}").replace('_', "-"), "{file}");
        let words = info.name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
        let expected = words.collect::<String>();
        let debug = format!("{pass:?}");
        assert!(debug.starts_with(&expected), "{debug} is called {}", info.name);
    }
}

#[test]
fn names_of_passes_are_unique() {
    let names: Vec<&str> = passes().map(|pass| pass.info().name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn the_summary_of_a_pass_is_one_sentence() {
    for pass in passes() {
        let summary = pass.info().summary();
        assert!(summary.ends_with('.'), "{summary}");
        assert!(!summary.trim_end_matches('.').contains(". "), "{summary}");
    }
}

#[test]
fn emitted_operators_exist() {
    for pass in passes() {
        for op_type in pass.info().emits.iter().filter(|op_type| !op_type.contains('.')) {
            assert!(schema::operator(op_type).is_some(), "{}: {op_type}", pass.info().name);
        }
    }
}

#[test]
fn every_reason_to_skip_is_tested() {
    for pass in eliminate::PASSES.iter().chain(fold::PASSES) {
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let source = std::fs::read_to_string(format!("{workspace}/{}", pass.info().file));
        let source = source.expect("the source of the pass is there");
        let (code, tests) = source.split_once("mod tests {").unwrap_or((&source, ""));
        for guard in code.split("require(").skip(1).chain(code.split("or_skip(").skip(1)) {
            let Some(statement) = guard.split(';').next() else { continue };
            let Some(reason) = statement.rsplit('"').nth(1) else { continue };
            let name = pass.info().name;
            assert!(tests.contains(reason), "{name}: no test skips because \"{reason}\"");
        }
    }
}
