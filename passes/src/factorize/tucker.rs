//! Tucker-2 decomposition of a convolution: channels before and behind the kernel.
//!
//! W\[n, c, t\] ≈ Σ over b, a of V\[n, b\] · S\[b, a, t\] · U\[c, a\], with the eigenvectors of both unfoldings of W in the
//! columns of U and V (De Lathauwer, De Moor and Vandewalle 2000; Kim et al. 2016). They are orthonormal, so what is
//! lost at ranks (a, b) is exactly the energy of the full core outside of its first b × a slices.
use super::curve::Rank;
use super::site::Site;
use super::spectrum::eigen;
use ndarray::{Array2, Array3, s};

/// A decomposition at all ranks.
#[derive(Clone, Debug)]
pub(super) struct Tucker {
    /// C × C.
    inputs: Array2<f64>,
    /// N × N.
    outputs: Array2<f64>,
    /// The energy of the first b × a slices of the core as a share of all, (N + 1) × (C + 1).
    kept: Array2<f64>,
    /// The squared singular values of the unfoldings: channels of the input, of the output.
    pub(super) energies: [Vec<f64>; 2],
}

impl Tucker {
    /// None if the singular vectors are not found.
    pub(super) fn new(site: &Site) -> Option<Self> {
        let (outputs, channels, taps) = (site.dims[0], site.dims[1], site.taps());
        // Both unfoldings with their channels as columns, so that these are projected on.
        let by_input = Array2::from_shape_fn((outputs * taps, channels), |(row, c)| {
            site.weight_at(row / taps, c, row % taps)
        });
        let input = basis(&by_input)?;
        let output = basis(&site.matrix())?;
        let core = core(site, &input.0, &output.0);
        let mut kept = Array2::zeros((outputs + 1, channels + 1));
        for b in 0..outputs {
            let mut row = 0.0;
            for a in 0..channels {
                let slice = core.slice(s![b, a, ..]);
                row += slice.dot(&slice);
                kept[(b + 1, a + 1)] = kept[(b, a + 1)] + row;
            }
        }
        let total = kept[(outputs, channels)];
        if total > 0.0 {
            kept /= total;
        }
        Some(Self { inputs: input.0, outputs: output.0, kept, energies: [input.1, output.1] })
    }

    /// The ranks there are: C and N.
    pub(super) fn full(&self) -> (usize, usize) {
        (self.inputs.ncols(), self.outputs.ncols())
    }

    /// The share of the energy that is lost.
    pub(super) fn discarded(&self, inputs: usize, outputs: usize) -> f64 {
        (1.0 - self.kept[(outputs, inputs)]).max(0.0)
    }

    /// U (C × a), S (b × a × taps) and V (N × b).
    pub(super) fn factors(
        &self,
        site: &Site,
        inputs: usize,
        outputs: usize,
    ) -> (Array2<f64>, Array3<f64>, Array2<f64>) {
        let before = self.inputs.slice(s![.., ..inputs]).to_owned();
        let behind = self.outputs.slice(s![.., ..outputs]).to_owned();
        let core = core(site, &before, &behind);
        (before, core, behind)
    }

    /// The largest rank of each mode that is asked for, where a mode has so many.
    pub(super) fn rank(&self, inputs: usize, outputs: usize) -> Rank {
        let (channels, results) = self.full();
        Rank::Two { inputs: inputs.clamp(1, channels), outputs: outputs.clamp(1, results) }
    }
}

/// The right singular vectors of a matrix as columns, all of them, and the squared singular values.
fn basis(matrix: &Array2<f64>) -> Option<(Array2<f64>, Vec<f64>)> {
    let (energies, vectors) = eigen(&matrix.t().dot(matrix))?;
    Some((vectors, energies))
}

/// S\[b, a, t\] = Σ over n, c of V\[n, b\] · W\[n, c, t\] · U\[c, a\].
fn core(site: &Site, inputs: &Array2<f64>, outputs: &Array2<f64>) -> Array3<f64> {
    let (channels, taps) = (site.dims[1], site.taps());
    let (a, b) = (inputs.ncols(), outputs.ncols());
    // Rows (c, t) of the results projected on V.
    let projected = site.matrix().dot(outputs);
    let mut core = Array3::zeros((b, a, taps));
    for tap in 0..taps {
        let rows = Array2::from_shape_fn((channels, b), |(c, b)| projected[(c * taps + tap, b)]);
        core.slice_mut(s![.., .., tap]).assign(&rows.t().dot(inputs));
    }
    core
}
