//! Arrays as `numpy.save` writes them.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. After the magic number
//! and a version stands the length of a header, which is a Python dictionary with the keys `descr` (byte
//! order, kind and width of the elements), `fortran_order` and `shape`; the elements follow.
use super::column::{Column, Extent};
use super::spool::spool;
use lapidary_ir::{ElemType, Tensor, element_count};
use lapidary_proto::Bytes;
use std::io::{self, Read};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longer headers are those of structures, which are no numbers.
const MAX_HEADER: usize = 1 << 16;

/// What stands before the elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) elem_type: ElemType,
    pub(super) dims: Vec<i64>,
    /// Whether the first axis varies fastest.
    fortran: bool,
    big_endian: bool,
    /// Bytes before the elements.
    length: usize,
}

impl Header {
    /// Reads the header and no more.
    pub(super) fn read(reader: &mut dyn Read) -> Result<Self, String> {
        let mut take = |count: usize| -> Result<Vec<u8>, String> {
            let mut bytes = vec![0; count];
            let ends = |error: io::Error| match error.kind() {
                io::ErrorKind::UnexpectedEof => "the file ends within the header".to_owned(),
                _ => error.to_string(),
            };
            reader.read_exact(&mut bytes).map_err(ends)?;
            Ok(bytes)
        };
        if take(MAGIC.len())? != MAGIC {
            return Err("it does not start as numpy's arrays do".to_owned());
        }
        let version = take(2)?;
        let digits = match version[0] {
            1 => 2,
            2 | 3 => 4,
            other => return Err(format!("its format has version {other}, known are 1 to 3")),
        };
        let size =
            take(digits)?.iter().rev().fold(0, |size, &byte| (size << 8) | usize::from(byte));
        if size > MAX_HEADER {
            return Err(format!("its header has {size} bytes, at most {MAX_HEADER} are expected"));
        }
        let text =
            String::from_utf8(take(size)?).map_err(|_| "its header is no text".to_owned())?;
        let (elem_type, big_endian) = elem_type(field(&text, "descr")?)?;
        let fortran = match field(&text, "fortran_order")? {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => return Err("its header does not say the order of the elements".to_owned()),
        };
        let dims = dims(field(&text, "shape")?)?;
        let length = MAGIC.len() + 2 + digits + size;
        Ok(Self { elem_type, dims, fortran, big_endian, length })
    }
}

/// What stands behind a key of the header.
fn field<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let behind = text.split_once(&format!("'{key}'")).map(|(_, behind)| behind.trim_start());
    let value = behind.and_then(|behind| behind.strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("its header has no `{key}`"))
}

/// The type of `'<f4'`, and whether the bytes of an element stand in the other order.
fn elem_type(text: &str) -> Result<(ElemType, bool), String> {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let unknown = |found: &str| {
        format!("its element type is `{found}`, none of float16 to float64, bool and the integers")
    };
    let Some((descr, _)) = quoted else {
        return Err(unknown(text.split('}').next().unwrap_or_default()));
    };
    let (order, kind) = match descr.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), kind)) => (order, kind),
        _ => ("=", descr),
    };
    let elem_type = match kind {
        "f2" => ElemType::FLOAT16,
        "f4" => ElemType::FLOAT,
        "f8" => ElemType::DOUBLE,
        "i1" => ElemType::INT8,
        "i2" => ElemType::INT16,
        "i4" => ElemType::INT32,
        "i8" => ElemType::INT64,
        "u1" => ElemType::UINT8,
        "u2" => ElemType::UINT16,
        "u4" => ElemType::UINT32,
        "u8" => ElemType::UINT64,
        "b1" => ElemType::BOOL,
        _ => return Err(unknown(descr)),
    };
    Ok((elem_type, order == ">"))
}

/// The sizes of `(2, 3)`, `(2,)` or `()`.
fn dims(text: &str) -> Result<Vec<i64>, String> {
    let list = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let bad = || "its header has no valid `shape`".to_owned();
    let (list, _) = list.ok_or_else(bad)?;
    let sizes = list.split(',').map(str::trim).filter(|size| !size.is_empty());
    let size = |size: &str| size.parse().ok().filter(|&size: &i64| size >= 0).ok_or_else(bad);
    sizes.map(size).collect()
}

/// The array of an .npy file. The elements stay where they are, unless they stand in another order than a
/// tensor's.
pub(super) fn column(file: &Extent) -> Result<Column, String> {
    let header = Header::read(&mut &file.bytes[..])?;
    let elements = file.slice(header.length..);
    let Header { elem_type, dims, fortran, big_endian, .. } = header;
    // Checks the length; what is reordered below is of that length.
    let tensor = Tensor::from_bytes(elem_type, dims, elements.bytes.clone());
    let tensor = tensor.map_err(|error| error.to_string())?;
    if elem_type == ElemType::BOOL && tensor.bytes().is_some_and(|b| b.iter().any(|&b| b > 1)) {
        return Err("its booleans are neither 0 nor 1".to_owned());
    }
    let (in_order, width) = (!fortran || tensor.rank() < 2, width(elem_type));
    if in_order && (!big_endian || width == 1) {
        return Ok(Column::new(tensor, elements));
    }
    let reordered = spool(tensor.byte_len(), |writer| {
        let data = tensor.bytes().map_or(&[][..], |bytes| bytes);
        let mut element = |index: usize| {
            let bytes = &data[index * width..][..width];
            let mut copy = [0; 8];
            copy[..width].copy_from_slice(bytes);
            if big_endian {
                copy[..width].reverse();
            }
            writer.write_all(&copy[..width])
        };
        if in_order {
            (0..tensor.len()).try_for_each(element)
        } else {
            row_major(tensor.dims(), &mut element)
        }
    });
    let reordered = reordered.map_err(|error| error.to_string())?;
    let dims = tensor.dims().to_vec();
    let tensor = Tensor::from_bytes(elem_type, dims, reordered.bytes.clone());
    Ok(Column::new(tensor.map_err(|error| error.to_string())?, reordered))
}

/// The array in the bytes of an .npy file, in memory.
pub(super) fn tensor(bytes: Bytes) -> Result<Tensor, String> {
    let column = column(&Extent { bytes, place: None })?;
    column.whole().map_err(|error| error.to_string())
}

fn width(elem_type: ElemType) -> usize {
    elem_type.bits().map_or(1, |bits| (bits / 8) as usize)
}

/// Visits the places of elements, stored with the first axis varying fastest, in the order of a tensor.
fn row_major(dims: &[i64], visit: &mut dyn FnMut(usize) -> io::Result<()>) -> io::Result<()> {
    let count = element_count(dims).unwrap_or(0) as usize;
    let strides: Vec<usize> = dims
        .iter()
        .scan(1, |stride, &dim| Some(std::mem::replace(stride, *stride * dim as usize)))
        .collect();
    let mut index = vec![0usize; dims.len()];
    let mut place = 0;
    for _ in 0..count {
        visit(place)?;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < dims[axis] as usize {
                break;
            }
            place -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Bytes {
        let length = u16::try_from(header.len()).expect("headers are short").to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat().into()
    }

    fn header(descr: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}   \n")
    }

    #[test]
    fn elements_stay_where_they_are() {
        let bytes = file(&header("<i2", "False", "(2, 2)"), &[1, 0, 2, 0, 3, 0, 4, 1]);
        let found = tensor(bytes.clone()).expect("it is an array");
        assert!(found.same_content(&Tensor::new(&[2, 2], &[1i16, 2, 3, 260])));
        let data = found.bytes().expect("numbers").as_ptr();
        assert_eq!(data, bytes[bytes.len() - 8..].as_ptr());
    }

    #[test]
    fn other_orders_are_put_right() {
        let bytes = file(&header(">i2", "False", "(2,)"), &[0, 1, 2, 3]);
        let found = tensor(bytes.clone()).expect("it is an array");
        assert!(found.same_content(&Tensor::vector(&[1i16, 515])));
        // a[i, j, k] = 100 i + 10 j + k
        let columns = [0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121];
        let found = tensor(file(&header("|u1", "True", "(2, 3, 2)"), &columns));
        let rows = [0u8, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121];
        assert!(found.expect("it is an array").same_content(&Tensor::new(&[2, 3, 2], &rows)));
    }

    #[test]
    fn what_is_no_array_of_numbers_is_named() {
        let problem = |bytes: Bytes| tensor(bytes).expect_err("it is no array");
        assert_eq!(
            problem(b"hello, world".to_vec().into()),
            "it does not start as numpy's arrays do"
        );
        assert_eq!(problem(MAGIC.to_vec().into()), "the file ends within the header");
        let short = problem(file(&header("<f4", "False", "(2,)"), &[0; 4]));
        assert_eq!(short, "4 bytes of data, expected 8 for float[2]");
        assert!(problem(file(&header("|O", "False", "(1,)"), &[0; 8])).contains("`|O`"));
        assert!(problem(file(&header("<c8", "False", "(1,)"), &[0; 8])).contains("`<c8`"));
        assert!(problem(file(&header("|b1", "False", "(1,)"), &[2])).contains("neither 0 nor 1"));
        assert!(problem(file(&header("<f4", "False", "(-1,)"), &[])).contains("shape"));
        assert!(
            problem(file(&header("<f4", "False", "(9999999999, 9999999999)"), &[])).contains("64")
        );
        assert!(problem(file("{'descr': [('a', '<f4')], }", &[])).contains("element type"));
    }

    #[test]
    fn a_scalar_has_no_dimensions() {
        let found = tensor(file(&header("<f2", "False", "()"), &[0, 0x3c])).expect("an array");
        assert_eq!(found.as_f32(), Some(1.0));
    }
}
