use super::*;
use lapidary_ir::text;

fn model(source: &str) -> Model {
    let mut model = text::parse(source).unwrap_or_else(|error| panic!("{error}"));
    let violations = model.validate();
    assert!(violations.is_empty(), "the text is a valid model: {violations:?}");
    model.graph.infer();
    model
}

fn prove(original: &str, changed: &str) -> Proof {
    Proof::new(&model(original), &model(changed), &ProofOptions::default())
}

#[track_caller]
fn holds(proof: &Proof, by_construction: usize, by_execution: usize) {
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!((proof.by_construction, proof.by_execution), (by_construction, by_execution));
}

#[track_caller]
fn differs(proof: &Proof, value: &str) {
    let named = |differences: &[Difference]| differences.iter().any(|found| found.value == value);
    assert!(!proof.differing.is_empty() && named(&proof.suspects), "{proof:?}");
}

#[test]
fn what_is_the_same_by_construction_is_not_executed() {
    let source = "g (float[1,2] x) => (float[1,2] y) { a = my.own.Unknown(x) y = Relu(a) }";
    let source =
        source.replace("g (", "<ir_version: 10, opset_import: [\"\" : 21, \"my.own\" : 1]> g (");
    // Nobody knows the type of `a`: `y` is one expression of `x`.
    let found = prove(&source, &source);
    holds(&found, 1, 0);
}

#[test]
fn a_fused_convolution_is_executed_on_a_part_of_the_image() {
    let body = |conv: &str, constants: &str| {
        format!(
            "g (float[1,3,64,64] x) => (float[1,4,32,32] y)
             <float[4,3,3,3] w, float[4,4,3,3] v{constants}>
             {{
                 {conv}
                 r = Relu(n)
                 y = Conv <pads = [1, 1, 1, 1]> (r, v)
             }}"
        )
    };
    let bn = ", float[4] s = {1, 1, 1, 1}, float[4] b = {1, 2, 3, 4}, float[4] m = {0, 0, 0, 0}, \
              float[4] k = {1, 1, 1, 1}";
    let conv = "Conv <pads = [1, 1, 1, 1], strides = [2, 2]>";
    let original = body(
        &format!("c = {conv} (x, w) n = BatchNormalization <epsilon = 0.0> (c, s, b, m, k)"),
        bn,
    );
    let right = body(&format!("n = {conv} (x, w, b)"), ", float[4] b = {1, 2, 3, 4}");
    holds(&prove(&original, &right), 2, 1);
    let wrong = body(&format!("n = {conv} (x, w, b)"), ", float[4] b = {1, 2, 3, 5}");
    differs(&prove(&original, &wrong), "n");
}

#[test]
fn a_value_is_proved_from_further_back_where_random_numbers_are_impossible() {
    // Of a square, a Relu changes nothing.
    let body = |operand: &str| {
        format!(
            "g (float[8,8] x) => (float[8,8] y) {{
                 a = Mul(x, x)
                 b = Relu(a)
                 c = MatMul({operand}, x)
                 y = Sigmoid(c)
             }}"
        )
    };
    let found = prove(&body("b"), &body("a").replace("b = Relu(a)", ""));
    assert!(found.is_complete(), "{found:?}");
    assert_eq!(found.suspects.len(), 2, "one for each seed");
    differs(&prove(&body("b"), &body("x").replace("b = Relu(a)", "")), "c");
}

#[test]
fn a_name_may_stand_for_something_else_inside() {
    let original = "g (float[4,4] x) => (float[4,4] y) {
        a = Exp(x)
        b = Transpose <perm = [1, 0]> (a)
        y = Tanh(b)
    }";
    let changed = "g (float[4,4] x) => (float[4,4] y) {
        b = Exp(x)
        a = Transpose <perm = [1, 0]> (b)
        y = Tanh(a)
    }";
    holds(&prove(original, changed), 1, 0);
}

#[test]
fn folded_constants_are_compared_with_what_they_were() {
    let body = |constant: &str, data: &str| {
        format!(
            "g (float[2] x) => (float[2] y) <float[2] w = {{1, 2}}{data}> {{
                 {constant}
                 a = Add(x, c)
                 y = Neg(a)
             }}"
        )
    };
    let original = body("k = Neg(w) c = Mul(k, w)", "");
    holds(&prove(&original, &body("", ", float[2] c = {-1, -4}")), 2, 1);
    differs(&prove(&original, &body("", ", float[2] c = {-1, -5}")), "a");
}

#[test]
fn sizes_written_into_the_model_are_found_out() {
    let body = |shape: &str| {
        format!(
            "g (float[N,2,3] x) => (y) <int64[2] s = {{{shape}}}> {{ a = Reshape(x, s) y = Neg(a) }}"
        )
    };
    holds(&prove(&body("-1, 6"), &body("-1, 6")), 2, 0);
    holds(&prove(&body("-1, 6"), &body("0, -1")), 1, 1);
    let found = prove(&body("-1, 6"), &body("1, 6"));
    assert!(!found.is_complete(), "{found:?}");
}

#[test]
fn integers_are_computed_from_what_makes_them_valid() {
    let original = "g (int64[5] ids) => (float[5,2] y)
        <float[2,2] table = {1, 2, 3, 4}, int64 one = {1}, int64 zero = {0}> {
        a = Sub(one, ids)
        b = Add(a, zero)
        e = Gather(table, b)
        y = Tanh(e)
    }";
    let changed = original.replace("b = Add(a, zero)", "").replace("(table, b)", "(table, a)");
    holds(&prove(original, &changed), 1, 1);
}

#[test]
fn what_the_runtime_lacks_is_named() {
    let body = |det: &str| {
        format!("g (float[2,2] x) => (float y) {{ a = Neg(x) d = Det({det}) y = Tanh(d) }}")
    };
    let found = prove(&body("a"), &body("x"));
    assert_eq!(found.not_executable.len(), 1, "{found:?}");
    assert_eq!(found.not_executable[0].value, "d");
    assert!(found.differing.is_empty() && !found.is_complete());
}

#[test]
fn sequences_are_named_too() {
    let body = |second: &str| {
        format!(
            "g (float[2] x) => (float[2] y) <int64 i = {{1}}> {{
                 b = Identity(x)
                 s = SequenceConstruct(x, {second})
                 y = SequenceAt(s, i)
             }}"
        )
    };
    let found = prove(&body("b"), &body("x").replace("b = Identity(x)", ""));
    assert_eq!(found.not_executable.len(), 1, "{found:?}");
    holds(&prove(&body("b"), &body("b")), 2, 0);
}

#[test]
fn a_graph_without_outputs_claims_nothing() {
    let source = "g (float[2] x) => () { a = Neg(x) }";
    holds(&prove(source, source), 0, 0);
}

#[test]
fn other_outputs_differ() {
    let one = "g (float[2] x) => (float[2] y) { y = Neg(x) }";
    let other = "g (float[2] x) => (float[2] z) { z = Neg(x) }";
    assert!(!prove(one, other).differing.is_empty());
}

#[test]
fn inputs_and_initializers_may_be_outputs() {
    let body = |w: &str| {
        format!("g (float[2] x) => (float[2] x, float[2] w) <float[2] w = {{{w}}}> {{ }}")
    };
    holds(&prove(&body("1, 2"), &body("1, 2")), 2, 0);
    differs(&prove(&body("1, 2"), &body("1, 3")), "w");
}

#[test]
fn captured_values_are_given_to_branches() {
    let body = |captured: &str| {
        format!(
            "g (float[2] x, bool c) => (float[2] y) {{
                 a = Exp(x)
                 b = Identity(a)
                 y = If (c) <
                     then_branch = t () => (float[2] p) {{ p = Neg({captured}) }},
                     else_branch = e () => (float[2] q) {{ q = Abs({captured}) }}
                 >
             }}"
        )
    };
    holds(&prove(&body("b"), &body("a").replace("b = Identity(a)", "")), 1, 1);
    let found = prove(&body("b"), &body("x").replace("b = Identity(a)", ""));
    differs(&found, "y");
}

#[test]
fn a_default_a_caller_may_override_is_no_constant() {
    // From version 4 of the format on, an input with an initializer has a default.
    let original = "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {0, 0}> {
        a = Add(x, w)
        y = Neg(a)
    }";
    let changed = "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {0, 0}> {
        y = Neg(x)
    }";
    differs(&prove(original, changed), "y");
}

#[test]
fn half_precision_has_its_own_rounding() {
    let body = |scale: &str| {
        format!(
            "g (float16[4,4] x) => (float16[4,4] y) <float16 a = {{3.0}}, float16 b = {{{scale}}}> {{
                 p = Mul(x, a)
                 q = Div(p, b)
                 y = Neg(q)
             }}"
        )
    };
    let changed = "g (float16[4,4] x) => (float16[4,4] y) <float16 r = {0.4286}> {
        q = Mul(x, r)
        y = Neg(q)
    }";
    holds(&prove(&body("7.0"), changed), 1, 1);
    differs(&prove(&body("6.5"), changed), "q");
}

#[test]
fn a_long_chain_is_proved_without_recursion() {
    let chain = |first: &str| {
        let nodes: String = (1..4_000).map(|n| format!("v{} = Neg(v{n})\n", n + 1)).collect();
        format!("g (float[1] v0) => (float[1] v4000) {{ {first} {nodes} }}")
    };
    let original = chain("v1 = Abs(v0)");
    holds(&prove(&original, &original), 4_000, 0);
    holds(&prove(&original, &chain("u = Identity(v0) v1 = Abs(u)")), 3_999, 1);
}

#[test]
fn random_numbers_are_possible_ones() {
    // Behind a Relu, another one changes nothing.
    let source = |operand: &str| {
        format!(
            "g (float[8,8] x) => (float[8,8] y) {{
                 p = MatMul(x, x)
                 a = Relu(p)
                 b = Relu(a)
                 c = MatMul({operand}, x)
                 y = Sigmoid(c)
             }}"
        )
    };
    let found = prove(&source("b"), &source("a").replace("b = Relu(a)", ""));
    assert!(found.suspects.is_empty(), "{found:?}");
    holds(&found, 3, 1);
    differs(&prove(&source("b"), &source("p").replace("b = Relu(a)", "")), "c");
}
