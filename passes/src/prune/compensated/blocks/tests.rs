//! Whole models without some of their blocks.
use super::*;
use crate::testing::model;
use lapidary_exec::{RunOptions, Runner, compare};
use lapidary_ir::Tensor;

/// Numbers from −1 to 1.
fn noise(mut state: u32) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// A model with made-up weights.
fn network(source: &str) -> Model {
    let mut model = model(source);
    let mut patch = Patch::default();
    for (seed, (value, tensor)) in model.graph.initializers().enumerate() {
        let per_output = tensor.len() as f32 / tensor.dims()[0] as f32;
        let mut number = noise(seed as u32 + 9);
        let numbers: Vec<f32> = (0..tensor.len()).map(|_| number() / per_output.sqrt()).collect();
        patch.set_tensor(value, Tensor::new(tensor.dims(), &numbers));
    }
    model.graph.apply(patch).expect("the patch applies");
    model
}

fn samples(dims: &[i64]) -> Inputs {
    let mut number = noise(5);
    let count: i64 = dims.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| number()).collect();
    Inputs::from([("x".to_owned(), Tensor::new(dims, &numbers))])
}

fn drop(
    model: &mut Model,
    samples: &Inputs,
    choice: &BlockChoice,
) -> Result<DroppedBlocks, BlockError> {
    let dropped = drop_blocks(model, samples, choice, &|_: &'static str, _: usize, _: usize| {});
    assert_eq!(model.validate(), [], "the model is valid");
    dropped
}

/// The largest relative difference of the outputs.
fn difference(a: &Model, b: &Model, samples: &Inputs) -> f64 {
    let run = |model: &Model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("it is a model");
        runner.run(samples).expect("it runs")
    };
    let found = compare(&run(a), &run(b)).expect("they have the same outputs");
    found.iter().map(|output| output.max_rel).fold(0.0, f64::max)
}

const LINEAR: &str = "
    g (float[N,3,4,4] x) => (float[N,2,4,4] y)
    <float[4,3,3,3] w0, float[4] b0, float[6,4,1,1] w1, float[6] b1, float[4,6,1,1] w2, float[4] b2,
     float[2,4,3,3] w3>
    {
        s = Conv(x, w0, b0)
        a = Conv(s, w1, b1)
        f = Conv(a, w2, b2)
        t = Add(s, f)
        y = Conv(t, w3)
    }";

fn linear(pads: &str) -> Model {
    let size = if pads.is_empty() { "6" } else { "4" };
    let source = LINEAR
        .replace("float[N,3,4,4] x", &format!("float[N,3,{size},{size}] x"))
        .replace("float[N,2,4,4] y", "float[N,2,o,o] y")
        .replace("s = Conv(", &format!("s = Conv{pads}("));
    network(&source)
}

#[test]
fn the_product_before_takes_a_linear_block_over() {
    let original = linear("");
    let mut model = original.clone();
    let samples = samples(&[40, 3, 6, 6]);
    let dropped = drop(&mut model, &samples, &BlockChoice::Count(1)).expect("there is a block");
    let block = &dropped.blocks[0];
    assert_eq!((dropped.blocks.len(), block.adaptor), (1, Some(Adaptor::Before)));
    let linear = block.linear.expect("a map is fitted");
    assert!(linear < 1e-4 && block.identity > 1e-2, "{block:?}");
    assert!(dropped.losses[1].1 <= 1e-4, "{:?}", dropped.losses);
    assert!(difference(&original, &model, &samples) < 2e-2);
    assert_eq!(model.graph.node_count(), 2);
    assert!((dropped.share - macs(&model.graph) / macs(&original.graph)).abs() < 1e-12);
    assert!((block.macs + dropped.share - 1.0).abs() < 1e-12);
}

#[test]
fn the_products_behind_take_a_linear_block_over() {
    let source = LINEAR.replace("s = Conv(x, w0, b0)", "r = Conv(x, w0, b0) s = Relu(r)");
    let original = network(
        &source.replace("float[N,2,4,4] y", "float[N,2,o,o] y").replace("4,4] x", "8,8] x"),
    );
    let mut model = original.clone();
    let samples = samples(&[40, 3, 8, 8]);
    let dropped = drop(&mut model, &samples, &BlockChoice::Count(1)).expect("there is a block");
    assert_eq!(dropped.blocks[0].adaptor, Some(Adaptor::Behind));
    assert!(dropped.losses[0].1 < 1e-4, "{:?}", dropped.losses);
    assert!(difference(&original, &model, &samples) < 2e-2);
    assert_eq!(model.graph.node_count(), 3);
}

/// The linear block with another reader of its input.
fn read_twice(pads: &str) -> Model {
    let source = LINEAR
        .replace("float[N,2,4,4] y)", "float[N,2,o,p] y, float[N,4,q,r] z)")
        .replace("y = Conv(", &format!("z = Neg(s) y = Conv{pads}("))
        .replace("4,4] x", "6,6] x");
    network(&source)
}

#[test]
fn a_map_stays_where_no_product_takes_it_over() {
    let original = read_twice("<pads = [1, 1, 1, 1]>");
    let mut model = original.clone();
    let samples = samples(&[40, 3, 6, 6]);
    let dropped = drop(&mut model, &samples, &BlockChoice::Count(1)).expect("there is a block");
    let block = &dropped.blocks[0];
    assert_eq!(block.adaptor, Some(Adaptor::Own));
    assert!(dropped.losses[1].1 < 1e-4 && block.identity > 1e-2, "{dropped:?}");
    assert!(difference(&original, &model, &samples) < 2e-2);
    assert_eq!(model.graph.node_count(), 4);
}

#[test]
fn maps_are_taken_over_exactly() {
    let original = linear("");
    let (blocks, _) = residual_blocks(&original.graph);
    let mut number = noise(3);
    let weights = ndarray::Array2::from_shape_simple_fn((4, 4), || f64::from(number()));
    let map = LinearMap { weights, offsets: ndarray::array![1.0, -0.5, 0.25, 2.0] };
    let (before, adaptor) = map.place(&original, &blocks[0]).expect("it can be placed");
    assert_eq!(adaptor, Adaptor::Before);
    // Another reader of the input keeps the product before from it, zeros at the edge the one behind.
    let samples = samples(&[3, 3, 6, 6]);
    let twice = read_twice("");
    let (blocks, _) = residual_blocks(&twice.graph);
    let (behind, adaptor) = map.place(&twice, &blocks[0]).expect("it can be placed");
    assert_eq!(adaptor, Adaptor::Behind);
    let padded = read_twice("<pads = [1, 1, 1, 1]>");
    let (blocks, _) = residual_blocks(&padded.graph);
    let (own, adaptor) = map.place(&padded, &blocks[0]).expect("it can be placed");
    assert_eq!(adaptor, Adaptor::Own);
    assert!(
        own.graph
            .nodes()
            .any(|(_, node)| node.is("Conv") && node.output(0) == Some(blocks[0].output))
    );
    let y = |model: &Model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("it is a model");
        let outputs = runner.run(&samples).expect("it runs");
        outputs[0].1.to_f32().expect("they are floats")
    };
    let close = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
    };
    assert!(close(&y(&before), &y(&behind)));
    // The middle of the padded result is the other one.
    let (inner, whole) = (y(&behind), y(&own));
    let middle: Vec<f32> = (0..6usize)
        .flat_map(|plane| {
            (1..3).flat_map(move |row| (1..3).map(move |column| plane * 16 + row * 4 + column))
        })
        .map(|index| whole[index])
        .collect();
    assert!(close(&inner, &middle), "{inner:?} {middle:?}");
}

const RESIDUAL: &str = "
    g (float[N,3,6,6] x) => (float[N,5] y)
    <float[8,3,3,3] w0, float[8] b0, float[6,8,3,3] w1, float[8,6,3,3] w2, float[4,8,3,3] w3, float[8,4,3,3] w4,
     float[8,8,3,3] w5, float[8,8,3,3] w6, float[5,8] w7>
    {
        stem = Conv<pads = [1, 1, 1, 1]>(x, w0, b0)
        r = Relu(stem)
        [first_up] a = Conv<pads = [1, 1, 1, 1]>(r, w1)
        [first_act] c = Relu(a)
        [first_down] d = Conv<pads = [1, 1, 1, 1]>(c, w2)
        [first_add] s = Add(d, r)
        q = Relu(s)
        [second_up] e = Conv<pads = [1, 1, 1, 1]>(q, w3)
        [second_act] f = Relu(e)
        [second_down] h = Conv<pads = [1, 1, 1, 1]>(f, w4)
        [second_add] t = Add(h, q)
        p = Relu(t)
        [third_up] i = Conv<pads = [1, 1, 1, 1]>(p, w5)
        [third_act] j = Relu(i)
        [third_down] k = Conv<pads = [1, 1, 1, 1]>(j, w6)
        [third_add] u = Add(k, p)
        v = Relu(u)
        m = GlobalAveragePool(v)
        n = Flatten(m)
        y = Gemm<transB = 1>(n, w7)
    }";

#[test]
fn what_stands_before_a_gap_learns_to_fill_it() {
    let samples = samples(&[48, 3, 6, 6]);
    for count in 1..=3 {
        let mut model = network(RESIDUAL);
        let choice = BlockChoice::Count(count);
        let dropped = drop(&mut model, &samples, &choice).expect("there are three blocks");
        assert_eq!(dropped.blocks.len(), 3);
        let gone = dropped.blocks.iter().filter(|block| block.adaptor.is_some()).count();
        assert_eq!(gone, count);
        let (cut, fit) = (dropped.losses[0].1, dropped.losses[1].1);
        assert!(fit < 0.6 * cut, "{:?}", dropped.losses);
        assert!(dropped.fitted >= 1, "{}", dropped.fitted);
    }
}

#[test]
fn named_blocks_go() {
    let samples = samples(&[16, 3, 6, 6]);
    let mut model = network(RESIDUAL);
    let names = BlockChoice::Names(vec!["second_add".to_owned(), "first_add".to_owned()]);
    let dropped = drop(&mut model, &samples, &names).expect("there are such blocks");
    let mut names: Vec<&str> = dropped.blocks.iter().map(|block| block.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["first_add", "second_add"]);
    let left = residual_blocks(&model.graph).0;
    assert_eq!(left.iter().map(|block| block.name.as_str()).collect::<Vec<_>>(), ["third_add"]);
}

#[test]
fn blocks_that_are_not_there_are_refused() {
    let samples = samples(&[4, 3, 6, 6]);
    let mut model = network(RESIDUAL);
    let error = drop(&mut model, &samples, &BlockChoice::Count(4)).expect_err("there are three");
    assert_eq!(error.to_string(), "4 residual blocks can't go: 3 can");
    let names = BlockChoice::Names(vec!["fourth".to_owned()]);
    let error = drop(&mut model, &samples, &names).expect_err("there are three");
    let told =
        "there is no residual block `fourth`; there are: `first_add`, `second_add`, `third_add`";
    assert_eq!(error.to_string(), told);
    assert_eq!(model.encode(), network(RESIDUAL).encode());
}

#[test]
fn blocks_of_a_transformer_go() {
    let mut model = network(
        "g (float[N,4,6] x) => (float[N,4,3] y)
        <float[6,6] w0, float[6] b0, float[6] g1, float[6] h1, float[6,12] w1, float[12] b1, float[12,6] w2, float[6] b2,
         float[6,6] q, float[6,6] k, float[6,6] v, float[6,3] w3, float[3] b3>
        {
            e = MatMul(x, w0)
            z = Add(e, b0)
            l = LayerNormalization(z, g1, h1)
            ql = MatMul(l, q)
            kl = MatMul(l, k)
            vl = MatMul(l, v)
            kt = Transpose<perm = [0, 2, 1]>(kl)
            qk = MatMul(ql, kt)
            p = Softmax(qk)
            o = MatMul(p, vl)
            s = Add(z, o)
            a = MatMul(s, w1)
            c = Add(a, b1)
            r = Relu(c)
            d = MatMul(r, w2)
            f = Add(d, b2)
            t = Add(s, f)
            u = MatMul(t, w3)
            y = Add(u, b3)
        }",
    );
    let samples = samples(&[40, 4, 6]);
    let before = macs(&model.graph);
    let dropped = drop(&mut model, &samples, &BlockChoice::Count(1)).expect("there are two");
    assert_eq!(dropped.blocks.len(), 2);
    assert!(matches!(dropped.blocks[0].adaptor, Some(Adaptor::Before | Adaptor::Behind)));
    assert!(dropped.losses[1].1 < dropped.blocks[0].identity, "{dropped:?}");
    assert!((macs(&model.graph) / before - dropped.share).abs() < 1e-12);
    assert!(dropped.share < 1.0);
}
