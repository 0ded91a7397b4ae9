//! Samples for calibration and for tests.
use crate::numpy;
use lapidary_ir::{Dim, ElemType, Graph, Tensor};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use thiserror::Error;

/// The array that holds labels in an .npz file.
const LABELS: &str = "y";

/// Samples: for every input of a model one array with the samples along axis 0.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The arrays by input name.
    pub inputs: BTreeMap<String, Tensor>,
    /// The class of every sample, if known.
    pub labels: Option<Vec<i64>>,
    /// The number of samples.
    pub samples: usize,
}

/// Why data can't be used.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The file can't be opened or read.
    #[error("the file can't be read")]
    Io(#[from] io::Error),
    /// The file is neither .npy nor .npz.
    #[error("the file name ends in neither .npy nor .npz")]
    Format,
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
    /// There is nothing.
    #[error("there are no samples")]
    Empty,
}

impl DatasetError {
    /// Whether the operating system is the cause.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io(_))
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Io(_) => "check the path and its permissions",
            Self::Format | Self::OneArray { .. } => {
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
        }
    }
}

fn names(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

impl Dataset {
    /// Reads `.npz` (arrays by input name, labels under `y`) or `.npy` (the only input).
    ///
    /// # Errors
    /// When the file can't be read or does not fit the inputs of `graph`.
    pub fn read(path: &Path, graph: &Graph, limit: Option<usize>) -> Result<Self, DatasetError> {
        let mut arrays = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => numpy::read_npz(path)?,
            Some("npy") => {
                let inputs: Vec<String> = required_inputs(graph);
                let [input] = inputs.as_slice() else {
                    return Err(DatasetError::OneArray { inputs });
                };
                BTreeMap::from([(input.clone(), numpy::read_npy(path)?)])
            }
            _ => return Err(DatasetError::Format),
        };
        let labels = match required_inputs(graph).iter().any(|input| input == LABELS) {
            true => None,
            false => arrays.remove(LABELS),
        };
        let mut dataset = Self::new(arrays, graph)?;
        dataset.labels = labels.map(|labels| dataset.check_labels(&labels)).transpose()?;
        Ok(match limit {
            Some(limit) if limit < dataset.samples => dataset.take(limit),
            _ => dataset,
        })
    }

    /// Samples from arrays by input name; arrays no input takes are left out.
    ///
    /// # Errors
    /// When an input has no array, or one of another type or shape.
    pub fn new(arrays: BTreeMap<String, Tensor>, graph: &Graph) -> Result<Self, DatasetError> {
        let found: Vec<String> = arrays.keys().cloned().collect();
        let mut inputs: BTreeMap<String, Tensor> = BTreeMap::new();
        for id in graph.required_inputs() {
            let value = graph.value(id);
            let name = value.name().to_owned();
            let Some(array) = arrays.get(&name) else {
                return Err(DatasetError::Missing { input: name, found });
            };
            if let Some(expected) = value.elem_type()
                && expected != array.elem_type()
            {
                return Err(DatasetError::ElemType { name, found: array.elem_type(), expected });
            }
            if let Some(shape) = value.shape()
                && !fits(array.dims(), shape)
            {
                let dims: Vec<String> = shape.iter().skip(1).map(Dim::to_string).collect();
                let expected = format!("[samples, {}]", dims.join(", "));
                return Err(DatasetError::Shape { name, found: array.dims().to_vec(), expected });
            }
            if let Some((first, other)) = inputs.first_key_value()
                && other.dims().first() != array.dims().first()
            {
                let samples = |tensor: &Tensor| tensor.dims().first().map_or(0, |&n| n as usize);
                return Err(DatasetError::Samples {
                    name,
                    found: samples(array),
                    first: first.clone(),
                    expected: samples(other),
                });
            }
            inputs.insert(name, array.clone());
        }
        let samples = inputs.values().next().and_then(|tensor| tensor.dims().first().copied());
        match samples {
            Some(samples) if samples > 0 => {
                Ok(Self { inputs, labels: None, samples: samples as usize })
            }
            _ => Err(DatasetError::Empty),
        }
    }

    /// All samples of inputs that were made for a model: one run.
    #[must_use]
    pub fn whole(inputs: BTreeMap<String, Tensor>) -> Self {
        let samples = inputs.values().next().and_then(|tensor| tensor.dims().first().copied());
        Self { inputs, labels: None, samples: samples.unwrap_or(1) as usize }
    }

    fn check_labels(&self, labels: &Tensor) -> Result<Vec<i64>, DatasetError> {
        let values = labels.to_i64().ok_or_else(|| DatasetError::Npy {
            name: LABELS.to_owned(),
            problem: format!("labels are {}, expected integers", labels.elem_type()),
        })?;
        if values.len() != self.samples {
            let first = self.inputs.keys().next().cloned().unwrap_or_default();
            return Err(DatasetError::Samples {
                name: LABELS.to_owned(),
                found: values.len(),
                first,
                expected: self.samples,
            });
        }
        Ok(values)
    }

    /// The first `count` samples.
    #[must_use]
    pub fn take(&self, count: usize) -> Self {
        let keep: Vec<usize> = (0..count.min(self.samples)).collect();
        let cut = |tensor: &Tensor| tensor.gather_axis(0, &keep).unwrap_or_else(|| tensor.clone());
        let inputs = self.inputs.iter().map(|(name, tensor)| (name.clone(), cut(tensor))).collect();
        let labels = self.labels.as_ref().map(|labels| labels[..keep.len()].to_vec());
        Self { inputs, labels, samples: keep.len() }
    }
}

/// Whether an array of samples has the dimensions of an input, whatever its first one.
fn fits(dims: &[i64], shape: &[Dim]) -> bool {
    let same = |(found, expected): (&i64, &Dim)| expected.value().is_none_or(|dim| dim == *found);
    dims.len() == shape.len() && !dims.is_empty() && dims.iter().zip(shape).skip(1).all(same)
}

fn required_inputs(graph: &Graph) -> Vec<String> {
    graph.required_inputs().map(|id| graph.value(id).name().to_owned()).collect()
}
