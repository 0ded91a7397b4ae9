//! Why a text is no model.
use crate::DecodeError;

/// Snippets show at most this many characters of a line.
const SNIPPET: usize = 100;

/// Why a text is no model.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Something else was expected at that place.
    #[error("line {line}, column {column}: found {found}, expected {expected}\n{snippet}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is there.
        found: String,
        /// What could be there.
        expected: String,
        /// The line, and a caret under the place.
        snippet: String,
    },
    /// The text is well-formed, but what it describes is no model.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl ParseError {
    /// An error at byte `at` of `text`.
    pub(super) fn at(text: &str, at: usize, found: String, expected: &str) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let column = before[line_start..].chars().count() + 1;
        let blank = line.chars().take_while(|letter| letter.is_whitespace()).count();
        let skip = blank.min(column - 1).max(column.saturating_sub(SNIPPET / 2));
        let visible = line.chars().skip(skip).take(SNIPPET);
        let visible: String = visible.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let caret = " ".repeat(column - 1 - skip.min(column - 1));
        Self::Syntax {
            line: before.matches('\n').count() + 1,
            column,
            found,
            expected: expected.to_owned(),
            snippet: format!("  {visible}\n  {caret}^"),
        }
    }
}
