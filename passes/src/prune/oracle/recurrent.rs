//! Recurrent layers.
use super::At::{Readers, Source};
use super::refusals::reasons;
use super::{cuts, removes_exactly};

const BOTH: &[super::At] = &[Source, Readers];

#[test]
fn two_layers_in_both_directions_as_exported() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[5,2,4] y)
        <float[2,24,3] w1, float[2,24,6] r1, float[2,48] b1, int64[3] merged = {0, 0, -1},
         float[2,20,12] w2, float[2,20,5] r2, float[2,40] b2, float[10,4] v> {
            h = LSTM<hidden_size = 6, direction = \"bidirectional\">(x, w1, r1, b1)
            ht = Transpose<perm = [0, 2, 1, 3]>(h)
            hm = Reshape(ht, merged)
            k = LSTM<hidden_size = 5, direction = \"bidirectional\">(hm, w2, r2, b2)
            kt = Transpose<perm = [0, 2, 1, 3]>(k)
            km = Reshape(kt, merged)
            y = MatMul(km, v)
        }",
        BOTH,
    );
    assert_eq!(found, "h: 6 of 6\nk: 5 of 5\ny: 0 of 4");
}

#[test]
fn gates_of_every_kind_of_layer() {
    for (layer, gates) in [
        ("LSTM<hidden_size = 6>", 4),
        ("GRU<hidden_size = 6>", 3),
        ("GRU<hidden_size = 6, linear_before_reset = 1>", 3),
        ("RNN<hidden_size = 6>", 1),
    ] {
        let (rows, biases) = (6 * gates, 12 * gates);
        let found = removes_exactly(
            &format!(
                "g (float[5,2,3] x) => (float[5,1,2,4] y)
                <float[1,{rows},3] w, float[1,{rows},6] r, float[1,{biases}] b, float[6,4] v> {{
                    h = {layer}(x, w, r, b)
                    y = MatMul(h, v)
                }}"
            ),
            BOTH,
        );
        assert_eq!(found, "h: 6 of 6\ny: 0 of 4", "{layer}");
    }
}

#[test]
fn peepholes_and_states_ride_along() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[5,1,2,4] y, float[1,2,4] z)
        <float[1,24,3] w, float[1,24,6] r, float[1,48] b, float[1,18] p, float[1,2,6] h0,
         float[1,2,6] c0, float[6,4] v, float[6,4] u> {
            h, , c = LSTM<hidden_size = 6>(x, w, r, b, , h0, c0, p)
            y = MatMul(h, v)
            z = MatMul(c, u)
        }",
        BOTH,
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4\nz: 0 of 4");
}

#[test]
fn states_of_a_constant_are_sized_anew() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[5,1,2,4] y)
        <float[1,18,3] w, float[1,18,6] r, int64[3] size = {1, 2, 6}, float[6,4] v> {
            h0 = ConstantOfShape<value = float[1] {0.5}>(size)
            h = GRU<hidden_size = 6>(x, w, r, , , h0)
            y = MatMul(h, v)
        }",
        &[Readers],
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
}

#[test]
fn last_states_of_both_directions_are_merged() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[2,4] y)
        <float[2,18,3] w, float[2,18,6] r, float[2,36] b, int64[2] merged = {2, 12}, float[4,12] v> {
            , h = GRU<hidden_size = 6, direction = \"bidirectional\">(x, w, r, b)
            t = Transpose<perm = [1, 0, 2]>(h)
            m = Reshape(t, merged)
            y = Gemm<transB = 1>(m, v)
        }",
        BOTH,
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
}

#[test]
fn directions_taken_apart_and_joined_are_the_same_units() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[2,4] y)
        <float[2,24,3] w, float[2,24,6] r, float[2,48] b, int64[1] zero = {0}, float[4,12] v> {
            , h = LSTM<hidden_size = 6, direction = \"bidirectional\">(x, w, r, b)
            f, g = Split<axis = 0, num_outputs = 2>(h)
            fs = Squeeze(f, zero)
            gs = Squeeze(g, zero)
            m = Concat<axis = 1>(fs, gs)
            y = Gemm<transB = 1>(m, v)
        }",
        BOTH,
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
}

#[test]
fn what_a_layer_reads_loses_channels() {
    let found = removes_exactly(
        "g (int64[2,5] ids) => (float[5,1,2,4] y)
        <float[2,8] table, float[1,24,8] w, float[1,24,6] r, float[6,4] v> {
            e = Gather(table, ids)
            t = Transpose<perm = [1, 0, 2]>(e)
            h = LSTM<hidden_size = 6>(t, w, r)
            y = MatMul(h, v)
        }",
        BOTH,
    );
    assert_eq!(found, "e: 8 of 8\nh: 6 of 6\ny: 0 of 4");
}

#[test]
fn a_decoder_that_starts_where_the_encoder_ends_has_its_units() {
    let found = removes_exactly(
        "g (float[5,2,3] x, float[4,2,3] z) => (float[4,1,2,4] y)
        <float[1,18,3] w1, float[1,18,6] r1, float[1,18,3] w2, float[1,18,6] r2, float[6,4] v> {
            , e = GRU<hidden_size = 6>(x, w1, r1)
            d = GRU<hidden_size = 6>(z, w2, r2, , , e)
            y = MatMul(d, v)
        }",
        BOTH,
    );
    assert_eq!(found, "e, d: 6 of 6\ny: 0 of 4");
}

#[test]
fn weights_put_together_in_the_graph_lose_rows() {
    let found = removes_exactly(
        "g (float[5,2,3] x) => (float[5,1,2,4] y)
        <float[18,3] w0, float[18,6] r0, int64[1] zero = {0}, int64[1] one = {6}, int64[1] two = {12},
         int64[1] three = {18}, float[6,4] v> {
            a = Slice(w0, zero, one, zero)
            b = Slice(w0, one, two, zero)
            c = Slice(w0, two, three, zero)
            w1 = Concat<axis = 0>(b, a, c)
            w = Unsqueeze(w1, zero)
            r = Unsqueeze(r0, zero)
            h = GRU<hidden_size = 6>(x, w, r)
            y = MatMul(h, v)
        }",
        &[Source],
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
}

#[test]
fn batches_may_come_first() {
    let (found, cut) = cuts(
        "g (float[2,5,3] x) => (float[2,5,1,4] y)
        <float[1,24,3] w, float[1,24,6] r, float[1,48] b, float[2,1,6] h0, float[6,4] v> {
            h = LSTM<hidden_size = 6, layout = 1>(x, w, r, b, , h0)
            y = MatMul(h, v)
        }",
    );
    assert_eq!(found, "h: 6 of 6\ny: 0 of 4");
    assert_eq!(cut, "w [1, 16, 3], r [1, 16, 4], b [1, 32], h0 [2, 1, 4], v [4, 4]");
}

#[test]
fn states_of_the_interface_stay() {
    let found = reasons(
        "g (float[5,2,3] x, float[1,2,6] h0) => (float[5,1,2,4] y)
        <float[1,18,3] w, float[1,18,6] r, float[6,4] v> {
            h = GRU<hidden_size = 6>(x, w, r, , , h0)
            y = MatMul(h, v)
        }",
    );
    assert_eq!(found, "`h0` is a graph input\n`y` is a graph output");
}

#[test]
fn states_of_a_size_computed_at_run_time_stop() {
    let found = reasons(
        "g (float[5,N,3] x) => (float[5,1,N,4] y)
        <float[1,18,3] w, float[1,18,6] r, int64[1] one = {1}, int64[1] hidden = {6}, float[6,4] v> {
            batch = Shape<start = 1, end = 2>(x)
            size = Concat<axis = 0>(one, batch, hidden)
            h0 = ConstantOfShape(size)
            h = GRU<hidden_size = 6>(x, w, r, , , h0)
            y = MatMul(h, v)
        }",
    );
    assert!(found.contains("`h0` (ConstantOfShape) makes a shape that is computed"), "{found}");
}

#[test]
fn weights_of_another_size_stop() {
    let found = reasons(
        "g (float[5,2,3] x) => (float[5,1,2,4] y)
        <float[3,5] v0, float[1,18,5] w, float[1,18,6] r, float[6,4] v> {
            a = MatMul(x, v0)
            h = GRU<hidden_size = 5>(a, w, r)
            y = MatMul(h, v)
        }",
    );
    assert!(found.contains("`h` (GRU) has weights of another size than it says"), "{found}");
}
