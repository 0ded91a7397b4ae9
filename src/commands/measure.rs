//! How far the result of a command that needs no samples is from the original.
use super::Data;
use crate::cli::Gates;
use crate::render::Measured;
use lapidary::exec::RandomInputs;
use lapidary::ir::Model;
use lapidary::{Dataset, Error, Reference};
use std::path::Path;

/// What a result is measured with.
pub(super) struct Measurement<'a> {
    /// Samples, if there are any; else random numbers.
    pub(super) data: &'a Data,
    /// Other samples, preferred to them.
    pub(super) test: Option<&'a Path>,
    pub(super) gates: &'a Gates,
    /// The model before, in all the forms it had; the first one that is executed counts.
    pub(super) before: &'a [&'a Model],
    /// What the result computes in types the built-in runtime has.
    pub(super) restored: Option<&'a Model>,
}

impl Measurement<'_> {
    /// Executes both models and compares every output; a gate that is missed is an error. A model the
    /// built-in runtime lacks types or operators for is executed with the weights it restores.
    pub(super) fn measure(&self, model: &Model) -> Result<(Measured, Vec<String>), Error> {
        let mut notes = Vec::new();
        let measured = match self.reference()? {
            Err(why) => Measured::NotExecuted(why),
            Ok((reference, on)) => {
                let mut evaluation = reference.evaluate(model);
                if let (Err(Error::Execute { source, .. }), Some(restored)) =
                    (&evaluation, self.restored)
                {
                    notes.push(format!(
                        "executed with the numbers its weights are restored to: \
                         the built-in runtime can't execute the result: {source}"
                    ));
                    evaluation = reference.evaluate(restored);
                }
                match evaluation {
                    Ok(evaluation) => {
                        self.gates.check(&reference, &evaluation)?;
                        Measured::Executed { on, accuracy_before: reference.accuracy, evaluation }
                    }
                    Err(Error::Execute { source, .. }) => Measured::NotExecuted(format!(
                        "the built-in runtime can't execute it: {source}"
                    )),
                    Err(error) => return Err(error),
                }
            }
        };
        match &measured {
            Measured::NotExecuted(why) if self.gates.any() => Err(Error::Usage {
                problem: format!("a gate can't be checked: {why}"),
                help: "leave the gates out, or choose a form the built-in runtime executes"
                    .to_owned(),
            }),
            _ => Ok((measured, notes)),
        }
    }

    /// The outputs of the first model before that the built-in runtime executes, on samples if there are
    /// any; or why there are none.
    fn reference(&self) -> Result<Result<(Reference, String), String>, Error> {
        let mut why = String::new();
        for model in self.before {
            let given = match self.test {
                Some(test) => self.data.read_test(model, Some(test))?,
                None => self.data.read(model)?,
            };
            let (data, on) = match given {
                Some(data) => {
                    let on = format!("{} samples", data.len());
                    (data, on)
                }
                None => match RandomInputs::default().generate(model) {
                    Ok(inputs) => (Dataset::whole(inputs), "random inputs".to_owned()),
                    Err(error) => return Ok(Err(error.to_string())),
                },
            };
            match Reference::new(model, data) {
                Ok(reference) => return Ok(Ok((reference, on))),
                Err(Error::Execute { source, .. }) => {
                    why = format!("the built-in runtime can't execute the original: {source}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Err(why))
    }
}
