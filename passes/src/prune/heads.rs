//! Which axes count the heads of an attention.
//!
//! Every head is a product of its own: scores = Q · Kᵀ and context = P · V with the heads along a batch axis of
//! both. So a head axis is a batch axis of a product of two computed values, or an axis that became one by
//! being moved, joined, cut, repeated or worked on element by element. Where a channel axis is split into
//! heads and the places of a head, an analysis follows one of the two: its [`Grain`].
use super::elements::Axis;
use super::propagate::weight_behind;
use super::relations::{Map, Relations};
use lapidary_ir::{Graph, Node, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

/// What one channel of an attention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grain {
    /// A head: all its rows of the queries, keys and values, and its columns of the output projection. Heads
    /// that share keys and values go together.
    #[default]
    Heads,
    /// A place: the same row of every head.
    Places,
}

/// The head axes of a graph, by the attention they belong to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads {
    attentions: FxHashMap<Axis, usize>,
    /// Attentions whose places are followed.
    in_places: FxHashSet<usize>,
    count: usize,
}

impl Heads {
    /// Finds the head axes of `graph`. Types must have been inferred.
    pub(crate) fn of(graph: &Graph, grain: Grain) -> Self {
        let batches: Vec<Axis> =
            graph.nodes().flat_map(|(_, node)| batch_axes(graph, node)).collect();
        let mut heads = Self::default();
        if batches.is_empty() {
            return heads;
        }
        let relations = Relations::of(graph, Self::default());
        let neighbours = neighbours(&relations);
        for batch in batches {
            heads.count += usize::from(heads.reach(batch, heads.count, &neighbours));
        }
        while let Some((whole, attention)) = heads.next_whole(&relations) {
            heads.reach(whole, attention, &neighbours);
        }
        if grain == Grain::Places {
            heads.in_places.extend(0..heads.count);
        }
        heads
    }

    /// Marks everything connected with an axis of an attention; false when it is known already.
    fn reach(
        &mut self,
        start: Axis,
        attention: usize,
        neighbours: &FxHashMap<Axis, Vec<Axis>>,
    ) -> bool {
        if self.attentions.contains_key(&start) {
            return false;
        }
        let mut waiting = vec![start];
        while let Some(axis) = waiting.pop() {
            if self.attentions.contains_key(&axis) {
                continue;
            }
            self.attentions.insert(axis, attention);
            waiting.extend(neighbours.get(&axis).into_iter().flatten());
        }
        true
    }

    /// An axis all of whose parts are batches or heads, with the attention of the innermost.
    fn next_whole(&self, relations: &Relations) -> Option<(Axis, usize)> {
        relations.merged.iter().find_map(|(whole, parts)| {
            let attentions: Option<Vec<usize>> =
                parts.iter().map(|&part| self.attention(part)).collect();
            let innermost = *attentions?.last()?;
            self.attention(*whole).is_none().then_some((*whole, innermost))
        })
    }

    /// The attention whose heads run along the axis.
    pub(crate) fn attention(&self, axis: Axis) -> Option<usize> {
        self.attentions.get(&axis).copied()
    }

    /// Whether the channels of an attention are its heads.
    pub(crate) fn follows(&self, attention: usize) -> bool {
        !self.in_places.contains(&attention)
    }

    /// Follows the places of these attentions from now on.
    pub(crate) fn give_up(&mut self, attentions: impl IntoIterator<Item = usize>) {
        self.in_places.extend(attentions);
    }
}

/// The batch axes of a product of two computed values, of a known extent other than 1.
fn batch_axes(graph: &Graph, node: &Node) -> Vec<Axis> {
    let axes = match (node.domain.as_str(), node.op_type.as_str()) {
        (_, "MatMul") if node.is_standard() => leading_axes(graph, node),
        ("com.microsoft", "FusedMatMul") => leading_axes(graph, node),
        (_, "Einsum") if node.is_standard() => shared_letters(graph, node),
        (_, "Attention") if node.is_standard() => axes_of(graph, node, 4, 1),
        ("com.microsoft", "MultiHeadAttention") => {
            let mut axes = axes_of(graph, node, 4, 1).unwrap_or_default();
            axes.extend(axes_of(graph, node, 5, 2).unwrap_or_default());
            Some(axes)
        }
        _ => None,
    };
    let extent = |axis: &Axis| graph.value(axis.value).shape()?.get(axis.axis)?.value();
    let mut axes = axes.unwrap_or_default();
    axes.retain(|axis| extent(axis).is_some_and(|extent| extent != 1));
    axes
}

/// All axes of the output before the last two.
fn leading_axes(graph: &Graph, node: &Node) -> Option<Vec<Axis>> {
    computed(graph, node)?;
    let y = node.output(0)?;
    let rank = graph.value(y).shape()?.len();
    Some((0..rank.saturating_sub(2)).map(|axis| Axis::new(y, axis)).collect())
}

/// The axes of the output whose letter both operands have.
fn shared_letters(graph: &Graph, node: &Node) -> Option<Vec<Axis>> {
    computed(graph, node)?;
    let equation: String = node.string("equation")?.split_whitespace().collect();
    let (operands, result) = equation.split_once("->")?;
    let (left, right) = operands.split_once(',')?;
    let y = node.output(0)?;
    if equation.contains('.') || graph.value(y).shape()?.len() != result.chars().count() {
        return None;
    }
    let shared = result.chars().enumerate();
    let shared = shared.filter(|&(_, letter)| left.contains(letter) && right.contains(letter));
    Some(shared.map(|(axis, _)| Axis::new(y, axis)).collect())
}

/// The axis of queries, keys and values that have `rank` dimensions.
fn axes_of(graph: &Graph, node: &Node, rank: usize, axis: usize) -> Option<Vec<Axis>> {
    let fits = |value: &ValueId| graph.value(*value).shape().is_some_and(|s| s.len() == rank);
    let operands = (0..3).filter_map(|slot| node.input(slot)).filter(fits);
    Some(operands.map(|value| Axis::new(value, axis)).collect())
}

/// Two operands, none of them a weight.
fn computed(graph: &Graph, node: &Node) -> Option<()> {
    let operands = [node.input(0)?, node.input(1)?];
    let weighs = operands.iter().any(|&operand| weight_behind(graph, operand).is_some());
    (node.inputs().len() == 2 && !weighs).then_some(())
}

/// Axes that are the same axis to an attention, and the parts an axis is merged of: (batch, heads) or the heads of
/// the keys and how many queries share each.
fn neighbours(relations: &Relations) -> FxHashMap<Axis, Vec<Axis>> {
    let mut neighbours: FxHashMap<Axis, Vec<Axis>> = FxHashMap::default();
    for tie in &relations.ties {
        if let Map::Digits { total, left, right } = &tie.map
            && [left, right] != [&(1, *total); 2]
        {
            continue;
        }
        neighbours.entry(tie.left).or_default().push(tie.right);
        neighbours.entry(tie.right).or_default().push(tie.left);
    }
    for (whole, parts) in &relations.merged {
        neighbours.entry(*whole).or_default().extend(parts);
    }
    neighbours
}
