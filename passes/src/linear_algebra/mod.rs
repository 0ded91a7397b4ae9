//! Linear algebra on moments of rows, in `f64`: their sums, the factors of what they make, what these solve.
pub(crate) mod cholesky;
pub(crate) mod gram;
