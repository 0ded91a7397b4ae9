//! Operators that make data.
use super::site::{Site, position};
use super::{Outputs, elements, one, shape, tensor_type};
use crate::{AttributeValue, Dim, ElemType, ValueType};

fn length(count: usize) -> Dim {
    i64::try_from(count).map_or(Dim::UNKNOWN, Dim::from)
}

pub(super) fn constant(site: &Site<'_>) -> Outputs {
    let scalar = |elem_type| ValueType::tensor(Some(elem_type), Some(Vec::new()));
    let vector = |elem_type, count| ValueType::tensor(Some(elem_type), Some(vec![length(count)]));
    let attributes = site.node().attributes().iter();
    attributes.map(|attribute| (attribute.name.as_str(), &attribute.value)).find_map(|attribute| {
        Some(vec![match attribute {
            ("value", AttributeValue::Tensor(tensor)) => tensor_type(tensor),
            ("value_int", AttributeValue::Int(value)) => {
                elements::attach(scalar(ElemType::INT64), Some(vec![(*value).into()]))
            }
            ("value_ints", AttributeValue::Ints(values)) => {
                let elements = values.iter().map(|&value| value.into()).collect();
                elements::attach(vector(ElemType::INT64, values.len()), Some(elements))
            }
            ("value_float", AttributeValue::Float(_)) => scalar(ElemType::FLOAT),
            ("value_floats", AttributeValue::Floats(values)) => {
                vector(ElemType::FLOAT, values.len())
            }
            ("value_string", AttributeValue::String(_)) => scalar(ElemType::STRING),
            ("value_strings", AttributeValue::Strings(values)) => {
                vector(ElemType::STRING, values.len())
            }
            ("sparse_value", AttributeValue::Other(proto)) => {
                let sparse = proto.sparse_tensor.as_ref()?;
                let values = sparse.values.as_ref()?;
                let shape = sparse.dims.iter().map(|&dim| dim.into()).collect();
                ValueType::tensor(values.data_type.map(ElemType), Some(shape))
            }
            _ => return None,
        }])
    })
}

/// The value's type is that of the attribute, else `float`.
pub(super) fn constant_of_shape(site: &Site<'_>) -> Outputs {
    let value = site.node().tensor("value");
    let elem_type = value.map_or(ElemType::FLOAT, |value| value.elem_type());
    let shape = match site.elements(0) {
        Some(dims) => Some(dims.to_vec()),
        None => match site.shape(0) {
            Some([rank]) => shape::repeated(&Dim::UNKNOWN, rank),
            _ => None,
        },
    };
    let element = value.and_then(|value| value.as_i64()).map(Dim::from);
    let elements = match (element, shape.as_deref()) {
        (Some(element), Some([])) => Some(vec![element]),
        (Some(element), Some([length])) => shape::repeated(&element, length),
        _ => None,
    };
    Some(vec![elements::attach(ValueType::tensor(Some(elem_type), shape), elements)])
}

/// `max(ceil((limit - start) / delta), 0)` numbers.
pub(super) fn range(site: &Site<'_>) -> Outputs {
    let (mut count, mut numbers) = (Dim::UNKNOWN, None);
    if let (Some(start), Some(limit), Some(delta)) =
        (site.scalar(0), site.scalar(1), site.scalar(2))
    {
        match (start.value(), limit.value(), delta.value()) {
            (Some(start), Some(limit), Some(delta)) => {
                count = integer_count(start, limit, delta).map_or(Dim::UNKNOWN, Dim::from);
                numbers = count_up(start, delta, &count);
            }
            (_, _, Some(delta)) if delta > 0 => count = (limit - start).ceil_div(delta),
            _ => {}
        }
    } else if let Some(float) = float_count(site) {
        count = float.into();
    }
    let ty = ValueType::tensor(site.elem_type(0), Some(vec![count]));
    Some(vec![elements::attach(ty, numbers)])
}

fn integer_count(start: i64, limit: i64, delta: i64) -> Option<i64> {
    let (start, limit, delta) = (i128::from(start), i128::from(limit), i128::from(delta));
    let count = match delta {
        0 => return None,
        1.. => (limit - start + delta - 1) / delta,
        _ => (start - limit - delta - 1) / -delta,
    };
    i64::try_from(count.max(0)).ok()
}

fn count_up(start: i64, delta: i64, count: &Dim) -> Option<Vec<Dim>> {
    let count = count.value().filter(|&count| count <= super::MAX_ELEMENTS as i64)?;
    let at = |index: i64| Some(start.checked_add(delta.checked_mul(index)?)?.into());
    (0..count).map(at).collect()
}

fn float_count(site: &Site<'_>) -> Option<i64> {
    let number = |slot: usize| site.constant(slot)?.as_f32().map(f64::from);
    let count = ((number(1)? - number(0)?) / number(2)?).ceil();
    // Beyond 2^53 the quotient is not exact.
    if (0.0..9e15).contains(&count) { Some(count as i64) } else { (count < 0.0).then_some(0) }
}

/// The depth takes the place of the axis; the values tell the type.
pub(super) fn one_hot(site: &Site<'_>) -> Outputs {
    let depth = site.scalar(1).unwrap_or_else(|| {
        let depth = site.constant(1).and_then(|depth| depth.as_f32());
        let depth = depth.filter(|depth| depth.fract() == 0.0 && (0.0..1e9).contains(depth));
        depth.map_or(Dim::UNKNOWN, |depth| Dim::from(depth as i64))
    });
    let shape = site.shape(0).and_then(|indices| {
        let axis = position(site.int("axis", -1), indices.len() + 1)?;
        let mut shape = indices.to_vec();
        shape.insert(axis, depth);
        Some(shape)
    });
    one(site.elem_type(2), shape)
}

/// The shape of the input; the type is the attribute `dtype`, else the input's.
pub(super) fn like(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("dtype").or(site.elem_type(0));
    one(elem_type, site.shape(0).map(<[Dim]>::to_vec))
}

pub(super) fn random(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("dtype").unwrap_or(ElemType::FLOAT);
    let shape = site.ints("shape").map(|sizes| sizes.iter().map(|&size| size.into()).collect());
    one(Some(elem_type), shape)
}

/// `[batch, sample_size]`.
pub(super) fn multinomial(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("dtype").unwrap_or(ElemType::INT32);
    one(Some(elem_type), Some(vec![site.dim(0, 0), site.int("sample_size", 1).into()]))
}
