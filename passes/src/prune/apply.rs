//! Carries a plan out: cuts constants, rewrites the numbers that count channels.
use super::elements::Axis;
use super::plan::ChannelPlan;
use super::propagate::{constant, piece};
use super::relations::{Place, Rewrite};
use crate::PassError;
use lapidary_ir::{
    ElemType, Graph, Model, NewNode, NodeId, Operand, Patch, PatchError, Tensor, TensorError,
    ValueId, Violation,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why a plan can't be carried out; a fault of the plan or of what it was made for.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A constant can't be cut as planned.
    #[error("constant `{value}` can't be cut along axis {axis}")]
    Cut {
        /// The constant.
        value: String,
        /// The axis.
        axis: usize,
    },
    /// A number is not where the plan says.
    #[error("node `{node}` does not count channels where the plan says")]
    Place {
        /// The node.
        node: String,
    },
    /// A product or a normalization has other channels than moments of lost ones are for.
    #[error("node `{node}` does not have the channels that moments of lost ones are for")]
    Moments {
        /// The node.
        node: String,
    },
    /// Cut data does not fit its shape.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The patch can't be applied.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The graph is invalid afterwards.
    #[error("the pruned graph is invalid: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Invalid(Vec<Violation>),
}

impl ChannelPlan {
    /// Cuts the model the plan was made for.
    ///
    /// # Errors
    /// When the model is another one. It may be changed then.
    pub fn apply(&self, model: &mut Model) -> Result<(), ApplyError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut patch = Patch::default();
        self.cut_constants(&model.graph, &mut patch)?;
        self.rewrite_numbers(&model.graph, &mut patch)?;
        for rewrite in &self.rewrites {
            match rewrite {
                Rewrite::Indices { node, axis, gathered } => {
                    self.rewrite_indices(&model.graph, &mut patch, *node, *axis, *gathered)?;
                }
                Rewrite::Picked { node, axis, sliced, elements, .. } => {
                    let stays = self.picked(*axis, *sliced, elements);
                    let stays = stays.ok_or_else(|| misplaced(&model.graph, *node))?;
                    gather_first(&model.graph, &mut patch, *node, axis.axis, &stays)?;
                }
                Rewrite::Count { .. }
                | Rewrite::GroupedColumns { .. }
                | Rewrite::Uniform { .. } => {}
            }
        }
        self.give_own(&model.graph, &mut patch)?;
        model.graph.apply(patch)?;
        model.graph.infer();
        let violations = model.validate();
        if violations.is_empty() { Ok(()) } else { Err(ApplyError::Invalid(violations)) }
    }

    fn cut_constants(&self, graph: &Graph, patch: &mut Patch) -> Result<(), ApplyError> {
        let mut cuts: BTreeMap<ValueId, Tensor> = BTreeMap::new();
        for axis in &self.axes {
            let Some(whole) = constant(graph, axis.place.value) else { continue };
            let tensor = cuts.entry(axis.place.value).or_insert_with(|| (*whole).clone());
            let cut = tensor.gather_axis(axis.place.axis, &axis.keep);
            *tensor = cut.ok_or_else(|| no_cut(graph, axis.place))?;
        }
        for rewrite in &self.rewrites {
            if let Rewrite::GroupedColumns { node, kernel, input, output, groups } = rewrite {
                let kernel = graph[*node].input(*kernel).ok_or_else(|| misplaced(graph, *node))?;
                let cut = self.grouped_columns(graph, kernel, *input, *output, *groups)?;
                cuts.insert(kernel, cut);
            }
        }
        for (value, tensor) in cuts {
            if graph.value(value).initializer().is_some() {
                patch.set_tensor(value, tensor);
            } else {
                let data = patch.initializer(graph.value(value).name(), tensor);
                patch.replace(value, data);
            }
        }
        Ok(())
    }

    /// Vectors of one number, as long as the channels of each node that reads them; nodes with as many
    /// channels share one.
    fn give_own(&self, graph: &Graph, patch: &mut Patch) -> Result<(), ApplyError> {
        let mut own: BTreeMap<(ValueId, usize), Operand> = BTreeMap::new();
        for rewrite in &self.rewrites {
            let Rewrite::Uniform { node, value, axis } = rewrite else { continue };
            let whole = constant(graph, *value).ok_or_else(|| misplaced(graph, *node))?;
            let length = self.kept(*axis).map_or(whole.len(), <[_]>::len);
            let operand = match own.get(&(*value, length)) {
                Some(known) => *known,
                None => {
                    let part = whole.gather_axis(0, &(0..length).collect::<Vec<_>>());
                    let part = part.ok_or_else(|| no_cut(graph, Axis::new(*value, 0)))?;
                    let made = patch.initializer(graph.value(*value).name(), part);
                    own.insert((*value, length), made);
                    made
                }
            };
            let inputs = graph[*node].inputs().iter().enumerate();
            for (slot, _) in inputs.filter(|(_, input)| **input == Some(*value)) {
                patch.set_input(*node, slot, Some(operand));
            }
        }
        Ok(())
    }

    /// W\[o, j, …\] of group g reads input g · I/g + j. With the rows and inputs that stay, group
    /// by group: every group has equally many of both.
    fn grouped_columns(
        &self,
        graph: &Graph,
        kernel: ValueId,
        input: Axis,
        output: Axis,
        groups: usize,
    ) -> Result<Tensor, ApplyError> {
        let fault = || no_cut(graph, Axis::new(kernel, 1));
        let whole = constant(graph, kernel).ok_or_else(fault)?;
        let (rows, columns) = match whole.dims() {
            [rows, columns, ..] => (*rows as usize, *columns as usize),
            _ => return Err(fault()),
        };
        let all = |size: usize| (0..size).collect::<Vec<_>>();
        let kept_rows = self.kept(output).map_or_else(|| all(rows), <[_]>::to_vec);
        let kept_inputs = self.kept(input).map_or_else(|| all(columns * groups), <[_]>::to_vec);
        let mut bytes = Vec::new();
        let mut dims = whole.dims().to_vec();
        dims[0] = kept_rows.len() as i64;
        for group in 0..groups {
            let block = rows / groups * group..rows / groups * (group + 1);
            let own: Vec<usize> =
                kept_rows.iter().copied().filter(|row| block.contains(row)).collect();
            let read = columns * group..columns * (group + 1);
            let local: Vec<usize> = kept_inputs
                .iter()
                .filter(|index| read.contains(index))
                .map(|index| index - read.start)
                .collect();
            let part = whole.gather_axis(0, &own).and_then(|part| part.gather_axis(1, &local));
            let part = part.ok_or_else(fault)?;
            dims[1] = local.len() as i64;
            bytes.extend_from_slice(part.bytes().ok_or_else(fault)?);
        }
        Ok(Tensor::from_bytes(whole.elem_type(), dims, bytes.into())?)
    }

    fn rewrite_numbers(&self, graph: &Graph, patch: &mut Patch) -> Result<(), ApplyError> {
        let mut inputs: BTreeMap<(NodeId, usize), Vec<(usize, i64)>> = BTreeMap::new();
        let mut lists: BTreeMap<(NodeId, &'static str), Vec<(usize, i64)>> = BTreeMap::new();
        for rewrite in &self.rewrites {
            if let Rewrite::Picked { node, entry, axis, sliced, elements } = rewrite {
                if is_one_slice(graph, *node) {
                    continue;
                }
                let stays = self.picked(*axis, *sliced, elements);
                let stays = stays.ok_or_else(|| misplaced(graph, *node))?;
                for (slot, number) in [(1, 0), (2, stays.len() as i64), (4, 1)] {
                    inputs.entry((*node, slot)).or_default().push((*entry, number));
                }
                continue;
            }
            let Rewrite::Count { node, place, axis, start, end, per } = rewrite else { continue };
            let kept = self.kept(*axis).unwrap_or_default();
            let count = kept.iter().filter(|index| (*start..*end).contains(*index)).count() / per;
            let count = count as i64;
            match *place {
                Place::Int(name) => patch.set_attribute(*node, name, count),
                Place::Ints(name, entry) => {
                    lists.entry((*node, name)).or_default().push((entry, count));
                }
                Place::Input(slot, entry) => {
                    inputs.entry((*node, slot)).or_default().push((entry, count));
                }
            }
        }
        for ((node, name), entries) in lists {
            let old = graph[node].ints(name).map(<[_]>::to_vec);
            let new = updated(old, &entries).ok_or_else(|| misplaced(graph, node))?;
            patch.set_attribute(node, name, new);
        }
        for ((node, slot), entries) in inputs {
            if let Some(list) = graph[node].input(slot)
                && entries.iter().all(|&(entry, _)| piece(graph, list, entry).is_some())
            {
                self.rewrite_pieces(graph, patch, (node, slot), &entries)?;
                continue;
            }
            let old = graph[node].input(slot).and_then(|value| constant(graph, value));
            let elem_type = old.as_ref().map_or(ElemType::INT64, |tensor| tensor.elem_type());
            let old = old.and_then(|tensor| tensor.to_i64());
            let new = updated(old, &entries).ok_or_else(|| misplaced(graph, node))?;
            let name = match graph[node].input(slot) {
                Some(value) => graph.value(value).name().to_owned(),
                None => format!("{}_split", graph[node].label(graph)),
            };
            let tensor = integers(elem_type, &new).ok_or_else(|| misplaced(graph, node))?;
            let operand = patch.initializer(name, tensor);
            patch.set_input(node, slot, Some(operand));
            if graph[node].is("Split") {
                patch.remove_attribute(node, "num_outputs");
            }
        }
        Ok(())
    }

    /// Of elements picked from `axis`, those that stay on `sliced`, as numbers among those that
    /// stay on `axis`.
    fn picked(&self, axis: Axis, sliced: Axis, elements: &[usize]) -> Option<Vec<i64>> {
        let kept = self.kept(axis)?;
        let all: Vec<usize> = (0..elements.len()).collect();
        let stays = self.kept(sliced).unwrap_or(&all);
        stays.iter().map(|&at| Some(kept.binary_search(elements.get(at)?).ok()? as i64)).collect()
    }

    /// Joins a list of its own for a node, with other constants among what is joined.
    fn rewrite_pieces(
        &self,
        graph: &Graph,
        patch: &mut Patch,
        (node, slot): (NodeId, usize),
        entries: &[(usize, i64)],
    ) -> Result<(), ApplyError> {
        let fault = || misplaced(graph, node);
        let list = graph[node].input(slot).ok_or_else(fault)?;
        let mut parts: BTreeMap<usize, Vec<(usize, i64)>> = BTreeMap::new();
        let mut join = None;
        for &(entry, count) in entries {
            let (concat, part, within) = piece(graph, list, entry).ok_or_else(fault)?;
            join = Some(concat);
            parts.entry(part).or_default().push((within, count));
        }
        let join = join.ok_or_else(fault)?;
        let mut joined = NewNode::like(graph, join);
        for (part, entries) in parts {
            let value = graph[join].input(part).ok_or_else(fault)?;
            let old = constant(graph, value).ok_or_else(fault)?;
            let new = updated(old.to_i64(), &entries).ok_or_else(fault)?;
            let tensor = integers(old.elem_type(), &new).ok_or_else(fault)?;
            let operand = patch.initializer(graph.value(value).name(), tensor);
            joined = joined.with_input(part, operand);
        }
        let joined = patch.node(joined);
        patch.set_input(node, slot, Some(joined));
        Ok(())
    }

    /// An index becomes the number of kept elements before the one it meant.
    fn rewrite_indices(
        &self,
        graph: &Graph,
        patch: &mut Patch,
        node: NodeId,
        axis: Axis,
        gathered: Axis,
    ) -> Result<(), ApplyError> {
        let fault = || misplaced(graph, node);
        let indices = graph[node].input(1).ok_or_else(fault)?;
        let old = constant(graph, indices).ok_or_else(fault)?;
        let numbers = old.to_i64().ok_or_else(fault)?;
        let kept = self.kept(axis).ok_or_else(fault)?;
        let extent = self.axes.iter().find(|plan| plan.place == axis).map_or(0, |plan| plan.size);
        let stays: BTreeSet<usize> = match self.kept(gathered) {
            Some(stays) => stays.iter().copied().collect(),
            None => (0..numbers.len()).collect(),
        };
        let mut new = Vec::with_capacity(stays.len());
        for at in stays {
            let number = numbers.get(at).copied().ok_or_else(fault)?;
            let number = if number < 0 { number + extent as i64 } else { number };
            let rank = kept.binary_search(&(number as usize)).map_err(|_| fault())?;
            new.push(rank as i64);
        }
        let tensor = integers(old.elem_type(), &new).ok_or_else(fault)?;
        let operand = patch.initializer(graph.value(indices).name(), tensor);
        patch.set_input(node, 1, Some(operand));
        Ok(())
    }
}

/// Whether a `Slice` slices a single axis.
fn is_one_slice(graph: &Graph, node: NodeId) -> bool {
    let starts = graph[node].input(1).and_then(|starts| constant(graph, starts));
    starts.is_some_and(|starts| starts.len() == 1)
}

/// Makes a `Slice` read the elements at `indices` along `axis`; one that slices nothing else goes.
fn gather_first(
    graph: &Graph,
    patch: &mut Patch,
    node: NodeId,
    axis: usize,
    indices: &[i64],
) -> Result<(), ApplyError> {
    let data = graph[node].input(0).ok_or_else(|| misplaced(graph, node))?;
    let label = graph[node].label(graph);
    let indices = patch.initializer(format!("{label}_indices"), Tensor::vector(indices));
    let gather = NewNode::new("Gather").named(format!("{label}_gather"));
    let gathered = gather.input(data).input(indices).attribute("axis", axis as i64);
    let gathered = patch.node(gathered);
    match graph[node].output(0).filter(|_| is_one_slice(graph, node)) {
        Some(sliced) => patch.replace(sliced, gathered),
        None => patch.set_input(node, 0, Some(gathered)),
    }
    Ok(())
}

impl ApplyError {
    /// The fault of a pass: its patch or what it left; without either, nothing was changed.
    pub(crate) fn into_fault(self, pass: &'static str) -> Result<String, PassError> {
        match self {
            Self::Patch(source) => Err(PassError::Patch { pass, source }),
            Self::Invalid(violations) => Err(PassError::Invalid { pass, violations }),
            other => Ok(other.to_string()),
        }
    }
}

/// A list with some entries changed; a list that is not there yet has all of them.
fn updated(old: Option<Vec<i64>>, entries: &[(usize, i64)]) -> Option<Vec<i64>> {
    let mut list = old.unwrap_or_else(|| vec![0; entries.len()]);
    for &(entry, count) in entries {
        *list.get_mut(entry)? = count;
    }
    Some(list)
}

fn integers(elem_type: ElemType, values: &[i64]) -> Option<Tensor> {
    match elem_type {
        ElemType::INT64 => Some(Tensor::vector(values)),
        ElemType::INT32 => {
            let narrow: Result<Vec<i32>, _> = values.iter().map(|&v| i32::try_from(v)).collect();
            Some(Tensor::vector(&narrow.ok()?))
        }
        _ => None,
    }
}

fn no_cut(graph: &Graph, place: Axis) -> ApplyError {
    ApplyError::Cut { value: graph.value(place.value).name().to_owned(), axis: place.axis }
}

fn misplaced(graph: &Graph, node: NodeId) -> ApplyError {
    ApplyError::Place { node: graph[node].label(graph).to_owned() }
}
