//! Cutting a part out of a model.
use crate::apply::uses_of;
use crate::{Graph, Model, NodeId, Value, ValueId};
use lapidary_proto::onnx;
use rustc_hash::FxHashMap;

impl Model {
    /// The model that computes `outputs` and nothing else: the nodes these need, with the inputs
    /// and initializers those nodes read, under the same names. Tensor bytes are shared.
    #[must_use]
    pub fn extract(&self, outputs: &[ValueId]) -> Self {
        let graph = self.graph.extract(outputs);
        let rest = onnx::ModelProto { graph: None, ..self.rest.clone() };
        Self { graph, external_data: false, constants_are_inputs: self.constants_are_inputs, rest }
    }
}

impl Graph {
    /// The part that computes `outputs`; see [`Model::extract`]. What it captures must be constant.
    #[must_use]
    pub fn extract(&self, outputs: &[ValueId]) -> Self {
        let mut part = Self {
            foreign_names: self.foreign_names.clone(),
            opsets: self.opsets.clone(),
            next_sequence: self.next_sequence,
            rest: onnx::GraphProto { name: self.rest.name.clone(), ..onnx::GraphProto::default() },
            ..Self::default()
        };
        let mut copied: FxHashMap<ValueId, ValueId> = FxHashMap::default();
        for id in self.needed_nodes(outputs) {
            let mut node = self[id].clone();
            let new = NodeId(part.nodes.len() as u32);
            for value in node.inputs.iter_mut().flatten().chain(&mut node.captured) {
                *value = self.copy_value(*value, &mut part, &mut copied);
            }
            for (slot, output) in node.outputs.iter_mut().enumerate() {
                let Some(output) = output else { continue };
                *output = self.copy_value(*output, &mut part, &mut copied);
                part.value_mut(*output).producer = Some((new, slot as u32));
            }
            for (value, used) in uses_of(new, &node) {
                part.value_mut(value).uses.insert(used);
            }
            part.nodes.push(Some(node));
        }
        for &output in outputs {
            let output = self.copy_value(output, &mut part, &mut copied);
            part.value_mut(output).is_output = true;
            part.outputs.push(output);
        }
        let inputs = self.inputs.iter().filter_map(|id| copied.get(id).copied());
        part.inputs = inputs.collect();
        part
    }

    /// The nodes that `outputs` depend on, in order of making.
    fn needed_nodes(&self, outputs: &[ValueId]) -> Vec<NodeId> {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut waiting: Vec<NodeId> = outputs.iter().filter_map(|&id| self.producer(id)).collect();
        let mut needed = Vec::new();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            needed.push(id);
            let reads = self[id].inputs.iter().flatten().chain(&self[id].captured);
            waiting.extend(reads.filter_map(|&value| self.producer(value)));
        }
        needed.sort_unstable();
        needed
    }

    fn copy_value(
        &self,
        id: ValueId,
        part: &mut Self,
        copied: &mut FxHashMap<ValueId, ValueId>,
    ) -> ValueId {
        if let Some(&copy) = copied.get(&id) {
            return copy;
        }
        let value = self.value(id);
        let copy = Value {
            ty: value.ty.clone(),
            initializer: value.data().cloned(),
            is_input: value.is_input,
            declared: value.declared.clone(),
            ..Value::default()
        };
        let has_data = copy.initializer.is_some();
        let copy = part.add_value(value.name(), copy);
        if has_data {
            part.initializers.push(copy);
        }
        copied.insert(id, copy);
        copy
    }
}

#[cfg(test)]
mod tests {
    use crate::text;

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
}
