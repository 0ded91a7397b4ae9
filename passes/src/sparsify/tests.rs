//! Whole models, from the definition.
use super::*;
use crate::samples::batches::Batches;
use crate::testing::{parse, rewrite};
use insta::assert_snapshot;
use lapidary_exec::{Inputs, RunOptions, Runner};
use lapidary_ir::{Model, Tensor};
use std::collections::BTreeMap;

/// A grouped convolution, one across channels and a product, with biases.
const NETWORK: &str = "
    g (float[N,4,6,6] x) => (float[N,3] y)
    <float[8,2,3,3] a, float[8] ab, float[8,8,1,1] b, float[8] bb, float[3,8] c, float[3] cb, int64[2] s = {-1, 8}>
    {
        p = Conv<group = 2, pads = [1, 1, 1, 1]>(x, a, ab)
        q = Relu(p)
        r = Conv<strides = [2, 2]>(q, b, bb)
        m = GlobalAveragePool(r)
        f = Reshape(m, s)
        y = Gemm<transB = 1>(f, c, cb)
    }
";

fn number(seed: usize, at: usize) -> f32 {
    let fraction = ((at * 7 + seed * 31) as f32 * 0.618_034 + (at * at) as f32 * 0.137).fract();
    fraction * 2.0 - 0.9
}

fn numbers(dims: &[i64], seed: usize) -> Tensor {
    let count = dims.iter().product::<i64>() as usize;
    Tensor::new(dims, &(0..count).map(|at| number(seed, at)).collect::<Vec<_>>())
}

/// The network with made-up weights.
fn network() -> Model {
    let mut source = NETWORK.to_owned();
    let constants = ["a", "ab", "b", "bb", "c", "cb"];
    let dims: [&[i64]; 6] = [&[8, 2, 3, 3], &[8], &[8, 8, 1, 1], &[8], &[3, 8], &[3]];
    for (seed, (name, dims)) in constants.iter().zip(dims).enumerate() {
        let listed: Vec<String> = numbers(dims, seed)
            .to_vec::<f32>()
            .expect("they are floats")
            .iter()
            .map(|number| format!("{number:?}"))
            .collect();
        let end = format!("] {name},");
        source = source.replacen(&end, &format!("] {name} = {{{}}},", listed.join(", ")), 1);
    }
    let mut model = parse(&source);
    model.graph.infer();
    model
}

fn samples(count: i64) -> Inputs {
    Inputs::from([("x".to_owned(), numbers(&[count, 4, 6, 6], 9))])
}

fn options(method: Method) -> SparsifyOptions {
    SparsifyOptions { method, ..SparsifyOptions::DEFAULT }
}

fn pass(method: Method) -> SparsifyWeights {
    SparsifyWeights { options: options(method) }
}

fn weights(model: &Model, name: &str) -> Vec<f32> {
    let id = model.graph.find(name).expect("it is there");
    model.graph.constant(id).and_then(|tensor| tensor.to_vec()).expect("it is a constant")
}

/// The mean square of what changed at the output.
fn error(before: &Model, after: &Model) -> f64 {
    let inputs = samples(40);
    let run = |model: &Model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("it loads");
        let outputs = runner.run(&inputs).expect("it runs");
        outputs[0].1.to_vec::<f32>().expect("they are floats")
    };
    let (before, after) = (run(before), run(after));
    let squares = before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>() / before.len() as f64
}

fn done(options: &SparsifyOptions) -> (Model, Sparsified) {
    let mut model = network();
    let done = sparsify(&mut model, Some(&samples(40)), options).expect("it can be done");
    assert_eq!(model.validate(), []);
    (model, done)
}

#[test]
fn half_of_every_weight_goes_with_every_method() {
    let original = network();
    for method in [Method::Magnitude, Method::Random, Method::Wanda, Method::SparseGpt] {
        let (model, found) = done(&options(method));
        assert!(found.left.is_empty(), "{:?}", found.left);
        let zeros: Vec<_> =
            found.weights.iter().map(|weight| (weight.elements, weight.zeros)).collect();
        assert_eq!(zeros, [(144, 72), (64, 32), (24, 12)], "{method:?}");
        assert!(error(&original, &model) > 0.0);
    }
}

#[test]
fn what_stays_makes_up_for_what_went() {
    let original = network();
    let (plain, _) = done(&options(Method::Magnitude));
    let (compensated, found) = done(&options(Method::SparseGpt));
    let (plain, compensated) = (error(&original, &plain), error(&original, &compensated));
    assert!(compensated < 0.5 * plain, "{compensated} and {plain}");
    assert!(found.weights.iter().all(|weight| weight.error.is_some_and(|error| error < 0.5)));
    // The bias keeps the mean of the last results.
    let mask = |name: &str, model: &Model| {
        let kept = weights(model, name).into_iter().map(|weight| f32::from(weight != 0.0));
        kept.collect::<Vec<f32>>()
    };
    let (model, _) = done(&options(Method::SparseGpt));
    let masks = BTreeMap::from([("c".to_owned(), Tensor::new(&[3, 8], &mask("c", &model)))]);
    let masked = SparsifyOptions { masks: Some(masks), ..options(Method::SparseGpt) };
    let (known, found) = done(&masked);
    assert_eq!(mask("c", &known), mask("c", &model));
    assert_eq!(weights(&known, "a"), weights(&original, "a"));
    assert_eq!(found.left["there is no mask for its weights"], ["p (Conv)", "r (Conv)"]);
    let plain = SparsifyOptions { method: Method::Magnitude, ..masked };
    let (plain, _) = done(&plain);
    assert_eq!(mask("c", &plain), mask("c", &known));
    assert!(error(&original, &known) < error(&original, &plain));
}

#[test]
fn two_of_four_run_along_input_channels() {
    let pattern = Pattern::GroupWise { kept: 2, group: 4 };
    for method in [Method::Magnitude, Method::Wanda, Method::SparseGpt] {
        let (model, found) = done(&SparsifyOptions { pattern, ..options(method) });
        let reason = "the groups of the pattern do not divide its input channels";
        assert_eq!(found.left[reason], ["p (Conv)"]);
        for name in ["b", "c"] {
            let fours = weights(&model, name);
            let zeros = |four: &[f32]| four.iter().filter(|weight| **weight == 0.0).count();
            assert!(fours.chunks(4).all(|four| zeros(four) == 2), "{method:?} {name}");
        }
        let seen = sparsity(&model.graph);
        let seen: Vec<_> = seen.iter().map(|weight| weight.two_of_four).collect();
        assert_eq!(seen, [false, true, true]);
    }
}

#[test]
fn blocks_of_output_channels_go_together() {
    let pattern = Pattern::Blocks { rows: 4, columns: 1 };
    let (model, found) = done(&SparsifyOptions { pattern, ..options(Method::SparseGpt) });
    assert_eq!(found.left["the blocks of the pattern do not divide its channels"], ["y (Gemm)"]);
    let b = weights(&model, "b");
    for block in 0..2 {
        for channel in 0..8 {
            let zero = |row: usize| b[(block * 4 + row) * 8 + channel] == 0.0;
            assert!((1..4).all(|row| zero(row) == zero(0)));
        }
    }
    assert_eq!(b.iter().filter(|weight| **weight == 0.0).count(), 32);
}

#[test]
fn one_threshold_spreads_zeros_unevenly() {
    for method in [Method::Magnitude, Method::Wanda, Method::SparseGpt] {
        let scope = Scope::Global { most: 0.6 };
        let (_, found) = done(&SparsifyOptions { scope, ..options(method) });
        let zeros: Vec<usize> = found.weights.iter().map(|weight| weight.zeros).collect();
        assert_eq!(zeros.iter().sum::<usize>(), 116, "{method:?}");
        assert!(zeros[0] <= 86 && zeros[1] <= 38 && zeros[2] <= 14, "{zeros:?}");
        assert_ne!(zeros, [72, 32, 12]);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("there are threads").install(|| {
            let (model, _) = done(&options(Method::SparseGpt));
            ["a", "ab", "b", "bb", "c", "cb"].map(|name| weights(&model, name))
        })
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn nothing_is_left_to_do_the_second_time() {
    let (mut model, _) = done(&options(Method::SparseGpt));
    let before = ["a", "b", "c"].map(|name| weights(&model, name));
    let mut again = options(Method::Magnitude);
    again.min_weights = 1;
    let found = sparsify(&mut model, None, &again).expect("it can be done");
    assert!(found.weights.iter().all(|weight| !weight.changed));
    assert_eq!(before, ["a", "b", "c"].map(|name| weights(&model, name)));
}

#[test]
fn weights_read_twice_go_for_all_readers() {
    let source = "
        g (float[N,4] x) => (float[N,4] y)
        <float[4,4] w = {1, 2, -3, 4, 5, -6, 7, 8, 9, 1, 2, 3, 4, 5, 6, -7}>
        {
            h = MatMul(x, w)
            y = MatMul(h, w)
        }
    ";
    let rows: Vec<f32> = (0..80).map(|at| number(3, at)).collect();
    let inputs = Inputs::from([("x".to_owned(), Tensor::new(&[20, 4], &rows))]);
    for method in [Method::Magnitude, Method::SparseGpt] {
        let mut model = parse(source);
        let found = sparsify(&mut model, Some(&inputs), &options(method)).expect("it can be done");
        assert_eq!((found.weights.len(), found.weights[0].zeros), (1, 8));
    }
}

#[test]
fn what_can_not_be_sparse_is_named() {
    let source = "
        g (float[1,4,4,4] x, float[4,4] z, float[1,2] o) => (float[1,4,5,5] t, float[1,4,4,4] u, float[4,4] v, float[4,4] i, float[4,4] k, float[1,2] m)
        <float[4,4,2,2] a, float[4,4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7},
         float[4,4] e = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}, float[2,2] few = {1, 2, 3, 4}>
        {
            t = ConvTranspose(x, a)
            u = MatMul(x, z)
            v = Gemm<transA = 1>(z, w)
            i = MatMul(z, e)
            k = Add(i, e)
            m = MatMul(o, few)
        }
    ";
    let listed = vec!["1"; 64].join(", ");
    let source = source.replacen("[4,4,2,2] a", &format!("[4,4,2,2] a = {{{listed}}}"), 1);
    let pass =
        SparsifyWeights { options: SparsifyOptions { min_weights: 5, ..SparsifyOptions::DEFAULT } };
    let report = crate::testing::rewrite_unexecuted(&pass, &source);
    let lines: Vec<&str> = report.lines().take_while(|line| !line.starts_with('g')).collect();
    assert_snapshot!(lines.join("\n"), @r"
    sparsify-weights: 0 rewrites
    skipped 1: its left operand is transposed
    skipped 1: its weights are no constant
    skipped 1: its weights are too few to gain from it
    skipped 1: something else reads its weights
    skipped 1: transposed convolutions are not supported
    unchanged
    ");
}

#[test]
fn excluded_nodes_keep_their_weights() {
    let original = network();
    let exclude = vec!["op:Gemm".parse().expect("it selects")];
    let (model, found) = done(&SparsifyOptions { exclude, ..options(Method::Magnitude) });
    assert_eq!(found.left["it is excluded"], ["y (Gemm)"]);
    assert_eq!(weights(&model, "c"), weights(&original, "c"));
    let keep = SparsifyOptions { keep_first_last: true, ..options(Method::Magnitude) };
    assert_eq!(done(&keep).1.left["it is excluded"], ["p (Conv)", "y (Gemm)"]);
    let exclude = vec!["nobody".parse().expect("it selects")];
    let unknown = SparsifyOptions { exclude, ..options(Method::Magnitude) };
    let refused = sparsify(&mut network(), None, &unknown).expect_err("there is no such node");
    assert_eq!(refused.to_string(), "no node is `nobody`");
}

#[test]
fn masks_have_to_fit() {
    let refused = |name: &str, mask: Tensor| {
        let masks = Some(BTreeMap::from([(name.to_owned(), mask)]));
        let options = SparsifyOptions { masks, ..SparsifyOptions::DEFAULT };
        sparsify(&mut network(), None, &options).expect_err("it does not fit").to_string()
    };
    assert!(refused("ab", numbers(&[8], 0)).contains("`ab` has the name of no weight"));
    let found = refused("c", numbers(&[8, 3], 0));
    assert_eq!(found, "the mask `c` is float[8, 3], expected numbers of the shape [3, 8]");
}

#[test]
fn samples_a_method_needs_have_to_be_there() {
    let refused = sparsify(&mut network(), None, &options(Method::SparseGpt));
    let refused = refused.expect_err("there are no samples").to_string();
    assert_eq!(refused, "the method sparsegpt needs samples");
    let empty = samples(0);
    assert!(Batches::new(&network().graph, &empty).is_err());
    assert!(sparsify(&mut network(), Some(&empty), &options(Method::Wanda)).is_err());
}

#[test]
fn the_pass_is_done_once() {
    let source = "
        g (float[1,4] x) => (float[1,2] y)
        <float[4,2] w = {4, 1, -3, -2, 2, 8, 1, 7}>
        {
            y = MatMul(x, w)
        }
    ";
    assert_snapshot!(rewrite(&pass(Method::Magnitude), source), @r"
    sparsify-weights: 1 rewrites
    g (float[1,4] x) => (float[1,2] y)
    <float[4,2] w = {4, 0, -3, 0, 0, 8, 0, 7}>
    {
        y = MatMul(x, w)
    }
    ");
    assert_snapshot!(rewrite(&pass(Method::Wanda), source), @r"
    sparsify-weights: 0 rewrites
    skipped 1: the method wanda needs samples
    unchanged
    ");
}
