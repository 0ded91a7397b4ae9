//! Text to tokens.
use super::ParseError;

/// A piece of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// Its spelling, with the quotes of a string.
    pub(super) text: &'a str,
    /// Its first byte in the whole.
    pub(super) at: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Integer,
    Float,
    String,
    Symbol,
    End,
}

impl Token<'_> {
    /// How messages call it.
    pub(super) fn description(&self) -> String {
        if self.kind == Kind::End {
            return "the end of the text".to_owned();
        }
        let mut letters = self.text.chars();
        let start: String = letters.by_ref().take(40).collect();
        format!("`{start}{}`", if letters.next().is_some() { "…" } else { "" })
    }
}

/// The tokens of `text`, the last of which is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at = skip_blank(text, at);
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        let (kind, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => (Kind::Name, name_len(rest)),
            '0'..='9' | '-' => number(rest).ok_or_else(|| {
                ParseError::at(text, at, "`-`".to_owned(), "digits or `inf` after it")
            })?,
            '"' => {
                let length = string_len(rest).ok_or_else(|| {
                    let found = "the end of the text".to_owned();
                    ParseError::at(text, at, found, "the closing quote of this string")
                })?;
                (Kind::String, length)
            }
            '=' if rest.starts_with("=>") => (Kind::Symbol, 2),
            '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',' | ':' | '.' | '=' | '?' | '@' => {
                (Kind::Symbol, 1)
            }
            other => {
                let expected = "a name, a number, a string or a symbol of the notation";
                return Err(ParseError::at(text, at, format!("`{other}`"), expected));
            }
        };
        tokens.push(Token { kind, text: &rest[..length], at });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, text: "", at });
    Ok(tokens)
}

fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start().len();
        at += blank;
        if !text[at..].starts_with('#') {
            return at;
        }
        at += text[at..].find('\n').unwrap_or(text.len() - at);
    }
}

fn name_len(rest: &str) -> usize {
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    end.unwrap_or(rest.len())
}

/// The kind and length of a number; nothing when no number follows the sign.
fn number(rest: &str) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    let digits =
        |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let start = usize::from(rest.starts_with('-'));
    let mut end = digits(start);
    if end == start {
        let word = &rest[start..start + name_len(&rest[start..])];
        return is_float_word(word).then_some((Kind::Float, start + word.len()));
    }
    let mut kind = Kind::Integer;
    if bytes.get(end) == Some(&b'.') {
        kind = Kind::Float;
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            return Some((Kind::Float, exponent));
        }
    }
    Some((kind, end))
}

/// Whether a name is a number where a number may stand.
pub(super) fn is_float_word(word: &str) -> bool {
    ["inf", "infinity", "nan"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn string_len(rest: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
