//! The list of passes and the explanation of one.
use super::{json, table};
use lapidary::passes::{PassInfo, pipeline};
use serde::Serialize;

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    summary: String,
    accuracy: String,
    emits: &'static [&'static str],
    default: bool,
}

#[derive(Serialize)]
struct List {
    passes: Vec<Entry>,
}

fn entry(info: &'static PassInfo) -> Entry {
    Entry {
        name: info.name,
        summary: info.summary(),
        accuracy: info.accuracy.to_string(),
        emits: info.emits,
        default: pipeline::OPTIMIZE.iter().any(|pass| pass.info().name == info.name),
    }
}

/// Prints the list.
pub(crate) fn passes(as_json: bool) {
    let passes: Vec<Entry> = lapidary::passes::passes().map(|pass| entry(pass.info())).collect();
    if as_json {
        return json("passes", &List { passes });
    }
    let row = |entry: Entry| vec![entry.name.to_owned(), entry.accuracy, entry.summary];
    let mut table = table(&["pass", "accuracy", ""], passes.into_iter().map(row).collect());
    for column in table.column_iter_mut() {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    println!("{table}");
}

/// Prints the explanation.
pub(crate) fn pass(info: &'static PassInfo, as_json: bool) {
    if as_json {
        return json("pass", &entry(info));
    }
    println!("{} ({})\n", info.name, info.accuracy);
    for line in info.doc {
        println!("{}", line.strip_prefix(' ').unwrap_or(line));
    }
}
