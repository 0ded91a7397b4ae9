//! The report of `optimize`.
use super::ledger::{PassReport, ledger};
use super::verification::{Verification, verification_line};
use super::{cost_cells, json, table};
use lapidary::Cost;
use lapidary::passes::{Record, Reverted};
use serde::Serialize;
use std::collections::BTreeMap;

/// What `optimize` did.
pub(crate) struct OptimizeReport<'a> {
    /// The cost of the original.
    pub(crate) before: Cost,
    /// The cost of the result.
    pub(crate) after: Cost,
    /// What each pass did.
    pub(crate) passes: &'a [Record],
    /// Passes whose work was undone.
    pub(crate) reverted: &'a [Reverted],
    /// How the result was checked.
    pub(crate) verification: Verification,
}

#[derive(Serialize)]
struct OptimizeJson<'a> {
    before: Cost,
    after: Cost,
    passes: Vec<PassReport>,
    reverted: BTreeMap<&'a str, &'a str>,
    verification: &'a Verification,
}

/// Prints what `optimize` did.
pub(crate) fn optimize<'a>(report: &OptimizeReport<'a>, explain: bool, as_json: bool) {
    let passes: Vec<PassReport> = report.passes.iter().map(PassReport::from).collect();
    if as_json {
        let (before, after) = (report.before, report.after);
        let verification = &report.verification;
        let named = |reverted: &'a Reverted| (reverted.pass, reverted.reason.as_str());
        let reverted = report.reverted.iter().map(named).collect();
        return json("optimize", &OptimizeJson { before, after, passes, reverted, verification });
    }
    let line = |name: &str, cost: Cost| {
        let mut row = vec![name.to_owned()];
        row.extend(cost_cells(cost));
        row
    };
    let rows = vec![line("original", report.before), line("optimized", report.after)];
    println!("{}\n", table(&["", "nodes", "parameters", "bytes", "MACs"], rows));
    ledger(&passes, explain);
    for Reverted { pass, reason } in report.reverted {
        println!("{pass}: left out: {reason}");
    }
    if explain {
        passes.iter().for_each(PassReport::print_left_alone);
    }
    println!("{}", verification_line(&report.verification));
}
