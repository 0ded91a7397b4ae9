//! Resizing as Pillow's `Image.resize` does it, bit for bit.
//!
//! An output pixel `o` of an axis of `m` pixels, made of `n`, has its centre at `c = (o + 1/2) n/m`. With
//! the filter `f` of support `s`, stretched by `t = max(n/m, 1)` so that shrinking does not alias, the weight
//! of pixel `i` is `f((i + 1/2 - c) / t)`, divided by the sum of the weights; `i` runs over the pixels between
//! `c - s t` and `c + s t`, both rounded. Weights are rounded to 22 bits behind the point. The rows are
//! resized first, then the columns, with 8 bits between.
use super::pixels::Pixels;

/// How a pixel between pixels is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// The pixel that lies there.
    Nearest,
    /// Triangle filter: `f(x) = 1 - |x|` up to 1.
    #[default]
    Bilinear,
    /// Keys' cubic convolution with `a = -1/2`, up to 2.
    Bicubic,
}

/// Bits behind the point of a weight.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes to `height` x `width` pixels, each at least 1.
#[must_use]
pub(crate) fn resize(
    image: &Pixels,
    height: usize,
    width: usize,
    interpolation: Interpolation,
) -> Pixels {
    if (height, width) == (image.height, image.width) {
        return image.clone();
    }
    match interpolation {
        Interpolation::Nearest => nearest(image, height, width),
        Interpolation::Bilinear => separable(image, height, width, &TRIANGLE),
        Interpolation::Bicubic => separable(image, height, width, &CUBIC),
    }
}

struct Filter {
    support: f64,
    weight: fn(f64) -> f64,
}

const TRIANGLE: Filter = Filter { support: 1.0, weight: |x| (1.0 - x.abs()).max(0.0) };

/// `f(x) = (a + 2)|x|^3 - (a + 3)|x|^2 + 1` below 1, `a(|x|^3 - 5|x|^2 + 8|x| - 4)` below 2.
const CUBIC: Filter = Filter {
    support: 2.0,
    weight: |x| {
        const A: f64 = -0.5;
        let x = x.abs();
        if x < 1.0 {
            ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            (((x - 5.0) * x + 8.0) * x - 4.0) * A
        } else {
            0.0
        }
    },
};

/// The pixels one output pixel is made of.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// The window of every output pixel of an axis.
fn windows(from: usize, to: usize, filter: &Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support * stretch;
    let window = |pixel: usize| {
        let centre = (pixel as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight =
            |index: usize| (filter.weight)((index as f64 - centre + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let share = if sum == 0.0 { *weight } else { weight / sum };
            (share * f64::from(1u32 << PRECISION)).round() as i32
        };
        Window { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(window).collect()
}

/// The weighted sum of bytes, rounded and cut to a byte.
fn blend(weights: &[i32], bytes: impl Iterator<Item = u8>) -> u8 {
    let half = 1 << (PRECISION - 1);
    let sum = weights.iter().zip(bytes).fold(half, |sum, (w, byte)| sum + w * i32::from(byte));
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn separable(image: &Pixels, height: usize, width: usize, filter: &Filter) -> Pixels {
    let wide = if width == image.width { image.clone() } else { rows(image, width, filter) };
    if height == wide.height { wide } else { columns(&wide, height, filter) }
}

fn rows(image: &Pixels, width: usize, filter: &Filter) -> Pixels {
    let (channels, windows) = (image.channels, windows(image.width, width, filter));
    let mut data = Vec::with_capacity(image.height * width * channels);
    for row in image.data.chunks_exact(image.width * channels) {
        for Window { first, weights } in &windows {
            for channel in 0..channels {
                let bytes = row[first * channels + channel..].iter().step_by(channels).copied();
                data.push(blend(weights, bytes));
            }
        }
    }
    Pixels { height: image.height, width, channels, data }
}

fn columns(image: &Pixels, height: usize, filter: &Filter) -> Pixels {
    let stride = image.width * image.channels;
    let mut data = Vec::with_capacity(height * stride);
    for Window { first, weights } in windows(image.height, height, filter) {
        let above = &image.data[first * stride..];
        let column = |x: usize| blend(&weights, above[x..].iter().step_by(stride).copied());
        data.extend((0..stride).map(column));
    }
    Pixels { height, width: image.width, channels: image.channels, data }
}

/// Output pixel `o` is pixel `floor((o + 1/2) n/m)`, the argument summed step by step.
fn nearest(image: &Pixels, height: usize, width: usize) -> Pixels {
    let sources = |from: usize, to: usize| -> Vec<usize> {
        let step = from as f64 / to as f64;
        let places = std::iter::successors(Some(step * 0.5), |place| Some(place + step));
        places.take(to).map(|place| (place as usize).min(from - 1)).collect()
    };
    let (channels, across) = (image.channels, sources(image.width, width));
    let mut data = Vec::with_capacity(height * width * channels);
    for y in sources(image.height, height) {
        let row = &image.data[y * image.width * channels..][..image.width * channels];
        for x in &across {
            data.extend_from_slice(&row[x * channels..][..channels]);
        }
    }
    Pixels { height, width, channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The high bytes of a linear congruential generator.
    fn noise(height: usize, width: usize) -> Pixels {
        let step = |state: &u32| Some(state.wrapping_mul(1_103_515_245).wrapping_add(12345));
        let states = std::iter::successors(step(&1), |state| step(&(state & 0x7fff_ffff)));
        let data = states.map(|state| (state >> 16) as u8).take(height * width * 3).collect();
        Pixels { height, width, channels: 3, data }
    }

    /// The sum of all bytes, and of all bytes times their place, counted from 1.
    fn sums(image: &Pixels) -> (usize, usize) {
        let bytes = || image.data.iter().map(|&byte| usize::from(byte));
        (bytes().sum(), bytes().zip(1..).map(|(byte, place)| byte * place).sum())
    }

    // The expected numbers are those of Pillow 13.0.0: Image.fromarray(noise).resize((width, height)).

    #[test]
    fn shrinks_like_pillow() {
        let found = resize(&noise(7, 9), 3, 4, Interpolation::Bilinear).data;
        let expected = [
            108, 122, 165, 164, 122, 139, 147, 91, 115, 145, 110, 131, 97, 142, 117, 124, 124, 76,
            162, 108, 115, 133, 144, 116, 136, 94, 127, 106, 99, 122, 105, 129, 117, 94, 140, 99,
        ];
        assert_eq!(found, expected);
        let found = resize(&noise(7, 9), 3, 4, Interpolation::Bicubic).data;
        let expected = [
            105, 127, 169, 172, 121, 140, 146, 89, 114, 144, 111, 133, 91, 143, 116, 119, 120, 62,
            170, 108, 117, 133, 147, 116, 141, 92, 127, 103, 96, 125, 104, 131, 120, 91, 140, 97,
        ];
        assert_eq!(found, expected);
        let found = resize(&noise(7, 9), 3, 4, Interpolation::Nearest).data;
        let expected = [
            60, 89, 234, 210, 133, 161, 85, 47, 55, 218, 2, 121, 32, 251, 143, 144, 197, 9, 170,
            59, 72, 82, 157, 6, 23, 92, 65, 142, 15, 112, 27, 47, 51, 29, 165, 13,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn enlarges_like_pillow() {
        let enlarged = |interpolation| sums(&resize(&noise(7, 9), 8, 11, interpolation));
        assert_eq!(enlarged(Interpolation::Bilinear), (32_647, 4_216_727));
        assert_eq!(enlarged(Interpolation::Bicubic), (32_653, 4_216_025));
        assert_eq!(enlarged(Interpolation::Nearest), (33_040, 4_302_043));
    }

    #[test]
    fn an_axis_of_the_same_size_is_left_alone() {
        let image = resize(&noise(3, 16), 2, 16, Interpolation::Bilinear);
        assert_eq!(image.data[..12], [206, 80, 126, 124, 123, 242, 151, 201, 106, 189, 200, 197]);
        assert_eq!(sums(&image).0, 12_103);
        assert_eq!(resize(&image, 2, 16, Interpolation::Bicubic).data, image.data);
    }

    #[test]
    fn a_plane_of_one_value_keeps_it() {
        let image = Pixels { height: 5, width: 40, channels: 1, data: vec![201; 200] };
        for interpolation in
            [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic]
        {
            let found = resize(&image, 3, 7, interpolation);
            assert!(found.data.iter().all(|&byte| byte == 201), "{interpolation:?}: {found:?}");
        }
    }
}
