//! Pruning by groups of channels.
use crate::data::synthetic;
use crate::{Cost, Dataset, Error, optimize, optimize_with};
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::{
    Demand, Options, Progress, PruneError, Pruned, Target, prune_by_way_of, prune_compensated,
    renormalized,
};
use lapidary_passes::prune::{Analysis, CarryError, ChannelPlan, Keep, PruneChannels, Resource};
use lapidary_passes::{Context, Record, driver, pipeline};

/// Samples that pruning reads.
const SAMPLES: usize = 512;

/// Samples that are made up when there are none.
const MADE_UP: usize = 256;

/// What goes.
#[derive(Debug, Clone, Copy)]
pub enum Amount<'a> {
    /// A share of every group.
    Ratio(&'a PruneChannels),
    /// Channels until a share of a resource is left, counted from the model as it is given.
    Target(&'a Target, &'a Options),
    /// What these lists do not keep.
    Keep(&'a [Keep]),
}

/// What was pruned.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The model before, in the form in which groups and channels have their names and numbers.
    pub base: Model,
    /// What went of it; an error where it can't be told in this form.
    pub plan: Result<ChannelPlan, CarryError>,
    /// How the channels that stay made up for the others, if they did.
    pub compensated: Option<Pruned>,
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
/// without labels. Without `clean` nothing is optimized, before or after, and nothing makes up.
///
/// Without samples they are made up for a target: noise with the spectrum of photographs, where an input looks like
/// images. What normalizations know of the samples the model was trained on is then used too.
///
/// # Errors
/// When samples can't be read, the model can't be executed, the target is out of reach, lists do not fit the model or a
/// pass is at fault.
pub fn prune_by(
    model: &mut Model,
    data: Option<&Dataset>,
    amount: Amount<'_>,
    clean: bool,
    progress: Progress<'_>,
) -> Result<Cut, Error> {
    let base = prune_base(model, clean)?;
    let analysis = Analysis::of(&base.graph);
    let plan = match amount {
        Amount::Ratio(pass) => pass.plan(&base),
        Amount::Keep(lists) => analysis.plan_keeping(lists).map_err(Error::Keep)?,
        Amount::Target(target, options) => {
            let (pruned, own) = compensated(model, data, clean, progress, |_| {
                Ok((Given::Share(*target), options.clone()))
            })?;
            let lists = analysis.carried(&pruned.plan, &own);
            let plan = lists.map(|lists| analysis.plan_removing(&lists).unwrap_or_default());
            return Ok(Cut { base, plan, compensated: Some(pruned), records: Vec::new() });
        }
    };
    let mut cut = Cut { base, plan: Ok(plan.clone()), compensated: None, records: Vec::new() };
    match (amount, data) {
        (Amount::Keep(_), Some(_)) => {
            let (pruned, _) = compensated(model, data, clean, progress, |own| {
                let lists = own.carried(&plan, &analysis).map_err(Error::Carry)?;
                Ok((Given::Lists(lists), Options::default()))
            })?;
            cut.compensated = Some(pruned);
            return Ok(cut);
        }
        (Amount::Ratio(pass), _) => {
            model.clone_from(&cut.base);
            let mut context = Context::default();
            driver::run(&[pass], model, &mut context)?;
            cut.records = context.records;
        }
        _ => {
            model.clone_from(&cut.base);
            plan.apply(model).map_err(|error| Error::Prune(error.into()))?;
        }
    }
    driver::check("prune", model)?;
    if clean {
        optimize(model)?;
    }
    Ok(cut)
}

/// What is to go of the optimized model.
enum Given {
    Share(Target),
    Lists(Vec<(usize, Vec<usize>)>),
}

/// Optimizes, prunes what `demand` says of the groups of the optimized model, and optimizes again. Also returns these
/// groups.
fn compensated(
    model: &mut Model,
    data: Option<&Dataset>,
    clean: bool,
    progress: Progress<'_>,
    demand: impl FnOnce(&Analysis) -> Result<(Given, Options), Error>,
) -> Result<(Pruned, Analysis), Error> {
    if !clean {
        return Err(Error::Usage {
            problem: "channels make up for others in the optimized model only".to_owned(),
            help: "leave out --no-optimize, or prune without --data and a target".to_owned(),
        });
    }
    let original = model.clone();
    optimize_with(model, &pipeline::unshared(), &mut Context::default())?;
    model.graph.infer();
    let analysis = Analysis::of(&model.graph);
    let (given, options) = demand(&analysis)?;
    let resource = match given {
        Given::Share(target) => target.resource,
        Given::Lists(_) => Resource::Macs,
    };
    let before = Cost::of(&original).of_resource(resource) as f64;
    let grown = before / (Cost::of(model).of_resource(resource) as f64).max(1.0);
    let demand = match &given {
        Given::Share(target) => Demand::Target(Target { share: target.share * grown, ..*target }),
        Given::Lists(lists) => Demand::Channels(lists),
    };
    let pruned = match data {
        Some(data) => prune_compensated(model, &read(data)?, &demand, &options, progress),
        None => without_samples(model, original, &demand, &options, progress)?,
    };
    let mut pruned = pruned.map_err(|error| fault(error, grown))?;
    optimize(model)?;
    driver::check("prune", model)?;
    pruned.share = Cost::of(model).of_resource(resource) as f64 / before.max(1.0);
    Ok((pruned, analysis))
}

fn read(data: &Dataset) -> Result<Inputs, Error> {
    data.take(SAMPLES).stacked().map_err(|source| Error::data(data.path(), source))
}

/// Prunes the optimized model, of which the original still has its normalizations.
fn without_samples(
    model: &mut Model,
    mut original: Model,
    demand: &Demand<'_>,
    options: &Options,
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
    optimize(&mut other)?;
    match prune_by_way_of(model, other, &samples, demand, options, progress) {
        Ok(None) => Ok(prune_compensated(model, &samples, demand, options, progress)),
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
        PruneError::Execute(source) => Error::Execute {
            what: "model",
            source,
            help: "pruning to a target runs the model on the data; --ratio does not need to",
        },
        error => Error::Prune(error),
    }
}

impl Cost {
    /// The part of the cost that is a resource.
    #[must_use]
    pub fn of_resource(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Macs => self.macs,
            Resource::Parameters => self.parameters,
            Resource::Bytes => self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::text;

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
        let target = Target { resource, share };
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let options = Options::default();
        let amount = Amount::Target(&target, &options);
        let cut = prune_by(&mut model, None, amount, true, &quiet)?;
        Ok((model, cut.compensated.expect("they make up")))
    }

    #[test]
    fn without_samples_a_target_is_met_on_made_up_ones() {
        for (resource, share) in [(Resource::Macs, 0.6), (Resource::Parameters, 0.7)] {
            let (model, pruned) = prune(resource, share).expect("it can be pruned");
            assert!(pruned.share <= share && pruned.share > share - 0.15, "{}", pruned.share);
            assert!(model.validate().is_empty());
            let before = Cost::of(&network()).of_resource(resource) as f64;
            let after = Cost::of(&model).of_resource(resource) as f64;
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
            let cut = prune_by(&mut model, data, Amount::Keep(&[keep.clone()]), true, &quiet);
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

    #[test]
    fn shares_out_of_reach_are_those_of_the_model_as_given() {
        let error = prune(Resource::Macs, 0.001).expect_err("so little can't be left");
        assert!(error.to_string().starts_with("0.001 of the MACs can't be reached"), "{error}");
    }
}
