//! Matrix products: the inner dimensions.
use super::Site;
use super::broadcast::{fits_into, pairs};
use crate::Dim;

impl Site<'_> {
    /// As numpy's `matmul`.
    pub(super) fn product(&mut self, a: usize, b: usize) {
        let (Some(left), Some(right)) = (self.shape(a), self.shape(b)) else { return };
        for (slot, shape) in [(a, left), (b, right)] {
            if shape.is_empty() {
                let operand = self.operand(slot);
                self.fault(format!("{operand} has rank 0, expected 1 or more"));
                return;
            }
        }
        let rows = right.len().saturating_sub(2);
        if let (Some(expected), Some(found)) = (left[left.len() - 1].value(), right[rows].value())
            && expected != found
        {
            self.inner(a, b, expected, found);
        }
        let (outer, inner) = (&left[..left.len().saturating_sub(2)], &right[..rows]);
        if pairs(outer, inner).any(|(a, b)| a != b && a != 1 && b != 1) {
            let (a, b) = (self.operand(a), self.operand(b));
            self.fault(format!(
                "{a} {left:?} and {b} {right:?} do not broadcast in front of the matrices"
            ));
        }
    }

    pub(super) fn gemm(&mut self) {
        for slot in [0, 1] {
            if let Some(rank) = self.rank(slot).filter(|&rank| rank != 2) {
                let operand = self.operand(slot);
                // Before operator set 7 the ranks were not laid down.
                if self.opset >= 7 {
                    self.fault(format!("{operand} has rank {rank}, expected 2"));
                }
                return;
            }
        }
        let swapped = |site: &Self, name| usize::from(site.int(name).unwrap_or(0) != 0);
        let (a, b) = (swapped(self, "transA"), swapped(self, "transB"));
        if let (Some(expected), Some(found)) = (self.dim(0, 1 - a), self.dim(1, b))
            && expected != found
        {
            self.inner(0, 1, expected, found);
        }
        let Some(addend) = self.shape(2) else { return };
        let result = [self.dim(0, a), self.dim(1, 1 - b)];
        let result = result.map(|dim| dim.map_or(Dim::UNKNOWN, Dim::from));
        if self.opset >= 7 && !fits_into(addend, &result) {
            let operand = self.operand(2);
            self.fault(format!(
                "{operand} has shape {addend:?}, expected one that broadcasts to {result:?}"
            ));
        }
    }

    fn inner(&mut self, a: usize, b: usize, expected: i64, found: i64) {
        let (a, b) = (self.operand(a), self.operand(b));
        self.fault(format!("{b} has inner dimension {found}, expected {expected} as {a}"));
    }
}
