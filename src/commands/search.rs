//! `lapidary quantize --search`: what has to stay in float for the gates.
use super::quantize::Quantizing;
use super::sensitivity::rank;
use crate::cli::Gates;
use crate::render::Progress;
use clap::Args;
use lapidary::ir::Model;
use lapidary::passes::quantize::QuantizeOptions;
use lapidary::passes::quantize::refine::Refined;
use lapidary::{Error, Reference, Trials};

/// Looks for what has to stay in float.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Leave the most sensitive products in float, as few as --min-sqnr and --max-drop allow; with --max-bytes
    /// alone, as many as fit.
    #[arg(long, conflicts_with_all = ["dynamic", "weight_only"])]
    pub(crate) search: bool,
    /// Largest size of the result in bytes, or nothing is written and the exit code is 1.
    #[arg(long, value_name = "N", conflicts_with_all = ["dynamic", "weight_only"])]
    max_bytes: Option<u64>,
}

/// A quantized model, and what stays in float for the gates.
pub(super) struct Found {
    pub(super) model: Model,
    pub(super) refined: Refined,
    pub(super) float: Vec<String>,
    /// Models that were quantized and measured.
    pub(super) trials: usize,
}

/// What the result is measured with: all samples for the gates, some for the ranking.
pub(super) struct Measures<'a> {
    pub(super) all: &'a Reference,
    pub(super) ranking: &'a Reference,
}

impl Search {
    /// The search has a goal.
    pub(super) fn check_goal(&self, gates: &Gates) -> Result<(), Error> {
        if !self.search || gates.any() || self.max_bytes.is_some() {
            return Ok(());
        }
        Err(Error::Usage {
            problem: "--search needs a goal".to_owned(),
            help: "give --max-drop POINTS, --min-sqnr DB or --max-bytes N".to_owned(),
        })
    }

    /// Passes, or says by how much the result is too large.
    pub(super) fn check_size(&self, model: &Model) -> Result<(), Error> {
        let bytes = model.encoded_len() as u64;
        match self.max_bytes {
            Some(most) if bytes > most => Err(Error::Gate {
                problem: format!("the result has {bytes} bytes, at most {most} are allowed"),
                help: "nothing was written; ask for less accuracy or more bytes",
            }),
            _ => Ok(()),
        }
    }

    /// Quantizes everything but what has to stay in float for the gates, or what may for its size.
    pub(super) fn run(
        &self,
        quantizing: &Quantizing,
        options: &QuantizeOptions,
        gates: &Gates,
        measures: &Measures,
    ) -> Result<Found, Error> {
        let mut attempts = Attempts { quantizing, options, trials: 0, best: None };
        let verdict = |model: &Model| match gates.any() {
            true => gates.check(measures.all, &measures.all.evaluate(model)?),
            false => self.check_size(model),
        };
        match (gates.any(), attempts.hold(Vec::new(), verdict)?) {
            (true, Ok(())) => return Ok(attempts.found()),
            (false, Err(too_large)) => return Err(too_large),
            _ => {}
        }
        let trials = Trials {
            model: quantizing.model,
            calibration: quantizing.calibration,
            options,
            reference: measures.ranking,
        };
        let ranked = rank(&trials)?.names();
        let _searching = Progress::start("looking for what stays in float".to_owned());
        let names = |places: &[usize]| -> Vec<String> {
            places.iter().map(|&place| ranked[place].clone()).collect()
        };
        if gates.any() {
            let mut missed = None;
            let found = lapidary::fewest(ranked.len(), |places| {
                let held = attempts.hold(names(places), verdict)?;
                let holds = held.is_ok();
                missed = held.err();
                Ok::<_, Error>(holds)
            })?;
            return match found {
                Some(_) => Ok(attempts.found()),
                None => Err(out_of_reach(missed)),
            };
        }
        let fits = |places: &[usize]| {
            let bytes = trials.bytes(&names(places))?;
            Ok::<_, Error>(self.max_bytes.is_none_or(|most| bytes <= most))
        };
        let mut fitting = lapidary::most(ranked.len(), fits)?.unwrap_or_default();
        // Refinement may add a few bytes.
        while !fitting.is_empty() && attempts.hold(names(&fitting), verdict)?.is_err() {
            fitting.pop();
        }
        Ok(attempts.found())
    }
}

/// The models that were tried.
struct Attempts<'a> {
    quantizing: &'a Quantizing<'a>,
    options: &'a QuantizeOptions,
    trials: usize,
    /// The last that held.
    best: Option<Found>,
}

impl Attempts<'_> {
    /// Quantizes everything but some products. The inner error says which gate is missed.
    fn hold(
        &mut self,
        float: Vec<String>,
        verdict: impl Fn(&Model) -> Result<(), Error>,
    ) -> Result<Result<(), Error>, Error> {
        self.trials += 1;
        let options = lapidary::excluding(self.options, &float);
        let (model, mut refined) = self.quantizing.run(&options)?;
        match verdict(&model) {
            Ok(()) => {}
            Err(missed @ Error::Gate { .. }) => return Ok(Err(missed)),
            Err(error) => return Err(error),
        }
        for node in refined.plan.nodes.iter_mut().filter(|node| float.contains(&node.node)) {
            node.reason = Some("taken back to float by --search".to_owned());
        }
        self.best = Some(Found { model, refined, float, trials: 0 });
        Ok(Ok(()))
    }

    fn found(self) -> Found {
        let best = self.best.expect("the search ends with what holds");
        Found { trials: self.trials, ..best }
    }
}

/// Not even everything in float passes the gates.
fn out_of_reach(missed: Option<Error>) -> Error {
    let why = missed.map_or_else(|| "there are none".to_owned(), |missed| missed.to_string());
    Error::Gate {
        problem: format!("with all products in float: {why}"),
        help: "nothing was written; ask for a looser gate",
    }
}
