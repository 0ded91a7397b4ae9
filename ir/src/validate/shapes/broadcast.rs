//! Shapes that broadcast against each other.
use super::Site;
use crate::Dim;

impl Site<'_> {
    /// Every pair of inputs broadcasts, as numpy does it.
    pub(super) fn broadcast(&mut self) {
        // The dimension other than 1 seen first, counted from the last axis, and where.
        let mut seen: Vec<Option<(i64, usize)>> = Vec::new();
        for slot in 0..self.node.inputs.len() {
            let Some(shape) = self.shape(slot) else { continue };
            seen.resize(seen.len().max(shape.len()), None);
            for (entry, dim) in seen.iter_mut().zip(shape.iter().rev()) {
                let Some(dim) = dim.value().filter(|&dim| dim != 1) else { continue };
                let Some((other, first)) = *entry else {
                    *entry = Some((dim, slot));
                    continue;
                };
                if other == dim {
                    continue;
                }
                let (left, right) = (self.operand(first), self.operand(slot));
                let before = self.shape(first).unwrap_or_default();
                self.fault(format!(
                    "{right} has shape {shape:?}, \
                     expected one that broadcasts with {left} {before:?}"
                ));
                return;
            }
        }
    }

    /// Inputs `slots` broadcast to the shape of input 0.
    pub(super) fn broadcasts_into(&mut self, slots: &[usize]) {
        let Some(target) = self.shape(0) else { return };
        for &slot in slots {
            let Some(shape) = self.shape(slot) else { continue };
            if !fits_into(shape, target) {
                let (operand, x) = (self.operand(slot), self.operand(0));
                self.fault(format!(
                    "{operand} has shape {shape:?}, expected one that broadcasts to {x} {target:?}"
                ));
            }
        }
    }
}

/// Known dimensions of the same axis, counted from the last.
pub(super) fn pairs(a: &[Dim], b: &[Dim]) -> impl Iterator<Item = (i64, i64)> {
    a.iter().rev().zip(b.iter().rev()).filter_map(|(a, b)| Some((a.value()?, b.value()?)))
}

/// Whether `shape` may broadcast to `target` without changing it.
pub(super) fn fits_into(shape: &[Dim], target: &[Dim]) -> bool {
    shape.len() <= target.len()
        && pairs(shape, target).all(|(dim, target)| dim == 1 || dim == target)
}
