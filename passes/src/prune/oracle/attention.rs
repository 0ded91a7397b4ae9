//! Attention, by heads and by places.
use super::At::{Readers, Source};
use super::{removes_exactly, removes_in};
use crate::prune::{Analysis, Grain};
use crate::testing::model;

const BOTH: &[super::At] = &[Source, Readers];

/// What goes of a model, by heads and by places of heads.
fn by_grain(source: &str) -> (String, String) {
    // Zeroed readers tell about values alone, as nothing reads queries and keys but their product.
    let heads = removes_in(source, BOTH, Grain::Heads);
    (heads, removes_in(source, &[Source], Grain::Places))
}

/// The groups of a model that is not executed, with the reasons channels stay.
fn groups(source: &str, grain: Grain) -> String {
    let model = model(source);
    let analysis = Analysis::with(&model.graph, grain);
    let told = analysis.groups.iter().map(|group| {
        let pins = group.pins.iter().map(|(why, _)| format!("\n  {why}")).collect::<String>();
        format!("{}: {} of {}{pins}\n", group.name, group.removable.len(), group.size)
    });
    told.collect()
}

/// Queries, keys and values of four heads of three places from products of their own, `nodes` between them and the
/// context `c` of `[2, 4, 5, 3]`.
fn separate(nodes: &str, constants: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 18]>
        g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12] bq, float[12] bk, float[12] bv, float[12,12] wo,
         int64[4] heads = {{2, 5, 4, 3}}, int64[3] merged = {{2, 5, 12}}, float scale = {{0.4}} {constants}> {{
            q0 = MatMul(x, wq)
            k0 = MatMul(x, wk)
            v0 = MatMul(x, wv)
            q = Add(q0, bq)
            k = Add(k0, bk)
            v = Add(v0, bv)
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            vh = Reshape(v, heads)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            kt = Transpose<perm = [0, 2, 1, 3]>(kh)
            vt = Transpose<perm = [0, 2, 1, 3]>(vh)
            {nodes}
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }}"
    )
}

const SCORES: &str = "kx = Transpose<perm = [0, 1, 3, 2]>(kt)
    s = MatMul(qt, kx)
    n = Mul(s, scale)";

const CONTEXT: &str = "p = Softmax(n)
    c = MatMul(p, vt)";

/// Between queries, keys and values side by side, `qkv` of `[2, 5, 36]`, and the context.
fn packed(nodes: &str, constants: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 18]>
        g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,36] w, float[36] b, float[12,12] wo, int64[3] merged = {{2, 5, 12}}, float scale = {{0.4}} {constants}> {{
            w0 = MatMul(x, w)
            qkv = Add(w0, b)
            {nodes}
            {SCORES}
            {CONTEXT}
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }}"
    )
}

#[test]
fn heads_go_as_wholes_or_lose_the_same_places() {
    let (heads, places) = by_grain(&separate(&format!("{SCORES}\n{CONTEXT}"), ""));
    assert_eq!(heads, "q0, k0, v0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q0, k0: 3 of 3\nv0: 3 of 3\ny: 0 of 12");
}

#[test]
fn a_plan_by_heads_counts_heads() {
    let mut model = model(&separate(&format!("{SCORES}\n{CONTEXT}"), ""));
    let analysis = Analysis::of(&model.graph);
    let plan = analysis.plan_removing(&[(0, vec![1])]).expect("a head can go");
    plan.apply(&mut model).expect("the plan fits");
    let shape = |name: &str| {
        let value = model.graph.values().find(|(_, value)| value.name() == name);
        value.expect("the value is there").1.ty().dims().expect("its shape is known")
    };
    assert_eq!(shape("wq"), [12, 9]);
    assert_eq!(shape("bk"), [9]);
    assert_eq!(shape("wo"), [9, 12]);
    assert_eq!(shape("qh"), [2, 5, 3, 3]);
    assert_eq!(shape("s"), [2, 3, 5, 5]);
    assert_eq!(shape("m"), [2, 5, 9]);
}

#[test]
fn queries_keys_and_values_side_by_side_then_split() {
    let nodes = "q, k, v = Split<axis = 2, num_outputs = 3>(qkv)
        qh = Reshape(q, heads)
        kh = Reshape(k, heads)
        vh = Reshape(v, heads)
        qt = Transpose<perm = [0, 2, 1, 3]>(qh)
        kt = Transpose<perm = [0, 2, 1, 3]>(kh)
        vt = Transpose<perm = [0, 2, 1, 3]>(vh)";
    let (heads, places) = by_grain(&packed(nodes, ", int64[4] heads = {2, 5, 4, 3}"));
    assert_eq!(heads, "w0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "w0: 6 of 6\ny: 0 of 12");
}

#[test]
fn queries_keys_and_values_side_by_side_by_index() {
    let nodes = "r = Reshape(qkv, five)
        t = Transpose<perm = [2, 0, 3, 1, 4]>(r)
        qt = Gather<axis = 0>(t, i0)
        kt = Gather<axis = 0>(t, i1)
        vt = Gather<axis = 0>(t, i2)";
    let constants =
        ", int64[5] five = {2, 5, 3, 4, 3}, int64 i0 = {0}, int64 i1 = {1}, int64 i2 = {2}";
    let (heads, places) = by_grain(&packed(nodes, constants));
    assert_eq!(heads, "w0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "w0: 3 of 3\ny: 0 of 12");
}

#[test]
fn queries_keys_and_values_split_off_an_axis_of_three() {
    let nodes = "r = Reshape(qkv, five)
        t = Transpose<perm = [2, 0, 3, 1, 4]>(r)
        q1, k1, v1 = Split<axis = 0, num_outputs = 3>(t)
        qt = Squeeze(q1, first)
        kt = Squeeze(k1, first)
        vt = Squeeze(v1, first)";
    let constants = ", int64[5] five = {2, 5, 3, 4, 3}, int64[1] first = {0}";
    let (heads, _) = by_grain(&packed(nodes, constants));
    assert_eq!(heads, "w0: 4 of 4\ny: 0 of 12");
}

#[test]
fn queries_keys_and_values_of_each_head_side_by_side() {
    let inner = "r = Reshape(qkv, heads)
        t = Transpose<perm = [0, 2, 1, 3]>(r)
        qt, kt, vt = Split<axis = 3, num_outputs = 3>(t)";
    let (heads, places) = by_grain(&packed(inner, ", int64[4] heads = {2, 5, 4, 9}"));
    assert_eq!(heads, "w0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "w0: 6 of 6\ny: 0 of 12");
    let outer = "r = Reshape(qkv, five)
        t = Transpose<perm = [0, 2, 1, 3, 4]>(r)
        qt = Gather<axis = 3>(t, i0)
        kt = Gather<axis = 3>(t, i1)
        vt = Gather<axis = 3>(t, i2)";
    let constants =
        ", int64[5] five = {2, 5, 4, 3, 3}, int64 i0 = {0}, int64 i1 = {1}, int64 i2 = {2}";
    assert_eq!(by_grain(&packed(outer, constants)).0, "w0: 4 of 4\ny: 0 of 12");
}

#[test]
fn all_heads_on_one_axis_then_split() {
    let nodes = "r = Reshape(qkv, heads)
        t = Transpose<perm = [0, 2, 1, 3]>(r)
        qt, kt, vt = Split<axis = 1>(t, sizes)";
    let constants = ", int64[4] heads = {0, 0, 12, 3}, int64[3] sizes = {4, 4, 4}";
    let (heads, places) = by_grain(&packed(nodes, constants));
    assert_eq!(heads, "w0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "w0: 3 of 3\ny: 0 of 12");
}

/// Eight heads of queries of three places, and two of keys and values, until `qt`, `kt` and `vt`.
fn shared(nodes: &str, constants: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 18]>
        g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,24] wq, float[12,6] wk, float[12,6] wv, float[24,12] wo, int64[4] few = {{2, 5, 2, 3}},
         int64[4] many = {{2, 5, 8, 3}}, int64[3] merged = {{2, 5, 24}}, float scale = {{0.4}} {constants}> {{
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, many)
            kh = Reshape(k, few)
            vh = Reshape(v, few)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            ks = Transpose<perm = [0, 2, 1, 3]>(kh)
            vs = Transpose<perm = [0, 2, 1, 3]>(vh)
            {nodes}
            {SCORES}
            {CONTEXT}
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }}"
    )
}

/// As `shared`, with eight heads of keys and values, so that 40 % of the shared ones can go.
fn shared_by_four(nodes: &str, constants: &str) -> String {
    shared(nodes, constants)
        .replace("float[12,24] wq", "float[12,48] wq")
        .replace(
            "float[12,6] wk, float[12,6] wv, float[24,12]",
            "float[12,24] wk, float[12,24] wv, float[48,12]",
        )
        .replace("few = {2, 5, 2, 3}", "few = {2, 5, 8, 3}")
        .replace("many = {2, 5, 8, 3}", "many = {2, 5, 16, 3}")
        .replace("merged = {2, 5, 24}", "merged = {2, 5, 48}")
}

#[test]
fn shared_keys_repeated_by_expansion() {
    let nodes = "k1 = Unsqueeze(ks, two)
        v1 = Unsqueeze(vs, two)
        k2 = Expand(k1, repeat)
        v2 = Expand(v1, repeat)
        kt = Reshape(k2, all)
        vt = Reshape(v2, all)";
    let constants =
        ", int64[1] two = {2}, int64[5] repeat = {2, 8, 2, 5, 3}, int64[4] all = {2, 16, 5, 3}";
    let (heads, places) = by_grain(&shared_by_four(nodes, constants));
    assert_eq!(heads, "q, k, v: 8 of 8\ny: 0 of 12");
    assert_eq!(places, "q, k: 3 of 3\nv: 3 of 3\ny: 0 of 12");
}

#[test]
fn shared_keys_repeated_by_index() {
    let nodes = "kt = Gather<axis = 1>(ks, each)
        vt = Gather<axis = 1>(vs, each)";
    let constants = ", int64[16] each = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}";
    let heads = removes_exactly(&shared_by_four(nodes, constants), BOTH);
    assert_eq!(heads, "q, k, v: 8 of 8\ny: 0 of 12");
}

#[test]
fn shared_keys_repeated_as_a_whole() {
    let nodes = "kt = Tile(ks, twice)
        vt = Tile(vs, twice)";
    let heads = removes_exactly(&shared_by_four(nodes, ", int64[4] twice = {1, 2, 1, 1}"), BOTH);
    assert_eq!(heads, "q, k, v: 8 of 8\ny: 0 of 12");
}

#[test]
fn queries_in_groups_of_shared_keys() {
    let source = "g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,24] wq, float[12,12] wk, float[12,12] wv, float[24,12] wo, int64[5] few = {2, 5, 4, 1, 3},
         int64[5] many = {2, 5, 4, 2, 3}, int64[3] merged = {2, 5, 24}> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, many)
            kh = Reshape(k, few)
            vh = Reshape(v, few)
            qt = Transpose<perm = [0, 2, 3, 1, 4]>(qh)
            kt = Transpose<perm = [0, 2, 3, 4, 1]>(kh)
            vt = Transpose<perm = [0, 2, 3, 1, 4]>(vh)
            s = MatMul(qt, kt)
            p = Softmax(s)
            c = MatMul(p, vt)
            ct = Transpose<perm = [0, 3, 1, 2, 4]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }";
    assert_eq!(removes_exactly(source, BOTH), "q, k, v: 4 of 4\ny: 0 of 12");
}

#[test]
fn one_head_of_keys_for_all_stays_when_queries_go() {
    let source = "g (float[2,5,12] x) => (float[2,5,12] y)
        <float[12,12] wq, float[12,3] wk, float[12,3] wv, float[12,12] wo, int64[4] many = {2, 5, 4, 3}, int64[1] one = {1},
         int64[3] merged = {2, 5, 12}> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, many)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            k1 = Unsqueeze(k, one)
            vt = Unsqueeze(v, one)
            kt = Transpose<perm = [0, 1, 3, 2]>(k1)
            s = MatMul(qt, kt)
            p = Softmax(s)
            c = MatMul(p, vt)
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }";
    assert_eq!(removes_exactly(source, &[Readers]), "q: 4 of 4\nk: 0 of 3\nv: 0 of 3\ny: 0 of 12");
}

#[test]
fn biases_and_slopes_of_heads_are_cut_and_masks_are_not() {
    let nodes = format!(
        "{SCORES}
        n1 = Add(n, bias)
        n2 = Mul(distance, slopes)
        n3 = Add(n1, n2)
        n4 = Add(n3, mask)
        p = Softmax(n4)
        c = MatMul(p, vt)"
    );
    let constants =
        ", float[1,4,5,5] bias, float[4,1,1] slopes, float[1,1,5,5] distance, float[1,1,5,5] mask";
    let source = separate(&nodes, constants);
    assert_eq!(removes_exactly(&source, BOTH), "q0, k0, v0: 4 of 4\ny: 0 of 12");
    let model = model(&source);
    let plan = Analysis::of(&model.graph).plan_removing(&[(0, vec![0])]).expect("a head can go");
    let cut: Vec<&str> = plan.axes.iter().map(|axis| axis.value.as_str()).collect();
    assert!(cut.contains(&"bias") && cut.contains(&"slopes"), "{cut:?}");
    assert!(!cut.contains(&"mask") && !cut.contains(&"distance"), "{cut:?}");
}

#[test]
fn a_table_of_relative_positions_loses_columns() {
    let nodes = format!(
        "{SCORES}
        b0 = Gather(table, places)
        b1 = Transpose<perm = [2, 0, 1]>(b0)
        b2 = Unsqueeze(b1, first)
        n1 = Add(n, b2)
        p = Softmax(n1)
        c = MatMul(p, vt)"
    );
    let places: Vec<String> = (0..25).map(|at| (at / 5 + at % 5).to_string()).collect();
    let constants = format!(
        ", float[9,4] table, int64[1] first = {{0}}, int64[5,5] places = {{{}}}",
        places.join(", ")
    );
    let heads = removes_exactly(&separate(&nodes, &constants), &[Readers]);
    assert_eq!(heads, "q0, k0, v0 and 1 more: 4 of 4\ny: 0 of 12");
}

#[test]
fn rotated_queries_and_keys_keep_their_places() {
    let rotate = |name: &str| {
        format!(
            "{name}1 = Slice({name}t, zero, two, last)
            {name}2 = Slice({name}t, two, four, last)
            {name}3 = Neg({name}2)
            {name}4 = Concat<axis = -1>({name}3, {name}1)
            {name}5 = Mul({name}t, cosine)
            {name}6 = Mul({name}4, sine)
            {name}r = Add({name}5, {name}6)\n"
        )
    };
    let nodes = format!(
        "{}{}kx = Transpose<perm = [0, 1, 3, 2]>(kr)
        s = MatMul(qr, kx)
        n = Mul(s, scale)
        {CONTEXT}",
        rotate("q"),
        rotate("k")
    );
    let constants =
        ", float[1,1,5,4] cosine, float[1,1,5,4] sine, int64[1] zero = {0}, int64[1] two = {2},
        int64[1] four = {4}, int64[1] last = {3}";
    let source = separate(&nodes, constants)
        .replace(
            "float[12,12] wq, float[12,12] wk, float[12,12] wv",
            "float[12,16] wq, float[12,16] wk, float[12,16] wv",
        )
        .replace(
            "float[12] bq, float[12] bk, float[12] bv, float[12,12] wo",
            "float[16] bq, float[16] bk, float[16] bv, float[16,12] wo",
        )
        .replace("{2, 5, 4, 3}", "{2, 5, 4, 4}")
        .replace("merged = {2, 5, 12}", "merged = {2, 5, 16}");
    let (heads, places) = by_grain(&source);
    assert_eq!(heads, "q0, k0, v0: 4 of 4\ny: 0 of 12");
    // Halves are rotated into each other: a place goes with its partner.
    assert_eq!(places, "q0, k0: 2 of 2\nv0: 4 of 4\ny: 0 of 12");
}

#[test]
fn normalized_queries_and_keys_lose_heads() {
    let nodes = format!(
        "qn = LayerNormalization(qt, gain)
        kn = LayerNormalization(kt, gain)
        kx = Transpose<perm = [0, 1, 3, 2]>(kn)
        s = MatMul(qn, kx)
        n = Mul(s, scale)
        {CONTEXT}"
    );
    let source = separate(&nodes, ", float[3] gain");
    let (heads, places) = by_grain(&source);
    assert_eq!(heads, "q0, k0, v0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q0: 0 of 3\nk0: 0 of 3\nv0: 3 of 3\ny: 0 of 12");
}

#[test]
fn symbolic_sizes_stay_symbolic() {
    let symbolic = |heads: &str, merged: &str| {
        separate(&format!("{SCORES}\n{CONTEXT}"), "")
            .replace("float[2,5,12]", "float[N,S,12]")
            .replace("heads = {2, 5, 4, 3}", heads)
            .replace("merged = {2, 5, 12}", merged)
    };
    for (heads, merged) in [
        ("heads = {0, 0, 4, 3}", "merged = {0, 0, 12}"),
        ("heads = {0, 0, -1, 3}", "merged = {0, 0, -1}"),
        ("heads = {0, 0, 4, -1}", "merged = {0, 0, 12}"),
    ] {
        let (heads, places) = by_grain(&symbolic(heads, merged));
        assert_eq!(heads, "q0, k0, v0: 4 of 4\ny: 0 of 12");
        assert_eq!(places, "q0, k0: 3 of 3\nv0: 3 of 3\ny: 0 of 12");
    }
}

#[test]
fn shapes_joined_at_run_time_get_their_own_counts() {
    let source = "<ir_version: 10, opset_import: [\"\" : 18]>
        g (float[N,S,12] x) => (float[N,S,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo, int64[1] four = {4}, int64[1] three = {3},
         int64[2] sizes = {4, 3}, int64[1] all = {12}> {
            n = Shape<start = 0, end = 1>(x)
            s = Shape<start = 1, end = 2>(x)
            heads = Concat<axis = 0>(n, s, four, three)
            other = Concat<axis = 0>(n, s, sizes)
            merged = Concat<axis = 0>(n, s, all)
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            vh = Reshape(v, other)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            kt = Transpose<perm = [0, 2, 3, 1]>(kh)
            vt = Transpose<perm = [0, 2, 1, 3]>(vh)
            t = MatMul(qt, kt)
            p = Softmax(t)
            c = MatMul(p, vt)
            ct = Transpose<perm = [0, 2, 1, 3]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }";
    let (heads, places) = by_grain(source);
    assert_eq!(heads, "q, k, v: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q, k: 3 of 3\nv: 3 of 3\ny: 0 of 12");
}

/// Heads merged with the batch, as products of three dimensions need them.
fn merged_with_batch(batch: &str, flat: &str) -> String {
    let nodes = "qf = Reshape(qt, flat)
        kf = Reshape(kt, flat)
        vf = Reshape(vt, flat)
        kx = Transpose<perm = [0, 2, 1]>(kf)
        s = MatMul(qf, kx)
        n = Mul(s, scale)
        p = Softmax(n)
        cf = MatMul(p, vf)
        c = Reshape(cf, apart)";
    let constants = format!(", int64[3] flat = {{{flat}}}, int64[4] apart = {{{batch}, 4, 5, 3}}");
    separate(nodes, &constants)
}

#[test]
fn heads_merged_with_a_batch() {
    let two = merged_with_batch("2", "8, 5, 3");
    let (heads, places) = by_grain(&two);
    assert_eq!(heads, "q0, k0, v0: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q0, k0: 3 of 3\nv0: 3 of 3\ny: 0 of 12");
    let one = merged_with_batch("1", "4, 5, 3")
        .replace("float[2,5,12]", "float[1,5,12]")
        .replace("{2, 5,", "{1, 5,");
    assert_eq!(by_grain(&one).0, "q0, k0, v0: 4 of 4\ny: 0 of 12");
    // How many heads of how many samples lie on an axis is not known: places go instead.
    let any = merged_with_batch("-1", "-1, 5, 6")
        .replace("float[2,5,12]", "float[N,5,12]")
        .replace("4, 5, 3}", "2, 5, 6}")
        .replace("{2, 5, 4, 3}", "{-1, 5, 2, 6}")
        .replace("{2, 5,", "{-1, 5,");
    let (heads, places) = (groups(&any, Grain::Heads), groups(&any, Grain::Places));
    assert_eq!(heads, places);
    assert!(heads.starts_with("q0, k0: 6 of 6\nv0: 6 of 6\n"), "{heads}");
}

#[test]
fn heads_split_off_together_with_a_batch() {
    let source = "g (float[5,2,12] x) => (float[5,2,12] y)
        <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo, int64[3] heads = {5, 8, 3}, int64[3] merged = {5, 2, 12}> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            vh = Reshape(v, heads)
            qt = Transpose<perm = [1, 0, 2]>(qh)
            kt = Transpose<perm = [1, 2, 0]>(kh)
            vt = Transpose<perm = [1, 0, 2]>(vh)
            s = MatMul(qt, kt)
            p = Softmax(s)
            c = MatMul(p, vt)
            ct = Transpose<perm = [1, 0, 2]>(c)
            m = Reshape(ct, merged)
            y = MatMul(m, wo)
        }";
    let (heads, places) = by_grain(source);
    assert_eq!(heads, "q, k, v: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q, k: 3 of 3\nv: 3 of 3\ny: 0 of 12");
}

#[test]
fn heads_split_off_together_with_a_batch_and_apart_again() {
    let apart = |batch: &str, flat: &str, map: &str| {
        format!(
            "g (float[5,{batch},12] x) => (float[5,{batch},12] y)
            <float[12,12] wq, float[12,12] wk, float[12,12] wv, float[12,12] wo, int64[3] flat = {{{flat}}}, int64[4] map = {{{map}}},
             int64[3] merged = {{0, 0, 12}}> {{
                q = MatMul(x, wq)
                k = MatMul(x, wk)
                v = MatMul(x, wv)
                qf = Reshape(q, flat)
                kf = Reshape(k, flat)
                vf = Reshape(v, flat)
                qb = Transpose<perm = [1, 0, 2]>(qf)
                kb = Transpose<perm = [1, 0, 2]>(kf)
                vb = Transpose<perm = [1, 0, 2]>(vf)
                qt = Reshape(qb, map)
                kh = Reshape(kb, map)
                vt = Reshape(vb, map)
                kt = Transpose<perm = [0, 1, 3, 2]>(kh)
                s = MatMul(qt, kt)
                p = Softmax(s)
                c = MatMul(p, vt)
                ct = Transpose<perm = [2, 0, 1, 3]>(c)
                m = Reshape(ct, merged)
                y = MatMul(m, wo)
            }}"
        )
    };
    let (heads, places) = by_grain(&apart("2", "5, 8, 3", "2, 4, 5, 3"));
    assert_eq!(heads, "q, k, v: 4 of 4\ny: 0 of 12");
    assert_eq!(places, "q, k: 3 of 3\nv: 3 of 3\ny: 0 of 12");
    // The number of samples times that of heads is not known: places go, whatever is asked for.
    let any = apart("N", "5, -1, 3", "-1, 4, 5, 3");
    for grain in [Grain::Heads, Grain::Places] {
        assert_eq!(removes_in(&any, &[Source], grain), "q, k: 3 of 3\nv: 3 of 3\ny: 0 of 12");
    }
}

#[test]
fn a_slice_at_run_time_holds_only_what_it_slices() {
    let nodes = format!(
        "{SCORES}
        length = Shape<start = 1, end = 2>(x)
        b1 = Slice(bias, zero, length, two)
        b2 = Slice(b1, zero, length, three)
        n1 = Add(n, b2)
        p = Softmax(n1)
        c = MatMul(p, vt)"
    );
    let constants =
        ", float[1,4,9,9] bias, int64[1] zero = {0}, int64[1] two = {2}, int64[1] three = {3}";
    let source = separate(&nodes, constants)
        .replace("float[2,5,12]", "float[N,S,12]")
        .replace("heads = {2, 5, 4, 3}", "heads = {0, 0, 4, 3}")
        .replace("merged = {2, 5, 12}", "merged = {0, 0, 12}");
    assert!(groups(&source, Grain::Heads).starts_with("q0, k0, v0: 4 of 4\n"));
}

#[test]
fn without_attention_both_grains_are_the_same() {
    let shuffle = "g (float[2,3,6,6] x) => (float[2,4,6,6] y)
        <float[6,3,1,1] w0, float[6,3,1,1] w1, float[4,6,1,1] w2, int64[5] apart = {2, 2, 3, 6, 6}, int64[4] together = {2, 6, 6, 6}> {
            a = Conv(x, w0)
            b = Reshape(a, apart)
            c = Transpose<perm = [0, 2, 1, 3, 4]>(b)
            d = Reshape(c, together)
            e = Conv<group = 2>(d, w1)
            y = Conv(e, w2)
        }";
    let flatten = "g (float[2,3,4,4] x) => (float[2,4] y) <float[6,3,1,1] w0, float[96,4] w1> {
            a = Conv(x, w0)
            b = Flatten(a)
            y = MatMul(b, w1)
        }";
    // Positions are multiplied with each other, channels are what is summed over.
    let non_local = "g (float[2,3,4,4] x) => (float[2,6,4,4] y)
        <float[6,3,1,1] w0, float[6,3,1,1] w1, float[6,3,1,1] w2, float[6,6,1,1] w3, int64[3] flat = {2, 6, 16}, int64[4] map = {2, 6, 4, 4}> {
            a = Conv(x, w0)
            b = Conv(x, w1)
            c = Conv(x, w2)
            af = Reshape(a, flat)
            bf = Reshape(b, flat)
            cf = Reshape(c, flat)
            at = Transpose<perm = [0, 2, 1]>(af)
            s = MatMul(at, bf)
            p = Softmax(s)
            pt = Transpose<perm = [0, 2, 1]>(p)
            d = MatMul(cf, pt)
            e = Reshape(d, map)
            y = Conv(e, w3)
        }";
    for source in [shuffle, flatten, non_local] {
        let heads = groups(source, Grain::Heads);
        assert_eq!(heads, groups(source, Grain::Places));
        assert!(heads.starts_with("a"), "{heads}");
    }
    assert_eq!(removes_exactly(non_local, &[Source]), "a, b: 6 of 6\nc: 6 of 6\ny: 0 of 6");
}

/// Two convolutions' worth of projections around one operator of operator set 23.
fn as_operator(node: &str, sizes: [usize; 4]) -> String {
    let [q, k, v, y] = sizes;
    format!(
        "<ir_version: 11, opset_import: [\"\" : 23]>
        g (float[2,5,12] x, float[2,4,5,5] mask) => (float[2,5,12] y)
        <float[12,{q}] wq, float[12,{k}] wk, float[12,{v}] wv, float[{y},12] wo> {{
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            {node}
            y = MatMul(c, wo)
        }}"
    )
}

#[test]
fn attention_as_one_operator_counts_heads_in_attributes() {
    let source =
        as_operator("c = Attention<q_num_heads = 8, kv_num_heads = 4>(q, k, v)", [24, 12, 20, 40]);
    assert_eq!(groups(&source, Grain::Places), groups(&source, Grain::Heads));
    let mut model = model(&source);
    let analysis = Analysis::of(&model.graph);
    let plan = analysis.plan_removing(&[(0, vec![2])]).expect("a head can go");
    plan.apply(&mut model).expect("the plan fits");
    let node = model.graph.nodes().find(|(_, node)| node.is("Attention")).expect("it is there").1;
    assert_eq!((node.int("q_num_heads"), node.int("kv_num_heads")), (Some(6), Some(3)));
    let (_, weight) = model.graph.values().find(|(_, value)| value.name() == "wo").expect("there");
    assert_eq!(weight.ty().dims().expect("known"), [30, 12]);
    insta::assert_snapshot!(groups(&source, Grain::Heads), @r"
    q, k, v: 4 of 4
    y: 0 of 12
      `y` is a graph output
    ");
}

#[test]
fn a_mask_of_heads_that_is_an_input_holds_them() {
    let source = as_operator(
        "c = Attention<q_num_heads = 4, kv_num_heads = 4>(q, k, v, mask)",
        [12, 12, 12, 12],
    );
    insta::assert_snapshot!(groups(&source, Grain::Heads), @r"
    q, k, v: 0 of 4
      `mask` is a graph input
    y: 0 of 12
      `y` is a graph output
    ");
}

#[test]
fn attention_with_an_axis_of_heads() {
    let node = |scale: &str| {
        format!(
            "heads = Constant<value_ints = [2, 5, 4, 3]>()
            merged = Constant<value_ints = [2, 5, 12]>()
            qh = Reshape(q, heads)
            kh = Reshape(k, heads)
            vh = Reshape(v, heads)
            qt = Transpose<perm = [0, 2, 1, 3]>(qh)
            kt = Transpose<perm = [0, 2, 1, 3]>(kh)
            vt = Transpose<perm = [0, 2, 1, 3]>(vh)
            ch = Attention{scale}(qt, kt, vt)
            ct = Transpose<perm = [0, 2, 1, 3]>(ch)
            c = Reshape(ct, merged)"
        )
    };
    let free = as_operator(&node(""), [12; 4]);
    insta::assert_snapshot!(groups(&free, Grain::Heads), @r"
    q, k, v: 4 of 4
    y: 0 of 12
      `y` is a graph output
    ");
    insta::assert_snapshot!(groups(&free, Grain::Places), @r"
    q: 0 of 3
      `ch` (Attention) scales by the size of a head
    k: 0 of 3
      `ch` (Attention) scales by the size of a head
    v: 3 of 3
    y: 0 of 12
      `y` is a graph output
    ");
    let scaled = as_operator(&node("<scale = 0.5>"), [12; 4]);
    insta::assert_snapshot!(groups(&scaled, Grain::Places), @r"
    q, k: 3 of 3
    v: 3 of 3
    y: 0 of 12
      `y` is a graph output
    ");
}

#[test]
fn rotation_as_one_operator_keeps_heads_whole() {
    let source = as_operator(
        "qr = RotaryEmbedding<num_heads = 4>(q, cosine, sine)
        kr = RotaryEmbedding<num_heads = 4>(k, cosine, sine)
        c = Attention<q_num_heads = 4, kv_num_heads = 4>(qr, kr, v)",
        [16, 16, 12, 12],
    )
    .replace("float[2,4,5,5] mask", "float[2,5,2] cosine, float[2,5,2] sine");
    insta::assert_snapshot!(groups(&source, Grain::Heads), @r"
    q, k, v: 4 of 4
    y: 0 of 12
      `y` is a graph output
    ");
}
