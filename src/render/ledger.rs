//! What passes did.
use super::{grouped, signed, table};
use lapidary::passes::Record;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a pass did, and what it left alone.
#[derive(Serialize)]
pub(super) struct PassReport {
    pass: String,
    rewrites: usize,
    /// Nodes added, less those removed.
    nodes: i64,
    /// Bytes of initializers added, less those removed.
    bytes: i64,
    seconds: f64,
    left_alone: BTreeMap<String, usize>,
}

impl From<&Record> for PassReport {
    fn from(record: &Record) -> Self {
        Self {
            pass: record.pass.to_owned(),
            rewrites: record.rewrites,
            nodes: record.nodes,
            bytes: record.bytes,
            seconds: record.time.as_secs_f64(),
            left_alone: record.skips.clone(),
        }
    }
}

impl PassReport {
    /// Prints what was left alone and why.
    pub(super) fn print_left_alone(&self) {
        for (reason, count) in &self.left_alone {
            println!("{}: left {count} alone: {reason}", self.pass);
        }
    }
}

/// What each pass that did something did, and on request how long it took.
pub(super) fn ledger(passes: &[PassReport], with_time: bool) {
    let mut header = vec!["pass", "rewrites", "nodes", "bytes"];
    if with_time {
        header.push("ms");
    }
    let row = |pass: &PassReport| {
        let mut row = vec![pass.pass.clone(), grouped(pass.rewrites as u64)];
        row.extend([signed(pass.nodes), signed(pass.bytes)]);
        if with_time {
            row.push(format!("{:.1}", 1000.0 * pass.seconds));
        }
        row
    };
    let rows: Vec<_> = passes.iter().filter(|pass| pass.rewrites > 0).map(row).collect();
    if !rows.is_empty() {
        println!("{}\n", table(&header, rows));
    }
}

/// What lossy passes left alone.
pub(super) fn left_alone(passes: &[PassReport]) {
    let lossy = passes.iter().filter(|pass| pass.pass.starts_with("prune-"));
    lossy.for_each(PassReport::print_left_alone);
}
