//! Recurrent layers: the units whose state goes from step to step.
use super::site::Site;
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};

const STEPS: &str = "steps along the axis, or has a direction for each of its elements";

/// X of `[sequence, batch, input]`, W of `[directions, G · H, input]`, R of `[directions, G · H, H]`,
/// with G = 4 gates for `LSTM`, 3 for `GRU` and 1 for `RNN`, each a block of H rows:
///
/// gates(t) = X(t) · Wᵀ + H(t − 1) · Rᵀ + B, `[:, G · H]`; the state of unit h follows from its own
/// gates h, H + h, 2H + h, …, its own peepholes and its own old state.
///
/// So unit h is row h of every block of W, R, B (2G blocks) and P (3 blocks), column h of R, and
/// element h of the states, at the start and at the end. Activations, their bounds (`clip`), the
/// place of the reset gate (`linear_before_reset`) and `input_forget` are about single units. There
/// is one `hidden_size`, so all directions lose the same units; what a unit of one direction has to
/// do with the unit of the same number of another is only that.
///
/// A unit with rows of zeros stays 0 from a state of 0 on if its cell function does, as Tanh.
pub(super) fn recurrent(site: &mut Site<'_>, gates: usize) -> &'static str {
    layer(site, gates, false)
}

/// An `LSTM` with W of `[directions, input, 4 · H]`, R of `[directions, H, 4 · H]`, and a scale and a zero point
/// per column or per direction of each.
pub(super) fn quantized_lstm(site: &mut Site<'_>) -> &'static str {
    layer(site, 4, true)
}

/// A layer whose weights have the gates last if `transposed`.
fn layer(site: &mut Site<'_>, gates: usize, transposed: bool) -> &'static str {
    let why = "has weights whose shape is not known";
    let (Some((x, 3)), Some((w, 3)), Some((r, 3))) = (site.input(0), site.input(1), site.input(2))
    else {
        return why;
    };
    let (gate_axis, read_axis) = if transposed { (2, 1) } else { (1, 2) };
    let units = Axis::new(r, read_axis);
    let Some(hidden) = site.extent(units) else { return why };
    let declared = site.node().int("hidden_size");
    if declared.is_some_and(|declared| usize::try_from(declared) != Ok(hidden)) {
        return "has weights of another size than it says";
    }
    let blocks = |count: usize| Map::Digits {
        total: count * hidden,
        left: (1, count * hidden),
        right: (1, hidden),
    };
    let rows = [w, r].map(|weight| Axis::new(weight, gate_axis));
    if rows.iter().any(|&rows| site.extent(rows) != Some(gates * hidden)) {
        return why;
    }
    let lists = [(3, 2 * gates), (7, 3)].into_iter();
    let lists: Vec<(usize, usize)> =
        lists.chain((8..12).filter(|_| transposed).map(|slot| (slot, gates))).collect();
    let mut vectors = Vec::new();
    for (slot, count) in lists {
        let Some((vector, rank)) = site.input(slot) else { continue };
        // Scales may be one per direction.
        if rank == 1 && slot >= 8 {
            continue;
        }
        let vector = Axis::new(vector, 1);
        if rank != 2 || site.extent(vector) != Some(count * hidden) {
            return why;
        }
        vectors.push((vector, count));
    }
    site.consume(Axis::new(x, 2), Axis::new(w, read_axis));
    rows.into_iter().for_each(|rows| site.produce_by(rows, units, blocks(gates)));
    site.read_back(units);
    vectors.into_iter().for_each(|(vector, count)| site.tie_by(vector, units, blocks(count)));
    for slot in 5..7 {
        if let Some((state, 3)) = site.input(slot) {
            site.tie(Axis::new(state, 2), units);
        }
    }
    for slot in 0..site.node().outputs().len() {
        if let Some((output, rank @ 1..)) = site.output(slot) {
            site.tie(units, Axis::new(output, rank - 1));
        }
    }
    if declared.is_some() {
        site.count(Place::Int("hidden_size"), units, (0, hidden), 1);
    }
    STEPS
}
