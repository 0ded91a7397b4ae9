//! [`Model`] to `ModelProto`.
use crate::{
    Attribute, AttributeValue, Dim, ElemType, Graph, Model, Node, Tensor, Value, ValueId,
    ValueType, decode,
};
use lapidary_proto::onnx;
use lapidary_proto::prost::Message;
use onnx::attribute_proto::AttributeType;
use rustc_hash::FxHashSet;
use std::borrow::Cow;

impl Model {
    /// The size of the wire form in bytes, with all tensors in one file.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.encode().encoded_len()
    }

    /// The wire form: nodes in topological order, everything else as it came. Tensor bytes are
    /// shared, not copied. Before IR version 4, where initializers have to be inputs, constants
    /// that are none become `Constant` nodes.
    #[must_use]
    pub fn encode(&self) -> onnx::ModelProto {
        let mut proto = self.rest.clone();
        let mut graph = self.graph.encode(&[]);
        if self.constants_are_inputs && !spell_constants_as_nodes(&mut graph, self.graph.opset()) {
            // From this version on, the others may stay what they are.
            proto.ir_version = proto.ir_version.max(Some(4));
        }
        proto.graph = Some(graph);
        proto
    }
}

/// Makes `Constant` nodes of the initializers that are no inputs. Whether that could be done for
/// all: before opset 9 the operator knows floating-point types alone.
fn spell_constants_as_nodes(graph: &mut onnx::GraphProto, opset: i64) -> bool {
    let inputs: FxHashSet<&str> = graph.input.iter().filter_map(|i| i.name.as_deref()).collect();
    let is_known = |tensor: &onnx::TensorProto| opset >= 9 || is_early_float(tensor.data_type());
    let (stay, constants): (Vec<_>, Vec<_>) = std::mem::take(&mut graph.initializer)
        .into_iter()
        .partition(|tensor| inputs.contains(tensor.name()) || !is_known(tensor));
    let all = stay.iter().all(|tensor| inputs.contains(tensor.name()));
    graph.initializer = stay;
    graph.node.splice(0..0, constants.into_iter().map(constant_node));
    all
}

fn is_early_float(elem_type: i32) -> bool {
    [ElemType::FLOAT, ElemType::DOUBLE, ElemType::FLOAT16].contains(&ElemType(elem_type))
}

fn constant_node(mut tensor: onnx::TensorProto) -> onnx::NodeProto {
    let output = tensor.name.take().unwrap_or_default();
    let value = onnx::AttributeProto {
        name: Some("value".to_owned()),
        t: Some(Box::new(tensor)),
        r#type: Some(AttributeType::Tensor as i32),
        ..onnx::AttributeProto::default()
    };
    onnx::NodeProto {
        output: vec![output],
        op_type: Some("Constant".to_owned()),
        attribute: vec![value],
        ..onnx::NodeProto::default()
    }
}

impl Graph {
    /// `captured` are the names of the values this subgraph reads from the enclosing one.
    pub(crate) fn encode(&self, captured: &[&str]) -> onnx::GraphProto {
        let renamed: Vec<(ValueId, &str)> =
            self.captures.iter().map(|&(id, slot)| (id, captured[slot as usize])).collect();
        let name = |id: ValueId| {
            let outer = renamed.iter().find(|(inner, _)| *inner == id).map(|(_, name)| *name);
            outer.unwrap_or_else(|| self.value(id).name()).to_owned()
        };
        let order = self.topological_order();
        let mut proto = self.rest.clone();
        let mut labels = NodeNames::of(self);
        proto.node = order
            .into_iter()
            .map(|id| onnx::NodeProto {
                name: labels.next(&self[id]),
                ..self.encode_node(&self[id], &name)
            })
            .collect();
        let initializers = self.initializers();
        proto.initializer =
            initializers.map(|(id, tensor)| encode_tensor(tensor, Some(name(id)))).collect();
        proto.input =
            self.inputs.iter().map(|&id| self.value(id).encode_declared(name(id))).collect();
        let own = |place: usize| self.passed_through.iter().find(|(other, _)| *other == place);
        let output = |(place, &id)| match own(place) {
            Some((_, info)) => onnx::ValueInfoProto { name: Some(name(id)), ..info.clone() },
            None => self.value(id).encode_declared(name(id)),
        };
        proto.output = self.outputs.iter().enumerate().map(output).collect();
        let infos = self.value_infos.iter().filter_map(|&id| Some((id, self.get_value(id)?)));
        let mut value_info: Vec<_> = infos
            .filter(|(_, value)| value.declared.is_some() && !value.is_output)
            .map(|(id, value)| value.encode_inferred(name(id)))
            .collect();
        value_info.append(&mut proto.value_info);
        proto.value_info = value_info;
        let rename = |named: &mut Option<String>| {
            if let Some(id) = named.as_deref().and_then(|name| self.find(name)) {
                *named = Some(name(id));
            }
        };
        for annotation in &mut proto.quantization_annotation {
            rename(&mut annotation.tensor_name);
            annotation.quant_parameter_tensor_names.iter_mut().for_each(|e| rename(&mut e.value));
        }
        proto
    }

    fn encode_node(&self, node: &Node, name: &dyn Fn(ValueId) -> String) -> onnx::NodeProto {
        let names = |ids: &[Option<ValueId>]| -> Vec<String> {
            ids.iter().map(|id| id.map(name).unwrap_or_default()).collect()
        };
        let captured: Vec<String> = node.captured.iter().map(|&id| name(id)).collect();
        let captured: Vec<&str> = captured.iter().map(String::as_str).collect();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let rest = node.rest.as_deref().cloned().unwrap_or_default();
        onnx::NodeProto {
            input: names(&node.inputs),
            output: names(&node.outputs),
            op_type: Some(node.op_type.clone()),
            domain: text(&node.domain),
            attribute: node.attributes.iter().map(|a| encode_attribute(a, &captured)).collect(),
            ..rest
        }
    }
}

/// The names of nodes as they are written: runtimes refuse two of one name. Nodes of the file keep
/// theirs; a new one whose name is taken gets a number.
struct NodeNames<'a> {
    taken: FxHashSet<Cow<'a, str>>,
}

impl<'a> NodeNames<'a> {
    fn of(graph: &'a Graph) -> Self {
        let nodes = graph.nodes().map(|(_, node)| node).filter(|node| !node.is_new());
        Self { taken: nodes.map(|node| Cow::Borrowed(node.name.as_str())).collect() }
    }

    fn next(&mut self, node: &'a Node) -> Option<String> {
        let name = node.name.as_str();
        if name.is_empty() {
            return None;
        }
        if !node.is_new() || self.taken.insert(Cow::Borrowed(name)) {
            return Some(name.to_owned());
        }
        let numbered = (1..).map(|number: u32| format!("{name}_{number}"));
        let free = numbered.into_iter().find(|name| !self.taken.contains(name.as_str()));
        let free = free.unwrap_or_default();
        self.taken.insert(Cow::Owned(free.clone()));
        Some(free)
    }
}

fn encode_attribute(attribute: &Attribute, captured: &[&str]) -> onnx::AttributeProto {
    if let AttributeValue::Other(proto) = &attribute.value {
        return (**proto).clone();
    }
    let mut proto = onnx::AttributeProto {
        name: Some(attribute.name.clone()),
        doc_string: attribute.doc_string.clone(),
        ..onnx::AttributeProto::default()
    };
    let kind = match &attribute.value {
        AttributeValue::Float(value) => {
            proto.f = Some(*value);
            AttributeType::Float
        }
        AttributeValue::Int(value) => {
            proto.i = Some(*value);
            AttributeType::Int
        }
        AttributeValue::String(value) => {
            proto.s = Some(value.clone());
            AttributeType::String
        }
        AttributeValue::Tensor(tensor) => {
            proto.t = Some(Box::new(encode_tensor(tensor, None)));
            AttributeType::Tensor
        }
        AttributeValue::Graph(graph) => {
            proto.g = Some(Box::new(graph.encode(captured)));
            AttributeType::Graph
        }
        AttributeValue::Floats(values) => {
            proto.floats.clone_from(values);
            AttributeType::Floats
        }
        AttributeValue::Ints(values) => {
            proto.ints.clone_from(values);
            AttributeType::Ints
        }
        AttributeValue::Strings(values) => {
            proto.strings.clone_from(values);
            AttributeType::Strings
        }
        AttributeValue::Other(_) => unreachable!("returned above"),
    };
    proto.r#type = Some(kind as i32);
    proto
}

/// The wire form of constant data.
#[must_use]
pub(crate) fn encode_tensor(tensor: &Tensor, name: Option<String>) -> onnx::TensorProto {
    let mut proto = onnx::TensorProto {
        dims: tensor.dims().to_vec(),
        data_type: Some(tensor.elem_type().0),
        name,
        raw_data: tensor.bytes().cloned(),
        string_data: tensor.strings().unwrap_or_default().to_vec(),
        ..onnx::TensorProto::default()
    };
    if let Some(notes) = &tensor.notes {
        proto.name = proto.name.or_else(|| notes.name.clone());
        proto.doc_string.clone_from(&notes.doc_string);
        proto.metadata_props = notes.metadata.iter().map(|(k, v)| entry(k, v)).collect();
    }
    proto
}

fn entry(key: &str, value: &str) -> onnx::StringStringEntryProto {
    onnx::StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

impl Value {
    /// The type as the file declares it: the interface of a graph never changes by itself.
    fn encode_declared(&self, name: String) -> onnx::ValueInfoProto {
        let declared = self.declared.as_deref().cloned();
        let mut info = declared.unwrap_or_else(|| onnx::ValueInfoProto {
            r#type: encode_type(&self.ty),
            ..onnx::ValueInfoProto::default()
        });
        info.name = Some(name);
        info
    }

    /// The type as it is known now.
    fn encode_inferred(&self, name: String) -> onnx::ValueInfoProto {
        let mut info = self.encode_declared(name);
        let declared = info.r#type.as_ref().map(decode::value_type).unwrap_or_default();
        if contradicts(&declared, &self.ty) {
            info.r#type = encode_type(&self.ty);
        }
        info
    }
}

/// Whether `now` knows something that `declared` states otherwise.
fn contradicts(declared: &ValueType, now: &ValueType) -> bool {
    let elem_type = now.elem_type.is_some() && declared.elem_type != now.elem_type;
    let shape = match (&declared.shape, &now.shape) {
        (Some(declared), Some(now)) => {
            let differs = |(a, b): (&Dim, &Dim)| b.value().is_some() && a.value() != b.value();
            declared.len() != now.len() || declared.iter().zip(now).any(differs)
        }
        _ => false,
    };
    elem_type || shape
}

fn encode_type(ty: &ValueType) -> Option<onnx::TypeProto> {
    use onnx::tensor_shape_proto::{Dimension, dimension::Value as DimProto};
    let ElemType(elem_type) = ty.elem_type?;
    let dim = |dim: &Dim| Dimension {
        denotation: None,
        value: match dim.value() {
            Some(value) => Some(DimProto::DimValue(value)),
            None if dim.is_unknown() => None,
            None => Some(DimProto::DimParam(dim.to_string())),
        },
    };
    let shape = ty
        .shape
        .as_ref()
        .map(|shape| onnx::TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let tensor = onnx::type_proto::Tensor { elem_type: Some(elem_type), shape };
    Some(onnx::TypeProto {
        denotation: None,
        value: Some(onnx::type_proto::Value::TensorType(tensor)),
    })
}

#[cfg(test)]
mod tests {
    use crate::{Element, NewNode, Patch, Tensor, text};

    /// The operators and the initializers of the wire form, after the relu of `w` was folded.
    fn folded(ir_version: i64) -> (Vec<String>, Vec<String>) {
        let header = format!(r#"<ir_version: {ir_version}, opset_import: ["" : 8]>"#);
        let graph = "
            g (float[2] x, float[2] w) => (float[2] y)
            <float[2] w = {1, -2}>
            { c = Relu(w) a = Add(x, w) y = Add(a, c) }
        ";
        let mut model = text::parse(&format!("{header} {graph}")).expect("the text is valid");
        let mut patch = Patch::default();
        let constant = patch.initializer("c", Tensor::vector(&[1f32, 0.0]));
        patch.replace(model.graph.find("c").expect("there is c"), constant);
        model.graph.apply(patch).expect("it applies");
        let proto = model.encode();
        let graph = proto.graph.expect("there is a graph");
        let nodes = graph.node.iter().map(|node| format!("{} {}", node.op_type(), node.output[0]));
        let initializers = graph.initializer.iter().map(|tensor| tensor.name().to_owned());
        (nodes.collect(), initializers.collect())
    }

    #[test]
    fn ir_version_3_knows_no_initializers_but_inputs() {
        let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(folded(4), (of(&["Add a", "Add y"]), of(&["w", "c"])));
        assert_eq!(folded(3), (of(&["Constant c", "Add a", "Add y"]), of(&["w"])));
    }

    /// A model of an old IR version to which a patch adds a constant: its version, its operators
    /// and its initializers when it is written.
    fn written<T: Element>(opset: i64, constant: T) -> (i64, Vec<String>, usize) {
        let source = format!(
            r#"<ir_version: 3, opset_import: ["" : {opset}]> g (float[2] x) => (float[2] y) {{ y = Relu(x) }}"#
        );
        let mut model = text::parse(&source).expect("the text is valid");
        let mut patch = Patch::default();
        let constant = patch.initializer("c", Tensor::vector(&[constant]));
        let x = model.graph.inputs()[0];
        let made = patch.node(NewNode::new("Reshape").input(x).input(constant));
        patch.replace(model.graph.outputs()[0], made);
        model.graph.apply(patch).expect("the patch applies");
        let proto = model.encode();
        let graph = proto.graph.expect("there is a graph");
        let operators = graph.node.iter().map(|node| node.op_type().to_owned()).collect();
        (proto.ir_version.unwrap_or(0), operators, graph.initializer.len())
    }

    #[test]
    fn constants_are_nodes_where_initializers_have_to_be_inputs() {
        let as_node = (3, vec!["Constant".to_owned(), "Reshape".to_owned()], 0);
        assert_eq!(written(9, 2_i64), as_node);
        assert_eq!(written(6, 2.0_f32), as_node);
        // Before opset 9 there is no integer `Constant`.
        assert_eq!(written(6, 2_i64), (4, vec!["Reshape".to_owned()], 1));
    }

    #[test]
    fn new_nodes_of_one_name_are_numbered() {
        let mut model =
            text::parse("g (float[2] x) => (float[2] y) { [Abs] a = Relu(x) y = Neg(a) }")
                .expect("the text is valid");
        let mut patch = Patch::default();
        let x = model.graph.inputs()[0];
        let first = patch.node(NewNode::new("Abs").named("Abs").input(x));
        let second = patch.node(NewNode::new("Abs").named("Abs").input(first));
        patch.replace(model.graph.outputs()[0], second);
        let a = model.graph.find("a").and_then(|a| model.graph.producer(a)).expect("a node");
        patch.set_input(a, 0, Some(first));
        let names = |model: &crate::Model| -> Vec<String> {
            let graph = model.encode().graph.expect("there is a graph");
            graph.node.iter().map(|node| node.name().to_owned()).collect()
        };
        assert_eq!(names(&model), ["Abs", ""]);
        model.graph.apply(patch).expect("the patch applies");
        assert_eq!(names(&model), ["Abs", "Abs_1"]);
    }
}
