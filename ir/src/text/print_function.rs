//! Functions of a model to text.
use super::print::{Printer, list, opset_import};
use super::spell;
use crate::function::decode_body;
use crate::{BoxedError, DecodeError, Graph, Model};
use bytes::Bytes;
use lapidary_proto::onnx;

impl Printer {
    /// A function. One that is no graph prints as a comment that says so.
    pub(super) fn function(&mut self, function: &onnx::FunctionProto) {
        let name = spell::name(function.name.as_deref().unwrap_or("")).into_owned();
        let (Ok(body), Ok(defaults)) = (decode_body(function), defaults(function)) else {
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

/// The attributes of a function that have a default, as those of a node.
fn defaults(function: &onnx::FunctionProto) -> Result<Graph, DecodeError> {
    let node = onnx::NodeProto {
        attribute: function.attribute_proto.clone(),
        ..onnx::NodeProto::default()
    };
    let graph = onnx::GraphProto { node: vec![node], ..onnx::GraphProto::default() };
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
