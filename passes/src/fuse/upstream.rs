//! The way of a constant factor up a graph, to constants that can absorb it.
use super::affine::{self, Affine};
use super::linear::{Linear, constant, update};
use super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

/// Nodes a factor goes up at most.
const MAX_DEPTH: usize = 8;

/// The elements of a value that have to be scaled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// Every one.
    All,
    /// Those in some columns: the last axis from `start` to `end`, of `count`.
    Columns { start: usize, end: usize, count: usize },
}

impl Part {
    /// The factor for column `index`.
    fn factor(self, index: usize, factor: f64) -> f64 {
        match self {
            Self::Columns { start, end, count } if !(start..end).contains(&(index % count)) => 1.0,
            _ => factor,
        }
    }
}

/// A factor on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upstream<'a> {
    pub(super) graph: &'a Graph,
    pub(super) factor: f64,
}

impl Upstream<'_> {
    /// Writes into `patch` what multiplies `part` of `value` by the factor without another node.
    pub(super) fn absorb(
        &self,
        value: ValueId,
        part: Part,
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
        let next = |value, part, patch: &mut Patch| self.absorb(value, part, patch, depth + 1);
        match node.op_type.as_str() {
            op_type @ ("Conv" | "ConvTranspose" | "Gemm") => self.scale(id, op_type, part, patch),
            "MatMul" if graph.constant_input(id, 1).is_some() => {
                self.scale(id, "MatMul", part, patch)
            }
            "MatMul" => self.either(id, part, patch, depth),
            "Reshape" | "Transpose" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let x = input(0)?;
                require(self.keeps(x, value, id, part), "columns are rearranged")?;
                next(x, part, patch)
            }
            "Split" => next(input(0)?, self.split(id, slot, part)?, patch),
            "Add" | "Sub" => next(self.scale_constant(id, part, patch)?, part, patch),
            "Mul" => self.scale_constant(id, part, patch).map(drop),
            _ => Err(Skip::NoMatch),
        }
    }

    /// Scales one of the two factors of a product.
    fn either(&self, id: NodeId, part: Part, patch: &mut Patch, depth: usize) -> Result<(), Skip> {
        let node = &self.graph[id];
        let slots: &[usize] = if matches!(part, Part::All) { &[0, 1] } else { &[1] };
        let mut answer = Err(Skip::NoMatch);
        for &slot in slots {
            let before = patch.clone();
            answer = self.absorb(node.input(slot).or_no_match()?, part, patch, depth + 1);
            if answer.is_ok() {
                break;
            }
            *patch = before;
        }
        answer
    }

    /// Scales the weights of the linear operator `id`.
    fn scale(&self, id: NodeId, op_type: &str, part: Part, patch: &mut Patch) -> Result<(), Skip> {
        let linear = Linear::of(self.graph, id, op_type)?;
        let outputs = linear.outputs();
        let fits = match part {
            Part::All => true,
            Part::Columns { count, .. } => {
                outputs.axis + 1 == outputs.rank && outputs.count == count
            }
        };
        require(fits, "columns are no output channels")?;
        let scale = (0..outputs.count).map(|channel| part.factor(channel, self.factor)).collect();
        let y = self.graph[id].output(0).or_no_match()?;
        linear.fold_output(y, &Affine::scale(scale), patch)
    }

    /// Scales the constant operand of `id`; the other one.
    fn scale_constant(&self, id: NodeId, part: Part, patch: &mut Patch) -> Result<ValueId, Skip> {
        let graph = self.graph;
        let slot = affine::constant_slot(graph, id)?.or_no_match()?;
        let operand = constant(graph, id, slot).or_no_match()?;
        if let Part::Columns { count, .. } = part {
            let columns = operand.tensor.dims().last() == Some(&(count as i64));
            require(columns, "a constant is the same for all columns")?;
        }
        let scaled = weights::scale(&operand.tensor, |index| part.factor(index, self.factor))?;
        let scaled = update(graph, patch, &operand, scaled)?;
        patch.set_input(id, slot, Some(scaled));
        graph[id].input(1 - slot).or_no_match()
    }

    /// Whether node `id`, which rearranges `x` into `value`, leaves the columns of `part` columns.
    fn keeps(&self, x: ValueId, value: ValueId, id: NodeId, part: Part) -> bool {
        let Part::Columns { count, .. } = part else { return true };
        let node = &self.graph[id];
        let keeps_order = match node.ints("perm") {
            Some(perm) => perm.last() == Some(&(perm.len() as i64 - 1)),
            None => node.is("Reshape"),
        };
        let last = |value| self.graph.value(value).shape()?.last()?.value();
        keeps_order && last(x) == Some(count as i64) && last(value) == Some(count as i64)
    }

    /// The columns that output `slot` of the `Split` at `id` takes from its input.
    fn split(&self, id: NodeId, slot: usize, part: Part) -> Result<Part, Skip> {
        let node = &self.graph[id];
        let shape = |value| self.graph.value(value).shape().or_skip("shapes are not known");
        let input = shape(node.input(0).or_no_match()?)?;
        let (rank, axis) = (input.len() as i64, node.int("axis").unwrap_or(0));
        let last = axis == rank - 1 || axis == -1;
        require(last && matches!(part, Part::All), "Split takes no columns")?;
        let width = |output: &Option<ValueId>| {
            let width = shape(output.or_no_match()?)?.last().and_then(|dim| dim.value());
            Ok(width.or_skip("shapes are not known")? as usize)
        };
        let widths: Vec<usize> = node.outputs().iter().map(width).collect::<Result<_, Skip>>()?;
        let count = input.last().and_then(|dim| dim.value()).or_skip("shapes are not known")?;
        let start = widths[..slot].iter().sum();
        Ok(Part::Columns { start, end: start + widths[slot], count: count as usize })
    }
}
