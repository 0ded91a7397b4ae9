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

/// Products of expressions with more terms than this are given up as unknown.
const MAX_TERMS: usize = 64;

/// Expressions with more terms and parameters than this, inside quotients too, are given up.
const MAX_SIZE: usize = 256;

/// The quotient rounded down.
fn floor_quotient(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    let round_down = a % b != 0 && (a < 0) != (b < 0);
    Some(if round_down { quotient - 1 } else { quotient })
}

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
            return floor_quotient(a, b).map_or(Self::UNKNOWN, Self::from);
        }
        let (Some(a), Some(b)) = (self.polynomial(), divisor.polynomial()) else {
            return Self::UNKNOWN;
        };
        if let Some(exact) = a.divide_exactly(&b) {
            return Self::from_polynomial(exact);
        }
        match divisor.value() {
            Some(by) if by > 0 => a.floor_by(by),
            _ => Self::from_atom(Atom::Div(Box::new(a), Box::new(b))),
        }
    }

    /// A number the dimension is never below, taking every parameter as 0 or more.
    #[must_use]
    pub fn lower_bound(&self) -> Option<i64> {
        match &self.0 {
            Repr::Known(value) => Some(*value),
            Repr::Expression(polynomial) => polynomial.lower_bound(),
            Repr::Unknown => None,
        }
    }

    fn from_atom(atom: Atom) -> Self {
        Self::from_polynomial(Polynomial(BTreeMap::from([(vec![atom], 1)])))
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
            _ if polynomial.size() > MAX_SIZE => Self::UNKNOWN,
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
            if coefficient.checked_rem(*by)? != 0 {
                return None;
            }
            let mut rest = term.clone();
            for atom in atoms {
                let at = rest.iter().position(|candidate| candidate == atom)?;
                rest.remove(at);
            }
            quotient.insert(rest, coefficient.checked_div(*by)?);
        }
        Some(Self(quotient))
    }

    /// Floor division by a positive number, in a form that does not nest:
    /// `floor((b*x + r)/b) = x + floor(r/b)` and
    /// `floor((floor(p/a) + r)/b) = floor((p + a*r)/(a*b))`.
    fn floor_by(self, by: i64) -> Dim {
        let (mut whole, mut rest) = (Self::default(), Self::default());
        for (atoms, coefficient) in self.0 {
            let (quotient, remainder) = (coefficient.div_euclid(by), coefficient.rem_euclid(by));
            if atoms.is_empty() || remainder == 0 {
                whole.0.extend((quotient != 0).then(|| (atoms.clone(), quotient)));
                rest.0.extend((remainder != 0).then_some((atoms, remainder)));
            } else {
                rest.0.insert(atoms, coefficient);
            }
        }
        let whole = Dim::from_polynomial(whole);
        if let Some((dividend, divisor)) = rest.merged(by) {
            return whole + Dim::from_polynomial(dividend).floor_div(&divisor.into());
        }
        if rest.0.keys().all(Vec::is_empty) {
            // What is left is a remainder, less than the divisor.
            return whole;
        }
        let divisor = Self(BTreeMap::from([(Vec::new(), by)]));
        whole + Dim::from_atom(Atom::Div(Box::new(rest), Box::new(divisor)))
    }

    /// `self / by` as the quotient of a dividend without its one quotient, and a number.
    fn merged(&self, by: i64) -> Option<(Self, i64)> {
        let inner = self.0.iter().find_map(|(atoms, coefficient)| match atoms.as_slice() {
            [Atom::Div(a, b)] if *coefficient == 1 && b.0.len() == 1 => {
                let by = *b.0.get([].as_slice()).filter(|&&by| by > 0)?;
                Some((atoms, a, by))
            }
            _ => None,
        });
        let (atoms, dividend, inner_by) = inner?;
        let mut rest = self.clone();
        rest.0.remove(atoms);
        let scale = Self(BTreeMap::from([(Vec::new(), inner_by)]));
        Some(((**dividend).clone().plus(rest.times(scale)?)?, by.checked_mul(inner_by)?))
    }

    /// Terms and atoms, with those inside quotients.
    fn size(&self) -> usize {
        let atom = |atom: &Atom| match atom {
            Atom::Param(_) => 1,
            Atom::Div(a, b) => 1 + a.size() + b.size(),
        };
        self.0.keys().map(|atoms| 1 + atoms.iter().map(atom).sum::<usize>()).sum()
    }

    fn lower_bound(&self) -> Option<i64> {
        self.0.iter().try_fold(0i64, |sum, (atoms, &coefficient)| {
            let term = match atoms.as_slice() {
                [] => coefficient,
                _ if coefficient < 0 => return None,
                [atom] => atom.lower_bound()?.checked_mul(coefficient)?,
                atoms => {
                    let mut bounds =
                        atoms.iter().map(|atom| atom.lower_bound().filter(|&low| low >= 0));
                    bounds.try_fold(coefficient, |product, low| product.checked_mul(low?))?
                }
            };
            sum.checked_add(term)
        })
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
    fn lower_bound(&self) -> Option<i64> {
        match self {
            Self::Param(_) => Some(0),
            Self::Div(a, b) => {
                let by = (b.0.len() == 1).then(|| b.0.get([].as_slice()).copied()).flatten()?;
                if by > 0 { floor_quotient(a.lower_bound()?, by) } else { None }
            }
        }
    }

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
    fn quotients_of_quotients_do_not_nest() {
        let half = |dim: Dim| (dim - 1.into()).floor_div(&2.into()) + 1.into();
        let quarter = half(half(Dim::param("H")));
        assert_eq!(quarter.to_string(), "floor((H + 3)/(4))");
        for height in 0..20 {
            let by_hand = half(half(height.into()));
            assert_eq!(quarter.substitute(&|_| Some(height)), by_hand);
        }
    }

    #[test]
    fn floor_division_takes_whole_terms_out() {
        let n = Dim::param("N");
        assert_eq!((n.clone() * 2.into() + 1.into()).floor_div(&2.into()), n);
        assert_eq!((Dim::from(-7)).floor_div(&2.into()), Dim::from(-4));
        assert_eq!((Dim::from(7)).floor_div(&(-2).into()), Dim::from(-4));
    }

    #[test]
    fn endless_growth_ends_unknown() {
        let mut dim = Dim::param("N");
        for _ in 0..200 {
            dim = dim.clone() * dim.clone() + dim.floor_div(&Dim::param("M"));
        }
        assert!(dim.is_unknown());
    }

    #[test]
    fn lower_bounds_take_parameters_as_zero_or_more() {
        let n = Dim::param("N");
        assert_eq!((n.clone() * 3.into() + 2.into()).lower_bound(), Some(2));
        assert_eq!((n.clone() - 1.into()).floor_div(&2.into()).lower_bound(), Some(-1));
        assert_eq!((Dim::from(4) - n).lower_bound(), None);
    }

    #[test]
    fn substitution_evaluates_floor_division() {
        let half = (Dim::param("H") + 1.into()).floor_div(&2.into());
        assert_eq!(half.to_string(), "floor((H + 1)/(2))");
        assert_eq!(half.substitute(&|name| (name == "H").then_some(7)), Dim::from(4));
    }
}
