//! The runtime in which models are measured.
mod command;
mod stopwatch;

use lapidary_passes::prune::{RuntimeStopwatch, Stopwatch};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use command::RuntimeError;
use stopwatch::CommandStopwatch;
pub(crate) use stopwatch::sized;

/// The name of the built-in runtime.
const BUILT_IN: &str = "tract";

/// What measures how long models take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Runtime {
    /// The runtime that is built in, tract.
    #[default]
    BuiltIn,
    /// A program and its first arguments, at least one word. Paths of ONNX files follow them; for each it prints a line with
    /// the milliseconds of one run.
    Command(Vec<String>),
}

impl Runtime {
    /// A stopwatch that starts now.
    pub(crate) fn stopwatch(&self) -> Arc<dyn Stopwatch> {
        match self {
            Self::BuiltIn => Arc::new(RuntimeStopwatch::default()),
            Self::Command(words) => Arc::new(CommandStopwatch::new(words)),
        }
    }
}

/// A command line in words as a POSIX shell splits it, with quotes and backslashes, without variables and patterns.
impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == BUILT_IN {
            return Ok(Self::BuiltIn);
        }
        let words = shlex::split(text).ok_or("a quote is open or a backslash ends the line")?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self::Command(words)),
            _ => Err(format!("a command is expected, or {BUILT_IN}")),
        }
    }
}

/// The command line, or the name of the built-in runtime.
impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str(BUILT_IN),
            Self::Command(words) => f.write_str(&command::line(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_into_words() {
        let parse = |text: &str| text.parse::<Runtime>();
        assert_eq!(parse(" tract "), Ok(Runtime::BuiltIn));
        let words = |words: &[&str]| {
            Ok(Runtime::Command(words.iter().map(|word| (*word).to_owned()).collect()))
        };
        assert_eq!(parse("python  lane/latency.py"), words(&["python", "lane/latency.py"]));
        let quoted = r#"'my runtime' --name "a b" c\ d $HOME *.onnx '' tract"#;
        let split = ["my runtime", "--name", "a b", "c d", "$HOME", "*.onnx", "", "tract"];
        assert_eq!(parse(quoted), words(&split));
        for wrong in ["", "  ", "''", "python 'a", "python a\\"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_the_same_command() {
        for text in ["tract", "python lane/latency.py", r#"'my runtime' --name "a 'b" ''"#] {
            let runtime: Runtime = text.parse().expect("it is a command");
            assert_eq!(runtime.to_string().parse(), Ok(runtime));
        }
        assert_eq!(Runtime::default().to_string(), "tract");
    }
}
