//! Which rank every site gets.
use super::budget::{OutOfReach, allocate};
use super::curve::{Point, Resource};
use super::decomposition::{Decomposition, pays};
use super::site::Site;
use rayon::prelude::*;

/// How ranks are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RankRule {
    /// The least that keeps this share of the squared singular values of every site.
    Energy(f64),
    /// The same for all.
    Rank(usize),
    /// The same share of the largest rank for all.
    Ratio(f64),
    /// The singular values above the noise, which empirical variational Bayes estimates.
    Evbmf,
    /// Such that this share of the parameters of all sites is left, with the least sum of relative errors.
    Parameters(f64),
    /// The same for multiply-accumulates.
    Macs(f64),
}

impl RankRule {
    /// An error of 1 % of what the sites compute.
    pub const DEFAULT: Self = Self::Energy(0.99);

    /// What is shared, if there is a budget.
    pub(super) fn budget(self) -> Option<(Resource, f64)> {
        match self {
            Self::Parameters(share) => Some((Resource::Parameters, share)),
            Self::Macs(share) => Some((Resource::Macs, share)),
            _ => None,
        }
    }
}

impl Default for RankRule {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The point of every site, or why it stays.
pub(super) fn choose(
    rule: RankRule,
    sites: &[(Site, Decomposition)],
) -> Result<Vec<Result<Point, String>>, OutOfReach> {
    let Some((resource, share)) = rule.budget() else {
        return Ok(sites.par_iter().map(|(site, found)| alone(rule, site, found)).collect());
    };
    let curves: Vec<_> =
        sites.par_iter().map(|(site, found)| found.curve(site, resource)).collect();
    let whole: Vec<u64> = match resource {
        Resource::Parameters => sites.iter().map(|(site, _)| site.parameters()).collect(),
        Resource::Macs => sites.iter().map(|(site, _)| site.macs()).collect(),
    };
    let chosen = allocate(&curves, &whole, share, resource)?;
    let reason = |curve: &Vec<Point>| match curve.is_empty() {
        true => "no rank makes it smaller",
        false => "the budget lets it stay whole",
    };
    let chosen = chosen.into_iter().zip(&curves);
    Ok(chosen.map(|(point, curve)| point.ok_or_else(|| reason(curve).to_owned())).collect())
}

/// The point of a site by itself.
fn alone(rule: RankRule, site: &Site, found: &Decomposition) -> Result<Point, String> {
    let at = |rank| {
        let point = found.at(site, rank);
        let reason = || format!("rank {rank} would not make it smaller");
        if pays(site, &point) { Ok(point) } else { Err(reason()) }
    };
    match rule {
        RankRule::Energy(share) => {
            let most = 1.0 - share + 1e-12;
            let curve = found.curve(site, Resource::Parameters);
            let kept = curve.into_iter().find(|point| point.discarded <= most);
            kept.ok_or_else(|| {
                format!("keeping {:.2} % of its energy would not make it smaller", 100.0 * share)
            })
        }
        RankRule::Rank(rank) => at(found.rank(rank)),
        RankRule::Ratio(share) => at(found.share(share)),
        RankRule::Evbmf => at(found.evbmf(site).ok_or("its singular values are all noise")?),
        RankRule::Parameters(_) | RankRule::Macs(_) => {
            unreachable!("a budget is for all sites together")
        }
    }
}
