//! Samples on top of each other.
use super::DatasetError;
use lapidary_exec::Inputs;
use lapidary_ir::Tensor;
use std::ops::Range;

/// Tensors joined along axis 0; none when they differ elsewhere, have no axis or are no numbers.
pub(crate) fn concat(tensors: &[&Tensor]) -> Option<Tensor> {
    let first = tensors.first()?;
    let (_, rest) = first.dims().split_first()?;
    let alike = |tensor: &&Tensor| {
        tensor.elem_type() == first.elem_type() && tensor.dims().get(1..) == Some(rest)
    };
    if !tensors.iter().all(alike) {
        return None;
    }
    let mut bytes =
        Vec::with_capacity(tensors.iter().map(|tensor| tensor.byte_len() as usize).sum());
    for tensor in tensors {
        bytes.extend_from_slice(tensor.bytes()?);
    }
    let rows = tensors.iter().filter_map(|tensor| tensor.dims().first()).sum();
    let dims = std::iter::once(rows).chain(rest.iter().copied()).collect();
    Tensor::from_bytes(first.elem_type(), dims, bytes.into()).ok()
}

/// The entries `range` of axis 0, sharing the data.
pub(super) fn rows(tensor: &Tensor, range: &Range<usize>) -> Option<Tensor> {
    let (&count, rest) = tensor.dims().split_first()?;
    let bytes = tensor.bytes()?;
    let width = bytes.len().checked_div(usize::try_from(count).ok()?)?;
    let part = bytes.slice(range.start * width..range.end * width);
    let dims = std::iter::once(range.len() as i64).chain(rest.iter().copied()).collect();
    Tensor::from_bytes(tensor.elem_type(), dims, part).ok()
}

/// Stacks inputs: what is the same for all and has no axis stays as it is.
pub(super) fn join(mut parts: Vec<Inputs>) -> Result<Inputs, DatasetError> {
    if parts.len() < 2 {
        return parts.pop().ok_or(DatasetError::Empty);
    }
    let Some(first) = parts.first() else { return Err(DatasetError::Empty) };
    let describe = |tensor: &Tensor| format!("{}{:?}", tensor.elem_type(), tensor.dims());
    let mut joined = Inputs::new();
    for (name, tensor) in first {
        let tensors: Vec<&Tensor> = parts.iter().filter_map(|part| part.get(name)).collect();
        let constant = tensor.rank() == 0 && tensors.iter().all(|other| other.same_content(tensor));
        let stack = if constant { Some(tensor.clone()) } else { concat(&tensors) };
        let Some(stack) = stack.filter(|_| tensors.len() == parts.len()) else {
            let other = tensors.iter().find(|other| other.dims() != tensor.dims());
            return Err(DatasetError::Unstackable {
                name: name.clone(),
                first: describe(tensor),
                found: other.map_or_else(|| "nothing".to_owned(), |other| describe(other)),
            });
        };
        joined.insert(name.clone(), stack);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(tensor: Tensor) -> Inputs {
        Inputs::from([("x".to_owned(), tensor)])
    }

    #[test]
    fn rows_come_apart_and_together() {
        let whole = Tensor::new(&[3, 2], &[1i32, 2, 3, 4, 5, 6]);
        let parts: Vec<Inputs> =
            [0..1, 1..3].iter().filter_map(|range| rows(&whole, range)).map(inputs).collect();
        assert!(parts[1]["x"].same_content(&Tensor::new(&[2, 2], &[3i32, 4, 5, 6])));
        assert!(join(parts).expect("they fit")["x"].same_content(&whole));
    }

    #[test]
    fn other_shapes_are_not_stacked() {
        let parts = vec![
            inputs(Tensor::new(&[1, 2], &[0i32; 2])),
            inputs(Tensor::new(&[1, 3], &[0i32; 3])),
        ];
        let error = join(parts).expect_err("they differ").to_string();
        assert_eq!(error, "the samples of `x` can't be stacked: int32[1, 2] and int32[1, 3]");
        let equal = vec![inputs(Tensor::scalar(1i64)), inputs(Tensor::scalar(1i64))];
        assert!(join(equal).expect("they are equal")["x"].same_content(&Tensor::scalar(1i64)));
        let other = vec![inputs(Tensor::scalar(1i64)), inputs(Tensor::scalar(2i64))];
        assert!(join(other).is_err());
    }
}
