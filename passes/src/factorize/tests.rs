//! Factorization of whole graphs.
use super::decomposition::Decomposition;
use super::emit::{Replacement, emit};
use super::site::find;
use super::{
    ConvSplit, Factorization, FactorizeError, FactorizeLowRank, FactorizeOptions, Norm, RankRule,
};
use crate::Accuracy;
use crate::quantize::NodeSelector;
use crate::testing::{assert_same_outputs, parse, print, rewrite};
use insta::assert_snapshot;
use lapidary_exec::{Inputs, RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{Model, Patch, Tensor};
use std::collections::BTreeMap;

fn pass(rank: RankRule, conv: ConvSplit) -> FactorizeLowRank {
    FactorizeLowRank { options: FactorizeOptions { rank, conv, exclude: Vec::new() } }
}

/// A model with all its sites at a rank, even if that makes them larger.
fn at_rank(source: &str, conv: ConvSplit, rank: usize) -> (Model, Model) {
    let mut original = parse(source);
    original.graph.infer();
    let options = FactorizeOptions { conv, ..FactorizeOptions::default() };
    let found = find(&original.graph, &options);
    assert!(!found.sites.is_empty(), "{:?}", found.left_alone);
    let mut patch = Patch::default();
    for site in &found.sites {
        let decomposition = Decomposition::new(site, None).expect("it is decomposed");
        let factors = decomposition.factors(site, decomposition.rank(rank));
        emit(&original.graph, &mut patch, &Replacement { site, factors, bias: None });
    }
    let mut model = original.clone();
    model.graph.apply(patch).expect("the patch fits");
    assert_eq!(model.validate(), [], "the result is valid");
    (original, model)
}

/// The result at full rank, which computes what the original does.
fn exact(source: &str, conv: ConvSplit) -> String {
    let (original, model) = at_rank(source, conv, usize::MAX);
    let inputs = RandomInputs::default().generate(&original).expect("inputs can be made");
    let difference = difference(&original, &model, &inputs);
    assert!(difference < 1e-4, "the outputs differ by {difference}");
    print(&model)
}

fn difference(original: &Model, changed: &Model, inputs: &Inputs) -> f64 {
    let run = |model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
        runner.run(inputs).expect("the model runs")
    };
    let found = compare(&run(original), &run(changed)).expect("the outputs correspond");
    found.iter().map(|output| output.max_rel).fold(0.0, f64::max)
}

/// The reasons why nodes are left alone.
fn reasons(pass: &FactorizeLowRank, source: &str) -> Vec<String> {
    let mut model = parse(source);
    let found = pass.factorize(&mut model, None, None).expect("it is factorized");
    let reason = |node: &super::LeftAlone| format!("{}: {}", node.node, node.reason);
    found.left_alone.iter().map(reason).collect()
}

#[test]
fn a_product_becomes_two() {
    let source = "g (float[N,3,8] x) => (float[N,3,6] y) <float[8,6] w> { y = MatMul(x, w) }";
    assert_snapshot!(exact(source, ConvSplit::Svd), @r"
    g (float[N,3,8] x) => (float[N,3,6] y)
    <float[8,6] w_factor1, float[6,6] w_factor2>
    {
        y_factor1 = MatMul(x, w_factor1)
        y = MatMul(y_factor1, w_factor2)
    }
    ");
}

#[test]
fn a_gemm_keeps_its_bias_and_factors_and_loses_its_transposition() {
    assert_snapshot!(exact("
        g (float[8,3] x) => (float[3,6] y)
        <float[6,8] w, float[6] b>
        {
            [head] y = Gemm<alpha = 0.5, beta = 2.0, transA = 1, transB = 1>(x, w, b)
        }
    ", ConvSplit::Svd), @r"
    g (float[8,3] x) => (float[3,6] y)
    <float[6] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375}, float[8,6] w_factor1,
        float[6,6] w_factor2>
    {
        y_factor1 = Gemm <transA = 1> (x, w_factor1)
        y = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (y_factor1, w_factor2, b)
    }
    ");
}

#[test]
fn a_matrix_on_the_left_is_factorized_too() {
    let source = "g (float[N,8,5] x) => (float[N,6,5] y) <float[6,8] w> { y = MatMul(w, x) }";
    assert_snapshot!(exact(source, ConvSplit::Svd), @r"
    g (float[N,8,5] x) => (float[N,6,5] y)
    <float[6,8] w_factor1, float[6,6] w_factor2>
    {
        y_factor1 = MatMul(w_factor1, x)
        y = MatMul(w_factor2, y_factor1)
    }
    ");
}

#[test]
fn a_pointwise_convolution_keeps_its_strides_before_the_bottleneck() {
    assert_snapshot!(exact("
        g (float[N,6,7,7] x) => (float[N,5,4,4] y)
        <float[5,6,1,1] w, float[5] b>
        {
            y = Conv<strides = [2, 2]>(x, w, b)
        }
    ", ConvSplit::Tucker), @r"
    g (float[N,6,7,7] x) => (float[N,5,4,4] y)
    <float[5] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125}, float[5,6,1,1] w_factor1,
        float[5,5,1,1] w_factor2>
    {
        y_factor1 = Conv <kernel_shape = [1, 1], strides = [2, 2]> (x, w_factor1)
        y = Conv <kernel_shape = [1, 1]> (y_factor1, w_factor2, b)
    }
    ");
}

#[test]
fn a_kernel_stays_before_a_pointwise_convolution() {
    assert_snapshot!(exact(KERNEL, ConvSplit::Svd), @r"
    g (float[N,4,9,11] x) => (float[N,6,h,v] y)
    <float[6] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375}, float[6,4,3,2] w_factor1,
        float[6,6,1,1] w_factor2>
    {
        y_factor1 = Conv <kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 2, 3], dilations = [1, 2]> (x, w_factor1)
        y = Conv <kernel_shape = [1, 1]> (y_factor1, w_factor2, b)
    }
    ");
}

/// A convolution with everything that can differ between its axes.
const KERNEL: &str = "
    g (float[N,4,9,11] x) => (float[N,6,h,v] y)
    <float[6,4,3,2] w, float[6] b>
    {
        y = Conv<strides = [2, 1], pads = [1, 0, 2, 3], dilations = [1, 2]>(x, w, b)
    }
";

#[test]
fn strides_pads_and_dilations_go_with_their_axis() {
    assert_snapshot!(exact(KERNEL, ConvSplit::Spatial), @r"
    g (float[N,4,9,11] x) => (float[N,6,h,v] y)
    <float[6] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375}, float[12,4,3,1] w_factor1,
        float[6,12,1,2] w_factor2>
    {
        y_factor1 = Conv <kernel_shape = [3, 1], strides = [2, 1], dilations = [1, 1], pads = [1, 0, 2, 0]> (x, w_factor1)
        y = Conv <kernel_shape = [1, 2], strides = [1, 1], dilations = [1, 2], pads = [0, 0, 0, 3]> (y_factor1, w_factor2, b)
    }
    ");
}

#[test]
fn a_tucker_split_has_a_kernel_between_pointwise_convolutions() {
    assert_snapshot!(exact(KERNEL, ConvSplit::Tucker), @r"
    g (float[N,4,9,11] x) => (float[N,6,h,v] y)
    <float[6] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375}, float[4,4,1,1] w_factor1,
        float[6,4,3,2] w_factor2, float[6,6,1,1] w_factor3>
    {
        y_factor1 = Conv <kernel_shape = [1, 1]> (x, w_factor1)
        y_factor2 = Conv <kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 2, 3], dilations = [1, 2]> (y_factor1, w_factor2)
        y = Conv <kernel_shape = [1, 1]> (y_factor2, w_factor3, b)
    }
    ");
}

#[test]
fn automatic_padding_stays_automatic() {
    for auto_pad in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let source = format!(
            "g (float[N,4,9,8] x) => (float[N,6,h,v] y) <float[6,4,3,2] w>
            {{ y = Conv<strides = [2, 2], auto_pad = \"{auto_pad}\">(x, w) }}"
        );
        for conv in [ConvSplit::Svd, ConvSplit::Spatial, ConvSplit::Tucker] {
            exact(&source, conv);
        }
    }
}

#[test]
fn kernels_of_one_and_three_axes_are_split_by_channels() {
    for source in [
        "g (float[N,5,9] x) => (float[N,6,h] y) <float[6,5,3] w> { y = Conv(x, w) }",
        "g (float[N,5,6,5,4] x) => (float[N,4,a,b,c] y) <float[4,5,3,2,2] w> { y = Conv(x, w) }",
    ] {
        for conv in [ConvSplit::Svd, ConvSplit::Spatial, ConvSplit::Tucker] {
            exact(source, conv);
        }
    }
}

#[test]
fn what_a_split_loses_is_what_its_energies_say() {
    for conv in [ConvSplit::Svd, ConvSplit::Spatial, ConvSplit::Tucker] {
        let model = parse(KERNEL);
        let options = FactorizeOptions { conv, ..FactorizeOptions::default() };
        let site = find(&model.graph, &options).sites.remove(0);
        let decomposition = Decomposition::new(&site, None).expect("it is decomposed");
        for rank in 1..4 {
            let rank = decomposition.rank(rank);
            let matrix = site.matrix();
            let lost = &matrix - &decomposition.factors(&site, rank).product;
            let energy = |matrix: &ndarray::Array2<f64>| matrix.iter().map(|x| x * x).sum::<f64>();
            let (found, expected) =
                (energy(&lost) / energy(&matrix), decomposition.at(&site, rank).discarded);
            assert!((found - expected).abs() < 1e-6, "{conv:?} {rank}: {found}, not {expected}");
        }
    }
}

#[test]
fn weights_that_are_shared_are_factorized_once() {
    let source = "
        g (float[N,8] x, float[N,8] z) => (float[N,8] y, float[N,8] v)
        <float[8,8] w>
        {
            y = MatMul(x, w)
            v = MatMul(z, w)
        }
    ";
    assert_snapshot!(exact(source, ConvSplit::Svd), @r"
    g (float[N,8] x, float[N,8] z) => (float[N,8] y, float[N,8] v)
    <float[8,8] w_factor1, float[8,8] w_factor2>
    {
        y_factor1 = MatMul(x, w_factor1)
        y = MatMul(y_factor1, w_factor2)
        v_factor1 = MatMul(z, w_factor1)
        v = MatMul(v_factor1, w_factor2)
    }
    ");
    let mut model = parse(source);
    let pass = pass(RankRule::Rank(2), ConvSplit::Svd);
    let found = pass.factorize(&mut model, None, None).expect("it is factorized");
    assert_eq!((found.factorized.len(), found.factorized[0].nodes.len()), (1, 2));
    assert_eq!((found.parameters, found.parameters_left), (64, 32));
    assert_eq!(model.graph.initializers().count(), 2);
}

#[test]
fn the_pass_leaves_alone_what_it_can_not_make_smaller() {
    assert_snapshot!(rewrite(&pass(RankRule::DEFAULT, ConvSplit::Svd), "
        g (float[N,16] x) => (float[N,16] y) <float[16,16] w> { y = MatMul(x, w) }
    "), @r"
    factorize-low-rank: 0 rewrites
    skipped 1: keeping 99.00 % of its energy would not make it smaller
    unchanged
    ");
}

#[test]
fn nodes_are_left_alone_for_reasons() {
    let pass = FactorizeLowRank {
        options: FactorizeOptions {
            rank: RankRule::Rank(1),
            exclude: vec![NodeSelector::Name("out".to_owned())],
            ..FactorizeOptions::default()
        },
    };
    assert_snapshot!(reasons(&pass, "
        g (float[1,8,8,8] x, float[8,8] m, float[8] table, bool c) => (float[1,8,8,8] out)
        <float[8,4,3,3] grouped, float[8,1,3,3] depthwise, float[8,2,1,1] few, float[2,8,1,1] more,
         float[3,8,8] stack, float[8] row, float16[8,8] half, float[8,8] used, float[8,8] w,
         float[8,8] bad = {NaN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
         float[8,8,2,2] up>
        {
            a = Conv<group = 2, pads = [1, 1, 1, 1]>(x, grouped)
            b = Conv<group = 8, pads = [1, 1, 1, 1]>(a, depthwise)
            d = Conv(b, more)
            e = Conv(d, few)
            f = MatMul(e, stack)
            g1 = MatMul(m, row)
            h = MatMul(m, m)
            i = Cast<to = 10>(m)
            j = MatMul(i, half)
            k = MatMul(m, used)
            l = Add(m, used)
            n = Gemm<transB = 1>(m, used)
            o = MatMul(m, bad)
            p = ConvTranspose(x, up)
            q = If (c) <
                then_branch = t () => (float[8,8] u) { u = MatMul(m, w) },
                else_branch = s () => (float[8,8] v) { v = Relu(m) }
            >
            out = MatMul(x, w)
        }
    ").join("\n"), @r"
    a: it has groups
    b: it is depthwise
    d: its weights are too few
    e: its weights are too few
    f: its weights are a stack of matrices
    g1: its weights are no matrix
    h: its weights are no constant
    j: its weights are not of type float
    o: its weights are not all finite
    p: transposed convolutions are not factorized
    u: it is in a subgraph
    out: excluded
    k: its weights are also read by a node that keeps them
    n: its weights are also read by a node that keeps them
    ");
}

#[test]
fn an_exclusion_that_selects_nothing_is_an_error() {
    let mut model = parse("g (float[N,8] x) => (float[N,8] y) <float[8,8] w> { y = MatMul(x, w) }");
    let exclude = vec![NodeSelector::Operator("Conv".to_owned())];
    let pass =
        FactorizeLowRank { options: FactorizeOptions { exclude, ..FactorizeOptions::default() } };
    let error = pass.factorize(&mut model, None, None).expect_err("there is no Conv");
    assert!(matches!(&error, FactorizeError::UnknownExclusion(name) if name == "op:Conv"));
}

#[test]
fn a_budget_out_of_reach_is_an_error_and_changes_nothing() {
    let mut model = parse("g (float[N,8] x) => (float[N,8] y) <float[8,8] w> { y = MatMul(x, w) }");
    let before = print(&model);
    let pass = pass(RankRule::Parameters(0.1), ConvSplit::Svd);
    let error = pass.factorize(&mut model, None, None).expect_err("rank 1 has 25 %");
    assert_snapshot!(error.to_string(), @"10.0 % of what can be factorized is asked for, 25.0 % is the least");
    assert_eq!(print(&model), before);
}

#[test]
fn ranks_follow_their_rules() {
    let source = "
        g (float[N,24] x) => (float[N,24] y)
        <float[24,3] a, float[3,20] b, float[20,24] w>
        {
            ab = MatMul(a, b)
            h = MatMul(x, ab)
            r = Relu(h)
            y = MatMul(r, w)
        }
    ";
    // The first matrix has rank 3, the second any.
    let mut folded = parse(source);
    crate::driver::run(crate::pipeline::OPTIMIZE, &mut folded, &mut crate::Context::default())
        .expect("the passes run");
    let ranks = |rule| {
        let mut model = folded.clone();
        let found = pass(rule, ConvSplit::Svd).factorize(&mut model, None, None);
        let found = found.expect("it is factorized");
        found
            .factorized
            .iter()
            .map(|site| format!("{} {}", site.weight, site.rank))
            .collect::<Vec<_>>()
    };
    assert_snapshot!(ranks(RankRule::Energy(0.999_999)).join(", "), @"ab 3");
    assert_snapshot!(ranks(RankRule::Energy(0.9)).join(", "), @"ab 3");
    assert_snapshot!(ranks(RankRule::Rank(5)).join(", "), @"ab 5, w 5");
    assert_snapshot!(ranks(RankRule::Ratio(0.25)).join(", "), @"ab 5, w 5");
    assert_snapshot!(ranks(RankRule::Evbmf).join(", "), @"ab 3");
    assert_snapshot!(ranks(RankRule::Parameters(0.5)).join(", "), @"ab 3, w 7");
    assert_snapshot!(ranks(RankRule::Macs(0.7)).join(", "), @"ab 4");
}

/// Samples whose numbers are correlated, of different sizes and not around 0.
fn samples(model: &Model, count: usize) -> Inputs {
    let graph = &model.graph;
    let input = graph.value(graph.inputs()[0]);
    let mut dims: Vec<i64> =
        input.shape().expect("it has a shape").iter().map(|dim| dim.value().unwrap_or(0)).collect();
    dims[0] = count as i64;
    let mut state = 7u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let numbers: i64 = dims.iter().product();
    let mut last = 0.0;
    let numbers: Vec<f32> = (0..numbers)
        .map(|index| {
            last = 0.8 * last + random();
            last * (1.0 + (index % 7) as f32) + 0.5 * (index % 3) as f32
        })
        .collect();
    BTreeMap::from([(input.name().to_owned(), Tensor::new(&dims, &numbers))])
}

/// Factorizes on samples; the error of the only output, as a share of its variance or energy, beside the report.
fn on_samples(source: &str, pass: &FactorizeLowRank, count: usize) -> (Factorization, f64) {
    let mut original = parse(source);
    original.graph.infer();
    let inputs = samples(&original, count);
    let mut model = original.clone();
    let found = pass.factorize(&mut model, Some(&inputs), None).expect("it is factorized");
    assert_eq!(model.validate(), [], "the result is valid");
    let run = |model: &Model| {
        let runner = Runner::new(model, &RunOptions::default()).expect("the model loads");
        let output = runner.run(&inputs).expect("the model runs").remove(0).1;
        output.to_f32().expect("it has floats")
    };
    let (before, after) = (run(&original), run(&model));
    let graph = &original.graph;
    let shape = graph.value(graph.outputs()[0]).shape().expect("it has a shape").to_vec();
    let conv = shape.len() == 4;
    let (channels, area) = match conv {
        true => (shape[1].value(), shape[2].value().zip(shape[3].value()).map(|(h, w)| h * w)),
        false => (shape.last().and_then(|dim| dim.value()), Some(1)),
    };
    let (channels, area) = (channels.expect("fixed") as usize, area.expect("fixed") as usize);
    let positions = before.len() / channels;
    let mut mean = vec![0.0; channels];
    let channel = |index: usize| index / area % channels;
    for (index, &number) in before.iter().enumerate() {
        mean[channel(index)] += f64::from(number) / positions as f64;
    }
    let corrected = found.factorized.iter().all(|site| site.bias_corrected);
    let (mut error, mut energy) = (0.0, 0.0);
    for (index, (&before, &after)) in before.iter().zip(&after).enumerate() {
        let center = if corrected { mean[channel(index)] } else { 0.0 };
        error += (f64::from(before) - f64::from(after)).powi(2);
        energy += (f64::from(before) - center).powi(2);
    }
    (found, error / energy)
}

#[test]
fn on_samples_the_output_error_is_the_discarded_energy() {
    for (source, corrected) in [
        ("g (float[N,5,24] x) => (float[N,5,16] y) <float[24,16] w> { y = MatMul(x, w) }", false),
        ("g (float[N,5,16] x) => (float[N,5,24] y) <float[16,24] w> { y = MatMul(x, w) }", false),
        (
            "g (float[N,5,24] x) => (float[N,5,16] y) <float[24,16] w, float[16] b>
            { m = MatMul(x, w) y = Add(b, m) }",
            true,
        ),
        (
            "g (float[N,16] x) => (float[N,24] y) <float[24,16] w> { y = Gemm<transB = 1>(x, w) }",
            true,
        ),
        (
            "g (float[N,16] x) => (float[N,24] y) <float[16,24] w, float[24] b>
            { y = Gemm<alpha = 0.5, beta = 2.0>(x, w, b) }",
            true,
        ),
        (
            "g (float[N,6,8,8] x) => (float[N,12,4,4] y) <float[12,6,3,3] w, float[12] b>
            { y = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w, b) }",
            true,
        ),
        (
            "g (float[N,6,8,8] x) => (float[N,12,8,8] y) <float[12,6,1,1] w> { y = Conv(x, w) }",
            true,
        ),
    ] {
        for rank in [1, 3] {
            let pass = pass(RankRule::Rank(rank), ConvSplit::Svd);
            let (found, error) = on_samples(source, &pass, 64);
            let [site] = found.factorized.as_slice() else { panic!("{source}: {found:?}") };
            assert_eq!((site.norm, site.bias_corrected), (Norm::Outputs, corrected), "{source}");
            let measured = site.measured.expect("there are samples");
            assert!((error / site.discarded - 1.0).abs() < 0.01, "{source}: {error}, {site:?}");
            assert!((measured / error - 1.0).abs() < 0.001, "{source}: {measured}, not {error}");
        }
    }
}

#[test]
fn on_samples_the_error_is_smaller_than_without() {
    let source = "g (float[N,24] x) => (float[N,16] y) <float[24,16] w> { y = MatMul(x, w) }";
    let pass = pass(RankRule::Rank(6), ConvSplit::Svd);
    let (_, aware) = on_samples(source, &pass, 256);
    let original = parse(source);
    let inputs = samples(&original, 256);
    let mut blind = original.clone();
    let found = pass.factorize(&mut blind, None, Some(&inputs)).expect("it is factorized");
    let measured = found.factorized[0].measured.expect("there are samples");
    assert!(aware < 0.8 * measured, "{aware}, {measured} without samples");
}

#[test]
fn matrices_on_the_left_and_columns_are_seen_on_samples() {
    for source in [
        "g (float[N,16,5] x) => (float[N,12,5] y) <float[12,16] w> { y = MatMul(w, x) }",
        "g (float[16,5] x) => (float[5,12] y) <float[16,12] w, float[1,12] b> { y = Gemm<transA = 1>(x, w, b) }",
    ] {
        let mut model = parse(source);
        let inputs = samples(&model, 16);
        let found =
            pass(RankRule::Rank(2), ConvSplit::Svd).factorize(&mut model, Some(&inputs), None);
        let site = found.expect("it is factorized").factorized.remove(0);
        assert_eq!(site.norm, Norm::Outputs);
        let measured = site.measured.expect("there are samples");
        assert!((measured / site.discarded - 1.0).abs() < 0.01, "{site:?}");
    }
}

#[test]
fn other_splits_are_measured_on_samples_and_correct_the_bias() {
    for conv in [ConvSplit::Spatial, ConvSplit::Tucker] {
        let source = "g (float[N,6,8,8] x) => (float[N,12,4,4] y) <float[12,6,3,3] w, float[12] b>
            { y = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w, b) }";
        let (found, error) = on_samples(source, &pass(RankRule::Rank(4), conv), 64);
        let site = &found.factorized[0];
        assert_eq!((site.norm, site.bias_corrected), (Norm::Weights, true));
        let measured = site.measured.expect("there are samples");
        assert!((measured / error - 1.0).abs() < 0.001, "{conv:?}: {measured}, not {error}");
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let source =
        "g (float[2,6,8,8] x) => (float[2,12,8,8] y) <float[12,6,3,3] w, float[12,12,1,1] v>
        { a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Relu(a) y = Conv(b, v) }";
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut model = parse(source);
            let inputs = samples(&model, 24);
            let found = pass(RankRule::Parameters(0.5), ConvSplit::Svd)
                .factorize(&mut model, Some(&inputs), None)
                .expect("it is factorized");
            (found, print(&model))
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn low_rank_weights_stay_what_they_are() {
    // A product of thin matrices, folded, is found again: nothing is lost.
    let source = "g (float[N,24] x) => (float[N,20] y) <float[24,3] a, float[3,20] b>
        { w = MatMul(a, b) y = MatMul(x, w) }";
    let original = parse(source);
    let mut model = original.clone();
    crate::driver::run(crate::pipeline::OPTIMIZE, &mut model, &mut crate::Context::default())
        .expect("the passes run");
    let found = pass(RankRule::Evbmf, ConvSplit::Svd).factorize(&mut model, None, None);
    assert_eq!(found.expect("it is factorized").factorized[0].rank, super::Rank::One(3));
    assert_same_outputs(&original, &model, Accuracy::Rounding);
}
