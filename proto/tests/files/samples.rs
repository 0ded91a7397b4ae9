//! Small models the tests of this crate read and write.

use lapidary_proto::Bytes;
use lapidary_proto::onnx::tensor_proto::{DataLocation, DataType};
use lapidary_proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_shape_proto,
    type_proto,
};

/// Bytes that differ from place to place and are the same in every run.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A UINT8 initializer with its elements in `raw_data`.
pub(crate) fn tensor(name: &str, length: usize) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![length as i64],
        data_type: Some(DataType::Uint8 as i32),
        raw_data: Some(Bytes::from(noise(length, length as u64 + 1))),
        ..TensorProto::default()
    }
}

/// A UINT8 tensor whose elements are in another file.
pub(crate) fn external(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(DataType::Uint8 as i32),
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }
}

/// A node whose `body` attribute is a graph.
pub(crate) fn node_with_graph(name: &str, graph: GraphProto) -> NodeProto {
    let body = AttributeProto {
        name: Some("body".to_owned()),
        r#type: Some(attribute_proto::AttributeType::Graph as i32),
        g: Some(Box::new(graph)),
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: Some("Loop".to_owned()),
        name: Some(name.to_owned()),
        attribute: vec![body],
        ..NodeProto::default()
    }
}

/// A `Constant` node with a tensor value.
pub(crate) fn constant(name: &str, value: TensorProto) -> NodeProto {
    let value = AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(attribute_proto::AttributeType::Tensor as i32),
        t: Some(Box::new(value)),
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: Some("Constant".to_owned()),
        output: vec![name.to_owned()],
        attribute: vec![value],
        ..NodeProto::default()
    }
}

/// A model around a graph.
pub(crate) fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(10),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(21) }],
        ..ModelProto::default()
    }
}

/// A model with a typed input, small and large initializers, a subgraph and a constant.
pub(crate) fn mixed() -> ModelProto {
    let dim = |value| tensor_shape_proto::Dimension { value: Some(value), denotation: None };
    let shape = TensorShapeProto {
        dim: vec![
            dim(tensor_shape_proto::dimension::Value::DimParam("batch".to_owned())),
            dim(tensor_shape_proto::dimension::Value::DimValue(-1)),
        ],
    };
    let tensor_type = type_proto::Tensor { elem_type: Some(1), shape: Some(shape) };
    let input = ValueInfoProto {
        name: Some("x".to_owned()),
        r#type: Some(TypeProto {
            denotation: None,
            value: Some(type_proto::Value::TensorType(tensor_type)),
        }),
        ..ValueInfoProto::default()
    };
    let inner = GraphProto { initializer: vec![tensor("inner", 9_000)], ..GraphProto::default() };
    let floats = TensorProto {
        name: Some("floats".to_owned()),
        data_type: Some(DataType::Float as i32),
        dims: vec![3],
        float_data: vec![1.0, -0.5, f32::MAX],
        ..TensorProto::default()
    };
    model(GraphProto {
        name: Some("mixed".to_owned()),
        input: vec![input],
        initializer: vec![
            tensor("small", 10),
            tensor("large", 70_000),
            floats,
            tensor("edge", 4096),
        ],
        node: vec![node_with_graph("loop", inner), constant("c", tensor("", 5_000))],
        ..GraphProto::default()
    })
}
