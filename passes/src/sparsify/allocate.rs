//! One threshold over all weights.

/// How many cells of each layer go, if `share` of all go and at most `most` of each.
///
/// A score counts relative to what is left in its layer once everything below it went (Lee et al. 2021, "Layer-adaptive
/// sparsity for the magnitude-based pruning"), for scores s that add up, such as squares:
///
/// sᵢ / Σ { sⱼ : sⱼ ≥ sᵢ }.
pub(super) fn removed(layers: &[Vec<f64>], share: f64, most: f64) -> Vec<usize> {
    let mut all: Vec<(f64, usize)> = Vec::new();
    for (layer, scores) in layers.iter().enumerate() {
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut left: f64 = sorted.iter().rev().sum();
        for score in sorted {
            all.push((if left > 0.0 { score / left } else { 0.0 }, layer));
            left -= score;
        }
    }
    let target = (share * all.len() as f64).round() as usize;
    let limits: Vec<usize> =
        layers.iter().map(|scores| (most * scores.len() as f64).floor() as usize).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut removed = vec![0; layers.len()];
    let mut left = target;
    for (_, layer) in all {
        if left == 0 {
            break;
        }
        if removed[layer] < limits[layer] {
            removed[layer] += 1;
            left -= 1;
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::removed;

    #[test]
    fn scores_are_relative_to_what_is_left() {
        // Relative: 1/10, 2/9, 3/7, 1 and 1/31, 10/30, 20/20; of seven, four go.
        let layers = [vec![4.0, 1.0, 3.0, 2.0], vec![100.0, 1000.0, 2000.0]];
        assert_eq!(removed(&layers, 4.0 / 7.0, 1.0), [2, 2]);
        assert_eq!(removed(&layers, 5.0 / 7.0, 1.0), [3, 2]);
        assert_eq!(removed(&layers, 0.0, 1.0), [0, 0]);
    }

    #[test]
    fn no_layer_loses_more_than_the_most() {
        let layers = [vec![1.0; 10], vec![1.0; 4]];
        assert_eq!(removed(&layers, 0.5, 1.0).iter().sum::<usize>(), 7);
        assert_eq!(removed(&layers, 0.5, 0.5), [5, 2]);
        let uneven = [vec![1e-9, 1e-9, 1e-9, 1.0], vec![1.0; 4]];
        assert_eq!(removed(&uneven, 0.5, 0.5), [2, 2]);
    }
}
