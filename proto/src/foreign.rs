//! Files that are often taken for ONNX models, told by their first bytes.

use std::fmt;

/// A format that is not ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A picture.
    Image,
    /// A zip archive, which is also what PyTorch and Keras save.
    Zip,
    /// Compressed with gzip.
    Gzip,
    /// The stand-in that Git LFS leaves for a file it has not downloaded.
    GitLfsPointer,
    /// A web page, usually an error page saved under the name of the model.
    Html,
    /// ONNX Runtime's own serialization.
    OrtFormat,
    /// TensorFlow Lite.
    TensorFlowLite,
    /// HDF5, the older Keras format.
    Hdf5,
    /// GGUF.
    Gguf,
    /// safetensors.
    SafeTensors,
    /// Text.
    Text,
}

impl Foreign {
    /// The format these bytes look like, if it is one of those.
    pub fn recognize(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
        let at = |offset: usize, magic: &[u8]| {
            head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
        };
        if at(0, b"\x89PNG") || at(0, b"\xff\xd8\xff") || at(0, b"GIF8") {
            return Some(Self::Image);
        }
        if at(0, b"PK\x03\x04") {
            return Some(Self::Zip);
        }
        if at(0, b"\x1f\x8b") {
            return Some(Self::Gzip);
        }
        if at(0, b"version https://git-lfs") {
            return Some(Self::GitLfsPointer);
        }
        if at(4, b"ORTM") {
            return Some(Self::OrtFormat);
        }
        if at(4, b"TFL3") {
            return Some(Self::TensorFlowLite);
        }
        if at(0, b"\x89HDF") {
            return Some(Self::Hdf5);
        }
        if at(0, b"GGUF") {
            return Some(Self::Gguf);
        }
        if at(8, b"{\"") {
            return Some(Self::SafeTensors);
        }
        let text = head.trim_ascii_start();
        let is_html =
            |tag: &[u8]| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        if is_html(b"<!doctype html") || is_html(b"<html") {
            return Some(Self::Html);
        }
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
        (!head.is_empty() && head.iter().all(is_text)).then_some(Self::Text)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "it is an image",
            Self::Zip => "it is a zip archive, as PyTorch and Keras write them; export the model to ONNX first",
            Self::Gzip => "it is compressed with gzip; decompress it first",
            Self::GitLfsPointer => "it is a Git LFS pointer; fetch the file with `git lfs pull`",
            Self::Html => "it is a web page; the download probably failed",
            Self::OrtFormat => "it is in the ORT format of ONNX Runtime; use the `.onnx` file it was made from",
            Self::TensorFlowLite => "it is a TensorFlow Lite model",
            Self::Hdf5 => "it is an HDF5 file, as Keras writes them; export the model to ONNX first",
            Self::Gguf => "it is a GGUF model",
            Self::SafeTensors => "it is a safetensors file: weights without a graph",
            Self::Text => "it is text",
        })
    }
}
