//! What has to be executed: for every claim not proved by construction, the nodes of both models
//! between it and the claims it rests on.
use super::claims::{Claims, Rest};
use super::range::Range;
use lapidary_ir::{Dim, Graph, Node, ValueId, ValueType, schema};
use std::collections::BTreeMap;

/// Groups a region may still join.
const OPEN_GROUPS: usize = 8;

/// Visits per node, and at all, after which regions are not looked into any more.
const VISITS: usize = 16;
const MANY_VISITS: usize = 1 << 20;

/// Nodes of a region: the runtime takes time that grows faster than their number.
const MAX_NODES: usize = 1 << 11;

/// Nodes that are executed together.
const MANY_NODES: usize = 1 << 9;

/// Rows and columns of a cropped region, at least; more where a kernel has more.
const CROPPED: i64 = 4;

/// What is to be proved, and how.
#[derive(Debug)]
pub(super) struct Plan {
    /// Claims that hold by construction.
    pub(super) by_construction: usize,
    /// Claims to execute.
    pub(super) regions: Vec<Region>,
}

/// The nodes of both models between a claim and what it rests on.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) claim: u32,
    /// The claims it rests on, sorted.
    pub(super) rests: Vec<u32>,
    /// What is given: claims it rests on and inputs of the models, by name.
    pub(super) leaves: BTreeMap<String, Leaf>,
    /// Bytes of the constants it reads and of the values it is given and gives.
    pub(super) bytes: u64,
    /// Nodes of both models.
    nodes: usize,
    /// Whether the nodes were not visited because regions overlap too much.
    entangled: bool,
}

/// A value given to a region.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    ty: ValueType,
    /// Fewer rows and columns that do as well.
    cropped: Option<Vec<Dim>>,
    /// Its numbers.
    range: Range,
}

impl Leaf {
    /// The type of what is given.
    pub(super) fn ty(&self, cropped: bool) -> ValueType {
        match &self.cropped {
            Some(shape) if cropped => ValueType::tensor(self.ty.elem_type, Some(shape.clone())),
            _ => self.ty.clone(),
        }
    }
}

impl Region {
    /// The claim and what it rests on.
    pub(super) fn key(&self) -> (u32, Vec<u32>) {
        (self.claim, self.rests.clone())
    }

    /// Why it is not executed, if it would cost too much.
    pub(super) fn too_much(&self, limit: u64) -> Option<&'static str> {
        if self.nodes > MAX_NODES {
            return Some("it takes too many nodes at once");
        }
        match self.entangled {
            true => Some("what it depends on overlaps too much with what others depend on"),
            false => (self.bytes > limit).then_some("larger than --verify-limit"),
        }
    }

    /// The given values whose numbers are not any number.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (&str, Range)> {
        let limited = self.leaves.iter().filter(|(_, leaf)| leaf.range != Range::ALL);
        limited.map(|(name, leaf)| (name.as_str(), leaf.range))
    }

    pub(super) fn is_cropped(&self) -> bool {
        self.leaves.values().any(|leaf| leaf.cropped.is_some())
    }
}

impl Plan {
    /// Goes backwards from the outputs.
    pub(super) fn new(claims: &Claims<'_>, outputs: &[u32]) -> Self {
        let numbers = claims.numbers();
        let mut plan = Self { by_construction: 0, regions: Vec::new() };
        let mut seen = vec![false; claims.len()];
        let mut waiting = outputs.to_vec();
        let mut walks = [0, 1].map(|side| Walk::new(claims, side));
        let mut same = Walk::new(claims, 0);
        same.mark = 1;
        while let Some(claim) = waiting.pop() {
            if std::mem::replace(&mut seen[claim as usize], true) {
                continue;
            }
            let number = |side: usize| numbers[side][claims.value(claim, side).index()];
            if number(0).is_some() && number(0) == number(1) {
                plan.by_construction += 1;
                let mut part = Part::default();
                same.back(claim, &mut part);
                waiting.extend(part.rests);
            } else {
                let mut part = Part::default();
                let nodes = walks.iter().map(|walk| walk.marks.len()).sum::<usize>();
                let visits = walks.iter().map(|walk| walk.visits).sum::<usize>();
                let entangled = visits > nodes * VISITS + MANY_VISITS;
                part.entangled = entangled;
                for walk in walks.iter_mut().filter(|_| !entangled) {
                    walk.mark += 1;
                    walk.back(claim, &mut part);
                }
                let region = part.finish(claims, claim);
                waiting.extend(&region.rests);
                plan.regions.push(region);
            }
        }
        plan
    }
}

/// A walk backwards through one model.
struct Walk<'a> {
    claims: &'a Claims<'a>,
    side: usize,
    /// The mark a node got when it was last met.
    marks: Vec<u32>,
    mark: u32,
    visits: usize,
}

impl<'a> Walk<'a> {
    fn new(claims: &'a Claims<'a>, side: usize) -> Self {
        Self { claims, side, marks: vec![0; claims.graph(side).node_bound()], mark: 0, visits: 0 }
    }

    /// Collects what lies between a claim and what it rests on, but for nodes marked already.
    fn back(&mut self, claim: u32, part: &mut Part) {
        let graph = self.claims.graph(self.side);
        let start = self.claims.value(claim, self.side);
        if graph.producer(start).is_none() {
            part.leaf(graph, start);
        }
        let mut waiting: Vec<_> = graph.producer(start).into_iter().collect();
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut self.marks[id.index()], self.mark) == self.mark {
                continue;
            }
            self.visits += 1;
            part.nodes += 1;
            let node = &graph[id];
            if !self.claims.makes_constants(self.side, node) {
                part.node(graph, node);
            }
            for &read in node.inputs().iter().flatten().chain(node.captured()) {
                match (self.claims.rested_on(self.side, read), graph.producer(read)) {
                    (Some((claim, rest)), _) => part.rest(graph.value(read).name(), claim, rest),
                    (None, Some(producer)) => waiting.push(producer),
                    (None, None) => part.leaf(graph, read),
                }
            }
        }
    }
}

/// What a walk collects.
#[derive(Default)]
struct Part {
    rests: Vec<u32>,
    leaves: BTreeMap<String, Leaf>,
    bytes: u64,
    crop: Crop,
    nodes: usize,
    entangled: bool,
}

/// Whether fewer rows and columns tell as much.
///
/// Convolutions and what works element by element compute every row and column alike, but for
/// those near the edge: an image as large as the kernels shows both.
#[derive(Default)]
struct Crop {
    forbidden: bool,
    /// Whether there is anything that has rows and columns; values of rank 4 have.
    spatial: bool,
    /// The rows or columns of the largest kernel, with its dilation.
    extent: i64,
}

impl Part {
    fn rest(&mut self, name: &str, claim: u32, rest: &Rest) {
        self.rests.push(claim);
        match rest {
            Rest::Random(ty, range) => {
                let leaf = || Leaf { range: *range, ..Leaf::whole(ty.clone()) };
                self.leaves.entry(name.to_owned()).or_insert_with(leaf);
            }
            Rest::Constant(tensor) => self.bytes += tensor.byte_len(),
        }
    }

    /// A value that no node makes.
    fn leaf(&mut self, graph: &Graph, id: ValueId) {
        let value = graph.value(id);
        match value.initializer() {
            Some(tensor) if !value.is_input() => self.bytes += tensor.byte_len(),
            // What a caller may override by integers has to be a valid index or size: the default.
            Some(tensor) if !tensor.elem_type().is_float() => {}
            _ => {
                let leaf = || Leaf::whole(value.ty().clone());
                self.leaves.entry(value.name().to_owned()).or_insert_with(leaf);
            }
        }
    }

    fn node(&mut self, graph: &Graph, node: &Node) {
        let convolution = node.is("Conv") || node.op_type == "FusedConv";
        let spatial = convolution || node.is("BatchNormalization");
        let alike = spatial || (node.is_standard() && schema::is_elementwise(&node.op_type));
        self.crop.forbidden |= !alike;
        self.crop.spatial |= spatial;
        if convolution {
            let kernel = node.input(1).and_then(|weight| graph.ty(weight).dims());
            let dilation = node.ints("dilations").unwrap_or_default().iter().copied().max();
            match kernel.as_deref().and_then(|dims| dims.get(2..)?.iter().max()) {
                Some(&kernel) => {
                    let extent = (kernel - 1).saturating_mul(dilation.unwrap_or(1)) + 1;
                    self.crop.extent = self.crop.extent.max(extent);
                }
                None => self.crop.forbidden = true,
            }
        }
    }

    fn finish(mut self, claims: &Claims<'_>, claim: u32) -> Region {
        self.rests.sort_unstable();
        self.rests.dedup();
        let output = claims.graph(0).ty(claims.value(claim, 0));
        self.crop(output);
        let given = self.leaves.values().map(|leaf| bytes(&leaf.ty(true)));
        let bytes = self.bytes + given.sum::<u64>() + bytes(output);
        let Self { rests, leaves, nodes, entangled, .. } = self;
        Region { claim, rests, leaves, bytes, nodes, entangled }
    }

    /// With m rows or columns where there are fewest, t of them do there, and
    /// f(d) = ceil(d · t / m) where there are d: halving strides stay halving.
    fn crop(&mut self, output: &ValueType) {
        let Some(output) = output.dims() else { return };
        let shapes: Option<Vec<Vec<i64>>> =
            self.leaves.values().map(|leaf| leaf.ty.dims()).collect();
        let Some(shapes) = shapes else { return };
        let large = |dims: &&Vec<i64>| dims.len() > 2;
        if self.crop.forbidden
            || (!self.crop.spatial && output.len() < 4)
            || shapes.iter().filter(large).any(|dims| dims.len() != output.len())
        {
            return;
        }
        let rows = shapes.iter().chain([&output]).flat_map(|dims| dims.iter().skip(2));
        let Some(&fewest) = rows.filter(|&&dim| dim > 1).min() else { return };
        let enough = self.crop.extent.max(CROPPED);
        if fewest <= enough {
            return;
        }
        let crop = |(axis, &dim): (usize, &i64)| match dim {
            dim if axis < 2 || dim <= 1 => Dim::from(dim),
            dim => Dim::from((dim * enough + fewest - 1) / fewest),
        };
        for (leaf, dims) in self.leaves.values_mut().zip(&shapes) {
            if dims.len() == output.len() {
                leaf.cropped = Some(dims.iter().enumerate().map(crop).collect());
            }
        }
    }
}

impl Leaf {
    fn whole(ty: ValueType) -> Self {
        Self { ty, cropped: None, range: Range::ALL }
    }
}

fn bytes(ty: &ValueType) -> u64 {
    let bytes = || {
        let dims = ty.dims()?;
        ty.elem_type?.byte_len(lapidary_ir::element_count(&dims).ok()?)
    };
    bytes().unwrap_or(0)
}

/// Regions that can be executed together: of at most `together` bytes and [`MANY_NODES`] nodes,
/// unless it is one alone, and with every shared leaf cropped alike.
pub(super) fn groups<'a>(regions: &[&'a Region], together: u64) -> Vec<Vec<&'a Region>> {
    struct Group<'a> {
        regions: Vec<&'a Region>,
        bytes: u64,
        nodes: usize,
        leaves: BTreeMap<&'a str, Option<&'a [Dim]>>,
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &region in regions {
        let cropped = |leaf: &'a Leaf| leaf.cropped.as_deref();
        let fits = |group: &&mut Group<'_>| {
            let alike = |(name, leaf): (&'a String, &'a Leaf)| {
                group.leaves.get(name.as_str()).is_none_or(|other| same(*other, cropped(leaf)))
            };
            group.bytes + region.bytes <= together
                && group.nodes + region.nodes <= MANY_NODES
                && region.leaves.iter().all(alike)
        };
        let open = groups.len().saturating_sub(OPEN_GROUPS);
        let group = groups[open..].iter_mut().find(fits);
        let leaves = region.leaves.iter().map(|(name, leaf)| (name.as_str(), cropped(leaf)));
        match group {
            Some(group) => {
                group.regions.push(region);
                group.bytes += region.bytes;
                group.nodes += region.nodes;
                group.leaves.extend(leaves);
            }
            None => groups.push(Group {
                regions: vec![region],
                bytes: region.bytes,
                nodes: region.nodes,
                leaves: leaves.collect(),
            }),
        }
    }
    groups.into_iter().map(|group| group.regions).collect()
}

fn same(a: Option<&[Dim]>, b: Option<&[Dim]>) -> bool {
    let values =
        |dims: Option<&[Dim]>| dims.map(|dims| dims.iter().map(Dim::value).collect::<Vec<_>>());
    values(a) == values(b)
}
