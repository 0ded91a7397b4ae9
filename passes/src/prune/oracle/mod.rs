//! The exactness oracle.
//!
//! Channels of weight zero carry nothing, so a model that has them removed computes what the model
//! that has them zeroed computes. There are two ways to zero a channel:
//!
//! * *at its source*: the slices of everything that makes or accompanies it, normalization included.
//!   Whatever function f follows has to keep it zero, f(0) = 0;
//! * *at its readers*: the columns of everything that reads it. Then f may be anything, but every
//!   reader has to have columns.
//!
//! An error in a map between elements shows in at least one of them: the first tells which columns
//! belong to a channel, the second tells which rows.
mod attention;
mod einsum;
mod fixtures;
mod integers;
mod microsoft;
mod models;
mod recurrent;
mod reductions;
mod refusals;
mod selections;
mod wrong;

use super::{Analysis, Axis, ChannelPlan, Grain, Rewrite, Role, Rounding, Selection};
use crate::testing::model;
use lapidary_exec::{RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{ElemType, Graph, Model, Patch, Tensor, ValueId};
use std::collections::BTreeMap;

/// Where channels are zeroed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Source,
    Readers,
}

/// Removes random channels from a model in ONNX text and compares it with the model that has them
/// zeroed, for every way of zeroing listed. Returns what was found out about the model.
fn removes_exactly(source: &str, ways: &[At]) -> String {
    removes_in(source, ways, Grain::default())
}

/// The same with channels of that grain.
fn removes_in(source: &str, ways: &[At], grain: Grain) -> String {
    let original = model(source);
    removes_from(&original, ways, grain)
}

/// The same for a model.
fn removes_from(original: &Model, ways: &[At], grain: Grain) -> String {
    let analysis = Analysis::with(&original.graph, grain);
    for seed in 0..3 {
        let plan = random_plan(&analysis, seed);
        assert!(!plan.is_empty(), "something goes:\n{analysis}\n{plan}");
        let lists: Vec<_> =
            plan.groups.iter().map(|group| group.removed.clone()).enumerate().collect();
        let listed = analysis.plan_removing(&lists).expect("what was chosen can go");
        assert_eq!(listed.axes, plan.axes, "both ways to a plan agree");
        let mut pruned = original.clone();
        plan.apply(&mut pruned).unwrap_or_else(|error| panic!("{error}\n{analysis}"));
        for &way in ways {
            let zeroed = zeroed(original, &analysis, &plan, way);
            assert_same(&zeroed, &pruned, way);
        }
    }
    told(&analysis)
}

/// What was found out about a model the runtime does not run, and the shapes of its constants when
/// a third of every group goes.
fn cuts(source: &str) -> (String, String) {
    let mut model = model(source);
    let analysis = Analysis::of(&model.graph);
    let scores: Vec<Vec<f64>> = analysis.groups.iter().map(|group| vec![0.0; group.size]).collect();
    let selection = Selection { ratio: 0.34, min_channels: 1, round_to: Rounding::To(1) };
    let plan = analysis.plan(&scores, &selection);
    plan.apply(&mut model).unwrap_or_else(|error| panic!("{error}\n{analysis}"));
    let shape = |(value, data): (ValueId, &std::sync::Arc<Tensor>)| {
        format!("{} {:?}", model.graph.value(value).name(), data.dims())
    };
    let shapes: Vec<String> = model.graph.initializers().map(shape).collect();
    (told(&analysis), shapes.join(", "))
}

fn told(analysis: &Analysis) -> String {
    let groups = analysis.groups.iter();
    let told =
        groups.map(|group| format!("{}: {} of {}", group.name, group.removable.len(), group.size));
    told.collect::<Vec<_>>().join("\n")
}

/// About 40 % of every group.
fn random_plan(analysis: &Analysis, seed: u64) -> ChannelPlan {
    let mut state = seed + 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64
    };
    let scores: Vec<Vec<f64>> =
        analysis.groups.iter().map(|group| (0..group.size).map(|_| next()).collect()).collect();
    analysis.plan(&scores, &Selection { ratio: 0.4, min_channels: 1, round_to: Rounding::To(1) })
}

/// The model with the weights of removed channels set to zero.
fn zeroed(model: &Model, analysis: &Analysis, plan: &ChannelPlan, way: At) -> Model {
    let mut data: BTreeMap<ValueId, Vec<f32>> = BTreeMap::new();
    let graph = &model.graph;
    for member in analysis.groups.iter().flat_map(|group| &group.members) {
        if (member.role == Role::Consumer) != (way == At::Readers) {
            continue;
        }
        // Zero points stay: what they stand for is zero already.
        let bits = graph.value(member.place.value).constant().and_then(|c| c.elem_type().bits());
        if member.role == Role::Companion && bits == Some(8) {
            continue;
        }
        for lost in lost(plan, member.place) {
            zero(graph, &mut data, member.place, |index| index[member.place.axis] == lost);
        }
    }
    for rewrite in &plan.rewrites {
        let Rewrite::GroupedColumns { node, kernel, input, groups, .. } = rewrite else { continue };
        let kernel = Axis::new(graph[*node].input(*kernel).expect("a kernel"), 1);
        let dims = graph.value(kernel.value).constant().expect("constant").dims().to_vec();
        let (rows, columns) = (dims[0] as usize / groups, dims[1] as usize);
        if way == At::Readers {
            for lost in lost(plan, *input) {
                let own = |index: &[usize]| index[0] / rows * columns + index[1] == lost;
                zero(graph, &mut data, kernel, own);
            }
        }
    }
    let mut patch = Patch::default();
    for (value, numbers) in data {
        let dims = graph.value(value).constant().expect("constant").dims().to_vec();
        let elem_type = graph.value(value).constant().expect("constant").elem_type();
        patch.set_tensor(value, of_type(elem_type, &dims, &numbers));
    }
    let mut zeroed = model.clone();
    zeroed.graph.apply(patch).expect("the patch applies");
    zeroed
}

fn lost(plan: &ChannelPlan, place: Axis) -> Vec<usize> {
    let axis = plan.axes.iter().find(|axis| axis.place == place);
    axis.map_or(Vec::new(), |axis| (0..axis.size).filter(|i| !axis.keep.contains(i)).collect())
}

/// Zeroes the elements of a constant whose index along every axis is accepted.
fn zero(
    graph: &Graph,
    data: &mut BTreeMap<ValueId, Vec<f32>>,
    place: Axis,
    accept: impl Fn(&[usize]) -> bool,
) {
    let tensor = graph.value(place.value).constant().expect("members are constants");
    let dims: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
    let numbers = data.entry(place.value).or_insert_with(|| numbers(tensor));
    for (flat, number) in numbers.iter_mut().enumerate() {
        let mut index = vec![0; dims.len()];
        let mut rest = flat;
        for axis in (0..dims.len()).rev() {
            index[axis] = rest % dims[axis];
            rest /= dims[axis];
        }
        if accept(&index) {
            *number = 0.0;
        }
    }
}

/// Numbers, integers as the floating-point numbers of the same value.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    let integers = || Some(tensor.to_i64()?.iter().map(|&number| number as f32).collect());
    tensor.to_f32().or_else(integers).expect("numbers")
}

fn of_type(elem_type: ElemType, dims: &[i64], numbers: &[f32]) -> Tensor {
    let bytes: Vec<u8> = match elem_type {
        ElemType::FLOAT => return Tensor::new(dims, numbers),
        ElemType::INT8 => numbers.iter().map(|&number| number as i8 as u8).collect(),
        ElemType::UINT8 => numbers.iter().map(|&number| number as u8).collect(),
        ElemType::INT32 => {
            numbers.iter().flat_map(|&number| (number as i32).to_le_bytes()).collect()
        }
        other => panic!("channels of {other} are not zeroed"),
    };
    Tensor::from_bytes(elem_type, dims.to_vec(), bytes.into()).expect("the sizes agree")
}

fn assert_same(expected: &Model, found: &Model, way: At) {
    let options = RunOptions::default();
    let before = Runner::new(expected, &options).expect("the original loads");
    let after = Runner::new(found, &options).expect("the pruned model loads");
    let inputs = RandomInputs::default().generate(expected).expect("inputs can be made");
    let expected = before.run(&inputs).expect("the original runs");
    let found = after.run(&inputs).expect("the pruned model runs");
    for comparison in compare(&expected, &found).expect("the outputs correspond") {
        assert!(
            comparison.max_rel <= 1e-5 && comparison.mismatched_nans == 0,
            "zeroed at {way:?}, output `{}` differs by {}",
            comparison.name,
            comparison.max_rel
        );
    }
    let flat = expected.iter().all(|(_, tensor)| {
        let numbers = tensor.to_f32().unwrap_or_default();
        numbers.windows(2).all(|pair| pair[0] == pair[1])
    });
    assert!(!flat, "the outputs say something");
}
