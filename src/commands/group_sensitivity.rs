//! `lapidary sensitivity --prune`
use super::factorize::share;
use super::{Data, recipe};
use crate::cli::Attention;
use crate::render::{self, GroupSensitivityReport, Progress};
use clap::Args;
use lapidary::Error;
use lapidary::ir::Model;
use lapidary::passes::prune::compensated::{Options, PruningGoal, SensitivityOptions};
use lapidary::passes::prune::{Importance, Ranking, Resource, Target};
use lapidary::passes::quantize::NodeSelector;
use std::path::{Path, PathBuf};

/// The heading of the options for groups of channels.
const CHANNELS: &str = "Groups of channels";

/// The options of `lapidary sensitivity --prune`.
#[derive(Debug, Args)]
#[command(next_help_heading = CHANNELS)]
pub(crate) struct OfChannels {
    /// The shares of every group that go, one after another.
    #[arg(long, value_name = "SHARE", value_delimiter = ',', requires = "prune", value_parser = ratio,
        default_values_t = SensitivityOptions::default().ratios)]
    ratios: Vec<f64>,
    /// Do not let products that read fewer channels make up for it.
    #[arg(long, requires = "prune")]
    no_compensation: bool,
    /// Which channels of a group go first: obs, wanda, activation, apoz, l1, l2, fpgm, lamp, bn-scale, random.
    #[arg(long, requires = "prune", value_name = "NAME", default_value_t)]
    importance: Importance,
    /// Leave the groups of these nodes out: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, requires = "prune", value_name = "NODE", value_delimiter = ',')]
    ignore: Vec<NodeSelector>,
    /// What goes of an attention: whole heads, or places, the same rows of every head.
    #[arg(long, requires = "prune", value_enum, default_value = "heads")]
    attention: Attention,
    /// The recipe keeps this share of the multiply-accumulates, for the least loss.
    #[arg(long, requires = "prune", group = "goal", value_name = "SHARE", value_parser = share)]
    macs: Option<f64>,
    /// The recipe keeps this share of the parameters.
    #[arg(long, requires = "prune", group = "goal", value_name = "SHARE", value_parser = share)]
    parameters: Option<f64>,
    /// The recipe keeps this share of the bytes.
    #[arg(long, requires = "prune", group = "goal", value_name = "SHARE", value_parser = share)]
    bytes: Option<f64>,
    /// The recipe takes as much as loses at most this, before products are fitted. Default 0.01.
    #[arg(long, requires = "prune", group = "goal", value_name = "LOSS", value_parser = loss)]
    max_loss: Option<f64>,
    /// Write the recipe for `lapidary prune --keep`: what stays of every group.
    #[arg(long, requires = "prune", value_name = "FILE.json")]
    recipe: Option<PathBuf>,
}

/// A number above 0 and below 1.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.trim().parse().ok().filter(|&ratio| ratio > 0.0 && ratio < 1.0);
    ratio.ok_or_else(|| format!("`{text}` is no share above 0 and below 1"))
}

fn loss(text: &str) -> Result<f64, String> {
    let loss = text.trim().parse().ok().filter(|loss: &f64| *loss >= 0.0 && loss.is_finite());
    loss.ok_or_else(|| format!("`{text}` is no loss of at least 0"))
}

impl OfChannels {
    fn goal(&self) -> PruningGoal {
        let Self { macs, parameters, bytes, max_loss, .. } = *self;
        let of = |resource, share: Option<f64>| Some(Target { resource, share: share? });
        let target = of(Resource::Macs, macs)
            .or(of(Resource::Parameters, parameters))
            .or(of(Resource::Bytes, bytes));
        let goal = target.map(PruningGoal::Share).or(max_loss.map(PruningGoal::Loss));
        goal.unwrap_or_default()
    }
}

pub(super) fn run(
    original: &Model,
    path: &Path,
    data: &Data,
    options: &OfChannels,
    json: bool,
) -> Result<(), Error> {
    let data = data.read(original)?;
    let mut ratios = options.ratios.clone();
    ratios.sort_by(f64::total_cmp);
    ratios.dedup();
    let settings = SensitivityOptions {
        ratios,
        compensate: !options.no_compensation,
        labels: None,
        goal: options.goal(),
    };
    let choice = Options {
        ranking: Ranking { importance: options.importance, ..Ranking::default() },
        ignore: options.ignore.clone(),
        attention: options.attention.grain(),
        ..Options::default()
    };
    let progress = Progress::steps();
    let show = |what, done, all| progress.show(what, done, all);
    let found = lapidary::group_sensitivities(original, data.as_ref(), &choice, &settings, &show)?;
    drop(progress);
    let plan = match found.recipe {
        Some(Ok(plan)) => Some(plan),
        Some(Err(error)) if options.recipe.is_some() => return Err(Error::Carry(error)),
        _ => None,
    };
    let command = match (&options.recipe, &plan) {
        (Some(file), Some(plan)) => {
            lapidary::write_keep(file, original, &found.base, plan)?;
            let arguments: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
            Some(recipe::prune(&arguments, path, file))
        }
        _ => None,
    };
    let report = GroupSensitivityReport {
        found: &found.found,
        plan: plan.as_ref(),
        ratios: &settings.ratios,
        goal: settings.goal,
        on_data: data.is_some(),
        command,
    };
    render::group_sensitivity(&report, json);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parse(line: &str) -> Option<OfChannels> {
        match Cli::try_parse_from(line.split(' ')).ok()?.command {
            Command::Sensitivity(options) => Some(options.channels),
            _ => None,
        }
    }

    #[test]
    fn options_of_the_other_ranking_are_refused() {
        let found = parse("lapidary sensitivity m.onnx --prune --ratios 0.5,0.1 --macs 0.7");
        let found = found.expect("it is a command");
        assert_eq!(found.ratios, [0.5, 0.1]);
        let target = Target { resource: Resource::Macs, share: 0.7 };
        assert_eq!(found.goal(), PruningGoal::Share(target));
        let found = parse("lapidary sensitivity m.onnx --prune").expect("it is a command");
        assert_eq!((found.ratios.len(), found.goal()), (7, PruningGoal::default()));
        assert_eq!(found.attention, Attention::Heads);
        let found = parse("lapidary sensitivity m.onnx --prune --attention places");
        assert_eq!(found.expect("it is a command").attention, Attention::Places);
        for wrong in [
            "--macs 0.5",
            "--prune --weights int4",
            "--attention places",
            "--prune --attention rows",
            "--prune --accumulated",
            "--prune --method mse",
        ] {
            assert!(parse(&format!("lapidary sensitivity m.onnx {wrong}")).is_none(), "{wrong}");
        }
        assert!(parse("lapidary sensitivity m.onnx --data d.npz --weights int4").is_some());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(ratio("0.5"), Ok(0.5));
        assert!(ratio("0").is_err() && ratio("1").is_err() && ratio("x").is_err());
        assert_eq!(loss("0"), Ok(0.0));
        assert!(loss("-1").is_err() && loss("inf").is_err());
    }
}
