//! What a pass is.
use crate::context::Context;
use lapidary_ir::{Graph, Model, NoMatch, NodeId, Patch, PatchError, Violation};
use std::borrow::Cow;
use std::fmt;

/// A transformation of a whole model.
pub trait Pass: fmt::Debug + Sync {
    /// Name, documentation and promises.
    fn info(&self) -> &'static PassInfo;

    /// Transforms `model` and records in `context` what was done and what was left alone.
    ///
    /// # Errors
    /// When the pass itself is at fault; what it can't do for a model it skips.
    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError>;

    /// The rule, when the pass is one: the driver then runs it together with others.
    fn as_rule(&self) -> Option<&dyn Rule> {
        None
    }
}

/// A rewrite around one node. Every rule is a pass.
pub trait Rule: fmt::Debug + Sync {
    /// Name, documentation and promises.
    fn info(&self) -> &'static PassInfo;

    /// The operators of ONNX's own domain a site can be rooted at; empty for any.
    fn roots(&self) -> &'static [&'static str];

    /// Writes into `patch` what to do around `root`.
    ///
    /// # Errors
    /// The reason when there is nothing to do; the patch is then ignored.
    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip>;
}

/// The name, documentation and promises of a pass.
#[derive(Debug)]
pub struct PassInfo {
    /// Verb and object, as on the command line.
    pub name: &'static str,
    /// The lines of the doc comment: summary, explanation, example.
    pub doc: &'static [&'static str],
    /// What the pass does to numbers.
    pub accuracy: Accuracy,
    /// Operators the pass may introduce, `domain.Op` outside ONNX's own.
    pub emits: &'static [&'static str],
    /// The source file.
    pub file: &'static str,
}

impl PassInfo {
    /// The first sentence of the documentation.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines = self.doc.iter().map(|line| line.trim());
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// What a pass does to the numbers a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accuracy {
    /// Every output stays bit for bit.
    Exact,
    /// The same function in another order of operations.
    Rounding,
    /// Another function: the caller asks for it and is told the error.
    Lossy,
}

impl Accuracy {
    /// The largest difference allowed, relative to the largest magnitude of an output.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Exact => 0.0,
            Self::Rounding => 1e-5,
            Self::Lossy => f64::INFINITY,
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Rounding => "rounding",
            Self::Lossy => "lossy",
        })
    }
}

/// Why a rule leaves a node alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The node is no site of the rule.
    NoMatch,
    /// It is one, but something forbids the rewrite.
    Because(Cow<'static, str>),
}

impl From<NoMatch> for Skip {
    fn from(NoMatch: NoMatch) -> Self {
        Self::NoMatch
    }
}

/// Skips with a reason unless `condition` holds.
///
/// # Errors
/// `why`, when it does not.
pub fn require(condition: bool, why: &'static str) -> Result<(), Skip> {
    if condition { Ok(()) } else { Err(Skip::Because(Cow::Borrowed(why))) }
}

/// What an `Option` lacks is the reason to skip.
pub trait OrSkip<T> {
    /// The content, or skips with a reason.
    ///
    /// # Errors
    /// `why`, when there is none.
    fn or_skip(self, why: &'static str) -> Result<T, Skip>;

    /// The content; without one the node is no site.
    ///
    /// # Errors
    /// [`Skip::NoMatch`], when there is none.
    fn or_no_match(self) -> Result<T, Skip>;
}

impl<T> OrSkip<T> for Option<T> {
    fn or_skip(self, why: &'static str) -> Result<T, Skip> {
        self.ok_or(Skip::Because(Cow::Borrowed(why)))
    }

    fn or_no_match(self) -> Result<T, Skip> {
        self.ok_or(Skip::NoMatch)
    }
}

/// A fault of a pass. None of these is a property of the model.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The patch can't be applied.
    #[error("pass `{pass}` wrote a patch that can't be applied")]
    Patch {
        /// The pass.
        pass: &'static str,
        /// Why.
        #[source]
        source: PatchError,
    },
    /// The graph is invalid afterwards.
    #[error("pass `{pass}` left an invalid graph: {}", first(.violations))]
    Invalid {
        /// The pass.
        pass: &'static str,
        /// What is broken.
        violations: Vec<Violation>,
    },
    /// Rules keep undoing each other.
    #[error("rules still rewrite after {rounds} rounds: {}", .rules.join(", "))]
    NoFixpoint {
        /// Rounds made.
        rounds: usize,
        /// The rules that still fire.
        rules: Vec<&'static str>,
    },
}

fn first(violations: &[Violation]) -> String {
    violations.first().map(ToString::to_string).unwrap_or_default()
}

/// Declares the struct of a pass with its [`PassInfo`] from one doc comment.
#[macro_export]
macro_rules! pass {
    (
        $(#[doc = $doc:literal])*
        pub struct $pass:ident $({ $($(#[$meta:meta])* pub $field:ident: $kind:ty),* $(,)? })?
        name: $name:literal,
        accuracy: $accuracy:ident,
        emits: [$($emitted:literal),* $(,)?] $(,)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $pass { $($($(#[$meta])* pub $field: $kind,)*)? }

        impl $pass {
            /// Name, documentation and promises.
            pub const INFO: $crate::PassInfo = $crate::PassInfo {
                name: $name,
                doc: &[$($doc),*],
                accuracy: $crate::Accuracy::$accuracy,
                emits: &[$($emitted),*],
                file: file!(),
            };
        }
    };
}
