//! Keeps panics of the runtime from reaching the caller.
use crate::ExecError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_onnx::prelude::TractError;

/// How a call into the runtime failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It said so.
    Error(TractError),
    /// It panicked, with this message.
    Panic(String),
}

/// Calls the runtime.
///
/// The process's panic hook still runs: it is global, and replacing it is the program's decision,
/// not a library's. Nothing of the runtime is used again after it panicked, except plans, which it
/// never changes.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, TractError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::Error),
        Err(payload) => Err(Failure::Panic(message(&*payload))),
    }
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let fixed = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let formatted = || payload.downcast_ref::<String>().cloned();
    fixed.or_else(formatted).unwrap_or_else(|| "no message".to_owned())
}

/// The runtime's error with its causes, outermost first.
pub(crate) fn reason(error: &TractError) -> String {
    let causes: Vec<String> =
        error.chain().map(|cause| cause.to_string().trim().to_owned()).collect();
    causes.join(": ")
}

impl Failure {
    /// The error of a model that is loaded and runs.
    pub(crate) fn while_running(self) -> ExecError {
        match self {
            Self::Error(error) => ExecError::Run { reason: reason(&error) },
            Self::Panic(message) => ExecError::RuntimePanic { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_a_panic_into_its_message() {
        let failure = guarded::<()>(|| panic!("dimension {} is odd", 3)).expect_err("it panics");
        assert_eq!(
            failure.while_running(),
            ExecError::RuntimePanic { message: "dimension 3 is odd".to_owned() }
        );
        let failure = guarded::<()>(|| panic!("plain")).expect_err("it panics");
        assert!(matches!(failure, Failure::Panic(message) if message == "plain"));
    }
}
