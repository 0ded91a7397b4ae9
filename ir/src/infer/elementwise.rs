//! Operators that work element by element, or that at least keep the shape.
use super::site::Site;
use super::{MAX_ELEMENTS, Outputs, broadcast, elements, one};
use crate::{Dim, ElemType, Tensor, ValueType};
use std::sync::Arc;

/// The type and shape of the first input.
pub(super) fn same(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), site.shape(0).map(<[Dim]>::to_vec))
}

/// The first input as it is, with its elements: also what rounding does to integers.
pub(super) fn identity(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(site.elem_type(0), site.shape(0).map(<[Dim]>::to_vec));
    Some(vec![elements::attach(ty, site.elements(0).map(<[Dim]>::to_vec))])
}

pub(super) fn unary(site: &Site<'_>) -> Outputs {
    let of = |element: &Dim| match (site.op_type(), element.value()) {
        ("Neg", _) => Dim::from(0) - element.clone(),
        ("Sign", Some(value)) => value.signum().into(),
        _ => Dim::UNKNOWN,
    };
    let ty = ValueType::tensor(site.elem_type(0), site.shape(0).map(<[Dim]>::to_vec));
    Some(vec![elements::attach(ty, site.elements(0).map(|e| e.iter().map(of).collect()))])
}

/// Booleans in the shape of the first input.
pub(super) fn predicate(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(Some(ElemType::BOOL), site.shape(0).map(<[Dim]>::to_vec));
    let negated = site.elements(0).filter(|_| site.op_type() == "Not");
    Some(vec![elements::attach(ty, negated.map(|e| e.iter().map(elements::negation).collect()))])
}

pub(super) fn binary(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(site.elem_type(0), pair_shape(site));
    let of = |a: &Dim, b: &Dim| elements::arithmetic(site.op_type(), a, b);
    Some(vec![elements::attach(ty, pair_elements(site, of))])
}

/// Comparisons and logic.
pub(super) fn comparison(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(Some(ElemType::BOOL), pair_shape(site));
    let of = |a: &Dim, b: &Dim| elements::comparison(site.op_type(), a, b);
    Some(vec![elements::attach(ty, pair_elements(site, of))])
}

fn pair_shape(site: &Site<'_>) -> Option<Vec<Dim>> {
    // Before operator set 7 only the second input was broadcast, and only on demand.
    if site.opset() < 7 || site.op_type() == "PRelu" {
        return site.shape(0).map(<[Dim]>::to_vec);
    }
    broadcast::pair(site.shape(0)?, site.shape(1)?)
}

fn pair_elements(site: &Site<'_>, of: impl Fn(&Dim, &Dim) -> Dim) -> Option<Vec<Dim>> {
    elements::zip(site.elements(0)?, site.elements(1)?, of)
}

pub(super) fn variadic(site: &Site<'_>) -> Outputs {
    let shape = broadcast::all((0..site.input_count()).map(|slot| site.shape(slot)));
    let ty = ValueType::tensor(site.elem_type(0), shape);
    let of = |a: &Dim, b: &Dim| elements::arithmetic(site.op_type(), a, b);
    let merged = || {
        let mut merged = site.elements(0)?.to_vec();
        for slot in 1..site.input_count() {
            merged = elements::zip(&merged, site.elements(slot)?, of)?;
        }
        Some(merged)
    };
    let known = site.input_count() > 1 || site.op_type() != "Mean";
    Some(vec![elements::attach(ty, if known { merged() } else { None })])
}

/// `Where`.
pub(super) fn choice(site: &Site<'_>) -> Outputs {
    let shape = broadcast::all((0..3).map(|slot| site.shape(slot)));
    let ty = ValueType::tensor(site.elem_type(1).or(site.elem_type(2)), shape);
    Some(vec![elements::attach(ty, chosen_elements(site))])
}

fn chosen_elements(site: &Site<'_>) -> Option<Vec<Dim>> {
    let (condition, yes, no) = (site.elements(0)?, site.elements(1)?, site.elements(2)?);
    let length = condition.len().max(yes.len()).max(no.len());
    let fits = |list: &[Dim]| list.len() == length || list.len() == 1;
    if !fits(condition) || !fits(yes) || !fits(no) {
        return None;
    }
    let at = |list: &'_ [Dim], index: usize| list[if list.len() == 1 { 0 } else { index }].clone();
    let choose = |i| elements::choose(&at(condition, i), &at(yes, i), &at(no, i));
    Some((0..length).map(choose).collect())
}

pub(super) fn cast(site: &Site<'_>) -> Outputs {
    convert(site, site.elem_type_attribute("to"))
}

pub(super) fn cast_like(site: &Site<'_>) -> Outputs {
    convert(site, site.elem_type(1))
}

fn convert(site: &Site<'_>, to: Option<ElemType>) -> Outputs {
    let ty = ValueType::tensor(to, site.shape(0).map(<[Dim]>::to_vec));
    let converted = || {
        let (from, to) = (site.elem_type(0)?, to?);
        match site.elements(0) {
            Some(all) => {
                Some(all.iter().map(|element| elements::cast(element, from, to)).collect())
            }
            None if from.is_float() => truncated(site, to),
            None => None,
        }
    };
    Some(vec![elements::attach(ty, converted())])
}

/// The elements of a float constant as integers, rounded towards zero.
fn truncated(site: &Site<'_>, to: ElemType) -> Option<Vec<Dim>> {
    let small = |tensor: &Arc<Tensor>| tensor.rank() <= 1 && tensor.len() <= MAX_ELEMENTS;
    let values = site.constant(0).filter(small)?.to_f32()?;
    let integer = |value: f32| {
        // Larger numbers need not fit the type.
        let fits = value.abs() < 2e9 && to != ElemType::BOOL;
        if fits { Dim::from(value as i64) } else { Dim::UNKNOWN }
    };
    Some(values.into_iter().map(integer).collect())
}

/// The mask is boolean from operator set 10 on.
pub(super) fn dropout(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).map(<[Dim]>::to_vec);
    let mask = if site.opset() >= 10 { Some(ElemType::BOOL) } else { site.elem_type(0) };
    Some(vec![ValueType::tensor(site.elem_type(0), shape.clone()), ValueType::tensor(mask, shape)])
}
