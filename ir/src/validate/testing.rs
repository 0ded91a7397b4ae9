//! Models for tests, in wire form and written in a few lines.
use crate::{Model, proto::onnx};
use onnx::attribute_proto::AttributeType;
use onnx::tensor_shape_proto::{Dimension, dimension::Value as DimProto};

/// A graph being written down.
#[derive(Default)]
pub(crate) struct Build(onnx::GraphProto);

impl Build {
    pub(crate) fn input(mut self, name: &str, dims: &[i64]) -> Self {
        self.0.input.push(info(name, Some(dims)));
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        self.0.output.push(info(name, None));
        self
    }

    /// An initializer of zeros.
    pub(crate) fn zeros(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        self.0.initializer.push(onnx::TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(1),
            float_data: vec![0.0; count],
            ..Default::default()
        });
        self
    }

    pub(crate) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.0.initializer.push(onnx::TensorProto {
            name: Some(name.to_owned()),
            dims: vec![values.len() as i64],
            data_type: Some(7),
            int64_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    /// A node named after its operator; `""` omits an input.
    pub(crate) fn node(mut self, op_type: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.0.node.push(onnx::NodeProto {
            name: Some(op_type.to_lowercase()),
            op_type: Some(op_type.to_owned()),
            input: names(inputs),
            output: names(outputs),
            ..Default::default()
        });
        self
    }

    /// Names the node written last.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.last().name = Some(name.to_owned());
        self
    }

    /// The domain of the node written last.
    pub(crate) fn domain(mut self, domain: &str) -> Self {
        self.last().domain = Some(domain.to_owned());
        self
    }

    pub(crate) fn int(self, name: &str, value: i64) -> Self {
        let value = onnx::AttributeProto { i: Some(value), ..Default::default() };
        self.attribute(name, AttributeType::Int, value)
    }

    pub(crate) fn ints(self, name: &str, values: &[i64]) -> Self {
        let value = onnx::AttributeProto { ints: values.to_vec(), ..Default::default() };
        self.attribute(name, AttributeType::Ints, value)
    }

    pub(crate) fn subgraph(self, name: &str, graph: Self) -> Self {
        let value = onnx::AttributeProto { g: Some(Box::new(graph.0)), ..Default::default() };
        self.attribute(name, AttributeType::Graph, value)
    }

    fn attribute(mut self, name: &str, kind: AttributeType, value: onnx::AttributeProto) -> Self {
        let (name, kind) = (Some(name.to_owned()), Some(kind as i32));
        self.last().attribute.push(onnx::AttributeProto { name, r#type: kind, ..value });
        self
    }

    fn last(&mut self) -> &mut onnx::NodeProto {
        self.0.node.last_mut().expect("a node comes first")
    }

    pub(crate) fn model(self, opset: i64) -> Model {
        let opset = onnx::OperatorSetIdProto { version: Some(opset), ..Default::default() };
        let proto = onnx::ModelProto {
            ir_version: Some(8),
            opset_import: vec![opset],
            graph: Some(self.0),
            ..Default::default()
        };
        Model::decode(proto, &|_| Err("no external data".into())).expect("the model is well-formed")
    }
}

fn info(name: &str, dims: Option<&[i64]>) -> onnx::ValueInfoProto {
    let dim = |&dim: &i64| Dimension {
        value: (dim >= 0).then_some(DimProto::DimValue(dim)),
        ..Default::default()
    };
    let shape = dims.map(|dims| onnx::TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = onnx::type_proto::Tensor { elem_type: Some(1), shape };
    let value = Some(onnx::type_proto::Value::TensorType(tensor));
    onnx::ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(onnx::TypeProto { value, ..Default::default() }),
        ..Default::default()
    }
}
