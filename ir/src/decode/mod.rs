//! `ModelProto` to [`Model`].
mod error;
mod tensor;

pub use error::{DecodeError, NodeError};
pub use tensor::TensorDecodeError;

use crate::apply::uses_of;
use crate::node::Order;
use crate::{
    Attribute, AttributeValue, Dim, ElemType, Graph, Model, Node, NodeId, OpsetImports, Value,
    ValueId, ValueType, infer,
};
use bytes::Bytes;
use lapidary_proto::onnx;
use onnx::attribute_proto::AttributeType;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Subgraphs nested deeper than this are refused, as ONNX Runtime does.
pub const MAX_DEPTH: usize = 32;

/// Gives the bytes of a tensor whose data is in another file.
pub type LoadExternal<'a> = dyn Fn(&onnx::TensorProto) -> Result<Bytes, BoxedError> + 'a;

/// An error of whatever loads external data.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl Model {
    /// Turns the wire form into a graph. Tensor bytes are shared, not copied.
    ///
    /// # Errors
    /// When the model is malformed; the error names the place.
    pub fn decode(
        mut proto: onnx::ModelProto,
        load: &LoadExternal<'_>,
    ) -> Result<Self, DecodeError> {
        let graph = proto.graph.take().ok_or(DecodeError::NoGraph)?;
        let imports = proto.opset_import.iter();
        let opsets = OpsetImports::new(
            imports.map(|i| (i.domain.clone().unwrap_or_default(), i.version.unwrap_or(0))),
        );
        if opsets.entries().is_empty() {
            return Err(DecodeError::NoOpset);
        }
        let external_data = has_external_data(&graph);
        let mut foreign_names = FxHashSet::default();
        if graph.node.iter().any(has_subgraph) {
            collect_names(&graph, &mut foreign_names, 0)?;
        }
        let scope =
            Scope { load, opsets: Arc::new(opsets), foreign_names: Arc::new(foreign_names) };
        let (graph, captured) = scope.graph(graph, 0, &|_| false)?;
        debug_assert!(captured.is_empty(), "the main graph captures nothing");
        let constants_are_inputs = proto.ir_version.is_some_and(Self::constants_are_inputs)
            && graph.initializers().all(|(id, _)| graph.value(id).is_input());
        Ok(Self { graph, external_data, constants_are_inputs, rest: proto })
    }
}

fn has_external_data(graph: &onnx::GraphProto) -> bool {
    let external = onnx::tensor_proto::DataLocation::External as i32;
    graph.initializer.iter().any(|tensor| tensor.data_location == Some(external))
}

fn has_subgraph(node: &onnx::NodeProto) -> bool {
    node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
}

/// Every name of a value in `graph` and below.
fn collect_names(
    graph: &onnx::GraphProto,
    names: &mut FxHashSet<String>,
    depth: usize,
) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::TooDeep);
    }
    let infos = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    names.extend(infos.filter_map(|info| info.name.clone()));
    names.extend(graph.initializer.iter().filter_map(|tensor| tensor.name.clone()));
    for node in &graph.node {
        names.extend(node.input.iter().chain(&node.output).cloned());
        for attribute in &node.attribute {
            for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
                collect_names(graph, names, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// What is the same for every graph of a model.
struct Scope<'a> {
    load: &'a LoadExternal<'a>,
    opsets: Arc<OpsetImports>,
    foreign_names: Arc<FxHashSet<String>>,
}

impl Scope<'_> {
    /// Decodes a graph; returns also the names it reads from enclosing graphs, which `outer`
    /// says exist.
    fn graph(
        &self,
        mut proto: onnx::GraphProto,
        depth: usize,
        outer: &dyn Fn(&str) -> bool,
    ) -> Result<(Graph, Vec<String>), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        let nodes = std::mem::take(&mut proto.node);
        let mut graph = Graph {
            opsets: self.opsets.clone(),
            foreign_names: self.foreign_names.clone(),
            ..Graph::default()
        };
        let name = proto.name.clone().unwrap_or_default();
        for (index, info) in std::mem::take(&mut proto.input).into_iter().enumerate() {
            let id = graph.declare("input", index, info.name.clone(), &name)?;
            graph.inputs.push(id);
            let value = graph.value_mut(id);
            value.is_input = true;
            value.describe(info);
        }
        for (index, tensor) in std::mem::take(&mut proto.initializer).into_iter().enumerate() {
            self.initializer(&mut graph, index, tensor, &name)?;
        }
        for (index, sparse) in proto.sparse_initializer.iter().enumerate() {
            let sparse_name = sparse.values.as_ref().and_then(|values| values.name.clone());
            graph.declare("sparse initializer", index, sparse_name, &name)?;
        }
        for (index, node) in nodes.iter().enumerate() {
            for (slot, output) in node.output.iter().enumerate() {
                if output.is_empty() {
                    continue;
                }
                let id = graph.declare("node output", index, Some(output.clone()), &name)?;
                graph.value_mut(id).producer = Some((NodeId(index as u32), slot as u32));
            }
        }
        self.infos(&mut graph, &mut proto);
        let mut captured = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let (label, op_type) = (node_label(&node), node.op_type.clone().unwrap_or_default());
            self.node(&mut graph, index, node, depth, outer, &mut captured).map_err(|source| {
                DecodeError::Node { name: label, op_type, source: Box::new(source) }
            })?;
        }
        for (index, info) in std::mem::take(&mut proto.output).into_iter().enumerate() {
            let output = info.name.clone().filter(|output| !output.is_empty());
            let Some(output) = output else {
                return Err(DecodeError::Unnamed { what: "output", index, graph: name });
            };
            let Some(id) = graph.resolve(&output, outer, &mut captured) else {
                return Err(DecodeError::UnknownOutput { name: output });
            };
            graph.outputs.push(id);
            let value = graph.value_mut(id);
            value.is_output = true;
            if !value.is_input {
                value.describe(info);
            }
        }
        graph.rest = proto;
        Ok((graph, captured))
    }

    fn initializer(
        &self,
        graph: &mut Graph,
        index: usize,
        mut proto: onnx::TensorProto,
        graph_name: &str,
    ) -> Result<(), DecodeError> {
        let name = proto.name.take().filter(|name| !name.is_empty());
        let Some(name) = name else {
            let graph = graph_name.to_owned();
            return Err(DecodeError::Unnamed { what: "initializer", index, graph });
        };
        proto.name = Some(name.clone());
        let tensor = tensor::decode(proto, self.load)
            .map_err(|source| DecodeError::Initializer { name: name.clone(), source })?;
        let id = match graph.find(&name) {
            Some(id) if graph.value(id).is_input && graph.value(id).initializer.is_none() => id,
            _ => graph.declare("initializer", index, Some(name), graph_name)?,
        };
        let value = graph.value_mut(id);
        value.ty = infer::tensor_type(&tensor);
        value.initializer = Some(Arc::new(tensor));
        graph.initializers.push(id);
        Ok(())
    }

    /// Attaches `value_info`; entries about names the graph does not have stay as they are.
    fn infos(&self, graph: &mut Graph, proto: &mut onnx::GraphProto) {
        for info in std::mem::take(&mut proto.value_info) {
            let id = info.name.as_deref().and_then(|name| graph.find(name));
            match id {
                Some(id) if graph.value(id).declared.is_none() => {
                    graph.value_infos.push(id);
                    graph.value_mut(id).describe(info);
                }
                _ => proto.value_info.push(info),
            }
        }
    }

    fn node(
        &self,
        graph: &mut Graph,
        index: usize,
        mut proto: onnx::NodeProto,
        depth: usize,
        outer: &dyn Fn(&str) -> bool,
        captured: &mut Vec<String>,
    ) -> Result<(), NodeError> {
        let id = NodeId(index as u32);
        let mut inputs = Vec::with_capacity(proto.input.len());
        for (slot, name) in std::mem::take(&mut proto.input).into_iter().enumerate() {
            if name.is_empty() {
                inputs.push(None);
                continue;
            }
            let value = graph.resolve(&name, outer, captured);
            inputs.push(Some(value.ok_or(NodeError::UnknownInput { slot, name })?));
        }
        let outputs = proto.output.iter().map(|name| graph.find(name)).collect();
        proto.output.clear();
        let mut node = Node {
            name: proto.name.take().unwrap_or_default(),
            domain: proto.domain.take().unwrap_or_default(),
            op_type: proto.op_type.take().unwrap_or_default(),
            inputs,
            outputs,
            attributes: Vec::with_capacity(proto.attribute.len()),
            captured: Vec::new(),
            order: Order(index as u32, 0),
            rest: None,
        };
        for attribute in std::mem::take(&mut proto.attribute) {
            let attribute = self.attribute(graph, &mut node, attribute, depth, outer, captured)?;
            if node.attributes.iter().any(|other| other.name == attribute.name) {
                return Err(NodeError::DuplicateAttribute(attribute.name));
            }
            node.attributes.push(attribute);
        }
        if proto != onnx::NodeProto::default() {
            node.rest = Some(Box::new(proto));
        }
        for (value, used) in uses_of(id, &node) {
            graph.value_mut(value).uses.insert(used);
        }
        debug_assert_eq!(graph.nodes.len(), index, "nodes are decoded in order");
        graph.nodes.push(Some(node));
        Ok(())
    }

    fn attribute(
        &self,
        graph: &mut Graph,
        node: &mut Node,
        mut proto: onnx::AttributeProto,
        depth: usize,
        outer: &dyn Fn(&str) -> bool,
        captured: &mut Vec<String>,
    ) -> Result<Attribute, NodeError> {
        let name = proto.name.clone().unwrap_or_default();
        if !proto.graphs.is_empty() {
            return Err(NodeError::GraphList(name));
        }
        let doc_string = proto.doc_string.clone();
        let kind = if proto.ref_attr_name.is_some() { None } else { proto.r#type };
        let kind = kind.and_then(|kind| AttributeType::try_from(kind).ok());
        let value = match kind {
            Some(AttributeType::Float) => AttributeValue::Float(proto.f.unwrap_or_default()),
            Some(AttributeType::Int) => AttributeValue::Int(proto.i.unwrap_or_default()),
            Some(AttributeType::String) => {
                AttributeValue::String(proto.s.take().unwrap_or_default())
            }
            Some(AttributeType::Floats) => {
                AttributeValue::Floats(std::mem::take(&mut proto.floats))
            }
            Some(AttributeType::Ints) => AttributeValue::Ints(std::mem::take(&mut proto.ints)),
            Some(AttributeType::Strings) => {
                AttributeValue::Strings(std::mem::take(&mut proto.strings))
            }
            Some(AttributeType::Tensor) if proto.t.is_some() => {
                let boxed = proto.t.take().unwrap_or_default();
                let label = boxed.name.clone();
                let mut tensor = tensor::decode(*boxed, self.load)
                    .map_err(|source| NodeError::Tensor { name: name.clone(), source })?;
                if label.is_some() {
                    tensor.notes.get_or_insert_default().name = label;
                }
                AttributeValue::Tensor(Arc::new(tensor))
            }
            Some(AttributeType::Graph) if proto.g.is_some() => {
                let inner = proto.g.take().unwrap_or_default();
                let (subgraph, reads) = {
                    let visible = |name: &str| graph.find(name).is_some() || outer(name);
                    self.graph(*inner, depth + 1, &visible)
                        .map_err(|source| NodeError::Subgraph { name: name.clone(), source })?
                };
                let subgraph =
                    capture(graph, node, subgraph, &reads, outer, captured).map_err(|read| {
                        NodeError::UnknownCapture { attribute: name.clone(), name: read }
                    })?;
                AttributeValue::Graph(Box::new(subgraph))
            }
            _ => AttributeValue::Other(Box::new(proto)),
        };
        Ok(Attribute { name, value, doc_string })
    }
}

/// Connects the values a subgraph reads to the node that holds it.
fn capture(
    graph: &mut Graph,
    node: &mut Node,
    mut subgraph: Graph,
    reads: &[String],
    outer: &dyn Fn(&str) -> bool,
    captured: &mut Vec<String>,
) -> Result<Graph, String> {
    for read in reads {
        let value = graph.resolve(read, outer, captured).ok_or_else(|| read.clone())?;
        let slot = node.captured.iter().position(|&other| other == value).unwrap_or_else(|| {
            node.captured.push(value);
            node.captured.len() - 1
        });
        let inner = subgraph.find(read).ok_or_else(|| read.clone())?;
        subgraph.captures.push((inner, slot as u32));
        subgraph.value_mut(inner).ty = graph.ty(value).clone();
    }
    Ok(subgraph)
}

impl Graph {
    /// Makes a value of that name.
    fn declare(
        &mut self,
        what: &'static str,
        index: usize,
        name: Option<String>,
        graph: &str,
    ) -> Result<ValueId, DecodeError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(DecodeError::Unnamed { what, index, graph: graph.to_owned() });
        };
        if self.find(&name).is_some() {
            return Err(DecodeError::DuplicateName { what, name, graph: graph.to_owned() });
        }
        Ok(self.add_value(&name, Value::default()))
    }

    /// The value of that name, taken from an enclosing graph if it is not here.
    fn resolve(
        &mut self,
        name: &str,
        outer: &dyn Fn(&str) -> bool,
        captured: &mut Vec<String>,
    ) -> Option<ValueId> {
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        if !outer(name) {
            return None;
        }
        captured.push(name.to_owned());
        Some(self.add_value(name, Value::default()))
    }
}

impl Value {
    fn describe(&mut self, info: onnx::ValueInfoProto) {
        if self.initializer.is_none() {
            self.ty = info.r#type.as_ref().map(value_type).unwrap_or_default();
        }
        self.declared = Some(Box::new(info));
    }
}

/// The tensor type of a `TypeProto`; nothing for sequences, maps and optionals.
pub(crate) fn value_type(proto: &onnx::TypeProto) -> ValueType {
    use onnx::tensor_shape_proto::dimension::Value as DimProto;
    let Some(onnx::type_proto::Value::TensorType(tensor)) = &proto.value else {
        return ValueType::default();
    };
    let dim = |dim: &onnx::tensor_shape_proto::Dimension| match &dim.value {
        Some(DimProto::DimValue(value)) if *value >= 0 => Dim::from(*value),
        Some(DimProto::DimParam(name)) if !name.is_empty() => Dim::param(name),
        _ => Dim::UNKNOWN,
    };
    let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(dim).collect());
    let elem_type = tensor.elem_type.filter(|&number| number != 0).map(ElemType);
    ValueType::tensor(elem_type, shape)
}

fn node_label(node: &onnx::NodeProto) -> String {
    let name = node.name.as_ref().filter(|name| !name.is_empty());
    name.or_else(|| node.output.first()).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn the_tensor_of_an_attribute_keeps_its_name() {
        let source = "g () => (float[1] y) { y = Constant<value = float[1] {2}>() }";
        let mut proto = text::parse(source).expect("the text is valid").encode();
        let graph = proto.graph.as_mut().expect("there is a graph");
        let tensor = graph.node[0].attribute[0].t.as_mut().expect("the attribute is a tensor");
        tensor.name = Some("two".to_owned());
        let load = |_: &onnx::TensorProto| Err("there is no other file".into());
        let model = Model::decode(proto.clone(), &load).expect("the model is valid");
        assert_eq!(model.encode(), proto);
    }

    #[test]
    fn a_list_of_subgraphs_is_refused_by_name() {
        let source = "g (float[2] x) => (float[2] y) { [first] y = Relu(x) }";
        let mut proto = text::parse(source).expect("the text is valid").encode();
        let graph = proto.graph.as_mut().expect("there is a graph");
        graph.node[0].attribute.push(onnx::AttributeProto {
            name: Some("branches".to_owned()),
            r#type: Some(AttributeType::Graphs as i32),
            graphs: vec![onnx::GraphProto::default()],
            ..onnx::AttributeProto::default()
        });
        let load = |_: &onnx::TensorProto| Err("there is no other file".into());
        let error = Model::decode(proto, &load).expect_err("it is refused");
        assert_eq!(error.to_string(), "node `first` (Relu)");
        let cause = std::error::Error::source(&error).expect("the attribute is the cause");
        assert_eq!(
            cause.to_string(),
            "attribute `branches` is a list of subgraphs, expected one subgraph per attribute"
        );
    }
}
