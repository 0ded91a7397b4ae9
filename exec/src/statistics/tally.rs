//! Counting many numbers at a time.
use super::{BINS, FRACTION, FRACTION_MASK, MANTISSA_BITS, Row};
use std::cell::RefCell;

/// From so many numbers on, a tally is faster than rows one by one.
pub(super) const WORTHWHILE: usize = 4096;

/// Neighbours often fall into the same place, and a place has to be written before it can be read
/// again: so neighbours get different ones.
const LANES: usize = 4;

const ROWS: usize = 512;
const SHIFT: u32 = FRACTION - MANTISSA_BITS;

/// Counts and sums of up to 2¹⁸ finite numbers.
struct Tally {
    /// By the bits of sign, exponent and first of the mantissa; in two lanes.
    counts: [Box<[u32; ROWS * BINS]>; 2],
    /// By sign and exponent, the sums of fractions and of their squares.
    sums: Box<[[(u64, u64); ROWS]; LANES]>,
    /// Whether there is anything of a sign and exponent.
    occurs: Box<[bool; ROWS]>,
}

thread_local! {
    /// Empty whenever nobody uses it.
    static TALLY: RefCell<Tally> = RefCell::new(Tally::default());
}

impl Default for Tally {
    fn default() -> Self {
        let zeros = || Box::<[u32]>::from(vec![0; ROWS * BINS]).try_into();
        let zeros = || zeros().expect("the length is that of the array");
        Self {
            counts: [zeros(), zeros()],
            sums: Box::new([[(0, 0); ROWS]; LANES]),
            occurs: Box::new([false; ROWS]),
        }
    }
}

/// Adds finite numbers, at most 2¹⁸, to the rows of their signs and exponents.
pub(super) fn add(rows: &mut [Option<Box<Row>>; ROWS], numbers: &[f32]) {
    TALLY.with_borrow_mut(|tally| {
        let (chunks, rest) = numbers.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &number) in chunk.iter().enumerate() {
                tally.add(lane, number);
            }
        }
        rest.iter().for_each(|&number| tally.add(0, number));
        tally.settle(rows);
    });
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, lane: usize, number: f32) {
        // −0 + 0 = 0, and nothing else changes.
        let bits = (number + 0.0).to_bits();
        let row = (bits >> FRACTION) as usize;
        self.counts[lane % 2][(bits >> SHIFT) as usize] += 1;
        self.occurs[row] = true;
        let fraction = u64::from(bits & FRACTION_MASK);
        let (fractions, squares) = &mut self.sums[lane % LANES][row];
        *fractions += fraction;
        *squares += fraction * fraction;
    }

    /// Moves everything to the rows.
    fn settle(&mut self, rows: &mut [Option<Box<Row>>; ROWS]) {
        for (place, row) in rows.iter_mut().enumerate() {
            if !std::mem::take(&mut self.occurs[place]) {
                continue;
            }
            let row = row.get_or_insert_default();
            for counts in &mut self.counts {
                let counts = &mut counts[place * BINS..(place + 1) * BINS];
                for (bin, count) in row.bins.iter_mut().zip(counts) {
                    *bin += u64::from(std::mem::take(count));
                }
            }
            for sums in self.sums.iter_mut() {
                let (fractions, squares) = std::mem::take(&mut sums[place]);
                row.fractions += u128::from(fractions);
                row.squares += u128::from(squares);
            }
        }
    }
}
