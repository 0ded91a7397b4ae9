use super::testing::Build;
use super::*;
use crate::{Attribute, NodeId, Port, Use, proto::onnx};

/// `x -> relu -> h -> sigmoid -> y`
fn chain() -> Model {
    Build::default()
        .input("x", &[1, 4])
        .node("Relu", &["x"], &["h"])
        .node("Sigmoid", &["h"], &["y"])
        .output("y")
        .model(17)
}

fn branch(output: &str) -> Build {
    Build::default().node("Neg", &["x"], &[output]).output(output)
}

/// Both branches read `x` of the main graph.
fn conditional(then_output: &str) -> Model {
    Build::default()
        .input("c", &[])
        .input("x", &[4])
        .node("If", &["c"], &["y"])
        .subgraph("then_branch", branch(then_output))
        .subgraph("else_branch", branch("e"))
        .output("y")
        .model(17)
}

fn id(graph: &Graph, name: &str) -> ValueId {
    graph.find(name).expect("the value exists")
}

fn found(model: &Model) -> Vec<String> {
    model.validate().iter().map(ToString::to_string).collect()
}

fn then_branch(model: &mut Model) -> &mut Graph {
    match &mut model.graph.node_mut(NodeId(0)).attributes[0].value {
        crate::AttributeValue::Graph(graph) => graph,
        _ => panic!("a branch is a graph"),
    }
}

#[test]
fn a_decoded_model_is_valid() {
    assert_eq!(found(&chain()), [""; 0]);
    assert_eq!(found(&conditional("t")), [""; 0]);
    assert_eq!(conditional("t").graph.validate(), []);
}

#[test]
fn an_input_that_is_gone_breaks_1() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    model.graph.names.remove("h");
    model.graph.values[h.index()] = None;
    let found = found(&model);
    assert!(found.contains(&"invariant 1: node `sigmoid` (Sigmoid): input 0 is gone".to_owned()));
}

#[test]
fn an_output_that_does_not_lead_back_breaks_1() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    model.graph.value_mut(h).producer = Some((NodeId(1), 0));
    assert_eq!(
        found(&model),
        [
            "invariant 1: node `relu` (Relu): output 0 `h` is output 0 of node `sigmoid` (Sigmoid), expected this one",
            "invariant 1: value `h` says it is output 0 of node `sigmoid` (Sigmoid), which does not make it",
        ]
    );
}

#[test]
fn a_value_that_nothing_makes_breaks_1() {
    let mut model = chain();
    model.graph.inputs.clear();
    let x = id(&model.graph, "x");
    model.graph.value_mut(x).is_input = false;
    assert_eq!(found(&model), ["invariant 1: value `x` is used, but nothing makes it"]);
}

#[test]
fn a_use_that_is_missing_or_too_much_breaks_2() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    model.graph.value_mut(h).uses.clear();
    model.graph.value_mut(h).uses.insert(Use { node: NodeId(0), port: Port::Input(0) });
    assert_eq!(
        found(&model),
        [
            "invariant 2: node `sigmoid` (Sigmoid): input 0 `h` does not list this use",
            "invariant 2: value `h` lists a use as input 0 of node `relu` (Relu), where it is not read",
        ]
    );
}

#[test]
fn names_that_clash_break_3() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    model.graph.value_mut(h).name = "y".into();
    assert_eq!(
        found(&model),
        [
            "invariant 3: two values have the name `y`",
            "invariant 3: the table of names has `h`, which no value is called",
        ]
    );
}

#[test]
fn an_empty_name_breaks_3() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    model.graph.names.remove("h");
    model.graph.names.insert("".into(), h);
    model.graph.value_mut(h).name = "".into();
    assert_eq!(found(&model), ["invariant 3: value 1 has an empty name"]);
}

#[test]
fn a_cycle_breaks_4_and_is_spelled_out() {
    let model = Build::default()
        .input("x", &[4])
        .node("Add", &["x", "b"], &["a"])
        .node("Relu", &["a"], &["b"])
        .node("Neg", &["b"], &["y"])
        .output("y")
        .model(17);
    assert_eq!(
        found(&model),
        [
            "invariant 4: nodes read each other in a cycle: node `add` (Add) -> node `relu` (Relu) -> node `add` (Add)"
        ]
    );
}

#[test]
fn a_cycle_of_100_000_nodes_does_not_exhaust_the_stack() {
    let count = 100_000;
    let mut build = Build::default();
    for index in 0..count {
        let (read, made) = (format!("v{index}"), format!("v{}", (index + 1) % count));
        build = build.node("Relu", &[&read], &[&made]);
    }
    let found = found(&build.output("v0").model(17));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("-> 99990 more ->"), "{}", found[0]);
}

#[test]
fn flags_that_do_not_mirror_the_interface_break_5() {
    let mut model = chain();
    let (x, h) = (id(&model.graph, "x"), id(&model.graph, "h"));
    model.graph.value_mut(h).is_output = true;
    model.graph.value_mut(x).is_input = false;
    let found = found(&model);
    assert!(
        found.contains(
            &"invariant 5: value `x` is listed as graph input, but not marked".to_owned()
        )
    );
    assert!(
        found.contains(
            &"invariant 5: value `h` is marked as graph output, but not listed".to_owned()
        )
    );
}

#[test]
fn an_output_that_is_gone_breaks_5() {
    let mut model = chain();
    model.graph.outputs.push(ValueId(99));
    assert_eq!(found(&model), ["invariant 5: graph output 1 is gone"]);
}

#[test]
fn an_initializer_that_is_not_listed_or_of_another_shape_breaks_6() {
    let mut model = Build::default()
        .input("x", &[1])
        .zeros("w", &[4])
        .node("Add", &["x", "w"], &["y"])
        .output("y")
        .model(17);
    let w = id(&model.graph, "w");
    model.graph.value_mut(w).ty.shape = Some(vec![5.into()]);
    model.graph.initializers.clear();
    assert_eq!(
        found(&model),
        [
            "invariant 6: initializer `w` is not listed",
            "invariant 6: initializer `w` has shape [5], expected [4] as its data",
        ]
    );
}

#[test]
fn an_initializer_that_a_node_makes_breaks_6() {
    let mut model = chain();
    let h = id(&model.graph, "h");
    let tensor = crate::Tensor::vector(&[0.0f32]);
    let value = model.graph.value_mut(h);
    value.ty = crate::infer::tensor_type(&tensor);
    value.initializer = Some(tensor.into());
    model.graph.initializers.push(h);
    assert_eq!(found(&model), ["invariant 6: initializer `h` is the output of a node too"]);
}

#[test]
fn arity_outside_the_schema_breaks_7() {
    let model = Build::default()
        .input("x", &[4])
        .node("Relu", &["x", "x"], &["h"])
        .node("Conv", &["h"], &["y", "z"])
        .output("y")
        .model(17);
    assert_eq!(
        found(&model),
        [
            "invariant 7: node `relu` (Relu): 2 inputs, expected 1",
            "invariant 7: node `conv` (Conv): 1 input, expected 2 to 3",
            "invariant 7: node `conv` (Conv): 2 outputs, expected 1",
        ]
    );
}

#[test]
fn a_required_input_that_is_omitted_breaks_7() {
    let model =
        Build::default().input("x", &[4]).node("Pow", &["", "x"], &["y"]).output("y").model(17);
    assert_eq!(
        found(&model),
        ["invariant 7: node `pow` (Pow): input 0 is omitted, but it is required"]
    );
}

#[test]
fn attributes_outside_the_schema_break_7() {
    let mut model = Build::default()
        .input("x", &[4])
        .node("Concat", &["x"], &["h"])
        .node("Softmax", &["h"], &["y"])
        .ints("axis", &[1])
        .int("epsilon", 1)
        .int("__tool", 1)
        .output("y")
        .model(17);
    let twice = Attribute::new("__tool", 2);
    model.graph.node_mut(NodeId(1)).attributes.push(twice);
    assert_eq!(
        found(&model),
        [
            "invariant 7: node `concat` (Concat): attribute `axis` is missing, but it is required",
            "invariant 7: node `softmax` (Softmax): attribute `__tool` is given twice",
            "invariant 7: node `softmax` (Softmax): attribute `axis` is of type ints, expected int",
            "invariant 7: node `softmax` (Softmax): the operator has no attribute `epsilon`",
        ]
    );
}

#[test]
fn an_operator_newer_than_the_import_breaks_7_and_an_unknown_one_passes() {
    let model = Build::default()
        .input("x", &[1, 4])
        .zeros("s", &[4])
        .node("LayerNormalization", &["x", "s"], &["h"])
        .node("Frobnicate", &["h"], &["y"])
        .output("y")
        .model(13);
    assert_eq!(
        found(&model),
        [
            "invariant 7: node `layernormalization` (LayerNormalization): operator set 13 is imported, expected 17 or newer"
        ]
    );
}

#[test]
fn a_domain_that_is_not_imported_breaks_8_unless_a_function_covers_it() {
    let mut model = Build::default()
        .input("x", &[4])
        .node("Twice", &["x"], &["y"])
        .domain("mine")
        .output("y")
        .model(17);
    let expected = "invariant 8: node `twice` (Twice): domain `mine` is neither imported nor that of a function of the model";
    assert_eq!(found(&model), [expected]);
    model.rest.functions.push(onnx::FunctionProto {
        domain: Some("mine".to_owned()),
        name: Some("Twice".to_owned()),
        ..Default::default()
    });
    assert_eq!(found(&model), [""; 0]);
}

#[test]
fn a_capture_without_an_entry_of_the_owner_breaks_9() {
    let mut model = conditional("t");
    then_branch(&mut model).captures[0].1 = 7;
    assert_eq!(
        found(&model),
        [
            "invariant 9: node `if` (If): in `then_branch`: `x` is captured value 7 of node `if` (If), which has 1"
        ]
    );
}

#[test]
fn a_name_that_hides_an_outer_one_breaks_9() {
    assert_eq!(
        found(&conditional("c")),
        [
            "invariant 9: node `if` (If): in `then_branch`: value `c` has the name of a value of an enclosing graph"
        ]
    );
}

#[test]
fn a_branch_may_call_its_output_as_its_owner_does() {
    assert_eq!(found(&conditional("y")), [""; 0]);
}

#[test]
fn a_value_named_as_a_captured_one_is_written_breaks_9() {
    let mut model = conditional("t");
    let x = id(&model.graph, "x");
    model.graph.names.remove("x");
    model.graph.names.insert("t".into(), x);
    model.graph.value_mut(x).name = "t".into();
    assert_eq!(
        found(&model),
        [
            "invariant 9: node `if` (If): in `then_branch`: value `t` hides the captured value of that name"
        ]
    );
}

#[test]
fn a_report_ends_at_100_violations() {
    let mut build = Build::default().input("x", &[4]);
    for index in 0..150 {
        build = build.node("Relu", &["x", "x"], &[&format!("y{index}")]);
    }
    assert_eq!(build.model(17).validate().len(), 100);
}
