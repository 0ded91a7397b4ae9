//! Folders of images.
use super::decode::decode;
use super::error::file_name;
use super::folder;
use super::preprocess::{Channels, Layout, Preprocess, arrange};
use super::signature::{self, Expected, Signature};
use super::{DatasetError, Source, stack};
use half::f16;
use lapidary_exec::Inputs;
use lapidary_ir::{Dim, ElemType, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Endings of image files.
pub(super) const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Image files and how they are prepared.
#[derive(Debug)]
pub(super) struct Images {
    files: Vec<PathBuf>,
    /// Whether the files are in sub-folders.
    nested: bool,
    recipe: Preprocess,
    channels: Channels,
    layout: Layout,
    input: Expected,
    kind: Kind,
}

/// What numbers the model takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Byte,
    Half,
    Float,
    Double,
}

/// The image files of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The files, sorted by name; in sub-folders sorted by the name of these first.
    pub(super) files: Vec<PathBuf>,
    /// The number of the sub-folder each file is in, if there are sub-folders.
    pub(super) classes: Option<Vec<i64>>,
}

/// The images of a folder: those that lie in it, or else those of its sub-folders, whose sorted names are
/// the classes, as in torchvision's `ImageFolder`.
pub(super) fn find(entries: &[PathBuf]) -> Result<Found, DatasetError> {
    let files = folder::files(entries, &EXTENSIONS);
    if !files.is_empty() {
        return Ok(Found { files, classes: None });
    }
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    let folders = entries.iter().filter(|path| path.is_dir());
    for (class, path) in folders.enumerate() {
        let own = folder::files(&folder::entries(path)?, &EXTENSIONS);
        classes.extend(own.iter().map(|_| class as i64));
        files.extend(own);
    }
    Ok(Found { files, classes: Some(classes) })
}

impl Images {
    pub(super) fn new(
        found: &Found,
        recipe: Preprocess,
        signature: &Signature,
    ) -> Result<Self, DatasetError> {
        let input = signature.only()?.clone();
        let refuse = |problem: String| DatasetError::NotForImages { problem };
        if let Some(shape) = &input.shape
            && shape.len() != 4
        {
            let shape = signature::list(shape);
            return Err(refuse(format!("input `{}` takes {shape}, images have 4", input.name)));
        }
        let kind = match input.elem_type {
            Some(ElemType::UINT8) => Kind::Byte,
            Some(ElemType::FLOAT16) => Kind::Half,
            Some(ElemType::FLOAT) | None => Kind::Float,
            Some(ElemType::DOUBLE) => Kind::Double,
            Some(other) => return Err(refuse(format!("input `{}` is {other}", input.name))),
        };
        if matches!(kind, Kind::Byte) && !recipe.keeps_bytes() {
            let name = &input.name;
            return Err(refuse(format!(
                "input `{name}` takes bytes, which have no scale, mean or std"
            )));
        }
        let (layout, count) = arrangement(input.shape.as_deref(), recipe.layout);
        let channels = recipe.channels.unwrap_or(match count {
            Some(1) => Channels::Grey,
            _ => Channels::Rgb,
        });
        let (files, nested) = (found.files.clone(), found.classes.is_some());
        let images = Self { files, nested, recipe, channels, layout, input, kind };
        // What is wrong with the first image is said before any work.
        images.image(0)?;
        Ok(images)
    }

    /// The image of one file, with a leading dimension of 1.
    fn image(&self, index: usize) -> Result<Tensor, DatasetError> {
        let path = &self.files[index];
        let name = || match (self.nested, path.parent()) {
            (true, Some(folder)) => format!("{}/{}", file_name(folder), file_name(path)),
            _ => file_name(path),
        };
        self.read_image(path).map_err(|error| error.of(name()))
    }

    fn read_image(&self, path: &Path) -> Result<Tensor, DatasetError> {
        let bytes = lapidary_proto::contents(path, true)?;
        let image = decode(&bytes).map_err(|problem| DatasetError::Image { problem })?;
        let image = self.recipe.pixels(image, self.channels);
        let [channels, height, width] =
            [image.channels, image.height, image.width].map(|n| n as i64);
        let dims = match self.layout {
            Layout::Nchw => [1, channels, height, width],
            Layout::Nhwc => [1, height, width, channels],
        };
        if let Some(shape) = &self.input.shape
            && !signature::same(&dims[1..], &shape[1..])
        {
            return Err(DatasetError::ImageShape {
                input: self.input.name.clone(),
                found: dims[1..].to_vec(),
                expected: signature::list(&shape[1..]),
            });
        }
        let (channels, layout) = (self.channels, self.layout);
        if matches!(self.kind, Kind::Byte) {
            return Ok(Tensor::new(&dims, &arrange(&image, channels, layout, |_, byte| byte)));
        }
        let tables = self.recipe.tables(1.0 / 255.0);
        let number = |channel: usize, byte: u8| tables[channel][usize::from(byte)];
        let numbers = arrange(&image, channels, layout, number);
        Ok(match self.kind {
            Kind::Half => {
                let halves: Vec<f16> = numbers.into_iter().map(f16::from_f32).collect();
                Tensor::new(&dims, &halves)
            }
            Kind::Double => {
                Tensor::new(&dims, &numbers.into_iter().map(f64::from).collect::<Vec<_>>())
            }
            Kind::Float | Kind::Byte => Tensor::new(&dims, &numbers),
        })
    }

    /// The files, for labels by name.
    pub(super) fn names(&self) -> Vec<(String, String)> {
        let name = |path: &PathBuf| {
            let folder = path.parent().map(file_name).unwrap_or_default();
            (file_name(path), format!("{folder}/{}", file_name(path)))
        };
        self.files.iter().map(name).collect()
    }
}

/// The layout, and the number of channels if the model says so.
fn arrangement(shape: Option<&[Dim]>, asked: Option<Layout>) -> (Layout, Option<i64>) {
    let size = |axis: usize| shape.and_then(|shape| shape.get(axis)).and_then(Dim::value);
    let is_count = |size: Option<i64>| matches!(size, Some(1 | 3));
    let layout = asked.unwrap_or(match (is_count(size(1)), is_count(size(3))) {
        (false, true) => Layout::Nhwc,
        _ => Layout::Nchw,
    });
    match layout {
        Layout::Nchw => (layout, size(1)),
        Layout::Nhwc => (layout, size(3)),
    }
}

impl Source for Images {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        let name = &self.input.name;
        let feed = |index| Ok(Inputs::from([(name.clone(), self.image(index)?)]));
        stack::join(range.into_par_iter().map(feed).collect::<Result<_, DatasetError>>()?)
    }

    fn is_images(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_tells_where_channels_are() {
        let of = |dims: [i64; 4], asked| arrangement(Some(&dims.map(Dim::from)), asked);
        assert_eq!(of([1, 3, 224, 224], None), (Layout::Nchw, Some(3)));
        assert_eq!(of([1, 224, 224, 3], None), (Layout::Nhwc, Some(3)));
        assert_eq!(of([1, 28, 28, 1], None), (Layout::Nhwc, Some(1)));
        assert_eq!(of([1, 3, 4, 3], None), (Layout::Nchw, Some(3)));
        assert_eq!(of([1, 3, 4, 3], Some(Layout::Nhwc)), (Layout::Nhwc, Some(3)));
        assert_eq!(arrangement(None, None), (Layout::Nchw, None));
    }
}
