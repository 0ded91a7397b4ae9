//! The options that say where samples come from.
use crate::render;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use lapidary::exec::RandomInputs;
use lapidary::ir::Model;
use lapidary::{Channels, DataOptions, Dataset, Error, Interpolation, Layout, Preprocess, Resize};
use std::path::{Path, PathBuf};

/// The samples to work with.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Samples: .npz with an array per input and labels under `y`, .npy for a single input, a folder of
    /// either, a folder of images, of test_data_set_*, or Polygraphy's .json.
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Use only the first N samples.
    #[arg(long, value_name = "N", visible_alias = "limit")]
    pub(crate) samples: Option<usize>,
    /// Labels of the samples the result is measured on: lines `file,label`, lines with a label each, or an
    /// .npy of integers. For images also labels.csv or labels.txt in their folder, or its sub-folders.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    images: Images,
}

/// The heading of the options for images.
const IMAGES: &str = "Image folders";

/// How images are prepared. Names and results are those of torchvision on Pillow images.
#[derive(Debug, Args)]
struct Images {
    /// Prepare images by a usual recipe; --resize, --center-crop, --scale, --mean, --std and others change
    /// it. `none` keeps pixels from 0 to 255.
    #[arg(long, help_heading = IMAGES, value_name = "NAME", value_parser = PossibleValuesParser::new(Preprocess::PRESETS))]
    preprocess: Option<String>,
    /// Resize the shorter side to N pixels, or to HxW.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_name = "N|HxW", value_parser = resize)]
    resize: Option<Resize>,
    /// Keep the middle N x N or H x W pixels.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_name = "N|HxW", value_parser = crop)]
    center_crop: Option<(usize, usize)>,
    /// How pixels between pixels are made. Default bilinear.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_enum)]
    interpolation: Option<Between>,
    /// Multiply pixels by X. Default 1/255; 1 for a model that takes bytes.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_name = "X", value_parser = factor)]
    scale: Option<f32>,
    /// Subtract these afterwards: one number, or three for red, green and blue.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_name = "R,G,B", value_parser = triple, allow_hyphen_values = true)]
    mean: Option<[f32; 3]>,
    /// Divide by these then.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_name = "R,G,B", value_parser = divisor)]
    std: Option<[f32; 3]>,
    /// Where the channels stand. Default as the model has them.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_enum)]
    layout: Option<Place>,
    /// The order of the channels. Default rgb, or grey for a model with one channel.
    #[arg(long, help_heading = IMAGES, hide_short_help = true, value_enum)]
    channels: Option<Order>,
}

/// How pixels between pixels are made.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Between {
    /// Triangle filter, wider when it shrinks.
    Bilinear,
    /// Cubic convolution, wider when it shrinks.
    Bicubic,
    /// The pixel that lies there.
    Nearest,
}

/// Where the channels stand.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// Before height and width.
    Nchw,
    /// Behind them.
    Nhwc,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel.
    #[value(alias = "gray")]
    Grey,
}

/// `224` or `224x320`, each at least 1.
fn size(text: &str) -> Result<(usize, Option<usize>), String> {
    let side = |text: &str| {
        let side = text.trim().parse().ok().filter(|side| (1..=1 << 16).contains(side));
        side.ok_or_else(|| format!("`{text}` is no number of pixels"))
    };
    match text.split_once(['x', 'X']) {
        Some((height, width)) => Ok((side(height)?, Some(side(width)?))),
        None => Ok((side(text)?, None)),
    }
}

fn resize(text: &str) -> Result<Resize, String> {
    let (height, width) = size(text)?;
    Ok(width.map_or(Resize::Shorter(height), |width| Resize::Exact(height, width)))
}

fn crop(text: &str) -> Result<(usize, usize), String> {
    let (height, width) = size(text)?;
    Ok((height, width.unwrap_or(height)))
}

/// `0.0039` or `1/255`.
fn factor(text: &str) -> Result<f32, String> {
    match text.split_once('/') {
        Some((over, under)) => Ok(number(over)? / nonzero(under)?),
        None => number(text),
    }
}

fn number(text: &str) -> Result<f32, String> {
    let number = text.trim().parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or_else(|| format!("`{text}` is no number"))
}

fn nonzero(text: &str) -> Result<f32, String> {
    let number = number(text)?;
    if number == 0.0 { Err("nothing is divided by 0".to_owned()) } else { Ok(number) }
}

/// One number for all colours, or three.
fn triple(text: &str) -> Result<[f32; 3], String> {
    let numbers: Vec<f32> = text.split(',').map(number).collect::<Result<_, _>>()?;
    match *numbers.as_slice() {
        [all] => Ok([all; 3]),
        [red, green, blue] => Ok([red, green, blue]),
        _ => Err(format!("there are {} numbers, expected 1 or 3", numbers.len())),
    }
}

fn divisor(text: &str) -> Result<[f32; 3], String> {
    let numbers = triple(text)?;
    if numbers.contains(&0.0) { Err("nothing is divided by 0".to_owned()) } else { Ok(numbers) }
}

impl Images {
    /// Whether any option is given.
    fn any(&self) -> bool {
        let Self {
            preprocess,
            resize,
            center_crop,
            interpolation,
            scale,
            mean,
            std,
            layout,
            channels,
        } = self;
        preprocess.is_some()
            || resize.is_some()
            || center_crop.is_some()
            || interpolation.is_some()
            || scale.is_some()
            || mean.is_some()
            || std.is_some()
            || layout.is_some()
            || channels.is_some()
    }

    /// The preset, with what the options change.
    fn recipe(&self) -> Preprocess {
        let preset = self.preprocess.as_deref().and_then(Preprocess::preset).unwrap_or_default();
        let interpolation = self.interpolation.map(|between| match between {
            Between::Bilinear => Interpolation::Bilinear,
            Between::Bicubic => Interpolation::Bicubic,
            Between::Nearest => Interpolation::Nearest,
        });
        let channels = self.channels.map(|order| match order {
            Order::Rgb => Channels::Rgb,
            Order::Bgr => Channels::Bgr,
            Order::Grey => Channels::Grey,
        });
        let layout = self.layout.map(|place| match place {
            Place::Nchw => Layout::Nchw,
            Place::Nhwc => Layout::Nhwc,
        });
        Preprocess {
            resize: self.resize.or(preset.resize),
            interpolation: interpolation.unwrap_or(preset.interpolation),
            crop: self.center_crop.or(preset.crop),
            scale: self.scale.or(preset.scale),
            mean: self.mean.unwrap_or(preset.mean),
            std: self.std.unwrap_or(preset.std),
            channels: channels.or(preset.channels),
            layout: layout.or(preset.layout),
        }
    }
}

impl Data {
    /// The samples of `--data`, if it is given, to measure the result on.
    pub(crate) fn read(&self, model: &Model) -> Result<Option<Dataset>, Error> {
        let Some(path) = &self.data else { return Ok(None) };
        let data = self.open(path, model, self.samples, true)?;
        self.check_used(&[&data])?;
        Ok(Some(data))
    }

    /// The samples of `--data`, or random numbers for one run.
    pub(crate) fn read_or_random(&self, model: &Model) -> Result<Dataset, Error> {
        if let Some(data) = self.read(model)? {
            return Ok(data);
        }
        let random = RandomInputs::default().generate(model).map_err(|source| Error::Execute {
            what: "original",
            source,
            help: "give samples with --data",
        })?;
        Ok(Dataset::whole(random))
    }

    /// The samples of `--data`, which the command can't do without.
    pub(crate) fn require(&self, model: &Model, why: &str) -> Result<Dataset, Error> {
        self.read(model)?.ok_or_else(|| missing(why))
    }

    /// The samples of `--data`, which the command can't do without, and those to measure the result on, if
    /// they are others.
    pub(crate) fn read_with_test(
        &self,
        model: &Model,
        test: Option<&Path>,
        why: &str,
    ) -> Result<(Dataset, Dataset), Error> {
        let path = self.data.as_ref().ok_or_else(|| missing(why))?;
        let data = self.open(path, model, self.samples, test.is_none())?;
        let test = match test {
            Some(test) => self.open(test, model, None, true)?,
            None => data.clone(),
        };
        self.check_used(&[&data, &test])?;
        Ok((data, test))
    }

    /// The samples of `--data` and those to measure the result on, if there are any.
    pub(crate) fn read_if_given(
        &self,
        model: &Model,
        test: Option<&Path>,
        why: &str,
    ) -> Result<(Option<Dataset>, Option<Dataset>), Error> {
        if self.data.is_none() {
            return Ok((None, self.read_test(model, test)?));
        }
        let (data, test) = self.read_with_test(model, test, why)?;
        Ok((Some(data), Some(test)))
    }

    /// The samples to measure the result on, where none are needed for anything else.
    pub(crate) fn read_test(
        &self,
        model: &Model,
        test: Option<&Path>,
    ) -> Result<Option<Dataset>, Error> {
        let Some(path) = test else { return Ok(None) };
        let data = self.open(path, model, None, true)?;
        self.check_used(&[&data])?;
        Ok(Some(data))
    }

    /// Opens samples and says what looks wrong with them.
    fn open(
        &self,
        path: &Path,
        model: &Model,
        limit: Option<usize>,
        measured: bool,
    ) -> Result<Dataset, Error> {
        let labels = if measured { self.labels.clone() } else { None };
        let options = DataOptions { limit, labels, images: self.images.recipe() };
        let fail = |source| Error::data(path, source);
        let data = Dataset::read(path, &model.graph, &options).map_err(fail)?;
        for implausible in data.implausible_inputs(&model.graph).map_err(fail)? {
            render::warning(&implausible.to_string());
        }
        Ok(data)
    }

    /// Options for images need images.
    fn check_used(&self, read: &[&Dataset]) -> Result<(), Error> {
        if !self.images.any() || read.iter().any(|data| data.is_images()) {
            return Ok(());
        }
        Err(Error::Usage {
            problem: "options for images are given, and the samples are no images".to_owned(),
            help: "leave them out, or give a folder of .jpg, .jpeg or .png files".to_owned(),
        })
    }
}

fn missing(why: &str) -> Error {
    Error::Usage {
        problem: format!("{why} needs samples"),
        help: "give them with --data FILE.npz: an array per input, 100 to 500 samples".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_number_or_two() {
        assert_eq!(resize("256"), Ok(Resize::Shorter(256)));
        assert_eq!(resize("224x320"), Ok(Resize::Exact(224, 320)));
        assert_eq!(crop("224"), Ok((224, 224)));
        assert!(crop("0").is_err() && crop("3x").is_err() && crop("-1").is_err());
    }

    #[test]
    fn numbers_may_be_fractions_and_triples() {
        assert_eq!(factor("1/4"), Ok(0.25));
        assert_eq!(factor("0.5"), Ok(0.5));
        assert!(factor("1/0").is_err() && factor("x").is_err() && factor("nan").is_err());
        assert_eq!(triple("1,-2,0.5"), Ok([1.0, -2.0, 0.5]));
        assert_eq!(divisor("2"), Ok([2.0; 3]));
        assert!(triple("1,2").is_err() && divisor("1,0,1").is_err());
    }
}
