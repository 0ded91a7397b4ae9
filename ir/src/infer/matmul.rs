//! Matrix products.
use super::site::Site;
use super::{Outputs, broadcast, one};
use crate::{Dim, ElemType};

pub(super) fn matmul(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), shape(site, 0, 1))
}

pub(super) fn integer(site: &Site<'_>) -> Outputs {
    one(Some(ElemType::INT32), shape(site, 0, 1))
}

/// Inputs: a, its scale and zero point, b, its scale and zero point, scale and zero point of y.
pub(super) fn qlinear(site: &Site<'_>) -> Outputs {
    one(site.elem_type(7).or(site.elem_type(0)), shape(site, 0, 3))
}

fn shape(site: &Site<'_>, a: usize, b: usize) -> Option<Vec<Dim>> {
    product(site.shape(a)?, site.shape(b)?)
}

/// As `numpy.matmul`: a vector on the left is a row, one on the right a column, which vanish from
/// the result; dimensions before the last two broadcast.
pub(super) fn product(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let (rows, batch_a) = match a {
        [] => return None,
        [_] => (None, &a[..0]),
        [batch @ .., rows, _] => (Some(rows.clone()), batch),
    };
    let (columns, batch_b) = match b {
        [] => return None,
        [_] => (None, &b[..0]),
        [batch @ .., _, columns] => (Some(columns.clone()), batch),
    };
    let mut shape = broadcast::pair(batch_a, batch_b)?;
    shape.extend(rows);
    shape.extend(columns);
    Some(shape)
}

pub(super) fn gemm(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), Some(gemm_shape(site, 1)))
}

/// Inputs: a, its scale and zero point, b, its scale and zero point, the bias, scale and zero point of y,
/// without which y is `float`.
pub(super) fn quantized_gemm(site: &Site<'_>) -> Outputs {
    let elem_type = match (site.has_input(7), site.has_input(8)) {
        (false, _) => Some(ElemType::FLOAT),
        (true, true) => site.elem_type(8),
        (true, false) => site.elem_type(0),
    };
    one(elem_type, Some(gemm_shape(site, 3)))
}

fn gemm_shape(site: &Site<'_>, b: usize) -> Vec<Dim> {
    let rows = site.dim(0, usize::from(site.flag("transA")));
    let columns = site.dim(b, usize::from(!site.flag("transB")));
    vec![rows, columns]
}

/// The matrix dimensions vanish.
pub(super) fn determinant(site: &Site<'_>) -> Outputs {
    let batch = site.shape(0).and_then(|shape| Some(shape[..shape.len().checked_sub(2)?].to_vec()));
    one(site.elem_type(0), batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(values: &[i64]) -> Vec<Dim> {
        values.iter().map(|&value| value.into()).collect()
    }

    #[test]
    fn vectors_lose_the_dimension_they_were_given() {
        assert_eq!(product(&dims(&[3]), &dims(&[3])), Some(vec![]));
        assert_eq!(product(&dims(&[3]), &dims(&[5, 3, 4])), Some(dims(&[5, 4])));
        assert_eq!(product(&dims(&[5, 2, 3]), &dims(&[3])), Some(dims(&[5, 2])));
        assert_eq!(product(&dims(&[]), &dims(&[3])), None);
    }

    #[test]
    fn leading_dimensions_broadcast() {
        let product = product(&dims(&[7, 1, 2, 3]), &dims(&[5, 3, 4]));
        assert_eq!(product, Some(dims(&[7, 5, 2, 4])));
    }
}
