//! The program: parses, calls the library, renders.
mod cli;
mod commands;
mod render;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.json;
    if let Some(threads) = cli.threads {
        commands::set_threads(threads);
    }
    match commands::run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let code = error.exit_code();
            render::error(error, json);
            ExitCode::from(code)
        }
    }
}
