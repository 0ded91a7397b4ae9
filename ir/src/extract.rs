//! Cutting a part out of a model.
use crate::apply::uses_of;
use crate::{Graph, Model, NodeId, Tensor, Value, ValueId, ValueType, infer};
use lapidary_proto::onnx;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// What stands for a value at the boundary of a part.
#[derive(Clone, Debug)]
pub enum Boundary {
    /// An input of the part, of that type.
    Input(ValueType),
    /// A constant.
    Initializer(Arc<Tensor>),
}

impl Model {
    /// The model that computes `outputs` and nothing else: the nodes these need, with the inputs
    /// and initializers those nodes read, under the same names. Tensor bytes are shared.
    #[must_use]
    pub fn extract(&self, outputs: &[ValueId]) -> Self {
        self.extract_between(outputs, &|_| None)
    }

    /// The model that computes `outputs` from the values at `boundary`: wherever a node reads one
    /// of these, it reads the input or the constant that stands for it, under the same name.
    ///
    /// An output at the boundary is computed all the same, under another name.
    #[must_use]
    pub fn extract_between(
        &self,
        outputs: &[ValueId],
        boundary: &dyn Fn(ValueId) -> Option<Boundary>,
    ) -> Self {
        let graph = self.graph.extract(outputs, boundary);
        let rest = onnx::ModelProto { graph: None, ..self.rest.clone() };
        Self { graph, external_data: false, rest }
    }
}

/// A part being copied.
struct Extract<'a> {
    whole: &'a Graph,
    boundary: &'a dyn Fn(ValueId) -> Option<Boundary>,
    part: Graph,
    /// What stands for a value where it is read.
    read: FxHashMap<ValueId, ValueId>,
    /// The computed copies of values at the boundary.
    made: FxHashMap<ValueId, ValueId>,
    /// The inputs that are none of the whole.
    cut: Vec<ValueId>,
}

impl Graph {
    fn extract(&self, outputs: &[ValueId], boundary: &dyn Fn(ValueId) -> Option<Boundary>) -> Self {
        let part = Self {
            foreign_names: self.foreign_names.clone(),
            opsets: self.opsets.clone(),
            next_sequence: self.next_sequence,
            rest: onnx::GraphProto { name: self.rest.name.clone(), ..onnx::GraphProto::default() },
            ..Self::default()
        };
        let (read, made) = (FxHashMap::default(), FxHashMap::default());
        let mut extract = Extract { whole: self, boundary, part, read, made, cut: Vec::new() };
        for id in extract.needed_nodes(outputs) {
            extract.copy_node(id);
        }
        for &output in outputs {
            let output = extract.made(output);
            extract.part.value_mut(output).is_output = true;
            extract.part.outputs.push(output);
        }
        let Extract { mut part, read, cut, .. } = extract;
        let inputs = self.inputs.iter().filter_map(|id| read.get(id).copied());
        part.inputs = inputs.filter(|&id| part.value(id).is_input).chain(cut).collect();
        part
    }
}

impl Extract<'_> {
    /// The nodes that `outputs` depend on up to the boundary, in order of making.
    fn needed_nodes(&self, outputs: &[ValueId]) -> Vec<NodeId> {
        let whole = self.whole;
        let mut seen = FxHashSet::default();
        let mut waiting: Vec<NodeId> =
            outputs.iter().filter_map(|&id| whole.producer(id)).collect();
        let mut needed = Vec::new();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            needed.push(id);
            let reads = whole[id].inputs.iter().flatten().chain(&whole[id].captured);
            let inner = reads.filter(|&&value| (self.boundary)(value).is_none());
            waiting.extend(inner.filter_map(|&value| whole.producer(value)));
        }
        needed.sort_unstable();
        needed
    }

    fn copy_node(&mut self, id: NodeId) {
        let mut node = self.whole[id].clone();
        let new = NodeId(self.part.nodes.len() as u32);
        for value in node.inputs.iter_mut().flatten().chain(&mut node.captured) {
            *value = self.read(*value);
        }
        for (slot, output) in node.outputs.iter_mut().enumerate() {
            let Some(output) = output else { continue };
            *output = self.made(*output);
            self.part.value_mut(*output).producer = Some((new, slot as u32));
        }
        for (value, used) in uses_of(new, &node) {
            self.part.value_mut(value).uses.insert(used);
        }
        self.part.nodes.push(Some(node));
    }

    /// What a node reads for `id`.
    fn read(&mut self, id: ValueId) -> ValueId {
        if let Some(&copy) = self.read.get(&id) {
            return copy;
        }
        let value = self.whole.value(id);
        let copy = match (self.boundary)(id) {
            None => self.copy(id, value.name()),
            Some(Boundary::Input(ty)) => {
                let input = Value { ty, is_input: true, ..Value::default() };
                let input = self.part.add_value(value.name(), input);
                if !value.is_input {
                    self.cut.push(input);
                }
                input
            }
            Some(Boundary::Initializer(tensor)) => {
                let ty = infer::tensor_type(&tensor);
                let constant = Value { ty, initializer: Some(tensor), ..Value::default() };
                let constant = self.part.add_value(value.name(), constant);
                self.part.initializers.push(constant);
                constant
            }
        };
        self.read.insert(id, copy);
        copy
    }

    /// What a node makes for `id`, and what an output is.
    fn made(&mut self, id: ValueId) -> ValueId {
        let value = self.whole.value(id);
        if value.is_input || (self.boundary)(id).is_none() {
            return self.read(id);
        }
        if let Some(&copy) = self.made.get(&id) {
            return copy;
        }
        let name = self.unused_name(value.name());
        let copy = self.copy(id, &name);
        self.part.value_mut(copy).declared = None;
        self.made.insert(id, copy);
        copy
    }

    fn copy(&mut self, id: ValueId, name: &str) -> ValueId {
        let value = self.whole.value(id);
        let copy = Value {
            ty: value.ty.clone(),
            initializer: value.initializer.clone(),
            is_input: value.is_input,
            declared: value.declared.clone(),
            ..Value::default()
        };
        let has_data = copy.initializer.is_some();
        let copy = self.part.add_value(name, copy);
        if has_data {
            self.part.initializers.push(copy);
        }
        copy
    }

    /// A name that starts with `base` and that neither the whole nor the part has.
    fn unused_name(&self, base: &str) -> String {
        let taken = |name: &String| {
            self.whole.find(name).is_some()
                || self.part.find(name).is_some()
                || self.part.foreign_names.contains(name)
        };
        let mut names = (1u64..).map(|number| format!("{base}_{number}"));
        names.find(|name| !taken(name)).expect("there are more numbers than names")
    }
}

#[cfg(test)]
mod tests {
    use super::Boundary;
    use crate::{Tensor, text};
    use std::sync::Arc;

    #[test]
    fn takes_what_the_outputs_need_and_nothing_else() {
        let model = text::parse(
            "g (float[2] x, float[2] unused) => (float[2] y)
             <float[2] w = {1, 2}, float[2] v = {3, 4}>
             {
                 a = Add(x, w)
                 b = Mul(a, v)
                 y = Relu(b)
             }",
        )
        .expect("the text is a model");
        let a = model.graph.find("a").expect("there is a value `a`");
        let part = model.extract(&[a]);
        assert_eq!(part.validate(), Vec::new());
        let names: Vec<&str> = part.graph.values().map(|(_, value)| value.name()).collect();
        assert_eq!(names, ["x", "w", "a"]);
        let outputs: Vec<&str> =
            part.graph.outputs().iter().map(|&id| part.graph.value(id).name()).collect();
        assert_eq!((part.graph.inputs().len(), outputs), (1, vec!["a"]));
    }

    #[test]
    fn values_at_the_boundary_are_inputs_or_constants_and_can_be_outputs_too() {
        let mut model = text::parse(
            "g (float[2] x) => (float[2] y)
             <float[2] w = {1, 2}>
             {
                 a = Add(x, w)
                 c = Neg(w)
                 b = Mul(a, c)
                 y = Relu(b)
             }",
        )
        .expect("the text is a model");
        model.graph.infer();
        let value = |name| model.graph.find(name).expect("there is such a value");
        let (a, b, c) = (value("a"), value("b"), value("c"));
        let boundary = |id| match id {
            id if id == a => Some(Boundary::Input(model.graph.ty(a).clone())),
            id if id == c => Some(Boundary::Initializer(Arc::new(Tensor::vector(&[3f32, 4.0])))),
            _ => None,
        };
        let part = model.extract_between(&[a, b], &boundary);
        assert_eq!(part.validate(), Vec::new());
        insta::assert_snapshot!(text::print(&part.graph), @"
        g (float[2] x, float[2] a) => (float[2] a_1, float[2] b)
        <float[2] w = {1, 2}, float[2] c = {3, 4}>
        {
            a_1 = Add(x, w)
            b = Mul(a, c)
        }
        ");
    }
}
