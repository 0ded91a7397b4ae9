//! Files that say which channels stay.
use crate::{Error, save_text};
use lapidary_ir::{Graph, Model, ValueId};
use lapidary_passes::prune::{
    AxisPlan, ChannelPlan, CutWeight, Keep, KeptElements, NodeNumbers, Rewrite, node_numbers,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The version of the files; it grows when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// What has to stand in a file.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    schema_version: Option<u32>,
    groups: Vec<WantedGroup>,
}

#[derive(Deserialize)]
struct WantedGroup {
    name: String,
    #[serde(default)]
    size: Option<usize>,
    keep: Vec<usize>,
}

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    schema_version: u32,
    groups: Vec<Group<'a>>,
    /// Axes of initializers of the model as it was given.
    weights: Vec<Weight>,
    /// Axes of initializers that were computed from those of the model.
    computed: Vec<Weight>,
    /// Integers of nodes.
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    size: usize,
    keep: Vec<usize>,
    removed: &'a [usize],
}

#[derive(Serialize)]
struct Weight {
    name: String,
    axis: usize,
    /// The extent of the axis.
    size: usize,
    /// Indices along the axis, ascending.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<Vec<usize>>,
    /// Indices along the axis for each group of a convolution: of the rows of the group only these columns stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_by_group: Option<Vec<Vec<usize>>>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    op_type: String,
    /// The name of the attribute, or `input N`.
    place: String,
    before: Vec<i64>,
    after: Vec<i64>,
}

/// Reads which channels stay.
///
/// # Errors
/// When the file can't be read or does not say it.
pub fn read_keep(path: &Path) -> Result<Vec<Keep>, Error> {
    let bytes =
        fs::read(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
    let fault = |problem: String| Error::KeepFile { path: path.to_owned(), problem };
    let wanted: Wanted =
        serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    if let Some(version) = wanted.schema_version.filter(|&version| version != VERSION) {
        return Err(fault(format!("its version is {version}, expected {VERSION}")));
    }
    let group = |WantedGroup { name, size, keep }| Keep { name, size, keep };
    Ok(wanted.groups.into_iter().map(group).collect())
}

/// Writes which channels stay of `base`, the model the plan was made for, and what is cut by it of the initializers of
/// `original`, the model as it was given.
///
/// # Errors
/// When the plan is not one of the model, or the file can't be written; an older file is then as it was.
pub fn write_keep(
    path: &Path,
    original: &Model,
    base: &Model,
    plan: &ChannelPlan,
) -> Result<(), Error> {
    let mut cut = base.clone();
    plan.apply(&mut cut).map_err(|error| Error::Prune(error.into()))?;
    let group = |group: &lapidary_passes::prune::GroupPlan| -> Vec<usize> {
        (0..group.size).filter(|channel| group.removed.binary_search(channel).is_err()).collect()
    };
    let groups = plan.groups.iter().map(|planned| Group {
        name: &planned.name,
        size: planned.size,
        keep: group(planned),
        removed: &planned.removed,
    });
    let (weights, computed) = weights(&original.graph, &base.graph, plan);
    let nodes = node_numbers(&base.graph, &cut.graph).into_iter();
    let node = |NodeNumbers { node, op_type, place, before, after }| Node {
        name: node,
        op_type,
        place,
        before,
        after,
    };
    let written = Written {
        schema_version: VERSION,
        groups: groups.collect(),
        weights: weights.into_iter().map(Weight::from).collect(),
        computed: computed.into_iter().map(Weight::from).collect(),
        nodes: nodes.map(node).collect(),
    };
    let text = serde_json::to_string_pretty(&written)
        .map_err(|error| Error::KeepFile { path: path.to_owned(), problem: error.to_string() })?;
    save_text(&(text + "\n"), path)
}

impl From<CutWeight> for Weight {
    fn from(cut: CutWeight) -> Self {
        let CutWeight { name, axis, size, keep } = cut;
        let (keep, keep_by_group) = match keep {
            KeptElements::Everywhere(keep) => (Some(keep), None),
            KeptElements::ByGroup(keep) => (None, Some(keep)),
        };
        Self { name, axis, size, keep, keep_by_group }
    }
}

/// What is cut of initializers the original has, under all names it has for them, and what of others.
fn weights(original: &Graph, base: &Graph, plan: &ChannelPlan) -> (Vec<CutWeight>, Vec<CutWeight>) {
    let copies = copies(original);
    let mut own = uniform(original, base, plan, &copies);
    let mut seen: BTreeSet<(String, usize)> =
        own.iter().map(|cut| (cut.name.clone(), cut.axis)).collect();
    let mut computed = Vec::new();
    for cut in plan.cut_weights(base) {
        let source = copies.iter().find(|(_, names)| names.contains(&cut.name));
        let same = source.filter(|(source, _)| {
            let size = original
                .find(source)
                .and_then(|value| original.constant(value)?.dims().get(cut.axis).copied());
            size == i64::try_from(cut.size).ok()
        });
        let Some((_, names)) = same else {
            computed.push(cut);
            continue;
        };
        for name in names {
            if seen.insert((name.clone(), cut.axis)) {
                own.push(CutWeight { name: name.clone(), ..cut.clone() });
            }
        }
    }
    own.extend(summands(original, plan, &seen, &copies));
    (own, computed)
}

/// What is cut of vectors of one number that several nodes share, each of which is cut otherwise: by the names that they
/// have for it in the original.
fn uniform(
    original: &Graph,
    base: &Graph,
    plan: &ChannelPlan,
    copies: &BTreeMap<String, Vec<String>>,
) -> Vec<CutWeight> {
    let mut cuts: Vec<CutWeight> = Vec::new();
    for rewrite in &plan.rewrites {
        let Rewrite::Uniform { node, value, axis } = rewrite else { continue };
        let (label, shared) = (base[*node].label(base), base.value(*value).name());
        let names = copies.values().find(|names| names.iter().any(|name| name == shared));
        let kept = plan.axes.iter().find(|cut| cut.place == *axis);
        let reader = original.nodes().find(|(_, own)| own.label(original) == label);
        let (Some(names), Some(kept), Some((_, reader))) = (names, kept, reader) else { continue };
        for &read in reader.inputs().iter().flatten() {
            let name = original.value(read).name();
            let known = cuts.iter().any(|cut| cut.name == name);
            if !known && names.iter().any(|own| own == name) {
                let keep = KeptElements::Everywhere(kept.keep.clone());
                cuts.push(CutWeight { name: name.to_owned(), axis: 0, size: kept.size, keep });
            }
        }
    }
    cuts
}

/// What is cut of parameters that passes leave out since they add nothing: biases that are zero.
fn summands(
    original: &Graph,
    plan: &ChannelPlan,
    seen: &BTreeSet<(String, usize)>,
    copies: &BTreeMap<String, Vec<String>>,
) -> Vec<CutWeight> {
    let kept = |value: ValueId, axis: usize| {
        let name = original.value(value).name();
        plan.axes.iter().find(|cut| cut.value == name && cut.place.axis == axis)
    };
    let mut cuts: Vec<CutWeight> = Vec::new();
    for id in original.topological_order() {
        let node = &original[id];
        let last = |value: ValueId| original.value(value).shape()?.len().checked_sub(1);
        for (slot, summand) in node.inputs().iter().enumerate() {
            let Some(summand) = *summand else { continue };
            let name = original.value(summand).name().to_owned();
            let known = copies.values().any(|names| names.contains(&name));
            if !known
                || seen.contains(&(name.clone(), 0))
                || cuts.iter().any(|cut| cut.name == name)
            {
                continue;
            }
            let sums = node.inputs().iter().chain(node.outputs()).copied().flatten();
            let found = match (node.op_type.as_str(), slot) {
                ("Conv" | "ConvTranspose" | "Gemm", 2) => {
                    node.output(0).and_then(|output| kept(output, 1))
                }
                ("Add" | "Sub", _) => {
                    let mut others = sums.filter(|&value| value != summand);
                    others.find_map(|value| kept(value, last(value)?))
                }
                _ => None,
            };
            let dims = original.value(summand).shape().map(<[_]>::to_vec).unwrap_or_default();
            let extent = |cut: &&AxisPlan| {
                dims.len() == 1
                    && dims[0].value().and_then(|dim| usize::try_from(dim).ok()) == Some(cut.size)
            };
            if let Some(cut) = found.filter(extent) {
                let keep = KeptElements::Everywhere(cut.keep.clone());
                cuts.push(CutWeight { name, axis: 0, size: cut.size, keep });
            }
        }
    }
    cuts
}

/// The initializers of a graph, each with its name and those of its copies: an exporter stores parameters of equal
/// numbers once, and writes `Identity` for the others.
fn copies(graph: &Graph) -> BTreeMap<String, Vec<String>> {
    let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (value, _) in graph.initializers() {
        let name = graph.value(value).name().to_owned();
        copies.insert(name.clone(), vec![name]);
    }
    for id in graph.topological_order() {
        let node = &graph[id];
        let (true, Some(from), Some(to)) = (node.is("Identity"), node.input(0), node.output(0))
        else {
            continue;
        };
        let (from, to) = (graph.value(from).name(), graph.value(to).name().to_owned());
        let source = copies.values_mut().find(|names| names.iter().any(|name| name == from));
        if let Some(names) = source {
            names.push(to);
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::text;
    use lapidary_passes::prune::Analysis;

    fn model(source: &str) -> Model {
        let mut model = text::parse(source).expect("the text is a model");
        model.graph.infer();
        model
    }

    #[test]
    fn copies_of_a_parameter_are_cut_under_every_name() {
        let original = model(
            "g (float[1,2,4,4] x) => (float[1,2,4,4] y)
            <float[3,2,1,1] w, float[3] b, float[3,3,1,1] u, float[2,3,1,1] v>
            {
                c = Identity(b)
                a = Conv(x, w, b)
                r = Relu(a)
                d = Conv(r, u, c)
                e = Add(d, r)
                y = Conv(e, v)
            }",
        );
        let base = model(
            "g (float[1,2,4,4] x) => (float[1,2,4,4] y)
            <float[3,2,1,1] w, float[3] b, float[3,3,1,1] u, float[2,3,1,1] z>
            {
                a = Conv(x, w, b)
                r = Relu(a)
                d = Conv(r, u, b)
                e = Add(d, r)
                y = Conv(e, z)
            }",
        );
        let plan = Analysis::of(&base.graph).plan_removing(&[(0, vec![1])]).expect("it can go");
        let (own, computed) = weights(&original.graph, &base.graph, &plan);
        let names = |cuts: &[CutWeight]| {
            let name = |cut: &CutWeight| format!("{} {}", cut.name, cut.axis);
            cuts.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&own), ["w 0", "b 0", "c 0", "u 0", "u 1"]);
        assert_eq!(names(&computed), ["z 1"]);
    }

    #[test]
    fn biases_that_add_nothing_are_cut_too() {
        let source = "g (float[1,2,4,4] x) => (float[1,2,4,4] y)
            <float[3,2,1,1] w, float[3] b = {0, 0, 0}, float[2,3,1,1] v, float[2] c = {0, 0}>
            { a = Conv(x, w, b) r = Relu(a) y = Conv(r, v, c) }";
        let original = model(source);
        let base = model(&source.replace("w, b)", "w)").replace("v, c)", "v)"));
        let plan = Analysis::of(&base.graph).plan_removing(&[(0, vec![1])]).expect("it can go");
        let (own, _) = weights(&original.graph, &base.graph, &plan);
        let bias = own.last().expect("there are cuts");
        assert_eq!((bias.name.as_str(), bias.axis, bias.size), ("b", 0, 3));
        assert_eq!(bias.keep, KeptElements::Everywhere(vec![0, 2]));
        assert_eq!(own.len(), 3);
    }
}
