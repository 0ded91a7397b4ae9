//! From the pixels of an image to what a model takes.
use super::pixels::Pixels;
use super::resample::{Interpolation, resize};

/// How images are prepared, in the order of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// The new size, as torchvision's `Resize` on a Pillow image.
    pub resize: Option<Resize>,
    /// The pixels around a pixel that make the new one.
    pub interpolation: Interpolation,
    /// Height and width of the middle that is kept, as torchvision's `CenterCrop`.
    pub crop: Option<(usize, usize)>,
    /// What pixels, which are 0 to 255, are multiplied by; by default 1/255, or 1 for a model that takes
    /// bytes.
    pub scale: Option<f32>,
    /// What is subtracted afterwards, for red, green and blue, whatever the order of the channels.
    pub mean: [f32; 3],
    /// What it is divided by then.
    pub std: [f32; 3],
    /// The order of the channels; by default grey for a model with one channel, else RGB.
    pub channels: Option<Channels>,
    /// Where the channels stand; by default where the model has one or three of them, else NCHW.
    pub layout: Option<Layout>,
}

/// A new size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The length of the shorter side; the other one keeps the ratio, rounded down.
    Shorter(usize),
    /// Height and width.
    Exact(usize, usize),
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel, weighed as ITU-R 601-2 does.
    Grey,
}

/// Where the channels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Before height and width.
    Nchw,
    /// Behind height and width.
    Nhwc,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            resize: None,
            interpolation: Interpolation::Bilinear,
            crop: None,
            scale: None,
            mean: [0.0; 3],
            std: [1.0; 3],
            channels: None,
            layout: None,
        }
    }
}

impl Preprocess {
    /// The names of the presets.
    pub const PRESETS: [&str; 7] =
        ["imagenet", "cifar10", "efficientnet-lite", "clip", "tf", "caffe", "none"];

    /// A usual recipe:
    ///
    /// * `imagenet`: shorter side 256, middle 224, mean and standard deviation of ImageNet, as the models of
    ///   torchvision take it.
    /// * `cifar10`: mean and standard deviation of CIFAR-10.
    /// * `efficientnet-lite`: shorter side 256, middle 224, `(x - 127) / 128`.
    /// * `clip`: shorter side 224, bicubic, middle 224, mean and standard deviation of CLIP.
    /// * `tf`: `x / 127.5 - 1`.
    /// * `caffe`: blue, green, red, less the mean of ImageNet, in 0 to 255.
    /// * `none`: pixels from 0 to 255.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let plain = Self::default();
        let middle = |size, crop| (Some(Resize::Shorter(size)), Some((crop, crop)));
        Some(match name {
            "imagenet" => {
                let (resize, crop) = middle(256, 224);
                let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
                Self { resize, crop, mean, std, ..plain }
            }
            "cifar10" => {
                let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
                Self { mean, std, ..plain }
            }
            "efficientnet-lite" => {
                let (resize, crop) = middle(256, 224);
                Self { resize, crop, scale: Some(1.0), mean: [127.0; 3], std: [128.0; 3], ..plain }
            }
            "clip" => {
                let (resize, crop) = middle(224, 224);
                let mean = [0.481_454_66, 0.457_827_5, 0.408_210_7];
                let std = [0.268_629_55, 0.261_302_6, 0.275_777_1];
                Self { resize, crop, interpolation: Interpolation::Bicubic, mean, std, ..plain }
            }
            "tf" => Self { scale: Some(1.0), mean: [127.5; 3], std: [127.5; 3], ..plain },
            "caffe" => {
                let (scale, mean) = (Some(1.0), [123.68, 116.779, 103.939]);
                Self { scale, mean, channels: Some(Channels::Bgr), ..plain }
            }
            "none" => Self { scale: Some(1.0), ..plain },
            _ => return None,
        })
    }

    /// Whether pixels stay the bytes they are.
    pub(super) fn keeps_bytes(&self) -> bool {
        self.scale.is_none_or(|scale| scale == 1.0) && self.mean == [0.0; 3] && self.std == [1.0; 3]
    }

    /// The pixels the model sees, one or three channels.
    pub(super) fn pixels(&self, image: Pixels, channels: Channels) -> Pixels {
        let image = match channels {
            Channels::Grey => image.into_grey(),
            Channels::Rgb | Channels::Bgr => image.into_rgb(),
        };
        let image = match self.resize {
            Some(size) => {
                let (height, width) = size.of(image.height, image.width);
                resize(&image, height, width, self.interpolation)
            }
            None => image,
        };
        match self.crop {
            Some((height, width)) => image.center_crop(height, width),
            None => image,
        }
    }

    /// `(x scale - mean) / std` for every byte, a table per channel in red, green, blue.
    pub(super) fn tables(&self, default_scale: f32) -> [[f32; 256]; 3] {
        let scale = self.scale.unwrap_or(default_scale);
        let table = |channel: usize| {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            std::array::from_fn(|byte| (byte as f32 * scale - mean) / std)
        };
        std::array::from_fn(table)
    }
}

impl Resize {
    /// Height and width of an image that had `height` and `width`.
    fn of(self, height: usize, width: usize) -> (usize, usize) {
        match self {
            Self::Exact(height, width) => (height, width),
            Self::Shorter(size) if width <= height => (size * height / width.max(1), size),
            Self::Shorter(size) => (size, size * width / height.max(1)),
        }
    }
}

/// The numbers of an image in the layout of the model: `number(channel in red-green-blue, byte)`.
pub(super) fn arrange<T>(
    image: &Pixels,
    channels: Channels,
    layout: Layout,
    number: impl Fn(usize, u8) -> T,
) -> Vec<T> {
    let place = |channel: usize| if channels == Channels::Bgr { 2 - channel } else { channel };
    let mut numbers = Vec::with_capacity(image.data.len());
    match layout {
        Layout::Nhwc => {
            for pixel in image.data.chunks_exact(image.channels) {
                let order = (0..image.channels).map(place);
                numbers.extend(order.map(|channel| number(channel, pixel[channel])));
            }
        }
        Layout::Nchw => {
            for channel in (0..image.channels).map(place) {
                let plane = image.data[channel..].iter().step_by(image.channels);
                numbers.extend(plane.map(|&byte| number(channel, byte)));
            }
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_pixels() -> Pixels {
        Pixels { height: 1, width: 2, channels: 3, data: vec![1, 2, 3, 4, 5, 6] }
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(Resize::Shorter(256).of(375, 500), (256, 341));
        assert_eq!(Resize::Shorter(256).of(500, 333), (384, 256));
        assert_eq!(Resize::Shorter(8).of(4, 4), (8, 8));
        assert_eq!(Resize::Exact(3, 5).of(100, 7), (3, 5));
    }

    #[test]
    fn channels_stand_where_the_layout_says() {
        let arranged = |channels, layout| arrange(&two_pixels(), channels, layout, |_, byte| byte);
        assert_eq!(arranged(Channels::Rgb, Layout::Nchw), [1, 4, 2, 5, 3, 6]);
        assert_eq!(arranged(Channels::Bgr, Layout::Nchw), [3, 6, 2, 5, 1, 4]);
        assert_eq!(arranged(Channels::Rgb, Layout::Nhwc), [1, 2, 3, 4, 5, 6]);
        assert_eq!(arranged(Channels::Bgr, Layout::Nhwc), [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn mean_and_std_belong_to_colours_in_any_order() {
        let recipe =
            Preprocess { mean: [0.1, 0.2, 0.3], std: [1.0, 2.0, 4.0], ..Default::default() };
        let tables = recipe.tables(1.0 / 255.0);
        let number = |channel: usize, byte: u8| tables[channel][usize::from(byte)];
        let found = arrange(&two_pixels(), Channels::Bgr, Layout::Nchw, number);
        let blue = (3.0 / 255.0 - 0.3) / 4.0;
        assert!((found[0] - blue).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn presets_have_the_ranges_they_are_known_for() {
        let range = |name: &str| {
            let tables = Preprocess::preset(name).expect("it is one").tables(1.0 / 255.0);
            (tables[0][0], tables[0][255])
        };
        for (name, low, high) in [
            ("imagenet", -2.117_904, 2.248_908),
            ("cifar10", -1.989_474, 2.059_109),
            ("efficientnet-lite", -0.992_188, 1.0),
            ("clip", -1.792_263, 1.930_336),
            ("tf", -1.0, 1.0),
            ("caffe", -123.68, 131.32),
            ("none", 0.0, 255.0),
        ] {
            let found = range(name);
            assert!(
                (found.0 - low).abs() < 1e-4 && (found.1 - high).abs() < 1e-4,
                "{name} {found:?}"
            );
        }
        assert!(Preprocess::PRESETS.iter().all(|name| Preprocess::preset(name).is_some()));
        assert!(Preprocess::preset("unknown").is_none());
    }

    #[test]
    fn grey_models_see_one_channel_and_others_three() {
        let recipe = Preprocess::default();
        assert_eq!(recipe.pixels(two_pixels(), Channels::Grey).channels, 1);
        let grey = Pixels { height: 1, width: 1, channels: 1, data: vec![5] };
        assert_eq!(recipe.pixels(grey, Channels::Bgr).data, [5, 5, 5]);
    }
}
