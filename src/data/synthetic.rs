//! Samples for a model nobody gave samples for.
//!
//! Noise whose strength is the same in every octave of frequencies looks to the first layers of a network much like
//! photographs do: neighbouring pixels and colours are alike, brightness and contrast differ between images.
use super::DatasetError;
use super::stack::join;
use lapidary_exec::{ExecError, Inputs, RandomInputs};
use lapidary_ir::{ElemType, Model, Tensor};

/// Where the pixels of images are in a tensor.
struct Images {
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    /// Whether channels stand behind height and width.
    last: bool,
}

/// How much the colours of a pixel differ, next to its brightness.
const COLOUR: f32 = 0.35;

/// At least `count` samples stacked: noise like photographs for inputs that look like images, with mean 0 and
/// variance 1, and random numbers for others.
///
/// # Errors
/// When an input declares no element type or no shape, or inputs of a fixed batch can't be stacked.
pub(crate) fn synthetic(model: &Model, count: usize) -> Result<Inputs, SyntheticError> {
    let batch = i64::try_from(count).unwrap_or(i64::MAX);
    let mut parts: Vec<Inputs> = Vec::new();
    let mut samples = 0;
    while samples < count {
        let seed = parts.len() as u64;
        let random = RandomInputs { seed, batch, ..RandomInputs::default() };
        let inputs = random.generate(model)?;
        let more = inputs.values().filter_map(|tensor| tensor.dims().first()).max();
        samples += more.map_or(count, |&more| usize::try_from(more).unwrap_or(count).max(1));
        parts.push(inputs);
    }
    let mut inputs = join(parts).map_err(|error| SyntheticError::Stack(Box::new(error)))?;
    for (seed, tensor) in inputs.values_mut().enumerate() {
        if let Some(images) = Images::of(tensor) {
            *tensor = Tensor::new(tensor.dims(), &images.draw(seed as u64));
        }
    }
    Ok(inputs)
}

/// Why samples can't be made up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyntheticError {
    /// Inputs are not declared well enough.
    #[error(transparent)]
    Inputs(#[from] ExecError),
    /// Inputs can't be stacked.
    #[error(transparent)]
    Stack(Box<DatasetError>),
}

impl Images {
    /// Tensors of floats with two axes of pixels and one of one or three colours.
    fn of(tensor: &Tensor) -> Option<Self> {
        let &[count, a, b, c] = tensor.dims() else { return None };
        let colours = |channels: i64| channels == 1 || channels == 3;
        let large = |side: i64| side >= 8;
        let (channels, height, width, last) = match () {
            () if colours(a) && large(b) && large(c) => (a, b, c, false),
            () if colours(c) && large(a) && large(b) => (c, a, b, true),
            () => return None,
        };
        let [count, channels, height, width] = [count, channels, height, width].map(|n| n as usize);
        (tensor.elem_type() == ElemType::FLOAT).then_some(Self {
            count,
            channels,
            height,
            width,
            last,
        })
    }

    fn draw(&self, seed: u64) -> Vec<f32> {
        let Self { count, channels, height, width, last } = *self;
        let area = height * width;
        let mut numbers = vec![0.0; count * channels * area];
        let mut random = Random(seed);
        for image in 0..count {
            let brightness = noise(&mut random, height, width);
            for channel in 0..channels {
                let own = noise(&mut random, height, width);
                for pixel in 0..area {
                    let place =
                        if last { pixel * channels + channel } else { channel * area + pixel };
                    numbers[image * channels * area + place] =
                        brightness[pixel] + COLOUR * own[pixel];
                }
            }
        }
        let over = numbers.len().max(1) as f64;
        let mean = numbers.iter().map(|&number| f64::from(number)).sum::<f64>() / over;
        let square = |&number: &f32| (f64::from(number) - mean).powi(2);
        let deviation = (numbers.iter().map(square).sum::<f64>() / over).sqrt().max(1e-12);
        numbers.iter().map(|&number| ((f64::from(number) - mean) / deviation) as f32).collect()
    }
}

/// A sum of random numbers on grids, interpolated, with cells of 1, 2, 4, … pixels up to the whole image.
fn noise(random: &mut Random, height: usize, width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; height * width];
    let mut cell = 1;
    loop {
        // White noise has its strength at the highest frequencies, which photographs hardly have.
        let weight = if cell == 1 { 0.25 } else { 1.0 };
        let (rows, columns) = (height / cell + 3, width / cell + 3);
        let grid: Vec<f32> = (0..rows * columns).map(|_| weight * random.number()).collect();
        let shift = [random.number(), random.number()].map(|number| 0.5 + 0.5 * number);
        for (index, number) in sum.iter_mut().enumerate() {
            let place = |at: usize, shift: f32| {
                let place = at as f32 / cell as f32 + shift;
                (place as usize, place.fract())
            };
            let ((row, down), (column, right)) =
                (place(index / width, shift[0]), place(index % width, shift[1]));
            let at = |row: usize, column: usize| grid[row * columns + column];
            let mix = |a: f32, b: f32, share: f32| a + share * (b - a);
            let above = mix(at(row, column), at(row, column + 1), right);
            let below = mix(at(row + 1, column), at(row + 1, column + 1), right);
            *number += mix(above, below, down);
        }
        if cell >= height.max(width) {
            return sum;
        }
        cell *= 2;
    }
}

/// The numbers of splitmix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// From −1 to 1.
    fn number(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::text;

    fn made(source: &str, count: usize) -> Inputs {
        let model = text::parse(source).expect("the text is a model");
        synthetic(&model, count).expect("samples can be made up")
    }

    #[test]
    fn neighbouring_pixels_are_alike() {
        let inputs = made("g (float[N,3,16,16] x) => (float[N,3,16,16] y) { y = Relu(x) }", 20);
        let x = inputs["x"].to_f32().expect("floats");
        assert_eq!(inputs["x"].dims(), [20, 3, 16, 16]);
        let mean = |numbers: &mut dyn Iterator<Item = f32>| {
            let (sum, count) = numbers.fold((0.0, 0.0), |(s, n), x| (s + f64::from(x), n + 1.0));
            sum / count
        };
        assert!(mean(&mut x.iter().copied()).abs() < 1e-4);
        assert!((mean(&mut x.iter().map(|x| x * x)) - 1.0).abs() < 1e-4);
        let neighbours = mean(&mut x.windows(2).map(|pair| pair[0] * pair[1]));
        let colours = mean(&mut (0..256).map(|pixel| x[pixel] * x[256 + pixel]));
        assert!(neighbours > 0.7 && colours > 0.2, "{neighbours} {colours}");
    }

    #[test]
    fn batches_of_a_fixed_size_are_stacked() {
        let inputs = made("g (float[2,5] x) => (float[2,5] y) { y = Relu(x) }", 5);
        assert_eq!(inputs["x"].dims(), [6, 5]);
        let last = made("g (float[2,9,8,1] x) => (float[2,9,8,1] y) { y = Relu(x) }", 2);
        let x = last["x"].to_f32().expect("floats");
        assert!((x.iter().map(|x| x * x).sum::<f32>() / 144.0 - 1.0).abs() < 1e-3);
    }
}
