//! Numbers of known distributions.
use lapidary_exec::ValueStatistics;

/// The statistics of one sample.
pub(super) fn of(data: &[f32]) -> ValueStatistics {
    let mut statistics = ValueStatistics::default();
    statistics.update(data);
    statistics
}

/// The middles of `count` equally likely parts of \[0, 1\].
fn shares(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |index| (index as f64 + 0.5) / count as f64)
}

/// Quantiles of the Laplace distribution: with density exp(−|x − μ| / b) / 2b.
pub(super) fn laplace(count: usize, mean: f64, scale: f64) -> Vec<f32> {
    let quantile = |share: f64| {
        let centred = share - 0.5;
        mean - scale * centred.signum() * (1.0 - 2.0 * centred.abs()).ln()
    };
    shares(count).map(|share| quantile(share) as f32).collect()
}

/// What Relu leaves of the Laplace distribution around 0.
pub(super) fn rectified(count: usize, scale: f64) -> Vec<f32> {
    laplace(count, 0.0, scale).into_iter().map(|number| number.max(0.0)).collect()
}

/// Quantiles of the normal distribution, by bisection of its integral.
pub(super) fn gauss(count: usize, mean: f64, deviation: f64) -> Vec<f32> {
    const STEP: f64 = 1e-4;
    let (mut place, mut below) = (-8.0, 0.0);
    let mut numbers = Vec::with_capacity(count);
    for share in shares(count) {
        while below < share {
            place += STEP;
            let middle: f64 = place - STEP / 2.0;
            below += STEP * (-middle * middle / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        }
        numbers.push((mean + deviation * place) as f32);
    }
    numbers
}
