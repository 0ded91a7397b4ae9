//! What becomes of a site at every rank, for all splits.
use super::curve::{Point, Rank, Resource, frontier};
use super::evbmf;
use super::factors::Factors;
use super::site::{Site, Split};
use super::spectrum::Spectrum;
use super::tucker::Tucker;
use ndarray::Array2;

/// A site, decomposed.
#[derive(Clone, Debug)]
pub(super) enum Decomposition {
    Matrix(Spectrum),
    Spatial(Spectrum),
    Tucker(Box<Tucker>),
}

impl Decomposition {
    /// In the norm of the results where their second moment is given, else in that of the weights. None if the
    /// singular vectors are not found.
    pub(super) fn new(site: &Site, moment: Option<(&Array2<f64>, f64)>) -> Option<Self> {
        match site.split {
            Split::Spatial => Spectrum::plain(site.spatial_matrix().view()).map(Self::Spatial),
            Split::Tucker => Tucker::new(site).map(|tucker| Self::Tucker(Box::new(tucker))),
            Split::Matrix => {
                let matrix = site.matrix();
                let found = match moment {
                    Some((moment, ridge)) => Spectrum::whitened(matrix.view(), moment, ridge),
                    None => Spectrum::plain(matrix.view()),
                };
                found.map(Self::Matrix)
            }
        }
    }

    /// What the site costs and loses at a rank.
    ///
    /// | split | parameters |
    /// | --- | --- |
    /// | matrix | r (K + N) |
    /// | spatial | r (C k₁ + N k₂) |
    /// | Tucker | C a + a b k₁ k₂ + b N |
    ///
    /// Multiply-accumulates are the parameters of each factor times the places of its output.
    fn point(&self, site: &Site, rank: Rank, discarded: f64) -> Point {
        let (inputs, outputs) = (site.inputs() as u64, site.outputs() as u64);
        let parts: [(u64, u64); 3] = match (self, rank) {
            (Self::Spatial(_), Rank::One(rank)) => {
                let [_, channels, height, width] = site.dims[..] else {
                    unreachable!("a spatial site has two axes")
                };
                let first = (rank * channels * height) as u64;
                [
                    (first, site.between),
                    (rank as u64 * outputs * width as u64, site.positions),
                    (0, 0),
                ]
            }
            (_, Rank::One(rank)) => {
                [(rank as u64 * (inputs + outputs), site.positions), (0, 0), (0, 0)]
            }
            (_, Rank::Two { inputs: a, outputs: b }) => [
                ((site.dims[1] * a) as u64, site.places),
                ((a * b * site.taps()) as u64, site.positions),
                (b as u64 * outputs, site.positions),
            ],
        };
        let parameters = parts.iter().map(|(parameters, _)| parameters).sum();
        let macs = parts.iter().map(|(parameters, places)| parameters * places).sum();
        Point { rank, parameters, macs, discarded }
    }

    /// The point of one rank.
    pub(super) fn at(&self, site: &Site, rank: Rank) -> Point {
        let discarded = match (self, rank) {
            (Self::Matrix(spectrum) | Self::Spatial(spectrum), Rank::One(rank)) => {
                spectrum.discarded().get(rank).copied().unwrap_or(0.0)
            }
            (Self::Tucker(tucker), Rank::Two { inputs, outputs }) => {
                tucker.discarded(inputs, outputs)
            }
            _ => unreachable!("the rank is one of this decomposition"),
        };
        self.point(site, rank, discarded)
    }

    /// The best points at which a site is smaller and faster than it is, from the cheapest on.
    pub(super) fn curve(&self, site: &Site, resource: Resource) -> Vec<Point> {
        let points: Vec<Point> = match self {
            Self::Matrix(spectrum) | Self::Spatial(spectrum) => {
                let discarded = spectrum.discarded().into_iter().enumerate().skip(1);
                discarded.map(|(rank, lost)| self.point(site, Rank::One(rank), lost)).collect()
            }
            Self::Tucker(tucker) => {
                let (channels, results) = tucker.full();
                let ranks = (1..=channels).flat_map(|a| (1..=results).map(move |b| (a, b)));
                ranks
                    .map(|(a, b)| {
                        let rank = Rank::Two { inputs: a, outputs: b };
                        self.point(site, rank, tucker.discarded(a, b))
                    })
                    .collect()
            }
        };
        let pays = |point: &Point| pays(site, point);
        frontier(points.into_iter().filter(pays).collect(), resource)
    }

    /// The rank that is asked for, of every mode that has so much.
    pub(super) fn rank(&self, rank: usize) -> Rank {
        match self {
            Self::Matrix(spectrum) | Self::Spatial(spectrum) => {
                Rank::One(rank.clamp(1, spectrum.full()))
            }
            Self::Tucker(tucker) => tucker.rank(rank, rank),
        }
    }

    /// A share of the full rank of every mode, rounded up.
    pub(super) fn share(&self, share: f64) -> Rank {
        let part = |full: usize| (share * full as f64).ceil() as usize;
        match self {
            Self::Matrix(spectrum) | Self::Spatial(spectrum) => self.rank(part(spectrum.full())),
            Self::Tucker(tucker) => {
                let (inputs, outputs) = tucker.full();
                tucker.rank(part(inputs), part(outputs))
            }
        }
    }

    /// The rank above the noise of the weights, whatever the norm of the decomposition; none if there is none.
    pub(super) fn evbmf(&self, site: &Site) -> Option<Rank> {
        let found = |matrix: Array2<f64>| {
            let spectrum = Spectrum::plain(matrix.view())?;
            let rank = evbmf::rank(&spectrum.energies, matrix.nrows(), matrix.ncols());
            (rank > 0).then_some(Rank::One(rank))
        };
        match self {
            Self::Matrix(_) => found(site.matrix()),
            Self::Spatial(_) => found(site.spatial_matrix()),
            Self::Tucker(tucker) => {
                let (channels, results) = tucker.full();
                let taps = site.taps();
                let [inputs, outputs] = &tucker.energies;
                // A mode has at most as many singular values as the other side of its unfolding.
                let rank = |energies: &[f64], mode: usize, others: usize| {
                    evbmf::rank(&energies[..mode.min(others)], mode, others)
                };
                let inputs = rank(inputs, channels, results * taps);
                let outputs = rank(outputs, results, channels * taps);
                (inputs > 0 && outputs > 0).then_some(Rank::Two { inputs, outputs })
            }
        }
    }

    /// What the weights become.
    pub(super) fn factors(&self, site: &Site, rank: Rank) -> Factors {
        match (self, rank) {
            (Self::Matrix(spectrum), Rank::One(rank)) => {
                let (first, second) = spectrum.factors(site.matrix().view(), rank);
                Factors::of_matrix(site, &first, &second)
            }
            (Self::Spatial(spectrum), Rank::One(rank)) => {
                let (first, second) = spectrum.factors(site.spatial_matrix().view(), rank);
                Factors::of_axes(site, &first, &second)
            }
            (Self::Tucker(tucker), Rank::Two { inputs, outputs }) => {
                let (before, core, behind) = tucker.factors(site, inputs, outputs);
                Factors::of_tucker(site, &before, &core, &behind)
            }
            _ => unreachable!("the rank is one of this decomposition"),
        }
    }
}

/// Whether a site gets smaller and does not get slower.
pub(super) fn pays(site: &Site, point: &Point) -> bool {
    point.parameters < site.parameters() && point.macs < site.macs()
}
