//! How `optimize` checks its result.
use crate::cli::{Optimize, VerifyMode};
use crate::render::Verification;
use lapidary::exec::RandomInputs;
use lapidary::ir::Model;
use lapidary::passes::Accuracy;
use lapidary::{Dataset, Difference, Error, Evaluation, Proof, ProofOptions, Reference};

pub(super) const MEGABYTE: u64 = 1 << 20;

/// Larger models are executed as a whole on request only: it takes the runtime minutes.
const MAX_NODES: usize = 10_000;

/// Values a message names at most.
const MAX_NAMED: usize = 5;

const HELP: &str = "nothing was written; `--bisect` finds the rewrite at fault, please report it";

/// Checks results against an original.
pub(super) struct Verifier<'a> {
    pub(super) options: &'a Optimize,
    pub(super) original: &'a Model,
    /// Bytes of the original.
    pub(super) bytes: u64,
}

impl Verifier<'_> {
    fn mode(&self) -> VerifyMode {
        let default = match &self.options.data.data {
            Some(_) => VerifyMode::Full,
            None => VerifyMode::Fast,
        };
        self.options.verify.unwrap_or(default)
    }

    /// Checks a result as the options ask.
    pub(super) fn check(&self, model: &Model) -> Result<Verification, Error> {
        match self.mode() {
            VerifyMode::Off => Ok(Verification::skipped("--verify off")),
            VerifyMode::Fast => self.fast(model),
            VerifyMode::Full => self.full(model),
        }
    }

    /// Piece by piece; where that decides nothing, by executing both models.
    fn fast(&self, model: &Model) -> Result<Verification, Error> {
        let limit = self.options.verify_limit * MEGABYTE;
        let options = ProofOptions { limit, ..ProofOptions::default() };
        let proof = Proof::new(self.original, model, &options);
        if proof.is_complete() {
            return Ok(Verification::proved(proof));
        }
        let full = match self.original.graph.total_node_count() > MAX_NODES {
            true => Verification::skipped("it has too many nodes to execute by default"),
            false => self.full(model).map_err(|error| named(error, &proof))?,
        };
        if !full.is_executed() && !proof.differing.is_empty() {
            return Err(named(differs(&proof.differing), &proof));
        }
        Ok(full.with(proof))
    }

    /// Executes both models and compares every output, unless they are too large or the runtime
    /// can't.
    fn full(&self, model: &Model) -> Result<Verification, Error> {
        let Self { options, original, bytes } = *self;
        if bytes > options.verify_limit * MEGABYTE {
            return Ok(Verification::skipped("larger than --verify-limit"));
        }
        let (dataset, source) = match options.data.read(original)? {
            Some(data) => (data, "--data"),
            None => match RandomInputs::default().generate(original) {
                Ok(inputs) => (Dataset::whole(inputs), "random inputs"),
                Err(error) => return Ok(Verification::skipped(&error.to_string())),
            },
        };
        let reference = match Reference::new(original, dataset) {
            Ok(reference) => reference,
            Err(Error::Execute { source, .. }) if options.data.data.is_none() => {
                let why = format!("the built-in runtime can't execute the original: {source}");
                return Ok(Verification::skipped(&why));
            }
            Err(error) => return Err(error),
        };
        let evaluation = reference.evaluate(model)?;
        let allowed = gate(&reference, original, &evaluation)?;
        Ok(Verification::done(source, evaluation, allowed))
    }
}

/// The difference that is allowed, or the error that it is exceeded. Deep networks amplify
/// rounding: what the original loses against itself, executed in another order, is no fault of a
/// rewrite.
fn gate(reference: &Reference, original: &Model, evaluation: &Evaluation) -> Result<f64, Error> {
    let (found, tolerance) = (evaluation.max_rel(), Accuracy::Rounding.tolerance());
    if found <= tolerance {
        return Ok(tolerance);
    }
    let allowed = tolerance.max(reference.noise(original)?);
    if found <= allowed {
        return Ok(allowed);
    }
    Err(Error::Gate {
        problem: format!(
            "an output differs by {found:.2e} of its largest value, allowed is {allowed:.2e}"
        ),
        help: HELP,
    })
}

/// The error of values that differ, where the whole models can't be executed.
fn differs(differing: &[Difference]) -> Error {
    let value = |difference: &Difference| {
        format!("`{}` by {:.2e} of its largest value", difference.value, difference.max_rel)
    };
    let values: Vec<String> = differing.iter().take(MAX_NAMED).map(value).collect();
    let mut problem = format!("executed by themselves, these values differ: {}", values.join(", "));
    if differing.len() > MAX_NAMED {
        problem += &format!(" and {} more", differing.len() - MAX_NAMED);
    }
    Error::Gate { problem, help: HELP }
}

/// Adds the first value that differs.
fn named(error: Error, proof: &Proof) -> Error {
    match (error, proof.suspects.first()) {
        (Error::Gate { problem, help }, Some(Difference { value, .. })) => Error::Gate {
            problem: format!("{problem}; the first value to differ is `{value}`"),
            help,
        },
        (error, _) => error,
    }
}
