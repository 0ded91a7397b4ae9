//! Pruning by groups of channels.
mod options;
mod request;

use crate::data::synthetic;
use crate::latency::latency;
use crate::{Cost, Dataset, Error, optimize, optimize_with};
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::{
    Options, Progress, PruneError, Pruned, prune_by_way_of, prune_compensated, renormalized,
};
use lapidary_passes::prune::{
    Analysis, CarryError, ChannelPlan, CutChannels, Demand, Importance, Latency, MeanReplacement,
    Resource, Scope, StopwatchError, Target,
};
use lapidary_passes::{Context, Record, driver, pipeline};
use std::sync::Arc;

pub use options::{Amount, PruneOptions, read_gradients};
use request::Request;

/// Samples that pruning reads.
const SAMPLES: usize = 512;

/// Samples that are made up when there are none.
const MADE_UP: usize = 256;

/// What was pruned.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The model before, in the form in which groups and channels have their names and numbers.
    pub base: Model,
    /// What went of it; an error where it can't be told in this form.
    pub plan: Result<ChannelPlan, CarryError>,
    /// How the channels that stay made up for the others, if they did.
    pub compensated: Option<Pruned>,
    /// Products that were not measured by themselves for a target of latency, and why.
    pub unmeasured: Vec<(String, String)>,
    /// What products got in place of what went, where nothing else makes up for it.
    pub means: Option<MeanReplacement>,
    /// What makes channels important.
    pub importance: Importance,
    /// What channels went by if they went at random.
    pub seed: Option<u64>,
    /// Which channels were ranked together.
    pub scope: Scope,
    /// What the pass says.
    pub records: Vec<Record>,
}

/// The form of a model in which groups and channels have their names and numbers: with constants computed and
/// nothing fused, or as it is without `clean`.
///
/// # Errors
/// When a pass is at fault.
pub fn prune_base(model: &Model, clean: bool) -> Result<Model, Error> {
    let mut base = model.clone();
    if clean {
        optimize_with(&mut base, &pipeline::clean(), &mut Context::default())?;
    }
    base.graph.infer();
    Ok(base)
}

/// Removes channels and optimizes. With samples, or for a target, those that stay make up for them, as far as they can
/// without labels; else products get in their biases what they gave on average, as far as weights tell.
///
/// Without samples they are made up for a target: noise with the spectrum of photographs, where an input looks like
/// images. What normalizations know of the samples the model was trained on is then used too.
///
/// # Errors
/// When options do not go together or name what is not there, samples can't be read, the model can't be executed, the
/// target is out of reach, lists do not fit the model or a pass is at fault.
pub fn prune_by(
    model: &mut Model,
    data: Option<&Dataset>,
    options: &PruneOptions,
    progress: Progress<'_>,
) -> Result<Cut, Error> {
    let request = Request::new(model, options, data.is_some())?;
    let Request { ranking, scope, made_up_for, .. } = request;
    let (mut unmeasured, mut means) = (Vec::new(), None);
    let (plan, compensated, records) = if made_up_for {
        let Compensated { pruned, own, unmeasured: missing } =
            compensated(model, data, &request, progress)?;
        unmeasured = missing;
        let lists = request.analysis.carried(&pruned.plan, &own);
        let plan = lists.map(|lists| request.analysis.plan_removing(&lists));
        (plan.map(Result::unwrap_or_default), Some(pruned), Vec::new())
    } else {
        let plan = request.plan()?;
        model.clone_from(&request.base);
        if options.mean_replacement {
            means = Some(MeanReplacement::of(&model.graph, &request.analysis, &plan));
        }
        let mut context = Context::default();
        let idle = "nothing of the group is to go";
        let cut = CutChannels { plan: plan.clone(), idle, means: means.clone() };
        driver::run(&[&cut], model, &mut context)?;
        driver::check("prune", model)?;
        if options.optimize {
            optimize(model)?;
        }
        (Ok(plan), None, context.records)
    };
    let importance = ranking.importance;
    let seed = (importance == Importance::Random).then_some(ranking.seed);
    let base = request.base;
    Ok(Cut { base, plan, compensated, unmeasured, means, importance, seed, scope, records })
}

/// What would go, of the model in the form in which groups and channels have their names and numbers.
///
/// # Errors
/// Those of [`prune_by`].
pub fn prune_plan(
    model: &Model,
    data: Option<&Dataset>,
    options: &PruneOptions,
    progress: Progress<'_>,
) -> Result<ChannelPlan, Error> {
    let cut = prune_by(&mut model.clone(), data, options, progress)?;
    cut.plan.map_err(Error::Carry)
}

/// What was pruned of the optimized model.
struct Compensated {
    pruned: Pruned,
    /// Its groups.
    own: Analysis,
    /// Products of it that were not measured by themselves.
    unmeasured: Vec<(String, String)>,
}

/// Optimizes, prunes, lets what stays make up for it, and optimizes again.
fn compensated(
    model: &mut Model,
    data: Option<&Dataset>,
    request: &Request<'_>,
    progress: Progress<'_>,
) -> Result<Compensated, Error> {
    let original = model.clone();
    optimize_with(model, &pipeline::unshared(), &mut Context::default())?;
    model.graph.infer();
    let analysis = Analysis::with(&model.graph, request.options.attention);
    let resource = match request.options.amount {
        Amount::Target(target) => target.resource,
        _ => Resource::Macs,
    };
    let given = Given::new(&original, model, data, (resource, request), progress)?;
    let cost = |model: &Model| Cost::of(model).of_resource(resource).map(|cost| cost as f64);
    let before = cost(&original);
    let pruned = match data {
        Some(data) => {
            let samples = read(data)?;
            let lists = request.listed(&analysis)?;
            let demand = demand(request, lists.as_deref(), given.grown);
            let options = given.options(request, &analysis);
            prune_compensated(model, &samples, &demand, &options, progress)
        }
        None => without_samples(model, original, request, &given, progress)?,
    };
    let mut pruned = pruned.map_err(|error| fault(error, given.grown))?;
    optimize(model)?;
    driver::check("prune", model)?;
    for own in &mut pruned.tries {
        own.predicted /= given.grown;
        own.measured /= given.grown;
    }
    let counted = before.zip(cost(model)).map(|(before, after)| after / before.max(1.0));
    let measured = pruned.tries.last().map(|own| own.measured);
    pruned.share = counted.or(measured).unwrap_or(pruned.share);
    for round in pruned.rounds.iter_mut().filter(|_| measured.is_some()) {
        round.share = pruned.share;
    }
    let unmeasured = given.latency.map(|latency| latency.times.unmeasured.clone());
    Ok(Compensated { pruned, own: analysis, unmeasured: unmeasured.unwrap_or_default() })
}

/// What the model as given costs next to the optimized one.
struct Given {
    /// How many times as much.
    grown: f64,
    /// For a target of latency what the optimized one takes.
    latency: Option<Arc<Latency>>,
}

impl Given {
    fn new(
        original: &Model,
        optimized: &Model,
        data: Option<&Dataset>,
        (resource, request): (Resource, &Request<'_>),
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let cost = |model: &Model| Cost::of(model).of_resource(resource);
        if let (Some(before), Some(after)) = (cost(original), cost(optimized)) {
            return Ok(Self { grown: before as f64 / (after as f64).max(1.0), latency: None });
        }
        let round_to = request.options.round_to.unwrap_or_default();
        let (latency, grown) =
            latency(original, optimized, data, round_to, &request.options.runtime, progress)?;
        Ok(Self { grown, latency: Some(Arc::new(latency)) })
    }

    /// The options for a graph of the optimized model with these groups.
    fn options(&self, request: &Request<'_>, own: &Analysis) -> Options {
        Options { latency: self.latency.clone(), ..request.for_groups(own) }
    }
}

/// What is asked for of the optimized model, where the model as given costs `grown` times as much.
fn demand<'a>(
    request: &Request<'_>,
    lists: Option<&'a [(usize, Vec<usize>)]>,
    grown: f64,
) -> Demand<'a> {
    match (lists, request.options.amount) {
        (Some(lists), _) => Demand::Channels(lists),
        (None, Amount::Ratio(ratio)) => Demand::Ratio(ratio),
        (None, Amount::PerGroup(count)) => Demand::PerGroup(count),
        (None, Amount::Target(target)) => {
            Demand::Target(Target { share: target.share * grown, ..target })
        }
    }
}

/// The first samples, stacked.
pub(crate) fn read(data: &Dataset) -> Result<Inputs, Error> {
    data.take(SAMPLES).stacked().map_err(|source| Error::data(data.path(), source))
}

/// Prunes the optimized model, of which the original still has its normalizations, to a target.
fn without_samples(
    model: &mut Model,
    mut original: Model,
    request: &Request<'_>,
    given: &Given,
    progress: Progress<'_>,
) -> Result<Result<Pruned, PruneError>, Error> {
    let samples = synthetic(model, MADE_UP).map_err(|error| Error::Usage {
        problem: format!("samples can't be made up: {error}"),
        help: "give samples with --data, or prune with --ratio".to_owned(),
    })?;
    optimize_with(&mut original, &pipeline::clean(), &mut Context::default())?;
    original.graph.infer();
    let mut other = match renormalized(&original, &samples) {
        Ok(other) => other,
        Err(error) => return Ok(Err(error)),
    };
    optimize_with(&mut other, &pipeline::unshared(), &mut Context::default())?;
    other.graph.infer();
    let demand = demand(request, None, given.grown);
    let options = given.options(request, &Analysis::with(&other.graph, request.options.attention));
    match prune_by_way_of(model, other, &samples, &demand, &options, progress) {
        Ok(None) => {
            let options =
                given.options(request, &Analysis::with(&model.graph, request.options.attention));
            Ok(prune_compensated(model, &samples, &demand, &options, progress))
        }
        Ok(Some(pruned)) => Ok(Ok(pruned)),
        Err(error) => Ok(Err(error)),
    }
}

/// An error, with shares of the model as it was given, which costs `given` times what the optimized one does.
fn fault(error: PruneError, given: f64) -> Error {
    match error {
        PruneError::OutOfReach { share, resource, least } => Error::Prune(PruneError::OutOfReach {
            share: share / given,
            resource,
            least: least / given,
        }),
        PruneError::Slower { share, least, tries } => {
            Error::Prune(PruneError::Slower { share: share / given, least: least / given, tries })
        }
        error => executed(error),
    }
}

/// An error of something that runs the model.
pub(crate) fn executed(error: PruneError) -> Error {
    match error {
        PruneError::Execute(source) => Error::Execute {
            what: "model",
            source,
            help: "pruning to a target runs the model on the data; --ratio does not need to",
        },
        PruneError::Time(StopwatchError::Execute(source)) => executed(PruneError::Execute(source)),
        PruneError::Time(StopwatchError::Other(source)) => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(source) => Error::Prune(PruneError::Time(StopwatchError::Other(source))),
        },
        error => Error::Prune(error),
    }
}

impl Cost {
    /// The part of the cost that is a resource. Latency is measured, not counted.
    #[must_use]
    pub fn of_resource(&self, resource: Resource) -> Option<u64> {
        match resource {
            Resource::Macs => Some(self.macs),
            Resource::Parameters => Some(self.parameters),
            Resource::Bytes => Some(self.bytes),
            Resource::Latency => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;
    use lapidary_ir::text;
    use lapidary_passes::prune::{Keep, Rounding};
    use lapidary_passes::quantize::NodeSelector;

    fn network() -> Model {
        let source = "
            g (float[N,3,8,8] x) => (float[N,2] y)
            <float[8,3,3,3] w0, float[8] s, float[8] h, float[8] m,
             float[8] v = {1, 2, 3, 4, 5, 6, 7, 8}, float[8,8,3,3] w1, float[2,8] w2>
            {
                a = Conv<pads = [1, 1, 1, 1]>(x, w0)
                n = BatchNormalization(a, s, h, m, v)
                r = Relu(n)
                b = Conv<pads = [1, 1, 1, 1]>(r, w1)
                t = Relu(b)
                p = GlobalAveragePool(t)
                q = Flatten(p)
                y = Gemm<transB = 1>(q, w2)
            }";
        let mut model = text::parse(source).expect("the text is a model");
        model.graph.infer();
        model
    }

    fn prune(resource: Resource, share: f64) -> Result<(Model, Pruned), Error> {
        let mut model = network();
        let amount = Amount::Target(Target { resource, share });
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let round_to = Some(Rounding::To(1));
        let options = PruneOptions { amount, round_to, ..PruneOptions::default() };
        let cut = prune_by(&mut model, None, &options, &quiet)?;
        Ok((model, cut.compensated.expect("they make up")))
    }

    #[test]
    fn without_samples_a_target_is_met_on_made_up_ones() {
        for (resource, share) in [(Resource::Macs, 0.6), (Resource::Parameters, 0.7)] {
            let (model, pruned) = prune(resource, share).expect("it can be pruned");
            assert!(pruned.share <= share && pruned.share > share - 0.15, "{}", pruned.share);
            assert!(model.validate().is_empty());
            let cost =
                |model: &Model| Cost::of(model).of_resource(resource).expect("it counts") as f64;
            let (before, after) = (cost(&network()), cost(&model));
            assert!((after / before - pruned.share).abs() < 1e-12);
            let normalized = |(_, node): (_, &lapidary_ir::Node)| node.is("BatchNormalization");
            assert!(!model.graph.nodes().any(normalized));
        }
    }

    #[test]
    fn lists_mean_the_same_with_samples() {
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let keep = Keep { name: "a".to_owned(), size: Some(8), keep: vec![0, 1, 2, 5, 7] };
        let cut = |data: Option<&Dataset>| {
            let mut model = network();
            let amount = Amount::Ratio(0.0);
            let options =
                PruneOptions { amount, keep: vec![keep.clone()], ..PruneOptions::default() };
            let cut = prune_by(&mut model, data, &options, &quiet);
            (model, cut.expect("it can be cut"))
        };
        let samples = synthetic(&network(), 16).expect("they can be made up");
        let data = Dataset::new(samples, &network().graph).expect("they fit");
        let ((plain, listed), (fitted, made_up_for)) = (cut(None), cut(Some(&data)));
        assert_eq!(listed.plan, made_up_for.plan);
        assert_eq!(listed.plan.expect("it is known").groups[0].removed, [3, 4, 6]);
        assert_eq!(Cost::of(&plain).macs, Cost::of(&fitted).macs);
        let losses = made_up_for.compensated.expect("they make up").losses;
        assert!(listed.compensated.is_none() && losses[2].1 < losses[0].1, "{losses:?}");
    }

    /// What goes of the two groups of hidden channels.
    fn removed(data: Option<&Dataset>, options: &PruneOptions) -> Vec<usize> {
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let cut = prune_by(&mut network(), data, options, &quiet).expect("it can be pruned");
        assert_eq!(cut.compensated.is_some(), data.is_some());
        let plan = cut.plan.expect("it can be told");
        plan.groups[..2].iter().map(|group| group.removed.len()).collect()
    }

    #[test]
    fn amounts_mean_the_same_with_samples_and_without() {
        let samples = synthetic(&network(), 16).expect("they can be made up");
        let data = Dataset::new(samples, &network().graph).expect("they fit");
        let selector = |text: &str| text.parse::<NodeSelector>().expect("valid");
        let amount = Amount::Ratio(0.5);
        let half = || PruneOptions { amount, ..PruneOptions::default() };
        let keep = Keep { name: "b".to_owned(), size: None, keep: vec![6, 7] };
        for (options, expected) in [
            (half(), [4, 4]),
            (PruneOptions { round_to: Some(Rounding::To(3)), ..half() }, [2, 2]),
            (PruneOptions { min_channels: 6, ..half() }, [2, 2]),
            (PruneOptions { max_ratio: 0.25, ..half() }, [2, 2]),
            (PruneOptions { amount: Amount::PerGroup(3), ..half() }, [3, 3]),
            (PruneOptions { ignore: vec![selector("b")], ..half() }, [4, 0]),
            (PruneOptions { ratios: vec![(selector("b"), 0.25)], ..half() }, [4, 2]),
            (PruneOptions { keep: vec![keep], ..half() }, [4, 6]),
        ] {
            assert_eq!(removed(None, &options), expected, "{options:?}");
            assert_eq!(removed(Some(&data), &options), expected, "{options:?}");
        }
        let bn = PruneOptions { importance: Some(Importance::BnScale), ..half() };
        assert_eq!(removed(None, &bn), [4, 0]);
        assert_eq!(removed(Some(&data), &bn), [4, 0]);
        let rounds = PruneOptions { rounds: Some(2), ..half() };
        assert_eq!(removed(Some(&data), &rounds), [4, 4]);
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        let refused = |options: PruneOptions| {
            let quiet = |_: &'static str, _: usize, _: usize| {};
            let error = prune_by(&mut network(), None, &options, &quiet).expect_err("no effect");
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        let options = PruneOptions::default;
        let rounds = refused(PruneOptions { rounds: Some(2), ..options() });
        assert_eq!(rounds, "without samples nothing changes between rounds");
        for importance in [Importance::Obs, Importance::Apoz] {
            let error = refused(PruneOptions { importance: Some(importance), ..options() });
            assert_eq!(error, format!("the importance `{importance}` needs samples"));
        }
        let error = refused(PruneOptions { importance: Some(Importance::Taylor), ..options() });
        assert_eq!(error, "the importance `taylor` needs gradients");
        refused(PruneOptions { gradients: Some(Inputs::new()), ..options() });
        refused(PruneOptions { scope: Some(Scope::Measured), ..options() });
        let amount = Amount::PerGroup(2);
        refused(PruneOptions { scope: Some(Scope::Global), amount, ..options() });
        let amount = Amount::Target(Target { resource: Resource::Macs, share: 0.5 });
        refused(PruneOptions { amount, optimize: false, ..options() });
        let runtime: Runtime = "python time.py".parse().expect("it is a command");
        let error = refused(PruneOptions { amount, runtime, ..options() });
        assert_eq!(error, "a runtime measures latency, and nothing is asked of it");
        refused(PruneOptions { amount, scope: Some(Scope::Global), ..options() });
        refused(PruneOptions { amount: Amount::Ratio(1.5), ..options() });
        let ignore = vec!["nobody".parse().expect("valid")];
        let error = refused(PruneOptions { ignore, ..options() });
        assert_eq!(error, "no node that makes channels is selected by `nobody`");
    }

    #[test]
    fn latency_is_measured_again_after_the_cut() {
        // Any measured time is less than this, and no channel has to go for it.
        let amount = Amount::Target(Target { resource: Resource::Latency, share: 1.0 });
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let once = PruneOptions { amount, ..PruneOptions::default() };
        match prune_by(&mut network(), None, &once, &quiet) {
            Ok(cut) => {
                let pruned = cut.compensated.expect("they make up");
                let last = pruned.tries.last().expect("it was measured");
                assert!(last.predicted > 0.0 && last.measured > 0.0 && last.measured <= 1.0);
                assert_eq!(pruned.share, last.measured);
            }
            // A machine that does something else meanwhile.
            Err(Error::Prune(PruneError::Slower { .. } | PruneError::OutOfReach { .. })) => {}
            Err(error) => panic!("{error}"),
        }
        let steps = PruneOptions { rounds: Some(2), ..once };
        let error = prune_by(&mut network(), None, &steps, &quiet).expect_err("one round only");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn shares_out_of_reach_are_those_of_the_model_as_given() {
        let error = prune(Resource::Macs, 0.001).expect_err("so little can't be left");
        assert!(error.to_string().starts_with("0.001 of the MACs can't be reached"), "{error}");
    }
}
