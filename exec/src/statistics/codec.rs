//! Statistics as bytes: exact, compact, and the same for the same statistics.
//!
//! All integers are LEB128: seven bits per byte, the lowest first, the eighth bit set if more follow.
//!
//! | bytes | |
//! | --- | --- |
//! | NaN, +∞, −∞ | three counts |
//! | min, max | two `f32`, little-endian; 0 and 0 if there are no numbers |
//! | rows | their number, then per row: |
//! | · place | distance to the row before |
//! | · sums | of the fractions and of their squares |
//! | · bins | their number, then per bin the distance to the bin before and its count |
use super::{BINS, FRACTION, FRACTION_MASK, MANTISSA_BITS, NOT_FINITE, Row, Statistics};
use std::fmt;

/// The most numbers that statistics read from bytes may count, so that adding them up never overflows.
pub(crate) const MAX_COUNT: u64 = 1 << 56;

/// Why bytes are no statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsError {
    /// They end before the statistics do.
    Truncated,
    /// No numbers have these statistics.
    Impossible(&'static str),
}

impl std::error::Error for StatisticsError {}

impl fmt::Display for StatisticsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the statistics end too early"),
            Self::Impossible(what) => write!(f, "no numbers have such statistics: {what}"),
        }
    }
}

impl Statistics {
    /// Appends the statistics as bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        for count in [self.nans, self.positive_infinities, self.negative_infinities] {
            put(bytes, u128::from(count));
        }
        let (min, max) = self.range().unwrap_or_default();
        bytes.extend(min.to_le_bytes());
        bytes.extend(max.to_le_bytes());
        put(bytes, self.rows.iter().flatten().count() as u128);
        let mut next = 0;
        for (place, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            put(bytes, (place - next) as u128);
            next = place + 1;
            row.encode(bytes);
        }
    }

    /// Takes statistics from the front of bytes.
    ///
    /// # Errors
    /// When there are none: whatever is accepted could have been observed.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, StatisticsError> {
        let mut statistics = Self {
            nans: take_count(bytes)?,
            positive_infinities: take_count(bytes)?,
            negative_infinities: take_count(bytes)?,
            ..Self::default()
        };
        let (min, max) = (take_float(bytes)?, take_float(bytes)?);
        let rows = take(bytes)?;
        let mut next = 0;
        let mut total = 0u64;
        for _ in 0..rows {
            let place = take_place(bytes, next, 512)?;
            if place & 255 == NOT_FINITE {
                return Err(StatisticsError::Impossible("a row of infinities"));
            }
            let row = Row::decode(bytes)?;
            total += row.count();
            if total > MAX_COUNT {
                return Err(StatisticsError::Impossible("too many numbers"));
            }
            statistics.rows[place] = Some(Box::new(row));
            next = place + 1;
        }
        if total > 0 {
            (statistics.min, statistics.max) = (min, max);
        }
        let has_ends = match (statistics.bins().next(), statistics.bins().last()) {
            (Some(first), Some(last)) => {
                min <= max && is_in(min, first.lower) && is_in(max, last.lower)
            }
            _ => min.to_bits() == 0 && max.to_bits() == 0,
        };
        if has_ends { Ok(statistics) } else { Err(StatisticsError::Impossible("the ends")) }
    }
}

/// Whether a number lies in the bin with that lower edge.
fn is_in(number: f32, lower: f32) -> bool {
    if !number.is_finite() || number.to_bits() == (-0.0f32).to_bits() {
        return false;
    }
    let mut only = Statistics::default();
    only.update(&[number]);
    only.bins().next().is_some_and(|bin| bin.lower.to_bits() == lower.to_bits())
}

impl Row {
    fn encode(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.fractions);
        put(bytes, self.squares);
        put(bytes, self.bins.iter().filter(|&&count| count > 0).count() as u128);
        let mut next = 0;
        for (bin, &count) in self.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            put(bytes, (bin - next) as u128);
            put(bytes, u128::from(count));
            next = bin + 1;
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, StatisticsError> {
        let mut row = Self { fractions: take(bytes)?, squares: take(bytes)?, ..Self::default() };
        let bins = take(bytes)?;
        if bins == 0 {
            return Err(StatisticsError::Impossible("a row without numbers"));
        }
        let (mut next, mut total) = (0, 0u64);
        // What the sums are at least and at most, from the fractions at the edges of the bins.
        let mut fractions = (0u128, 0u128);
        let mut squares = (0u128, 0u128);
        for _ in 0..bins {
            let bin = take_place(bytes, next, BINS)?;
            let count = take_count(bytes)?;
            total += count;
            if count == 0 || total > MAX_COUNT {
                return Err(StatisticsError::Impossible("the count of a bin"));
            }
            row.bins[bin] = count;
            next = bin + 1;
            let width = FRACTION - MANTISSA_BITS;
            let least = (bin as u128) << width;
            let most = least + u128::from(FRACTION_MASK >> MANTISSA_BITS);
            let count = u128::from(count);
            fractions = (fractions.0 + count * least, fractions.1 + count * most);
            squares = (squares.0 + count * least * least, squares.1 + count * most * most);
        }
        let fits = (fractions.0..=fractions.1).contains(&row.fractions)
            && (squares.0..=squares.1).contains(&row.squares);
        if fits { Ok(row) } else { Err(StatisticsError::Impossible("the sums of a row")) }
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 128 {
        bytes.push((number % 128) as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u128, StatisticsError> {
    let mut number = 0u128;
    for shift in (0..126).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(StatisticsError::Truncated)?;
        *bytes = rest;
        number |= u128::from(byte % 128) << shift;
        if byte < 128 {
            let is_shortest = byte > 0 || shift == 0;
            return if is_shortest {
                Ok(number)
            } else {
                Err(StatisticsError::Impossible("an integer longer than it has to be"))
            };
        }
    }
    Err(StatisticsError::Impossible("an integer of more than 126 bits"))
}

fn take_count(bytes: &mut &[u8]) -> Result<u64, StatisticsError> {
    let count = u64::try_from(take(bytes)?).ok().filter(|&count| count <= MAX_COUNT);
    count.ok_or(StatisticsError::Impossible("too many numbers"))
}

/// The place that is so far behind `next`, below `bound`.
fn take_place(bytes: &mut &[u8], next: usize, bound: usize) -> Result<usize, StatisticsError> {
    let distance = usize::try_from(take(bytes)?).ok();
    let place = distance.and_then(|distance| next.checked_add(distance));
    place.filter(|&place| place < bound).ok_or(StatisticsError::Impossible("a place"))
}

fn take_float(bytes: &mut &[u8]) -> Result<f32, StatisticsError> {
    let (float, rest) = bytes.split_first_chunk().ok_or(StatisticsError::Truncated)?;
    *bytes = rest;
    Ok(f32::from_le_bytes(*float))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Statistic;
    use crate::random::Generator;

    fn of(data: &[f32]) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.update(data);
        statistics
    }

    fn encoded(statistics: &Statistics) -> Vec<u8> {
        let mut bytes = Vec::new();
        statistics.encode(&mut bytes);
        bytes
    }

    fn samples() -> Vec<Statistics> {
        let mut generator = Generator::new(3, "codec");
        let numbers: Vec<f32> = (0..3000)
            .map(|index| generator.normal() * [1.0, 1e-3, 1e5, 1e-30][index % 4])
            .collect();
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-42, -1e-42];
        vec![of(&numbers), of(&odd), of(&[]), of(&[0.0]), of(&[f32::NAN]), of(&[-2.0, -2.0])]
    }

    #[test]
    fn what_is_written_is_read() {
        for statistics in samples() {
            let mut bytes = encoded(&statistics);
            bytes.extend(b"rest");
            let mut rest = bytes.as_slice();
            assert_eq!(Statistics::decode(&mut rest), Ok(statistics));
            assert_eq!(rest, b"rest");
        }
    }

    #[test]
    fn a_beginning_is_refused() {
        for statistics in samples() {
            let bytes = encoded(&statistics);
            for end in 0..bytes.len() {
                assert_eq!(Statistics::decode(&mut &bytes[..end]), Err(StatisticsError::Truncated));
            }
        }
    }

    #[test]
    fn whatever_is_accepted_is_written_as_it_was_and_can_be_used() {
        let mut generator = Generator::new(9, "corruption");
        let (mut accepted, mut refused) = (0, 0);
        for statistics in samples() {
            let bytes = encoded(&statistics);
            for _ in 0..4000 {
                let mut changed = bytes.clone();
                for _ in 0..=generator.below(2) {
                    let place = generator.below(changed.len() as u64) as usize;
                    changed[place] = generator.below(256) as u8;
                }
                let mut rest = changed.as_slice();
                let Ok(mut found) = Statistics::decode(&mut rest) else {
                    refused += 1;
                    continue;
                };
                accepted += 1;
                let used = changed.len() - rest.len();
                assert_eq!(encoded(&found), &changed[..used]);
                found.merge(&statistics);
                let numbers = [found.mean(), found.variance()];
                assert!(numbers.iter().flatten().all(|number| number.is_finite()));
                assert!(found.quantile(0.999).is_none_or(f32::is_finite));
            }
        }
        assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
    }

    #[test]
    fn impossible_statistics_are_refused() {
        let bytes = encoded(&of(&[1.0]));
        // Counts of what is not finite, the ends, one row: its place, its sums, one bin.
        assert_eq!(bytes, [0, 0, 0, 0, 0, 128, 63, 0, 0, 128, 63, 1, 127, 0, 0, 1, 0, 1]);
        let with = |place: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[place] = byte;
            Statistics::decode(&mut changed.as_slice())
        };
        assert_eq!(with(12, 126), Err(StatisticsError::Impossible("the ends")));
        assert_eq!(with(15, 0), Err(StatisticsError::Impossible("a row without numbers")));
        assert_eq!(with(17, 0), Err(StatisticsError::Impossible("the count of a bin")));
        let mut huge = bytes.clone();
        huge.splice(17.., [255, 255, 255, 255, 255, 255, 255, 255, 127]);
        assert!(matches!(
            Statistics::decode(&mut huge.as_slice()),
            Err(StatisticsError::Impossible(_))
        ));
        let endless = [255u8; 64];
        assert_eq!(
            Statistics::decode(&mut endless.as_slice()),
            Err(StatisticsError::Impossible("an integer of more than 126 bits"))
        );
    }
}
