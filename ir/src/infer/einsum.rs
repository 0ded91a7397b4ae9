//! `Einsum`.
use super::site::Site;
use super::{Outputs, broadcast, one};
use crate::Dim;
use std::collections::BTreeMap;

pub(super) fn einsum(site: &Site<'_>) -> Outputs {
    let shapes: Option<Vec<&[Dim]>> =
        (0..site.input_count()).map(|slot| site.shape(slot)).collect();
    let equation = site.string("equation");
    one(site.elem_type(0), equation.zip(shapes).and_then(|(e, shapes)| shape(e, &shapes)))
}

/// Labels name dimensions; `...` stands for dimensions that broadcast. Without `->` the result
/// has the broadcast dimensions, then the labels that occur once, in alphabetical order.
fn shape(equation: &str, shapes: &[&[Dim]]) -> Option<Vec<Dim>> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (terms, result) = match equation.split_once("->") {
        Some((terms, result)) => (terms, Some(result)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    if terms.len() != shapes.len() {
        return None;
    }
    let mut dims: BTreeMap<char, (Dim, usize)> = BTreeMap::new();
    let mut ellipsis: Vec<Dim> = Vec::new();
    for (term, shape) in terms.iter().zip(shapes) {
        let (before, after) = term.split_once("...").unwrap_or((term, ""));
        let labels = before.chars().chain(after.chars());
        let count = labels.clone().count();
        let spare = shape.len().checked_sub(count)?;
        if labels.clone().any(|label| !label.is_ascii_alphabetic()) {
            return None;
        }
        if term.contains("...") {
            let lead = before.chars().count();
            ellipsis = broadcast::pair(&ellipsis, &shape[lead..lead + spare])?;
        } else if spare != 0 {
            return None;
        }
        let lead = before.chars().count();
        let own = shape[..lead].iter().chain(&shape[lead + spare..]);
        for (label, dim) in labels.zip(own) {
            match dims.get_mut(&label) {
                None => drop(dims.insert(label, (dim.clone(), 1))),
                Some((known, uses)) => {
                    *uses += 1;
                    let refine =
                        known.is_unknown() || *known == 1 || dim.value().is_some_and(|v| v != 1);
                    if refine && !dim.is_unknown() {
                        known.clone_from(dim);
                    }
                }
            }
        }
    }
    let Some(result) = result else {
        let once = dims.into_values().filter(|(_, uses)| *uses == 1).map(|(dim, _)| dim);
        return Some(ellipsis.into_iter().chain(once).collect());
    };
    let (before, after) = result.split_once("...").unwrap_or((result, ""));
    let of = |labels: &str| -> Option<Vec<Dim>> {
        labels.chars().map(|label| Some(dims.get(&label)?.0.clone())).collect()
    };
    let middle = if result.contains("...") { ellipsis } else { Vec::new() };
    Some([of(before)?, middle, of(after)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(equation: &str, shapes: &[&[i64]]) -> Option<Vec<i64>> {
        let shapes: Vec<Vec<Dim>> =
            shapes.iter().map(|shape| shape.iter().map(|&dim| dim.into()).collect()).collect();
        let shapes: Vec<&[Dim]> = shapes.iter().map(Vec::as_slice).collect();
        shape(equation, &shapes)?.iter().map(Dim::value).collect()
    }

    #[test]
    fn labels_find_their_dimensions() {
        assert_eq!(infer("bij, bjk -> bik", &[&[2, 3, 4], &[2, 4, 5]]), Some(vec![2, 3, 5]));
        assert_eq!(
            infer("...ij,...jk->...ik", &[&[7, 1, 3, 4], &[6, 4, 5]]),
            Some(vec![7, 6, 3, 5])
        );
        assert_eq!(infer("ii->i", &[&[3, 3]]), Some(vec![3]));
    }

    #[test]
    fn without_an_arrow_labels_that_occur_once_remain() {
        assert_eq!(infer("ij,jk", &[&[2, 3], &[3, 4]]), Some(vec![2, 4]));
        assert_eq!(infer("ba", &[&[2, 3]]), Some(vec![3, 2]));
    }

    #[test]
    fn equations_that_do_not_fit_are_given_up() {
        assert_eq!(infer("ij,jk->ik", &[&[2, 3]]), None);
        assert_eq!(infer("ij->ijk", &[&[2, 3]]), None);
        assert_eq!(infer("i->i", &[&[2, 3]]), None);
        assert_eq!(infer("i......->i", &[&[2, 3]]), None);
    }
}
