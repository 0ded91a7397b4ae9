//! How far two sets of outputs are apart.
use crate::{ExecError, Outputs};
use lapidary_ir::{ElemType, Tensor};

/// How far an output is from the same output of a reference.
///
/// Elements that are NaN in both, and infinities of the same sign in both, are equal and otherwise
/// left out. A number is infinitely far from NaN and from an infinity. No field is
/// NaN, unless squares of `double` overflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The output.
    pub name: String,
    /// Its elements.
    pub elements: usize,
    /// Elements that differ at all.
    pub different: usize,
    /// Elements that are NaN in one of the two only.
    pub mismatched_nans: usize,
    /// The largest distance of two elements.
    pub max_abs: f64,
    /// The same relative to the largest magnitude in the reference.
    pub max_rel: f64,
    /// The signal-to-noise ratio in decibels: reference to difference; infinite when there is no
    /// difference.
    pub sqnr_db: f64,
    /// The Pearson correlation of the pairs that are finite; of two constants 1 if they are equal,
    /// else 0.
    pub correlation: f64,
    /// The cosine of the angle between the two as vectors of the pairs that are finite; if one is
    /// all zeros, 1 if they are equal, else 0.
    pub cosine: f64,
    /// For scores, which are floating-point outputs of rank 2 with at least two columns: the share
    /// of the rows whose largest element is in the same column in both.
    pub argmax_agreement: Option<f64>,
}

/// Compares every output with the output of the same position in `reference`.
///
/// # Errors
/// When the two differ in number, names, element types or dimensions of outputs, or an element type
/// has no numbers to compare.
pub fn compare(reference: &Outputs, candidate: &Outputs) -> Result<Vec<Comparison>, ExecError> {
    let name_at = |outputs: &Outputs, index: usize| {
        outputs.get(index).map_or("nothing".to_owned(), |(name, _)| format!("`{name}`"))
    };
    for index in 0..reference.len().max(candidate.len()) {
        let (found, expected) = (name_at(candidate, index), name_at(reference, index));
        if found != expected {
            return Err(ExecError::DifferentOutputs { index, found, expected });
        }
    }
    let pairs = reference.iter().zip(candidate);
    pairs
        .map(|((name, reference), (_, candidate))| Comparison::new(name, reference, candidate))
        .collect()
}

impl Comparison {
    fn new(name: &str, reference: &Tensor, candidate: &Tensor) -> Result<Self, ExecError> {
        if reference.elem_type() != candidate.elem_type() || reference.dims() != candidate.dims() {
            let describe = |tensor: &Tensor| format!("{}{:?}", tensor.elem_type(), tensor.dims());
            return Err(ExecError::DifferentTypes {
                name: name.to_owned(),
                found: describe(candidate),
                expected: describe(reference),
            });
        }
        let elem_type = reference.elem_type();
        let (Some(expected), Some(found)) = (numbers(reference), numbers(candidate)) else {
            return Err(ExecError::UnsupportedType { name: name.to_owned(), elem_type });
        };
        let pairs = || expected.iter().copied().zip(found.iter().copied());
        let same = |&(a, b): &(f64, f64)| a == b || a.is_nan() && b.is_nan();
        let mismatched_nans = pairs().filter(|(a, b)| a.is_nan() != b.is_nan()).count();
        let different = match (reference.bytes(), candidate.bytes(), elem_type.is_float()) {
            // As f64, neighbouring 64-bit integers may be the same.
            (Some(a), Some(b), false) => {
                let width = a.len().checked_div(expected.len()).unwrap_or(1).max(1);
                a.chunks(width).zip(b.chunks(width)).filter(|(a, b)| a != b).count()
            }
            _ => pairs().filter(|pair| !same(pair)).count(),
        };
        let finite = |(a, b): &(f64, f64)| a.is_finite() && b.is_finite();
        let numbers: Vec<(f64, f64)> = pairs().filter(finite).collect();
        let moments = Moments::new(&numbers);
        let max_abs = if pairs().any(|pair| !finite(&pair) && !same(&pair)) {
            f64::INFINITY
        } else {
            largest_difference(reference, candidate)
                .unwrap_or_else(|| numbers.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
        };
        Ok(Self {
            name: name.to_owned(),
            elements: expected.len(),
            different,
            mismatched_nans,
            max_abs,
            max_rel: moments.relative(max_abs),
            sqnr_db: if max_abs.is_infinite() { f64::NEG_INFINITY } else { moments.sqnr_db() },
            correlation: moments.correlation(&numbers),
            cosine: moments.cosine(),
            argmax_agreement: argmax_agreement(reference, &expected, &found),
        })
    }
}

/// The elements as `f64`.
fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.elem_type() {
        ElemType::DOUBLE => tensor.to_vec(),
        ElemType::UINT64 => {
            Some(tensor.to_vec::<u64>()?.into_iter().map(|number| number as f64).collect())
        }
        elem_type if elem_type.is_float() => {
            Some(tensor.to_f32()?.into_iter().map(f64::from).collect())
        }
        _ => Some(tensor.to_i64()?.into_iter().map(|number| number as f64).collect()),
    }
}

/// The largest distance of two integers, without a detour through `f64`; nothing for other numbers.
fn largest_difference(reference: &Tensor, candidate: &Tensor) -> Option<f64> {
    let distances = match reference.elem_type() {
        ElemType::UINT64 => {
            let (a, b) = (reference.to_vec::<u64>()?, candidate.to_vec::<u64>()?);
            a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max()
        }
        _ => {
            let (a, b) = (reference.to_i64()?, candidate.to_i64()?);
            a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max()
        }
    };
    Some(distances.unwrap_or(0) as f64)
}

/// Sums over pairs of numbers.
struct Moments {
    max_reference: f64,
    reference_squares: f64,
    candidate_squares: f64,
    products: f64,
    difference_squares: f64,
}

impl Moments {
    fn new(pairs: &[(f64, f64)]) -> Self {
        let mut moments = Self {
            max_reference: 0.0,
            reference_squares: 0.0,
            candidate_squares: 0.0,
            products: 0.0,
            difference_squares: 0.0,
        };
        for (a, b) in pairs {
            moments.max_reference = moments.max_reference.max(a.abs());
            moments.reference_squares += a * a;
            moments.candidate_squares += b * b;
            moments.products += a * b;
            moments.difference_squares += (a - b) * (a - b);
        }
        moments
    }

    fn equal(&self) -> bool {
        self.difference_squares == 0.0
    }

    fn relative(&self, max_abs: f64) -> f64 {
        if max_abs == 0.0 { 0.0 } else { max_abs / self.max_reference }
    }

    fn sqnr_db(&self) -> f64 {
        if self.equal() {
            return f64::INFINITY;
        }
        10.0 * (self.reference_squares / self.difference_squares).log10()
    }

    fn cosine(&self) -> f64 {
        if self.equal() {
            return 1.0;
        }
        if self.reference_squares == 0.0 || self.candidate_squares == 0.0 {
            return 0.0;
        }
        let norms = self.reference_squares.sqrt() * self.candidate_squares.sqrt();
        (self.products / norms).clamp(-1.0, 1.0)
    }

    fn correlation(&self, pairs: &[(f64, f64)]) -> f64 {
        if self.equal() {
            return 1.0;
        }
        let count = pairs.len().max(1) as f64;
        let mean_a = pairs.iter().map(|(a, _)| a).sum::<f64>() / count;
        let mean_b = pairs.iter().map(|(_, b)| b).sum::<f64>() / count;
        let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
        for (a, b) in pairs {
            let (a, b) = (a - mean_a, b - mean_b);
            aa += a * a;
            bb += b * b;
            ab += a * b;
        }
        if aa == 0.0 || bb == 0.0 {
            return 0.0;
        }
        (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0)
    }
}

/// The share of rows with the same column of the largest element.
fn argmax_agreement(tensor: &Tensor, expected: &[f64], found: &[f64]) -> Option<f64> {
    let &[rows, columns] = tensor.dims() else { return None };
    if rows == 0 || columns < 2 || !tensor.elem_type().is_float() {
        return None;
    }
    let rows_of =
        |numbers: &[f64]| -> Vec<usize> { numbers.chunks(columns as usize).map(argmax).collect() };
    let (expected, found) = (rows_of(expected), rows_of(found));
    let agreeing = expected.iter().zip(&found).filter(|(a, b)| a == b).count();
    Some(agreeing as f64 / rows as f64)
}

/// The first column of the largest element; NaN is never the largest.
fn argmax(row: &[f64]) -> usize {
    let better = |best: usize, index: usize| row[index] > row[best] || row[best].is_nan();
    (1..row.len()).fold(0, |best, index| if better(best, index) { index } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::float;

    fn one(reference: Tensor, candidate: Tensor) -> Comparison {
        let named = |tensor| vec![("y".to_owned(), tensor)];
        compare(&named(reference), &named(candidate)).expect("they can be compared").remove(0)
    }

    #[test]
    fn equal_outputs_are_not_apart() {
        let tensor = float(&[2, 2], &[1.0, -2.0, f32::NAN, f32::INFINITY]);
        let comparison = one(tensor.clone(), tensor);
        assert_eq!((comparison.different, comparison.mismatched_nans), (0, 0));
        assert_eq!((comparison.max_abs, comparison.max_rel), (0.0, 0.0));
        assert_eq!((comparison.correlation, comparison.cosine), (1.0, 1.0));
        assert_eq!(comparison.sqnr_db, f64::INFINITY);
        assert_eq!(comparison.argmax_agreement, Some(1.0));
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        let comparison =
            one(float(&[4], &[1.0, 2.0, -4.0, 0.0]), float(&[4], &[1.0, 2.5, -4.0, 0.0]));
        assert_eq!((comparison.max_abs, comparison.max_rel), (0.5, 0.125));
        assert!((comparison.sqnr_db - 10.0 * (21.0f64 / 0.25).log10()).abs() < 1e-12);
        assert_eq!(comparison.different, 1);
        assert_eq!(comparison.argmax_agreement, None);
    }

    #[test]
    fn opposite_outputs_correlate_negatively() {
        let comparison = one(float(&[2], &[1.0, -1.0]), float(&[2], &[-1.0, 1.0]));
        assert!((comparison.correlation + 1.0).abs() < 1e-12);
        assert!((comparison.cosine + 1.0).abs() < 1e-12);
    }

    #[test]
    fn nan_on_one_side_is_counted() {
        let comparison =
            one(float(&[3], &[1.0, f32::NAN, 2.0]), float(&[3], &[1.0, 5.0, f32::NAN]));
        assert_eq!((comparison.mismatched_nans, comparison.different), (2, 2));
        assert_eq!((comparison.max_abs, comparison.sqnr_db), (f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn a_number_is_infinitely_far_from_infinity() {
        let (number, infinity) = (float(&[2], &[1.0, 2.0]), float(&[2], &[1.0, f32::INFINITY]));
        for comparison in [one(number.clone(), infinity.clone()), one(infinity, number)] {
            assert_eq!((comparison.max_abs, comparison.max_rel), (f64::INFINITY, f64::INFINITY));
            assert_eq!((comparison.correlation, comparison.cosine), (1.0, 1.0));
        }
    }

    #[test]
    fn the_largest_column_of_each_row_counts() {
        let reference = float(&[2, 3], &[0.0, 1.0, 0.5, 3.0, 2.0, 1.0]);
        let candidate = float(&[2, 3], &[0.0, 0.4, 0.5, 3.0, 2.0, 1.0]);
        assert_eq!(one(reference, candidate).argmax_agreement, Some(0.5));
    }

    #[test]
    fn large_integers_differ_by_one() {
        let large = 1i64 << 60;
        let comparison = one(Tensor::vector(&[large, 3]), Tensor::vector(&[large + 1, 3]));
        assert_eq!((comparison.different, comparison.max_abs), (1, 1.0));
        let comparison = one(Tensor::vector(&[true, false]), Tensor::vector(&[true, true]));
        assert_eq!((comparison.different, comparison.max_abs), (1, 1.0));
    }

    #[test]
    fn constants_correlate_only_if_equal() {
        assert_eq!(one(float(&[2], &[1.0, 1.0]), float(&[2], &[1.0, 1.0])).correlation, 1.0);
        assert_eq!(one(float(&[2], &[1.0, 1.0]), float(&[2], &[2.0, 1.0])).correlation, 0.0);
        assert_eq!(one(float(&[1], &[0.0]), float(&[1], &[2.0])).cosine, 0.0);
    }

    #[test]
    fn names_types_and_dimensions_must_agree() {
        let output = |name: &str, tensor| vec![(name.to_owned(), tensor)];
        let one = output("y", Tensor::scalar(1.0f32));
        let error = compare(&one, &output("z", Tensor::scalar(1.0f32))).expect_err("names differ");
        assert_eq!(error.to_string(), "output 0 is `z`, expected `y`");
        let error = compare(&one, &Vec::new()).expect_err("one is missing");
        assert_eq!(error.to_string(), "output 0 is nothing, expected `y`");
        let error = compare(&one, &output("y", Tensor::vector(&[1i64]))).expect_err("types differ");
        assert_eq!(error.to_string(), "output `y` is int64[1], expected float[]");
    }
}
