//! What stays, and why.
use crate::prune::{Analysis, Norm, PlanError, PruneChannels, Rounding, Selection, importance};
use crate::testing::{model, rewrite};
use crate::{Context, Pass};

/// The reasons channels of a model stay; every group of it stays as a whole.
pub(super) fn reasons(source: &str) -> String {
    let model = model(source);
    let analysis = Analysis::of(&model.graph);
    assert!(analysis.is_fixed(), "nothing can go:\n{analysis}");
    let mut reasons: Vec<&str> =
        analysis.groups.iter().flat_map(|group| &group.pins).map(|(why, _)| why.as_str()).collect();
    reasons.dedup();
    reasons.join("\n")
}

/// A convolution, nodes that read `a` and make `b`, and a convolution again.
pub(super) fn between(nodes: &str, constants: &str) -> String {
    let source = format!(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1 {constants}> {{
            a = Conv(x, w0)
            {nodes}
            y = Conv(b, w1)
        }}"
    );
    let all = reasons(&source);
    all.lines().filter(|line| !line.contains("graph output")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_interface_stays() {
    let source =
        "g (float[2,3,4,4] x) => (float[2,6,4,4] y) <float[6,3,1,1] w0> { y = Conv(x, w0) }";
    assert_eq!(reasons(source), "`y` is a graph output");
    let source =
        "g (float[2,3,4,4] x) => (float[2,3,4,4] y) <float[3,3,1,1] w0, float[4,3,1,1] w1> {
        a = Conv(x, w0)
        y = Add(a, x)
    }";
    assert_eq!(reasons(source), "`x` is a graph input\n`y` is a graph output");
}

#[test]
fn unknown_operators_stop() {
    assert_eq!(between("b = my.Op(a)", ""), "`b` (Op) has no rule for channels");
}

#[test]
fn combinations_of_channels_stop() {
    assert_eq!(
        between("b = Softmax<axis = 1>(a)", ""),
        "`b` (Softmax) combines all elements of the axis"
    );
    assert_eq!(between("b = LRN<size = 3>(a)", ""), "`b` (LRN) reads neighbouring channels");
    assert_eq!(
        between("m = ReduceMean(a, axes)\n b = Sub(a, m)", ", int64[1] axes = {1}"),
        "`m` (ReduceMean) combines all elements of the axis"
    );
    assert_eq!(
        between(
            "t = Transpose<perm = [0, 2, 3, 1]>(a)\n n = LayerNormalization(t, s)\n b = Transpose<perm = [0, 3, 1, 2]>(n)",
            ", float[6] s"
        ),
        "`n` (LayerNormalization) computes statistics over the axis"
    );
}

#[test]
fn inputs_of_unknown_shape_stop() {
    let source = "g (float[2,3,4,4] x, bool c) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6] b0, float[4,6,1,1] w1, int64[1] one = {1}, int64[2] two = {2, 3}> {
        s = If(c) <
            then_branch = t () => (int64[n] p) { p = Identity(one) },
            else_branch = e () => (int64[m] q) { q = Identity(two) }
        >
        r = my.Op(s)
        a = Conv(x, w0, r)
        y = Conv(a, w1)
    }";
    let found = reasons(source);
    assert!(found.contains("`a` (Conv) slides a window over the axis"), "{found}");
}

#[test]
fn data_dependent_choices_stop() {
    let source = "g (float[2,3,4,4] x, int64[6] i) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
        a = Conv(x, w0)
        b = Gather<axis = 1>(a, i)
        y = Conv(b, w1)
    }";
    assert!(reasons(source).contains("`b` (Gather) picks elements by their data"));
}

#[test]
fn sizes_read_at_run_time_stop() {
    let reasons = between("s = Shape(a)\n b = Reshape(a, s)", "");
    assert!(
        reasons.contains("`s` (Shape) reads the size at run time; run `optimize` first"),
        "{reasons}"
    );
}

#[test]
fn one_slice_gathers_along_one_axis() {
    let reasons = between(
        "t = Transpose<perm = [0, 2, 3, 1]>(a)
         c = Conv(x, w2)
         m = MatMul(c, u)
         n = MatMul(t, m)
         s = Slice(n, zero, end, axes, steps)
         b = Reshape(s, shape)",
        ", float[4,3,1,1] w2, float[4,6] u, int64[2] zero = {0, 0}, int64[2] end = {4, 6}, int64[2] axes = {1, 3},
         int64[2] steps = {2, 2}, int64[4] shape = {2, 6, 2, 2}",
    );
    assert!(reasons.contains("slices with a step other than 1"), "{reasons}");
}

#[test]
fn captured_values_stay() {
    let source = "g (float[2,3,4,4] x, bool c) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
        a = Conv(x, w0)
        b = If(c) <
            then_branch = t () => (float[2,6,4,4] p) { p = Relu(a) },
            else_branch = e () => (float[2,6,4,4] q) { q = Neg(a) }
        >
        y = Conv(b, w1)
    }";
    assert!(reasons(source).contains("`b` (If) is read inside a subgraph"));
}

#[test]
fn a_scalar_index_holds_one_channel() {
    let model = model(
        "g (float[2,3,4,4] x) => (float[2,4,4] y) <float[6,3,1,1] w0, int64 i = {2}> {
            a = Conv(x, w0)
            b = Gather<axis = 1>(a, i)
            y = Concat<axis = 1>(b)
        }",
    );
    let analysis = Analysis::of(&model.graph);
    assert_eq!(analysis.groups[0].removable, [0, 1, 3, 4, 5]);
    let held = analysis.plan_removing(&[(0, vec![2])]);
    assert_eq!(held, Err(PlanError::Held { group: "a".into(), channel: 2 }));
}

#[test]
fn no_axis_loses_all_its_channels() {
    let model = model(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            y = Conv(a, w1)
        }",
    );
    let analysis = Analysis::of(&model.graph);
    let scores = importance(&model.graph, &analysis, Norm::L1);
    let kept = |ratio, min_channels, round_to| {
        let round_to = Rounding::To(round_to);
        let plan = analysis.plan(&scores, &Selection { ratio, min_channels, round_to });
        6 - plan.groups[0].removed.len()
    };
    assert_eq!(kept(1.0, 0, 0), 1);
    assert_eq!(kept(1.0, 3, 1), 3);
    assert_eq!(kept(0.5, 1, 1), 3);
    assert_eq!(kept(0.5, 1, 4), 4);
    assert_eq!(kept(0.3, 1, 1), 5);
    let all = analysis.plan_removing(&[(0, (0..6).collect())]);
    assert_eq!(all, Err(PlanError::Empties { group: "a".into(), channel: 5 }));
}

#[test]
fn blocks_of_different_size_are_refused() {
    let model = model(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,3,1,1] w1, float[4,4,1,1] w2> {
            a = Conv(x, w0)
            b = Conv<group = 2>(a, w1)
            y = Conv(b, w2)
        }",
    );
    let analysis = Analysis::of(&model.graph);
    let uneven = analysis.plan_removing(&[(0, vec![0, 1])]);
    assert_eq!(uneven, Err(PlanError::Unbalanced { group: "a".into(), blocks: 2 }));
    assert!(analysis.plan_removing(&[(0, vec![0, 4])]).is_ok());
}

#[test]
fn what_goes_and_what_stays_is_told() {
    let report = rewrite(
        &PruneChannels { ratio: 0.3, ..PruneChannels::default() },
        "g (float[1,1,2,2] x) => (float[1,2,2,2] y)
        <float[4,1,1,1] w1 = {4, -1, 3, -2}, float[2,4,1,1] w2 = {1, 2, 3, 4, 5, 6, 7, 8}> {
            a = Conv(x, w1)
            b = Relu(a)
            y = Conv(b, w2)
        }",
    );
    insta::assert_snapshot!(report, @r"
    prune-channels: 1 rewrites
    skipped 1: `y` is a graph output
    g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    <float[3,1,1,1] w1 = {4, 3, -2}, float[2,3,1,1] w2 = {1, 3, 4, 5, 7, 8}>
    {
        a = Conv(x, w1)
        b = Relu(a)
        y = Conv(b, w2)
    }
    ");
}

#[test]
fn nothing_to_prune_is_told() {
    for (source, why) in [
        ("g (float[2] x) => (float[2] y) { y = Relu(x) }", "no weight makes channels"),
        (
            "g (float[2,3,4,4] x) => (float[2,6,4,4] y) <float[6,3,1,1] w0> { y = Conv(x, w0) }",
            "`y` is a graph output",
        ),
    ] {
        let mut model = model(source);
        let mut context = Context::default();
        let pass = PruneChannels { ratio: 0.5, ..PruneChannels::default() };
        pass.run(&mut model, &mut context).expect("the pass runs");
        assert_eq!(context.records[0].rewrites, 0);
        assert_eq!(context.records[0].skips.keys().collect::<Vec<_>>(), [why]);
    }
}
