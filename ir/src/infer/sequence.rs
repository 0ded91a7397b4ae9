//! Sequences. Their own types are not followed; what comes out is found through the node that
//! made the sequence.
use super::site::{Site, position};
use super::{Outputs, one};
use crate::{Dim, ElemType, ValueType};

/// Behind `SplitToSequence` a part of its input, behind `SequenceConstruct` one of its inputs.
pub(super) fn at(site: &Site<'_>) -> Outputs {
    let source = site.producer(0).filter(|source| matches!(source.domain(), "" | "ai.onnx"))?;
    let index = site.scalar(1).and_then(|index| index.value());
    match source.op_type() {
        "SplitToSequence" => one(source.elem_type(0), part(&source, index)),
        "SequenceConstruct" => {
            let ty = source.ty(position(index?, source.input_count())?)?;
            one(ty.elem_type, ty.shape.clone())
        }
        "SequenceEmpty" => None,
        _ => None,
    }
}

/// Without `split` every part has size 1, and no axis at all without `keepdims`.
fn part(source: &Site<'_>, index: Option<i64>) -> Option<Vec<Dim>> {
    let mut shape = source.shape(0)?.to_vec();
    let axis = position(source.int("axis", 0), shape.len())?;
    if !source.has_input(1) {
        if source.int("keepdims", 1) == 0 {
            shape.remove(axis);
        } else {
            shape[axis] = 1.into();
        }
        return Some(shape);
    }
    shape[axis] = part_size(source, &shape[axis], index).unwrap_or(Dim::UNKNOWN);
    Some(shape)
}

/// A scalar `split` cuts equal parts and leaves the rest to the last one.
fn part_size(source: &Site<'_>, dim: &Dim, index: Option<i64>) -> Option<Dim> {
    let sizes = source.elements(1)?;
    if source.rank(1) == Some(1) {
        return Some(sizes[position(index?, sizes.len())?].clone());
    }
    let [size] = sizes else { return None };
    let (Some(total), Some(part)) = (dim.value(), size.value()) else { return None };
    let rest = total.checked_rem(part).filter(|_| part > 0)?;
    if rest == 0 {
        return Some(size.clone());
    }
    let count = usize::try_from(total / part + 1).ok()?;
    let last = position(index?, count)? + 1 == count;
    Some(if last { rest.into() } else { size.clone() })
}

pub(super) fn length(_: &Site<'_>) -> Outputs {
    one(Some(ElemType::INT64), Some(Vec::new()))
}

/// Behind `SequenceConstruct` at least the type is known.
pub(super) fn concat(site: &Site<'_>) -> Outputs {
    let source = site.producer(0).filter(|source| source.op_type() == "SequenceConstruct")?;
    Some(vec![ValueType::tensor(source.elem_type(0), None)])
}
