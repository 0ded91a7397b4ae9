//! Scale and zero point of one block of numbers.
use super::grid::Grid;

/// How scales are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The grid just covers the numbers.
    Range,
    /// The squared error of the restored numbers is smallest among candidates.
    LeastError,
}

/// How a block is restored: x̂ = scale · (code − zero point).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The distance of neighbouring numbers, positive and normal.
    pub scale: f32,
    /// What stands for 0, one of the grid.
    pub zero_point: i16,
}

/// Candidate scales in parts of the one that covers the numbers, from 1 down to the last.
const CANDIDATES: usize = 9;

/// Times a scale is replaced by the best one for its codes.
const REFINEMENTS: usize = 4;

/// The smallest part of the covering scale that is worth trying: few codes are best spent on the many
/// small numbers.
fn least_part(grid: Grid) -> f32 {
    match grid.bits {
        2 => 0.25,
        4 => 0.6,
        _ => 1.0,
    }
}

impl Fit {
    /// The fit of a block of finite numbers.
    #[must_use]
    pub fn new(numbers: &[f32], grid: Grid, symmetric: bool, search: Search) -> Self {
        let covering = Self::covering(numbers, grid, symmetric);
        if search == Search::Range || numbers.iter().all(|&x| x == 0.0) {
            return covering;
        }
        covering.improved(numbers, grid, symmetric)
    }

    /// The smallest scale with which every number has a code, and the zero point that goes with it.
    ///
    /// Symmetric, z in the middle: s = max(max x / (q₊ − z), −min x / (z − q₋)).
    /// Else, over a range widened to include 0: s = (max − min) / (q₊ − q₋), z = q₋ + round(−min / s).
    fn covering(numbers: &[f32], grid: Grid, symmetric: bool) -> Self {
        let low = numbers.iter().fold(0.0f32, |low, &x| low.min(x));
        let high = numbers.iter().fold(0.0f32, |high, &x| high.max(x));
        let middle = grid.middle();
        if low == high {
            return Self { scale: 1.0, zero_point: middle };
        }
        if symmetric {
            let above = high / f32::from(grid.most - middle);
            let below = -low / f32::from(middle - grid.least);
            return Self { scale: normal(above.max(below)), zero_point: middle };
        }
        let steps = f32::from(grid.most - grid.least);
        let scale = normal(high / steps - low / steps);
        let zero_point = (-low / scale).round_ties_even().clamp(0.0, steps) as i16;
        Self { scale, zero_point: grid.least + zero_point }
    }

    /// The best of smaller scales and neighbouring zero points, then refined. The scale that is best
    /// for given codes minimizes Σ(x − s·d)², d = code − zero point: s = Σxd / Σd².
    fn improved(self, numbers: &[f32], grid: Grid, symmetric: bool) -> Self {
        let mut best = (self.error(numbers, grid), self);
        let mut offer = |fit: Self| {
            let error = fit.error(numbers, grid);
            if error < best.0 {
                best = (error, fit);
            }
        };
        let zero_points = if symmetric {
            self.zero_point..=self.zero_point
        } else {
            (self.zero_point - 1).max(grid.least)..=(self.zero_point + 1).min(grid.most)
        };
        let step = (1.0 - least_part(grid)) / (CANDIDATES - 1) as f32;
        let candidates = if step > 0.0 { CANDIDATES } else { 1 };
        for zero_point in zero_points {
            for candidate in 0..candidates {
                let scale = normal(self.scale * (1.0 - step * candidate as f32));
                offer(Self { scale, zero_point });
            }
        }
        let mut fit = best.1;
        for _ in 0..REFINEMENTS {
            let Some(refined) = fit.refined(numbers, grid) else { break };
            let error = refined.error(numbers, grid);
            if error >= best.0 {
                break;
            }
            best = (error, refined);
            fit = refined;
        }
        best.1
    }

    /// The same codes with the scale that is best for them; none if there is no positive one.
    fn refined(self, numbers: &[f32], grid: Grid) -> Option<Self> {
        let (mut product, mut square) = (0.0f64, 0.0f64);
        for &number in numbers {
            let distance = f64::from(self.code(number, grid) - self.zero_point);
            product += f64::from(number) * distance;
            square += distance * distance;
        }
        let scale = (product / square) as f32;
        (scale.is_normal() && scale > 0.0).then_some(Self { scale, ..self })
    }

    /// The code of a number: round(x / s) + z, ties to even, the nearest of the grid.
    #[must_use]
    pub fn code(self, number: f32, grid: Grid) -> i16 {
        let code = (number / self.scale).round_ties_even() + f32::from(self.zero_point);
        code.clamp(f32::from(grid.least), f32::from(grid.most)) as i16
    }

    /// The number a code stands for.
    #[must_use]
    pub fn restored(self, code: i16) -> f32 {
        self.scale * f32::from(code - self.zero_point)
    }

    /// Σ(x − x̂)².
    fn error(self, numbers: &[f32], grid: Grid) -> f64 {
        let difference = |&x: &f32| f64::from(x) - f64::from(self.restored(self.code(x, grid)));
        numbers.iter().map(|x| difference(x).powi(2)).sum()
    }
}

/// A scale that divides without overflow.
fn normal(scale: f32) -> f32 {
    scale.max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::ElemType;

    fn grid(elem_type: ElemType) -> Grid {
        Grid::of(elem_type).expect("it is an integer type")
    }

    #[test]
    fn a_symmetric_grid_covers_both_ends() {
        let fit = |numbers: &[f32], elem_type| {
            let fit = Fit::new(numbers, grid(elem_type), true, Search::Range);
            (fit.scale, fit.zero_point)
        };
        assert_eq!(fit(&[7.0, -8.0], ElemType::INT4), (1.0, 0));
        assert_eq!(fit(&[7.0, -16.0], ElemType::INT4), (2.0, 0));
        assert_eq!(fit(&[14.0, -8.0], ElemType::UINT4), (2.0, 8));
        assert_eq!(fit(&[3.0, -4.0], ElemType::INT2), (3.0, 0));
        assert_eq!(fit(&[0.0, 0.0], ElemType::UINT8), (1.0, 128));
    }

    #[test]
    fn an_asymmetric_grid_covers_the_range_and_zero() {
        let fit = |numbers: &[f32], elem_type| {
            let fit = Fit::new(numbers, grid(elem_type), false, Search::Range);
            (fit.scale, fit.zero_point)
        };
        assert_eq!(fit(&[-3.0, 12.0], ElemType::UINT4), (1.0, 3));
        assert_eq!(fit(&[-3.0, 12.0], ElemType::INT4), (1.0, -5));
        assert_eq!(fit(&[5.0, 30.0], ElemType::UINT4), (2.0, 0));
        assert_eq!(fit(&[-30.0, -5.0], ElemType::UINT4), (2.0, 15));
    }

    #[test]
    fn codes_are_rounded_to_even_and_clamped() {
        let fit = Fit { scale: 2.0, zero_point: 3 };
        let code = |x| fit.code(x, grid(ElemType::UINT4));
        assert_eq!([1.0, 3.0, -3.0, 100.0, -100.0].map(code), [3, 5, 1, 15, 0]);
        assert_eq!(fit.restored(5), 4.0);
    }

    #[test]
    fn the_best_scale_for_given_codes_is_a_ratio_of_sums() {
        let fit = Fit { scale: 1.0, zero_point: 0 };
        let refined = fit.refined(&[1.2, -2.4, 3.1], grid(ElemType::INT4));
        // Codes 1, −2 and 3: (1.2 + 4.8 + 9.3) / (1 + 4 + 9).
        assert_eq!(refined, Some(Fit { scale: (15.3f64 / 14.0) as f32, zero_point: 0 }));
        assert_eq!(fit.refined(&[0.1], grid(ElemType::INT4)), None);
    }

    /// Numbers of a fixed recurrence in [−1, 1), cubed to have tails.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0).powi(3)
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn a_search_is_never_worse_than_the_range() {
        let numbers = numbers(320);
        for elem_type in [ElemType::INT2, ElemType::UINT2, ElemType::INT4, ElemType::UINT8] {
            for symmetric in [true, false] {
                let grid = grid(elem_type);
                let error = |search| {
                    let blocks = numbers.chunks(32);
                    blocks.map(|b| Fit::new(b, grid, symmetric, search).error(b, grid)).sum::<f64>()
                };
                let (range, least) = (error(Search::Range), error(Search::LeastError));
                assert!(least <= range, "{elem_type} {symmetric}: {least} and {range}");
                if grid.bits < 8 {
                    assert!(least < 0.95 * range, "{elem_type} {symmetric}: {least} and {range}");
                }
            }
        }
    }

    #[test]
    fn tiny_and_huge_numbers_have_a_scale() {
        for numbers in [[1e-42f32, -1e-43], [f32::MAX, f32::MIN]] {
            for symmetric in [true, false] {
                let grid = grid(ElemType::INT4);
                let fit = Fit::new(&numbers, grid, symmetric, Search::LeastError);
                assert!(fit.scale.is_normal() && fit.scale > 0.0, "{fit:?}");
            }
        }
    }
}
