//! Operators that arrange elements anew: none may be lost.
use super::Site;
use crate::element_count;

impl Site<'_> {
    pub(super) fn concat(&mut self) {
        let mut known = (0..self.node.inputs.len()).filter(|&slot| self.shape(slot).is_some());
        let Some(first) = known.next() else { return };
        let slots: Vec<usize> = known.collect();
        let Some(expected) = self.shape(first) else { return };
        // The axis is required since operator set 4.
        let Some(axis) = self.int("axis").or((self.opset < 4).then_some(1)) else { return };
        let Some(axis) = self.axis(axis, expected.len()) else { return };
        for slot in slots {
            let Some(found) = self.shape(slot) else { continue };
            if found.len() != expected.len() {
                let (operand, like) = (self.operand(slot), self.operand(first));
                let (found, expected) = (found.len(), expected.len());
                self.fault(format!("{operand} has rank {found}, expected {expected} as {like}"));
                continue;
            }
            let differs = |index: usize| {
                let (a, b) = (found[index].value(), expected[index].value());
                index != axis && a.is_some() && b.is_some() && a != b
            };
            if (0..found.len()).any(differs) {
                let (operand, like) = (self.operand(slot), self.operand(first));
                self.fault(format!(
                    "{operand} has shape {found:?}, \
                     expected that of {like} {expected:?} but for axis {axis}"
                ));
            }
        }
    }

    pub(super) fn split(&mut self) {
        let Some(rank) = self.rank(0) else { return };
        let axis = self.int("axis").unwrap_or(0);
        let Some(axis) = self.axis(axis, rank) else { return };
        let sizes = match self.node.ints("split") {
            Some(sizes) => sizes.to_vec(),
            None => match self.elements(1) {
                Some(sizes) => sizes,
                None => return,
            },
        };
        let (found, expected) = (sizes.len(), self.node.outputs.len());
        if found != expected {
            self.fault(format!("{found} sizes are given, expected {expected}, one per output"));
        }
        let sum = sizes.iter().fold(0i64, |sum, size| sum.saturating_add(*size));
        if let Some(expected) = self.dim(0, axis)
            && sum != expected
        {
            let operand = self.operand(0);
            self.fault(format!(
                "sizes {sizes:?} add up to {sum}, expected {expected}, axis {axis} of {operand}"
            ));
        }
    }

    pub(super) fn transpose(&mut self) {
        let Some(permutation) = self.node.ints("perm") else { return };
        let rank = self.rank(0).unwrap_or(permutation.len());
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        if sorted.len() != rank || !sorted.iter().copied().eq(0..rank as i64) {
            self.fault(format!("perm is {permutation:?}, expected each of the {rank} axes once"));
        }
    }

    pub(super) fn reshape(&mut self) {
        if self.opset < 5 {
            return;
        }
        let (Some(from), Some(target)) = (self.dims(0), self.elements(1)) else { return };
        let keeps_zero = self.int("allowzero").unwrap_or(0) != 0;
        let mut to = Vec::with_capacity(target.len());
        for (axis, &dim) in target.iter().enumerate() {
            match (dim, from.get(axis)) {
                (0, Some(&copied)) if !keeps_zero => to.push(copied),
                (0, None) if !keeps_zero => {
                    let operand = self.operand(0);
                    self.fault(format!(
                        "shape {target:?} copies dimension {axis}, \
                         which {operand} {from:?} does not have"
                    ));
                    return;
                }
                _ => to.push(dim),
            }
        }
        let open = to.iter().filter(|&&dim| dim == -1).count();
        if open > 1 || to.iter().any(|&dim| dim < -1) {
            self.fault(format!("shape is {target:?}, expected at most one -1 and nothing below"));
            return;
        }
        to.retain(|&dim| dim != -1);
        let (Ok(elements), Ok(count)) = (element_count(&from), element_count(&to)) else { return };
        let fits = match open {
            0 => count == elements,
            _ => count != 0 && elements % count == 0 || count == 0 && elements == 0,
        };
        if !fits {
            let operand = self.operand(0);
            self.fault(format!(
                "shape {target:?} has {count} elements, expected {elements} as {operand} {from:?}"
            ));
        }
    }
}
