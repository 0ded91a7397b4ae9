//! Pruning to a share of what a model costs.
use crate::data::synthetic;
use crate::{Cost, Dataset, Error, optimize, optimize_with};
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use lapidary_passes::prune::Resource;
use lapidary_passes::prune::compensated::{
    Options, Progress, PruneError, Pruned, Target, prune_by_way_of, prune_compensated, renormalized,
};
use lapidary_passes::{Context, driver, pipeline};

/// Samples that pruning reads.
const SAMPLES: usize = 512;

/// Samples that are made up when there are none.
const MADE_UP: usize = 256;

/// Removes channels until a share of the resource is left, counted from the model as it is given; those that stay
/// make up for them, as far as they can on samples without labels. The model is optimized before and after.
///
/// Without samples they are made up: noise with the spectrum of photographs, where an input looks like images. What
/// normalizations know of the samples the model was trained on is then used too.
///
/// # Errors
/// When samples can't be read, the model can't be executed, the target is out of reach or a pass is at fault.
pub fn prune_to(
    model: &mut Model,
    data: Option<&Dataset>,
    target: &Target,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Pruned, Error> {
    let original = model.clone();
    let before = Cost::of(model).of_resource(target.resource);
    optimize(model)?;
    let after = Cost::of(model).of_resource(target.resource);
    let given = before as f64 / (after as f64).max(1.0);
    let wanted = Target { share: target.share * given, ..*target };
    let pruned = match data {
        Some(data) => prune_compensated(model, &read(data)?, &wanted, options, progress),
        None => without_samples(model, original, &wanted, options, progress)?,
    };
    let mut pruned = pruned.map_err(|error| fault(error, given))?;
    optimize(model)?;
    driver::check("prune", model)?;
    pruned.share = Cost::of(model).of_resource(target.resource) as f64 / (before as f64).max(1.0);
    Ok(pruned)
}

fn read(data: &Dataset) -> Result<Inputs, Error> {
    data.take(SAMPLES).stacked().map_err(|source| Error::data(data.path(), source))
}

/// Prunes the optimized model, of which the original still has its normalizations.
fn without_samples(
    model: &mut Model,
    mut original: Model,
    target: &Target,
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
    match prune_by_way_of(model, other, &samples, target, options, progress) {
        Ok(None) => Ok(prune_compensated(model, &samples, target, options, progress)),
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
    use lapidary_passes::prune::Rounding;

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
        let options = Options { round_to: Rounding::To(1), ..Options::default() };
        let pruned = prune_to(&mut model, None, &target, &options, &quiet)?;
        Ok((model, pruned))
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
    fn shares_out_of_reach_are_those_of_the_model_as_given() {
        let error = prune(Resource::Macs, 0.001).expect_err("so little can't be left");
        assert!(error.to_string().starts_with("0.001 of the MACs can't be reached"), "{error}");
    }
}
