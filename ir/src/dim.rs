//! Symbolic dimensions: integers, parameters and arithmetic over them.
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;

/// One dimension of a shape: a number, an expression over `dim_param`s, or unknown.
///
/// Expressions are kept as polynomials with integer coefficients in a canonical order, so two
/// dimensions that are equal for every value of their parameters compare equal. Like NaN, an
/// unknown dimension equals nothing, itself included. Arithmetic that overflows is unknown.
#[derive(Clone)]
pub struct Dim(Repr);

#[derive(Clone)]
enum Repr {
    Known(i64),
    Expression(Arc<Polynomial>),
    Unknown,
}

/// Sum of monomials, each a product of atoms with a coefficient that is not zero.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
struct Polynomial(BTreeMap<Vec<Atom>, i64>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Atom {
    Param(Arc<str>),
    /// Floor division.
    Div(Box<Polynomial>, Box<Polynomial>),
}

/// Expressions with more terms than this are given up as unknown.
const MAX_TERMS: usize = 64;

impl Dim {
    /// A dimension nothing is known about.
    pub const UNKNOWN: Self = Self(Repr::Unknown);

    /// The dimension a `dim_param` names.
    #[must_use]
    pub fn param(name: &str) -> Self {
        let atom = vec![Atom::Param(Arc::from(name))];
        Self(Repr::Expression(Arc::new(Polynomial(BTreeMap::from([(atom, 1)])))))
    }

    /// The number, if it is one.
    #[must_use]
    pub fn value(&self) -> Option<i64> {
        match self.0 {
            Repr::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The `dim_param` name, if the dimension is exactly one parameter.
    #[must_use]
    pub fn as_param(&self) -> Option<&str> {
        let Repr::Expression(polynomial) = &self.0 else { return None };
        let mut terms = polynomial.0.iter();
        match (terms.next(), terms.next()) {
            (Some((atoms, 1)), None) => match atoms.as_slice() {
                [Atom::Param(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.0, Repr::Unknown)
    }

    /// Floor division; unknown when the divisor is zero or may be.
    #[must_use]
    pub fn floor_div(&self, divisor: &Self) -> Self {
        if divisor.value() == Some(1) {
            return self.clone();
        }
        if divisor.value() == Some(0) {
            return Self::UNKNOWN;
        }
        if let (Some(a), Some(b)) = (self.value(), divisor.value()) {
            let Some(quotient) = a.checked_div_euclid(b) else { return Self::UNKNOWN };
            // div_euclid rounds towards negative infinity only for positive divisors.
            let floor = if b > 0 { quotient } else { a.div_euclid(-b).saturating_neg() };
            return if b > 0 || a % b == 0 { floor.into() } else { Self::UNKNOWN };
        }
        let (Some(a), Some(b)) = (self.polynomial(), divisor.polynomial()) else {
            return Self::UNKNOWN;
        };
        if let Some(exact) = a.divide_exactly(&b) {
            return Self::from_polynomial(exact);
        }
        let atom = Atom::Div(Box::new(a), Box::new(b));
        Self(Repr::Expression(Arc::new(Polynomial(BTreeMap::from([(vec![atom], 1)])))))
    }

    /// Division rounded up, for a divisor that is a positive number.
    #[must_use]
    pub fn ceil_div(&self, divisor: i64) -> Self {
        if divisor <= 0 {
            return Self::UNKNOWN;
        }
        (self.clone() + Self::from(divisor - 1)).floor_div(&divisor.into())
    }

    /// Replaces every parameter that `assign` knows by its value.
    #[must_use]
    pub fn substitute(&self, assign: &dyn Fn(&str) -> Option<i64>) -> Self {
        match &self.0 {
            Repr::Expression(polynomial) => polynomial.substitute(assign),
            _ => self.clone(),
        }
    }

    fn polynomial(&self) -> Option<Polynomial> {
        match &self.0 {
            Repr::Known(0) => Some(Polynomial::default()),
            Repr::Known(value) => Some(Polynomial(BTreeMap::from([(Vec::new(), *value)]))),
            Repr::Expression(polynomial) => Some((**polynomial).clone()),
            Repr::Unknown => None,
        }
    }

    fn from_polynomial(polynomial: Polynomial) -> Self {
        let mut terms = polynomial.0.iter();
        match (terms.next(), terms.next()) {
            (None, _) => 0.into(),
            (Some((atoms, value)), None) if atoms.is_empty() => (*value).into(),
            _ if polynomial.0.len() > MAX_TERMS => Self::UNKNOWN,
            _ => Self(Repr::Expression(Arc::new(polynomial))),
        }
    }

    fn combine(
        &self,
        other: &Self,
        numbers: fn(i64, i64) -> Option<i64>,
        polynomials: fn(Polynomial, Polynomial) -> Option<Polynomial>,
    ) -> Self {
        if let (Some(a), Some(b)) = (self.value(), other.value()) {
            return numbers(a, b).map_or(Self::UNKNOWN, Self::from);
        }
        let (Some(a), Some(b)) = (self.polynomial(), other.polynomial()) else {
            return Self::UNKNOWN;
        };
        polynomials(a, b).map_or(Self::UNKNOWN, Self::from_polynomial)
    }
}

impl Polynomial {
    fn plus(mut self, other: Self) -> Option<Self> {
        for (atoms, coefficient) in other.0 {
            let sum = self.0.get(&atoms).copied().unwrap_or(0).checked_add(coefficient)?;
            if sum == 0 {
                self.0.remove(&atoms);
            } else {
                self.0.insert(atoms, sum);
            }
        }
        Some(self)
    }

    fn negated(mut self) -> Option<Self> {
        for coefficient in self.0.values_mut() {
            *coefficient = coefficient.checked_neg()?;
        }
        Some(self)
    }

    fn times(self, other: Self) -> Option<Self> {
        if self.0.len() * other.0.len() > MAX_TERMS * MAX_TERMS {
            return None;
        }
        let mut product = Self::default();
        for (left, a) in &self.0 {
            for (right, b) in &other.0 {
                let mut atoms: Vec<Atom> = left.iter().chain(right).cloned().collect();
                atoms.sort();
                let term = Self(BTreeMap::from([(atoms, a.checked_mul(*b)?)]));
                product = product.plus(term)?;
            }
        }
        Some(product)
    }

    /// The quotient by a divisor of one term, when every term is a multiple of it.
    fn divide_exactly(&self, divisor: &Self) -> Option<Self> {
        if self == divisor {
            return Some(Self(BTreeMap::from([(Vec::new(), 1)])));
        }
        let mut terms = divisor.0.iter();
        let (Some((atoms, by)), None) = (terms.next(), terms.next()) else { return None };
        let mut quotient = BTreeMap::new();
        for (term, coefficient) in &self.0 {
            if coefficient % by != 0 {
                return None;
            }
            let mut rest = term.clone();
            for atom in atoms {
                let at = rest.iter().position(|candidate| candidate == atom)?;
                rest.remove(at);
            }
            quotient.insert(rest, coefficient / by);
        }
        Some(Self(quotient))
    }

    fn substitute(&self, assign: &dyn Fn(&str) -> Option<i64>) -> Dim {
        let mut sum = Dim::from(0);
        for (atoms, coefficient) in &self.0 {
            let mut term = Dim::from(*coefficient);
            for atom in atoms {
                term = term * atom.substitute(assign);
            }
            sum = sum + term;
        }
        sum
    }
}

impl Atom {
    fn substitute(&self, assign: &dyn Fn(&str) -> Option<i64>) -> Dim {
        match self {
            Self::Param(name) => assign(name).map_or_else(|| Dim::param(name), Dim::from),
            Self::Div(a, b) => a.substitute(assign).floor_div(&b.substitute(assign)),
        }
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        Self(Repr::Known(value))
    }
}

impl PartialEq for Dim {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Known(a), Repr::Known(b)) => a == b,
            (Repr::Expression(a), Repr::Expression(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq<i64> for Dim {
    fn eq(&self, other: &i64) -> bool {
        self.value() == Some(*other)
    }
}

impl Add for Dim {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.combine(&other, i64::checked_add, Polynomial::plus)
    }
}

impl Sub for Dim {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.combine(&other, i64::checked_sub, |a, b| a.plus(b.negated()?))
    }
}

impl Mul for Dim {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.combine(&other, i64::checked_mul, Polynomial::times)
    }
}

impl std::iter::Product for Dim {
    fn product<I: Iterator<Item = Self>>(dims: I) -> Self {
        dims.fold(1.into(), |product, dim| product * dim)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Known(value) => write!(f, "{value}"),
            Repr::Expression(polynomial) => fmt::Display::fmt(polynomial, f),
            Repr::Unknown => f.write_str("?"),
        }
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The constant term sorts first and reads best last: `N + 1`.
        let (constant, rest): (Vec<_>, Vec<_>) =
            self.0.iter().partition(|(atoms, _)| atoms.is_empty());
        for (index, (atoms, coefficient)) in rest.into_iter().chain(constant).enumerate() {
            match (index, *coefficient < 0) {
                (0, true) => f.write_str("-")?,
                (0, false) => {}
                (_, true) => f.write_str(" - ")?,
                (_, false) => f.write_str(" + ")?,
            }
            let magnitude = coefficient.unsigned_abs();
            if magnitude != 1 || atoms.is_empty() {
                write!(f, "{magnitude}")?;
            }
            for (position, atom) in atoms.iter().enumerate() {
                if position > 0 || magnitude != 1 {
                    f.write_str("*")?;
                }
                fmt::Display::fmt(atom, f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(name) => f.write_str(name),
            Self::Div(a, b) => write!(f, "floor(({a})/({b}))"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_compare_equal() {
        let n = Dim::param("N");
        assert_eq!(n.clone() * 2.into() + n.clone(), n.clone() * 3.into());
        assert_eq!((n.clone() + 4.into()) - n.clone(), Dim::from(4));
        assert_eq!((n.clone() * 64.into()).floor_div(&64.into()), n);
    }

    #[test]
    fn an_unknown_dimension_equals_nothing() {
        assert_ne!(Dim::UNKNOWN, Dim::UNKNOWN);
        assert_ne!(Dim::UNKNOWN, Dim::from(1));
    }

    #[test]
    fn overflow_is_unknown() {
        assert!((Dim::from(i64::MAX) + 1.into()).is_unknown());
        assert!((Dim::from(i64::MAX) * Dim::param("N") * 2.into()).is_unknown());
        assert!(Dim::from(i64::MIN).floor_div(&(-1).into()).is_unknown());
    }

    #[test]
    fn substitution_evaluates_floor_division() {
        let half = (Dim::param("H") + 1.into()).floor_div(&2.into());
        assert_eq!(half.to_string(), "floor((H + 1)/(2))");
        assert_eq!(half.substitute(&|name| (name == "H").then_some(7)), Dim::from(4));
    }
}
