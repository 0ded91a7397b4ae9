//! Labels in a file of their own.
use super::arrays::integers;
use super::error::file_name;
use super::{DatasetError, npy};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file of labels says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// A label per sample.
    InOrder(Vec<i64>),
    /// Labels by file.
    ByFile(BTreeMap<String, i64>),
}

impl Labels {
    /// Reads an .npy array of integers, or lines of text.
    pub(super) fn read(path: &Path) -> Result<Self, DatasetError> {
        let refuse = |problem: String| DatasetError::Labels {
            problem: format!("`{}`: {problem}", file_name(path)),
        };
        let bytes = lapidary_proto::contents(path, true)?;
        if path.extension().is_some_and(|extension| extension == "npy") {
            let tensor = npy::tensor(bytes).map_err(&refuse)?;
            let values = integers(&tensor);
            let values = values.ok_or_else(|| refuse(format!("it is {}", tensor.elem_type())))?;
            return Ok(Self::InOrder(values));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| refuse("it is no text".to_owned()))?;
        Self::parse(text).map_err(refuse)
    }

    /// Lines `file,label`, with a comma, a tab or blanks between, or lines with a label alone. The first
    /// line may be a header.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut by_file, mut in_order) = (BTreeMap::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (file, label) = match line.rsplit_once([',', '\t', ' ']) {
                Some((file, label)) => (Some(file.trim_end_matches([',', '\t', ' '])), label),
                None => (None, line),
            };
            let Ok(label) = label.trim().parse::<i64>() else {
                if number == 1 {
                    continue;
                }
                return Err(format!("line {number} ends in `{label}`, expected an integer"));
            };
            match file {
                Some(file) => match by_file.insert(file.trim_matches('"').to_owned(), label) {
                    Some(other) if other != label => {
                        return Err(format!("line {number}: `{file}` has label {other} already"));
                    }
                    _ => {}
                },
                None => in_order.push(label),
            }
        }
        match (by_file.is_empty(), in_order.is_empty()) {
            (true, true) => Err("it has no labels".to_owned()),
            (false, false) => Err("some lines have a file and some have none".to_owned()),
            (true, false) => Ok(Self::InOrder(in_order)),
            (false, true) => Ok(Self::ByFile(by_file)),
        }
    }

    /// The labels of `count` samples; the samples of images have names: alone, and with the folder.
    pub(super) fn of_samples(
        self,
        count: usize,
        files: Option<&[(String, String)]>,
    ) -> Result<Vec<i64>, DatasetError> {
        let refuse = |problem: String| DatasetError::Labels { problem };
        match (self, files) {
            (Self::InOrder(labels), _) if labels.len() == count => Ok(labels),
            (Self::InOrder(labels), _) => {
                Err(refuse(format!("there are {} for {count} samples", labels.len())))
            }
            (Self::ByFile(_), None) => {
                Err(refuse("they are by file, and the samples have no files".to_owned()))
            }
            (Self::ByFile(labels), Some(files)) => {
                let label = |(name, path): &(String, String)| {
                    let label = labels.get(path).or_else(|| labels.get(name)).copied();
                    label.ok_or_else(|| refuse(format!("`{name}` has none")))
                };
                files.iter().map(label).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_file(text: &str) -> Vec<(String, i64)> {
        match Labels::parse(text) {
            Ok(Labels::ByFile(labels)) => labels.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_stand_behind_files() {
        let expected = [("a b.jpg".to_owned(), 3), ("c.png".to_owned(), -1)];
        assert_eq!(by_file("file,label\na b.jpg,3\nc.png,-1\n"), expected);
        assert_eq!(by_file("a b.jpg 3\r\nc.png\t-1"), expected);
        assert_eq!(by_file("\"a b.jpg\", 3\n\nc.png ,-1"), expected);
    }

    #[test]
    fn labels_alone_are_in_order() {
        assert_eq!(Labels::parse("label\n1\n2\n"), Ok(Labels::InOrder(vec![1, 2])));
        let count = Labels::InOrder(vec![1, 2]).of_samples(3, None).expect_err("one is missing");
        assert_eq!(count.to_string(), "labels: there are 2 for 3 samples");
    }

    #[test]
    fn what_can_not_be_understood_is_named() {
        assert_eq!(
            Labels::parse("a,1\nb,cat"),
            Err("line 2 ends in `cat`, expected an integer".into())
        );
        assert_eq!(
            Labels::parse("a,1\n2"),
            Err("some lines have a file and some have none".into())
        );
        assert_eq!(Labels::parse("\n"), Err("it has no labels".into()));
        assert_eq!(Labels::parse("a 1\na 2"), Err("line 2: `a` has label 1 already".into()));
    }

    #[test]
    fn every_file_needs_a_label() {
        let labels = || Labels::parse("x/a.png,1\nb.png,2").expect("two labels");
        let file = |folder: &str, name: &str| (name.to_owned(), format!("{folder}/{name}"));
        let files = [file("x", "a.png"), file("y", "b.png")];
        assert_eq!(labels().of_samples(2, Some(&files)).expect("both are there"), [1, 2]);
        let error = labels().of_samples(1, Some(&[file("y", "a.png")])).expect_err("another a.png");
        assert_eq!(error.to_string(), "labels: `a.png` has none");
    }
}
