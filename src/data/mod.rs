//! Samples for calibration and for tests.
//!
//! A [`Dataset`] knows where its samples are and reads them when they are asked for: arrays in parts,
//! images decoded one by one. Memory does not grow with the number of samples, unless [`Dataset::stacked`]
//! asks for all of them at once.
pub(crate) mod arrays;
mod column;
mod decode;
mod error;
mod feeds;
mod folder;
mod images;
mod labels;
mod npy;
mod npz;
mod pixels;
mod plausible;
mod polygraphy;
mod preprocess;
mod resample;
mod signature;
mod spool;
mod spread;
mod stack;
mod synthetic;

pub use error::DatasetError;
pub use plausible::{Finding, ImplausibleInput};
pub use preprocess::{Channels, Layout, Preprocess, Resize};
pub use resample::Interpolation;

pub(crate) use stack::concat;
pub(crate) use synthetic::synthetic;

use arrays::{Arrays, Folder};
use feeds::{Memory, TestData};
use images::Images;
use labels::Labels;
use lapidary_exec::Inputs;
use lapidary_ir::{Graph, Tensor};
use signature::Signature;
use spread::Spread;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files beside images that hold their labels.
const LABEL_FILES: [&str; 2] = ["labels.csv", "labels.txt"];

/// Where samples come from.
trait Source: fmt::Debug + Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// The samples of a range that is not empty, stacked along axis 0.
    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError>;

    /// Whether a sample is all a model is given at once, in the shapes it takes.
    fn is_whole(&self) -> bool {
        false
    }

    /// Whether samples may be given to a model apart.
    fn is_divisible(&self) -> bool {
        true
    }

    /// Whether samples are made of images.
    fn is_images(&self) -> bool {
        false
    }
}

/// How samples are read.
#[derive(Debug, Clone, Default)]
pub struct DataOptions {
    /// Use only the first samples, so many.
    pub limit: Option<usize>,
    /// A file with the labels: lines `file,label`, lines with a label each, or an .npy of integers.
    pub labels: Option<PathBuf>,
    /// How images are prepared.
    pub images: Preprocess,
}

/// Samples of what a model takes, read when they are asked for.
#[derive(Debug, Clone)]
pub struct Dataset {
    source: Arc<dyn Source>,
    labels: Option<Arc<[i64]>>,
    samples: usize,
    path: PathBuf,
}

impl Dataset {
    /// Opens samples for the inputs of `graph`:
    ///
    /// * `.npz`: an array per input, samples along axis 0, labels under `y`; `.npy`: the only input;
    /// * a folder of `.npz` or `.npy` files, sorted by name, each with one sample or several;
    /// * a folder with `test_data_set_0/input_0.pb` and so on, or one such folder: ONNX's test data;
    /// * `.json`: inputs as Polygraphy saves them;
    /// * a folder of `.jpg`, `.jpeg` and `.png` images for a model with one input, prepared as the options
    ///   say; if they are in sub-folders, the sorted names of these are the classes. Labels may also be in
    ///   `labels.csv` or `labels.txt` in the folder.
    ///
    /// # Errors
    /// When the files can't be read or do not fit the inputs. Headers of all arrays are checked now, of
    /// images and feeds only the first one.
    pub fn read(path: &Path, graph: &Graph, options: &DataOptions) -> Result<Self, DatasetError> {
        let signature = Signature::of(graph);
        let mut found = match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => Self::read_folder(path, signature, options)?,
            Some("npy" | "npz") => {
                let (arrays, labels) = Arrays::of_file(path, &signature)?;
                Self::of(Arc::new(arrays), labels)
            }
            Some("json") => Self::of(Arc::new(polygraphy::Feeds::open(path, signature)?), None),
            // What is not there is no matter of its name.
            _ => {
                std::fs::metadata(path)?;
                return Err(DatasetError::Format);
            }
        };
        // Those of images are found by their files.
        if let Some(file) = &options.labels
            && !found.is_images()
        {
            let labels = Labels::read(file)?.of_samples(found.samples, None)?;
            found.labels = Some(labels.into());
        }
        found.path = path.to_owned();
        Ok(match options.limit {
            Some(limit) if limit < found.samples => found.take(limit),
            _ => found,
        })
    }

    fn read_folder(
        path: &Path,
        signature: Signature,
        options: &DataOptions,
    ) -> Result<Self, DatasetError> {
        if let Some(feeds) = TestData::find(path, &signature)? {
            return Ok(Self::of(Arc::new(feeds), None));
        }
        let entries = folder::entries(path)?;
        for extension in ["npz", "npy"] {
            let files = folder::files(&entries, &[extension]);
            if !files.is_empty() {
                let (folder, labels) = Folder::new(files, signature)?;
                return Ok(Self::of(Arc::new(folder), labels));
            }
        }
        let found = images::find(&entries)?;
        if found.files.is_empty() {
            return Err(DatasetError::EmptyFolder);
        }
        let images = Images::new(&found, options.images.clone(), &signature)?;
        let beside = LABEL_FILES.iter().map(|name| path.join(name)).find(|path| path.is_file());
        let labels = match options.labels.clone().or(beside) {
            Some(file) => {
                let labels = Labels::read(&file)?;
                Some(labels.of_samples(images.len(), Some(&images.names()))?)
            }
            None => found.classes,
        };
        Ok(Self::of(Arc::new(images), labels))
    }

    fn of(source: Arc<dyn Source>, labels: Option<Vec<i64>>) -> Self {
        let samples = source.len();
        Self { source, labels: labels.map(Into::into), samples, path: PathBuf::new() }
    }

    /// Samples from arrays by input name; arrays no input takes are left out.
    ///
    /// # Errors
    /// When an input has no array, or one of another type or shape.
    pub fn new(arrays: BTreeMap<String, Tensor>, graph: &Graph) -> Result<Self, DatasetError> {
        let arrays = Arrays::of_memory(arrays, &Signature::of(graph))?;
        Ok(Self::of(Arc::new(arrays), None))
    }

    /// All samples of inputs that were made for a model: one run.
    #[must_use]
    pub fn whole(inputs: BTreeMap<String, Tensor>) -> Self {
        Self::of(Arc::new(Memory(inputs)), None)
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The class of every sample, if known.
    #[must_use]
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    /// Where the samples come from; empty for samples from memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a sample is all a model is given at once, in the shapes it takes.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.source.is_whole()
    }

    /// Whether the samples are made of images.
    #[must_use]
    pub fn is_images(&self) -> bool {
        self.source.is_images()
    }

    /// One sample, by input: arrays with a leading dimension of 1, or whole feeds as they are.
    ///
    /// # Errors
    /// When it can't be read.
    ///
    /// # Panics
    /// When there is no sample `index`.
    pub fn sample(&self, index: usize) -> Result<Inputs, DatasetError> {
        self.batch(index..index + 1)
    }

    /// Samples stacked along axis 0.
    ///
    /// # Errors
    /// When one can't be read, or their shapes differ.
    ///
    /// # Panics
    /// When the range is empty or reaches beyond the samples.
    pub fn batch(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        assert!(range.start < range.end && range.end <= self.samples, "samples {range:?}");
        self.source.read(range)
    }

    /// Ranges of samples to be read one after the other, of `size` samples but for the last: single feeds, and
    /// everything at once where inputs were made for one run.
    pub(crate) fn parts(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let size = match (self.source.is_divisible(), self.is_whole()) {
            (false, _) => self.samples,
            (true, true) => 1,
            (true, false) => size,
        };
        let samples = self.samples;
        (0..samples).step_by(size.max(1)).map(move |start| start..samples.min(start + size))
    }

    /// All samples stacked along axis 0. Arrays of one file stay where they are; anything else takes memory
    /// for every sample.
    ///
    /// # Errors
    /// When one can't be read, or their shapes differ.
    pub fn stacked(&self) -> Result<Inputs, DatasetError> {
        if self.is_empty() {
            return Err(DatasetError::Empty);
        }
        self.batch(0..self.samples)
    }

    /// At most `count` samples, at equal distances; all of inputs that were made for one run.
    #[must_use]
    pub fn spread(&self, count: usize) -> Self {
        if count >= self.samples || !self.source.is_divisible() {
            return self.clone();
        }
        let spread = Spread { source: self.source.clone(), all: self.samples, count };
        let label =
            |labels: &Arc<[i64]>| (0..count).map(|index| labels[spread.place(index)]).collect();
        let labels = self.labels.as_ref().map(label);
        Self { labels, samples: count, source: Arc::new(spread), path: self.path.clone() }
    }

    /// The first `count` samples.
    #[must_use]
    pub fn take(&self, count: usize) -> Self {
        let samples = count.min(self.samples);
        let labels = self.labels.as_ref().map(|labels| labels[..samples].into());
        Self { labels, samples, ..self.clone() }
    }
}
