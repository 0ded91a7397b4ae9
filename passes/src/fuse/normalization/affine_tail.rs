//! Scale and bias behind a normalization.
use super::super::weights;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Dim, ElemType, Graph, NodeId, Operand, Patch, Tensor, ValueId};

/// y = to(normalized) · scale + bias, each part possibly missing.
pub(super) struct AffineTail {
    /// What is normalized, before a conversion that the tail undoes.
    pub(super) x: ValueId,
    /// The output of the last node.
    pub(super) y: ValueId,
    elem_type: ElemType,
    /// The normalized dimensions.
    dims: Vec<Dim>,
    scale: Option<ValueId>,
    bias: Option<ValueId>,
}

impl AffineTail {
    /// What follows the normalization of the last `trailing` dimensions of `x` by `root`.
    pub(super) fn of(
        graph: &Graph,
        root: NodeId,
        x: ValueId,
        trailing: usize,
    ) -> Result<Self, Skip> {
        let shape = graph.ty(x).shape.as_deref().or_skip("the shape is not known")?;
        let first = shape.len().checked_sub(trailing).or_no_match()?;
        let mut tail = Self {
            x,
            y: graph[root].output(0).or_no_match()?,
            elem_type: graph.ty(x).elem_type.or_skip("the element type is not known")?,
            dims: shape[first..].to_vec(),
            scale: None,
            bias: None,
        };
        tail.undo_cast(graph);
        require(tail.elem_type != ElemType::DOUBLE, "the operator computes in float")?;
        Ok(tail)
    }

    /// Takes in the conversion behind a normalization of a converted value.
    fn undo_cast(&mut self, graph: &Graph) {
        let before = |id: &NodeId| graph[*id].is("Cast");
        let Some(cast) = graph.producer(self.x).filter(before) else { return };
        let Some(x) = graph[cast].input(0) else { return };
        let Some(next) = graph.only_use(self.y).map(|only| only.node) else { return };
        let narrow = graph.ty(x).elem_type.filter(|narrow| {
            matches!(*narrow, ElemType::FLOAT16 | ElemType::BFLOAT16)
                && self.elem_type == ElemType::FLOAT
        });
        let (Some(narrow), Some(y)) = (narrow, graph[next].output(0)) else { return };
        if graph[next].is("Cast") && graph.ty(y).elem_type == Some(narrow) {
            (self.x, self.y, self.elem_type) = (x, y, narrow);
        }
    }

    /// Takes in a product by one factor per normalized element.
    pub(super) fn take_scale(&mut self, graph: &Graph) {
        if let Some((y, scale)) = self.next(graph, "Mul") {
            (self.y, self.scale) = (y, Some(scale));
        }
    }

    /// Takes in a sum with one summand per normalized element.
    pub(super) fn take_bias(&mut self, graph: &Graph) {
        if let Some((y, bias)) = self.next(graph, "Add") {
            (self.y, self.bias) = (y, Some(bias));
        }
    }

    fn next(&self, graph: &Graph, op_type: &str) -> Option<(ValueId, ValueId)> {
        let id = graph.only_use(self.y)?.node;
        let node = &graph[id];
        let (a, b) = (node.input(0)?, node.input(1)?);
        let parameter = if a == self.y { b } else { a };
        let fits = node.is(op_type) && self.admits(graph, parameter);
        Some((node.output(0)?, parameter)).filter(|_| fits)
    }

    /// Whether a value varies along the normalized dimensions alone.
    fn admits(&self, graph: &Graph, parameter: ValueId) -> bool {
        let ty = graph.ty(parameter);
        let Some(shape) = ty.shape.as_deref() else { return false };
        let rank = graph.ty(self.x).rank().unwrap_or(0);
        ty.elem_type == Some(self.elem_type)
            && (shape == self.dims || self.constant(graph, parameter, rank).is_some())
    }

    /// A constant as one number per normalized element.
    fn constant(&self, graph: &Graph, parameter: ValueId, rank: usize) -> Option<Tensor> {
        let tensor = graph.constant(parameter).filter(|tensor| tensor.rank() <= rank)?;
        let dims: Vec<i64> = self.dims.iter().map(Dim::value).collect::<Option<_>>()?;
        if tensor.len() == 1 {
            return self.filled(weights::values(tensor)?[0]);
        }
        let missing = tensor.rank().checked_sub(dims.len())?;
        let (leading, own) = tensor.dims().split_at(missing);
        let fits = leading.iter().all(|&dim| dim == 1) && own == dims;
        if fits { tensor.reshaped(dims).ok() } else { None }
    }

    /// One number for each normalized element.
    fn filled(&self, value: f64) -> Option<Tensor> {
        const MAX_ELEMENTS: usize = 1 << 16;
        let dims: Vec<i64> = self.dims.iter().map(Dim::value).collect::<Option<_>>()?;
        let mut counts = dims.iter().map(|&dim| usize::try_from(dim).ok());
        let count = counts.try_fold(1usize, |count, dim| count.checked_mul(dim?))?;
        if count == 0 || count > MAX_ELEMENTS {
            return None;
        }
        weights::tensor(self.elem_type, &dims, &vec![value; count]).ok()
    }

    /// The scale, of ones when there is none.
    pub(super) fn scale(&self, graph: &Graph, patch: &mut Patch) -> Result<Operand, Skip> {
        if let Some(scale) = self.scale {
            return self.operand(graph, scale, patch);
        }
        let ones = self.filled(1.0).or_skip("the normalized dimensions are not known")?;
        Ok(patch.initializer(format!("{}_scale", graph.value(self.y).name()), ones))
    }

    /// The bias, if there is one.
    pub(super) fn bias(&self, graph: &Graph, patch: &mut Patch) -> Result<Option<Operand>, Skip> {
        self.bias.map(|bias| self.operand(graph, bias, patch)).transpose()
    }

    fn operand(
        &self,
        graph: &Graph,
        parameter: ValueId,
        patch: &mut Patch,
    ) -> Result<Operand, Skip> {
        if graph.ty(parameter).shape.as_deref() == Some(&self.dims) {
            return Ok(parameter.into());
        }
        let rank = graph.ty(self.x).rank().unwrap_or(0);
        let tensor = self.constant(graph, parameter, rank).or_no_match()?;
        Ok(patch.initializer(graph.value(parameter).name(), tensor))
    }
}
