//! Samples in arrays: in memory, in one .npy or .npz file, or in a folder of them.
use super::column::{Column, Extent};
use super::error::file_name;
use super::npy::{self, Header};
use super::npz::Archive;
use super::signature::{Axis, Expected, Signature};
use super::{DatasetError, Source, stack};
use lapidary_exec::Inputs;
use lapidary_ir::{ElemType, Tensor};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The array that holds labels in an .npz file.
const LABELS: &str = "y";

/// Arrays with the samples along axis 0.
#[derive(Debug)]
pub(super) struct Arrays {
    inputs: BTreeMap<String, Column>,
    samples: usize,
}

impl Source for Arrays {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        let part = |(name, column): (&String, &Column)| {
            let rows = match range == (0..self.samples) {
                true => column.whole(),
                false => column.rows(&range),
            };
            let rows = rows.map_err(|error| unreadable(name, error.to_string()))?;
            Ok((name.clone(), rows))
        };
        self.inputs.iter().map(part).collect()
    }
}

impl Arrays {
    /// Arrays by input name; those no input takes are left out.
    pub(super) fn of_memory(
        mut arrays: Inputs,
        signature: &Signature,
    ) -> Result<Self, DatasetError> {
        let samples = fit(signature, &names(&arrays), false, &mut |input| {
            Ok(arrays.get(&input.name).map(|array| (array.elem_type(), array.dims().to_vec())))
        })?;
        arrays.retain(|name, _| signature.find(name).is_some());
        let column = |(name, tensor)| (name, Column::Memory(tensor));
        Ok(Self { inputs: arrays.into_iter().map(column).collect(), samples: samples.count })
    }

    /// The arrays of a file, and its labels.
    pub(super) fn of_file(
        path: &Path,
        signature: &Signature,
    ) -> Result<(Self, Option<Vec<i64>>), DatasetError> {
        let mut file = File::open(path, signature)?;
        let samples = file.fit(signature, false)?;
        let labels = file.labels(signature, samples.count)?;
        Ok((file.load(signature, samples)?, labels))
    }
}

fn names(arrays: &Inputs) -> Vec<String> {
    arrays.keys().cloned().collect()
}

/// Every array of an .npz file, as it is.
///
/// # Errors
/// When the file is no .npz, or can't be read.
pub(crate) fn all(path: &Path) -> Result<Inputs, DatasetError> {
    let file = Extent { bytes: lapidary_proto::contents(path, true)?, place: None };
    let mut archive = Archive::new(file)?;
    let names = archive.names.clone();
    let array = |(index, name): (usize, String)| {
        let column = archive.column(index).map_err(|problem| unreadable(&name, problem))?;
        Ok((name, column.whole()?))
    };
    names.into_iter().enumerate().map(array).collect()
}

/// How many samples arrays have.
#[derive(Debug, Clone, Copy)]
struct Samples {
    count: usize,
    axis: Axis,
}

/// Type and dimensions of the array of an input, if there is one.
type Lookup<'a> = dyn FnMut(&Expected) -> Result<Option<(ElemType, Vec<i64>)>, DatasetError> + 'a;

/// Checks that every input has its array.
fn fit(
    signature: &Signature,
    found: &[String],
    single: bool,
    lookup: &mut Lookup<'_>,
) -> Result<Samples, DatasetError> {
    let mut first: Option<(&str, Samples)> = None;
    for input in &signature.inputs {
        let Some((elem_type, dims)) = lookup(input)? else {
            return Err(DatasetError::Missing { input: input.name.clone(), found: found.to_vec() });
        };
        let axis = input.fit(elem_type, &dims, single)?;
        let count = match axis {
            Axis::Samples => dims.first().map_or(0, |&dim| dim as usize),
            Axis::Missing => 1,
        };
        match first {
            Some((first, samples)) if samples.count != count => {
                return Err(DatasetError::Samples {
                    name: input.name.clone(),
                    found: count,
                    first: first.to_owned(),
                    expected: samples.count,
                });
            }
            None => first = Some((&input.name, Samples { count, axis })),
            Some(_) => {}
        }
    }
    first.map(|(_, samples)| samples).filter(|samples| samples.count > 0).ok_or(DatasetError::Empty)
}

/// An open file of arrays.
enum File {
    /// The array of the only input.
    Npy {
        input: String,
        file: Extent,
    },
    Npz(Archive),
}

impl File {
    fn open(path: &Path, signature: &Signature) -> Result<Self, DatasetError> {
        let is_npz = path.extension().is_some_and(|extension| extension == "npz");
        let input = if is_npz { None } else { Some(signature.only()?.name.clone()) };
        let bytes = lapidary_proto::contents(path, true)?;
        let file = Extent { bytes, place: Some((Arc::new(fs::File::open(path)?), 0)) };
        Ok(match input {
            Some(input) => Self::Npy { input, file },
            None => Self::Npz(Archive::new(file)?),
        })
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Npy { input, .. } => vec![input.clone()],
            Self::Npz(archive) => archive.names.clone(),
        }
    }

    fn header(&mut self, name: &str) -> Result<Option<Header>, DatasetError> {
        let header = match self {
            Self::Npy { input, file } => {
                (input == name).then(|| Header::read(&mut &file.bytes[..]))
            }
            Self::Npz(archive) => {
                let index = archive.names.iter().position(|found| found == name);
                index.map(|index| archive.header(index))
            }
        };
        header.transpose().map_err(|problem| unreadable(name, problem))
    }

    fn column(&mut self, name: &str) -> Result<Option<Column>, DatasetError> {
        let column = match self {
            Self::Npy { input, file } => (input == name).then(|| npy::column(file)),
            Self::Npz(archive) => {
                let index = archive.names.iter().position(|found| found == name);
                index.map(|index| archive.column(index))
            }
        };
        column.transpose().map_err(|problem| unreadable(name, problem))
    }

    /// Checks the headers of the arrays.
    fn fit(&mut self, signature: &Signature, single: bool) -> Result<Samples, DatasetError> {
        let names = self.names();
        let names: Vec<String> = match signature.find(LABELS) {
            Some(_) => names,
            None => names.into_iter().filter(|name| name != LABELS).collect(),
        };
        fit(signature, &names, single, &mut |input| {
            let header = self.header(&input.name)?;
            Ok(header.map(|header| (header.elem_type, header.dims)))
        })
    }

    /// The arrays of the inputs, with an axis for the samples.
    fn load(&mut self, signature: &Signature, samples: Samples) -> Result<Arrays, DatasetError> {
        let mut inputs = BTreeMap::new();
        for input in &signature.inputs {
            let name = &input.name;
            let Some(column) = self.column(name)? else {
                return Err(DatasetError::Missing { input: name.clone(), found: self.names() });
            };
            let axis =
                input.fit(column.elem_type(), column.dims(), samples.axis == Axis::Missing)?;
            let column = match axis {
                Axis::Samples => Some(column),
                Axis::Missing => column.into_one_sample(),
            };
            inputs.insert(name.clone(), column.ok_or(DatasetError::Empty)?);
        }
        Ok(Arrays { inputs, samples: samples.count })
    }

    /// The labels, unless that name is an input's.
    fn labels(
        &mut self,
        signature: &Signature,
        samples: usize,
    ) -> Result<Option<Vec<i64>>, DatasetError> {
        if signature.find(LABELS).is_some() || matches!(self, Self::Npy { .. }) {
            return Ok(None);
        }
        let Some(labels) = self.column(LABELS)? else { return Ok(None) };
        let labels = labels.whole()?;
        let values = integers(&labels).ok_or_else(|| {
            unreadable(LABELS, format!("labels are {}, expected integers", labels.elem_type()))
        })?;
        if values.len() == samples {
            return Ok(Some(values));
        }
        Err(DatasetError::Samples {
            name: LABELS.to_owned(),
            found: values.len(),
            first: signature.inputs.first().map(|input| input.name.clone()).unwrap_or_default(),
            expected: samples,
        })
    }
}

fn unreadable(name: &str, problem: String) -> DatasetError {
    DatasetError::Npy { name: name.to_owned(), problem }
}

/// Integers of any width.
pub(super) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor.to_vec::<u64>() {
        Some(values) => values.into_iter().map(|value| i64::try_from(value).ok()).collect(),
        None => tensor.to_i64(),
    }
}

/// A folder of files, each with one sample or several.
pub(super) struct Folder {
    signature: Signature,
    files: Vec<Member>,
    samples: usize,
    /// The file read last: neighbouring samples come from the same one.
    last: Mutex<Option<(usize, Arc<Arrays>)>>,
}

#[derive(Debug)]
struct Member {
    path: PathBuf,
    /// The number of its first sample.
    first: usize,
    samples: Samples,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Folder {
    /// Checks the headers of all files. Labels are known if every file has them.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        signature: Signature,
    ) -> Result<(Self, Option<Vec<i64>>), DatasetError> {
        let (mut files, mut labels) = (Vec::with_capacity(paths.len()), Some(Vec::new()));
        let mut first = 0;
        for path in paths {
            let look = || {
                let mut file = File::open(&path, &signature)?;
                let samples = file.fit(&signature, true)?;
                Ok((samples, file.labels(&signature, samples.count)?))
            };
            let (samples, own) = look().map_err(|error: DatasetError| error.of_file(&path))?;
            labels = labels.zip(own).map(|(labels, own)| [labels, own].concat());
            files.push(Member { path, first, samples });
            first += samples.count;
        }
        if files.is_empty() {
            return Err(DatasetError::Empty);
        }
        Ok((Self { signature, files, samples: first, last: Mutex::new(None) }, labels))
    }

    /// The arrays of file `index`.
    fn member(&self, index: usize) -> Result<Arc<Arrays>, DatasetError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, arrays)) = &*last
            && *number == index
        {
            return Ok(arrays.clone());
        }
        let Member { path, samples, .. } = &self.files[index];
        let mut file = File::open(path, &self.signature)?;
        let found = file.fit(&self.signature, true)?;
        if found.count != samples.count {
            return Err(DatasetError::Samples {
                name: file_name(path),
                found: found.count,
                first: "the same file before".to_owned(),
                expected: samples.count,
            });
        }
        let arrays = Arc::new(file.load(&self.signature, found)?);
        *last = Some((index, arrays.clone()));
        Ok(arrays)
    }
}

impl Source for Folder {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        let after = self.files.partition_point(|file| file.first <= range.start);
        let mut parts = Vec::new();
        for (index, file) in self.files.iter().enumerate().skip(after.saturating_sub(1)) {
            if file.first >= range.end {
                break;
            }
            let start = range.start.max(file.first) - file.first;
            let end = (range.end - file.first).min(file.samples.count);
            let part = self.member(index).and_then(|arrays| arrays.read(start..end));
            parts.push(part.map_err(|error| error.of_file(&file.path))?);
        }
        stack::join(parts)
    }
}
