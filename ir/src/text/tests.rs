use super::{ParseError, PrintOptions, parse, print, print_model, seeded};
use crate::{AttributeValue, Dim, ElemType, Graph, MAX_DEPTH, Model};
use insta::assert_snapshot;
use lapidary_proto::onnx;

const EVERYTHING: PrintOptions = PrintOptions { node_names: true, header: true };

/// What a text shows, and the text.
const TEXTS: [(&str, &str); 20] = [
    ("nothing", "g () => () {}"),
    ("a header", r#"<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1], producer_name: "x",
        producer_version: "1", domain: "d", model_version: 3, doc_string: "a \"b\"",
        metadata_props: ["k" : "v"]> g (float[1] x) => (float[1] y) { y = Relu(x) }"#),
    ("symbolic dims", "g (float[N,1,?,8] x, int64[] any, bool c) => (float[N,1,?,8] y) { y = Relu (x) }"),
    ("quoted names", r#"g (float["batch size",2] "in.0") => (float[?,2] "/out") { "/out" = Relu("in.0") }"#),
    ("omitted inputs", r#"g (float[4] x, float s) => (float[4] y, float[4] z, float[4] v) {
        y = Clip(x, , s) z = Clip(x, s, "") v = Odd("") }"#),
    ("omitted outputs", r#"g (float[4] x) => (float[4] y, float[4] z) {
        y, , "" = Three(x) "", z = Two(x) "" = One(x) = None(x) }"#),
    ("several outputs", "g (float[4] x) => (float[2] a, float[2] b) { a, b = Split <axis = 0> (x) }"),
    ("a domain", "g (float[1] x) => (float[1] y) { a = com.microsoft.Gelu(x) y = ai.onnx.Relu:v2(a) }"),
    ("a quoted domain", r#"g (float[1] x) => (float[1] y) { y = "my-domain.x"."an op"(x) }"#),
    ("numbers", "g (float[1] x) => (float[1] y) { y = Op <a = -1, b = 1.0, c = [1, -2], d = [1, 2.5],
        e = 1e-7, f = inf, h = -inf, i = nan, j = 3.4028235e38, k : float = 2, l : floats = [1, 2],
        m = 0.1> (x) }"),
    ("strings", r#"g (float[1] x) => (float[1] y) { y = Op <a = "x", b = ["p", "q\"\\"], c = "\n\t\xff\x00é"> (x) }"#),
    ("empty lists", "g (float[1] x) => (float[1] y) { y = Op <a : ints = [], b : floats = [], c : strings = []> (x) }"),
    ("attributes behind the inputs", "g (float[1] x) => (float[1] y) { y = Op (x) <a = 1, t = float[3]> }"),
    ("tensors", r#"g () => (float[2] y) { y = Constant <value = float[2] {1, -0.5}> ()
        a = Constant <value = string[2] {"x", "y"}> () b = Constant <value = int64[3,3] b> ()
        c = Constant <value = int64 w = {7}> () d = Constant <value = float[0] {}> () }"#),
    ("every type of data", "g () => () <
        float[3] a = {1, 0.25, inf}, double[2] b = {1e300, 0.1}, float16[3] c = {1.0, 0.5, -inf},
        bfloat16[2] d = {1.5, nan}, int64[2] e = {-9223372036854775808, 9223372036854775807},
        uint64[1] f = {18446744073709551615}, int8[2] h = {-128, 127}, uint8[2] i = {0, 255},
        bool[2] j = {0, 1}, int4[3] k = {-8, 7, 1}, uint4[3] l = {15, 0, 2}, int2[5] m = {-2, -1, 0, 1, -2},
        float8e4m3fn[2] n = {1, 255}, complex64[2] o = {1, 2, 3, 4}, complex128[1] p = {0.5, 2},
        int16[1] q = {-3}, uint16[1] r = {65535}, int32[1] s = {-1}, uint32[1] t = {4294967295},
        float4e2m1[3] u = {1, 15, 2}, uint2[2] v = {3, 1}, float[] w = {2}> {}"),
    ("seeded initializers", "g (float[N,4] x) => (float[N,4] y) <float[4,4] w, float[4] b, int64[9] i,
        bool[2] t, string[2] s, float16[10] h, uint4[3] q, complex64[1] c, float8e5m2[2] e, float[4] p>
        { p = MatMul(x, w) y = Add(p, b) }"),
    ("initializers of the interface", "g (float[2] w = {1, 2}, float[3,4] v) => (float[2] w, float[2] k)
        <float[3,4] v, float[2] k = {3, 4}> {}"),
    ("subgraphs", "g (bool c, float[2] x) => (float[2] y) <float[2] k = {1, 2}> {
        z = Relu(x)
        y = If (c) <then_branch = t () => (float[2] a) <float[2] l = {3, 4}> { m = Add(z, l) a = Add(m, k) },
            else_branch = e () => (float[2] b) { b = If (c) <then_branch = \"t 2\" () => (float[2] x) {},
                else_branch = e2 () => (float[2] n) { n = Neg(z) }, depth = 2> } > }"),
    ("other types", "g (seq(float[2]) s, optional(seq(int64)) o, map(string, float[]) m,
        sparse_tensor(float[3,3]) p, u) => (seq(float[2]) r) { r = Op <ty = seq(float[N])> (s, o, m, p, u) }"),
    ("functions", r#"<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
        g (float[2] x) => (float[2] y) { y = local.f <alpha = 2.0> (x, x) }
        <domain: "local", opset_import: ["" : 21]> f <alpha, beta : float = 1.0> (a, float[2] b) => (c) {
            d = Elu <alpha : float = @alpha> (a) c = Add(d, b) }
        <domain: "local"> h (a) => (b) { b = com.microsoft.Gelu(a) }"#),
];

fn model(text: &str) -> Model {
    parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn graph(text: &str) -> Graph {
    model(text).graph
}

/// The error with the errors that caused it, one per line.
fn error(text: &str) -> String {
    let error = parse(text).expect_err("the text is wrong");
    let first: &dyn std::error::Error = &error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_printed_reads_back_as_the_same_text() {
    for (what, text) in TEXTS {
        for options in [PrintOptions::default(), EVERYTHING] {
            let once = print_model(&model(text), options);
            let again = parse(&once).unwrap_or_else(|error| panic!("{what}\n{once}\n{error}"));
            assert_eq!(print_model(&again, options), once, "{what}");
        }
    }
}

#[test]
fn what_is_printed_encodes_as_the_same_model() {
    for (what, text) in TEXTS {
        let first = model(text);
        let second = model(&print_model(&first, EVERYTHING));
        let without_value_infos = |model: &Model| {
            let mut proto = model.encode();
            proto.graph.get_or_insert_default().value_info.clear();
            proto
        };
        let (first, second) = (without_value_infos(&first), without_value_infos(&second));
        // One of the numbers is NaN, which equals nothing.
        if what != "numbers" {
            assert_eq!(first, second, "{what}");
        }
    }
}

#[test]
fn no_text_cut_short_panics() {
    for (_, text) in TEXTS {
        for (at, _) in text.char_indices() {
            let cut = parse(&text[..at]).map(|model| print_model(&model, EVERYTHING));
            if let Err(error) = cut {
                assert!(!error.to_string().is_empty());
            }
            let without: String = [&text[..at], text[at..].get(1..).unwrap_or("")].concat();
            let _ = parse(&without).map(|model| print_model(&model, EVERYTHING));
            let doubled: String = [&text[..at], "<", &text[at..]].concat();
            let _ = parse(&doubled).map(|model| print_model(&model, EVERYTHING));
        }
    }
}

#[test]
fn prints_one_node_per_line() {
    assert_snapshot!(print(&graph("g (float[N,1,8,8] x) => (float[N,4,6,6] y)
        <float[4,1,3,3] w, float[4] b = {1, 2, 3, 4}> {
            c = Conv <kernel_shape = [3, 3]> (x, w, b) y = Relu(c) }")), @r"
    g (float[N,1,8,8] x) => (float[N,4,6,6] y)
    <float[4,1,3,3] w, float[4] b = {1, 2, 3, 4}>
    {
        c = Conv <kernel_shape = [3, 3]> (x, w, b)
        y = Relu(c)
    }
    ");
}

#[test]
fn prints_nodes_in_topological_order() {
    assert_snapshot!(print(&graph("g (float[1] x) => (float[1] z) { z = Neg(y) y = Relu(x) }")), @r"
    g (float[1] x) => (float[1] z)
    {
        y = Relu(x)
        z = Neg(y)
    }
    ");
}

#[test]
fn prints_an_omitted_input_as_nothing() {
    assert_snapshot!(print(&graph(r#"g (float[4] x, float s) => (float[4] y, float[4] z) {
        y = Clip(x, "", s) z, "" = Dropout(x, , "") }"#)), @r#"
    g (float[4] x, float s) => (float[4] y, float[4] z)
    {
        y = Clip(x, , s)
        z, "" = Dropout(x, , "")
    }
    "#);
}

#[test]
fn a_comma_at_the_end_adds_no_input() {
    let graph = graph("g (float[4] x) => (float[4] y) { y = Clip(x, ) }");
    let inputs: Vec<usize> = graph.nodes().map(|(_, node)| node.inputs().len()).collect();
    assert_eq!(inputs, [1]);
}

#[test]
fn prints_subgraphs_indented() {
    assert_snapshot!(print(&graph("g (bool c, float[2] x) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] a) <float[2] k = {1, 2}> { a = Add(x, k) },
            else_branch = e () => (float[2] b) { b = Neg(x) }> }")), @r"
    g (bool c, float[2] x) => (float[2] y)
    {
        y = If(c) <
            then_branch = t () => (float[2] a)
            <float[2] k = {1, 2}>
            {
                a = Add(x, k)
            },
            else_branch = e () => (float[2] b)
            {
                b = Neg(x)
            }
        >
    }
    ");
}

#[test]
fn prints_functions_behind_the_graph() {
    let (_, text) = TEXTS[19];
    assert_snapshot!(print_model(&model(text), PrintOptions::default()), @r#"
    g (float[2] x) => (float[2] y)
    {
        y = local.f <alpha = 2.0> (x, x)
    }
    <domain: "local", opset_import: ["" : 21]>
    f <alpha, beta = 1.0> (a, float[2] b) => (c)
    {
        d = Elu <alpha : float = @alpha> (a)
        c = Add(d, b)
    }
    <domain: "local", opset_import: ["" : 21, "com.microsoft" : 1]>
    h (a) => (b)
    {
        b = com.microsoft.Gelu(a)
    }
    "#);
}

#[test]
fn prints_the_header_and_the_names_of_nodes_when_asked_for() {
    let model = model(
        r#"<producer_name: "x"> g (float[1] x) => (float[1] y) {
        [first] a = com.microsoft.Gelu(x) ["2/b"] y = Relu(a) }"#,
    );
    assert_snapshot!(print_model(&model, EVERYTHING), @r#"
    <ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1], producer_name: "x">
    g (float[1] x) => (float[1] y)
    {
        [first] a = com.microsoft.Gelu(x)
        ["2/b"] y = Relu(a)
    }
    "#);
}

#[test]
fn breaks_an_interface_that_is_too_long() {
    assert_snapshot!(print(&graph("main (float[batch,sequence,64] hidden_states, float[batch,1,1,sequence]
        attention_mask) => (float[batch,sequence,64] result) { result = Add(hidden_states, attention_mask) }")), @r"
    main (float[batch,sequence,64] hidden_states, float[batch,1,1,sequence] attention_mask) =>
        (float[batch,sequence,64] result)
    {
        result = Add(hidden_states, attention_mask)
    }
    ");
}

#[test]
fn the_data_of_more_than_eight_elements_is_not_printed() {
    let text = print(&graph(
        "g () => () <int64[8] a, int64[9] b> { c = Constant <value = int64[9] b> () }",
    ));
    assert_snapshot!(text, @r"
    g () => ()
    <int64[8] a = {2, 1, 1, 1, 0, 0, 1, 0}, int64[9] b>
    {
        c = Constant <value = int64[9] c> ()
    }
    ");
}

#[test]
fn a_declaration_without_data_is_a_value_info_where_a_node_makes_the_value() {
    let graph =
        graph("g (float[2] x) => (y) <float[2] h, float[2] w> { h = Relu(x) y = Add(h, w) }");
    let of = |name: &str| graph.value(graph.find(name).expect("the name is there"));
    assert!(of("h").initializer().is_none());
    assert_eq!(of("h").shape(), Some(&[Dim::from(2)][..]));
    assert!(of("w").constant().is_some());
}

#[test]
fn seeded_data_depends_on_the_name_alone() {
    let tensor = |text: &str, name: &str| {
        let graph = graph(text);
        let value = graph.find(name).expect("the name is there");
        graph.constant(value).expect("the value is constant").to_vec::<f32>()
    };
    let first = tensor("g () => () <float[4,4] w, float[9] b> {}", "w").expect("floats");
    assert_eq!(Some(&first), tensor("h () => () <float[16] w> {}", "w").as_ref());
    assert_ne!(Some(&first), tensor("h () => () <float[16] v> {}", "v").as_ref());
    assert!(first.iter().all(|&x| (-1.0..1.0).contains(&x) && (x * 64.0).fract() == 0.0));
    assert!(first.iter().any(|&x| x < 0.0) && first.iter().any(|&x| x > 0.0));
}

#[test]
fn every_element_type_with_a_width_can_be_seeded() {
    for number in 1..=26 {
        let elem_type = ElemType(number);
        let tensor = seeded("w", elem_type, &[3, 5]).expect("the type is known");
        assert_eq!((tensor.elem_type(), tensor.len()), (elem_type, 15));
    }
    let indices = seeded("i", ElemType::INT64, &[100]).expect("int64 is known");
    assert!(indices.to_i64().expect("integers").iter().all(|index| (0..3).contains(index)));
    assert!(seeded("w", ElemType(99), &[1]).is_err());
}

#[test]
fn numbers_keep_their_kind() {
    let graph = graph("g () => () { y = Op <a = 1, b = 1.0, c = [1, 2.5], d : floats = [1]> () }");
    let (_, node) = graph.nodes().next().expect("there is a node");
    assert_eq!((node.int("a"), node.float("b")), (Some(1), Some(1.0)));
    assert_eq!(node.floats("c"), Some(&[1.0, 2.5][..]));
    assert_eq!(node.floats("d"), Some(&[1.0][..]));
}

#[test]
fn strings_may_hold_any_bytes() {
    let graph = graph(r#"g () => () { y = Op <a = "\"\\\n\x00\xfFé"> () }"#);
    let (_, node) = graph.nodes().next().expect("there is a node");
    let Some(AttributeValue::String(bytes)) = node.attribute("a") else { panic!("not a string") };
    assert_eq!(&bytes[..], b"\"\\\n\x00\xff\xc3\xa9");
}

#[test]
fn an_expression_prints_quoted() {
    let mut graph = graph("g (float[N] x) => (float[N] y) { y = Relu(x) }");
    let x = graph.find("x").expect("the name is there");
    let value = graph.value_mut(x);
    value.declared = None;
    value.ty.shape = Some(vec![Dim::param("N") * 2.into() + 1.into(), Dim::UNKNOWN]);
    assert_snapshot!(print(&graph), @r#"
    g (float["2*N + 1",?] x) => (float[N] y)
    {
        y = Relu(x)
    }
    "#);
}

#[test]
fn what_the_notation_can_not_express_prints_as_an_ellipsis() {
    let mut proto = model("g () => (y) { y = Op <a = 1> () }").encode();
    let graph = proto.graph.get_or_insert_default();
    graph.node[0].attribute[0].r#type = Some(onnx::attribute_proto::AttributeType::Graphs as i32);
    let sparse = onnx::SparseTensorProto {
        values: Some(onnx::TensorProto {
            name: Some("s".to_owned()),
            data_type: Some(1),
            ..onnx::TensorProto::default()
        }),
        dims: vec![3, 4],
        ..onnx::SparseTensorProto::default()
    };
    graph.sparse_initializer.push(sparse);
    let model = Model::decode(proto, &|_| Err("no file".into())).expect("the model is valid");
    assert_snapshot!(print(&model.graph), @r"
    g () => (y)
    <sparse_tensor(float[3,4]) s>
    {
        y = Op <a : graphs = …> ()
    }
    ");
}

#[test]
fn a_cycle_is_printed_too() {
    assert_snapshot!(print(&graph("g (float x) => (float c) { c = Relu(x) a = Neg(b) b = Neg(a) }")), @r"
    g (float x) => (float c)
    {
        c = Relu(x)
        a = Neg(b)
        b = Neg(a)
    }
    ");
}

#[test]
fn refuses_an_unknown_type() {
    assert_snapshot!(error("# a comment\n    g (floot[4] x) => (float[4] y) { y = Relu(x) }"), @r"
    line 2, column 8: found `floot`, expected a type, such as `float` or `int64[2]`
      g (floot[4] x) => (float[4] y) { y = Relu(x) }
         ^
    ");
}

#[test]
fn refuses_a_brace_that_is_not_closed() {
    assert_snapshot!(error("g (float[4] x) => (float[4] y)\n{\n    y = Relu(x)"), @r"
    line 3, column 16: found the end of the text, expected a node or `}`
      y = Relu(x)
                 ^
    ");
}

#[test]
fn refuses_a_string_that_is_not_closed() {
    assert_snapshot!(error("<producer_name: \"x> g () => () {}"), @r#"
    line 1, column 17: found the end of the text, expected the closing quote of this string
      <producer_name: "x> g () => () {}
                      ^
    "#);
}

#[test]
fn refuses_an_input_that_nothing_makes() {
    assert_snapshot!(error("g (float[4] x) => (float[4] y) { y = Add(x, w) }"), @r"
    node `y` (Add)
    input 1 reads `w`, which no node, input or initializer makes
    ");
}

#[test]
fn refuses_data_of_the_wrong_count() {
    assert_snapshot!(error("g () => () <float[2,2] w = {1, 2, 3}> {}"), @r"
    line 1, column 28: found 3 elements, expected 4 for `float[2,2]`
      g () => () <float[2,2] w = {1, 2, 3}> {}
                                 ^
    ");
}

#[test]
fn refuses_two_values_of_one_name() {
    assert_snapshot!(
        error("g (float[4] x) => (float[4] x) { x = Relu(x) }"),
        @"node output `x` has the name of another value of graph `g`"
    );
}

#[test]
fn refuses_a_symbolic_dimension_of_a_constant() {
    assert_snapshot!(error("g () => () <float[N] w> {}"), @r"
    line 1, column 13: found `float[N]`, expected the type of a tensor whose dimensions are numbers, for a constant
      g () => () <float[N] w> {}
                  ^
    ");
}

#[test]
fn refuses_an_element_out_of_range() {
    assert_snapshot!(error("g () => () <int8[1] w = {128}> {}"), @r"
    line 1, column 26: found `128`, expected an integer in the range of the type, for an element of type int8
      g () => () <int8[1] w = {128}> {}
                               ^
    ");
}

#[test]
fn refuses_integers_as_halves() {
    assert_snapshot!(error("g () => () <float16[1] w = {1}> {}"), @r"
    line 1, column 29: found `1`, expected a number with a decimal point, for an element of type float16
      g () => () <float16[1] w = {1}> {}
                                  ^
    ");
}

#[test]
fn refuses_an_attribute_of_another_type_than_it_says() {
    assert_snapshot!(error("g () => () { y = Op <a : ints = 1> () }"), @r"
    line 1, column 33: found a value of type int, expected one of type ints
      g () => () { y = Op <a : ints = 1> () }
                                      ^
    ");
}

#[test]
fn refuses_graphs_that_are_nested_too_deeply() {
    let depth = 2 * MAX_DEPTH;
    let text = format!(
        "g () => () {{ {}{}",
        "y = If() <a = b () => () { ".repeat(depth),
        "}>".repeat(depth) + "}"
    );
    let ParseError::Syntax { expected, .. } = parse(&text).expect_err("it is too deep") else {
        panic!("the parser refuses it");
    };
    assert_eq!(expected, "at most 32 graphs or types in another");
}

#[test]
fn refuses_a_constant_of_unreasonable_size() {
    let text = error("g () => () <float[1000000,1000000] w> {}");
    assert!(text.contains("expected a constant of at most 67108864 elements"), "{text}");
}
