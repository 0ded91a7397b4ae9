//! Which positions are looked at.

/// At most `count` of `positions` positions, increasing: one of every stratum of equal length, chosen by a hash
/// of the seed and the stratum.
pub(crate) fn positions(positions: usize, count: usize, seed: u64) -> Vec<usize> {
    if positions <= count {
        return (0..positions).collect();
    }
    let pick = |stratum: usize| {
        let (start, end) = (stratum * positions / count, (stratum + 1) * positions / count);
        start + (hash(seed ^ hash(stratum as u64)) % (end - start) as u64) as usize
    };
    (0..count).map(pick).collect()
}

/// The finalizer of splitmix64 (Steele, Lea and Flood 2014).
fn hash(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn all_positions_are_taken_if_they_are_few() {
        assert_eq!(positions(3, 4, 7), [0, 1, 2]);
    }

    #[test]
    fn one_of_every_stratum_is_taken() {
        let taken = positions(1000, 10, 7);
        assert_eq!(taken.len(), 10);
        assert!(taken.iter().enumerate().all(|(stratum, &at)| at / 100 == stratum));
        assert_eq!(taken, positions(1000, 10, 7));
        assert_ne!(taken, positions(1000, 10, 8));
    }
}
