//! Pruning that makes up for what goes, from end to end.
use super::*;
use crate::prune::Norm;
use crate::prune::{Selection, importance};
use crate::quantize::testing::model;
use lapidary_ir::{Patch, Tensor};

const NETWORK: &str = "
    g (float[N,3,6,6] x) => (float[N,4] y)
    <float[8,3,3,3] w0, float[8] b0, float[10,8,3,3] w1, float[8,10,1,1] w2,
     float[8,1,3,3] w3, float[12,8,1,1] w4, float[12,8,1,1] w5, float[4,12] w6>
    {
        s = Conv<pads = [1, 1, 1, 1]>(x, w0, b0)
        r = Relu(s)
        a = Conv<pads = [1, 1, 1, 1]>(r, w1)
        c = Relu(a)
        d = Conv(c, w2)
        t = Add(r, d)
        e = Conv<group = 8, pads = [1, 1, 1, 1]>(t, w3)
        f = Relu(e)
        h = Conv(f, w4)
        k = Conv(t, w5)
        m = Add(h, k)
        n = Relu(m)
        p = GlobalAveragePool(n)
        q = Flatten(p)
        y = Gemm<transB = 1>(q, w6)
    }";

/// Numbers from −1 to 1.
fn noise(mut state: u32) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// The network with weights around 0.
fn network() -> Model {
    let mut model = model(NETWORK);
    let mut patch = Patch::default();
    for (seed, (value, tensor)) in model.graph.initializers().enumerate() {
        let per_output = tensor.len() as f32 / tensor.dims()[0] as f32;
        let mut number = noise(seed as u32);
        let numbers: Vec<f32> =
            (0..tensor.len()).map(|_| 2.0 * number() / per_output.sqrt()).collect();
        patch.set_tensor(value, Tensor::new(tensor.dims(), &numbers));
    }
    model.graph.apply(patch).expect("the patch applies");
    model
}

/// Images with a colour each, and noise.
fn samples() -> Inputs {
    let (mut colour, mut pixel) = (noise(77), noise(78));
    let plane = |_| {
        let colour = 2.0 * colour();
        std::iter::repeat_with(|| colour + pixel()).take(36).collect::<Vec<f32>>()
    };
    let numbers: Vec<f32> = (0..24 * 3).flat_map(plane).collect();
    Inputs::from([("x".to_owned(), Tensor::new(&[24, 3, 6, 6], &numbers))])
}

fn prune(share: f64, options: &Options) -> Result<(Model, Pruned), PruneError> {
    let mut model = network();
    let demand = Demand::Target(Target { resource: Resource::Macs, share });
    let quiet = |_: &'static str, _: usize, _: usize| {};
    let pruned = prune_compensated(&mut model, &samples(), &demand, options, &quiet)?;
    Ok((model, pruned))
}

/// Channels go one by one.
fn singly() -> Options {
    Options { round_to: Rounding::To(1), ..Options::default() }
}

#[test]
fn listed_channels_go_and_others_make_up_for_them() {
    let original = network();
    let (_, chosen) = prune(0.6, &Options::default()).expect("it can go");
    let groups = chosen.plan.groups.iter().map(|group| group.removed.clone()).enumerate();
    let lists: Vec<(usize, Vec<usize>)> = groups.collect();
    let mut model = original.clone();
    let quiet = |_: &'static str, _: usize, _: usize| {};
    let demand = Demand::Channels(&lists);
    let options = Options::default();
    let listed = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
    let listed = listed.expect("they can go");
    assert_eq!(listed.plan, chosen.plan);
    assert!(listed.losses[2].1 < listed.losses[0].1, "{:?}", listed.losses);
    assert!((listed.share - chosen.share).abs() < 1e-12);
    assert!((macs(&model.graph) / macs(&original.graph) - listed.share).abs() < 1e-12);
    let classifier = [(chosen.plan.groups.len() - 1, vec![0])];
    let demand = Demand::Channels(&classifier);
    let refused = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
    assert!(matches!(refused, Err(PruneError::Plan(_))));
}

#[test]
fn rounds_lead_to_the_same_share() {
    let options = Options { rounds: 3, ..singly() };
    let (model, pruned) = prune(0.5, &options).expect("half can go");
    let shares: Vec<f64> = pruned.rounds.iter().map(|round| round.share).collect();
    for (share, wanted) in shares.iter().zip([0.7937, 0.62996, 0.5]) {
        assert!(*share <= wanted + 1e-3 && *share > wanted - 0.08, "{shares:?}");
    }
    assert_eq!(pruned.share, shares[2]);
    let share = macs(&model.graph) / macs(&network().graph);
    assert!((share - pruned.share).abs() < 1e-12, "{share} {}", pruned.share);
    let last = pruned.losses[2].1;
    assert_eq!(pruned.rounds[2].loss, last);
    assert!(pruned.rounds[0].loss < last);
}

#[test]
fn every_scope_and_importance_of_samples_makes_up_for_what_goes() {
    for (scope, importance) in [
        (Scope::Local, Importance::Obs),
        (Scope::Global, Importance::Wanda),
        (Scope::Isomorphic, Importance::Apoz),
        (Scope::Global, Importance::Lamp),
    ] {
        let ranking = Ranking { importance, ..Ranking::default() };
        let (_, pruned) = prune(0.6, &Options { scope, ranking, ..singly() })
            .unwrap_or_else(|error| panic!("{scope:?} {importance}: {error}"));
        assert!(pruned.share <= 0.6 && pruned.share > 0.53, "{scope:?}: {}", pruned.share);
        assert!(pruned.losses[2].1 < pruned.losses[0].1);
    }
    let incomparable = Options { scope: Scope::Global, ..singly() };
    let error = prune(0.6, &incomparable).expect_err("ranks are of a group");
    assert!(matches!(error, PruneError::Incomparable(Importance::Obs)));
}

#[test]
fn a_share_of_the_channels_goes_in_rounds_too() {
    for rounds in [1, 2] {
        let mut model = network();
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let options = Options { scope: Scope::Local, rounds, ..singly() };
        let demand = Demand::Ratio(0.5);
        let pruned = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
        let pruned = pruned.expect("half can go");
        for group in pruned.plan.groups.iter().filter(|group| group.name != "y") {
            assert_eq!(group.removed.len(), group.size / 2, "{}", group.name);
        }
        assert_eq!(pruned.rounds.len(), rounds);
    }
}

#[test]
fn every_step_brings_the_outputs_closer() {
    let (model, pruned) = prune(0.5, &singly()).expect("half can go");
    let losses: Vec<f64> = pruned.losses.iter().map(|(_, loss)| *loss).collect();
    assert!(losses[1] < 0.5 * losses[0] && losses[2] < losses[1], "{losses:?}");
    assert!(pruned.share <= 0.5 && pruned.share > 0.48, "{}", pruned.share);
    let share = macs(&model.graph) / macs(&network().graph);
    assert!((share - pruned.share).abs() < 1e-12, "{share} {}", pruned.share);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let run = || prune(0.6, &Options::default()).expect("it can go").0.encode();
        pool.expect("threads start").install(run)
    };
    assert!(with(1) == with(3));
}

#[test]
fn large_networks_run_on_fewer_samples() {
    assert_eq!(affordable(21e6, 16, FITTED), 512);
    assert_eq!(affordable(300e6, 53, FITTED), 128);
    assert_eq!(affordable(300e6, 100, MEASURED), 66);
}

#[test]
fn limits_hold() {
    let options = Options { min_channels: 7, max_ratio: 0.25, ..singly() };
    let error = prune(0.3, &options).expect_err("too much is held");
    assert!(error.to_string().contains("can't be reached"), "{error}");
    let (_, pruned) = prune(0.75, &options).expect("a quarter can go");
    for group in &pruned.plan.groups {
        let kept = group.size - group.removed.len();
        assert!(kept >= 7.min(group.size) && 4 * group.removed.len() <= group.size);
    }
}

/// A target of latency, where every model takes as long as its multiply-accumulates and a hundred; `seen` tells what share
/// of the time is measured for the share that should be.
fn prune_by_count(share: f64, seen: fn(f64) -> f64) -> Result<Pruned, PruneError> {
    use crate::prune::ProductTimes;
    use crate::prune::latency::testing::{Counting, counted};
    use std::time::Duration;
    let mut model = network();
    let quiet = |_: &'static str, _: usize, _: usize| {};
    let whole = counted(&model);
    let (round_to, watch) = (Rounding::To(1), Counting::default());
    let mut sized = model.clone();
    let dims = lapidary_ir::FixedDims {
        inputs: vec![(Some("x".to_owned()), vec![1, 3, 6, 6])],
        ..lapidary_ir::FixedDims::default()
    };
    sized.fix_dims(&dims).expect("it has this input");
    let limit = Duration::from_secs(1);
    let times = ProductTimes::measure(&sized, whole, round_to, &watch, limit, &quiet);
    let measure = move |cut: &Model| Ok(seen(counted(cut) / whole));
    let latency = Some(Arc::new(Latency { times, measure: Box::new(measure) }));
    let options = Options { latency, ..singly() };
    let demand = Demand::Target(Target { resource: Resource::Latency, share });
    prune_compensated(&mut model, &samples(), &demand, &options, &quiet)
}

#[test]
fn latency_is_met_by_what_is_measured() {
    let exact = prune_by_count(0.6, |share| 0.9 * share).expect("it can be met");
    assert_eq!(exact.tries.len(), 1);
    let only = exact.tries[0];
    assert!(only.predicted <= 0.6 && only.predicted > 0.5, "{only:?}");
    assert!((only.predicted - exact.share).abs() < 1e-9);
    let slower = prune_by_count(0.6, |share| 1.25 * share).expect("it can be met");
    let (first, last) = (slower.tries[0], slower.tries[slower.tries.len() - 1]);
    assert!(slower.tries.len() > 1 && first.measured > 0.6, "{:?}", slower.tries);
    assert!(last.measured <= 0.6 && last.predicted < first.predicted, "{:?}", slower.tries);
    assert!((last.predicted - slower.share).abs() < 1e-9);
}

#[test]
fn latency_that_is_never_met_is_an_error() {
    let error = prune_by_count(0.6, |_| 0.61).expect_err("nothing helps");
    assert!(matches!(error, PruneError::Slower { tries: 4, .. }), "{error}");
    // So little is asked for then that it is out of reach.
    let error = prune_by_count(0.6, |share| 90.0 * share).expect_err("it takes too long");
    assert!(matches!(error, PruneError::Slower { tries: 1, .. }), "{error}");
    let mut model = network();
    let demand = Demand::Target(Target { resource: Resource::Latency, share: 0.5 });
    let quiet = |_: &'static str, _: usize, _: usize| {};
    let error = prune_compensated(&mut model, &samples(), &demand, &singly(), &quiet);
    assert!(matches!(error, Err(PruneError::Unmeasured)));
}

#[test]
fn groups_are_rounded() {
    let options = Options { round_to: Rounding::To(4), ..Options::default() };
    let (_, pruned) = prune(0.7, &options).expect("there are multiples");
    assert!(pruned.plan.groups.iter().any(|group| !group.removed.is_empty()));
    for group in pruned.plan.groups.iter().filter(|group| !group.removed.is_empty()) {
        assert!((group.size - group.removed.len()).is_multiple_of(4), "{}", group.name);
    }
}

#[test]
fn ignored_nodes_keep_their_channels() {
    let ignore = vec!["op:Gemm".parse().expect("valid"), "a".parse().expect("valid")];
    let options = Options { ignore, ..Options::default() };
    let (_, pruned) = prune(0.7, &options).expect("others can go");
    let lost = |name: &str| {
        let group = pruned.plan.groups.iter().find(|group| group.name == name);
        group.expect("there is such a group").removed.len()
    };
    assert_eq!(lost("a"), 0);
    assert!(pruned.plan.groups.iter().any(|group| !group.removed.is_empty()));
}

#[test]
fn channels_chosen_by_loss_beat_those_of_the_smallest_norm() {
    let original = network();
    let (_, pruned) = prune(0.5, &Options::default()).expect("half can go");
    let analysis = Analysis::of(&original.graph);
    let scores = importance(&original.graph, &analysis, Norm::L2);
    let selection = Selection { ratio: 0.3, min_channels: 1, round_to: Rounding::To(1) };
    let mut uniform = original.clone();
    analysis.plan(&scores, &selection).apply(&mut uniform).expect("the plan applies");
    let samples = samples();
    let batches = Batches::new(&original.graph, &samples).expect("there are samples");
    let quiet = |_: &'static str, _: usize, _: usize| {};
    let network = Network::new(&original, &analysis, &batches, &quiet).expect("it runs");
    let loss = Trials::new(&network, &batches).loss(&uniform).expect("it runs");
    assert!(pruned.losses[2].1 < 0.5 * loss, "{} {loss}", pruned.losses[2].1);
}
