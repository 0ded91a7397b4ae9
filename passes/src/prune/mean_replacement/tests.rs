use super::*;
use crate::prune::testing::grouped;
use crate::testing::{model, print};
use lapidary_exec::{RandomInputs, RunOptions, Runner, compare};

/// The model without the first `count` channels of its first group, with means in their place, and what is said of it.
fn pruned(original: &Model, gone: &[usize]) -> (Model, MeanReplacement) {
    let analysis = Analysis::of(&original.graph);
    let plan = analysis.plan_removing(&[(0, gone.to_vec())]).expect("they can go");
    let means = MeanReplacement::of(&original.graph, &analysis, &plan);
    let mut model = original.clone();
    plan.apply(&mut model).expect("the plan fits");
    means.apply(&mut model).expect("the means fit");
    (model, means)
}

/// How far the outputs are apart, relative to the largest number.
fn distance(original: &Model, pruned: &Model) -> f64 {
    let run = |model: &Model| {
        let inputs = RandomInputs::default().generate(original).expect("inputs can be made");
        let runner = Runner::new(model, &RunOptions::default()).expect("it loads");
        runner.run(&inputs).expect("it runs")
    };
    let compared = compare(&run(original), &run(pruned)).expect("the outputs correspond");
    compared.iter().map(|output| output.max_rel).fold(0.0, f64::max)
}

/// Channels 0 and 2 are constants, and put into biases exactly.
fn assert_exact(source: &str) -> MeanReplacement {
    let original = model(source);
    let (found, means) = pruned(&original, &[0, 2]);
    let apart = distance(&original, &found);
    assert!(apart < 1e-5, "{apart}:\n{}", print(&found));
    assert_eq!((means.removed, means.replaced, means.left.len()), (2, 2, 0), "{means:?}");
    let mut bare = original.clone();
    let analysis = Analysis::of(&original.graph);
    let plan = analysis.plan_removing(&[(0, vec![0, 2])]).expect("they can go");
    plan.apply(&mut bare).expect("the plan fits");
    assert!(distance(&original, &bare) > 1e-2, "without means something is missing");
    means
}

const VECTORS: &str = "float[4,2,1,1] w = {1, 2, -1, 1, 0.5, 1, 2, -1}, float[4] s = {0, 2, 0, 0.5}, float[4] h = {3, 1, -2, -1},
    float[4] m = {3, -1, 0, 2}, float[4] v = {4, 1, 9, 0.25}";

#[test]
fn channels_of_scale_zero_are_constants() {
    let means = assert_exact(&format!(
        "g (float[2,2,5,5] x) => (float[2,3,3,3] y)
        <{VECTORS}, float[3,4,3,3] u, float[3] b = {{1, 2, 3}}>
        {{
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            t = Sigmoid(n)
            y = Conv(t, u, b)
        }}"
    ));
    assert_eq!(means.shifts.len(), 1);
    assert_eq!(means.shifts[0].name, "y");
}

#[test]
fn channels_of_no_weights_are_their_biases() {
    // With running statistics of what is no constant.
    assert_exact(
        "g (float[2,2,4,4] x) => (float[2,3,4,4] y)
        <float[4,2,1,1] w = {0, 0, -1, 1, 0, 0, 2, -1}, float[4] c = {1, 2, -3, 4}, float[4] s = {3, 2, 1, 0.5},
         float[4] h = {5, 1, 4, -1}, float[4] m = {3, -1, 0, 2}, float[4] v = {4, 1, 9, 0.25}, float[3,4,1,1] u>
        {
            a = Conv(x, w, c)
            n = BatchNormalization(a, s, h, m, v)
            t = LeakyRelu(n)
            p = MaxPool<kernel_shape = [1, 1]>(t)
            y = Conv(p, u)
        }",
    );
}

#[test]
fn sums_of_constants_are_constants() {
    let means = assert_exact(&format!(
        "g (float[2,2,4,4] x) => (float[2,3] y, float[2,5,4,4] z)
        <{VECTORS}, float[4,4,1,1] w2 = {{0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 4, 3, 2, 1}}, float[4] k = {{4, 0, 5, 0}}, float[3,4] u,
         float[5,4,1,1] r>
        {{
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            b = Relu(n)
            c = Conv(b, w2, k)
            d = Add(b, c)
            e = Relu(d)
            z = Conv(e, r)
            f = GlobalAveragePool(e)
            q = Flatten(f)
            y = Gemm<transB = 1>(q, u)
        }}"
    ));
    let names: Vec<&str> = means.shifts.iter().map(|shift| shift.name.as_str()).collect();
    // The convolution in the branch loses rows and columns.
    assert_eq!(names, ["c", "z", "y"]);
}

#[test]
fn constants_are_gates_and_are_gated() {
    assert_exact(&format!(
        "g (float[2,2,4,4] x) => (float[2,3,4,4] y)
        <{VECTORS}, float[2,4,1,1] w2, float[4,2,1,1] w3, float[3,4,1,1] u, float half = {{0.5}}, float[4] k = {{4, 0, 5, 0}},
         float[4] zero = {{0, 0, 0, 0}}>
        {{
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            b = Softplus(n)
            f = GlobalAveragePool(b)
            i = Conv(f, w2)
            j = Conv(i, w3)
            c = BatchNormalization(j, zero, k, k, v)
            d = Mul(b, c)
            e = Mul(d, half)
            y = Conv(e, u)
        }}"
    ));
}

#[test]
fn a_grouped_reader_adds_by_group() {
    let means = assert_exact(&format!(
        "g (float[2,2,4,4] x) => (float[2,2,4,4] y)
        <{VECTORS}, float[6,2,1,1] u, float[2,6,1,1] r>
        {{
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            t = Sigmoid(n)
            b = Conv<group = 2>(t, u)
            y = Conv(b, r)
        }}"
    ));
    let model = grouped();
    let product = model.graph.topological_order()[1];
    let product = Product::reading(&model.graph, product).expect("it is one");
    let channels = |row: usize| -> Vec<usize> {
        (0..3).map(|column| product.input_channel((6, 3), row, column)).collect()
    };
    assert_eq!((channels(2), channels(3)), (vec![0, 1, 2], vec![3, 4, 5]));
    assert_eq!(means.shifts[0].added.len(), 6);
}

#[test]
fn other_readers_of_a_bias_keep_it() {
    let original = model(&format!(
        "g (float[2,2,4,4] x) => (float[2,3,4,4] y, float[2,3,4,4] z)
        <{VECTORS}, float[3,4,1,1] u, float[3,2,1,1] r, float[3] k = {{1, 2, 3}}>
        {{
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            t = Sigmoid(n)
            y = Conv(t, u, k)
            z = Conv(x, r, k)
        }}"
    ));
    let (found, _) = pruned(&original, &[0, 2]);
    assert!(distance(&original, &found) < 1e-5, "{}", print(&found));
    let data = |name: &str| {
        let value = found.graph.find(name).expect("it stays");
        found.graph.constant(value).expect("it is constant").to_f32()
    };
    assert_eq!(data("k"), Some(vec![1.0, 2.0, 3.0]));
    assert_ne!(data("k_1"), data("k"));
}

#[test]
fn a_matrix_product_gets_a_sum() {
    let constants = "float[2,4] w, float[4] s = {0, 2, 0, 0.5}, float[4] h = {3, 1, -2, -1}, float[4] m, float[4] v = {4, 1, 9, 0.25},
        float[4,3] u, float[3] k = {1, 2, 3}";
    let body = "a = MatMul(x, w) n = BatchNormalization(a, s, h, m, v) t = Tanh(n)";
    for (rest, sums) in [("y = MatMul(t, u)", 1), ("b = MatMul(t, u) y = Add(k, b)", 1)] {
        let original =
            model(&format!("g (float[5,2] x) => (float[5,3] y) <{constants}> {{ {body} {rest} }}"));
        let (found, means) = pruned(&original, &[0, 2]);
        assert!(distance(&original, &found) < 1e-5, "{}", print(&found));
        assert_eq!((means.replaced, means.shifts.len()), (2, 1));
        let added = found.graph.nodes().filter(|(_, node)| node.is("Add")).count();
        assert_eq!(added, sums, "{}", print(&found));
    }
}

#[test]
fn what_varies_is_replaced_by_its_mean() {
    let original = model(
        "g (float[1,2,8,8] x) => (float[1,1,8,8] y)
        <float[2,2,1,1] w = {1, 0, 0, 1}, float[2] s = {2, 1}, float[2] h = {1, 0}, float[2] m = {5, 0}, float[2] v = {3, 1}, float[1,2,1,1] u = {10, 1}>
        {
            a = Conv(x, w)
            n = BatchNormalization<epsilon = 1.0>(a, s, h, m, v)
            r = Relu(n)
            y = Conv(r, u)
        }",
    );
    let (_, means) = pruned(&original, &[0]);
    // N(1, 2² · 3 / 4): E = μ Φ(μ/σ) + σ φ(μ/σ), Φ(0.5774) = 0.71815 and φ(0.5774) = 0.33770.
    let (mean, std) = (1.0, 3f64.sqrt());
    let wanted = 10.0 * (mean * 0.718_148_5 + std * 0.337_696_8);
    assert!((means.shifts[0].added[0] - wanted).abs() < 1e-3, "{means:?} {wanted}");
}

/// What is said of channel 0 of the first group.
fn left(source: &str) -> String {
    let (_, means) = pruned(&model(source), &[0]);
    let told = means.left.iter().map(|left| {
        format!(
            "{} of {}: {} ({})",
            left.channels,
            means.removed,
            left.reason,
            left.nodes.join(", ")
        )
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_not_known_is_left_alone_and_named() {
    let behind = |rest: &str| {
        left(&format!(
            "g (float[2,2,4,4] x) => (float[2,3,4,4] y)
            <float[4,2,1,1] w, float[4] s = {{1, 2, 1, 2}}, float[4] h, float[4] m, float[4] v = {{1, 1, 1, 1}}, float[3,4,1,1] u,
             float[4,3,1,1] ut, float[4,4,1,1] q>
            {{ a = Conv(x, w) n = BatchNormalization(a, s, h, m, v) {rest} }}"
        ))
    };
    insta::assert_snapshot!(behind("p = MaxPool<kernel_shape = [1, 1]>(n) y = Conv(p, u)"), @"1 of 1: a mean is not followed through MaxPool (p)");
    insta::assert_snapshot!(behind("g = GlobalAveragePool(n) i = Sigmoid(g) p = Mul(i, n) y = Conv(p, u)"), @"1 of 1: only the mean is known of what Sigmoid reads (i)");
    insta::assert_snapshot!(behind("b = Conv(n, q) r = Relu(b) p = Mul(r, n) y = Conv(p, u)"), @"1 of 1: only the mean is known of what Relu reads (r)");
    insta::assert_snapshot!(behind("b = Conv(n, q) i = BatchNormalization(b, s, h, m, v) p = Mul(i, n) y = Conv(p, u)"), @"1 of 1: Mul computes from several values that vary (p)");
    insta::assert_snapshot!(behind("p = Relu(a) y = Conv(p, u)"), @"1 of 1: no normalization tells the mean of what Conv makes (a)");
    insta::assert_snapshot!(behind("y = ConvTranspose(n, ut)"), @"1 of 1: what reads them is no Conv, Gemm or MatMul with constant weights in float32 (y)");
    let mixed = left(
        "g (float[2,2,4,4] x) => (float[2,3,8,4] y)
        <float[4,2,1,1] w, float[4] s = {1, 2, 1, 2}, float[4] h, float[4] m, float[4] v = {1, 1, 1, 1}, float[3,4,1,1] u>
        { a = Conv(x, w) n = BatchNormalization(a, s, h, m, v) r = Relu(n) p = Concat<axis = 2>(r, n) y = Conv(p, u) }",
    );
    insta::assert_snapshot!(mixed, @"1 of 1: Concat puts channels of different means together (p)");
}

#[test]
fn means_for_another_model_are_refused() {
    let original = grouped();
    let node = original.graph.topological_order()[1];
    let shift = BiasShift { name: "b".to_owned(), added: vec![1.0; 5], node };
    let means = MeanReplacement { shifts: vec![shift], ..MeanReplacement::default() };
    let error = means.apply(&mut original.clone()).expect_err("there are six rows");
    assert!(error.to_string().starts_with("node `b` does not have the channels"), "{error}");
}

#[test]
fn what_varies_at_borders_is_replaced_by_its_mean_over_positions() {
    let shifted = |scale: f32| {
        let original = model(&format!(
            "g (float[N,2,2,2] x) => (float[N,1,2,2] y)
            <float[2,2,1,1] w, float[2] s = {{{scale}, 1}}, float[2] h = {{3, 0}}, float[2] m, float[2] v = {{1, 1}},
             float[1,2,3,3] u = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}>
            {{
                a = Conv(x, w)
                n = BatchNormalization(a, s, h, m, v)
                y = Conv<pads = [1, 1, 1, 1]>(n, u)
            }}"
        ));
        pruned(&original, &[0]).1.shifts[0].added.clone()
    };
    assert_eq!(shifted(0.0), [27.0]);
    // Of the three taps of an axis, the outer ones read inside at one position of two: (½ + 1 + ½)².
    assert_eq!(shifted(2.0), [12.0]);
}

#[test]
fn a_normalization_behind_expects_the_variance_that_is_left() {
    let original = model(
        "g (float[N,2,2,2] x) => (float[N,2,2,2] y, float[N,2,2,2] z)
        <float[3,2,1,1] w, float[3] s = {2, 1, 0}, float[3] h, float[3] m, float[3] v = {3, 1, 1}, float[2,3,1,1] u = {1, 2, 5, 3, 1, 5},
         float[2] k, float[2] r = {8, 26}, float[2,2,1,1] q>
        {
            a = Conv(x, w)
            n = BatchNormalization<epsilon = 1.0>(a, s, h, m, v)
            b = Conv(n, u)
            y = BatchNormalization(b, k, k, k, r)
            c = Conv(x, q)
            z = BatchNormalization(c, k, k, k, r)
        }",
    );
    let (found, means) = pruned(&original, &[0]);
    // Var x = (2² · 3/4, 1/2, 0): of 1 · 3 + 4 · ½ stays 2, of 9 · 3 + 1 · ½ too little.
    let factors = &means.variances[0].factors;
    assert!((factors[0] - 2.0 / 5.0).abs() < 1e-6 && factors[1] == LEAST, "{factors:?}");
    let variances = |name: &str| {
        let made = found.graph.producer(found.graph.find(name).expect("it stays"));
        found.graph.constant_input(made.expect("a node makes it"), 4).and_then(|v| v.to_f32())
    };
    let scaled = variances("y").expect("they are constant");
    assert!((scaled[0] - 3.2).abs() < 1e-5 && scaled[1] == 6.5, "{scaled:?}");
    assert_eq!(variances("z"), Some(vec![8.0, 26.0]), "other readers keep them");
    let constant = pruned(&original, &[2]).1;
    assert_eq!((constant.replaced, constant.variances.len()), (1, 0));
}
