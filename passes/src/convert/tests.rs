//! The tables against the schemas, and what the adapters write.
use super::change::Change;
use super::{ConvertError, ConvertOpset, FAMILIES, find};
use crate::testing::{assert_same_outputs, parse, print};
use crate::{Accuracy, driver};
use insta::assert_snapshot;
use lapidary_ir::schema;
use std::collections::BTreeSet;

/// Every version of every operator that is newer than the oldest one that is converted, with the
/// version before.
fn changes()
-> impl Iterator<Item = (&'static str, &'static schema::Version, &'static schema::Version)> {
    schema::operators().iter().flat_map(|operator| {
        let pairs = operator.versions.iter().zip(operator.versions.iter().skip(1));
        pairs.filter(|(_, new)| new.since > 7).map(|(old, new)| (operator.name, old, new))
    })
}

#[test]
fn every_change_of_an_operator_is_in_the_tables_once() {
    let mut listed = BTreeSet::new();
    for entry in FAMILIES.iter().copied().flatten() {
        for op_type in entry.op_types {
            assert!(
                listed.insert((*op_type, entry.since)),
                "{op_type} {} is there twice",
                entry.since
            );
        }
    }
    let expected: BTreeSet<_> = changes().map(|(name, _, new)| (name, new.since)).collect();
    let missing: Vec<_> = expected.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&expected).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, invented {invented:?}"
    );
}

#[test]
fn what_is_the_same_takes_at_least_what_it_took() {
    for (name, old, new) in changes() {
        let Some(Change::Same(reason)) = find(name, new.since) else { continue };
        let place = format!("{name} {}: {reason}", new.since);
        assert!(!reason.is_empty() && !new.deprecated, "{place}");
        assert!(new.inputs.0 <= old.inputs.0 && new.inputs.1 >= old.inputs.1, "{place}");
        assert!(new.outputs.0 <= old.outputs.0 && new.outputs.1 >= old.outputs.1, "{place}");
        for fact in old.attributes {
            let now = new.attribute(fact.name).unwrap_or_else(|| panic!("{place}: {}", fact.name));
            assert_eq!(
                (now.kind, now.default),
                (fact.kind, fact.default),
                "{place}: {}",
                fact.name
            );
        }
        let known = |fact: &&schema::AttributeFact| old.attribute(fact.name).is_some();
        assert!(
            new.attributes.iter().filter(|fact| fact.required).all(|fact| known(&fact)),
            "{place}"
        );
    }
}

/// The converted model as text; it must compute the same.
fn converted(target: i64, source: &str) -> String {
    let model = convert(target, source);
    assert_same_outputs(&parse(source), &model, Accuracy::Exact);
    print(&model)
}

fn convert(target: i64, source: &str) -> lapidary_ir::Model {
    let mut model = parse(source);
    model.graph.infer();
    ConvertOpset { target }.convert(&mut model).expect("it can be converted");
    driver::check("convert-opset", &model).expect("the result is valid");
    assert_eq!(model.opsets().standard(), Some(target));
    model
}

fn refused(target: i64, source: &str) -> String {
    let mut model = parse(source);
    model.graph.infer();
    let before = model.encode();
    let error = ConvertOpset { target }.convert(&mut model).expect_err("it is refused");
    assert_eq!(model.encode(), before, "nothing is changed");
    error.to_string()
}

fn opset(version: i64, graph: &str) -> String {
    format!("<ir_version: 4, opset_import: [\"\" : {version}]>\n{graph}")
}

#[test]
fn attributes_become_inputs() {
    let source = opset(
        9,
        "g (float[2,3,4] x) => (float[1,2] y, float[1,1,2] z, float[2,4] w)
        {
            c = Clip <min = 0.0> (x)
            s = Slice <starts = [0, 1], ends = [1, 3], axes = [0, 2]> (c)
            p, q = Split <axis = 1, split = [1, 2]> (s)
            p2 = Pad <pads = [0, 0, 0, 0, 0, 0], value = 1.0> (p)
            y = Squeeze <axes = [1]> (p2)
            z = Unsqueeze <axes = [0]> (y)
            m = ReduceMean <axes = [1], keepdims = 0> (x)
            w, n = Dropout <ratio = 0.25> (m)
        }",
    );
    assert_snapshot!(converted(23, &source), @r"
    g (float[2,3,4] x) => (float[1,2] y, float[1,1,2] z, float[2,4] w)
    <int64[2] s_starts = {0, 1}, int64[2] s_ends = {1, 3}, int64[2] s_axes = {0, 2}, float c_min = {0},
        float c_max = {3.4028235e38}, int64[6] p2_pads = {0, 0, 0, 0, 0, 0}, float p2_value = {1},
        float w_ratio = {0.25}, int64[2] p_split = {1, 2}, int64[1] y_axes = {1}, int64[1] z_axes = {0},
        int64[1] m_axes = {1}>
    {
        c = Clip(x, c_min, c_max)
        s = Slice(c, s_starts, s_ends, s_axes)
        p, q = Split <axis = 1> (s, p_split)
        p2 = Pad(p, p2_pads, p2_value)
        y = Squeeze(p2, y_axes)
        z = Unsqueeze(y, z_axes)
        m = ReduceMean <keepdims = 0> (x, m_axes)
        w, n = Dropout(m, w_ratio)
    }
    ");
    let source = opset(
        9,
        "g (float[2,3,4] x) => (float[2,3,1] t, int64[2,3,1] i)
        { t, i = TopK <axis = 2, k = 1> (x) }",
    );
    assert_snapshot!(print(&convert(23, &source)), @r"
    g (float[2,3,4] x) => (float[2,3,1] t, int64[2,3,1] i)
    <int64[1] t_k = {1}>
    {
        t, i = TopK <axis = 2> (x, t_k)
    }
    ");
}

#[test]
fn a_softmax_over_several_axes_is_flattened() {
    let source = opset(
        11,
        "g (float[2,3,4] x, float[2,3,1] z) => (float[2,3,4] y, float[2,3,1] w, float[2,3,4] v)
        { y = Softmax(x) w = LogSoftmax(z) v = Softmax <axis = 2> (x) }",
    );
    assert_snapshot!(converted(13, &source), @r"
    g (float[2,3,4] x, float[2,3,1] z) => (float[2,3,4] y, float[2,3,1] w, float[2,3,4] v)
    {
        y_flatten = Flatten <axis = 1> (x)
        y_softmax = Softmax <axis = -1> (y_flatten)
        y_shape = Shape(x)
        y = Reshape(y_softmax, y_shape)
        w = LogSoftmax <axis = 1> (z)
        v = Softmax <axis = 2> (x)
    }
    ");
}

#[test]
fn an_upsample_becomes_a_resize() {
    let source = opset(
        8,
        "g (float[1,1,2,2] x) => (float[1,1,4,4] y)
        { y = Upsample <mode = \"nearest\", scales = [1.0, 1.0, 2.0, 2.0]> (x) }",
    );
    assert_snapshot!(print(&convert(19, &source)), @r#"
    g (float[1,1,2,2] x) => (float[1,1,4,4] y)
    <float[4] y_scales = {1, 1, 2, 2}>
    {
        y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , y_scales)
    }
    "#);
}

#[test]
fn defaults_that_changed_are_written_down() {
    let source = opset(18, "g (float[1,4,2,2] x, float[2] s, float[2] b, float[1,3,3,2] grid) => (float[1,4,2,2] y, float[1,4,3,3] z)
        {
            y = GroupNormalization <num_groups = 2> (x, s, b)
            z = GridSample(x, grid)
        }");
    assert_snapshot!(print(&convert(21, &source)), @r#"
    g (float[1,4,2,2] x, float[2] s, float[2] b, float[1,3,3,2] grid) => (float[1,4,2,2] y,
        float[1,4,3,3] z)
    <int64[2] y_column = {2, 1}, int64[2] y_table = {2, 2}, int64[1] y_row = {4}>
    {
        y_scale_column = Reshape(s, y_column)
        y_scale_expand = Expand(y_scale_column, y_table)
        y_scale_reshape = Reshape(y_scale_expand, y_row)
        y_bias_column = Reshape(b, y_column)
        y_bias_expand = Expand(y_bias_column, y_table)
        y_bias_reshape = Reshape(y_bias_expand, y_row)
        y = GroupNormalization <num_groups = 2> (x, y_scale_reshape, y_bias_reshape)
        z = GridSample <mode = "linear"> (x, grid)
    }
    "#);
}

#[test]
fn subgraphs_are_converted_too() {
    let source = opset(
        12,
        "g (float[1,3] x, bool c) => (float[3] y)
        {
            y = If (c) <
                then_branch = t () => (float[3] u) { u = Squeeze <axes = [0]> (x) },
                else_branch = e () => (float[3] v) { v = ReduceSum <axes = [0], keepdims = 0> (x) }
            >
        }",
    );
    assert_snapshot!(print(&convert(21, &source)), @r"
    g (float[1,3] x, bool c) => (float[3] y)
    {
        y = If(c) <
            then_branch = t () => (float[3] u)
            <int64[1] u_axes = {0}>
            {
                u = Squeeze(x, u_axes)
            },
            else_branch = e () => (float[3] v)
            <int64[1] v_axes = {0}>
            {
                v = ReduceSum <keepdims = 0> (x, v_axes)
            }
        >
    }
    ");
}

#[test]
fn equal_parts_are_counted() {
    let source = opset(13, "g (float[4] x) => (float[2] y, float[2] z) { y, z = Split(x) }");
    assert_snapshot!(converted(18, &source), @r"
    g (float[4] x) => (float[2] y, float[2] z)
    {
        y, z = Split <num_outputs = 2> (x)
    }
    ");
}

#[test]
fn pools_without_windows_beyond_the_input_are_the_same() {
    let source = opset(
        12,
        "g (float[1,1,5,5] x) => (float[1,1,3,3] y)
        { y = MaxPool <ceil_mode = 1, kernel_shape = [2, 2], strides = [2, 2]> (x) }",
    );
    assert_snapshot!(converted(22, &source), @r"
    g (float[1,1,5,5] x) => (float[1,1,3,3] y)
    {
        y = MaxPool <ceil_mode = 1, kernel_shape = [2, 2], strides = [2, 2]> (x)
    }
    ");
}

#[test]
fn what_is_not_known_to_be_the_same_is_refused_with_every_node() {
    let source = opset(
        9,
        "g (float[1,2,3,3] x, int64[2] i) => (float[1,2,3,3] y, float[2,5] z)
        <float[2,3,3] s, float[2] w, int64 depth = {5}, float[2] values = {0, 1}>
        {
            [norm] y, m, v, sm, sv = BatchNormalization(x, w, w, w, w)
            z = OneHot(i, depth, values)
        }",
    );
    assert_snapshot!(refused(21, &source), @"2 nodes can't be converted: `z` (OneHot): since opset 11, negative indices, if there are any, mean something now; `norm` (BatchNormalization): since opset 14, it is trained, which is written and computed differently");
    let pool = opset(
        18,
        "g (float[1,1,N,N] x) => (float[1,1,M,M] y)
        { y = AveragePool <ceil_mode = 1, kernel_shape = [2, 2], strides = [2, 2]> (x) }",
    );
    assert_snapshot!(refused(19, &pool), @"1 node can't be converted: `y` (AveragePool): since opset 19, its size is rounded up (ceil_mode), and the windows beyond the input are not known to be the same");
}

#[test]
fn versions_are_only_raised_to_known_ones() {
    let source = opset(12, "g (float[2] x) => (float[2] y) { y = Relu(x) }");
    assert_snapshot!(refused(11, &source), @"the model imports opset 12, which is newer than 11: versions are only raised");
    assert_snapshot!(refused(99, &source), @"opset 99 is not known, the newest is 27");
    let old = opset(6, "g (float[2] x) => (float[2] y) { y = Relu(x) }");
    assert_snapshot!(refused(11, &old), @"the model imports opset 6, the oldest that is converted is 7");
    let mut model = parse(&source);
    assert_eq!(ConvertOpset { target: 12 }.convert(&mut model), Ok::<_, ConvertError>(0));
}

#[test]
fn empty_parts_are_given_by_their_sizes() {
    let source = opset(13, "g (float[0,2] x) => (float[0,2] y) { y = Split <axis = 0> (x) }");
    assert_snapshot!(converted(18, &source), @r"
    g (float[0,2] x) => (float[0,2] y)
    <int64[1] y_split = {0}>
    {
        y = Split <axis = 0> (x, y_split)
    }
    ");
}
