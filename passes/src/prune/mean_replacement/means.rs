//! The mean of every channel, as far as weights tell.
//!
//! A `BatchNormalization` with running mean m and variance v makes of what was normalized in training
//!
//! y = γ (x − m) / √(v + ε) + β, so E\[y\] = β, Var\[y\] = γ² v / (v + ε),
//!
//! and y is taken for normal; an `InstanceNormalization` makes y of mean β and variance γ² of every sample. From there
//!
//! * elementwise functions f of y alone give E\[f(y)\] and Var\[f(y)\], in closed form ([`Law::clipped`]) or as
//!   [`through`] computes them, also where they are written as several nodes;
//! * sums add means, and variances as if terms were independent; they are taken for normal again;
//! * averages, and what moves numbers, keep means: those of the channels of an element;
//! * products with constant weights give W E\[x\] + b, of which no variance is known.
//!
//! A channel that is a constant, β where γ = 0, b of a row of zeros, stays one through all of them, exactly.
use super::expectation::through;
use super::law::{Cause, Law, Told, Why};
use crate::fuse::affine::{Affine, Channels};
use crate::fuse::bounds::Bounds;
use crate::fuse::weights;
use crate::prune::analysis::Analysis;
use crate::prune::elements::Axis;
use crate::prune::products::{Form, Product};
use crate::prune::propagate::constant;
use lapidary_ir::schema::is_elementwise;
use lapidary_ir::{Graph, NodeId, ValueId};
use rustc_hash::FxHashMap;

/// What is told of the channels of computed values.
pub(super) struct Means<'a> {
    graph: &'a Graph,
    analysis: &'a Analysis,
    laws: FxHashMap<Axis, Vec<Told>>,
    /// Values that are functions of another one, element by element.
    roots: FxHashMap<ValueId, Root>,
}

/// What a value is a function of.
#[derive(Clone, Copy)]
struct Root {
    value: ValueId,
    /// Whether the function is s · x + t, so that the result is as normal as x.
    is_affine: bool,
}

/// What an operator does to the channels it moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Every number stays what it is.
    Number,
    /// Numbers become averages.
    Average,
    /// Numbers become something else, but constants stay.
    Constant,
}

/// Operators that move numbers of their first input, of all for `Concat`.
pub(super) fn moves(graph: &Graph, id: NodeId) -> Option<Move> {
    let node = &graph[id];
    if !node.is_standard() {
        return None;
    }
    match node.op_type.as_str() {
        "Concat" | "DepthToSpace" | "Dropout" | "Expand" | "Flatten" | "Gather" | "Identity"
        | "Pad" | "Reshape" | "Slice" | "SpaceToDepth" | "Split" | "Squeeze" | "Tile"
        | "Transpose" | "Unsqueeze" => Some(Move::Number),
        "AveragePool" | "GlobalAveragePool" | "ReduceMean" | "Upsample" => Some(Move::Average),
        "Resize" if node.string("coordinate_transformation_mode") != Some("tf_crop_and_resize") => {
            Some(Move::Average)
        }
        "GlobalMaxPool" | "MaxPool" | "ReduceMax" | "ReduceMin" => Some(Move::Constant),
        _ => None,
    }
}

impl<'a> Means<'a> {
    /// Follows the means of all channels of the analysis through the graph it is of.
    pub(super) fn of(graph: &'a Graph, analysis: &'a Analysis) -> Self {
        let mut tracked: FxHashMap<ValueId, Vec<Axis>> = FxHashMap::default();
        for axis in analysis.extents.keys() {
            tracked.entry(axis.value).or_default().push(*axis);
        }
        let mut means =
            Self { graph, analysis, laws: FxHashMap::default(), roots: FxHashMap::default() };
        for id in graph.topological_order() {
            for output in graph[id].outputs().iter().copied().flatten() {
                for &axis in tracked.get(&output).into_iter().flatten() {
                    let laws = means.told(id, axis);
                    debug_assert_eq!(laws.len(), analysis.extents[&axis], "a law for each element");
                    means.laws.insert(axis, laws);
                }
            }
        }
        means
    }

    /// What is told of the elements of an axis of a computed value.
    pub(super) fn laws(&self, axis: Axis) -> Option<&[Told]> {
        self.laws.get(&axis).map(Vec::as_slice)
    }

    /// What node `id` makes along an axis of one of its outputs.
    fn told(&mut self, id: NodeId, axis: Axis) -> Vec<Told> {
        let node = &self.graph[id];
        let size = self.analysis.extents[&axis];
        let unknown = |why| vec![Err(Cause { node: id, why }); size];
        if !node.is_standard() {
            return unknown(Why::Operator);
        }
        if let Some(kind) = moves(self.graph, id) {
            return self.moved(id, axis, kind);
        }
        match node.op_type.as_str() {
            "Conv" | "Gemm" | "MatMul" => {
                self.product(id, axis).unwrap_or_else(|| unknown(Why::Unnormalized))
            }
            "BatchNormalization" => {
                self.normalized(id, axis).unwrap_or_else(|| unknown(Why::Operator))
            }
            "InstanceNormalization" => {
                self.standardized(id, axis).unwrap_or_else(|| unknown(Why::Operator))
            }
            op_type if is_elementwise(op_type) => self.elementwise(id, axis),
            "ConvTranspose" => unknown(Why::Unnormalized),
            _ => unknown(Why::Operator),
        }
    }

    /// The laws of the same channels in what is read.
    fn moved(&mut self, id: NodeId, axis: Axis, kind: Move) -> Vec<Told> {
        let node = &self.graph[id];
        let first = node.inputs().get(..1).unwrap_or_default();
        let operands = if node.is("Concat") { node.inputs() } else { first };
        let mut known: FxHashMap<usize, Told> = FxHashMap::default();
        for operand in operands.iter().copied().flatten() {
            let rank = self.graph.value(operand).shape().map_or(0, <[_]>::len);
            for read in (0..rank).map(|axis| Axis::new(operand, axis)) {
                let (Some(laws), Some(owners)) =
                    (self.laws.get(&read), self.analysis.owners.get(&read))
                else {
                    continue;
                };
                for (owner, law) in owners.iter().zip(laws) {
                    let mixed = Err(Cause { node: id, why: Why::Mixed });
                    let known = known.entry(*owner).or_insert(*law);
                    *known = if known == law { *known } else { mixed };
                }
            }
        }
        if let (true, Some(input)) = (node.is("Identity"), node.input(0)) {
            self.roots.insert(axis.value, self.root(input));
        }
        let law = |owner: &usize| match (known.get(owner), kind) {
            (Some(Ok(law)), Move::Average) => Ok(law.without_deviation()),
            (Some(Ok(law)), Move::Constant) if !law.is_constant() => {
                Err(Cause { node: id, why: Why::Operator })
            }
            (Some(law), _) => *law,
            (None, _) => Err(Cause { node: id, why: Why::Operator }),
        };
        self.analysis.owners[&axis].iter().map(law).collect()
    }

    /// W E\[x\] + b of every row; rows that multiply constants alone give constants.
    fn product(&self, id: NodeId, axis: Axis) -> Option<Vec<Told>> {
        let product = Product::reading(self.graph, id)?;
        let channels = if product.form == Form::Conv {
            1
        } else {
            self.graph.value(axis.value).shape()?.len().checked_sub(1)?
        };
        let (rows, mut offsets) = (product.rows(self.graph)?, product.offsets(self.graph)?);
        if axis.axis != channels || rows.nrows() != self.analysis.extents[&axis] {
            return None;
        }
        if product.is_added_apart() {
            offsets.fill(0.0);
        }
        let inputs = self.laws.get(&product.input_axis(self.graph)?);
        let law = |row: usize| {
            let mut law = Law::constant(offsets[row]);
            for (column, &weight) in rows.row(row).iter().enumerate() {
                if weight == 0.0 {
                    continue;
                }
                let input = inputs
                    .and_then(|laws| laws.get(product.input_channel(rows.dim(), row, column)));
                let Some(Ok(input)) = input else {
                    return Err(Cause { node: id, why: Why::Unnormalized });
                };
                law.mean += weight * input.mean;
                law.std = law.std.filter(|_| input.is_constant());
            }
            Ok(law)
        };
        Some((0..rows.nrows()).map(law).collect())
    }

    /// N(β, γ² v / (v + ε)), and what a constant is taken to.
    fn normalized(&self, id: NodeId, axis: Axis) -> Option<Vec<Told>> {
        let graph = self.graph;
        let size = self.analysis.extents[&axis];
        if axis.axis != 1 {
            return None;
        }
        let Affine { scale, shift, .. } = Affine::batch_normalization(graph, id, size).ok()?;
        let stored = |slot: usize| weights::values(graph.constant_input(id, slot)?);
        let (beta, variance) = (stored(2)?, stored(4)?);
        let read = self.laws.get(&Axis::new(graph[id].input(0)?, 1));
        let law = |channel: usize| {
            let constant = read.and_then(|laws| laws.get(channel)?.ok());
            if let Some(constant) = constant.filter(Law::is_constant) {
                return Ok(constant.affine(scale[channel], shift[channel]));
            }
            let std = scale[channel].abs() * variance[channel].max(0.0).sqrt();
            Ok(Law { mean: beta[channel], std: Some(std) })
        };
        Some((0..size).map(law).collect())
    }

    /// N(β, γ²): every sample is normalized by its own mean and variance. A constant becomes β.
    fn standardized(&self, id: NodeId, axis: Axis) -> Option<Vec<Told>> {
        let graph = self.graph;
        let stored = |slot: usize| weights::values(graph.constant_input(id, slot)?);
        let (gamma, beta) = (stored(1)?, stored(2)?);
        let read = self.laws.get(&Axis::new(graph[id].input(0)?, 1));
        if axis.axis != 1 || [gamma.len(), beta.len()] != [self.analysis.extents[&axis]; 2] {
            return None;
        }
        let law = |channel: usize| {
            let constant = read.and_then(|laws| laws.get(channel)?.ok());
            let std = match constant.filter(Law::is_constant) {
                Some(_) => 0.0,
                None => gamma[channel].abs(),
            };
            Ok(Law { mean: beta[channel], std: Some(std) })
        };
        Some((0..gamma.len()).map(law).collect())
    }

    /// What a value is a function of; of itself if of nothing else.
    fn root(&self, value: ValueId) -> Root {
        self.roots.get(&value).copied().unwrap_or(Root { value, is_affine: true })
    }

    /// A function of one value, a sum, or a product with a constant.
    fn elementwise(&mut self, id: NodeId, axis: Axis) -> Vec<Told> {
        let graph = self.graph;
        let size = self.analysis.extents[&axis];
        let several = Cause { node: id, why: Why::Several };
        let inputs = graph[id].inputs().iter().copied().flatten();
        let varying: Vec<ValueId> =
            inputs.filter(|&value| constant(graph, value).is_none()).collect();
        let operands: Option<Vec<Vec<Told>>> =
            varying.iter().map(|&value| self.operand(value, axis)).collect();
        let (Some(operands), Some(&first)) = (operands, varying.first()) else {
            return vec![Err(several); size];
        };
        let root = self.root(first).value;
        if varying.iter().all(|&value| self.root(value).value == root) {
            return self.function(id, axis, first, &operands);
        }
        let signs: Option<Vec<f64>> = match graph[id].op_type.as_str() {
            _ if varying.len() != graph[id].inputs().len() => None,
            "Add" | "Sum" => Some(vec![1.0; varying.len()]),
            "Sub" => Some(vec![1.0, -1.0]),
            "Mean" => Some(vec![1.0 / varying.len() as f64; varying.len()]),
            _ => None,
        };
        let combined = |channel: usize| {
            let laws: Vec<Law> =
                operands.iter().map(|laws| laws[channel]).collect::<Result<_, _>>()?;
            match (&signs, laws.as_slice()) {
                (Some(signs), laws) => {
                    let terms: Vec<(f64, Law)> =
                        signs.iter().copied().zip(laws.iter().copied()).collect();
                    Ok(Law::sum(&terms))
                }
                (None, &[left, right]) if graph[id].is("Mul") && varying.len() == 2 => {
                    left.product(right).ok_or(several)
                }
                _ => Err(several),
            }
        };
        (0..size).map(combined).collect()
    }

    /// The laws of an operand along the axis that becomes `axis`, if it has as many elements there.
    fn operand(&self, value: ValueId, axis: Axis) -> Option<Vec<Told>> {
        let rank = |value: ValueId| Some(self.graph.value(value).shape()?.len());
        let own = (axis.axis + rank(value)?).checked_sub(rank(axis.value)?)?;
        let laws = self.laws.get(&Axis::new(value, own))?;
        (laws.len() == self.analysis.extents[&axis]).then(|| laws.clone())
    }

    /// A function of what `first` is a function of, and of nothing else.
    fn function(
        &mut self,
        id: NodeId,
        axis: Axis,
        first: ValueId,
        operands: &[Vec<Told>],
    ) -> Vec<Told> {
        let root = self.root(first);
        let single = operands.len() == 1;
        let affine = self.affine(id, axis).filter(|_| single);
        let is_affine = root.is_affine && affine.is_some();
        self.roots.insert(axis.value, Root { value: root.value, is_affine });
        let laws = operands.first().map_or(&[][..], Vec::as_slice);
        if let Some(Affine { scale, shift, .. }) = affine {
            let channels = laws.iter().zip(scale.iter().zip(&shift));
            return channels.map(|(law, (&s, &t))| Ok((*law)?.affine(s, t))).collect();
        }
        let bounds = Bounds::of(self.graph, id).filter(|_| single && root.is_affine);
        if let Some(Bounds { low, high }) = bounds {
            let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
            let mean_alone = Cause { node: id, why: Why::MeanAlone };
            let clipped = |law: &Told| (*law)?.clipped(low, high).ok_or(mean_alone);
            return laws.iter().map(clipped).collect();
        }
        self.integrated(id, axis, root.value, operands)
    }

    /// What [`through`] finds for a function of `root`.
    fn integrated(
        &self,
        id: NodeId,
        axis: Axis,
        root: ValueId,
        operands: &[Vec<Told>],
    ) -> Vec<Told> {
        let size = self.analysis.extents[&axis];
        let cause = |why| Cause { node: id, why };
        let found = self.operand(root, axis).and_then(|laws| {
            let rank = |value: ValueId| Some(self.graph.value(value).shape()?.len());
            let own = (axis.axis + rank(root)?).checked_sub(rank(axis.value)?)?;
            let laws: Vec<Option<Law>> = laws.iter().map(|law| law.ok()).collect();
            through(self.graph, (root, own), &laws, axis.value)
        });
        let Some(found) = found else { return vec![Err(cause(Why::Operator)); size] };
        let told = |channel: usize| {
            let read: Vec<Law> =
                operands.iter().map(|laws| laws[channel]).collect::<Result<_, _>>()?;
            let alone = read.iter().any(|law| law.std.is_none());
            let why = if alone { Why::MeanAlone } else { Why::Operator };
            found[channel].ok_or(cause(why))
        };
        (0..size).map(told).collect()
    }

    /// s and t where a node computes s · x + t per channel.
    fn affine(&self, id: NodeId, axis: Axis) -> Option<Affine> {
        let rank = self.graph.value(axis.value).shape()?.len();
        let count = self.analysis.extents[&axis];
        let found = Affine::of(self.graph, id, Channels { rank, axis: axis.axis, count }).ok()?;
        found.is_finite().then_some(found)
    }
}
