//! Quantization: scale and zero point are one value, or one per channel.
use super::site::Site;
use crate::prune::elements::Axis;

/// x, y and a per-axis scale run along the same channels. Scales of blocks have the axes of x, one of
/// them in blocks, which has to stay.
pub(super) fn linear(site: &mut Site<'_>) -> &'static str {
    let why = "has scales of blocks";
    let (Some((x, rank)), Some((y, _))) = (site.input(0), site.output(0)) else { return why };
    let axis = site.axis(1, rank);
    if site.node().int("block_size").unwrap_or(0) != 0 {
        let Some(blocks) = axis else { return why };
        for slot in 1..3 {
            if let Some((scale, own)) = site.input(slot)
                && own == rank
            {
                site.tie_all(scale, x, rank, &[blocks]);
            }
        }
        site.tie_all(x, y, rank, &[blocks]);
        return why;
    }
    for slot in 1..3 {
        match (site.input(slot), axis) {
            (Some((scale, 1)), _) if site.extent(Axis::new(scale, 0)) == Some(1) => {}
            (Some((scale, 1)), Some(axis)) => site.ride(Axis::new(scale, 0), Axis::new(x, axis)),
            _ => {}
        }
    }
    site.tie_all(x, y, rank, &[]);
    why
}
