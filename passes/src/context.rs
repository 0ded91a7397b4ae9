//! What a run of passes carries along: settings in, records out.
use crate::Skip;
use crate::pass::{PassError, PassInfo};
use lapidary_ir::{Applied, Graph, Patch};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings and records of one run over one model.
#[derive(Debug, Clone)]
pub struct Context {
    /// Validate the whole model after each pass, not only at the end of a pipeline.
    pub validate_each: bool,
    /// How far folding may make the model larger.
    pub growth: GrowthBudget,
    /// Bytes folding has made the model larger so far.
    pub grown: u64,
    /// Bytes the file may be larger in the end.
    pub file_growth: u64,
    /// Passes that were left out, and why.
    pub reverted: Vec<Reverted>,
    /// What each pass did, in the order of their first run.
    pub records: Vec<Record>,
}

/// Folding replaces a computed value by its data only within these bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowthBudget {
    /// Bytes one folded value may be larger than the constants it makes unnecessary.
    pub per_value: u64,
    /// Bytes all folded values together may be larger than the constants they make unnecessary.
    pub total: u64,
}

impl GrowthBudget {
    /// Nothing may grow.
    pub const NONE: Self = Self { per_value: 0, total: 0 };
}

impl Default for GrowthBudget {
    fn default() -> Self {
        Self { per_value: 1 << 20, total: 4 << 20 }
    }
}

/// A pass whose work was undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The pass.
    pub pass: &'static str,
    /// What it did wrong.
    pub reason: String,
}

/// What one pass did to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The pass.
    pub pass: &'static str,
    /// Patches applied.
    pub rewrites: usize,
    /// Nodes the model has more than before, subgraphs included.
    pub nodes: i64,
    /// Bytes of initializers the model has more than before.
    pub bytes: i64,
    /// Time spent looking and rewriting.
    pub time: Duration,
    /// Sites left alone: reason and count, sites that don't match at all not among them.
    pub skips: BTreeMap<String, usize>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            validate_each: cfg!(debug_assertions),
            growth: GrowthBudget::default(),
            grown: 0,
            file_growth: 0,
            reverted: Vec::new(),
            records: Vec::new(),
        }
    }
}

impl Context {
    /// The record of a pass, made on first use.
    pub fn record(&mut self, info: &PassInfo) -> &mut Record {
        let index = self.records.iter().position(|record| record.pass == info.name);
        let index = index.unwrap_or_else(|| {
            self.records.push(Record { pass: info.name, ..Record::default() });
            self.records.len() - 1
        });
        &mut self.records[index]
    }

    /// Applies a patch to a graph, infers what it touched, and keeps the books of `info`'s pass,
    /// all but the number of rewrites.
    ///
    /// # Errors
    /// When the patch can't be applied: a fault of the pass.
    pub fn apply(
        &mut self,
        info: &PassInfo,
        graph: &mut Graph,
        patch: Patch,
    ) -> Result<Applied, PassError> {
        let applied = graph.apply(patch);
        let applied = applied.map_err(|source| PassError::Patch { pass: info.name, source })?;
        graph.infer_from(&applied.touched);
        self.record(info).count(&applied);
        Ok(applied)
    }

    /// The passes that have rewritten something since `before`, a copy of this.
    pub(crate) fn active_since(&self, before: &Self) -> Vec<&'static str> {
        let rewrites = |record: &Record| {
            before.records.iter().find(|r| r.pass == record.pass).map_or(0, |r| r.rewrites)
        };
        let active = self.records.iter().filter(|record| record.rewrites > rewrites(record));
        active.map(|record| record.pass).collect()
    }

    /// All rewrites so far.
    #[must_use]
    pub fn rewrites(&self) -> usize {
        self.records.iter().map(|record| record.rewrites).sum()
    }
}

impl Record {
    /// Counts a site that was left alone.
    pub fn skip(&mut self, reason: impl Into<Cow<'static, str>>) {
        *self.skips.entry(reason.into().into_owned()).or_default() += 1;
    }

    /// Counts what a patch did.
    pub(crate) fn count(&mut self, applied: &Applied) {
        self.nodes += applied.added as i64 - applied.removed as i64;
        self.bytes += applied.bytes;
    }

    /// Adds what the same pass did elsewhere.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rewrites += other.rewrites;
        self.nodes += other.nodes;
        self.bytes += other.bytes;
        self.time += other.time;
        for (reason, count) in other.skips {
            *self.skips.entry(reason).or_default() += count;
        }
    }

    /// Counts what a rule answered.
    pub fn answer(&mut self, skip: Skip) {
        if let Skip::Because(reason) = skip {
            self.skip(reason);
        }
    }
}
