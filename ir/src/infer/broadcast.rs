//! Broadcasting of shapes.
use crate::Dim;

/// The shape two shapes broadcast to; nothing when they do not fit.
///
/// Two dimensions fit when they are equal or one of them is 1. Of a symbolic dimension and a
/// number other than 1, the number wins: the model would be invalid otherwise.
pub(super) fn pair(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let lead = long.len() - short.len();
    let mut shape = long[..lead].to_vec();
    for (left, right) in long[lead..].iter().zip(short) {
        shape.push(dim(left, right)?);
    }
    Some(shape)
}

/// The shape all of `shapes` broadcast to.
pub(super) fn all<'a>(mut shapes: impl Iterator<Item = Option<&'a [Dim]>>) -> Option<Vec<Dim>> {
    let mut shape = shapes.next()??.to_vec();
    for other in shapes {
        shape = pair(&shape, other?)?;
    }
    Some(shape)
}

fn dim(a: &Dim, b: &Dim) -> Option<Dim> {
    Some(match (a.value(), b.value()) {
        (Some(1), _) => b.clone(),
        (_, Some(1)) => a.clone(),
        (Some(left), Some(right)) if left != right => return None,
        (Some(number), _) | (_, Some(number)) => number.into(),
        (None, None) if a == b => a.clone(),
        (None, None) => Dim::UNKNOWN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_win_over_symbols_and_symbols_over_one() {
        let n = Dim::param("N");
        let shape = pair(&[n.clone(), 1.into(), n.clone()], &[n.clone(), 7.into()]);
        let shape = shape.expect("the shapes fit");
        assert_eq!(shape[..2], [n.clone(), n]);
        assert_eq!(shape[2], 7);
    }

    #[test]
    fn different_symbols_broadcast_to_an_unknown_dimension() {
        let shape = pair(&[Dim::param("N")], &[Dim::param("M")]).expect("the ranks fit");
        assert!(shape[0].is_unknown());
    }

    #[test]
    fn different_numbers_do_not_broadcast() {
        assert!(pair(&[2.into()], &[3.into()]).is_none());
    }
}
