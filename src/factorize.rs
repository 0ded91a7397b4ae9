//! Low-rank factorization.
use crate::{Dataset, Error};
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use lapidary_passes::factorize::{
    Factorization, FactorizeError, FactorizeLowRank, FactorizeOptions,
};
use lapidary_passes::{Pass, driver};

/// Samples that statistics are taken from at most: those of more say the same.
const SAMPLES: usize = 2_048;

/// Replaces constant matrices by products of thin ones: on `data` for the least error of what they compute, without
/// for that of their weights. The error of every matrix is measured on `test`, or on the data.
///
/// # Errors
/// When samples can't be read, the model can't be executed, a budget is out of reach, an exclusion selects nothing or
/// the pass is at fault.
pub fn factorize(
    model: &mut Model,
    data: Option<&Dataset>,
    test: Option<&Dataset>,
    options: &FactorizeOptions,
) -> Result<Factorization, Error> {
    let (samples, test) = (data.map(read).transpose()?, test.map(read).transpose()?);
    let pass = FactorizeLowRank { options: options.clone() };
    let factorized = pass.factorize(model, samples.as_ref(), test.as_ref());
    let factorized = factorized.map_err(|error| match error {
        FactorizeError::Execute(source) => Error::Execute {
            what: "model",
            source,
            help: "statistics come from running the model on the data; without --data it is not run",
        },
        FactorizeError::Pass(error) => Error::Pass(error),
        FactorizeError::OutOfReach { .. } => Error::Usage {
            problem: error.to_string(),
            help: "ask for a larger share".to_owned(),
        },
        FactorizeError::UnknownExclusion(_) => Error::Usage {
            problem: error.to_string(),
            help: "names of nodes, op:TYPE and re:PATTERN are expected; `lapidary inspect --text` shows the names"
                .to_owned(),
        },
    })?;
    driver::check(pass.info().name, model)?;
    Ok(factorized)
}

fn read(data: &Dataset) -> Result<Inputs, Error> {
    let samples = data.spread(SAMPLES);
    samples.stacked().map_err(|source| Error::data(data.path(), source))
}
