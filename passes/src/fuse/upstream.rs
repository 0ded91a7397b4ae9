//! The way of a constant factor up a graph, to constants that can absorb it.
use super::affine::{self, Affine};
use super::linear::{Linear, constant, update};
use super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

/// Nodes a factor goes up at most.
const MAX_DEPTH: usize = 8;

/// What a value is to be multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Factor {
    /// Every element by the same number.
    All(f64),
    /// Each column, that is each place along the last axis, by a number of its own.
    Columns(Vec<f64>),
}

impl Factor {
    /// The number for element `index` of a tensor with these columns.
    fn at(&self, index: usize) -> f64 {
        match self {
            Self::All(number) => *number,
            Self::Columns(numbers) => numbers[index % numbers.len()],
        }
    }
}

/// The way up a graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upstream<'a> {
    pub(super) graph: &'a Graph,
}

impl Upstream<'_> {
    /// Writes into `patch` what multiplies `value` by `factor` without another node.
    pub(super) fn absorb(
        &self,
        value: ValueId,
        factor: &Factor,
        patch: &mut Patch,
        depth: usize,
    ) -> Result<(), Skip> {
        let graph = self.graph;
        let (id, slot) = graph.value(value).producer().or_no_match()?;
        let node = &graph[id];
        require(graph.only_use(value).is_some(), "another node reads what is scaled")?;
        if depth == MAX_DEPTH || !node.is_standard() {
            return Err(Skip::NoMatch);
        }
        let input = |slot: usize| node.input(slot).or_no_match();
        let next = |value, factor: &Factor, patch: &mut Patch| {
            self.absorb(value, factor, patch, depth + 1)
        };
        match node.op_type.as_str() {
            op_type @ ("Conv" | "ConvTranspose" | "Gemm") => self.scale(id, op_type, factor, patch),
            "MatMul" if graph.constant_input(id, 1).is_some() => {
                self.scale(id, "MatMul", factor, patch)
            }
            "MatMul" => self.either(id, factor, patch, depth),
            "Reshape" | "Transpose" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let x = input(0)?;
                require(self.keeps(x, value, id, factor), "columns are rearranged")?;
                next(x, factor, patch)
            }
            "Split" => next(input(0)?, &self.split(id, slot, factor)?, patch),
            "Add" | "Sub" => next(self.scale_constant(id, factor, patch)?, factor, patch),
            "Gather" if matches!(factor, Factor::All(_)) => self.scale_table(id, factor, patch),
            "Mul" => self.scale_constant(id, factor, patch).map(drop),
            _ => Err(Skip::NoMatch),
        }
    }

    /// Scales one of the two factors of a product; its columns are those of the second.
    fn either(
        &self,
        id: NodeId,
        factor: &Factor,
        patch: &mut Patch,
        depth: usize,
    ) -> Result<(), Skip> {
        let node = &self.graph[id];
        let second = node.input(1).or_no_match()?;
        let is_matrix = self.graph.ty(second).rank().is_some_and(|rank| rank >= 2);
        let slots: &[usize] = match factor {
            Factor::All(_) => &[0, 1],
            Factor::Columns(_) if is_matrix => &[1],
            Factor::Columns(_) => &[],
        };
        let mut answer = Err(Skip::NoMatch);
        for &slot in slots {
            let before = patch.clone();
            answer = self.absorb(node.input(slot).or_no_match()?, factor, patch, depth + 1);
            if answer.is_ok() {
                break;
            }
            *patch = before;
        }
        answer
    }

    /// Scales the weights of the linear operator `id`.
    fn scale(
        &self,
        id: NodeId,
        op_type: &str,
        factor: &Factor,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        let linear = Linear::of(self.graph, id, op_type)?;
        let outputs = linear.outputs();
        let fits = match factor {
            Factor::All(_) => true,
            Factor::Columns(numbers) => {
                outputs.axis + 1 == outputs.rank && outputs.count == numbers.len()
            }
        };
        require(fits, "columns are no output channels")?;
        let scale = (0..outputs.count).map(|channel| factor.at(channel)).collect();
        let y = self.graph[id].output(0).or_no_match()?;
        linear.fold_output(y, &Affine::scale(scale), patch)
    }

    /// Scales the constant operand of `id`; the other one.
    fn scale_constant(
        &self,
        id: NodeId,
        factor: &Factor,
        patch: &mut Patch,
    ) -> Result<ValueId, Skip> {
        let graph = self.graph;
        let slot = affine::constant_slot(graph, id)?.or_no_match()?;
        let operand = constant(graph, id, slot).or_no_match()?;
        if let Factor::Columns(numbers) = factor {
            let columns = operand.tensor.dims().last() == Some(&(numbers.len() as i64));
            require(columns, "a constant is the same for all columns")?;
        }
        let scaled = weights::scale(&operand.tensor, |index| factor.at(index))?;
        let scaled = update(graph, patch, &operand, scaled)?;
        patch.set_input(id, slot, Some(scaled));
        graph[id].input(1 - slot).or_no_match()
    }

    /// Scales the constant that the `Gather` at `id` picks from.
    fn scale_table(&self, id: NodeId, factor: &Factor, patch: &mut Patch) -> Result<(), Skip> {
        let table = constant(self.graph, id, 0).or_no_match()?;
        let scaled = weights::scale(&table.tensor, |index| factor.at(index))?;
        let scaled = update(self.graph, patch, &table, scaled)?;
        patch.set_input(id, 0, Some(scaled));
        Ok(())
    }

    /// Whether node `id`, which rearranges `x` into `value`, leaves columns columns.
    fn keeps(&self, x: ValueId, value: ValueId, id: NodeId, factor: &Factor) -> bool {
        let Factor::Columns(numbers) = factor else { return true };
        let count = Some(numbers.len() as i64);
        let node = &self.graph[id];
        let keeps_order = match node.ints("perm") {
            Some(perm) => perm.last() == Some(&(perm.len() as i64 - 1)),
            None => node.is("Reshape"),
        };
        let last = |value| self.graph.value(value).shape()?.last()?.value();
        keeps_order && last(x) == count && last(value) == count
    }

    /// What the input of the `Split` at `id` is multiplied by when output `slot` alone is.
    fn split(&self, id: NodeId, slot: usize, factor: &Factor) -> Result<Factor, Skip> {
        let node = &self.graph[id];
        let shape = |value| self.graph.value(value).shape().or_skip("shapes are not known");
        let input = shape(node.input(0).or_no_match()?)?;
        let (rank, axis) = (input.len() as i64, node.int("axis").unwrap_or(0));
        require(axis == rank - 1 || axis == -1, "Split takes no columns")?;
        let mut numbers = Vec::new();
        for (index, output) in node.outputs().iter().enumerate() {
            let width = shape(output.or_no_match()?)?.last().and_then(|dim| dim.value());
            let width = width.or_skip("shapes are not known")? as usize;
            numbers.extend(
                (0..width).map(|column| if index == slot { factor.at(column) } else { 1.0 }),
            );
        }
        let columns = input.last().and_then(|dim| dim.value());
        require(columns == Some(numbers.len() as i64), "shapes are not known")?;
        Ok(Factor::Columns(numbers))
    }
}
