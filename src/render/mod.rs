//! What a person or a program reads: tables on standard output, talk on standard error.

/// Prints a line. Instead of the standard library's, which panics when nobody reads on, as behind `| head`.
macro_rules! println {
    () => { $crate::render::line(format_args!("")) };
    ($($argument:tt)*) => { $crate::render::line(format_args!($($argument)*)) };
}

mod blocks;
mod calibration;
mod diff;
mod factorization;
mod group_sensitivity;
mod inspect;
mod layers;
mod ledger;
mod light;
mod optimize;
mod passes;
mod plan;
mod progress;
mod pruning;
mod quantization;
mod road;
mod sensitivity;
mod sparsity;
mod verification;
mod verify;

pub(crate) use blocks::block_plan;
pub(crate) use calibration::{calibration, calibration_written};
pub(crate) use diff::diff;
pub(crate) use group_sensitivity::{GroupSensitivityReport, group_sensitivity};
pub(crate) use inspect::{inspect, text};
use layers::layers;
pub(crate) use light::{LightReport, Measured, light};
pub(crate) use optimize::{OptimizeReport, optimize};
pub(crate) use passes::{pass, passes};
pub(crate) use plan::prune_plan;
pub(crate) use progress::Progress;
pub(crate) use quantization::quantization;
pub(crate) use road::{Road, road};
pub(crate) use sensitivity::{Recipe, SensitivityReport, sensitivity};
pub(crate) use sparsity::Sparsity;
pub(crate) use verification::Verification;
pub(crate) use verify::verify;

use comfy_table::presets;
use comfy_table::{CellAlignment, Table};
use lapidary::{Cost, Error};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The version of the JSON reports; it grows when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// A report as JSON.
#[derive(Serialize)]
struct Envelope<'a, T> {
    schema_version: u32,
    command: &'a str,
    /// What was said on standard error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(flatten)]
    report: &'a T,
}

/// The warnings so far, for the report.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints a line; who does not read it does not want it.
fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a report as JSON.
fn json<T: Serialize>(command: &str, report: &T) {
    let warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let envelope = Envelope { schema_version: SCHEMA_VERSION, command, warnings, report };
    match serde_json::to_string_pretty(&envelope) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("error: the report can't be written as JSON: {error}"),
    }
}

/// Says, once, what the user should know although the work goes on.
pub(crate) fn warning(message: &str) {
    let mut warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    if !warnings.iter().any(|said| said == message) {
        eprintln!("warning: {message}");
        warnings.push(message.to_owned());
    }
}

#[derive(Serialize)]
struct ErrorReport {
    error: ErrorBody,
}

#[derive(Serialize)]
struct ErrorBody {
    code: String,
    message: String,
    causes: Vec<String>,
    help: Option<String>,
    exit_code: u8,
}

/// Prints an error: code, message, causes, remedy.
pub(crate) fn error(error: Error, as_json: bool) {
    use miette::Diagnostic;
    if as_json {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let body = ErrorBody {
            code: error.code().map(|code| code.to_string()).unwrap_or_default(),
            message: error.to_string(),
            causes,
            help: error.help().map(|help| help.to_string()),
            exit_code: error.exit_code(),
        };
        json("error", &ErrorReport { error: body });
        return;
    }
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    let mut text = String::new();
    let rendered = handler.with_width(100).render_report(&mut text, &error);
    match rendered {
        Ok(()) => eprint!("{text}"),
        Err(_) => eprintln!("error: {error}"),
    }
}

/// A table whose columns but the first are numbers.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|title| (*title).to_owned()));
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A count with thousands separated by spaces.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A change of a count, with its sign.
fn signed(change: i64) -> String {
    let sign = match change {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", grouped(change.unsigned_abs()))
}

/// The cells of what a model costs: nodes, parameters, bytes, MACs.
fn cost_cells(Cost { nodes, parameters, bytes, macs }: Cost) -> [String; 4] {
    [nodes as u64, parameters, bytes, macs].map(grouped)
}

/// A signal-to-noise ratio; without noise there is none.
fn decibels(ratio: Option<f64>, digits: usize) -> String {
    ratio.map_or_else(|| "equal".to_owned(), |db| format!("{db:.digits$} dB"))
}

/// A share in percent if it is known.
fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}

/// A share in percent.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
