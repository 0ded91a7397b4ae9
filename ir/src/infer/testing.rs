//! Models made by hand for the tests of inference.
use crate::{Dim, ElemType, Graph, Model, ValueType};
use lapidary_proto::onnx;
use onnx::attribute_proto::AttributeType;

/// A graph under construction.
pub(super) struct Builder {
    proto: onnx::GraphProto,
    opset: i64,
}

/// A value with its declared type; dimensions are numbers, names or `?`.
fn info(name: &str, elem_type: ElemType, dims: &str) -> onnx::ValueInfoProto {
    use onnx::tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |text: &str| Dimension {
        value: match (text, text.parse()) {
            ("?", _) => None,
            (_, Ok(number)) => Some(Value::DimValue(number)),
            (name, Err(_)) => Some(Value::DimParam(name.to_owned())),
        },
        ..Dimension::default()
    };
    let shape = onnx::TensorShapeProto { dim: dims.split_whitespace().map(dim).collect() };
    let tensor = onnx::type_proto::Tensor { elem_type: Some(elem_type.0), shape: Some(shape) };
    let ty = onnx::TypeProto {
        value: Some(onnx::type_proto::Value::TensorType(tensor)),
        ..onnx::TypeProto::default()
    };
    onnx::ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(ty),
        ..onnx::ValueInfoProto::default()
    }
}

/// An integer attribute.
pub(super) fn int(name: &str, value: i64) -> onnx::AttributeProto {
    onnx::AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..onnx::AttributeProto::default()
    }
}

/// A list of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> onnx::AttributeProto {
    onnx::AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.to_vec(),
        ..onnx::AttributeProto::default()
    }
}

/// A string attribute.
pub(super) fn string(name: &str, value: &str) -> onnx::AttributeProto {
    onnx::AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String as i32),
        s: Some(value.to_owned().into_bytes().into()),
        ..onnx::AttributeProto::default()
    }
}

/// A subgraph.
pub(super) fn body(name: &str, graph: Builder) -> onnx::AttributeProto {
    onnx::AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(graph.proto.into()),
        ..onnx::AttributeProto::default()
    }
}

impl Builder {
    pub(super) fn new(opset: i64) -> Self {
        Self { proto: onnx::GraphProto::default(), opset }
    }

    pub(super) fn input(mut self, name: &str, elem_type: ElemType, dims: &str) -> Self {
        self.proto.input.push(info(name, elem_type, dims));
        self
    }

    /// A float input.
    pub(super) fn float(self, name: &str, dims: &str) -> Self {
        self.input(name, ElemType::FLOAT, dims)
    }

    /// Declares the type of an intermediate float value.
    pub(super) fn declare(mut self, name: &str, dims: &str) -> Self {
        self.proto.value_info.push(info(name, ElemType::FLOAT, dims));
        self
    }

    /// A vector of constant integers.
    pub(super) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        let length = i64::try_from(values.len()).expect("tests are small");
        self.proto.initializer.push(onnx::TensorProto {
            name: Some(name.to_owned()),
            data_type: Some(ElemType::INT64.0),
            dims: vec![length],
            int64_data: values.to_vec(),
            ..onnx::TensorProto::default()
        });
        self
    }

    /// A constant integer.
    pub(super) fn integer(mut self, name: &str, value: i64) -> Self {
        self = self.integers(name, &[value]);
        self.proto.initializer.last_mut().expect("it was just pushed").dims.clear();
        self
    }

    /// A constant float tensor of zeros.
    pub(super) fn weight(mut self, name: &str, dims: &[i64]) -> Self {
        let count = usize::try_from(dims.iter().product::<i64>()).expect("tests are small");
        self.proto.initializer.push(onnx::TensorProto {
            name: Some(name.to_owned()),
            data_type: Some(ElemType::FLOAT.0),
            dims: dims.to_vec(),
            raw_data: Some(vec![0u8; count * 4].into()),
            ..onnx::TensorProto::default()
        });
        self
    }

    /// `outputs = op_type(inputs)` with names separated by spaces, `-` for an omitted one.
    pub(super) fn node(
        mut self,
        outputs: &str,
        op_type: &str,
        inputs: &str,
        attribute: &[onnx::AttributeProto],
    ) -> Self {
        let names = |text: &str| -> Vec<String> {
            let omitted = |name: &str| if name == "-" { String::new() } else { name.to_owned() };
            text.split_whitespace().map(omitted).collect()
        };
        let (domain, op_type) = op_type.split_once("::").unwrap_or(("", op_type));
        self.proto.node.push(onnx::NodeProto {
            domain: Some(domain.to_owned()),
            op_type: Some(op_type.to_owned()),
            input: names(inputs),
            output: names(outputs),
            attribute: attribute.to_vec(),
            ..onnx::NodeProto::default()
        });
        self
    }

    /// Names an output whose type nobody declares.
    pub(super) fn output(mut self, name: &str) -> Self {
        self.proto.output.push(onnx::ValueInfoProto {
            name: Some(name.to_owned()),
            ..onnx::ValueInfoProto::default()
        });
        self
    }

    /// The graph as decoded, nothing inferred.
    pub(super) fn decode(self) -> Graph {
        let proto = onnx::ModelProto {
            graph: Some(self.proto),
            opset_import: vec![onnx::OperatorSetIdProto {
                domain: None,
                version: Some(self.opset),
            }],
            ..onnx::ModelProto::default()
        };
        let load = |_: &onnx::TensorProto| Err("nothing is external".into());
        Model::decode(proto, &load).expect("the test's model is well-formed").graph
    }

    /// The graph with everything inferred.
    pub(super) fn infer(self) -> Graph {
        let mut graph = self.decode();
        graph.infer();
        graph
    }
}

/// The type of the value of that name.
pub(super) fn ty<'a>(graph: &'a Graph, name: &str) -> &'a ValueType {
    graph.ty(graph.find(name).expect("the test names an existing value"))
}

/// The shape of a value as text, such as `N 64 ?`.
pub(super) fn shape(graph: &Graph, name: &str) -> String {
    text(ty(graph, name).shape.as_deref())
}

/// The elements of a value as text.
pub(super) fn elements(graph: &Graph, name: &str) -> String {
    text(ty(graph, name).elements.as_deref())
}

fn text(dims: Option<&[Dim]>) -> String {
    let Some(dims) = dims else { return "unknown".to_owned() };
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
