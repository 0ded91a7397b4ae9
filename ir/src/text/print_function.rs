//! Functions of a model to text.
use super::print::{Printer, list, opset_import};
use super::spell;
use crate::{BoxedError, DecodeError, Graph, Model};
use bytes::Bytes;
use lapidary_proto::onnx;

impl Printer {
    /// A function. One that is no graph prints as a comment that says so.
    pub(super) fn function(&mut self, function: &onnx::FunctionProto) {
        let name = spell::name(function.name.as_deref().unwrap_or("")).into_owned();
        let (Ok(body), Ok(defaults)) = (body(function), defaults(function)) else {
            self.text.push_str(&format!("# function {name} is malformed\n"));
            return;
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| spell::string(text.as_bytes()));
        let mut entries = Vec::new();
        entries.extend(text(&function.domain).map(|domain| format!("domain: {domain}")));
        entries.extend(text(&function.overload).map(|overload| format!("overload: {overload}")));
        entries.push(format!("opset_import: {}", opset_import(&function.opset_import)));
        self.fill(list("<", &entries, ">"), 0);
        self.line(0);
        let mut words = vec![name];
        let mut attributes: Vec<String> =
            function.attribute.iter().map(|name| spell::name(name).into_owned()).collect();
        for attribute in defaults.nodes().flat_map(|(_, node)| node.attributes()) {
            let mut printer = Self { text: String::new(), options: self.options };
            printer.attribute(attribute, None, &[], 0);
            attributes.push(printer.text);
        }
        if !attributes.is_empty() {
            words.extend(list("<", &attributes, ">"));
        }
        self.graph_called(words, &body, &[], 0);
        self.text.push('\n');
    }
}

/// What a function does, as a graph.
fn body(function: &onnx::FunctionProto) -> Result<Graph, DecodeError> {
    let info = |name: &String| {
        let known = function.value_info.iter().find(|info| info.name.as_ref() == Some(name));
        let untyped =
            || onnx::ValueInfoProto { name: Some(name.clone()), ..onnx::ValueInfoProto::default() };
        known.cloned().unwrap_or_else(untyped)
    };
    let graph = onnx::GraphProto {
        input: function.input.iter().map(info).collect(),
        output: function.output.iter().map(info).collect(),
        node: function.node.clone(),
        ..onnx::GraphProto::default()
    };
    decode(graph)
}

/// The attributes of a function that have a default, as those of a node.
fn defaults(function: &onnx::FunctionProto) -> Result<Graph, DecodeError> {
    let node = onnx::NodeProto {
        attribute: function.attribute_proto.clone(),
        ..onnx::NodeProto::default()
    };
    decode(onnx::GraphProto { node: vec![node], ..onnx::GraphProto::default() })
}

fn decode(graph: onnx::GraphProto) -> Result<Graph, DecodeError> {
    let model = onnx::ModelProto {
        graph: Some(graph),
        opset_import: vec![onnx::OperatorSetIdProto::default()],
        ..onnx::ModelProto::default()
    };
    let no_file = |_: &onnx::TensorProto| -> Result<Bytes, BoxedError> {
        Err("a function has no external data".into())
    };
    Ok(Model::decode(model, &no_file)?.graph)
}
