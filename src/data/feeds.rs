//! Whole feeds: everything a model is given at once, in the shapes it takes.
use super::error::file_name;
use super::signature::Signature;
use super::{DatasetError, Source, folder, stack};
use lapidary_exec::Inputs;
use lapidary_ir::Tensor;
use lapidary_proto::{onnx::TensorProto, prost::Message};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Inputs that were made for a model. Those with as many entries on axis 0 as the first one have an entry per
/// sample.
#[derive(Debug)]
pub(super) struct Memory(pub(super) Inputs);

impl Source for Memory {
    fn len(&self) -> usize {
        let first = self.0.values().next().and_then(|tensor| tensor.dims().first());
        first.map_or(1, |&samples| samples as usize)
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        let samples = self.len();
        if range == (0..samples) {
            return Ok(self.0.clone());
        }
        let part = |(name, tensor): (&String, &Tensor)| {
            let counts = tensor.dims().first() == Some(&(samples as i64));
            let rows = if counts { stack::rows(tensor, &range) } else { None };
            (name.clone(), rows.unwrap_or_else(|| tensor.clone()))
        };
        Ok(self.0.iter().map(part).collect())
    }

    fn is_divisible(&self) -> bool {
        false
    }
}

/// ONNX's test data: a folder per feed with `input_0.pb`, `input_1.pb`, … in it, each a `TensorProto`.
///
/// A tensor feeds the input of its name, or else, as in ONNX's own tests, the input of its number.
#[derive(Debug)]
pub(super) struct TestData {
    signature: Signature,
    folders: Vec<PathBuf>,
}

impl TestData {
    /// The feeds of a folder that has `test_data_set_*`, or of such a folder itself; none if it is neither.
    pub(super) fn find(path: &Path, signature: &Signature) -> Result<Option<Self>, DatasetError> {
        let is_set = |path: &PathBuf| path.is_dir() && number(path, "test_data_set_", "").is_some();
        let mut folders: Vec<PathBuf> = folder::entries(path)?.into_iter().filter(is_set).collect();
        folders.sort_by_key(|path| number(path, "test_data_set_", ""));
        if folders.is_empty() && path.join("input_0.pb").is_file() {
            folders.push(path.to_owned());
        }
        if folders.is_empty() {
            return Ok(None);
        }
        let found = Self { signature: signature.clone(), folders };
        // What is wrong with the first feed is said before any work.
        found.feed(0)?;
        Ok(Some(found))
    }

    fn feed(&self, index: usize) -> Result<Inputs, DatasetError> {
        let set = &self.folders[index];
        let named = |path: &PathBuf| number(path, "input_", ".pb").is_some();
        let mut files: Vec<PathBuf> = folder::entries(set)?.into_iter().filter(named).collect();
        files.sort_by_key(|path| number(path, "input_", ".pb"));
        let read = |path: &PathBuf| {
            let name = || format!("{}/{}", file_name(set), file_name(path));
            tensor(path).map_err(|error| error.of(name()))
        };
        let tensors: Vec<(String, Tensor)> = files.iter().map(read).collect::<Result<_, _>>()?;
        self.assign(tensors).map_err(|error| error.of_file(set))
    }

    /// Gives the tensors to the inputs.
    fn assign(&self, tensors: Vec<(String, Tensor)>) -> Result<Inputs, DatasetError> {
        let inputs = &self.signature.inputs;
        let found: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
        let by_name = inputs.iter().all(|input| found.contains(&input.name));
        let mut feed = Inputs::new();
        for (number, input) in inputs.iter().enumerate() {
            let mut own = tensors.iter().enumerate();
            let own = own.find(|(index, (name, _))| match by_name {
                true => *name == input.name,
                false => *index == number,
            });
            let Some((_, (_, tensor))) = own else {
                return Err(DatasetError::Missing { input: input.name.clone(), found });
            };
            input.fit_whole(tensor.elem_type(), tensor.dims())?;
            feed.insert(input.name.clone(), tensor.clone());
        }
        Ok(feed)
    }
}

impl Source for TestData {
    fn len(&self) -> usize {
        self.folders.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        stack::join(range.map(|index| self.feed(index)).collect::<Result<_, _>>()?)
    }

    fn is_whole(&self) -> bool {
        true
    }
}

/// The number between `prefix` and `suffix` in the name of a file.
fn number(path: &Path, prefix: &str, suffix: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok()
}

/// The tensor in a file, with its name.
fn tensor(path: &Path) -> Result<(String, Tensor), DatasetError> {
    let problem = |problem: String| DatasetError::TensorProto { problem };
    let bytes = lapidary_proto::contents(path, true)?;
    let proto = TensorProto::decode(bytes).map_err(|error| problem(error.to_string()))?;
    let name = proto.name().to_owned();
    let elsewhere = |_: &TensorProto| Err("its data is in another file".into());
    let tensor = Tensor::decode(proto, &elsewhere).map_err(|error| problem(error.to_string()))?;
    Ok((name, tensor))
}
