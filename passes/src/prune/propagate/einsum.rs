//! `Einsum`: axes with the same letter are the same channels.
use super::elementwise::along;
use super::site::Site;
use crate::prune::elements::Axis;

/// What an equation calls an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Letter(char),
    /// An axis of the ellipsis, counted from its end.
    Broadcast(usize),
}

/// The labels of the axes of every operand, and of the result.
#[derive(Debug, PartialEq, Eq)]
struct Equation {
    operands: Vec<Vec<Label>>,
    result: Vec<Label>,
}

/// Axes with a letter of the result are one channel with its axis, also where an operand has the
/// letter twice (a diagonal). A constant makes the channels of a letter that no other operand has.
/// A letter the result lacks is summed over: a constant reads its channels, and a sum over a letter
/// of one operand is exact without those that are zero.
pub(super) fn einsum(site: &mut Site<'_>) -> &'static str {
    let why = "has an equation or shapes that are not understood";
    let Some((y, rank)) = site.output(0) else { return why };
    let operands: Option<Vec<_>> =
        (0..site.operand_count()).map(|operand| site.input(operand)).collect();
    let Some(operands) = operands else { return why };
    let ranks: Vec<usize> = operands.iter().map(|&(_, rank)| rank).collect();
    let equation = site.node().string("equation").and_then(|text| Equation::of(text, &ranks));
    let Some(equation) = equation.filter(|equation| equation.result.len() == rank) else {
        return why;
    };
    let mut labels: Vec<Label> = equation.operands.concat();
    labels.sort_unstable();
    labels.dedup();
    for label in labels {
        let (mut weights, mut others) = (Vec::new(), Vec::new());
        for (&(value, _), own) in operands.iter().zip(&equation.operands) {
            let places = own.iter().enumerate().filter(|(_, found)| **found == label);
            for (axis, _) in places {
                let axis = Axis::new(value, axis);
                let list = if site.is_weight(value) { &mut weights } else { &mut others };
                if site.extent(axis) == Some(1) {
                    site.free(axis);
                } else {
                    list.push(axis);
                }
            }
        }
        match equation.result.iter().position(|found| *found == label) {
            Some(place) => passed(site, &weights, &others, Axis::new(y, place)),
            None => contracted(site, &weights, &others),
        }
    }
    why
}

/// Axes that the result has too.
fn passed(site: &mut Site<'_>, weights: &[Axis], others: &[Axis], result: Axis) {
    others.iter().for_each(|&axis| along(site, axis, result));
    for &weight in weights {
        if others.is_empty() {
            site.produce(weight, result);
        } else {
            site.tie(weight, result);
        }
    }
    if weights.is_empty() && others.is_empty() {
        site.free(result);
    }
}

/// Axes that are summed over.
fn contracted(site: &mut Site<'_>, weights: &[Axis], others: &[Axis]) {
    let (first, rest) = match (others, weights) {
        ([first, rest @ ..], _) => (*first, rest),
        ([], [first, rest @ ..]) => (*first, rest),
        ([], []) => return,
    };
    site.free(first);
    rest.iter().for_each(|&axis| site.tie(first, axis));
    if !others.is_empty() {
        weights.iter().for_each(|&weight| site.consume(first, weight));
    }
}

impl Equation {
    /// Parses an equation for operands of these ranks. Without `->` the result has the axes of the
    /// ellipsis, then the letters that occur once, in alphabetical order.
    fn of(text: &str, ranks: &[usize]) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let (terms, result) = match text.split_once("->") {
            Some((terms, result)) => (terms, Some(result)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = terms.split(',').collect();
        if terms.len() != ranks.len() {
            return None;
        }
        let mut spare = 0;
        for (term, &rank) in terms.iter().zip(ranks) {
            let letters = term.replace("...", "").len();
            let own = rank.checked_sub(letters)?;
            if own != 0 && !term.contains("...") {
                return None;
            }
            spare = spare.max(own);
        }
        let operands: Option<Vec<Vec<Label>>> = terms
            .iter()
            .zip(ranks)
            .map(|(term, &rank)| labels(term, rank - term.replace("...", "").len()))
            .collect();
        let operands = operands?;
        let result = match result {
            Some(result) => labels(result, if result.contains("...") { spare } else { 0 })?,
            None => implicit(&operands, spare),
        };
        Some(Self { operands, result })
    }
}

/// The labels of a term whose ellipsis stands for `spare` axes.
fn labels(term: &str, spare: usize) -> Option<Vec<Label>> {
    let (before, after) = term.split_once("...").unwrap_or((term, ""));
    if !before.chars().chain(after.chars()).all(|letter| letter.is_ascii_alphabetic()) {
        return None;
    }
    let letters = |part: &str| part.chars().map(Label::Letter).collect::<Vec<_>>();
    let ellipsis = (0..spare).rev().map(Label::Broadcast).collect();
    Some([letters(before), ellipsis, letters(after)].concat())
}

fn implicit(operands: &[Vec<Label>], spare: usize) -> Vec<Label> {
    let mut all = operands.concat();
    all.retain(|label| matches!(label, Label::Letter(_)));
    all.sort_unstable();
    let once = all.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).flatten();
    (0..spare).rev().map(Label::Broadcast).chain(once.copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(labels: &[Label]) -> String {
        let one = |label: &Label| match label {
            Label::Letter(letter) => *letter,
            Label::Broadcast(place) => char::from(b'0' + *place as u8),
        };
        labels.iter().map(one).collect()
    }

    #[test]
    fn letters_and_ellipses_name_axes() {
        let read = |equation, ranks: &[usize]| {
            let equation = Equation::of(equation, ranks)?;
            let operands: Vec<String> = equation.operands.iter().map(|own| text(own)).collect();
            Some(format!("{}->{}", operands.join(","), text(&equation.result)))
        };
        assert_eq!(read("bij, bjk -> bik", &[3, 3]).as_deref(), Some("bij,bjk->bik"));
        assert_eq!(read("ba,cb", &[2, 2]).as_deref(), Some("ba,cb->ac"));
        assert_eq!(read("...ij,...jk", &[4, 3]).as_deref(), Some("10ij,0jk->10ik"));
        assert_eq!(read("i...,i...->...", &[2, 3]).as_deref(), Some("i0,i10->10"));
        assert_eq!(read("ii->i", &[2]).as_deref(), Some("ii->i"));
        assert_eq!(read("ij", &[3]), None);
        assert_eq!(read("ij,jk->ik", &[2]), None);
        assert_eq!(read("i1->i", &[2]), None);
    }
}
