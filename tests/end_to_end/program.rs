//! Runs the program as a user does.
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run printed and how it ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `lapidary` in the root of the repository.
pub(crate) fn lapidary<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .expect("the program starts");
    Run {
        code: output.status.code().expect("the program ends by itself, without a signal"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// The run, which must have ended well.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The message of a run that must have ended with `code`, without the path of `folder`.
    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, folder: &Path) -> String {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        // The width of the folder's name decides where a message is wrapped: undo the wrapping.
        let lines: Vec<&str> = self
            .stderr
            .lines()
            .map(|line| line.trim_matches([' ', '│', '╰', '├', '─', '▶']))
            .collect();
        lines.join(" ").replace(&folder.display().to_string(), "FOLDER").trim().to_owned()
    }
}

/// A file of `fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The models of `fixtures/`, without their ending.
pub(crate) const FIXTURES: [&str; 6] = [
    "digits_resnet_unfused_op17",
    "digits_resnet_dynamo_op18",
    "digits_mobilenetv2_unfused_op17",
    "digits_mobilenetv2_dynamo_op18",
    "digits_transformer_unfused_op17",
    "digits_transformer_dynamo_op18",
];

/// Runs a verb on a fixture with options, and asks for JSON.
pub(crate) fn run_on(verb: &str, name: &str, out: &Path, options: &[&str]) -> Run {
    let model = fixture(&format!("{name}.onnx"));
    let mut arguments = vec!["--json", verb, model.to_str().unwrap(), "-o", out.to_str().unwrap()];
    arguments.extend(options);
    lapidary(arguments)
}
