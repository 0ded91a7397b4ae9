//! Values that something besides nodes names: quantization annotations and training.
//!
//! An annotation of a tensor names the tensors of its scale and zero point; they stay as long as
//! the tensor does. Training names what it reads, and initializers it assigns; those stay under
//! their names, and what is assigned is no constant.
use crate::{Graph, Model, ValueId};
use lapidary_proto::onnx;
use rustc_hash::FxHashSet;
use std::sync::Arc;

impl Model {
    /// Pins what training names.
    pub(crate) fn pin_training(&mut self) {
        let mut names = FxHashSet::default();
        for training in &self.rest.training_info {
            let graphs = training.initialization.iter().chain(&training.algorithm);
            graphs.for_each(|graph| read_names(graph, &mut names));
            let bindings = training.initialization_binding.iter().chain(&training.update_binding);
            let ends = bindings.flat_map(|binding| [&binding.key, &binding.value]);
            names.extend(ends.flatten().cloned());
        }
        self.graph.pin(&names, |value| {
            value.is_trained = true;
            value.ty.elements = None;
        });
        if !names.is_empty() {
            Arc::make_mut(&mut self.graph.foreign_names).extend(names);
        }
    }
}

/// Every name nodes of `graph` read or its outputs have, whether it is made there or outside.
fn read_names(graph: &onnx::GraphProto, names: &mut FxHashSet<String>) {
    names.extend(graph.output.iter().filter_map(|output| output.name.clone()));
    for node in &graph.node {
        names.extend(node.input.iter().cloned());
        for attribute in &node.attribute {
            let graphs = attribute.g.as_deref().into_iter().chain(&attribute.graphs);
            graphs.for_each(|graph| read_names(graph, names));
        }
    }
}

impl Graph {
    /// Pins the parameters that annotations name.
    pub(crate) fn pin_annotations(&mut self) {
        let annotations = &self.rest.quantization_annotation;
        if annotations.is_empty() {
            return;
        }
        let live = |annotation: &&onnx::TensorAnnotation| {
            annotation.tensor_name.as_deref().is_some_and(|name| self.find(name).is_some())
        };
        let names: FxHashSet<String> =
            annotations.iter().filter(live).flat_map(parameters).cloned().collect();
        let tensors: Vec<String> =
            annotations.iter().filter_map(|annotation| annotation.tensor_name.clone()).collect();
        self.pin(&names, |value| value.is_parameter = true);
        let reserved = Arc::make_mut(&mut self.foreign_names);
        reserved.extend(names);
        reserved.extend(tensors);
    }

    fn pin(&mut self, names: &FxHashSet<String>, pin: impl Fn(&mut crate::Value)) {
        let found: Vec<ValueId> =
            self.values().filter(|(_, v)| names.contains(v.name())).map(|(id, _)| id).collect();
        found.into_iter().for_each(|id| pin(self.value_mut(id)));
    }

    /// Drops the annotations of a tensor that is gone or has other data. Returns the parameters
    /// that no other annotation names.
    pub(crate) fn forget_annotations(&mut self, tensor: &str) -> Vec<ValueId> {
        let annotations = &mut self.rest.quantization_annotation;
        let about =
            |annotation: &onnx::TensorAnnotation| annotation.tensor_name.as_deref() == Some(tensor);
        if !annotations.iter().any(about) {
            return Vec::new();
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(annotations).into_iter().partition(about);
        *annotations = kept;
        let named: FxHashSet<&String> = annotations.iter().flat_map(parameters).collect();
        let free = gone.iter().flat_map(parameters).filter(|name| !named.contains(name));
        let free: Vec<&String> = free.collect();
        let free: Vec<ValueId> = free.into_iter().filter_map(|name| self.find(name)).collect();
        for &id in &free {
            self.value_mut(id).is_parameter = false;
        }
        free
    }
}

/// The names of the tensors that an annotation attaches.
fn parameters(annotation: &onnx::TensorAnnotation) -> impl Iterator<Item = &String> {
    annotation.quant_parameter_tensor_names.iter().filter_map(|entry| entry.value.as_ref())
}

#[cfg(test)]
mod tests {
    use crate::{Model, NewNode, Patch, text};
    use lapidary_proto::onnx;

    fn entry(key: &str, value: &str) -> onnx::StringStringEntryProto {
        onnx::StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    fn annotated(source: &str, tensor: &str, parameters: &[&str]) -> Model {
        let mut proto = text::parse(source).expect("the text is valid").encode();
        let graph = proto.graph.as_mut().expect("there is a graph");
        graph.quantization_annotation.push(onnx::TensorAnnotation {
            tensor_name: Some(tensor.to_owned()),
            quant_parameter_tensor_names: parameters
                .iter()
                .map(|p| entry("SCALE_TENSOR", p))
                .collect(),
        });
        decode(proto)
    }

    fn decode(proto: onnx::ModelProto) -> Model {
        let load = |_: &onnx::TensorProto| Err("there is no other file".into());
        Model::decode(proto, &load).expect("the model is valid")
    }

    fn annotations(model: &Model) -> Vec<onnx::TensorAnnotation> {
        model.encode().graph.expect("there is a graph").quantization_annotation
    }

    fn names(model: &Model) -> Vec<&str> {
        model.graph.values().map(|(_, value)| value.name()).collect()
    }

    const CHAIN: &str = "g (float[2] x) => (float[2] y)
        <float s = {1}> { a = Relu(x) b = Identity(a) y = Abs(b) }";

    #[test]
    fn a_parameter_lives_as_long_as_its_tensor() {
        let mut model = annotated(CHAIN, "b", &["s"]);
        let id = |model: &Model, name: &str| model.graph.find(name).expect("it is there");
        assert!(!model.graph.value(id(&model, "s")).is_unused());
        let (a, b) = (id(&model, "a"), id(&model, "b"));
        let mut patch = Patch::default();
        patch.replace(b, a);
        model.graph.apply(patch).expect("it applies");
        assert_eq!(names(&model), ["x", "a", "y"]);
        assert_eq!(annotations(&model), []);
        assert_eq!(model.validate(), Vec::new());
    }

    #[test]
    fn an_annotated_output_of_a_new_node_stays_annotated() {
        let mut model = annotated(CHAIN, "b", &["s", "x"]);
        let before = annotations(&model);
        let a = model.graph.find("a").expect("it is there");
        let b = model.graph.find("b").expect("it is there");
        let mut patch = Patch::default();
        let node = patch.node(NewNode::new("Neg").input(a));
        patch.replace(b, node);
        model.graph.apply(patch).expect("it applies");
        assert_eq!(names(&model), ["x", "s", "a", "b", "y"]);
        assert_eq!(annotations(&model), before);
    }

    #[test]
    fn other_data_ends_an_annotation() {
        let source = "g (float[2] x) => (float[2] y)
            <float[2] w = {1, 2}, float s = {1}> { y = Mul(x, w) }";
        let mut model = annotated(source, "w", &["s"]);
        let w = model.graph.find("w").expect("it is there");
        let mut patch = Patch::default();
        patch.set_tensor(w, crate::Tensor::vector(&[3.0_f32, 4.0]));
        model.graph.apply(patch).expect("it applies");
        assert_eq!(names(&model), ["x", "w", "y"]);
    }

    #[test]
    fn a_computed_parameter_passes_its_name_on() {
        let source = "g (float[2] x) => (float[2] y) <float[] q = {1}>
            { s = Identity(q) p = Neg(s) o = Identity(p) y = Abs(x) }";
        let mut model = annotated(source, "x", &["s", "o"]);
        let id = |name: &str| model.graph.find(name).expect("it is there");
        assert!(!model.graph.can_replace(id("s"), id("q")));
        assert!(model.graph.can_replace(id("o"), id("p")));
        let mut patch = Patch::default();
        patch.replace(id("o"), id("p"));
        model.graph.apply(patch).expect("it applies");
        assert_eq!(names(&model), ["x", "q", "s", "o", "y"]);
        let s = model.graph.find("s").expect("it is there");
        let mut patch = Patch::default();
        let data = patch.initializer("s", crate::Tensor::scalar(1.0_f32));
        patch.replace(s, data);
        model.graph.apply(patch).expect("it applies");
        let s = model.graph.find("s").expect("it is there");
        assert!(model.graph.constant(s).is_some() && !model.graph.value(s).is_unused());
        assert_eq!(model.validate(), Vec::new());
    }

    #[test]
    fn what_training_names_stays_and_is_no_constant() {
        let source = "g (float[2] x) => (float[2] y)
            <float[2] w = {1, 2}, float[2] rate = {1, 2}, float[2] v = {1, 2}>
            { a = Mul(x, w) y = Add(a, v) }";
        let mut proto = text::parse(source).expect("the text is valid").encode();
        let algorithm =
            text::parse("t () => (float[2] w_new) <float[2] rate = {1, 2}> { w_new = Neg(rate) }");
        let mut algorithm = algorithm.expect("the text is valid").encode().graph;
        algorithm.as_mut().expect("there is a graph").initializer.clear();
        proto.training_info.push(onnx::TrainingInfoProto {
            algorithm,
            update_binding: vec![entry("w", "w_new")],
            ..onnx::TrainingInfoProto::default()
        });
        let model = decode(proto);
        let value = |name: &str| model.graph.value(model.graph.find(name).expect("it is there"));
        assert!(value("w").constant().is_none() && value("v").constant().is_some());
        assert!(!value("rate").is_unused());
        assert_eq!(model.validate(), Vec::new());
    }
}
