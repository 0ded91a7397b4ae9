//! Quantization: one scale for all, per axis, or per block.
use super::Site;
use crate::Dim;

impl Site<'_> {
    pub(super) fn quantization(&mut self) {
        let Some(scale) = self.shape(1) else { return };
        if let Some(zero_point) = self.shape(2) {
            let one = |shape: &[Dim]| shape.iter().all(|dim| *dim == 1);
            let same_rank = zero_point.len() == scale.len();
            let agrees = same_rank && !zero_point.iter().zip(scale).any(differs);
            if !(agrees || one(zero_point) && one(scale)) {
                let (operand, like) = (self.operand(2), self.operand(1));
                self.fault(format!(
                    "{operand} has shape {zero_point:?}, expected {scale:?} as {like}"
                ));
            }
        }
        let per_tensor = scale.iter().all(|dim| *dim == 1) && scale.len() <= 1;
        let (false, true, Some(rank)) = (per_tensor, self.opset >= 13, self.rank(0)) else {
            return;
        };
        if scale.len() == 1 && scale[0].value().is_none() {
            return;
        }
        let Some(axis) = self.int("axis").and_then(|axis| self.axis(axis, rank)) else { return };
        if scale.len() > 1 {
            self.blocks(axis);
        } else if let Some(expected) = self.dim(0, axis) {
            self.vector(1, expected, &format!("entry of axis {axis}"));
        }
    }

    /// The scale has the rank of the data and an entry per block along `axis`.
    fn blocks(&mut self, axis: usize) {
        let (Some(data), Some(scale)) = (self.shape(0), self.shape(1)) else { return };
        let block_size = self.int("block_size").unwrap_or(0);
        if data.len() != scale.len() {
            let (operand, found, expected) = (self.operand(1), scale.len(), data.len());
            self.fault(format!("{operand} has rank {found}, expected 0, 1 or {expected}"));
            return;
        }
        let expected: Vec<Dim> = data
            .iter()
            .cloned()
            .enumerate()
            .map(|(index, dim)| match index {
                index if index != axis => dim,
                _ if block_size > 0 => dim.ceil_div(block_size),
                _ => Dim::UNKNOWN,
            })
            .collect();
        if scale.iter().zip(&expected).any(differs) {
            let operand = self.operand(1);
            self.fault(format!(
                "{operand} has shape {scale:?}, expected {expected:?}, blocks of {block_size}"
            ));
        }
    }
}

/// Whether both dimensions are known and not the same.
fn differs((a, b): (&Dim, &Dim)) -> bool {
    a.value().zip(b.value()).is_some_and(|(a, b)| a != b)
}
