//! Why data can't be used.
use lapidary_ir::ElemType;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why data can't be used.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The file can't be opened or read.
    #[error("the file can't be read")]
    Io(#[from] io::Error),
    /// The file is of no known kind.
    #[error(
        "the file name ends in none of .npy, .npz and .json, and it is no folder of .npz, .npy, \
         images or test_data_set_*"
    )]
    Format,
    /// A folder has nothing to take samples from.
    #[error("the folder has no .npz, .npy, .jpg, .jpeg or .png files and no test_data_set_*")]
    EmptyFolder,
    /// One file of a folder can't be used.
    #[error("`{file}`: {problem}")]
    Part {
        /// The file, in its folder.
        file: String,
        /// What is wrong with it.
        problem: Box<DatasetError>,
    },
    /// The archive is malformed.
    #[error("the archive can't be read: {0}")]
    Npz(String),
    /// One array can't be read.
    #[error("array `{name}` can't be read: {problem}")]
    Npy {
        /// The array.
        name: String,
        /// What the reader says.
        problem: String,
    },
    /// The model has several inputs, a single array can't feed them.
    #[error("one array can't feed the {} inputs {}", .inputs.len(), names(.inputs))]
    OneArray {
        /// The inputs.
        inputs: Vec<String>,
    },
    /// An input has no array.
    #[error("no array is named `{input}`; the file has {}", names(.found))]
    Missing {
        /// The input.
        input: String,
        /// The arrays of the file.
        found: Vec<String>,
    },
    /// An array has the wrong element type.
    #[error("array `{name}` is {found}, the input is {expected}")]
    ElemType {
        /// The array.
        name: String,
        /// Its type.
        found: ElemType,
        /// The input's type.
        expected: ElemType,
    },
    /// An array has the wrong shape.
    #[error("array `{name}` has shape {found:?}, the input takes {expected}")]
    Shape {
        /// The array.
        name: String,
        /// Its dimensions.
        found: Vec<i64>,
        /// The input's shape, the first dimension being the samples.
        expected: String,
    },
    /// Arrays or labels have different numbers of samples.
    #[error("`{name}` has {found} samples, `{first}` has {expected}")]
    Samples {
        /// The array.
        name: String,
        /// Its samples.
        found: usize,
        /// The array it is compared with.
        first: String,
        /// The samples of that.
        expected: usize,
    },
    /// Samples have different shapes where they have to be stacked.
    #[error("the samples of `{name}` can't be stacked: {first} and {found}")]
    Unstackable {
        /// The input.
        name: String,
        /// Type and shape of the first.
        first: String,
        /// Type and shape of the other.
        found: String,
    },
    /// A tensor of ONNX's test data can't be read.
    #[error("it is no TensorProto: {problem}")]
    TensorProto {
        /// What the decoder says.
        problem: String,
    },
    /// A JSON file is not what Polygraphy saves inputs as.
    #[error("it does not hold inputs as Polygraphy saves them: {problem}")]
    Polygraphy {
        /// What was found and where.
        problem: String,
    },
    /// An image can't be decoded.
    #[error("the image can't be decoded: {problem}")]
    Image {
        /// What the decoder says.
        problem: String,
    },
    /// The model takes no images.
    #[error("images can't feed the model: {problem}")]
    NotForImages {
        /// Which input takes what.
        problem: String,
    },
    /// A preprocessed image has not the size the model takes.
    #[error("after preprocessing the image is {found:?}, the input `{input}` takes {expected}")]
    ImageShape {
        /// The input.
        input: String,
        /// The shape of the image.
        found: Vec<i64>,
        /// The shape of the input.
        expected: String,
    },
    /// Labels can't be read or do not cover the samples.
    #[error("labels: {problem}")]
    Labels {
        /// What was found.
        problem: String,
    },
    /// There is nothing.
    #[error("there are no samples")]
    Empty,
}

impl DatasetError {
    /// Whether the operating system is the cause.
    #[must_use]
    pub fn is_io(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Part { problem, .. } => problem.is_io(),
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Io(_) => "check the path and its permissions",
            Self::Part { problem, .. } => problem.help(),
            Self::Format | Self::EmptyFolder | Self::OneArray { .. } => {
                "save the arrays with numpy.savez(path, input_name=array, …)"
            }
            Self::Npz(_) | Self::Npy { .. } => {
                "save the arrays again with numpy.savez: numbers or booleans, no objects"
            }
            Self::Missing { .. } => {
                "name the arrays after the inputs: numpy.savez(path, input_name=array)"
            }
            Self::ElemType { .. } | Self::Shape { .. } => {
                "save the arrays as the model takes them, preprocessed, samples along axis 0"
            }
            Self::Samples { .. } | Self::Empty => "give every array the same number of samples",
            Self::Unstackable { .. } => "give samples of one shape, or a single one",
            Self::TensorProto { .. } => {
                "write inputs as test_data_set_0/input_0.pb with onnx.numpy_helper.from_array"
            }
            Self::Polygraphy { .. } => {
                "write the file with `polygraphy run --save-inputs FILE.json`, or give an .npz"
            }
            Self::Image { .. } => "convert the image to an 8-bit JPEG or PNG",
            Self::NotForImages { .. } => "give the preprocessed samples as .npz",
            Self::ImageShape { .. } => {
                "--resize 256 --center-crop 224 give images one size; --layout tells where the \
                 channels are"
            }
            Self::Labels { .. } => {
                "one line per sample, `file,label` or the label alone in the order of the samples, \
                 labels being the numbers of the classes from 0"
            }
        }
    }

    /// The same, said of one file of a folder.
    pub(super) fn of_file(self, path: &Path) -> Self {
        self.of(file_name(path))
    }

    /// The same, said of a file by its name in the folder.
    pub(super) fn of(self, file: String) -> Self {
        Self::Part { file, problem: Box::new(self) }
    }
}

impl From<lapidary_proto::OpenError> for DatasetError {
    fn from(error: lapidary_proto::OpenError) -> Self {
        match error {
            lapidary_proto::OpenError::Io { source, .. } => Self::Io(source),
            lapidary_proto::OpenError::NotAFile { found, .. } => {
                Self::Io(io::Error::other(format!("it is {found}, expected a file")))
            }
        }
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn names(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}
