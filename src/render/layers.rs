//! Where in a graph a changed model departs from the original.
use super::{decibels, table};
use lapidary::LayerError;

/// Prints a line per value.
pub(crate) fn layers(errors: &[LayerError]) {
    let row = |error: &LayerError| {
        vec![
            error.value.clone(),
            error.op_type.clone(),
            decibels(error.sqnr_db, 2),
            format!("{:.3e}", error.max_abs),
            error.cosine.map_or_else(|| "-".to_owned(), |cosine| format!("{cosine:.6}")),
        ]
    };
    let header = ["value", "operator", "SQNR", "max abs. error", "cosine"];
    println!("{}", table(&header, errors.iter().map(row).collect()));
}
