//! Small models for tests, written down as text.
use crate::Inputs;
use lapidary_ir::proto::onnx;
use lapidary_ir::{ElemType, Model, Tensor};
use onnx::tensor_shape_proto::{Dimension, dimension::Value as DimValue};

/// A model from lines: first the inputs as `name:type dims`, an arrow and the outputs as
/// `name:type`; then one node a line, `outputs = Op(inputs) {attribute=ints …}`. In dims, `?` is an
/// unknown number, `-` is rank 0.
pub(crate) fn decode(text: &str, initializers: &[(&str, Tensor)]) -> Model {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (inputs, outputs) =
        lines.next().and_then(|line| line.split_once("->")).expect("an interface");
    let mut graph = onnx::GraphProto { name: Some("g".to_owned()), ..Default::default() };
    for token in inputs.split_whitespace() {
        if token.contains(':') {
            graph.input.push(info(token));
        } else {
            let last = graph.input.last_mut().expect("dims follow an input");
            set_dims(last, token);
        }
    }
    graph.output = outputs.split_whitespace().map(info).collect();
    graph.node = lines.map(node).collect();
    graph.initializer = initializers.iter().map(|(name, tensor)| wire(name, tensor)).collect();
    let opset = |domain: &str, version| onnx::OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let proto = onnx::ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset("", 17), opset("com.microsoft", 1)],
        graph: Some(graph),
        ..Default::default()
    };
    Model::decode(proto, &|_| Err("there is no other file".into()))
        .expect("the test's model is valid")
}

fn info(token: &str) -> onnx::ValueInfoProto {
    let (name, elem_type) = token.split_once(':').expect("a type follows the name");
    let elem_type = ElemType::from_name(elem_type).expect("the type exists").0;
    let tensor = onnx::type_proto::Tensor { elem_type: Some(elem_type), shape: None };
    let value = Some(onnx::type_proto::Value::TensorType(tensor));
    onnx::ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(onnx::TypeProto { denotation: None, value }),
        ..Default::default()
    }
}

fn set_dims(info: &mut onnx::ValueInfoProto, token: &str) {
    let dim = |text: &str| Dimension {
        denotation: None,
        value: match text.parse() {
            Ok(value) => Some(DimValue::DimValue(value)),
            Err(_) if text == "?" => None,
            Err(_) => Some(DimValue::DimParam(text.to_owned())),
        },
    };
    let dims = token.split(',').filter(|text| *text != "-").map(dim).collect();
    let value = info.r#type.as_mut().and_then(|ty| ty.value.as_mut());
    if let Some(onnx::type_proto::Value::TensorType(tensor)) = value {
        tensor.shape = Some(onnx::TensorShapeProto { dim: dims });
    }
}

fn node(line: &str) -> onnx::NodeProto {
    let (outputs, rest) = line.split_once(" = ").expect("outputs before an equals sign");
    let (op, rest) = rest.split_once('(').expect("inputs in parentheses");
    let (inputs, rest) = rest.split_once(')').expect("inputs in parentheses");
    let (domain, op_type) = op.rsplit_once('.').unwrap_or(("", op));
    let names = |list: &str| -> Vec<String> {
        list.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let attributes = rest.trim().trim_start_matches('{').trim_end_matches('}');
    onnx::NodeProto {
        input: names(inputs),
        output: names(outputs),
        op_type: Some(op_type.to_owned()),
        domain: Some(domain.to_owned()),
        attribute: attributes.split_whitespace().map(attribute).collect(),
        ..Default::default()
    }
}

fn attribute(text: &str) -> onnx::AttributeProto {
    use onnx::attribute_proto::AttributeType;
    let (name, value) = text.split_once('=').expect("a value after the equals sign");
    let ints: Vec<i64> = value
        .trim_matches(['[', ']'])
        .split(',')
        .map(|number| number.parse().expect("an integer"))
        .collect();
    let name = Some(name.to_owned());
    if value.starts_with('[') {
        let kind = Some(AttributeType::Ints as i32);
        return onnx::AttributeProto { name, ints, r#type: kind, ..Default::default() };
    }
    let kind = Some(AttributeType::Int as i32);
    onnx::AttributeProto { name, i: Some(ints[0]), r#type: kind, ..Default::default() }
}

fn wire(name: &str, tensor: &Tensor) -> onnx::TensorProto {
    onnx::TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.dims().to_vec(),
        data_type: Some(tensor.elem_type().0),
        raw_data: tensor.bytes().cloned(),
        ..Default::default()
    }
}

/// Inputs by name.
pub(crate) fn inputs<const N: usize>(named: [(&str, Tensor); N]) -> Inputs {
    named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
}

/// A `float` tensor.
pub(crate) fn float(dims: &[i64], values: &[f32]) -> Tensor {
    Tensor::new(dims, values)
}

/// A `float` tensor of small numbers of both signs, different for every offset.
pub(crate) fn waves(dims: &[i64], offset: usize) -> Tensor {
    let count = dims.iter().product::<i64>() as usize;
    let wave = |index: usize| ((index * 37 + offset * 11) % 64) as f32 / 32.0 - 1.0;
    Tensor::new(dims, &(0..count).map(wave).collect::<Vec<_>>())
}
