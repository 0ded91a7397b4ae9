//! What is scaled, and what is kept.
use super::*;
use crate::testing::{rewrite, rewrite_unexecuted};
use insta::assert_snapshot;

#[test]
fn scales_the_queries_of_an_attention() {
    let source = "
        g (float[2,3,4] x) => (float[2,2,3,3] y)
        <float[4,12] w, float[12] b, float d = {2}, int64[4] heads = {0, 0, 2, 2}>
        {
            product = MatMul(x, w)
            sum = Add(product, b)
            q, k, v = Split<axis = -1, num_outputs = 3>(sum)
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            kt = Transpose<perm = [0, 2, 3, 1]>(kh)
            scores = MatMul(qt, kt)
            y = Div(scores, d)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (float[2,3,4] x) => (float[2,2,3,3] y)
    <float[4,12] w, float[12] b, int64[4] heads = {0, 0, 2, 2}>
    {
        product = MatMul(x, w)
        sum = Add(product, b)
        q, k, v = Split <axis = -1, num_outputs = 3> (sum)
        qh = Reshape(q, heads)
        kh = Reshape(k, heads)
        qt = Transpose <perm = [0, 2, 1, 3]> (qh)
        kt = Transpose <perm = [0, 2, 3, 1]> (kh)
        y = MatMul(qt, kt)
    }
    ");
}

#[test]
fn scales_the_other_factor_when_one_can_not_be() {
    let source = "
        g (float[2,3,4] x, float[2,3,5] q) => (float[2,3,3] y)
        <float[4,5] w, float[1] s = {0.25}>
        {
            k = MatMul(x, w)
            kt = Transpose<perm = [0, 2, 1]>(k)
            scores = MatMul(q, kt)
            y = Mul(scores, s)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (float[2,3,4] x, float[2,3,5] q) => (float[2,3,3] y)
    <float[4,5] w>
    {
        k = MatMul(x, w)
        kt = Transpose <perm = [0, 2, 1]> (k)
        y = MatMul(q, kt)
    }
    ");
}

#[test]
fn merges_with_another_factor() {
    let source = "
        g (float[2,6] x) => (float[3,4] y)
        <float[6] k = {1, 2, 3, 4, 5, 6}, float s = {0.5}, int64[2] shape = {3, 4}>
        {
            a = Mul(x, k)
            r = Reshape(a, shape)
            y = Mul(r, s)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (float[2,6] x) => (float[3,4] y)
    <float[6] k = {0.5, 1, 1.5, 2, 2.5, 3}, int64[2] shape = {3, 4}>
    {
        a = Mul(x, k)
        y = Reshape(a, shape)
    }
    ");
}

#[test]
fn scales_columns_behind_flattened_rows() {
    let source = "
        g (float[6,4] x) => (float[2,3,2] y, float[2,3,2] z)
        <float[4,4] w, float[4] b = {1, 2, 3, 4}, int64[3] shape = {2, 3, 4}, int64[2] widths = {2, 2}>
        {
            flat = Gemm(x, w, b)
            rows = Reshape(flat, shape)
            left, right = Split<axis = 2>(rows, widths)
            y = Neg(left)
            z = Relu(right)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (float[6,4] x) => (float[2,3,2] y, float[2,3,2] z)
    <float[4,4] w, float[4] b = {-1, -2, 3, 4}, int64[3] shape = {2, 3, 4}, int64[2] widths = {2, 2}>
    {
        flat = Gemm(x, w, b)
        rows = Reshape(flat, shape)
        y, right = Split <axis = 2> (rows, widths)
        z = Relu(right)
    }
    ");
}

#[test]
fn keeps_the_division_of_an_attention() {
    let source = "
        g (float[1,2,3,4] q, float[1,2,3,4] x, float[1,1,1,3] mask) => (float[1,2,3,3] y)
        <float[4,4] w, float d = {2}>
        {
            k = MatMul(x, w)
            kt = Transpose<perm = [0, 1, 3, 2]>(k)
            scores = MatMul(q, kt)
            scaled = Div(scores, d)
            masked = Add(scaled, mask)
            y = Softmax(masked)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: runtimes know attention by its division
    unchanged
    ");
}

#[test]
fn keeps_a_factor_of_zero() {
    let source = "
        g (float[2,3] x) => (float[4,2] y)
        <float[3,4] w, float s = {0}>
        {
            a = MatMul(x, w)
            t = Transpose(a)
            y = Mul(t, s)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: factor is zero or not finite
    unchanged
    ");
}

#[test]
fn keeps_a_factor_that_may_add_a_dimension() {
    let source = "
        g (float[] x) => (float[] y)
        <float[3,4] w, float[1,1,1] s = {2}>
        {
            a = MatMul(x, w)
            t = Transpose(a)
            y = Mul(t, s)
        }
    ";
    assert_snapshot!(rewrite_unexecuted(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: the constant may enlarge the shape
    unchanged
    ");
}

#[test]
fn keeps_what_another_node_reads() {
    let source = "
        g (float[2,3] x) => (float[4,2] y, float[2,4] z)
        <float[3,4] w, float s = {2}>
        {
            a = MatMul(x, w)
            t = Transpose(a)
            y = Mul(t, s)
            z = Relu(a)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: another node reads what is scaled
    unchanged
    ");
}

#[test]
fn keeps_the_name_of_an_output() {
    let source = "
        g (float[2,3] x) => (float[4,2] y, float[4,2] t)
        <float[3,4] w, float s = {2}>
        {
            a = MatMul(x, w)
            t = Transpose(a)
            y = Mul(t, s)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: another node reads what is scaled
    unchanged
    ");
}

#[test]
fn keeps_columns_that_are_rearranged() {
    let source = "
        g (float[2,3,4] x) => (float[3,8] y, float[3,8] z)
        <float[4,8] w, float s = {2}, int64[2] shape = {3, 16}>
        {
            a = MatMul(x, w)
            t = Reshape(a, shape)
            l, r = Split<axis = -1, num_outputs = 2>(t)
            y = Mul(l, s)
            z = Relu(r)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: columns are rearranged
    unchanged
    ");
}

#[test]
fn keeps_a_part_of_the_rows() {
    let source = "
        g (float[2,4] x) => (float[1,8] y, float[1,8] z)
        <float[4,8] w, float s = {2}>
        {
            a = MatMul(x, w)
            l, r = Split<axis = 0, num_outputs = 2>(a)
            y = Mul(l, s)
            z = Relu(r)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: Split takes no columns
    unchanged
    ");
}

#[test]
fn keeps_columns_that_share_a_constant() {
    let source = "
        g (float[2,4] x) => (float[2,4] y, float[2,4] z)
        <float[4,8] w, float[1] b, float s = {2}>
        {
            a = MatMul(x, w)
            c = Add(a, b)
            l, r = Split<axis = -1, num_outputs = 2>(c)
            y = Mul(l, s)
            z = Relu(r)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: a constant is the same for all columns
    unchanged
    ");
}

#[test]
fn keeps_columns_that_are_positions() {
    let source = "
        g (float[1,3,8] x) => (float[1,4,3] y, float[1,4,3] z)
        <float[4,3,3] w, float s = {2}>
        {
            a = Conv(x, w)
            l, r = Split<axis = -1, num_outputs = 2>(a)
            y = Mul(l, s)
            z = Relu(r)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: columns are no output channels
    unchanged
    ");
}

#[test]
fn keeps_columns_of_unknown_number() {
    let source = "
        g (float[2,4] x, int64[2] widths) => (float[2,P] y, float[2,Q] z)
        <float[4,8] w, float s = {2}>
        {
            a = MatMul(x, w)
            l, r = Split<axis = -1>(a, widths)
            y = Mul(l, s)
            z = Relu(r)
        }
    ";
    assert_snapshot!(rewrite_unexecuted(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: shapes are not known
    unchanged
    ");
}

#[test]
fn scales_each_column_by_its_own_number() {
    let source = "
        g (float[1,4,3] x) => (float[1,4,2] y)
        <float[3,2] w, float[2] b = {1, 2}, float[2] gamma = {2, 3}>
        {
            product = MatMul(x, w)
            sum = Add(product, b)
            y = Mul(sum, gamma)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (float[1,4,3] x) => (float[1,4,2] y)
    <float[3,2] w = {1.96875, -1.921875, 0.25, -1.359375, 0.34375, -1.03125}, float[2] b = {2, 6}>
    {
        product = MatMul(x, w)
        y = Add(product, b)
    }
    ");
}

#[test]
fn scales_the_table_of_an_embedding() {
    let source = "
        g (int64[2,3] x) => (float[2,3,4] y)
        <float[5,4] table, float s = {2}>
        {
            rows = Gather(table, x)
            y = Mul(rows, s)
        }
    ";
    assert_snapshot!(rewrite_unexecuted(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 1 rewrites
    g (int64[2,3] x) => (float[2,3,4] y)
    <float[5,4] table>
    {
        y = Gather(table, x)
    }
    ");
}

#[test]
fn keeps_a_factor_for_each_row() {
    let source = "
        g (float[1,4,3] x) => (float[1,2,4] y)
        <float[3,2] w, float[2,1] k>
        {
            a = MatMul(x, w)
            t = Transpose<perm = [0, 2, 1]>(a)
            y = Mul(t, k)
        }
    ";
    assert_snapshot!(rewrite(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: constant is not one value per column
    unchanged
    ");
}

#[test]
fn keeps_the_broadcasting_of_old_operators() {
    let source = r#"
        <ir_version: 3, opset_import: ["" : 6]>
        g (float[2,3] x) => (float[2,4] y)
        <float[3,4] w, float[1] k>
        {
            c = MatMul(x, w)
            y = Mul<broadcast = 1>(c, k)
        }
    "#;
    assert_snapshot!(rewrite_unexecuted(&FuseDistantScale {}, source), @r"
    fuse-distant-scale: 0 rewrites
    skipped 1: operands broadcast in another way before opset 7
    unchanged
    ");
}
