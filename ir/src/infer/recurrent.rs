//! Recurrent layers.
use super::Outputs;
use super::site::Site;
use crate::{Dim, ValueType};

/// `LSTM`, `GRU` and `RNN` with that many outputs.
///
/// X is `[sequence, batch, input]`; Y is `[sequence, directions, batch, hidden]`, the final states
/// `[directions, batch, hidden]`. With `layout` 1 the batch comes first in all of them.
pub(super) fn recurrent(site: &Site<'_>, outputs: usize) -> Outputs {
    if site.rank(0).is_some_and(|rank| rank != 3) {
        return None;
    }
    let directions = match site.string("direction") {
        Some("bidirectional") => 2.into(),
        _ => Dim::from(1),
    };
    let hidden = match site.node().int("hidden_size") {
        Some(size) => size.into(),
        None => site.dim(2, 2),
    };
    let (y, state) = if site.flag("layout") {
        let (batch, sequence) = (site.dim(0, 0), site.dim(0, 1));
        (
            vec![batch.clone(), sequence, directions.clone(), hidden.clone()],
            vec![batch, directions, hidden],
        )
    } else {
        let (sequence, batch) = (site.dim(0, 0), site.dim(0, 1));
        (
            vec![sequence, directions.clone(), batch.clone(), hidden.clone()],
            vec![directions, batch, hidden],
        )
    };
    let ty = |shape| ValueType::tensor(site.elem_type(0), Some(shape));
    let mut types = vec![ty(y)];
    types.resize(outputs, ty(state));
    Some(types)
}

/// `com.microsoft.DynamicQuantizeLSTM`: as `LSTM`, with R `[directions, hidden, 4 · hidden]`.
pub(super) fn dynamic_lstm(site: &Site<'_>) -> Outputs {
    let mut types = recurrent(site, 3)?;
    if site.node().int("hidden_size").is_none() {
        for shape in types.iter_mut().filter_map(|ty| ty.shape.as_mut()) {
            *shape.last_mut()? = site.dim(2, 1);
        }
    }
    Some(types)
}
