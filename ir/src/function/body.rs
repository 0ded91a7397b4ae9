//! Bodies of functions as graphs.
use super::{Key, nodes_below};
use crate::{BoxedError, DecodeError, Graph, Model, Violation, encode};
use bytes::Bytes;
use lapidary_proto::onnx;

/// Why the body of a function is no graph that rules can run on.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// What the body computes depends on attributes of the call.
    #[error("function `{0}` takes attributes from its calls")]
    Parameters(String),
    /// The body is no graph.
    #[error("function `{name}` is malformed")]
    Malformed {
        /// The function.
        name: String,
        /// The cause.
        #[source]
        source: DecodeError,
    },
    /// The body breaks rules of ONNX.
    #[error("function `{name}` is invalid: {}", .violations.first().map(ToString::to_string).unwrap_or_default())]
    Invalid {
        /// The function.
        name: String,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
}

impl Model {
    /// Edits the body of function `index`, counted as in [`functions`](Self::functions), as a
    /// graph. Its inputs have no types, for calls may differ; its operator sets are those the
    /// function imports. Functions have no initializers: what `Constant` nodes make is one while
    /// the body is a graph, and what is one then is written as a `Constant` node. Without a result
    /// of `edit` the function stays as it was.
    ///
    /// # Errors
    /// When the body depends on attributes of the call or is no valid graph. It is not edited then.
    ///
    /// # Panics
    /// When there is no such function.
    pub fn edit_function<T>(
        &mut self,
        index: usize,
        edit: impl FnOnce(&mut Graph) -> Option<T>,
    ) -> Result<Option<T>, FunctionError> {
        let function = &mut self.rest.functions[index];
        let name = Key::of(function).to_string();
        if nodes_below(&function.node).any(takes_parameters) {
            return Err(FunctionError::Parameters(name));
        }
        let (constants, nodes) = function.node.iter().cloned().partition(|node| {
            lifted(node).is_some() && !node.output.iter().any(|name| function.output.contains(name))
        });
        let constants: Vec<onnx::NodeProto> = constants;
        let initializers = constants.iter().filter_map(lifted).collect();
        let mut graph = match graph_of(function, nodes, initializers, false) {
            Ok(graph) => graph,
            Err(source) => return Err(FunctionError::Malformed { name, source }),
        };
        let violations = graph.validate();
        if !violations.is_empty() {
            return Err(FunctionError::Invalid { name, violations });
        }
        graph.infer();
        let Some(result) = edit(&mut graph) else { return Ok(None) };
        function.value_info.retain(|info| {
            let name = info.name.as_deref().unwrap_or("");
            graph.find(name).is_some() || function.node.iter().all(|node| !makes(node, name))
        });
        let constants: Vec<onnx::NodeProto> = graph
            .initializers()
            .map(|(id, tensor)| constant(graph.value(id).name(), tensor))
            .collect();
        let encoded = graph.encode(&[]);
        function.node = constants.into_iter().chain(encoded.node).collect();
        Ok(Some(result))
    }
}

fn takes_parameters(node: &onnx::NodeProto) -> bool {
    node.attribute.iter().any(|attribute| attribute.ref_attr_name.is_some())
}

fn makes(node: &onnx::NodeProto, name: &str) -> bool {
    node.output.iter().any(|output| output == name)
}

/// The data of a `Constant` node as an initializer.
fn lifted(node: &onnx::NodeProto) -> Option<onnx::TensorProto> {
    let ([attribute], [output]) = (node.attribute.as_slice(), node.output.as_slice()) else {
        return None;
    };
    let is_constant = Key::called(node) == Key("", "Constant", "");
    let tensor = attribute.t.as_ref().filter(|_| {
        is_constant && !output.is_empty() && attribute.name.as_deref() == Some("value")
    })?;
    Some(onnx::TensorProto { name: Some(output.clone()), ..(**tensor).clone() })
}

fn constant(name: &str, tensor: &crate::Tensor) -> onnx::NodeProto {
    onnx::NodeProto {
        output: vec![name.to_owned()],
        op_type: Some("Constant".to_owned()),
        attribute: vec![onnx::AttributeProto {
            name: Some("value".to_owned()),
            r#type: Some(onnx::attribute_proto::AttributeType::Tensor as i32),
            t: Some(Box::new(encode::encode_tensor(tensor, None))),
            ..onnx::AttributeProto::default()
        }],
        ..onnx::NodeProto::default()
    }
}

/// What a function does, as a graph whose types are those of its `value_info`.
pub(crate) fn decode(function: &onnx::FunctionProto) -> Result<Graph, DecodeError> {
    graph_of(function, function.node.clone(), Vec::new(), true)
}

fn graph_of(
    function: &onnx::FunctionProto,
    node: Vec<onnx::NodeProto>,
    initializer: Vec<onnx::TensorProto>,
    typed: bool,
) -> Result<Graph, DecodeError> {
    let info = |name: &String| {
        let mut infos = function.value_info.iter().filter(|_| typed);
        let known = infos.find(|info| info.name.as_ref() == Some(name));
        let untyped =
            || onnx::ValueInfoProto { name: Some(name.clone()), ..onnx::ValueInfoProto::default() };
        known.cloned().unwrap_or_else(untyped)
    };
    let graph = onnx::GraphProto {
        input: function.input.iter().map(info).collect(),
        output: function.output.iter().map(info).collect(),
        node,
        initializer,
        ..onnx::GraphProto::default()
    };
    let mut opset_import = function.opset_import.clone();
    if opset_import.is_empty() {
        opset_import.push(onnx::OperatorSetIdProto::default());
    }
    let model =
        onnx::ModelProto { graph: Some(graph), opset_import, ..onnx::ModelProto::default() };
    let no_file = |_: &onnx::TensorProto| -> Result<Bytes, BoxedError> {
        Err("a function has no external data".into())
    };
    Ok(Model::decode(model, &no_file)?.graph)
}

#[cfg(test)]
mod tests {
    use crate::text::{self, PrintOptions};
    use crate::{NewNode, Patch, Tensor};

    const MODEL: &str = r#"<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
        g (float[2] x) => (float[2] y) { y = local.shift <by = 2.0> (x) }
        <domain: "local", opset_import: ["" : 20]>
        plain (a) => (b) { c = Identity(a) b = Add(c, c) }
        <domain: "local", opset_import: ["" : 20]>
        shift <by> (a) => (b) { c = Constant <value_float : float = @by> () b = Add(a, c) }
        <domain: "local", opset_import: ["" : 20]>
        broken (a) => (b) { b = Add(a) }"#;

    #[test]
    fn an_edit_is_written_back_with_constants_as_nodes() {
        let mut model = text::parse(MODEL).expect("the text is valid");
        let opset = model.edit_function(0, |graph| {
            let b = graph.outputs()[0];
            let mut patch = Patch::default();
            let two = patch.initializer("two", Tensor::scalar(2.0_f32));
            let product = patch.node(NewNode::new("Mul").input(graph.inputs()[0]).input(two));
            patch.replace(b, product);
            graph.apply(patch).expect("it applies");
            Some(graph.opset())
        });
        assert_eq!(opset.expect("the body is a graph"), Some(20));
        insta::assert_snapshot!(text::print_model(&model, PrintOptions::default()), @r#"
        g (float[2] x) => (float[2] y)
        {
            y = local.shift <by = 2.0> (x)
        }
        <domain: "local", opset_import: ["" : 20]>
        plain (a) => (b)
        {
            two = Constant <value = float {2}> ()
            b = Mul(a, two)
        }
        <domain: "local", opset_import: ["" : 20]>
        shift <by> (a) => (b)
        {
            c = Constant <value_float : float = @by> ()
            b = Add(a, c)
        }
        <domain: "local", opset_import: ["" : 20]>
        broken (a) => (b)
        {
            b = Add(a)
        }
        "#);
    }

    #[test]
    fn bodies_that_are_no_graphs_of_their_own_are_left_alone() {
        let mut model = text::parse(MODEL).expect("the text is valid");
        let before = model.encode();
        let mut refused = |index| {
            let error = model.edit_function(index, |_| Some(())).expect_err("it is refused");
            error.to_string()
        };
        insta::assert_snapshot!(refused(1), @"function `local.shift` takes attributes from its calls");
        insta::assert_snapshot!(refused(2), @"function `local.broken` is invalid: invariant 7: node `b` (Add): 1 input, expected 2");
        assert_eq!(model.encode(), before);
    }
}
