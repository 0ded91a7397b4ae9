//! Executes regions of both models on the same numbers and compares what they give.
use super::claims::{Claims, Rest};
use super::regions::Region;
use lapidary_exec::{ExecError, Inputs, Outputs, RandomInputs, RunOptions, Runner, compare};
use lapidary_ir::{Boundary, ElemType, Tensor, ValueId, ValueType};
use lapidary_passes::Accuracy;
use std::collections::BTreeMap;

/// The largest difference allowed of half precision, relative to the largest magnitude: four
/// units in the last place.
const HALF_TOLERANCE: f64 = 4.0 / 1024.0;

/// What the execution of a region says about its claim.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Both models give the same, up to rounding.
    Equal(f64),
    /// They don't.
    Differs(f64),
    /// Hardly a number is finite: nothing is said.
    Vacuous,
    /// The runtime failed, which other numbers may mend.
    Failed(String),
    /// The runtime can't execute the region.
    Unsupported(String),
}

impl Verdict {
    /// Of an error of the runtime.
    pub(super) fn failed(error: &ExecError) -> Self {
        match error {
            ExecError::Unsupported { reason, .. } if reason.starts_with("it has no such") => {
                Self::Unsupported(error.to_string())
            }
            ExecError::UnsupportedType { .. } | ExecError::Undeclared { .. } => {
                Self::Unsupported(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }

    /// Whether resting on less could say more. In the `last` round everything is computed from
    /// the inputs, and that so few numbers are finite has to be taken for what the model does.
    pub(super) fn is_open(&self, last: bool) -> bool {
        match self {
            Self::Differs(_) | Self::Failed(_) => true,
            Self::Vacuous => !last,
            Self::Equal(_) | Self::Unsupported(_) => false,
        }
    }

    /// The difference, when both are the same.
    pub(super) fn equal(&self) -> Option<f64> {
        match self {
            Self::Equal(difference) => Some(*difference),
            Self::Vacuous => Some(0.0),
            _ => None,
        }
    }

    /// The difference, when both are not the same.
    pub(super) fn difference(&self) -> Option<f64> {
        match self {
            Self::Differs(difference) => Some(*difference),
            _ => None,
        }
    }

    /// Why there is no answer.
    pub(super) fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) | Self::Unsupported(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Where regions are executed.
#[derive(Debug)]
pub(super) struct Bench {
    /// Of the random numbers.
    pub(super) seed: u64,
}

impl Bench {
    /// Executes regions together, one verdict for each.
    pub(super) fn run(
        &self,
        claims: &Claims<'_>,
        regions: &[&Region],
        cropped: bool,
    ) -> Result<Vec<Verdict>, ExecError> {
        let leaves = regions.iter().flat_map(|region| &region.leaves);
        let leaves = leaves.map(|(name, leaf)| (name.as_str(), leaf.ty(cropped))).collect();
        let mut numbers = Inputs::new();
        let expected = self.outputs(claims, 0, regions, &leaves, &mut numbers)?;
        let found = self.outputs(claims, 1, regions, &leaves, &mut numbers)?;
        let pairs = regions.iter().zip(expected.into_iter().zip(found));
        pairs
            .map(|(region, ((_, expected), (_, found)))| {
                verdict(claims.name(region.claim), expected, found)
            })
            .collect()
    }

    /// What one model gives, computed from `numbers`, to which those are added that it lacks.
    fn outputs(
        &self,
        claims: &Claims<'_>,
        side: usize,
        regions: &[&Region],
        leaves: &BTreeMap<&str, ValueType>,
        numbers: &mut Inputs,
    ) -> Result<Outputs, ExecError> {
        let graph = claims.graph(side);
        let given = |id: ValueId| leaves.get(graph.value(id).name()).cloned().map(Boundary::Input);
        let boundary = |id: ValueId| match claims.rested_on(side, id) {
            Some((_, Rest::Constant(tensor))) => Some(Boundary::Initializer(tensor.clone())),
            Some((_, Rest::Random(ty, _))) => {
                Some(given(id).unwrap_or_else(|| Boundary::Input(ty.clone())))
            }
            None if graph.value(id).is_input() => given(id),
            None => None,
        };
        let outputs: Vec<ValueId> =
            regions.iter().map(|region| claims.value(region.claim, side)).collect();
        let part = claims.models[side].extract_between(&outputs, &boundary);
        let random = RandomInputs { seed: self.seed, ..RandomInputs::default() };
        let mut inputs = random.generate_missing(&part, numbers)?;
        for (name, range) in regions.iter().flat_map(|region| region.ranges()) {
            if let Some(tensor) = inputs.get_mut(name) {
                *tensor = range.moved(tensor.clone());
            }
        }
        let options = RunOptions { optimize: false, ..RunOptions::default() };
        Runner::new(&part, &options)?.run(&inputs)
    }
}

fn verdict(name: &str, expected: Tensor, found: Tensor) -> Result<Verdict, ExecError> {
    let elem_type = expected.elem_type();
    let tolerance = match elem_type {
        ElemType::FLOAT16 => HALF_TOLERANCE,
        _ => Accuracy::Rounding.tolerance(),
    };
    let vacuous = is_vacuous(&expected);
    if expected.same_content(&found) {
        return Ok(if vacuous { Verdict::Vacuous } else { Verdict::Equal(0.0) });
    }
    let one = |tensor| vec![(name.to_owned(), tensor)];
    let difference = match compare(&one(expected), &one(found)) {
        Ok(comparisons) => comparisons.first().map_or(0.0, |comparison| comparison.max_rel),
        Err(ExecError::DifferentTypes { .. }) => f64::INFINITY,
        Err(error) => return Err(error),
    };
    Ok(match difference {
        difference if difference > tolerance => Verdict::Differs(difference),
        _ if vacuous => Verdict::Vacuous,
        difference => Verdict::Equal(difference),
    })
}

/// Whether less than a sixteenth of the elements are finite.
fn is_vacuous(tensor: &Tensor) -> bool {
    let Some(numbers) = tensor.to_f32() else { return false };
    let finite = numbers.iter().filter(|number| number.is_finite()).count();
    finite * 16 < numbers.len()
}
