//! Which residual blocks go.
use clap::Args;
use lapidary::passes::prune::compensated::BlockChoice;

/// Which residual blocks go.
#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// Remove whole residual blocks, x + f(x), before any channels: so many, those that the outputs lose least
    /// without, or those of these names, which `--plan --blocks 1` shows. What stands before and behind is fitted to
    /// make up for them, on the samples of --data. Without an amount of channels no channels go.
    #[arg(long, value_name = "N|NAME,…", value_parser = blocks, conflicts_with_all = ["no_optimize", "write_keep"])]
    pub(crate) blocks: Option<BlockChoice>,
}

/// `2`, or `layer1.1,layer3.0`.
fn blocks(text: &str) -> Result<BlockChoice, String> {
    match text.trim().parse() {
        Ok(0) => return Err("no blocks are to go: leave --blocks out".to_owned()),
        Ok(count) => return Ok(BlockChoice::Count(count)),
        Err(_) => {}
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().any(String::is_empty) {
        true => Err(format!("`{text}` has an empty name")),
        false => Ok(BlockChoice::Names(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_or_named() {
        assert_eq!(blocks("2"), Ok(BlockChoice::Count(2)));
        let names = vec!["/l/l.1".to_owned(), "b".to_owned()];
        assert_eq!(blocks("/l/l.1, b"), Ok(BlockChoice::Names(names)));
        assert!(blocks("0").is_err() && blocks("a,").is_err() && blocks("").is_err());
    }
}
