//! Operators that pick, pad, resize and repeat elements.
use super::At::{Readers, Source};
use super::refusals::{between, reasons};
use super::{cuts, removes_exactly};
use crate::prune::PruneChannels;
use crate::testing::rewrite;

const BOTH: &[super::At] = &[Source, Readers];

#[test]
fn every_other_channel_backwards() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,2] y)
        <float[9,3,1,1] w0, int64[2] starts = {-1, 0}, int64[2] ends = {-9223372036854775807, 2},
         int64[2] axes = {1, 3}, int64[2] steps = {-2, 1}, float[4,5,1,1] w1> {
            a = Conv(x, w0)
            b = Slice(a, starts, ends, axes, steps)
            y = Conv(b, w1)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 9 of 9\ny: 0 of 4");
}

#[test]
fn channels_taken_apart_by_steps() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[8,3,1,1] w0, int32[1] zero = {0}, int32[1] one = {1}, int32[1] end = {8},
         int32[1] axis = {1}, int32[1] two = {2}, float[4,4,1,1] w1> {
            a = Conv(x, w0)
            b = Slice(a, zero, end, axis, two)
            c = Slice(a, one, end, axis, two)
            d = Mul(b, c)
            y = Conv(d, w1)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 4 of 4\ny: 0 of 4");
}

#[test]
fn a_slice_with_a_step_becomes_a_gather() {
    let report = rewrite(
        &PruneChannels { ratio: 0.25, ..PruneChannels::default() },
        "g (float[1,1,2,2] x) => (float[1,1,2,2] y)
        <float[4,1,1,1] w1 = {4, -1, 3, -2}, int64[1] zero = {0}, int64[1] four = {4}, int64[1] one = {1},
         int64[1] two = {2}, float[1,4,1,1] w2 = {1, 2, 3, 4}, float[1,2,1,1] w3 = {5, 6}> {
            a = Conv(x, w1)
            b = Slice(a, zero, four, one, two)
            c = Conv(a, w2)
            d = Conv(b, w3)
            y = Add(c, d)
        }",
    );
    insta::assert_snapshot!(report, @r"
    prune-channels: 1 rewrites
    skipped 2: the group is too small for the ratio
    g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[3,1,1,1] w1 = {4, 3, -2}, float[1,3,1,1] w2 = {1, 3, 4}, float[1,2,1,1] w3 = {5, 6},
        int64[2] b_indices = {0, 1}>
    {
        a = Conv(x, w1)
        b = Gather <axis = 1> (a, b_indices)
        c = Conv(a, w2)
        d = Conv(b, w3)
        y = Add(c, d)
    }
    ");
}

#[test]
fn a_shortcut_of_strides_and_padded_channels() {
    let found = removes_exactly(
        "g (float[2,3,8,8] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, int64[2] starts = {0, 0}, int64[2] ends = {9223372036854775807, 9223372036854775807},
         int64[2] axes = {2, 3}, int64[2] steps = {2, 2}, int64[8] pads = {0, 3, 0, 0, 0, 3, 0, 0},
         float[12,6,3,3] w1, float[4,12,1,1] w2> {
            a = Conv(x, w0)
            r = Relu(a)
            s = Slice(r, starts, ends, axes, steps)
            p = Pad(s, pads)
            b = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(r, w1)
            c = Add(b, p)
            d = Relu(c)
            y = Conv(d, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a, b: 12 of 12\ny: 0 of 4");
}

#[test]
fn groups_of_transposed_convolutions() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,9,9] y)
        <float[6,3,1,1] w0, float[6,4,3,3] w1, float[8] b1, float[8,1,1,1] w2, float[4,8,1,1] w3> {
            a = Conv(x, w0)
            b = ConvTranspose<group = 2, strides = [2, 2]>(a, w1, b1)
            c = ConvTranspose<group = 8>(b, w2)
            y = Conv(c, w3)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\nb: 4 of 4\ny: 0 of 4");
}

#[test]
fn sizes_of_resized_maps_are_written_anew() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,8,8] y)
        <float[6,3,1,1] w0, int64[4] sizes = {2, 6, 8, 8}, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            u = Resize<mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\">(a, , , sizes)
            y = Conv(u, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(
        between(
            "s = Constant<value_floats = [1.0, 2.0, 1.0, 1.0]>()
             u = Resize<mode = \"nearest\">(a, , s)
             b = Slice(u, zero, six, one)",
            ", int64[1] zero = {0}, int64[1] six = {6}, int64[1] one = {1}"
        ),
        "`u` (Resize) resizes the axis"
    );
    assert_eq!(
        between(
            "b = Resize<coordinate_transformation_mode = \"tf_crop_and_resize\">(a, roi, , sizes)",
            ", float[8] roi = {0, 0, 0, 0, 1, 1, 1, 1}, int64[4] sizes = {2, 6, 4, 4}"
        ),
        "`b` (Resize) resizes the axis"
    );
}

#[test]
fn maps_enlarged_as_before_resize() {
    let (found, cut) = cuts(
        "<ir_version: 8, opset_import: [\"\" : 9]>
        g (float[2,3,4,4] x) => (float[2,4,8,8] y)
        <float[6,3,1,1] w0, float[4] scales = {1, 1, 2, 2}, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = Upsample<mode = \"nearest\">(a, scales)
            y = Conv(b, w1)
        }",
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(cut, "w0 [4, 3, 1, 1], scales [4], w1 [4, 4, 1, 1]");
}

#[test]
fn old_broadcasting_stops_unless_shapes_agree() {
    let source = |sum: &str| {
        format!(
            "<ir_version: 3, opset_import: [\"\" : 6]>
            g (float[2,3,4,4] x) => (float[2,4,4,4] y)
            <float[6,3,1,1] w1, float[6,3,1,1] w3, float[6] s, float[4,6,1,1] w2> {{
                a = Conv(x, w1)
                c = Conv(x, w3)
                {sum}
                y = Conv(b, w2)
            }}"
        )
    };
    let found = reasons(&source("d = Add<broadcast = 1, axis = 1>(a, s)\n b = Add(d, c)"));
    assert!(found.contains("`d` (Add) broadcasts as before operator set 7"), "{found}");
    assert_eq!(cuts(&source("b = Add(a, c)")).0, "a, c: 6 of 6\ny: 0 of 4");
}

#[test]
fn regions_of_interest_have_the_channels_of_the_map() {
    let source = "g (float[2,3,8,8] x, float[5,4] rois, int64[5] batch) => (float[5,4,2,2] y)
        <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = RoiAlign<output_height = 2, output_width = 2>(a, rois, batch)
            y = Conv(b, w1)
        }";
    let (found, cut) = cuts(source);
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
    assert_eq!(cut, "w0 [4, 3, 1, 1], w1 [4, 4, 1, 1]");
    let source = "g (float[2,3,8,8] x, float[5,5] rois) => (float[5,4,2,2] y)
        <float[6,3,1,1] w0, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = MaxRoiPool<pooled_shape = [2, 2]>(a, rois)
            y = Conv(b, w1)
        }";
    assert_eq!(cuts(source).1, "w0 [4, 3, 1, 1], w1 [4, 4, 1, 1]");
}

#[test]
fn choices_by_a_condition() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,3,1,1] w1, float[6,1,1] bound, float nothing = {0}, float[4,6,1,1] w2> {
            a = Conv(x, w0)
            b = Conv(x, w1)
            g = Greater(a, bound)
            c = Where(g, a, b)
            l = Less(c, nothing)
            d = Where(l, nothing, c)
            y = Conv(d, w2)
        }",
        &[Readers],
    );
    assert_eq!(found, "a, b: 6 of 6\ny: 0 of 4");
}

#[test]
fn remainders_have_a_divisor_per_channel() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[6,1,1] divisor = {1, 2, 3, 4, 5, 6}, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = Mod<fmod = 1>(a, divisor)
            y = Conv(b, w1)
        }",
        &[Readers],
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn axes_counted_from_the_end() {
    let found = removes_exactly(
        "g (float[2,3,4] x) => (float[2,4,4] y)
        <float[6,3,1] w0, int64[2] ends = {-1, -4}, int64[1] last = {-1}, int64[1] second = {1},
         float[4,6,1] w1> {
            a = Conv(x, w0)
            b = Unsqueeze(a, ends)
            c = Squeeze(b, last)
            d = Squeeze(c, second)
            y = Conv(d, w1)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn picks_by_data_stop() {
    for (nodes, constants, op_type) in [
        ("b = GatherElements<axis = 1>(a, i)", ", int64[2,6,4,4] i", "GatherElements"),
        (
            "b = ScatterElements<axis = 1>(a, i, v)",
            ", int64[2,1,4,4] i, float[2,1,4,4] v",
            "ScatterElements",
        ),
        ("b = ScatterND(a, i, v)", ", int64[1,2] i = {0, 1}, float[1,4,4] v", "ScatterND"),
    ] {
        let found = between(nodes, constants);
        assert_eq!(found, format!("`b` ({op_type}) picks elements by their data"));
    }
}

#[test]
fn columns_of_blocks_stop() {
    let source = "g (float[2,3,4] x) => (float[2,4,3,3] y)
        <float[24,3,1] w0, int64[2] image = {3, 3}, int64[2] block = {2, 2}, float[4,6,1,1] w1> {
            a = Conv(x, w0)
            b = Col2Im(a, image, block)
            y = Conv(b, w1)
        }";
    assert!(reasons(source).contains("`b` (Col2Im) has no rule for channels"));
}

#[test]
fn sequences_and_loops_stop() {
    let found = between(
        "s = SequenceConstruct(a)\n i = Constant<value_int = 0>()\n b = SequenceAt(s, i)",
        "",
    );
    assert!(found.contains("`s` (SequenceConstruct) has no rule for channels"), "{found}");
    let source = "g (float[2,3,4,4] x) => (float[2,4,4,4] y)
        <float[6,3,1,1] w0, float[4,6,1,1] w1, int64 n = {2}, bool go = {1}> {
            a = Conv(x, w0)
            b = Loop(n, go, a) <body = l (int64 i, bool c, float[2,6,4,4] v) => (bool d, float[2,6,4,4] u) {
                d = Identity(c)
                u = Relu(v)
            }>
            y = Conv(b, w1)
        }";
    assert!(reasons(source).contains("`b` (Loop) has a subgraph, which is not followed"));
}
