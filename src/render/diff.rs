//! What two models have different.
use super::{grouped, json, table};
use lapidary::{Diff, Pair};

/// Prints the differences.
pub(crate) fn diff(diff: &Diff, as_json: bool) {
    if as_json {
        return json("diff", diff);
    }
    if diff.is_equal() {
        println!("equal: {} nodes", diff.equal);
        return;
    }
    for (what, pair) in &diff.header {
        println!("{what}: {}", arrow(pair));
    }
    diff.inputs.iter().for_each(|pair| println!("input: {}", arrow(pair)));
    diff.outputs.iter().for_each(|pair| println!("output: {}", arrow(pair)));
    diff.removed.iter().for_each(|node| println!("- {node}"));
    diff.added.iter().for_each(|node| println!("+ {node}"));
    for change in &diff.changed {
        println!("~ {}", change.node);
        for (what, pair) in &change.changes {
            println!("    {what}: {}", arrow(pair));
        }
    }
    diff.renamed.iter().for_each(|pair| println!("= {}", arrow(pair)));
    if !diff.initializers.is_empty() {
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        let row = |change: &lapidary::TensorChange| {
            let bytes = change.bytes.map(grouped);
            let mut row = vec![change.name.clone(), text(&change.before), text(&change.after)];
            row.extend(bytes);
            row
        };
        let rows = diff.initializers.iter().map(row).collect();
        println!("\n{}", table(&["initializer", "before", "after", "bytes", "bytes after"], rows));
    }
    if !diff.operators.is_empty() {
        let row = |(operator, [before, after]): (&String, &[usize; 2])| {
            vec![operator.clone(), before.to_string(), after.to_string()]
        };
        let rows = diff.operators.iter().map(row).collect();
        println!("\n{}", table(&["operator", "before", "after"], rows));
    }
    let Diff { added, removed, changed, renamed, equal, .. } = diff;
    println!(
        "\nnodes: {} removed, {} added, {} changed, {} renamed, {equal} equal",
        removed.len(),
        added.len(),
        changed.len(),
        renamed.len()
    );
}

fn arrow(Pair { before, after }: &Pair) -> String {
    let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("{} -> {}", text(before), text(after))
}
