//! The elements of shape-like tensors: arithmetic and comparison of symbolic integers.
use super::MAX_ELEMENTS;
use crate::{Dim, ElemType, ValueType};

/// Whether elements of that type are followed.
pub(super) fn follows(elem_type: ElemType) -> bool {
    matches!(elem_type, ElemType::INT64 | ElemType::INT32 | ElemType::BOOL)
}

/// The elements as numbers, when all are.
pub(super) fn numbers(elements: &[Dim]) -> Option<Vec<i64>> {
    elements.iter().map(Dim::value).collect()
}

/// `ty` with elements, if it is a type whose elements are followed and they fit its shape.
pub(super) fn attach(mut ty: ValueType, elements: Option<Vec<Dim>>) -> ValueType {
    let Some(elements) = elements else { return ty };
    let fits = match ty.shape.as_deref() {
        Some([]) => elements.len() == 1,
        Some([length]) => match length.value() {
            Some(length) => usize::try_from(length) == Ok(elements.len()),
            None => false,
        },
        _ => false,
    };
    if fits && elements.len() <= MAX_ELEMENTS && ty.elem_type.is_some_and(follows) {
        ty.elements = Some(elements);
    }
    ty
}

/// Applies `operation` element by element, repeating a single element.
pub(super) fn zip(a: &[Dim], b: &[Dim], operation: impl Fn(&Dim, &Dim) -> Dim) -> Option<Vec<Dim>> {
    let length = match (a.len(), b.len()) {
        (left, right) if left == right => left,
        (1, right) => right,
        (left, 1) => left,
        _ => return None,
    };
    let at = |elements: &[Dim], index: usize| {
        elements[if elements.len() == 1 { 0 } else { index }].clone()
    };
    Some((0..length).map(|index| operation(&at(a, index), &at(b, index))).collect())
}

/// Binary arithmetic on integers; unknown where it can't be decided.
pub(super) fn arithmetic(op_type: &str, a: &Dim, b: &Dim) -> Dim {
    match op_type {
        "Add" | "Sum" => a.clone() + b.clone(),
        "Sub" => a.clone() - b.clone(),
        "Mul" => a.clone() * b.clone(),
        "Div" => quotient(a, b),
        "Mod" => remainder(a, b),
        "Max" if at_least(a, b) == Some(true) => a.clone(),
        "Max" if at_least(b, a) == Some(true) => b.clone(),
        "Min" if at_least(a, b) == Some(true) => b.clone(),
        "Min" if at_least(b, a) == Some(true) => a.clone(),
        "Pow" => power(a, b),
        _ => Dim::UNKNOWN,
    }
}

/// Integer division rounds towards zero: floor division where nothing is negative.
fn quotient(a: &Dim, b: &Dim) -> Dim {
    if let (Some(a), Some(b)) = (a.value(), b.value()) {
        return a.checked_div(b).map_or(Dim::UNKNOWN, Dim::from);
    }
    let low = |dim: &Dim| dim.lower_bound().is_some_and(|low| low >= 0);
    if low(a) && low(b) { a.floor_div(b) } else { Dim::UNKNOWN }
}

fn remainder(a: &Dim, b: &Dim) -> Dim {
    let low = |dim: &Dim| dim.lower_bound().is_some_and(|low| low >= 0);
    if !low(a) || !low(b) {
        return Dim::UNKNOWN;
    }
    a.clone() - a.floor_div(b) * b.clone()
}

fn power(a: &Dim, b: &Dim) -> Dim {
    match (a.value(), b.value()) {
        (Some(base), Some(exponent)) => u32::try_from(exponent)
            .ok()
            .and_then(|exponent| base.checked_pow(exponent))
            .map_or(Dim::UNKNOWN, Dim::from),
        _ => Dim::UNKNOWN,
    }
}

/// Whether `a >= b`, if that is decided whatever the parameters are.
fn at_least(a: &Dim, b: &Dim) -> Option<bool> {
    let never_below =
        |difference: Dim, bound| difference.lower_bound().is_some_and(|low| low >= bound);
    if never_below(a.clone() - b.clone(), 0) {
        return Some(true);
    }
    never_below(b.clone() - a.clone(), 1).then_some(false)
}

fn equal(a: &Dim, b: &Dim) -> Option<bool> {
    if a == b {
        return Some(true);
    }
    let differ = at_least(a, b) == Some(false) || at_least(b, a) == Some(false);
    differ.then_some(false)
}

fn truth(a: &Dim) -> Option<bool> {
    equal(a, &0.into()).map(|zero| !zero)
}

/// Comparison and logic; 1 for true, 0 for false, unknown where it can't be decided.
pub(super) fn comparison(op_type: &str, a: &Dim, b: &Dim) -> Dim {
    let decided = match op_type {
        "Equal" => equal(a, b),
        "GreaterOrEqual" => at_least(a, b),
        "LessOrEqual" => at_least(b, a),
        "Greater" => at_least(b, a).map(|below| !below),
        "Less" => at_least(a, b).map(|above| !above),
        "And" => match (truth(a), truth(b)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        "Or" => match (truth(a), truth(b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        "Xor" => truth(a).zip(truth(b)).map(|(a, b)| a != b),
        _ => None,
    };
    decided.map_or(Dim::UNKNOWN, |decided| i64::from(decided).into())
}

/// Logical negation.
pub(super) fn negation(a: &Dim) -> Dim {
    truth(a).map_or(Dim::UNKNOWN, |truth| i64::from(!truth).into())
}

/// Conversion to another followed type.
pub(super) fn cast(a: &Dim, from: ElemType, to: ElemType) -> Dim {
    let fits = |value: i64| i32::try_from(value).is_ok();
    match to {
        ElemType::BOOL if from != ElemType::BOOL => {
            truth(a).map_or(Dim::UNKNOWN, |truth| i64::from(truth).into())
        }
        ElemType::INT32 if !a.value().is_none_or(fits) => Dim::UNKNOWN,
        _ => a.clone(),
    }
}

/// Either of two elements, when the condition is decided or they are equal.
pub(super) fn choose(condition: &Dim, yes: &Dim, no: &Dim) -> Dim {
    match truth(condition) {
        Some(true) => yes.clone(),
        Some(false) => no.clone(),
        None if yes == no => yes.clone(),
        None => Dim::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_never_minus_one() {
        assert_eq!(comparison("Equal", &Dim::param("N"), &(-1).into()), Dim::from(0));
        assert!(comparison("Equal", &Dim::param("N"), &0.into()).is_unknown());
        assert_eq!(comparison("GreaterOrEqual", &Dim::param("N"), &0.into()), Dim::from(1));
    }

    #[test]
    fn division_rounds_towards_zero() {
        assert_eq!(arithmetic("Div", &(-7).into(), &2.into()), Dim::from(-3));
        assert!(arithmetic("Div", &i64::MIN.into(), &(-1).into()).is_unknown());
        assert!(arithmetic("Div", &1.into(), &0.into()).is_unknown());
    }

    #[test]
    fn the_larger_of_two_symbols_is_found_when_it_is_certain() {
        let n = Dim::param("N");
        let more = n.clone() + 3.into();
        assert_eq!(arithmetic("Max", &n, &more), more);
        assert_eq!(arithmetic("Min", &n, &more), n);
        assert!(arithmetic("Max", &n, &Dim::param("M")).is_unknown());
    }
}
