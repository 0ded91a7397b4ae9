//! Operators that combine elements, and statistics over them.
use super::At::{Readers, Source};
use super::refusals::{between, reasons};
use super::{cuts, removes_exactly};

const BOTH: &[super::At] = &[Source, Readers];

#[test]
fn sums_over_channels_are_exact_without_zeros() {
    for op_type in ["ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"] {
        let found = removes_exactly(
            &format!(
                "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
                <float[6,3,1,1] w0, int64[1] axes = {{1}}, float[4,6,1,1] w1> {{
                    a = Conv(x, w0)
                    n = {op_type}(a, axes)
                    p = Add(n, n)
                    b = Mul(a, p)
                    y = Conv(b, w1)
                }}"
            ),
            &[Source],
        );
        assert_eq!(found, "a: 6 of 6\ny: 0 of 4", "{op_type}");
    }
}

#[test]
fn other_reductions_of_channels_stop() {
    for op_type in ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp"] {
        let node = format!("m = {op_type}(a, axes)\n b = Sub(a, m)");
        let expected = format!("`m` ({op_type}) combines all elements of the axis");
        assert_eq!(between(&node, ", int64[1] axes = {1}"), expected);
    }
    assert_eq!(
        between("c = Constant<value_int = 1>()\n b = CumSum(a, c)", ""),
        "`b` (CumSum) combines all elements of the axis"
    );
    let source = "g (float[2,3,4,4] x) => (int64[2,1,4,4] y) <float[6,3,1,1] w0> {
        a = Conv(x, w0)
        y = ArgMax<axis = 1>(a)
    }";
    assert!(reasons(source).contains("`y` (ArgMax) combines all elements of the axis"));
}

#[test]
fn a_norm_over_channels_is_the_same_without_zeros() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = LpNormalization<axis = 1, p = 2>(a)
            y = Conv(b, w1)
        }",
        &[Source],
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn statistics_of_single_channels() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = MeanVarianceNormalization(a)
            y = Conv(b, w1)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(
        between("b = MeanVarianceNormalization<axes = [1, 2, 3]>(a)", ""),
        "`b` (MeanVarianceNormalization) computes statistics over the axis"
    );
}

#[test]
fn statistics_of_every_position_stop() {
    let found = reasons(
        "<ir_version: 3, opset_import: [\"\" : 8]>
        g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,4,4] s, float[6,4,4] h, float[6,4,4] m, float[6,4,4] v, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = BatchNormalization<spatial = 0>(a, s, h, m, v)
            y = Conv(b, w1)
        }",
    );
    assert!(
        found.contains("`b` (BatchNormalization) computes statistics over the axis"),
        "{found}"
    );
}

#[test]
fn statistics_over_channels_stop() {
    let found = reasons(
        "<ir_version: 11, opset_import: [\"\" : 23]>
        g (float[5,3] x) => (float[5,4] y) <float[3,6] w0, float[6] s, float[6,4] w1> {
            a = MatMul(x, w0)
            n = RMSNormalization(a, s)
            y = MatMul(n, w1)
        }",
    );
    assert!(found.contains("`n` (RMSNormalization) computes statistics over the axis"), "{found}");
}

#[test]
fn positions_of_maxima_count_channels() {
    let source = |outputs: &str, more: &str, after: &str| {
        format!(
            "g (float[2,3,4,4] x) => (float[2,4,4,4] y {more}) <float[6,3,1,1] w0, float[4,6,1,1] w1> {{
                a = Conv(x, w0)
                {outputs} = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
                {after}
                y = Conv(u, w1)
            }}"
        )
    };
    let stops = "`b` (MaxPool) tells positions, which count channels";
    let unpooled = "u = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(b, i)";
    let found = reasons(&source("b, i", "", unpooled));
    assert!(found.contains(stops), "{found}");
    let found = between(
        "u = MaxUnpool<kernel_shape = [1, 1], strides = [1, 1]>(a, i)\n b = Relu(u)",
        ", int64[2,6,4,4] i",
    );
    assert_eq!(found, "`u` (MaxUnpool) has no rule for channels");
    let resized = "s = Constant<value_floats = [1.0, 1.0, 2.0, 2.0]>()
        u = Resize<mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\">(b, , s)";
    let found = reasons(&source("b, i", ", int64[2,6,2,2] i", resized));
    assert!(found.contains(stops), "{found}");
    let found = removes_exactly(&source("b, unread", "", resized), BOTH);
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn pools_of_every_kind() {
    for pool in
        ["GlobalMaxPool(a)", "GlobalLpPool<p = 2>(a)", "AveragePool<kernel_shape = [4, 4]>(a)"]
    {
        let found = removes_exactly(
            &format!(
                "g (float[2,3,4,4] x) => (float[2,4,1,1] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {{
                    a = Conv(x, w0)
                    b = {pool}
                    y = Conv(b, w1)
                }}"
            ),
            BOTH,
        );
        assert_eq!(found, "a: 6 of 6\ny: 0 of 4", "{pool}");
    }
    let (found, cut) = cuts(
        "g (float[2,3,4,4] x) => (float[2,4,1,1] y) <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = LpPool<kernel_shape = [4, 4]>(a)
            y = Conv(b, w1)
        }",
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(cut, "w0 [4, 3, 1, 1], w1 [4, 4, 1, 1]");
}

#[test]
fn normalization_of_groups_loses_whole_groups() {
    for (opset, scales) in [(18, 3), (21, 6)] {
        let found = removes_exactly(
            &format!(
                "<ir_version: 10, opset_import: [\"\" : {opset}]>
                g (float[2,3,4,4] x) => (float[2,4,4,4] y)
                <float[6,3,1,1] w0, float[{scales}] s, float[{scales}] h, float[4,6,1,1] w1> {{
                    a = Conv(x, w0)
                    b = GroupNormalization<num_groups = 3>(a, s, h)
                    y = Conv(b, w1)
                }}"
            ),
            BOTH,
        );
        assert_eq!(found, "a: 3 of 3\ny: 0 of 4", "{opset}");
    }
}
