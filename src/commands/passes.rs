//! `lapidary passes`
use crate::cli::Passes;
use crate::render;
use lapidary::Error;

pub(crate) fn run(options: &Passes, json: bool) -> Result<(), Error> {
    let Some(name) = &options.name else {
        render::passes(json);
        return Ok(());
    };
    let Some(pass) = lapidary::passes::find(name) else {
        return Err(Error::Usage {
            problem: format!("there is no pass `{name}`"),
            help: "`lapidary passes` lists them".to_owned(),
        });
    };
    render::pass(pass.info(), json);
    Ok(())
}
