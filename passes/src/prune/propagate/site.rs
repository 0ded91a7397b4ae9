//! A node while a rule looks at it.
use crate::prune::elements::Axis;
use crate::prune::relations::{Balance, Map, Pin, Place, Relations, Rewrite, Role, Tie};
use lapidary_ir::{AttributeValue, Dim, Graph, Node, NodeId, Tensor, ValueId};
use rustc_hash::FxHashSet;
use std::borrow::Cow;
use std::sync::Arc;

/// A node, the graph around it and the relations it adds to.
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph,
    id: NodeId,
    relations: &'a mut Relations,
    mentioned: FxHashSet<Axis>,
    /// The input slots of the operands, where they are not those of the operator the rule is for.
    slots: Option<Vec<Option<usize>>>,
}

/// A list of integers and where its entries stand.
pub(super) struct List {
    pub(super) values: Vec<i64>,
    slot: usize,
    attribute: Option<&'static str>,
}

impl List {
    /// Where an entry stands.
    pub(super) fn place(&self, entry: usize) -> Place {
        match self.attribute {
            Some(name) => Place::Ints(name, entry),
            None => Place::Input(self.slot, entry),
        }
    }
}

impl<'a> Site<'a> {
    pub(super) fn new(graph: &'a Graph, id: NodeId, relations: &'a mut Relations) -> Self {
        Self { graph, id, relations, mentioned: FxHashSet::default(), slots: None }
    }

    pub(super) fn node(&self) -> &'a Node {
        &self.graph[self.id]
    }

    /// Pins every axis of an input or output the rule did not mention, unless its extent is 1; all of
    /// them when an input has a shape that is not known, as it could have to lose channels too.
    pub(super) fn close(&mut self, why: &'static str) {
        let node = self.node();
        let unknown = |value: &ValueId| self.graph.value(*value).shape().is_none();
        if node.inputs().iter().flatten().any(unknown) {
            self.mentioned.clear();
        }
        for value in node.inputs().iter().chain(node.outputs()).copied().flatten() {
            let Some(shape) = self.graph.value(value).shape() else {
                self.relations.pin_value(value, Some(self.id), "has a shape that is not known");
                continue;
            };
            for (axis, extent) in shape.iter().enumerate() {
                let axis = Axis::new(value, axis);
                if *extent != 1 && !self.mentioned.contains(&axis) {
                    self.pin(axis, why);
                }
            }
        }
    }

    /// Whether every axis of a value is mentioned or has extent 1.
    pub(super) fn is_clear(&self, value: ValueId) -> bool {
        self.graph.value(value).shape().is_some_and(|shape| {
            let mut axes = shape.iter().enumerate();
            axes.all(|(axis, dim)| *dim == 1 || self.mentioned.contains(&Axis::new(value, axis)))
        })
    }

    /// From now on operand k is the input in slot `slots[k]`: the node does what another operator
    /// does, with other things between the operands.
    pub(super) fn read_as(&mut self, slots: Vec<Option<usize>>) {
        self.slots = Some(slots);
    }

    /// The number of operands, those left out included.
    pub(super) fn operand_count(&self) -> usize {
        self.slots.as_ref().map_or(self.node().inputs().len(), Vec::len)
    }

    /// The input slot of an operand.
    fn slot(&self, operand: usize) -> Option<usize> {
        match &self.slots {
            None => Some(operand),
            Some(slots) => *slots.get(operand)?,
        }
    }

    /// The value of an operand with its rank, when both are known.
    pub(super) fn input(&self, operand: usize) -> Option<(ValueId, usize)> {
        self.ranked(self.node().input(self.slot(operand)?)?)
    }

    /// The value of output `slot` with its rank, when both are known.
    pub(super) fn output(&self, slot: usize) -> Option<(ValueId, usize)> {
        self.ranked(self.node().output(slot)?)
    }

    fn ranked(&self, value: ValueId) -> Option<(ValueId, usize)> {
        Some((value, self.graph.value(value).shape()?.len()))
    }

    /// The number of elements of an axis, if it is a number.
    pub(super) fn extent(&self, axis: Axis) -> Option<usize> {
        let dim = self.graph.value(axis.value).shape()?.get(axis.axis)?;
        usize::try_from(dim.value()?).ok()
    }

    /// Constant data: an initializer or the tensor of a `Constant` node.
    pub(super) fn constant(&self, value: ValueId) -> Option<Arc<Tensor>> {
        constant(self.graph, value)
    }

    /// Whether a value is constant data, possibly quantized, cast or transposed.
    pub(super) fn is_weight(&self, value: ValueId) -> bool {
        weight_behind(self.graph, value).is_some()
    }

    /// A list that is a constant input or, in older versions of the operator, an attribute.
    pub(super) fn list(&self, slot: usize, attribute: &'static str) -> Option<List> {
        if let Some(values) = self.node().ints(attribute) {
            return Some(List { values: values.to_vec(), slot, attribute: Some(attribute) });
        }
        let values = self.constant(self.node().input(slot)?)?.to_i64()?;
        Some(List { values, slot, attribute: None })
    }

    /// Whether a weight made the channels along the axis.
    pub(super) fn carries(&self, axis: Axis) -> bool {
        self.relations.carried.contains(&axis)
    }

    /// The attention whose heads run along the axis, and whether heads are followed there.
    pub(super) fn heads(&self, axis: Axis) -> Option<(usize, bool)> {
        let attention = self.relations.heads.attention(axis)?;
        Some((attention, self.relations.heads.follows(attention)))
    }

    /// The axis is split into heads.
    pub(super) fn split_into_heads(&mut self, axis: Axis, attention: usize) {
        self.relations.split.push((axis, attention));
    }

    /// `parts` were merged into `whole` or split off it.
    pub(super) fn merges(&mut self, whole: Axis, parts: Vec<Axis>) {
        self.relations.merged.push((whole, parts));
    }

    /// Behind each other on `axis` lie all heads, several times.
    pub(super) fn repeats_heads(&mut self, axis: Axis) {
        if let Some((attention, _)) = self.heads(axis) {
            self.relations.innermost.insert(attention);
        }
    }

    /// Whether the heads of an attention are the innermost part of an axis.
    pub(super) fn are_innermost(&self, attention: usize) -> bool {
        self.relations.innermost.contains(&attention)
    }

    /// Whether an entry of a list can be written anew: it is constant, or joined from constants.
    pub(super) fn is_written(&self, slot: usize, entry: usize) -> bool {
        let list = self.node().input(slot);
        list.is_some_and(|list| piece(self.graph, list, entry).is_some())
    }

    /// The elements of a list of numbers as far as they are known.
    pub(super) fn known(&self, slot: usize) -> Option<Vec<Option<i64>>> {
        let elements = self.graph.value(self.node().input(slot)?).elements()?;
        Some(elements.iter().map(Dim::value).collect())
    }

    /// Nothing about the axis hinders anyone.
    pub(super) fn free(&mut self, axis: Axis) {
        self.mentioned.insert(axis);
    }

    /// The elements have to stay.
    pub(super) fn pin(&mut self, axis: Axis, why: &'static str) {
        self.mentioned.insert(axis);
        self.push_pin(axis, None, why);
    }

    /// One element has to stay.
    pub(super) fn pin_element(&mut self, axis: Axis, element: usize, why: &'static str) {
        self.mentioned.insert(axis);
        self.push_pin(axis, Some(element), why);
    }

    fn push_pin(&mut self, axis: Axis, element: Option<usize>, why: &'static str) {
        let (value, node) = (axis.value, Some(self.id));
        let why = Cow::Borrowed(why);
        self.relations.pins.push(Pin { value, axis: Some(axis.axis), element, node, why });
    }

    /// Element i of one axis is element i of the other; in direction of the computation.
    pub(super) fn tie(&mut self, left: Axis, right: Axis) {
        match (self.extent(left), self.extent(right)) {
            (Some(l), Some(r)) if l == r => {
                self.tie_by(left, right, Map::Run { left: 0, right: 0, len: l });
            }
            (None, None) => {
                self.free(left);
                self.free(right);
            }
            _ => {
                self.pin(left, "has axes whose sizes are not known to agree");
                self.pin(right, "has axes whose sizes are not known to agree");
            }
        }
    }

    /// Elements of one axis are elements of the other; both extents are known.
    pub(super) fn tie_by(&mut self, left: Axis, right: Axis, map: Map) {
        self.mentioned.insert(left);
        self.mentioned.insert(right);
        if self.carries(left) {
            self.relations.carried.insert(right);
        }
        self.relations.ties.push(Tie { left, right, map });
    }

    /// Ties all axes of two values of the same rank, except some.
    pub(super) fn tie_all(&mut self, left: ValueId, right: ValueId, rank: usize, except: &[usize]) {
        for axis in (0..rank).filter(|axis| !except.contains(axis)) {
            self.tie(Axis::new(left, axis), Axis::new(right, axis));
        }
    }

    /// A vector rides along the channels of `axis`. One number for all of them is no tie to the
    /// channels of other nodes that read the same vector, as zero points and biases of zeros are.
    pub(super) fn ride(&mut self, vector: Axis, axis: Axis) {
        let shared = self.graph.value(vector.value).uses().len() > 1;
        let fits = self.extent(vector).is_some() && self.extent(vector) == self.extent(axis);
        let uniform = |tensor: Arc<Tensor>| tensor.rank() == 1 && is_uniform(&tensor);
        if shared && fits && self.constant(vector.value).is_some_and(uniform) {
            self.mentioned.extend([vector, axis]);
            let (node, value) = (self.id, vector.value);
            self.relations.rewrites.push(Rewrite::Uniform { node, value, axis });
        } else {
            self.tie(vector, axis);
        }
    }

    /// A weight makes channels along `weight`; which ones is told by ties.
    pub(super) fn makes(&mut self, weight: Axis) {
        self.relations.roles.push((weight, Role::Producer, self.id));
        self.relations.carried.insert(weight);
    }

    /// A weight makes the channels of `output` along `weight`.
    pub(super) fn produce(&mut self, weight: Axis, output: Axis) {
        self.makes(weight);
        self.tie(weight, output);
    }

    /// Row o of the weight belongs to output o; the rows of a depthwise weight make no channels,
    /// they follow those they read.
    pub(super) fn produce_unless_depthwise(&mut self, rows: Axis, output: Axis, depthwise: bool) {
        if depthwise {
            self.tie(rows, output);
        } else {
            self.produce(rows, output);
        }
    }

    /// A weight makes the channels of `output` along `weight`, as `map` says.
    pub(super) fn produce_by(&mut self, weight: Axis, output: Axis, map: Map) {
        self.makes(weight);
        self.tie_by(weight, output, map);
    }

    /// A weight shared by all groups makes the channels of `output`, `local` per group.
    pub(super) fn produce_local(&mut self, weight: Axis, output: Axis, total: usize, local: usize) {
        let map = Map::Digits { total, left: (1, local), right: (1, total) };
        self.produce_by(weight, output, map);
    }

    /// A weight reads the channels of `input` along `weight`.
    pub(super) fn consume(&mut self, input: Axis, weight: Axis) {
        self.relations.roles.push((weight, Role::Consumer, self.id));
        self.tie(input, weight);
    }

    /// A weight reads, along this axis, channels it makes itself.
    pub(super) fn read_back(&mut self, weight: Axis) {
        self.mentioned.insert(weight);
        self.relations.roles.push((weight, Role::Consumer, self.id));
    }

    /// Each of `blocks` blocks of the axis keeps the same number of elements.
    pub(super) fn balance(&mut self, axis: Axis, blocks: usize) {
        self.mentioned.insert(axis);
        self.relations.balances.push(Balance { axis, blocks, node: self.id });
    }

    /// The number at `place` counts the elements `start..end` of `axis`.
    pub(super) fn count(&mut self, place: Place, axis: Axis, range: (usize, usize), per: usize) {
        let (node, (start, end)) = (self.id, range);
        self.relations.rewrites.push(Rewrite::Count { node, place, axis, start, end, per });
    }

    /// The indices of this node point into `axis`.
    pub(super) fn index(&mut self, axis: Axis, gathered: Axis) {
        self.relations.rewrites.push(Rewrite::Indices { node: self.id, axis, gathered });
    }

    /// The elements of `axis` this node slices have to be gathered from now on.
    pub(super) fn pick(&mut self, entry: usize, axis: Axis, sliced: Axis, elements: Vec<usize>) {
        let node = self.id;
        self.relations.rewrites.push(Rewrite::Picked { node, entry, axis, sliced, elements });
    }

    /// Operand 1 of this node, its weight, has group-local columns.
    pub(super) fn grouped_columns(&mut self, input: Axis, output: Axis, groups: usize) {
        self.relations.rewrites.push(Rewrite::GroupedColumns {
            node: self.id,
            kernel: self.slot(1).unwrap_or(1),
            input,
            output,
            groups,
        });
    }

    /// An axis attribute, counted from the front.
    pub(super) fn axis(&self, default: i64, rank: usize) -> Option<usize> {
        from_front(self.node().int("axis").unwrap_or(default), rank)
    }

    /// The shape of a value.
    pub(super) fn shape(&self, value: ValueId) -> &'a [Dim] {
        self.graph.value(value).shape().unwrap_or(&[])
    }
}

/// An axis that may count from the end.
pub(super) fn from_front(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    if (0..rank).contains(&axis) { usize::try_from(axis).ok() } else { None }
}

/// Whether all elements are the same.
fn is_uniform(tensor: &Tensor) -> bool {
    let size = tensor.elem_type().bits().filter(|bits| bits % 8 == 0).map(|bits| bits as usize / 8);
    let (Some(size @ 1..), Some(bytes)) = (size, tensor.bytes()) else { return false };
    let mut elements = bytes.chunks(size);
    let first = elements.next();
    elements.all(|element| Some(element) == first)
}

/// The constant a value is computed from, element by element.
pub(crate) fn weight_behind(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let mut value = value;
    while constant(graph, value).is_none() {
        let node = &graph[graph.producer(value)?];
        let follows = ["Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"];
        if !node.is_standard() || !follows.contains(&node.op_type.as_str()) {
            return None;
        }
        value = node.input(0)?;
    }
    Some(value)
}

/// Where an entry of a list stands that `Concat` joins: the node, the slot of a constant and the entry in it.
pub(crate) fn piece(graph: &Graph, list: ValueId, entry: usize) -> Option<(NodeId, usize, usize)> {
    let id = graph.producer(list)?;
    let node = &graph[id];
    if !node.is("Concat") {
        return None;
    }
    let mut entry = entry;
    for (slot, part) in node.inputs().iter().enumerate() {
        let part = (*part)?;
        let [length] = graph.value(part).shape()? else { return None };
        let length = usize::try_from(length.value()?).ok()?;
        if entry < length {
            return constant(graph, part).map(|_| (id, slot, entry));
        }
        entry -= length;
    }
    None
}

/// Constant data: an initializer or the tensor of a `Constant` node.
pub(crate) fn constant(graph: &Graph, value: ValueId) -> Option<Arc<Tensor>> {
    if let Some(tensor) = graph.constant(value) {
        return Some(tensor.clone());
    }
    let node = &graph[graph.producer(value)?];
    if !node.is("Constant") {
        return None;
    }
    match node.attribute("value") {
        Some(AttributeValue::Tensor(tensor)) => Some(tensor.clone()),
        _ => node.ints("value_ints").map(|values| Arc::new(Tensor::vector(values))),
    }
}
