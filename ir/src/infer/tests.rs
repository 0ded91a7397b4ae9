//! Inference over whole graphs.
use super::testing::{Builder, body, elements, int, ints, shape, string, ty};
use crate::{Dim, ElemType, NewNode, Patch, Tensor};

#[test]
fn a_dynamic_batch_survives_the_way_through_its_own_shape() {
    let graph = Builder::new(17)
        .float("x", "N 16 2 2")
        .integer("zero", 0)
        .integers("axes", &[0])
        .integers("rest", &[-1])
        .node("shape", "Shape", "x", &[])
        .node("batch", "Gather", "shape zero", &[int("axis", 0)])
        .node("batch_1", "Unsqueeze", "batch axes", &[])
        .node("target", "Concat", "batch_1 rest", &[int("axis", 0)])
        .node("y", "Reshape", "x target", &[])
        .output("y")
        .infer();
    assert_eq!(elements(&graph, "shape"), "N 16 2 2");
    assert_eq!(elements(&graph, "batch"), "N");
    assert_eq!(shape(&graph, "batch"), "");
    assert_eq!(elements(&graph, "target"), "N -1");
    assert_eq!(shape(&graph, "y"), "N 64");
    assert_eq!(ty(&graph, "y").elem_type, Some(ElemType::FLOAT));
}

#[test]
fn expand_finds_its_shape_behind_where_and_equal() {
    let graph = Builder::new(17)
        .float("mask", "N 1 1 T")
        .float("x", "N T 256")
        .integer("zero", 0)
        .integer("minus_one", -1)
        .integers("first", &[0])
        .integers("axes", &[0])
        .integers("wanted_rest", &[1, -1, 7])
        .integers("four", &[4])
        .node("shape", "Shape", "x", &[])
        .node("batch", "Gather", "shape zero", &[])
        .node("batch_1", "Unsqueeze", "batch axes", &[])
        .node("wanted", "Concat", "batch_1 wanted_rest", &[int("axis", 0)])
        .node("ones", "ConstantOfShape", "four", &[])
        .node("ones_i", "Cast", "ones", &[int("to", 7)])
        .node("any", "Equal", "wanted minus_one", &[])
        .node("kept", "Where", "any wanted_rest4 wanted", &[])
        .integers("wanted_rest4", &[1, 1, 1, 1])
        .node("y", "Expand", "mask kept", &[])
        .output("y")
        .infer();
    assert_eq!(elements(&graph, "any"), "0 0 1 0");
    assert_eq!(elements(&graph, "kept"), "N 1 1 7");
    assert_eq!(shape(&graph, "y"), "N 1 1 7");
}

#[test]
fn convolutions_of_symbolic_images_stay_symbolic() {
    let graph = Builder::new(17)
        .float("x", "N 3 H 224")
        .weight("w", &[8, 3, 3, 3])
        .node("a", "Conv", "x w", &[ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])])
        .node("b", "Conv", "x w", &[string("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])])
        .node("c", "MaxPool", "a", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("d", "GlobalAveragePool", "c", &[])
        .node("e", "Flatten", "d", &[])
        .output("e")
        .output("b")
        .infer();
    assert_eq!(shape(&graph, "a"), "N 8 floor((H + 1)/(2)) 112");
    assert_eq!(shape(&graph, "b"), "N 8 floor((H + 1)/(2)) 112");
    assert_eq!(shape(&graph, "c"), "N 8 floor((H + 1)/(4)) 56");
    assert_eq!(shape(&graph, "e"), "N 8");
}

#[test]
fn hostile_windows_are_unknown() {
    for (name, values) in [
        ("pads", [i64::MAX, i64::MAX, i64::MAX, i64::MAX].as_slice()),
        ("pads", &[i64::MIN, 0, i64::MIN, 0]),
        ("pads", &[1]),
        ("strides", &[0, 1]),
        ("strides", &[i64::MIN, -1]),
        ("dilations", &[i64::MAX, i64::MAX]),
    ] {
        let graph = Builder::new(17)
            .float("x", "1 3 9 9")
            .weight("w", &[8, 3, 3, 3])
            .node("y", "Conv", "x w", &[ints(name, values)])
            .node("z", "ConvTranspose", "x w", &[ints(name, values)])
            .node("p", "MaxPool", "x", &[ints("kernel_shape", &[0, 3]), ints(name, values)])
            .output("y")
            .output("z")
            .output("p")
            .infer();
        assert_eq!(shape(&graph, "y").split(' ').nth(2), Some("?"), "{name} {values:?}");
    }
}

#[test]
fn pools_that_round_up_drop_a_window_in_the_padding() {
    let pool = |size: &str, kernel: i64, stride: i64, pad: i64| {
        let attributes = [
            ints("kernel_shape", &[kernel]),
            ints("strides", &[stride]),
            ints("pads", &[pad, pad]),
            int("ceil_mode", 1),
        ];
        let graph = Builder::new(19).float("x", &format!("1 1 {size}"));
        shape(&graph.node("y", "MaxPool", "x", &attributes).output("y").infer(), "y")
    };
    assert_eq!(pool("4", 3, 2, 0), "1 1 2");
    assert_eq!(pool("5", 3, 2, 0), "1 1 2");
    assert_eq!(pool("6", 3, 2, 0), "1 1 3");
    // ceil((2 + 2 - 1) / 3) + 1 = 2 windows, the second starting at 3 >= 2 + 1.
    assert_eq!(pool("2", 1, 3, 1), "1 1 1");
    assert_eq!(pool("W", 3, 2, 0), "1 1 floor((W)/(2))");
    assert_eq!(pool("W", 1, 3, 1), "1 1 ?");
}

#[test]
fn slices_clamp_their_bounds() {
    let slice = |dims: &str, start: i64, end: i64, step: i64| {
        let graph = Builder::new(17)
            .float("x", dims)
            .integers("starts", &[start])
            .integers("ends", &[end])
            .integers("axes", &[-1])
            .integers("steps", &[step])
            .node("y", "Slice", "x starts ends axes steps", &[])
            .output("y");
        shape(&graph.infer(), "y")
    };
    assert_eq!(slice("10", 2, i64::MAX, 1), "8");
    assert_eq!(slice("10", -3, i64::MAX, 2), "2");
    assert_eq!(slice("10", i64::MIN, 3, 1), "3");
    assert_eq!(slice("10", 8, 3, 1), "0");
    assert_eq!(slice("10", -1, i64::MIN, -1), "10");
    assert_eq!(slice("10", i64::MAX, i64::MIN, i64::MIN), "1");
    assert_eq!(slice("10", 0, 5, 0), "?");
    assert_eq!(slice("T", 1, i64::MAX, 1), "T - 1");
    assert_eq!(slice("T", -1, i64::MAX, 1), "1");
    assert_eq!(slice("T", -1, i64::MIN, -1), "T");
    assert_eq!(slice("T", 0, -1, 1), "T - 1");
    assert_eq!(slice("T", 0, 1000, 1), "?");
    assert_eq!(slice("T", -3, i64::MAX, 1), "?");
    assert_eq!(slice("T", 3, i64::MAX, 1), "T - 3");
}

#[test]
fn old_operator_sets_keep_axes_and_sizes_in_attributes() {
    let graph = Builder::new(9)
        .float("x", "4 10")
        .node("s", "Slice", "x", &[ints("starts", &[1]), ints("ends", &[3]), ints("axes", &[1])])
        .node("u", "Unsqueeze", "s", &[ints("axes", &[0])])
        .node("q", "Squeeze", "u", &[ints("axes", &[0])])
        .node("p q2", "Split", "q", &[ints("split", &[1, 3])])
        .node("r", "ReduceMean", "x", &[ints("axes", &[1]), int("keepdims", 0)])
        .node("v i", "TopK", "x", &[int("k", 3)])
        .node("d", "Pad", "x", &[ints("pads", &[0, 1, 0, 2])])
        .output("p")
        .output("r")
        .output("i")
        .output("d")
        .infer();
    assert_eq!(shape(&graph, "u"), "1 4 2");
    assert_eq!(shape(&graph, "p"), "1 2");
    assert_eq!(shape(&graph, "q2"), "3 2");
    assert_eq!(shape(&graph, "r"), "4");
    assert_eq!(shape(&graph, "i"), "4 3");
    assert_eq!(ty(&graph, "i").elem_type, Some(ElemType::INT64));
    assert_eq!(shape(&graph, "d"), "4 13");
}

#[test]
fn axes_out_of_range_are_unknown() {
    for axis in [2, -3, i64::MIN, i64::MAX] {
        let graph = Builder::new(17)
            .float("x", "4 10")
            .integers("axes", &[axis])
            .node("a", "ArgMax", "x", &[int("axis", axis)])
            .node("c", "Concat", "x x", &[int("axis", axis)])
            .node("r", "ReduceSum", "x axes", &[])
            .node("s", "Squeeze", "x axes", &[])
            .node("g", "Gather", "x axes", &[int("axis", axis)])
            .node("p q", "Split", "x", &[int("axis", axis)])
            .node("t", "Transpose", "x", &[ints("perm", &[axis, 0])])
            .output("a")
            .infer();
        for name in ["a", "c", "r", "s", "g", "p", "t"] {
            assert_eq!(shape(&graph, name), "unknown", "{name} for axis {axis}");
        }
    }
}

#[test]
fn inferred_shapes_win_over_declared_ones() {
    let graph = Builder::new(17)
        .float("x", "N 3 8 8")
        .weight("w", &[6, 3, 1, 1])
        .declare("a", "N 4 8 8")
        .declare("b", "N 4 8 8")
        .node("a", "Conv", "x w", &[])
        .node("b", "Relu", "a", &[])
        .output("b")
        .infer();
    assert_eq!(shape(&graph, "b"), "N 6 8 8");
}

#[test]
fn declarations_fill_what_is_not_inferred() {
    let graph = Builder::new(17)
        .float("x", "N 3")
        .declare("a", "5 7")
        .node("a", "elsewhere::Mystery", "x", &[])
        .node("b", "Relu", "a", &[])
        .output("b")
        .infer();
    assert_eq!(shape(&graph, "b"), "5 7");
}

#[test]
fn declarations_behind_a_contradiction_do_not_count() {
    let graph = Builder::new(17)
        .float("x", "N 3")
        .weight("w", &[3, 4])
        .declare("a", "N 5")
        .declare("b", "N 5")
        .node("a", "MatMul", "x w", &[])
        .node("b", "elsewhere::Mystery", "a", &[])
        .node("c", "Relu", "b", &[])
        .output("c")
        .infer();
    assert_eq!(shape(&graph, "a"), "N 4");
    assert_eq!(shape(&graph, "b"), "unknown");
    assert_eq!(shape(&graph, "c"), "unknown");
}

#[test]
fn smaller_weights_travel_to_their_readers() {
    let mut graph = Builder::new(17)
        .float("x", "N 3 8 8")
        .weight("w", &[6, 3, 1, 1])
        .node("a", "Conv", "x w", &[])
        .node("b", "Relu", "a", &[])
        .node("s", "Shape", "b", &[])
        .node("c", "Add", "a b", &[])
        .output("c")
        .output("s")
        .infer();
    let weight = graph.find("w").expect("the weight is there");
    let mut patch = Patch::default();
    patch.set_tensor(weight, Tensor::new(&[2, 3, 1, 1], &[0f32; 6]));
    let applied = graph.apply(patch).expect("the weight is an initializer");
    graph.infer_from(&applied.touched);
    assert_eq!(shape(&graph, "c"), "N 2 8 8");
    assert_eq!(elements(&graph, "s"), "N 2 8 8");
}

#[test]
fn branches_agree_on_what_they_share() {
    let branch = |name: &str, weight: &[i64]| {
        Builder::new(17)
            .weight(name, weight)
            .node("y", "MatMul", &format!("x {name}"), &[])
            .output("y")
    };
    let attributes =
        [body("then_branch", branch("w1", &[4, 5])), body("else_branch", branch("w2", &[4, 6]))];
    let graph = Builder::new(17)
        .float("x", "N 4")
        .input("condition", ElemType::BOOL, "")
        .node("z", "If", "condition", &attributes)
        .output("z")
        .infer();
    assert_eq!(shape(&graph, "z"), "N ?");
    assert_eq!(ty(&graph, "z").elem_type, Some(ElemType::FLOAT));
}

#[test]
fn loops_stack_their_scan_outputs_and_trust_no_carried_shape() {
    let inner = Builder::new(17)
        .input("i", ElemType::INT64, "")
        .input("go", ElemType::BOOL, "")
        .float("state", "? ?")
        .node("go_on", "Identity", "go", &[])
        .node("next", "Concat", "state state", &[int("axis", 0)])
        .node("row", "Relu", "x", &[])
        .output("go_on")
        .output("next")
        .output("row");
    let graph = Builder::new(17)
        .float("x", "N 4")
        .integer("count", 3)
        .node("last rows", "Loop", "count - x", &[body("body", inner)])
        .output("last")
        .output("rows")
        .infer();
    assert_eq!(shape(&graph, "last"), "? ?");
    assert_eq!(shape(&graph, "rows"), "? N 4");
}

#[test]
fn parts_of_a_split_sequence_have_its_size() {
    let graph = Builder::new(18)
        .float("x", "N T 192")
        .integer("size", 64)
        .integer("first", 0)
        .node("parts", "SplitToSequence", "x size", &[int("axis", 2)])
        .node("part", "SequenceAt", "parts first", &[])
        .output("part")
        .infer();
    assert_eq!(shape(&graph, "part"), "N T 64");
}

#[test]
fn recurrent_layers_have_directions() {
    let graph = Builder::new(17)
        .float("x", "T N 64")
        .weight("w", &[2, 128, 64])
        .weight("r", &[2, 128, 32])
        .node(
            "y h c",
            "LSTM",
            "x w r",
            &[int("hidden_size", 32), string("direction", "bidirectional")],
        )
        .output("y")
        .output("c")
        .infer();
    assert_eq!(shape(&graph, "y"), "T 2 N 32");
    assert_eq!(shape(&graph, "h"), "2 N 32");
    assert_eq!(shape(&graph, "c"), "2 N 32");
}

#[test]
fn an_input_with_a_default_is_no_constant() {
    let graph = Builder::new(17)
        .float("x", "N 6")
        .input("target", ElemType::INT64, "2")
        .integers("target", &[-1, 3])
        .node("y", "Reshape", "x target", &[])
        .output("y")
        .infer();
    assert_eq!(shape(&graph, "y"), "? ?");
}

#[test]
fn ranges_count_their_elements() {
    let graph = Builder::new(17)
        .float("x", "N T")
        .integer("one", 1)
        .integer("zero", 0)
        .integer("minus", -2)
        .integer("seven", 7)
        .node("shape", "Shape", "x", &[int("start", 1)])
        .node("t", "Squeeze", "shape", &[])
        .node("a", "Range", "zero t one", &[])
        .node("b", "Range", "seven zero minus", &[])
        .node("c", "Range", "seven zero zero", &[])
        .output("a")
        .output("b")
        .output("c")
        .infer();
    assert_eq!(shape(&graph, "a"), "T");
    assert_eq!(elements(&graph, "b"), "7 5 3 1");
    assert_eq!(shape(&graph, "c"), "?");
}

#[test]
fn the_elements_of_a_large_constant_are_not_followed() {
    let graph = Builder::new(17)
        .integers("length", &[1 << 40])
        .integer("start", 0)
        .integer("one", 1)
        .integer("limit", i64::MAX)
        .node("a", "ConstantOfShape", "length", &[])
        .node("b", "Range", "start limit one", &[])
        .output("a")
        .output("b")
        .infer();
    assert_eq!(shape(&graph, "a"), (1i64 << 40).to_string());
    assert_eq!(ty(&graph, "b").dims(), Some(vec![i64::MAX]));
    assert_eq!(elements(&graph, "b"), "unknown");
}

#[test]
fn quantization_takes_its_type_from_the_zero_point() {
    let graph = Builder::new(17)
        .float("x", "N 3")
        .weight("scale", &[])
        .input("zero", ElemType::INT8, "")
        .node("q", "QuantizeLinear", "x scale zero", &[])
        .node("u", "QuantizeLinear", "x scale", &[])
        .node("d", "DequantizeLinear", "q scale zero", &[])
        .output("d")
        .output("u")
        .infer();
    assert_eq!(ty(&graph, "q").elem_type, Some(ElemType::INT8));
    assert_eq!(ty(&graph, "u").elem_type, Some(ElemType::UINT8));
    assert_eq!(ty(&graph, "d").elem_type, Some(ElemType::FLOAT));
    assert_eq!(ty(&graph, "d").shape.as_deref(), Some([Dim::param("N"), 3.into()].as_slice()));
}

#[test]
fn scales_of_a_resize_may_come_from_a_constant_node() {
    let scales = Tensor::vector(&[1f32, 1.0, 2.0, 0.5]);
    let mut graph = Builder::new(13)
        .float("x", "N 3 H 9")
        .weight("scales", &[4])
        .node("y", "Resize", "x - scales", &[])
        .output("y")
        .infer();
    let weight = graph.find("scales").expect("the scales are there");
    let mut patch = Patch::default();
    let constant = patch.node(NewNode::new("Constant").attribute("value", scales));
    let reader = graph.consumers(weight).next().expect("the node reads them");
    patch.set_input(reader, 2, Some(constant));
    let applied = graph.apply(patch).expect("the patch is possible");
    graph.infer_from(&applied.touched);
    assert_eq!(shape(&graph, "y"), "N 3 2*H 4");
}

#[test]
fn operators_on_integers_write_the_type_of_their_zero_point() {
    let model = crate::text::parse(
        r#"
        <ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (uint8[1,4,6,6] x, bool[1,1,6,6] c, uint8[N,8] a) => (float[N,3] f)
        <float s = {1}, uint8 z = {0}, int8[3,8] w, float[3] ws, int8[3] wz, int32[3] b>
        {
            j = com.microsoft.QLinearConcat <axis = 1> (s, z, x, s, z, x, s, z)
            w2 = com.microsoft.QLinearWhere (c, x, s, z, x, s, z, s, z)
            p = com.microsoft.QLinearAveragePool <kernel_shape = [2, 2], strides = [2, 2]> (j, s, z, s, z)
            g2 = com.microsoft.QLinearGlobalAveragePool (p, s, z, s, z)
            last = com.microsoft.QLinearGlobalAveragePool <channels_last = 1> (p, s, z, s, z)
            q = com.microsoft.QGemm <transB = 1> (a, s, z, w, ws, wz, b, s, z)
            f = com.microsoft.QGemm <transB = 1> (a, s, z, w, ws, wz, b)
        }
        "#,
    );
    let mut graph = model.expect("the text is valid").graph;
    graph.infer();
    let expected = [("j", "1 8 6 6"), ("w2", "1 4 6 6"), ("p", "1 8 3 3"), ("g2", "1 8 1 1")];
    for (name, expected) in expected {
        assert_eq!(shape(&graph, name), expected, "{name}");
        assert_eq!(ty(&graph, name).elem_type, Some(ElemType::UINT8), "{name}");
    }
    assert_eq!(shape(&graph, "last"), "unknown");
    for (name, elem_type) in [("q", ElemType::UINT8), ("f", ElemType::FLOAT)] {
        assert_eq!(shape(&graph, name), "N 3", "{name}");
        assert_eq!(ty(&graph, name).elem_type, Some(elem_type), "{name}");
    }
}

#[test]
fn attention_of_onnx_runtime_has_the_width_of_all_heads() {
    let model = crate::text::parse(
        r#"
        <ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N,S,24] q, float[N,T,24] k, float[N,T,40] v, float[N,4,T,5] h, float[N,S,4,3,6] p, float[N,S,64] w, float[N,S,32] u,
           float[N,S,16] t, int32[1] n, int32 m) => (float[N,S,40] a)
        {
            a = com.microsoft.MultiHeadAttention <num_heads = 4> (q, k, v)
            b = com.microsoft.MultiHeadAttention <num_heads = 4> (q, h, h)
            c = com.microsoft.MultiHeadAttention <num_heads = 4> (p)
            d, dk, dv = com.microsoft.GroupQueryAttention <num_heads = 8, kv_num_heads = 4> (u, t, t, , , n, m)
            e, ek, ev = com.microsoft.GroupQueryAttention <num_heads = 8, kv_num_heads = 4> (w, , , , , n, m)
        }
        "#,
    );
    let mut graph = model.expect("the text is valid").graph;
    graph.infer();
    let expected =
        [("a", "N S 40"), ("b", "N S 20"), ("c", "N S 24"), ("d", "N S 32"), ("e", "N S 32")];
    for (name, expected) in expected {
        assert_eq!(shape(&graph, name), expected, "{name}");
    }
    for name in ["dk", "dv", "ek", "ev"] {
        assert_eq!(shape(&graph, name), "N 4 ? 4", "{name}");
    }
}
