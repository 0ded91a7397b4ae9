//! What a result must reach to be written.
use crate::cli::Gates;
use lapidary::{Error, Evaluation, Reference};

impl Gates {
    /// Whether any gate is set.
    pub(crate) fn any(&self) -> bool {
        self.min_sqnr.is_some() || self.max_drop.is_some()
    }

    /// Passes, or says which gate is missed and by how much.
    pub(crate) fn check(
        &self,
        reference: &Reference,
        evaluation: &Evaluation,
    ) -> Result<(), Error> {
        if self.min_sqnr.is_some() && !evaluation.max_rel().is_finite() {
            return Err(missed(
                "the outputs are not finite where those of the original are".to_owned(),
            ));
        }
        if let Some(least) = self.min_sqnr
            && let Some(found) = evaluation.sqnr_db()
            && found < least
        {
            return Err(missed(format!(
                "the signal-to-noise ratio is {found:.2} dB, at least {least} dB is asked for"
            )));
        }
        let Some(most) = self.max_drop else { return Ok(()) };
        let (Some(before), Some(after)) = (reference.accuracy, evaluation.accuracy) else {
            return Err(Error::Usage {
                problem: "--max-drop needs labels".to_owned(),
                help: "add the class of every sample as array `y` to the .npz".to_owned(),
            });
        };
        let drop = 100.0 * (before - after);
        if drop > most {
            return Err(missed(format!(
                "accuracy drops by {drop:.2} points from {:.2} %, at most {most} is allowed",
                100.0 * before
            )));
        }
        Ok(())
    }
}

fn missed(problem: String) -> Error {
    Error::Gate { problem, help: "nothing was written; ask for less compression or a looser gate" }
}
