//! What a cut changes, by name: constants along axes, and integers of nodes.
use super::elements::Axis;
use super::plan::{AxisPlan, ChannelPlan};
use super::propagate::constant;
use super::relations::Rewrite;
use lapidary_ir::{AttributeValue, Graph, NodeId, ValueId};
use std::collections::BTreeSet;

/// An axis of an initializer that becomes shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutWeight {
    /// The name of the initializer.
    pub name: String,
    /// The axis.
    pub axis: usize,
    /// Its extent before.
    pub size: usize,
    /// What stays of it.
    pub keep: KeptElements,
}

/// The elements of an axis that stay, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptElements {
    /// The same everywhere.
    Everywhere(Vec<usize>),
    /// Of the columns of a grouped convolution's kernel, by group: those that the rows of the group keep.
    ByGroup(Vec<Vec<usize>>),
}

/// Integers of a node that a cut changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNumbers {
    /// The node.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The name of the attribute, or `input N`.
    pub place: String,
    /// What stood there.
    pub before: Vec<i64>,
    /// What stands there afterwards.
    pub after: Vec<i64>,
}

impl ChannelPlan {
    /// What is cut of the initializers of the graph the plan was made for, by axis in order of the graph.
    #[must_use]
    pub fn cut_weights(&self, graph: &Graph) -> Vec<CutWeight> {
        let named = |value: ValueId| {
            let value = graph.value(value);
            value.initializer().map(|_| value.name().to_owned())
        };
        let cut = |axis: &AxisPlan| {
            Some(CutWeight {
                name: named(axis.place.value)?,
                axis: axis.place.axis,
                size: axis.size,
                keep: KeptElements::Everywhere(axis.keep.clone()),
            })
        };
        let mut cuts: Vec<CutWeight> = self.axes.iter().filter_map(cut).collect();
        for rewrite in &self.rewrites {
            if let Rewrite::GroupedColumns { node, kernel, input, groups, .. } = rewrite
                && let Some(kernel) = graph[*node].input(*kernel)
                && let Some(name) = named(kernel)
                && let Some((size, keep)) = self.columns(graph, kernel, *input, *groups)
            {
                cuts.retain(|cut| cut.name != name || cut.axis != 1);
                cuts.push(CutWeight { name, axis: 1, size, keep });
            }
        }
        cuts
    }

    /// The columns of a grouped kernel that stay, group by group unless they are the same in all.
    fn columns(
        &self,
        graph: &Graph,
        kernel: ValueId,
        input: Axis,
        groups: usize,
    ) -> Option<(usize, KeptElements)> {
        let kept = self.kept(input)?;
        let size = usize::try_from(*constant(graph, kernel)?.dims().get(1)?).ok()?;
        let local = |group: usize| {
            let block = group * size..(group + 1) * size;
            let own = kept.iter().filter(move |index| block.contains(index));
            own.map(|index| index - group * size).collect::<Vec<usize>>()
        };
        let all: Vec<Vec<usize>> = (0..groups).map(local).collect();
        let same = all.windows(2).all(|pair| pair[0] == pair[1]);
        let keep = match all.first() {
            Some(first) if same => KeptElements::Everywhere(first.clone()),
            _ => KeptElements::ByGroup(all),
        };
        Some((size, keep))
    }
}

/// The integers of nodes, in attributes and constant inputs, that are others in a graph after a cut.
#[must_use]
pub fn node_numbers(before: &Graph, after: &Graph) -> Vec<NodeNumbers> {
    let mut changed = Vec::new();
    for id in before.topological_order() {
        let (old, new) = (numbers(before, id), numbers(after, id));
        let places: BTreeSet<&String> = old.iter().chain(&new).map(|(place, _)| place).collect();
        for place in places {
            let of = |list: &[(String, Vec<i64>)]| {
                let found = list.iter().find(|(known, _)| known == place);
                found.map(|(_, numbers)| numbers.clone()).unwrap_or_default()
            };
            let (was, is) = (of(&old), of(&new));
            if was != is {
                changed.push(NodeNumbers {
                    node: before[id].label(before).to_owned(),
                    op_type: before[id].op_type.clone(),
                    place: place.clone(),
                    before: was,
                    after: is,
                });
            }
        }
    }
    changed
}

/// Every integer of a node by its place; none of a node that is gone.
fn numbers(graph: &Graph, id: NodeId) -> Vec<(String, Vec<i64>)> {
    let Some(node) = graph.get_node(id) else { return Vec::new() };
    let attribute = |value: &AttributeValue| match value {
        AttributeValue::Int(number) => Some(vec![*number]),
        AttributeValue::Ints(numbers) => Some(numbers.clone()),
        _ => None,
    };
    let attributes = node.attributes().iter();
    let attributes =
        attributes.filter_map(|known| Some((known.name.clone(), attribute(&known.value)?)));
    let input = |(slot, value): (usize, &Option<ValueId>)| {
        let tensor = constant(graph, (*value)?)?;
        // Integers that are weights are no numbers of the node.
        (tensor.rank() < 2).then_some(())?;
        let wide = matches!(tensor.elem_type().bits(), Some(32 | 64));
        Some((format!("input {slot}"), tensor.to_i64().filter(|_| wide)?))
    };
    attributes.chain(node.inputs().iter().enumerate().filter_map(input)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Analysis;
    use crate::prune::testing::grouped;
    use crate::testing::model;

    #[test]
    fn columns_of_a_grouped_kernel_are_kept_by_group() {
        let model = grouped();
        let analysis = Analysis::of(&model.graph);
        let cuts = |removed: &[usize]| {
            let plan = analysis.plan_removing(&[(0, removed.to_vec())]).expect("they can go");
            plan.cut_weights(&model.graph)
        };
        let found = cuts(&[1, 5]);
        let names: Vec<(&str, usize, usize)> =
            found.iter().map(|cut| (cut.name.as_str(), cut.axis, cut.size)).collect();
        assert_eq!(names, [("w", 0, 6), ("u", 1, 3)]);
        assert_eq!(found[0].keep, KeptElements::Everywhere(vec![0, 2, 3, 4]));
        assert_eq!(found[1].keep, KeptElements::ByGroup(vec![vec![0, 2], vec![0, 1]]));
        assert_eq!(cuts(&[1, 4])[1].keep, KeptElements::Everywhere(vec![0, 2]));
    }

    #[test]
    fn numbers_that_count_channels_are_named() {
        let model = model(
            "g (float[1,2,4,4] x) => (float[1,1,8] y)
            <float[6,2,1,1] w, float[6,1,3,3] u, int64[3] shape = {1, 6, 16}, float[16,8] m, int64[1] axes = {1}>
            {
                a = Conv(x, w)
                b = Conv<group = 6, pads = [1, 1, 1, 1]>(a, u)
                d = Reshape(b, shape)
                e = MatMul(d, m)
                y = ReduceSum<keepdims = 1>(e, axes)
            }",
        );
        let analysis = Analysis::of(&model.graph);
        let group = analysis.groups.iter().position(|group| group.removable.len() == 6);
        let plan = analysis.plan_removing(&[(group.expect("it is free"), vec![0, 3])]);
        let mut cut = model.clone();
        plan.expect("they can go").apply(&mut cut).expect("it is cut");
        let found = node_numbers(&model.graph, &cut.graph);
        let told: Vec<(&str, &str, &[i64])> = found
            .iter()
            .map(|changed| (changed.node.as_str(), changed.place.as_str(), &changed.after[..]))
            .collect();
        assert_eq!(told, [("b", "group", &[4][..]), ("d", "input 1", &[1, 4, 16])]);
    }
}
