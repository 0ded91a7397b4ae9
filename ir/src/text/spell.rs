//! How names, strings, numbers and types are written.
use super::lex::is_float_word;
use crate::{Dim, ElemType, ValueType};
use lapidary_proto::onnx;
use onnx::attribute_proto::AttributeType;
use onnx::tensor_shape_proto::dimension::Value as DimProto;
use onnx::type_proto::Value as TypeValue;
use std::borrow::Cow;
use std::fmt::Write;

/// Names of types that are no tensors.
const OTHER_TYPES: [&str; 5] = ["seq", "map", "optional", "sparse_tensor", "opaque"];

/// The names of attribute types.
const ATTRIBUTE_TYPES: [(&str, AttributeType); 14] = [
    ("float", AttributeType::Float),
    ("int", AttributeType::Int),
    ("string", AttributeType::String),
    ("tensor", AttributeType::Tensor),
    ("graph", AttributeType::Graph),
    ("sparse_tensor", AttributeType::SparseTensor),
    ("type_proto", AttributeType::TypeProto),
    ("floats", AttributeType::Floats),
    ("ints", AttributeType::Ints),
    ("strings", AttributeType::Strings),
    ("tensors", AttributeType::Tensors),
    ("graphs", AttributeType::Graphs),
    ("sparse_tensors", AttributeType::SparseTensors),
    ("type_protos", AttributeType::TypeProtos),
];

/// The attribute type of that name.
pub(super) fn attribute_type(name: &str) -> Option<AttributeType> {
    ATTRIBUTE_TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The name of an attribute type.
pub(super) fn attribute_type_name(kind: AttributeType) -> Option<&'static str> {
    ATTRIBUTE_TYPES.iter().find(|(_, known)| *known == kind).map(|(name, _)| *name)
}

/// Whether a name starts a type.
pub(super) fn is_type_name(name: &str) -> bool {
    ElemType::from_name(name).is_some() || OTHER_TYPES.contains(&name)
}

/// A name, quoted unless it is an identifier that means nothing else.
pub(super) fn name(name: &str) -> Cow<'_, str> {
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if starts && plain && !is_type_name(name) && !is_float_word(name) {
        return name.into();
    }
    string(name.as_bytes()).into()
}

/// A quoted string.
pub(super) fn string(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => text.extend(['\\', letter]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                _ if letter.is_ascii_control() => text.push_str(&byte(letter as u8)),
                _ => text.push(letter),
            }
        }
        text.extend(chunk.invalid().iter().map(|&invalid| byte(invalid)));
    }
    text.push('"');
    text
}

fn byte(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

/// The bytes of a quoted string; nothing when `\x` is not followed by two hexadecimal digits.
pub(super) fn unquote(quoted: &str) -> Option<Vec<u8>> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(escape) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..escape]);
        let mut letters = rest[escape + 1..].chars();
        match letters.next()? {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => {
                let digit = |letter: char| Some(letter.to_digit(16)? as u8);
                bytes.push(digit(letters.next()?)? * 16 + digit(letters.next()?)?);
            }
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = letters.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// A float that is read back as a float wherever it stands.
pub(super) fn float(value: f32) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") }
}

/// A number among elements whose type says that it is a float.
pub(super) fn element(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    shortest.strip_suffix(".0").unwrap_or(shortest).to_owned()
}

/// The type of constant data.
pub(super) fn tensor_type(elem_type: ElemType, dims: &[i64]) -> String {
    let dims: Vec<String> = dims.iter().map(i64::to_string).collect();
    if dims.is_empty() { elem_type.to_string() } else { format!("{elem_type}[{}]", dims.join(",")) }
}

/// What is known of a value's type; nothing when the element type is not known.
pub(super) fn value_type(ty: &ValueType) -> Option<String> {
    let dim = |dim: &Dim| match dim.value() {
        None if !dim.is_unknown() => name(&dim.to_string()).into_owned(),
        _ => dim.to_string(),
    };
    let dims = ty.shape.as_ref().map(|shape| shape.iter().map(dim).collect());
    Some(shaped(ty.elem_type?, dims))
}

fn shaped(elem_type: ElemType, dims: Option<Vec<String>>) -> String {
    match dims {
        Some(dims) if dims.is_empty() => elem_type.to_string(),
        Some(dims) => format!("{elem_type}[{}]", dims.join(",")),
        None => format!("{elem_type}[]"),
    }
}

/// A type as the file has it; nothing when it does not say which.
pub(super) fn type_proto(ty: &onnx::TypeProto) -> Option<String> {
    let nested = |ty: Option<&onnx::TypeProto>| ty.and_then(type_proto).unwrap_or_default();
    Some(match ty.value.as_ref()? {
        TypeValue::TensorType(tensor) => {
            tensor_proto(tensor.elem_type.filter(|&number| number != 0)?, tensor.shape.as_ref())
        }
        TypeValue::SparseTensorType(sparse) => {
            let elem_type = sparse.elem_type.unwrap_or_default();
            format!("sparse_tensor({})", tensor_proto(elem_type, sparse.shape.as_ref()))
        }
        TypeValue::SequenceType(sequence) => {
            format!("seq({})", nested(sequence.elem_type.as_deref()))
        }
        TypeValue::OptionalType(optional) => {
            format!("optional({})", nested(optional.elem_type.as_deref()))
        }
        TypeValue::MapType(map) => {
            let key = ElemType(map.key_type.unwrap_or_default());
            format!("map({key}, {})", nested(map.value_type.as_deref()))
        }
        TypeValue::OpaqueType(opaque) => {
            let mut text = String::from("opaque(");
            let parts = [opaque.domain.as_deref(), opaque.name.as_deref()];
            for (index, part) in parts.into_iter().flatten().enumerate() {
                let _ = write!(text, "{}{part}", if index > 0 { "," } else { "" });
            }
            text + ")"
        }
    })
}

fn tensor_proto(elem_type: i32, shape: Option<&onnx::TensorShapeProto>) -> String {
    let dim = |dim: &onnx::tensor_shape_proto::Dimension| match &dim.value {
        Some(DimProto::DimValue(value)) => value.to_string(),
        Some(DimProto::DimParam(param)) if !param.is_empty() => name(param).into_owned(),
        _ => "?".to_owned(),
    };
    shaped(ElemType(elem_type), shape.map(|shape| shape.dim.iter().map(dim).collect()))
}
