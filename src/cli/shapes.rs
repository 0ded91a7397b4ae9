//! Sizes for dimensions the model leaves open.
use clap::Args;

/// Sizes for dimensions the model leaves open.
#[derive(Debug, Args)]
pub(crate) struct Shapes {
    /// Fix the shape of an input, as in image:1,3,224,224; a single input needs no name. May be
    /// given several times.
    #[arg(
        long,
        value_name = "NAME:DIMS",
        value_parser = input_shape,
        aliases = ["input-shapes", "overwrite-input-shape"],
    )]
    pub(crate) input_shape: Vec<InputShape>,
    /// Fix a dimension the model names (a dim_param), everywhere. May be given several times.
    #[arg(long, value_name = "NAME=N", value_parser = fixed_dim)]
    pub(crate) dim: Vec<(String, i64)>,
}

/// The shape of an input, by name unless there is one input.
pub(crate) type InputShape = (Option<String>, std::sync::Arc<[i64]>);

/// `image:1,3,224,224`, also with `=`. Names may contain colons themselves.
fn input_shape(text: &str) -> Result<InputShape, String> {
    let (name, dims) = match text.rsplit_once([':', '=']) {
        Some((name, dims)) => (Some(name.to_owned()), dims),
        None => (None, text),
    };
    let sizes = dims.split(',').filter(|_| !dims.is_empty() || name.is_none());
    Ok((name.clone(), sizes.map(size).collect::<Result<_, _>>()?))
}

/// `batch=4`, also with `:`.
fn fixed_dim(text: &str) -> Result<(String, i64), String> {
    let (name, dim) = text.rsplit_once([':', '=']).ok_or("expected NAME=N")?;
    Ok((name.to_owned(), size(dim)?))
}

fn size(text: &str) -> Result<i64, String> {
    let size = text.trim().parse().ok().filter(|&size| size >= 0);
    size.ok_or_else(|| format!("`{text}` is no size of a dimension"))
}

#[cfg(test)]
mod tests {
    use super::{fixed_dim, input_shape};

    #[test]
    fn a_shape_stands_behind_the_last_colon() {
        let parse = |text| input_shape(text).map(|(name, dims)| (name, dims.to_vec()));
        assert_eq!(parse("image:0:1,3,8"), Ok((Some("image:0".to_owned()), vec![1, 3, 8])));
        assert_eq!(parse("image=2"), Ok((Some("image".to_owned()), vec![2])));
        assert_eq!(parse("1,3"), Ok((None, vec![1, 3])));
        assert_eq!(parse("scalar:"), Ok((Some("scalar".to_owned()), vec![])));
        assert!(parse("").is_err() && parse("x:1,").is_err() && parse("x:-1").is_err());
    }

    #[test]
    fn a_dimension_has_a_name_and_one_size() {
        assert_eq!(fixed_dim("past + 1=4"), Ok(("past + 1".to_owned(), 4)));
        assert!(fixed_dim("4").is_err() && fixed_dim("N=a").is_err());
    }
}
