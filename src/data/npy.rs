//! Arrays as numpy saves them.
use crate::DatasetError;
use lapidary_ir::{Element, Tensor};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;

/// Reads the array of an .npy file.
pub(crate) fn read_npy(path: &Path) -> Result<Tensor, DatasetError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = File::open(path)?;
    let mut reader = BufReader::new(file);
    let problem = |problem| DatasetError::Npy { name: name.clone(), problem };
    first_that_fits(&mut |kind| {
        reader.rewind().map_err(|error| error.to_string())?;
        kind.npy(&mut reader)
    })
    .map_err(problem)
}

/// Reads the arrays of an .npz archive by name.
pub(crate) fn read_npz(path: &Path) -> Result<BTreeMap<String, Tensor>, DatasetError> {
    let npz = |error: ReadNpzError| DatasetError::Npz(error.to_string());
    let mut reader = NpzReader::new(BufReader::new(File::open(path)?)).map_err(npz)?;
    let files = reader.names().map_err(npz)?;
    let mut arrays = BTreeMap::new();
    for file in files {
        let name = file.strip_suffix(".npy").unwrap_or(&file).to_owned();
        let tensor = first_that_fits(&mut |kind| kind.npz(&mut reader, &file))
            .map_err(|problem| DatasetError::Npy { name: name.clone(), problem })?;
        arrays.insert(name, tensor);
    }
    Ok(arrays)
}

type Npz = NpzReader<BufReader<File>>;

/// The element types an array may have.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

const KINDS: [Kind; 11] = [
    Kind::F32,
    Kind::F64,
    Kind::I64,
    Kind::I32,
    Kind::I16,
    Kind::I8,
    Kind::U64,
    Kind::U32,
    Kind::U16,
    Kind::U8,
    Kind::Bool,
];

/// Tries the element types until the reader accepts one: the header says which, but the reader
/// has to be asked by type.
fn first_that_fits(
    read: &mut dyn FnMut(Kind) -> Result<Option<Tensor>, String>,
) -> Result<Tensor, String> {
    for kind in KINDS {
        if let Some(tensor) = read(kind)? {
            return Ok(tensor);
        }
    }
    Err("its element type is none of float32, float64, bool and the integers".to_owned())
}

macro_rules! by_kind {
    ($kind:expr, $read:ident $(, $argument:expr)*) => {
        match $kind {
            Kind::F32 => $read::<f32>($($argument),*),
            Kind::F64 => $read::<f64>($($argument),*),
            Kind::I64 => $read::<i64>($($argument),*),
            Kind::I32 => $read::<i32>($($argument),*),
            Kind::I16 => $read::<i16>($($argument),*),
            Kind::I8 => $read::<i8>($($argument),*),
            Kind::U64 => $read::<u64>($($argument),*),
            Kind::U32 => $read::<u32>($($argument),*),
            Kind::U16 => $read::<u16>($($argument),*),
            Kind::U8 => $read::<u8>($($argument),*),
            Kind::Bool => $read::<bool>($($argument),*),
        }
    };
}

impl Kind {
    fn npy(self, reader: &mut BufReader<File>) -> Result<Option<Tensor>, String> {
        by_kind!(self, npy_of, reader)
    }

    fn npz(self, reader: &mut Npz, file: &str) -> Result<Option<Tensor>, String> {
        by_kind!(self, npz_of, reader, file)
    }
}

fn npy_of<T: ReadableElement + Element>(
    reader: &mut BufReader<File>,
) -> Result<Option<Tensor>, String> {
    accept(ArrayD::<T>::read_npy(reader))
}

fn npz_of<T: ReadableElement + Element>(
    reader: &mut Npz,
    file: &str,
) -> Result<Option<Tensor>, String> {
    match reader.by_name::<OwnedRepr<T>, IxDyn>(file) {
        Err(ReadNpzError::Npy(error)) => accept::<T>(Err(error)),
        Err(error) => Err(error.to_string()),
        Ok(array) => accept(Ok(array)),
    }
}

/// The tensor of an array, or nothing when its element type is another one.
fn accept<T: Element>(read: Result<ArrayD<T>, ReadNpyError>) -> Result<Option<Tensor>, String> {
    match read {
        Ok(array) => {
            let dims: Vec<i64> = array.shape().iter().map(|&dim| dim as i64).collect();
            let values: Vec<T> = array.iter().copied().collect();
            Ok(Some(Tensor::new(&dims, &values)))
        }
        Err(ReadNpyError::WrongDescriptor(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
