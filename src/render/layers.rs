//! Where in a graph a changed model departs from the original.
use super::table;
use lapidary::LayerError;

/// Prints a line per value.
pub(crate) fn layers(errors: &[LayerError]) {
    let row = |error: &LayerError| {
        vec![
            error.value.clone(),
            error.op_type.clone(),
            error.sqnr_db.map_or_else(|| "equal".to_owned(), |db| format!("{db:.2} dB")),
            format!("{:.3e}", error.max_abs),
            error.cosine.map_or_else(|| "-".to_owned(), |cosine| format!("{cosine:.6}")),
        ]
    };
    let header = ["value", "operator", "SQNR", "max abs. error", "cosine"];
    println!("{}", table(&header, errors.iter().map(row).collect()));
}
