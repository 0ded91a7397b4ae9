//! Calls a command that tells how long models take.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Lines of standard error that are shown.
const LAST: usize = 5;

/// Characters of a line that are shown.
const WIDTH: usize = 200;

/// How often a command that runs is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Why a command does not tell how long models take.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// There is no such program, or it may not be run.
    #[error("`{command}` can't be started")]
    Start {
        /// The command line, without the models.
        command: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It says that it failed.
    #[error("`{command}` ended with {status}{}", said(last))]
    Failed {
        /// The command line, without the models.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its standard error.
        last: String,
    },
    /// It did not end.
    #[error("`{command}` still ran after {} s and was stopped", limit.as_secs_f64())]
    TooLong {
        /// The command line, without the models.
        command: String,
        /// How long a call may take.
        limit: Duration,
    },
    /// It prints something else.
    #[error("`{command}` printed `{line}`, expected milliseconds: a number above 0")]
    NoTime {
        /// The command line, without the models.
        command: String,
        /// The line.
        line: String,
    },
    /// It prints more or less.
    #[error("`{command}` printed {found} lines, expected one for each of {expected} models")]
    Lines {
        /// The command line, without the models.
        command: String,
        /// Lines there are.
        found: usize,
        /// Models it was called with.
        expected: usize,
    },
    /// What it prints can't be kept.
    #[error("the temporary folder can't be used")]
    Folder(#[source] io::Error),
}

/// Words as one line.
pub(super) fn line(words: &[String]) -> String {
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    quoted.unwrap_or_else(|_| words.join(" "))
}

/// Calls a command with paths behind its arguments; the nanoseconds it tells for each. What it prints goes to files in a
/// folder.
pub(super) fn call(
    words: &[String],
    paths: &[PathBuf],
    folder: &Path,
    limit: Duration,
) -> Result<Vec<f64>, RuntimeError> {
    let command = line(words);
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let file = |path: &Path| File::create(path).map_err(RuntimeError::Folder);
    let read = |path: &Path| match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(RuntimeError::Folder(error)),
    };
    let (program, arguments) =
        words.split_first().map_or(("", words), |(first, rest)| (first, rest));
    let started = Command::new(program)
        .args(arguments)
        .args(paths)
        .stdin(Stdio::null())
        .stdout(file(&out)?)
        .stderr(file(&err)?)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(source) => return Err(RuntimeError::Start { command, source }),
    };
    let Some(status) = wait(&mut child, limit).map_err(RuntimeError::Folder)? else {
        return Err(RuntimeError::TooLong { command, limit });
    };
    if !status.success() {
        return Err(RuntimeError::Failed { command, status, last: last(&read(&err)?) });
    }
    times(&command, &read(&out)?, paths.len())
}

/// How it ended; nothing if it is stopped because it does not end in time.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Nanoseconds from lines of milliseconds; empty lines do not count.
fn times(command: &str, text: &str, expected: usize) -> Result<Vec<f64>, RuntimeError> {
    let time = |line: &str| {
        let time = line.parse().ok().filter(|time: &f64| *time > 0.0 && time.is_finite());
        let wrong = || RuntimeError::NoTime { command: command.to_owned(), line: shortened(line) };
        time.map(|time| time * 1e6).ok_or_else(wrong)
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let times: Vec<f64> = lines.map(time).collect::<Result<_, _>>()?;
    let (command, found) = (command.to_owned(), times.len());
    if found == expected {
        Ok(times)
    } else {
        Err(RuntimeError::Lines { command, found, expected })
    }
}

/// The last lines of a text.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(LAST)..];
    let shown: Vec<String> = shown.iter().map(|line| shortened(line.trim_end())).collect();
    shown.join("\n")
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn said(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(" and said:\n{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_time() {
        let read = |text: &str| times("c", text, 2);
        assert_eq!(read("1.5\r\n 0.25 \n\n").expect("these are two"), [1.5e6, 0.25e6]);
        let message = |text: &str| read(text).expect_err("it is wrong").to_string();
        assert_eq!(message("1"), "`c` printed 1 lines, expected one for each of 2 models");
        assert_eq!(message("1\n2\n3"), "`c` printed 3 lines, expected one for each of 2 models");
        for wrong in ["fast", "0", "-1", "inf", "NaN", "1 ms"] {
            let expected =
                format!("`c` printed `{wrong}`, expected milliseconds: a number above 0");
            assert_eq!(message(&format!("1\n{wrong}")), expected);
        }
    }

    #[test]
    fn of_what_is_said_the_end_is_shown() {
        assert_eq!(last("a\n\n"), "a");
        assert_eq!(last("1\n2\n\n3\n4\n5\n 6 \n"), "2\n3\n4\n5\n 6");
        assert_eq!(last(&"é".repeat(300)).chars().count(), WIDTH + 1);
        assert_eq!([said(""), said("no")], ["", " and said:\nno"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_does_not_end_is_stopped() {
        let folder = tempfile::tempdir().expect("there is room");
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let call = |command: &[&str], limit: u64| {
            call(
                &words(command),
                &[PathBuf::from("2")],
                folder.path(),
                Duration::from_millis(limit),
            )
        };
        let start = Instant::now();
        let error = call(&["sleep", "60"], 100).expect_err("it takes a minute");
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(error.to_string(), "`sleep 60` still ran after 0.1 s and was stopped");
        assert_eq!(call(&["echo"], 60_000).expect("it prints the path"), [2e6]);
        let failed = call(&["sh", "-c", "echo no >&2; exit 3"], 60_000).expect_err("it fails");
        let text = "`sh -c 'echo no >&2; exit 3'` ended with exit status: 3 and said:\nno";
        assert_eq!(failed.to_string(), text);
    }
}
