//! The arguments of `lapidary calibrate`.
use super::{Output, Reading};
use crate::commands::Data;
use clap::Args;
use std::path::PathBuf;

/// `lapidary calibrate`
#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// The model.
    #[arg(value_name = "MODEL.onnx", required_unless_present = "merge")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Take only part I of N of the samples; the parts merged are the same as all at once.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(usize, usize)>,
    /// Merge files of statistics of one model instead of running it.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["model", "data", "shard"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Run the model as it is, without optimizing it before, for `quantize --no-optimize`.
    #[arg(long)]
    pub(crate) no_optimize: bool,
}

/// `2/8`.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let shard = numbers.filter(|&(shard, shards)| shard >= 1 && shard <= shards);
    shard.ok_or_else(|| format!("`{text}` is no part such as 1/4 to 4/4"))
}

#[cfg(test)]
mod tests {
    use super::shard;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!(shard("2/8"), Ok((2, 8)));
        for wrong in ["0/2", "3/2", "1", "a/b", "1/0"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn statistics_are_calibrated_or_merged() {
        let parse = |text: &str| Cli::try_parse_from(text.split(' '));
        let merged = parse("lapidary calibrate --merge a b -o c").map(|cli| cli.command);
        let Ok(Command::Calibrate(merged)) = merged else { panic!("{merged:?}") };
        assert!(merged.model.is_none() && merged.merge.len() == 2);
        let run = parse("lapidary calibrate m.onnx --data d.npz --shard 1/2 --limit 3 -o c");
        let run = run.map(|cli| cli.command);
        let Ok(Command::Calibrate(run)) = run else { panic!("{run:?}") };
        assert!(run.model.is_some() && run.merge.is_empty());
        assert_eq!((run.shard, run.data.samples), (Some((1, 2)), Some(3)));
        assert!(parse("lapidary calibrate m.onnx --merge a b -o c").is_err());
        assert!(parse("lapidary calibrate --data d.npz -o c").is_err());
    }
}
