//! Transpositions that meet across other operators.
use super::permuted::{Permuted, permuted};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Operand, Patch, ValueId};
use rustc_hash::FxHashMap;

crate::pass! {
    /// Moves `Transpose`s through regions of other operators where that leaves fewer of them.
    ///
    /// A region is a set of operators that work as well with their axes in another order: those
    /// that work element by element, and those with axes that can be renamed. The `Transpose`s
    /// that enter it and those that leave it are counted before and after; the region shrinks
    /// while that costs nothing, and is rewritten when the count goes down.
    ///
    /// ```onnx
    /// g (float[1,2,3,4] x) => (float[1,2,3,4] y)
    /// <float[2] bias = {1, 2}>
    /// {
    ///     a = Transpose<perm = [0, 2, 3, 1]>(x)
    ///     b = Add(a, bias)
    ///     c = Relu(b)
    ///     y = Transpose<perm = [0, 3, 1, 2]>(c)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,3,4] x) => (float[1,2,3,4] y)
    /// <float[1,2,1,1] bias_1 = {1, 2}>
    /// {
    ///     y_add = Add(x, bias_1)
    ///     y = Relu(y_add)
    /// }
    /// ```
    pub struct EliminateTransposes
    name: "eliminate-transposes",
    accuracy: Rounding,
    emits: ["Transpose"],
}

/// Operators in one region.
const MAX_REGION: usize = 48;

/// Readers of one value that are looked at.
const MAX_READERS: usize = 64;

impl Rule for EliminateTransposes {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Transpose"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let perm = permutation(graph, root).or_skip("the number of axes is unknown")?;
        if perm.iter().copied().eq(0..perm.len()) {
            return Err(Skip::NoMatch);
        }
        let mut tried = false;
        // Either the readers get what the permutation was applied to, or it is applied before.
        let (above, below) = (graph[root].input(0).or_no_match()?, graph[root].output(0));
        for (perm, value) in [(perm.clone(), below.or_no_match()?), (inverse(&perm), above)] {
            let mut region =
                Region { graph, perm: &perm, order: Vec::new(), members: FxHashMap::default() };
            region.grow(value);
            tried |= !region.order.is_empty();
            region.shrink();
            if region.cost() < 0 {
                return region.write(patch).or_skip("two graph outputs would be one value");
            }
        }
        require(!tried, "as many transposes would be left")?;
        Err(Skip::NoMatch)
    }
}

/// Operators that will read their operands without the permutation.
struct Region<'a> {
    graph: &'a Graph,
    perm: &'a [usize],
    /// The members in the order they were found.
    order: Vec<NodeId>,
    members: FxHashMap<NodeId, Permuted>,
}

impl Region<'_> {
    /// Adds all operators that can be reached from `value` through operators that fit.
    fn grow(&mut self, value: ValueId) {
        let graph = self.graph;
        let mut waiting = vec![value];
        let mut at = 0;
        while let Some(&value) = waiting.get(at) {
            at += 1;
            let near = graph.producer(value).into_iter().chain(graph.consumers(value));
            for id in near.take(MAX_READERS) {
                if self.order.len() == MAX_REGION {
                    return;
                }
                if self.members.contains_key(&id) {
                    continue;
                }
                let few = |value: &ValueId| graph.value(*value).uses().len() <= MAX_READERS;
                let Some(member) = permuted(graph, id, self.perm) else { continue };
                let links = links(graph, id, &member);
                if !links.contains(&value) || !links.iter().all(few) {
                    continue;
                }
                waiting.extend(links.into_iter().filter(|link| *link != value));
                self.order.push(id);
                self.members.insert(id, member);
            }
        }
    }

    /// Leaves out what brings nothing, one operator after the other.
    fn shrink(&mut self) {
        let mut at = self.order.len();
        while at > 0 {
            at -= 1;
            let id = self.order[at];
            let links = links(self.graph, id, &self.members[&id]);
            let cost =
                |region: &Self| links.iter().map(|&link| region.value_cost(link)).sum::<i64>();
            let with = cost(self);
            let Some(member) = self.members.remove(&id) else { continue };
            if cost(self) > with {
                self.members.insert(id, member);
            } else {
                self.order.remove(at);
                // Its neighbours may be superfluous now.
                at = self.order.len();
            }
        }
    }

    /// How many more `Transpose`s there will be.
    fn cost(&self) -> i64 {
        let mut values: Vec<ValueId> =
            self.order.iter().flat_map(|id| links(self.graph, *id, &self.members[id])).collect();
        values.sort_unstable();
        values.dedup();
        values.into_iter().map(|value| self.value_cost(value)).sum()
    }

    /// How many more `Transpose`s there will be right behind and before a value.
    fn value_cost(&self, value: ValueId) -> i64 {
        let graph = self.graph;
        let made_inside = self.makes(value);
        let inside = |reader: &NodeId| self.reads(*reader, value);
        let outside: Vec<NodeId> = graph.consumers(value).filter(|id| !inside(id)).collect();
        if made_inside {
            let transposes = |id: &NodeId| graph[*id].is("Transpose");
            let others = outside.iter().any(|id| !transposes(id)) || graph.value(value).is_output();
            let gone = outside.iter().filter(|&&id| self.undoes(id)).count();
            return i64::from(others) - gone as i64;
        }
        if graph.consumers(value).all(|id| !inside(&id)) {
            return 0;
        }
        let stays = !outside.is_empty() || graph.value(value).is_output();
        match graph.producer(value).map(|producer| (producer, permutation(graph, producer))) {
            Some((_, Some(perm))) if perm == self.perm => i64::from(stays) - 1,
            Some((_, Some(perm))) if perm.len() == self.perm.len() => i64::from(stays),
            _ => 1,
        }
    }

    fn makes(&self, value: ValueId) -> bool {
        let Some((producer, slot)) = self.graph.value(value).producer() else { return false };
        self.members.get(&producer).is_some_and(|member| member.outputs.contains(&slot))
    }

    /// Whether `id` is a member that reads `value` in the other order.
    fn reads(&self, id: NodeId, value: ValueId) -> bool {
        let slots = self.members.get(&id).map_or(&[][..], |member| &member.inputs);
        slots.iter().any(|&slot| self.graph[id].input(slot) == Some(value))
    }

    /// Whether a `Transpose` puts the axes back in their order.
    fn undoes(&self, id: NodeId) -> bool {
        let composed = self.composed(id);
        composed.is_some_and(|composed| composed.into_iter().eq(0..self.perm.len()))
    }

    /// The permutation of a `Transpose` behind the region, seen from inside.
    fn composed(&self, id: NodeId) -> Option<Vec<usize>> {
        let perm = permutation(self.graph, id)?;
        perm.into_iter().map(|axis| self.perm.get(axis).copied()).collect()
    }

    /// Writes down all members anew.
    fn write(&self, patch: &mut Patch) -> Option<()> {
        let graph = self.graph;
        let mut made: FxHashMap<ValueId, Operand> = FxHashMap::default();
        let mut pending = self.order.clone();
        while !pending.is_empty() {
            let at = pending.iter().position(|id| self.is_ready(*id, &made))?;
            let id = pending.remove(at);
            let member = &self.members[&id];
            let mut node = member.clone().node(graph, id, |hint, tensor| {
                patch.initializer(graph.value(hint).name(), tensor)
            });
            for &slot in &member.inputs {
                let value = graph[id].input(slot)?;
                let operand = made.entry(value).or_insert_with(|| self.entering(value, patch));
                node = node.with_input(slot, *operand);
            }
            let first = patch.node(node);
            for (slot, value) in graph[id].outputs().iter().enumerate() {
                let (Some(value), operand) = (*value, patch.output(first, slot)) else { continue };
                if member.outputs.contains(&slot) {
                    made.insert(value, operand);
                } else {
                    patch.replace(value, operand);
                }
            }
        }
        for id in &self.order {
            let outputs = &self.members[id].outputs;
            for value in outputs.iter().filter_map(|&slot| graph[*id].output(slot)) {
                self.leaving(value, *made.get(&value)?, patch)?;
            }
        }
        Some(())
    }

    /// Whether everything that member `id` reads from inside is written.
    fn is_ready(&self, id: NodeId, made: &FxHashMap<ValueId, Operand>) -> bool {
        let inputs = self.members[&id].inputs.iter();
        let mut inputs = inputs.filter_map(|&slot| self.graph[id].input(slot));
        inputs.all(|value| !self.makes(value) || made.contains_key(&value))
    }

    /// A value from outside without the permutation.
    fn entering(&self, value: ValueId, patch: &mut Patch) -> Operand {
        let graph = self.graph;
        let inverse = inverse(self.perm);
        let before = graph.producer(value).and_then(|id| Some((id, permutation(graph, id)?)));
        let (from, perm) = match before {
            Some((id, perm)) if perm.len() == inverse.len() => {
                let from = graph[id].input(0).unwrap_or(value);
                (from, inverse.into_iter().map(|axis| perm[axis]).collect::<Vec<_>>())
            }
            _ => (value, inverse),
        };
        if perm.iter().copied().eq(0..perm.len()) {
            return from.into();
        }
        patch.node(transpose(&perm).input(from).output_name(graph.value(value).name()))
    }

    /// Gives those outside that read `value` what they read before.
    fn leaving(&self, value: ValueId, made: Operand, patch: &mut Patch) -> Option<()> {
        let graph = self.graph;
        let mut undone = 0;
        let mut others = graph.value(value).is_output();
        for id in graph.consumers(value).filter(|&id| !self.reads(id, value)) {
            let Some(composed) = self.composed(id) else {
                others = true;
                continue;
            };
            let y = graph[id].output(0)?;
            if composed.iter().copied().eq(0..composed.len()) {
                undone += usize::from(graph.value(y).is_output());
                patch.replace(y, made);
            } else {
                let node = transpose(&composed).named(graph[id].name.clone()).input(made);
                let node = patch.node(node);
                patch.replace(y, node);
            }
        }
        if others {
            let node = patch.node(transpose(self.perm).input(made));
            patch.replace(value, node);
        }
        (undone <= 1).then_some(())
    }
}

/// The values a member reads and makes in the other order.
fn links(graph: &Graph, id: NodeId, member: &Permuted) -> Vec<ValueId> {
    let inputs = member.inputs.iter().filter_map(|&slot| graph[id].input(slot));
    let outputs = member.outputs.iter().filter_map(|&slot| graph[id].output(slot));
    let mut links: Vec<ValueId> = inputs.chain(outputs).collect();
    links.sort_unstable();
    links.dedup();
    links
}

fn transpose(perm: &[usize]) -> NewNode {
    let perm: Vec<i64> = perm.iter().map(|&axis| axis as i64).collect();
    NewNode::new("Transpose").attribute("perm", perm)
}

/// The permutation that undoes `perm`, which has every axis once.
fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    for (axis, &to) in perm.iter().enumerate() {
        inverse[to] = axis;
    }
    inverse
}

/// The permutation of a `Transpose`, if it is one.
fn permutation(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    if !graph[id].is("Transpose") {
        return None;
    }
    let Some(perm) = graph[id].ints("perm") else {
        return Some((0..graph.ty(graph[id].input(0)?).rank()?).rev().collect());
    };
    let axes: Option<Vec<usize>> = perm.iter().map(|&axis| usize::try_from(axis).ok()).collect();
    axes.filter(|axes| (0..axes.len()).all(|axis| axes.contains(&axis)))
}

#[cfg(test)]
mod tests {
    use super::EliminateTransposes;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn renames_axes_on_the_way() {
        assert_snapshot!(rewrite(&EliminateTransposes {}, "
            g (float[1,2,4,4] x, float[1,2,4,4] z) => (float[1,5,4,5] y, float[1,2] m)
            <int64[8] pads = {0, 1, 0, 0, 0, 0, 0, 1}, int64[1] zero = {0}, int64[1] four = {4}, int64[1] two = {2}, int64[2] mid = {1, 2}>
            {
                a = Transpose<perm = [0, 2, 3, 1]>(x)
                b = Transpose<perm = [0, 2, 3, 1]>(z)
                c = Concat<axis = 3>(a, b)
                d = Softmax<axis = 2>(c)
                e = Slice(d, zero, four, two)
                f = Pad(e, pads)
                m = ReduceMean<keepdims = 0>(a, mid)
                y = Transpose<perm = [0, 1, 2, 3]>(f)
            }
        "), @r"
        eliminate-transposes: 1 rewrites
        skipped 1: as many transposes would be left
        g (float[1,2,4,4] x, float[1,2,4,4] z) => (float[1,5,4,5] y, float[1,2] m)
        <int64[1] zero = {0}, int64[1] four = {4}, int64[2] mid_1 = {2, 3}, int64[1] two_1 = {3},
            int64[8] pads_1 = {0, 0, 1, 0, 0, 1, 0, 0}>
        {
            m = ReduceMean <keepdims = 0> (x, mid_1)
            y_concat = Concat <axis = 1> (x, z)
            y_softmax = Softmax <axis = 3> (y_concat)
            y_slice = Slice(y_softmax, zero, four, two_1)
            y_pad = Pad(y_slice, pads_1)
            y = Transpose <perm = [0, 2, 3, 1]> (y_pad)
        }
        ");
    }

    #[test]
    fn transposes_before_a_split_and_not_every_part() {
        assert_snapshot!(rewrite(&EliminateTransposes {}, "
            g (float[2,3,6,4] x) => (float[2,2,3,4] q, float[2,2,4,3] k, float[2,2,3,4] v)
            <int64[3] sizes = {2, 2, 2}>
            {
                a, b, c = Split<axis = 2>(x, sizes)
                q = Transpose<perm = [0, 2, 1, 3]>(a)
                k = Transpose<perm = [0, 2, 3, 1]>(b)
                v = Transpose<perm = [0, 2, 1, 3]>(c)
            }
        "), @r"
        eliminate-transposes: 1 rewrites
        skipped 2: as many transposes would be left
        g (float[2,3,6,4] x) => (float[2,2,3,4] q, float[2,2,4,3] k, float[2,2,3,4] v)
        <int64[3] sizes = {2, 2, 2}>
        {
            x_1 = Transpose <perm = [0, 2, 1, 3]> (x)
            q, v_split_1, v = Split <axis = 1> (x_1, sizes)
            k = Transpose <perm = [0, 1, 3, 2]> (v_split_1)
        }
        ");
    }

    #[test]
    fn goes_through_resizing_and_dequantization() {
        assert_snapshot!(rewrite(&EliminateTransposes {}, "
            g (uint8[1,2,2,2] x) => (float[1,2,4,4] y, float[1,4,4] z)
            <float[2] scale = {0.5, 0.25}, float[4] scales = {1, 2, 2, 1}, int64 one = {1}>
            {
                a = Transpose<perm = [0, 2, 3, 1]>(x)
                b = DequantizeLinear<axis = -1>(a, scale)
                c = Resize<mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\">(b, , scales)
                y = Transpose<perm = [0, 3, 1, 2]>(c)
                z = Gather<axis = 3>(c, one)
            }
        "), @r#"
        eliminate-transposes: 1 rewrites
        g (uint8[1,2,2,2] x) => (float[1,2,4,4] y, float[1,4,4] z)
        <float[2] scale = {0.5, 0.25}, int64 one = {1}, float[4] scales_1 = {1, 1, 2, 2}>
        {
            y_dequantizelinear = DequantizeLinear <axis = 1> (x, scale)
            y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (y_dequantizelinear, , scales_1)
            z = Gather <axis = 1> (y, one)
        }
        "#);
    }

    #[test]
    fn keeps_a_transpose_behind_the_region_for_other_readers() {
        assert_snapshot!(rewrite(&EliminateTransposes {}, "
            g (float[2,3] x, float[2,3] z, float[2,2] w) => (float[3,2] y, float[3,2] v)
            {
                a = Transpose(x)
                b = Transpose(z)
                y = Add(a, b)
                v = MatMul(y, w)
            }
        "), @r"
        eliminate-transposes: 1 rewrites
        skipped 1: as many transposes would be left
        g (float[2,3] x, float[2,3] z, float[2,2] w) => (float[3,2] y, float[3,2] v)
        {
            y_add = Add(x, z)
            y = Transpose <perm = [1, 0]> (y_add)
            v = MatMul(y, w)
        }
        ");
    }

    #[test]
    fn keeps_what_has_no_counterpart() {
        assert_snapshot!(rewrite(&EliminateTransposes {}, "
            g (float[2,3] x, float[2] w) => (float[3,2] y, float[3] v)
            {
                a = Transpose(x)
                y = Relu(a)
                b = Abs(a)
                v = MatMul(b, w)
            }
        "), @r"
        eliminate-transposes: 0 rewrites
        skipped 1: as many transposes would be left
        unchanged
        ");
    }

    #[test]
    fn keeps_a_transpose_of_unknown_rank_and_two_outputs_of_one_value() {
        assert_snapshot!(rewrite_unexecuted(&EliminateTransposes {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[2,3] x) => (float y, float[2,3] z, float[2,3] w)
            {
                mystery = custom.Mystery(x)
                y = Transpose(mystery)
                a = Transpose(x)
                b = Relu(a)
                z = Transpose(b)
                w = Transpose<perm = [1, 0]>(b)
            }
        "#), @r"
        eliminate-transposes: 0 rewrites
        skipped 1: the number of axes is unknown
        skipped 3: two graph outputs would be one value
        unchanged
        ");
    }
}
