//! Weights that are zero.
use crate::data::arrays;
use crate::{Dataset, Error};
use lapidary_exec::Inputs;
use lapidary_ir::{Model, Tensor};
use lapidary_passes::sparsify::{self, Sparsified, SparsifyError, SparsifyOptions};
use std::io::{self, Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// How hard [`WeightBytes::of`] compresses: what zip does by default.
pub const DEFLATE_LEVEL: i64 = 6;

/// Sets weights to zero as the options say, on samples where the method needs them.
///
/// # Errors
/// When options do not go together or name what is not there, samples can't be read, or the model can't be run.
pub fn sparsify(
    model: &mut Model,
    data: Option<&Dataset>,
    options: &SparsifyOptions,
) -> Result<Sparsified, Error> {
    let samples = match data.filter(|_| options.method.needs_samples()) {
        Some(data) => Some(data.stacked().map_err(|source| Error::data(data.path(), source))?),
        None => None,
    };
    sparsify::sparsify(model, samples.as_ref(), options).map_err(refused)
}

/// Masks for [`SparsifyOptions::masks`] from an .npz file.
///
/// # Errors
/// When the file can't be read.
pub fn read_masks(path: &Path) -> Result<Inputs, Error> {
    arrays::all(path).map_err(|source| Error::data(path, source))
}

fn refused(error: SparsifyError) -> Error {
    let help = match error {
        SparsifyError::Pass(error) => return error.into(),
        SparsifyError::Execute(source) => {
            let help = "--method magnitude does not run the model";
            return Error::Execute { what: "model", source, help };
        }
        SparsifyError::Share { .. } => "--sparsity 0.5 sets half of the weights to zero",
        SparsifyError::MostPerLayer { .. } => "give a --max-per-layer of at least --sparsity",
        SparsifyError::GlobalGroups { .. } => "leave out --scope global, or the pattern",
        SparsifyError::NeedsSamples { .. } => "give them with --data FILE.npz",
        SparsifyError::UnknownNode { .. } => {
            "--exclude takes names of nodes, op:TYPE and re:PATTERN; `lapidary inspect --text` or Netron shows the names"
        }
        SparsifyError::UnknownMask { .. } | SparsifyError::Mask { .. } => {
            "masks have names and shapes of initializers of the optimized model, or with --no-optimize of the model as it is; \
             `lapidary inspect --text` shows both"
        }
    };
    Error::Usage { problem: error.to_string(), help: help.to_owned() }
}

/// What the initializers of a model take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightBytes {
    /// As they are.
    pub raw: u64,
    /// One behind the other, compressed by deflate (RFC 1951) as zip does it.
    pub deflated: u64,
}

impl WeightBytes {
    /// Compresses the initializers of a model.
    ///
    /// # Errors
    /// When they can't be compressed.
    pub fn of(model: &Model) -> io::Result<Self> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(DEFLATE_LEVEL))
            .large_file(true);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("weights", options)?;
        let mut raw = 0;
        for bytes in model.graph.initializers().filter_map(|(_, tensor)| tensor_bytes(tensor)) {
            zip.write_all(bytes)?;
            raw += bytes.len() as u64;
        }
        let mut written = ZipArchive::new(zip.finish()?)?;
        let deflated = written.by_index_raw(0)?.compressed_size();
        Ok(Self { raw, deflated })
    }
}

fn tensor_bytes(tensor: &Tensor) -> Option<&[u8]> {
    tensor.bytes().map(|bytes| &bytes[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::text;

    #[test]
    fn zeros_take_nothing_once_compressed() {
        let model = |numbers: &str| {
            let source = format!(
                "g (float[1,64] x) => (float[1,2] y) <float[64,2] w = {{{numbers}}}> {{ y = MatMul(x, w) }}"
            );
            text::parse(&source).expect("it is a model")
        };
        let dense: Vec<String> = (0..128).map(|at| format!("{}", (at * at) % 997)).collect();
        let dense = WeightBytes::of(&model(&dense.join(", "))).expect("memory takes it");
        let sparse = WeightBytes::of(&model(&vec!["0"; 128].join(", "))).expect("memory takes it");
        assert_eq!((dense.raw, sparse.raw), (512, 512));
        assert!(sparse.deflated < 20 && dense.deflated > 150, "{sparse:?} {dense:?}");
    }
}
