//! What can go wrong on the way, with a code, a remedy and an exit code.
use crate::{DatasetError, RuntimeError};
use lapidary_exec::ExecError;
use lapidary_ir::{DecodeError, FixDimsError, InlineError, Violation};
use lapidary_passes::PassError;
use lapidary_passes::convert::ConvertError;
use lapidary_passes::prune::compensated::{BlockError, PruneError};
use lapidary_passes::prune::{CarryError, KeepError};
use lapidary_passes::quantize::{CalibrationFileError, MergeError, OtherModel};
use lapidary_proto::{ReadError, WriteError};
use miette::Diagnostic;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a command did not do its work.
#[derive(Debug, Error, Diagnostic)]
pub enum Error {
    /// The options do not go together.
    #[error("{problem}")]
    #[diagnostic(code(LP0201))]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Dimensions can't be given these sizes.
    #[error(transparent)]
    #[diagnostic(
        code(LP0202),
        help(
            "`lapidary inspect` shows the inputs; write --input-shape NAME:1,3,224,224 and --dim NAME=4"
        )
    )]
    FixDims(FixDimsError),
    /// The model can't work with the sizes its dimensions are given.
    #[error("the model does not work with these sizes: {}", list(violations))]
    #[diagnostic(code(LP0203), help("give sizes that fit the places named above"))]
    Misfit {
        /// Every rule of ONNX that is broken.
        violations: Vec<Violation>,
    },
    /// The model file can't be read.
    #[error("the model can't be read")]
    #[diagnostic(code(LP0301))]
    Read {
        /// The cause.
        #[source]
        source: ReadError,
        /// What to do.
        #[help]
        help: &'static str,
    },
    /// The file is ONNX but its model is malformed.
    #[error("`{}` is not a valid model", path.display())]
    #[diagnostic(
        code(LP0302),
        help("export the model again; `onnx.checker` shows more about malformed files")
    )]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: DecodeError,
    },
    /// The graph breaks rules of ONNX.
    #[error("`{}` is not a valid model: {}", path.display(), list(violations))]
    #[diagnostic(code(LP0303), help("export the model again or mend the places named above"))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// The functions of the model can't be inlined.
    #[error(transparent)]
    #[diagnostic(code(LP0307), help("without --inline the functions stay as they are"))]
    Inline(InlineError),
    /// The functions of the model are not valid where they are called.
    #[error("with its functions inlined the model is not valid: {}", list(violations))]
    #[diagnostic(code(LP0308), help("without --inline the functions stay as they are"))]
    InvalidFunctions {
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// The model can't be written in the operator set asked for.
    #[error(transparent)]
    #[diagnostic(
        code(LP0309),
        help("nothing was written; export the model for that opset, or leave --opset out")
    )]
    Convert(ConvertError),
    /// The model can't be pruned as asked for.
    #[error(transparent)]
    #[diagnostic(code(LP0204), help("`lapidary prune MODEL --plan` shows which channels can go"))]
    Prune(PruneError),
    /// Residual blocks can't go.
    #[error(transparent)]
    #[diagnostic(
        code(LP0207),
        help("`lapidary prune MODEL --plan --blocks 1` shows the blocks there are")
    )]
    Blocks(BlockError),
    /// The channels that are to stay are not those of the model.
    #[error(transparent)]
    #[diagnostic(
        code(LP0205),
        help("`lapidary prune MODEL --plan --json` shows the groups with their names and numbers")
    )]
    Keep(KeepError),
    /// What is pruned in one form of the model is not found in another.
    #[error(transparent)]
    #[diagnostic(
        code(LP0206),
        help(
            "`lapidary prune MODEL --plan` shows the groups; without --data they are pruned as shown"
        )
    )]
    Carry(CarryError),
    /// A file does not say which channels stay.
    #[error("the channels to keep in `{}` can't be used: {problem}", path.display())]
    #[diagnostic(
        code(LP0314),
        help(
            "`prune --write-keep` writes such files: {{\"groups\": [{{\"name\": NAME, \"keep\": [0, 2]}}]}}"
        )
    )]
    KeepFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The data can't be used.
    #[error("the data `{}` can't be used", path.display())]
    #[diagnostic(code(LP0304))]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<DatasetError>,
        /// What to do.
        #[help]
        help: &'static str,
    },
    /// A file can't be read.
    #[error("`{}` can't be read", path.display())]
    #[diagnostic(code(LP0310), help("check the path and its permissions"))]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file holds no calibration statistics.
    #[error("the calibration statistics `{}` can't be used", path.display())]
    #[diagnostic(code(LP0311), help("make them again with `lapidary calibrate`"))]
    CalibrationFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: CalibrationFileError,
    },
    /// Calibration statistics are of another model.
    #[error("the calibration statistics `{}` can't be used", path.display())]
    #[diagnostic(
        code(LP0312),
        help(
            "make them with `lapidary calibrate` from this model, with the same --no-optimize,              --dim and --input-shape"
        )
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<OtherModel>,
    },
    /// Calibration statistics don't go together.
    #[error("`{}` can't be merged with `{}`", path.display(), first.display())]
    #[diagnostic(code(LP0313), help("merge what `lapidary calibrate` made from one model"))]
    MergeCalibration {
        /// The file.
        path: PathBuf,
        /// The file it is merged with.
        first: PathBuf,
        /// The cause.
        #[source]
        source: Box<MergeError>,
    },
    /// The runtime can't execute the model.
    #[error("the {what} can't be executed")]
    #[diagnostic(code(LP0305))]
    Execute {
        /// Which model.
        what: &'static str,
        /// The cause.
        #[source]
        source: ExecError,
        /// What to do.
        #[help]
        help: &'static str,
    },
    /// The models have different inputs or outputs.
    #[error("the models can't be compared: {problem}")]
    #[diagnostic(code(LP0306), help("compare models with the same inputs and outputs"))]
    Incomparable {
        /// What differs.
        problem: String,
    },
    /// The result differs from the original by more than it may.
    #[error("{problem}")]
    #[diagnostic(code(LP0101))]
    Gate {
        /// What was found and what was allowed.
        problem: String,
        /// What to do.
        #[help]
        help: &'static str,
    },
    /// A pass is at fault; the model was not written.
    #[error("lapidary is at fault, the output was not written")]
    #[diagnostic(code(LP0102), help("please report this with the model or its `inspect` output"))]
    Pass(#[source] PassError),
    /// Weights can't be compressed to tell what they take.
    #[error("the weights can't be compressed")]
    #[diagnostic(code(LP0502), help("check the free memory"))]
    Compress {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A command does not tell how long models take.
    #[error(transparent)]
    #[diagnostic(
        code(LP0503),
        help(
            "the command of --runtime is called with paths of ONNX files behind its own arguments, and prints for each, in \
             this order, a line with the milliseconds of one run; `lane/latency.py` is one"
        )
    )]
    Runtime(RuntimeError),
    /// The result can't be written.
    #[error("the result can't be written")]
    #[diagnostic(code(LP0501), help("check the folder, its permissions and the free space"))]
    Write(#[source] WriteError),
}

impl Error {
    /// The data of `path` can't be used.
    #[must_use]
    pub fn data(path: &Path, source: DatasetError) -> Self {
        Self::Data { path: path.to_owned(), help: source.help(), source: Box::new(source) }
    }

    /// The exit code of the program: 1 a check said no, 2 usage, 3 input rejected, 4 a limit,
    /// 5 input or output failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Gate { .. } | Self::Pass(_) | Self::Prune(_) | Self::Blocks(_) => 1,
            Self::Convert(ConvertError::Lower { .. } | ConvertError::Unknown { .. }) => 2,
            Self::Usage { .. } | Self::FixDims(_) | Self::Misfit { .. } => 2,
            Self::Read { source: ReadError::Open(_), .. }
            | Self::ReadFile { .. }
            | Self::Compress { .. }
            | Self::Runtime(_)
            | Self::Write(_) => 5,
            Self::Read { source: ReadError::Limit { .. }, .. }
            | Self::Inline(InlineError::TooLarge | InlineError::TooDeep) => 4,
            Self::Data { source, .. } if source.is_io() => 5,
            _ => 3,
        }
    }
}

impl From<PassError> for Error {
    fn from(source: PassError) -> Self {
        Self::Pass(source)
    }
}

fn list(violations: &[Violation]) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> =
        violations.iter().take(SHOWN).map(|violation| violation.message.clone()).collect();
    if violations.len() > SHOWN {
        lines.push(format!("and {} more", violations.len() - SHOWN));
    }
    lines.join("; ")
}
