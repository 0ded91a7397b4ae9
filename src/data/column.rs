//! One array of samples: in memory, or in a file of which a few rows at a time are read.
use super::stack;
use lapidary_ir::{ElemType, Tensor, element_count};
use lapidary_proto::Bytes;
use std::fs::File;
use std::io;
use std::ops::{Range, RangeFrom};
use std::sync::Arc;

/// Bytes, and where they stand if that is in a file: there they are better read in parts, since what is read
/// of a map counts as memory of the process as long as the map exists.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) bytes: Bytes,
    pub(super) place: Option<(Arc<File>, u64)>,
}

impl Extent {
    /// What begins `range.start` bytes behind the beginning.
    pub(super) fn slice(&self, range: RangeFrom<usize>) -> Self {
        let behind = range.start as u64;
        let place = self.place.as_ref().map(|(file, start)| (file.clone(), start + behind));
        Self { bytes: self.bytes.slice(range), place }
    }
}

impl From<Vec<u8>> for Extent {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), place: None }
    }
}

/// An array with the samples along axis 0.
#[derive(Debug)]
pub(super) enum Column {
    Memory(Tensor),
    File(InFile),
}

/// An array whose elements stand in a file, row-major and little-endian.
#[derive(Debug)]
pub(super) struct InFile {
    file: Arc<File>,
    /// The place of the first element.
    start: u64,
    elem_type: ElemType,
    dims: Vec<i64>,
}

impl Column {
    /// The array of a tensor whose elements stand in an extent as they are.
    pub(super) fn new(tensor: Tensor, elements: Extent) -> Self {
        match elements.place {
            None => Self::Memory(tensor),
            Some((file, start)) => {
                let (elem_type, dims) = (tensor.elem_type(), tensor.dims().to_vec());
                Self::File(InFile { file, start, elem_type, dims })
            }
        }
    }

    pub(super) fn elem_type(&self) -> ElemType {
        match self {
            Self::Memory(tensor) => tensor.elem_type(),
            Self::File(array) => array.elem_type,
        }
    }

    pub(super) fn dims(&self) -> &[i64] {
        match self {
            Self::Memory(tensor) => tensor.dims(),
            Self::File(array) => &array.dims,
        }
    }

    /// The same array as the only sample.
    pub(super) fn into_one_sample(self) -> Option<Self> {
        let dims = [&[1], self.dims()].concat();
        match self {
            Self::Memory(tensor) => tensor.reshaped(dims).ok().map(Self::Memory),
            Self::File(array) => Some(Self::File(InFile { dims, ..array })),
        }
    }

    /// The whole array.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn whole(&self) -> io::Result<Tensor> {
        match self {
            Self::Memory(tensor) => Ok(tensor.clone()),
            Self::File(array) => array.read(0, array.dims.clone()),
        }
    }

    /// Some entries of axis 0.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn rows(&self, range: &Range<usize>) -> io::Result<Tensor> {
        match self {
            Self::Memory(tensor) => {
                stack::rows(tensor, range).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            Self::File(array) => {
                let (_, rest) = array.dims.split_first().ok_or(io::ErrorKind::InvalidData)?;
                let dims = [&[range.len() as i64], rest].concat();
                array.read(range.start as u64 * array.bytes(rest)?, dims)
            }
        }
    }
}

impl InFile {
    /// The bytes of an array of these dimensions.
    fn bytes(&self, dims: &[i64]) -> io::Result<u64> {
        let width = self.elem_type.bits().unwrap_or(8).div_ceil(8);
        let count = element_count(dims).map_err(io::Error::other)?;
        count.checked_mul(width).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// An array of these dimensions that begins so many bytes behind the first element.
    fn read(&self, behind: u64, dims: Vec<i64>) -> io::Result<Tensor> {
        let length = usize::try_from(self.bytes(&dims)?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        read_at(&self.file, &mut bytes, self.start + behind)?;
        Tensor::from_bytes(self.elem_type, dims, bytes.into()).map_err(io::Error::other)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, place)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut place: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, place)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        place += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn rows_of_a_file_are_those_of_the_tensor() {
        let tensor = Tensor::new(&[3, 2], &[1i32, 2, 3, 4, 5, 6]);
        let mut file = tempfile::tempfile().expect("the temporary folder can be written to");
        file.write_all(b"head").expect("it is written");
        file.write_all(tensor.bytes().expect("numbers")).expect("it is written");
        let bytes = lapidary_proto::map(&file).expect("it can be mapped");
        let extent = Extent { bytes, place: Some((Arc::new(file), 0)) }.slice(4..);
        let in_file = Column::new(tensor.clone(), extent);
        let in_memory = Column::Memory(tensor.clone());
        for range in [0..1, 1..3, 0..3] {
            let read = |column: &Column| column.rows(&range).expect("it can be read");
            assert!(read(&in_file).same_content(&read(&in_memory)), "{range:?}");
        }
        assert!(in_file.whole().expect("it can be read").same_content(&tensor));
        let one = in_file.into_one_sample().expect("it has dimensions");
        assert_eq!(one.rows(&(0..1)).expect("it can be read").dims(), [1, 3, 2]);
        assert!(one.rows(&(1..2)).is_err(), "the file ends");
    }
}
