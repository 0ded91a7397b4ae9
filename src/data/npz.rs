//! Archives as `numpy.savez` and `numpy.savez_compressed` write them: zip files with an .npy per array.
use super::DatasetError;
use super::column::{Column, Extent};
use super::npy::{self, Header};
use super::spool::spool;
use lapidary_proto::Bytes;
use std::io::{self, Cursor, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Bytes of the header of a member that is stored in the archive, without its name and extra field.
const LOCAL_HEADER: usize = 30;

/// An open archive.
pub(super) struct Archive {
    file: Extent,
    zip: ZipArchive<Cursor<Bytes>>,
    /// The arrays in the order of the archive.
    pub(super) names: Vec<String>,
}

impl Archive {
    pub(super) fn new(file: Extent) -> Result<Self, DatasetError> {
        let problem = |error: ZipError| DatasetError::Npz(error.to_string());
        let mut zip = ZipArchive::new(Cursor::new(file.bytes.clone())).map_err(problem)?;
        let count = zip.len();
        let name = |index| -> Result<String, DatasetError> {
            let member = zip.by_index_raw(index).map_err(problem)?;
            let name = member.name();
            Ok(name.strip_suffix(".npy").unwrap_or(name).to_owned())
        };
        let names = (0..count).map(name).collect::<Result<_, _>>()?;
        Ok(Self { file, zip, names })
    }

    /// The header of array `index`; nothing else is read.
    pub(super) fn header(&mut self, index: usize) -> Result<Header, String> {
        let mut member = self.zip.by_index(index).map_err(|error| error.to_string())?;
        Header::read(&mut member)
    }

    /// Array `index`: in place if it is stored without compression, else inflated.
    pub(super) fn column(&mut self, index: usize) -> Result<Column, String> {
        let mut member = self.zip.by_index(index).map_err(|error| error.to_string())?;
        let (start, length) = (member.header_start(), member.size());
        if member.compression() == CompressionMethod::Stored {
            let stored = stored(&self.file, start, length);
            return npy::column(&stored.ok_or("it reaches beyond the end of the archive")?);
        }
        let inflated = spool(length, |writer| {
            let copied = io::copy(&mut (&mut member).take(length), writer)?;
            if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        npy::column(&inflated.map_err(|error| error.to_string())?)
    }
}

/// The bytes of a member without compression, whose header is at `start`.
fn stored(file: &Extent, start: u64, length: u64) -> Option<Extent> {
    let start = usize::try_from(start).ok()?;
    let header = file.bytes.get(start..start.checked_add(LOCAL_HEADER)?)?;
    let short = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let data = start + LOCAL_HEADER + short(26) + short(28);
    let end = data.checked_add(usize::try_from(length).ok()?)?;
    let bytes = (end <= file.bytes.len()).then(|| file.bytes.slice(data..end))?;
    Some(Extent { bytes, ..file.slice(data..) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::Tensor;
    use ndarray::Array2;
    use ndarray_npy::NpzWriter;

    fn archive(compressed: bool) -> Bytes {
        let mut file = Cursor::new(Vec::new());
        let mut npz = match compressed {
            true => NpzWriter::new_compressed(&mut file),
            false => NpzWriter::new(&mut file),
        };
        npz.add_array("x", &Array2::<f32>::from_elem((2, 3), 1.5)).expect("it is written");
        npz.add_array("y", &Array2::<i64>::from_elem((1, 2), 7)).expect("it is written");
        npz.finish().expect("it is written");
        file.into_inner().into()
    }

    fn in_memory(bytes: &Bytes) -> Extent {
        Extent { bytes: bytes.clone(), place: None }
    }

    #[test]
    fn arrays_are_read_in_place_or_inflated() {
        for compressed in [false, true] {
            let bytes = archive(compressed);
            let mut npz = Archive::new(in_memory(&bytes)).expect("it is an archive");
            assert_eq!(npz.names, ["x", "y"]);
            assert_eq!(npz.header(1).expect("it has one").dims, [1, 2]);
            let x = npz.column(0).expect("it is an array").whole().expect("it is in memory");
            assert!(x.same_content(&Tensor::new(&[2, 3], &[1.5f32; 6])));
            let inside = bytes.as_ptr_range().contains(&x.bytes().expect("numbers").as_ptr());
            assert_eq!(inside, !compressed);
        }
    }

    #[test]
    fn a_cut_archive_is_refused() {
        let bytes = archive(false);
        assert!(Archive::new(in_memory(&bytes.slice(..bytes.len() / 2))).is_err());
        assert!(stored(&in_memory(&bytes), 0, u64::MAX).is_none());
        assert!(stored(&in_memory(&bytes), bytes.len() as u64 - 3, 1).is_none());
    }
}
