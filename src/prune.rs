//! Pruning to a share of what a model costs.
use crate::data::synthetic;
use crate::{Cost, Dataset, Error, optimize};
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use lapidary_passes::driver;
use lapidary_passes::prune::Resource;
use lapidary_passes::prune::compensated::{
    Limits, Progress, PruneError, Pruned, Target, prune_compensated,
};

/// Samples that pruning reads.
const SAMPLES: usize = 512;

/// Samples that are made up when there are none.
const MADE_UP: usize = 256;

/// Removes channels until a share of the resource is left, counted from the model as it is given; those that stay
/// make up for them, as far as they can on samples without labels. Without samples they are made up: noise with the
/// spectrum of photographs, where an input looks like images. The model is optimized before and after.
///
/// # Errors
/// When samples can't be read, the model can't be executed, the target is out of reach or a pass is at fault.
pub fn prune_to(
    model: &mut Model,
    data: Option<&Dataset>,
    target: &Target,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<Pruned, Error> {
    let before = Cost::of(model).of_resource(target.resource);
    optimize(model)?;
    let after = Cost::of(model).of_resource(target.resource);
    let given = before as f64 / (after as f64).max(1.0);
    let samples = match data {
        Some(data) => read(data)?,
        None => synthetic(model, MADE_UP).map_err(|error| Error::Usage {
            problem: format!("samples can't be made up: {error}"),
            help: "give samples with --data, or prune with --ratio".to_owned(),
        })?,
    };
    let wanted = Target { share: target.share * given, ..*target };
    let pruned = prune_compensated(model, &samples, &wanted, limits, progress);
    let mut pruned = pruned.map_err(|error| match error {
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
    })?;
    optimize(model)?;
    driver::check("prune", model)?;
    pruned.share = Cost::of(model).of_resource(target.resource) as f64 / (before as f64).max(1.0);
    Ok(pruned)
}

fn read(data: &Dataset) -> Result<Inputs, Error> {
    data.take(SAMPLES).stacked().map_err(|source| Error::data(data.path(), source))
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
