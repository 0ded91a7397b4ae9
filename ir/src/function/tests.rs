//! Inlining.
use crate::text::{self, PrintOptions};
use crate::{InlineError, Model};

const HEADER: &str = r#"<ir_version: 10, opset_import: ["" : 21, "local" : 1]>"#;

fn model(graph: &str, functions: &[&str]) -> Model {
    let function = |function: &&str| {
        format!("<domain: \"local\", opset_import: [\"\" : 21, \"local\" : 1]>\n{function}\n")
    };
    let functions: String = functions.iter().map(function).collect();
    text::parse(&format!("{HEADER}\n{graph}\n{functions}")).expect("the text is valid")
}

fn inlined(graph: &str, functions: &[&str]) -> String {
    let mut model = model(graph, functions);
    model.inline_functions().expect("it can be inlined");
    assert_eq!(model.validate(), Vec::new());
    text::print_model(&model, PrintOptions::default())
}

fn refused(graph: &str, functions: &[&str]) -> InlineError {
    let mut model = model(graph, functions);
    let before = model.encode();
    let error = model.inline_functions().expect_err("it is refused");
    assert_eq!(model.encode(), before, "the model is unchanged");
    error
}

#[test]
fn nested_calls_get_their_own_names_and_attributes() {
    let graph = "g (float[2] x) => (float[2] y, float[2] z)
        { c = Neg(x) y = local.outer <alpha = 0.5> (c) z = local.outer(y) }";
    let outer = "outer <alpha : float = 2.0> (a) => (b) { c = Relu(a) b = local.inner <slope : float = @alpha> (c) }";
    let inner =
        "inner <slope> (a) => (b) { c = Abs(a) b = LeakyRelu <alpha : float = @slope> (c) }";
    insta::assert_snapshot!(inlined(graph, &[outer, inner]), @r"
    g (float[2] x) => (float[2] y, float[2] z)
    {
        c = Neg(x)
        c_1 = Relu(c)
        c_2 = Abs(c_1)
        y = LeakyRelu <alpha = 0.5> (c_2)
        c_3 = Relu(y)
        c_4 = Abs(c_3)
        z = LeakyRelu <alpha = 2.0> (c_4)
    }
    ");
}

#[test]
fn an_attribute_nobody_gives_is_left_to_its_own_default() {
    let graph = "g (float[2] x) => (float[2] y) { y = local.f(x) }";
    let f = "f <alpha> (a) => (b) { b = local.h <slope : float = @alpha> (a) }";
    let h = "h <slope : float = 0.25> (a) => (b) { b = LeakyRelu <alpha : float = @slope> (a) }";
    insta::assert_snapshot!(inlined(graph, &[f, h]), @r"
    g (float[2] x) => (float[2] y)
    {
        y = LeakyRelu <alpha = 0.25> (x)
    }
    ");
}

#[test]
fn omitted_inputs_and_outputs_are_omitted() {
    let graph = r#"g (float[2] x) => (float[2] y) { "", y = local.f(x) }"#;
    let f = "f (a, low, high) => (b, c) { b = Neg(a) c = Clip(b, low, high) }";
    insta::assert_snapshot!(inlined(graph, &[f]), @r#"
    g (float[2] x) => (float[2] y)
    {
        b = Neg(x)
        y = Clip(b, , "")
    }
    "#);
}

#[test]
fn an_output_that_is_an_input_is_copied() {
    let graph = "g (float[2] x) => (float[2] y, float[2] z) { y, z = local.f(x) }";
    insta::assert_snapshot!(inlined(graph, &["f (a) => (a, a) { }"]), @r"
    g (float[2] x) => (float[2] y, float[2] z)
    {
        y = Identity(x)
        z = Identity(x)
    }
    ");
}

#[test]
fn subgraphs_are_inlined_and_renamed() {
    let graph = "g (float[2] x, bool c) => (float[2] y)
        {
            u = Abs(x)
            y = If (c) <
                then_branch = t () => (float[2] p) { p = local.choose(u, c) },
                else_branch = e () => (float[2] q) { q = local.choose(x, c) }
            >
        }";
    let choose = "choose (a, c) => (b) {
            u = Neg(a)
            b = If (c) <
                then_branch = t () => (v) { v = Relu(u) },
                else_branch = e () => (w) { w = Sin(a) }
            >
        }";
    insta::assert_snapshot!(inlined(graph, &[choose]), @r"
    g (float[2] x, bool c) => (float[2] y)
    {
        u = Abs(x)
        y = If(c) <
            then_branch = t () => (float[2] p)
            {
                u_1 = Neg(u)
                p = If(c) <
                    then_branch = t () => (v)
                    {
                        v = Relu(u_1)
                    },
                    else_branch = e () => (w)
                    {
                        w = Sin(u)
                    }
                >
            },
            else_branch = e () => (float[2] q)
            {
                u_2 = Neg(x)
                q = If(c) <
                    then_branch = t () => (v_1)
                    {
                        v_1 = Relu(u_2)
                    },
                    else_branch = e () => (w_1)
                    {
                        w_1 = Sin(x)
                    }
                >
            }
        >
    }
    ");
}

#[test]
fn recursion_is_refused_by_name() {
    let graph = "g (float[2] x) => (float[2] y) { y = local.f(x) }";
    let f = "f (a) => (b) { b = local.h(a) }";
    let h = "h (a) => (b) { b = local.k(a) }";
    let k = "k (a) => (b) { c = local.h(a) b = local.m(c) }";
    let m = "m (a) => (b) { b = Neg(a) }";
    insta::assert_snapshot!(refused(graph, &[f, h, k, m]), @"function `local.h` calls itself");
}

#[test]
fn calls_that_multiply_meet_a_limit() {
    let graph = "g (float[2] x) => (float[2] y) { y = local.f0(x) }";
    let twice =
        |n: usize| format!("f{n} (a) => (b) {{ c = local.f{}(a) b = local.f{}(c) }}", n + 1, n + 1);
    let mut functions: Vec<String> = (0..40).map(twice).collect();
    functions.push("f40 (a) => (b) { b = Neg(a) }".to_owned());
    let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
    assert!(matches!(refused(graph, &functions), InlineError::TooLarge));
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = "g (float[2] x) => (float[2] y) { y = local.f <alpha = 1> (x, x) }";
    insta::assert_snapshot!(refused(graph, &["f (a) => (b) { b = Neg(a) }"]), @"node `y` does not fit function `local.f` it calls: it has 2 inputs, expected at most 1");
    insta::assert_snapshot!(refused(graph, &["f <alpha> (a, c) => (b) { b = LeakyRelu <alpha : float = @alpha> (a) }"]), @"node `y` does not fit function `local.f` it calls: attribute `alpha` is of another type");
    insta::assert_snapshot!(refused(graph, &["f (a, c) => (b) { b = Neg(x) }"]), @"function `local.f` reads `x`, which it neither makes nor takes");
}

#[test]
fn another_operator_set_is_fine_where_it_makes_no_difference() {
    let with = |body: &str| {
        let text = format!(
            r#"{HEADER} g (float[2] x) => (float[2] y) {{ y = local.f(x) }}
            <domain: "local", opset_import: ["" : 12, "other" : 3]> f (a) => (b) {{ {body} }}"#
        );
        text::parse(&text).expect("the text is valid")
    };
    let mut same = with("b = Elu(a)");
    same.inline_functions().expect("Elu is the same");
    assert_eq!(same.opsets().version("other"), Some(3));
    let error = with("b = Softmax(a)").inline_functions().expect_err("Softmax is not");
    insta::assert_snapshot!(error, @"function `local.f` imports version 12 of `ai.onnx` for Softmax, the model imports version 21, which has another Softmax");
}

#[test]
fn nodes_get_their_own_names_too() {
    let graph = "g (float[2] x) => (float[2] y) { a = local.f(x) [call] b = local.f(a) [call] y = local.f(b) }";
    let mut model = model(graph, &["f (a) => (b) { [inner] b = Neg(a) }"]);
    model.inline_functions().expect("it can be inlined");
    let names: Vec<&str> = model.graph.nodes().map(|(_, node)| node.name.as_str()).collect();
    assert_eq!(names, ["inner", "call/inner", "call/inner_1"]);
}
