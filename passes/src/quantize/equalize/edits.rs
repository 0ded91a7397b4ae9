//! New numbers for constants.
use crate::PassError;
use lapidary_ir::{ElemType, Graph, Model, NodeId, Patch, Tensor};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The constants that change, by the node and the slot that read them. Other readers of a constant keep it as it
/// is.
#[derive(Default)]
pub(super) struct Edits {
    constants: BTreeMap<(NodeId, usize), Constant>,
}

struct Constant {
    /// What its name derives from.
    name: String,
    dims: Vec<i64>,
    numbers: Vec<f64>,
}

impl Edits {
    /// The numbers of a `float` constant as they are by now; none for anything else.
    pub(super) fn numbers(
        &mut self,
        graph: &Graph,
        node: NodeId,
        slot: usize,
    ) -> Option<&mut Vec<f64>> {
        let constant = match self.constants.entry((node, slot)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let tensor = graph.constant_input(node, slot)?;
                if tensor.elem_type() != ElemType::FLOAT {
                    return None;
                }
                let numbers = tensor.to_vec::<f32>()?.into_iter().map(f64::from).collect();
                let name = graph.value(graph[node].input(slot)?).name().to_owned();
                entry.insert(Constant { name, dims: tensor.dims().to_vec(), numbers })
            }
        };
        Some(&mut constant.numbers)
    }

    /// Gives a node a vector it did not read.
    pub(super) fn create(&mut self, node: NodeId, slot: usize, name: String, numbers: Vec<f64>) {
        let dims = vec![numbers.len() as i64];
        self.constants.insert((node, slot), Constant { name, dims, numbers });
    }

    /// Writes the numbers, each rounded once.
    pub(super) fn apply(self, model: &mut Model, step: &'static str) -> Result<(), PassError> {
        let graph = &mut model.graph;
        let mut patch = Patch::default();
        for ((node, slot), Constant { name, dims, numbers }) in self.constants {
            let rounded: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
            let tensor = Tensor::new(&dims, &rounded);
            let own = graph[node].input(slot).filter(|&id| {
                let value = graph.value(id);
                value.initializer().is_some()
                    && value.uses().len() == 1
                    && !value.is_output()
                    && !value.is_pinned()
            });
            match own {
                Some(id) => patch.set_tensor(id, tensor),
                None => {
                    let constant = patch.initializer(name, tensor);
                    patch.set_input(node, slot, Some(constant));
                }
            }
        }
        let applied = graph.apply(patch);
        applied.map_err(|source| PassError::Patch { pass: step, source })?;
        graph.infer();
        Ok(())
    }
}
