//! Proof piece by piece: what a rewrite left alone is the same by construction, what it changed
//! is executed by itself.
//!
//! Values keep their names, so a value of the same name in both models is *claimed* to be the
//! same. A claim is proved
//!
//! * by construction, when both are the same expression of values that are claimed to be the same;
//! * by execution, when both, computed from random numbers for the claimed values they depend on,
//!   come out the same.
//!
//! The graph's outputs are claimed; from there on backwards, every claim a proof rests on is
//! proved in turn. The order of the nodes of the original is the induction: a claim rests only on
//! claims before it. (What the changed model computes may also depend on others, but being the
//! same for all random numbers it does so in vain.)
//!
//! Random numbers are of the range of what they stand for: nothing is negative behind a `Relu`. A claim may still fail
//! because they are no possible ones (negative for a square), or because the value has another meaning by now. Then it is no longer claimed and no
//! longer rested on, nor is what it rested on: what used them is proved from further back. What is
//! left in the end is for the execution of the whole models to decide.
mod claims;
mod execute;
mod range;
mod regions;
#[cfg(test)]
mod tests;

use claims::Claims;
use execute::{Bench, Verdict};
use lapidary_exec::{ExecError, RandomInputs};
use lapidary_ir::{Dim, Model};
use regions::{Plan, Region};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How far back the claims a failed one rests on are given up, round by round.
const ROUNDS: [usize; 3] = [1, 4, usize::MAX];

/// What was proved about a changed model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Values that are the same by construction.
    pub by_construction: usize,
    /// Values that are the same when executed.
    pub by_execution: usize,
    /// The largest difference, relative to the largest magnitude of the value.
    pub max_rel: f64,
    /// Values that could not be executed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_executable: Vec<NotExecutable>,
    /// Values that differ whatever they are computed from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differing: Vec<Difference>,
    /// The values that differed first, computed from random numbers for what they depend on.
    #[serde(skip)]
    pub suspects: Vec<Difference>,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The value.
    pub value: String,
    /// By how much, relative to its largest magnitude; infinite when type or shape differ.
    pub max_rel: f64,
}

/// A value whose computation the runtime can't execute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotExecutable {
    /// The value.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// What a proof may cost.
#[derive(Debug, Clone, Copy)]
pub struct ProofOptions {
    /// Bytes one changed region may have: constants and values.
    pub limit: u64,
    /// Bytes of the regions that are executed together.
    pub together: u64,
}

impl Default for ProofOptions {
    fn default() -> Self {
        Self { limit: 256 << 20, together: 2 << 20 }
    }
}

impl Proof {
    /// Whether everything was proved.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.differing.is_empty() && self.not_executable.is_empty()
    }

    /// Proves that `changed` computes what `original` does, as far as that goes piece by piece.
    #[must_use]
    pub fn new(original: &Model, changed: &Model, options: &ProofOptions) -> Self {
        let mut proof = Self::default();
        for (number, dims) in bindings(original).into_iter().enumerate() {
            let found = match dims {
                Ok(dims) => {
                    let models = [original.bound(&dims), changed.bound(&dims)];
                    Prover::new(&models, number as u64, options).prove()
                }
                Err(error) => {
                    let models = [original.clone(), changed.clone()];
                    let mut found = Prover::new(&models, 0, options).prove();
                    found.not_executable.iter_mut().for_each(|n| n.reason = error.to_string());
                    found
                }
            };
            let by_construction = found.by_execution == 0 && found.is_complete();
            proof = proof.and(found, number == 0);
            if by_construction || !proof.is_complete() {
                break;
            }
        }
        proof
    }

    /// What two runs found together. Counts are those of the first.
    fn and(mut self, other: Self, first: bool) -> Self {
        if first {
            return other;
        }
        self.max_rel = self.max_rel.max(other.max_rel);
        let known: BTreeSet<NotExecutable> = self.not_executable.iter().cloned().collect();
        let new = other.not_executable.into_iter().filter(|value| !known.contains(value));
        self.not_executable.extend(new);
        self.differing.extend(other.differing);
        self.suspects.extend(other.suspects);
        self
    }
}

/// The dimensions of the inputs, for two runs: other sizes in the second where sizes are open.
fn bindings(model: &Model) -> [Result<BTreeMap<String, Vec<i64>>, ExecError>; 2] {
    let small = RandomInputs { batch: 1, ..RandomInputs::default() };
    let mut large = RandomInputs { batch: 2, ..RandomInputs::default() };
    for id in model.graph.required_inputs() {
        let shape = model.graph.value(id).shape().unwrap_or_default();
        for (axis, dim) in shape.iter().enumerate().skip(1) {
            if let Some(param) = dim.as_param() {
                let size = if axis > 1 && shape.len() >= 4 { 32 } else { 7 };
                let size = if axis == 1 && shape.len() >= 4 { 3 } else { size };
                large.dims.entry(param.to_owned()).or_insert(size);
            }
        }
        if let Some(param) = shape.first().and_then(Dim::as_param) {
            large.dims.insert(param.to_owned(), 2);
        }
    }
    [small.dimensions(model), large.dimensions(model)]
}

/// A proof being made, for inputs of fixed dimensions.
struct Prover<'a> {
    claims: Claims<'a>,
    bench: Bench,
    options: &'a ProofOptions,
    /// What execution said about claims resting on others.
    known: BTreeMap<(u32, Vec<u32>), Verdict>,
}

impl<'a> Prover<'a> {
    fn new(models: &'a [Model; 2], seed: u64, options: &'a ProofOptions) -> Self {
        let claims = Claims::new(models);
        Self { claims, bench: Bench { seed }, options, known: BTreeMap::new() }
    }

    fn prove(mut self) -> Proof {
        let mut proof = Proof::default();
        let Some(outputs) = self.claims.outputs() else {
            let value = "the outputs".to_owned();
            proof.differing.push(Difference { value, max_rel: f64::INFINITY });
            return proof;
        };
        let mut rounds = 0;
        let mut unsupported = BTreeSet::new();
        loop {
            let plan = Plan::new(&self.claims, &outputs);
            let constants =
                plan.regions.iter().filter(|region| self.claims.is_constant(region.claim));
            let constants: Vec<&Region> = constants.collect();
            self.execute(&constants);
            let failed: Vec<u32> = self.failed(&constants, false);
            if !failed.is_empty() {
                // The name stands for other data by now.
                self.claims.give_up(&failed, 0);
                continue;
            }
            let regions: Vec<&Region> = plan.regions.iter().collect();
            self.execute(&regions);
            let failed = self.failed(&regions, rounds + 1 >= ROUNDS.len());
            if rounds == 0 {
                proof.suspects = self.differences(&regions);
                unsupported = self.not_executable(&regions);
            }
            if failed.is_empty() || rounds == ROUNDS.len() {
                return self.finish(&plan, &unsupported, proof);
            }
            // What rests on a failed claim fails with it.
            let first = |region: &&&Region| {
                !region.rests.iter().any(|claim| failed.binary_search(claim).is_ok())
            };
            let open = regions.iter().filter(|region| failed.binary_search(&region.claim).is_ok());
            let first: Vec<u32> = open.filter(first).map(|region| region.claim).collect();
            let given_up = if first.is_empty() { &failed } else { &first };
            self.claims.give_up(given_up, ROUNDS[rounds]);
            rounds += 1;
        }
    }

    /// The claims of these regions that need another look, sorted.
    fn failed(&self, regions: &[&Region], last: bool) -> Vec<u32> {
        let open = regions.iter().filter(|region| self.known[&region.key()].is_open(last));
        let mut claims: Vec<u32> = open.map(|region| region.claim).collect();
        claims.sort_unstable();
        claims
    }

    /// What differs, in the order of the original.
    fn differences(&self, regions: &[&Region]) -> Vec<Difference> {
        let mut found: BTreeMap<u32, f64> = BTreeMap::new();
        for region in regions {
            if let Some(difference) = self.known[&region.key()].difference() {
                found.insert(region.claim, difference);
            }
        }
        let claims: Vec<u32> = found.keys().copied().collect();
        let named = self.claims.in_order(&claims).into_iter();
        named
            .map(|claim| Difference {
                value: self.claims.name(claim).to_owned(),
                max_rel: found[&claim],
            })
            .collect()
    }

    /// What can't be executed.
    fn not_executable(&self, regions: &[&Region]) -> BTreeSet<NotExecutable> {
        let reason = |region: &&Region| {
            let value = self.claims.name(region.claim).to_owned();
            let reason = self.known[&region.key()].failure()?.to_owned();
            Some(NotExecutable { value, reason })
        };
        regions.iter().filter_map(reason).collect()
    }

    /// The proof of the last plan. `unsupported` is what could not be executed at first.
    fn finish(
        &self,
        plan: &Plan,
        unsupported: &BTreeSet<NotExecutable>,
        mut proof: Proof,
    ) -> Proof {
        let regions: Vec<&Region> = plan.regions.iter().collect();
        let equal = regions.iter().filter_map(|region| self.known[&region.key()].equal());
        proof.by_construction = plan.by_construction;
        proof.by_execution = equal.clone().count();
        proof.max_rel = equal.fold(0.0, f64::max);
        proof.differing = self.differences(&regions);
        let not_executable = self.not_executable(&regions);
        if proof.differing.is_empty() && !not_executable.is_subset(unsupported) {
            // What differed is now part of something that can't be executed.
            proof.differing.clone_from(&proof.suspects);
        }
        proof.not_executable = not_executable.into_iter().collect();
        proof
    }

    /// Executes the regions not executed before: small ones together, cropped where that is the
    /// same; what fails then once more by itself and whole.
    fn execute(&mut self, regions: &[&Region]) {
        let new = regions.iter().copied();
        let new: Vec<&Region> =
            new.filter(|region| !self.known.contains_key(&region.key())).collect();
        let mut groups: Vec<(Vec<&Region>, bool)> = Vec::new();
        for group in regions::groups(&new, self.options.together) {
            groups.push((group, true));
        }
        while let Some((group, cropped)) = groups.pop() {
            if let [region] = group[..]
                && let Some(reason) = region.too_much(self.options.limit)
            {
                self.known.insert(region.key(), Verdict::Unsupported(reason.to_owned()));
                continue;
            }
            match self.bench.run(&self.claims, &group, cropped) {
                Ok(verdicts) => {
                    let mut again = Vec::new();
                    for (&region, verdict) in group.iter().zip(verdicts) {
                        if cropped && region.is_cropped() && verdict.is_open(false) {
                            again.push(region);
                        } else {
                            self.known.insert(region.key(), verdict);
                        }
                    }
                    groups.extend(again.into_iter().map(|region| (vec![region], false)));
                }
                Err(error) => match group[..] {
                    [region] if cropped && region.is_cropped() => groups.push((group, false)),
                    [region] => {
                        self.known.insert(region.key(), Verdict::failed(&error));
                    }
                    _ => {
                        let (left, right) = group.split_at(group.len() / 2);
                        groups.push((left.to_vec(), cropped));
                        groups.push((right.to_vec(), cropped));
                    }
                },
            }
        }
    }
}
