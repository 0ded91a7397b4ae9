//! Whether inputs look like anything a model is usually given.
//!
//! Usual images are 0 to 1, -1 to 1, less a mean and divided by a standard deviation (within -3 to 3), or
//! 0 to 255 less a mean (within -160 to 160). The limits below leave all of these alone.
use super::{Dataset, DatasetError};
use lapidary_ir::{Graph, Tensor, Value};
use serde::Serialize;
use std::fmt;

/// Samples that are looked at.
const LOOKED_AT: usize = 16;

/// Nothing normalized has a mean beyond this, nor pixels below it a largest value.
const MEAN: f64 = 16.0;

/// Nothing usual is larger.
const LARGEST: f64 = 256.0;

/// The largest value of images is usually well above this; 1/255 is what twice divided pixels reach.
const SMALLEST: f64 = 0.01;

/// Operators that models start with when they normalize pixels themselves.
const NORMALIZING: [&str; 7] =
    ["Sub", "Add", "Mul", "Div", "BatchNormalization", "Cast", "QuantizeLinear"];

/// An input whose numbers look unlike what models are usually given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImplausibleInput {
    /// The input.
    pub input: String,
    /// What is unusual.
    pub finding: Finding,
    /// The smallest number found.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

/// What is unusual in the numbers of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// There are NaNs or infinities.
    NotFinite,
    /// Every number is 0.
    Zeros,
    /// Every number is the same.
    Constant,
    /// They are pixels from 0 to 255, not normalized.
    RawPixels,
    /// They are far larger than normalized images.
    Large,
    /// They are far smaller than normalized images.
    Small,
}

impl fmt::Display for ImplausibleInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, finding, min, max, mean } = self;
        let what = match finding {
            Finding::NotFinite => {
                return write!(f, "the samples of `{input}` hold NaN or infinity");
            }
            Finding::Zeros => return write!(f, "the samples of `{input}` are all zeros"),
            Finding::Constant => return write!(f, "the samples of `{input}` are all {min}"),
            Finding::RawPixels => "look like raw pixels",
            Finding::Large => "are unusually large",
            Finding::Small => "are unusually small",
        };
        let [min, max, mean] = [min, max, mean].map(|number| short(*number));
        write!(
            f,
            "the samples of `{input}` {what}: {min} to {max}, mean {mean}; usual is 0 to 1, -1 to 1 \
             or about mean 0 and deviation 1, as the model was trained"
        )
    }
}

/// A number with four digits behind the point, without zeros at the end.
fn short(number: f64) -> String {
    let digits = format!("{number:.4}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is found of the numbers of an input.
#[derive(Debug, Clone, Copy)]
struct Range {
    min: f64,
    max: f64,
    sum: f64,
    count: usize,
    finite: bool,
}

impl Range {
    const EMPTY: Self =
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0, finite: true };

    fn add(&mut self, values: &[f32]) {
        for value in values.iter().copied().map(f64::from) {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
            self.finite &= value.is_finite();
        }
        self.count += values.len();
    }

    /// What is unusual for an input, an image or not.
    fn finding(&self, image: bool) -> Option<Finding> {
        let Self { min, max, finite, .. } = *self;
        let mean = self.mean();
        if !finite {
            return Some(Finding::NotFinite);
        }
        if min == max && self.count > 1 {
            return Some(if min == 0.0 { Finding::Zeros } else { Finding::Constant });
        }
        if !image {
            return None;
        }
        let largest = max.abs().max(min.abs());
        if min >= 0.0 && max > MEAN && max <= LARGEST {
            Some(Finding::RawPixels)
        } else if largest > LARGEST || mean.abs() > MEAN {
            Some(Finding::Large)
        } else if largest < SMALLEST {
            Some(Finding::Small)
        } else {
            None
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl Dataset {
    /// The inputs whose samples look unlike what models are given, judged by a few samples.
    ///
    /// Only floating-point inputs are judged, and only images (rank 4, one, three or four channels) by their
    /// range. A model that begins with arithmetic on an image may normalize it itself, and is believed.
    ///
    /// # Errors
    /// When a sample can't be read.
    pub fn implausible_inputs(&self, graph: &Graph) -> Result<Vec<ImplausibleInput>, DatasetError> {
        let mut found = Vec::new();
        let ids: Vec<_> = graph.required_inputs().collect();
        let judged = |value: &Value| ids.len() == 1 || is_image(value);
        let values: Vec<&Value> =
            ids.iter().map(|&id| graph.value(id)).filter(|value| judged(value)).collect();
        let mut ranges = vec![Range::EMPTY; values.len()];
        let step = self.len().div_ceil(LOOKED_AT).max(1);
        for index in (0..self.len()).step_by(step) {
            let sample = self.sample(index)?;
            for (value, range) in values.iter().zip(&mut ranges) {
                if let Some(numbers) = sample.get(value.name()).and_then(Tensor::to_f32) {
                    range.add(&numbers);
                }
            }
        }
        for (value, range) in values.iter().zip(ranges) {
            let image = is_image(value) && !normalizes(graph, value);
            if range.count > 0
                && let Some(finding) = range.finding(image)
            {
                let (input, mean) = (value.name().to_owned(), range.mean());
                let Range { min, max, .. } = range;
                found.push(ImplausibleInput { input, finding, min, max, mean });
            }
        }
        Ok(found)
    }
}

fn is_image(value: &Value) -> bool {
    let channels = |axis: usize| {
        let size = value.shape()?.get(axis)?.value()?;
        Some(matches!(size, 1 | 3 | 4))
    };
    let rank = value.shape().map(<[_]>::len);
    rank == Some(4) && (channels(1) == Some(true) || channels(3) == Some(true))
}

/// Whether arithmetic is the first thing that happens to a value.
fn normalizes(graph: &Graph, value: &Value) -> bool {
    let mut users = value.uses().filter_map(|one| graph.get_node(one.node));
    users.any(|node| NORMALIZING.contains(&node.op_type.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(image: bool, values: &[f32]) -> Option<Finding> {
        let mut range = Range::EMPTY;
        range.add(values);
        range.finding(image)
    }

    #[test]
    fn usual_images_are_left_alone() {
        for usual in [
            [0.0, 0.45, 1.0],
            [-1.0, 0.1, 1.0],
            [-2.118, -0.1, 2.64],
            [-1.99, 0.0, 2.13],
            [-123.68, 4.0, 151.06],
            [0.0, 0.0, 0.02],
            [0.0, 3.0, 16.0],
        ] {
            assert_eq!(finding(true, &usual), None, "{usual:?}");
        }
    }

    #[test]
    fn unusual_images_are_named() {
        assert_eq!(finding(true, &[0.0, 117.5, 255.0]), Some(Finding::RawPixels));
        assert_eq!(finding(true, &[0.0, 0.0039, 0.001]), Some(Finding::Small));
        assert_eq!(finding(true, &[0.0, 65_535.0]), Some(Finding::Large));
        assert_eq!(finding(true, &[-1.0, 60.0]), Some(Finding::Large));
    }

    #[test]
    fn any_input_may_be_broken() {
        for image in [false, true] {
            assert_eq!(finding(image, &[0.0, f32::NAN]), Some(Finding::NotFinite));
            assert_eq!(finding(image, &[0.0, 0.0]), Some(Finding::Zeros));
            assert_eq!(finding(image, &[0.5, 0.5]), Some(Finding::Constant));
        }
        assert_eq!(finding(false, &[0.0, 300.0]), None);
        assert_eq!(finding(false, &[7.0]), None);
    }

    #[test]
    fn the_message_says_what_is_usual() {
        let input = ImplausibleInput {
            input: "image".to_owned(),
            finding: Finding::RawPixels,
            min: 0.0,
            max: 255.0,
            mean: 117.25,
        };
        insta::assert_snapshot!(input, @"the samples of `image` look like raw pixels: 0 to 255, mean 117.25; usual is 0 to 1, -1 to 1 or about mean 0 and deviation 1, as the model was trained");
    }
}
