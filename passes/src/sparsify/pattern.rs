//! Which weights go together.
use std::fmt;
use std::str::FromStr;

/// Which weights of an output channel go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Each goes by itself.
    Unstructured,
    /// Of every `group` weights that follow each other along the input channels at most `kept` are not zero: 2:4 is what
    /// sparse tensor cores multiply (Mishra et al. 2021, "Accelerating sparse deep neural networks").
    GroupWise {
        /// Weights that stay.
        kept: usize,
        /// Weights of a group.
        group: usize,
    },
    /// Blocks go whole.
    Blocks {
        /// Output channels of a block.
        rows: usize,
        /// Input channels of a block.
        columns: usize,
    },
}

/// Text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern: unstructured, N:M such as 2:4, or block:RxC such as block:4x1")]
pub struct InvalidPattern(String);

impl Pattern {
    /// Output and input channels of the smallest part that goes whole.
    pub(super) fn cell(self) -> (usize, usize) {
        match self {
            Self::Unstructured | Self::GroupWise { .. } => (1, 1),
            Self::Blocks { rows, columns } => (rows, columns),
        }
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |text: &str, between: char| {
            let (a, b) = text.split_once(between)?;
            let number = |text: &str| text.parse().ok().filter(|&number: &usize| number > 0);
            Some((number(a)?, number(b)?))
        };
        let found = match text.strip_prefix("block:") {
            Some(block) => pair(block, 'x').map(|(rows, columns)| Self::Blocks { rows, columns }),
            None if text == "unstructured" => Some(Self::Unstructured),
            None => pair(text, ':')
                .filter(|(kept, group)| kept < group)
                .map(|(kept, group)| Self::GroupWise { kept, group }),
        };
        found.ok_or_else(|| InvalidPattern(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unstructured => f.write_str("unstructured"),
            Self::GroupWise { kept, group } => write!(f, "{kept}:{group}"),
            Self::Blocks { rows, columns } => write!(f, "block:{rows}x{columns}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_they_are_written() {
        for text in ["unstructured", "2:4", "1:8", "block:4x1"] {
            let found: Pattern = text.parse().expect("it is a pattern");
            assert_eq!(found.to_string(), text);
        }
        for text in ["4:2", "4:4", "0:4", "2:", "block:4", "block:0x1", "x", ""] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
