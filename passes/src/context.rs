//! What a run of passes carries along: settings in, records out.
use crate::Skip;
use crate::pass::PassInfo;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Settings and records of one run over one model.
#[derive(Debug, Clone)]
pub struct Context {
    /// Validate the whole model after each pass, not only at the end of a pipeline.
    pub validate_each: bool,
    /// How far folding may make the model larger.
    pub growth: GrowthBudget,
    /// Rewrites after which no pass starts another one; for finding the one at fault.
    pub limit: Option<usize>,
    /// Bytes folding has made the model larger so far.
    pub grown: u64,
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

impl Default for GrowthBudget {
    fn default() -> Self {
        Self { per_value: 1 << 20, total: 4 << 20 }
    }
}

/// What one pass did to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The pass.
    pub pass: &'static str,
    /// Patches applied.
    pub rewrites: usize,
    /// Sites left alone: reason and count, sites that don't match at all not among them.
    pub skips: BTreeMap<String, usize>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            validate_each: cfg!(debug_assertions),
            growth: GrowthBudget::default(),
            limit: None,
            grown: 0,
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

    /// Whether the limit of rewrites is reached.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.rewrites() >= limit)
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

    /// Counts what a rule answered.
    pub fn answer(&mut self, skip: Skip) {
        if let Skip::Because(reason) = skip {
            self.skip(reason);
        }
    }
}
