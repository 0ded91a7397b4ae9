//! Inputs as Polygraphy saves them (`--save-inputs`, `polygraphy.json.save_json`).
//!
//! A list of feeds; a feed is an object with an entry per input, and the entry of an array is an object with
//! the class `ndarray` under `polygraphy_class` and, under `array`, an .npy file in base64. Files of old
//! versions name the class by a key `__polygraphy_encoded_ndarray` and may hold an .npz of one array.
use super::column::Extent;
use super::npy;
use super::npz::Archive;
use super::signature::Signature;
use super::{DatasetError, Source, stack};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapidary_exec::Inputs;
use lapidary_proto::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// How archives start.
const ZIP: &[u8] = b"PK";

/// The feeds of a file. Arrays are decoded when they are asked for.
#[derive(Debug)]
pub(super) struct Feeds {
    signature: Signature,
    text: Bytes,
    /// Where in `text` the base64 of every input's array is.
    feeds: Vec<BTreeMap<String, Range<usize>>>,
}

/// A feed as it is written.
type Written<'a> = BTreeMap<String, Entry<'a>>;

/// What is written for an input.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry<'a> {
    Object {
        #[serde(borrow, default)]
        array: Option<Payload<'a>>,
        #[serde(default)]
        polygraphy_class: Option<String>,
        #[serde(default, rename = "__polygraphy_encoded_ndarray")]
        old_class: Option<String>,
    },
    Other(IgnoredAny),
}

/// The data of an array; base64 stands in the file as it is, without escapes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Payload<'a> {
    Base64(&'a str),
    Other(IgnoredAny),
}

fn problem(problem: String) -> DatasetError {
    DatasetError::Polygraphy { problem }
}

impl Feeds {
    pub(super) fn open(path: &Path, signature: Signature) -> Result<Self, DatasetError> {
        Self::new(lapidary_proto::contents(path, true)?, signature)
    }

    fn new(text: Bytes, signature: Signature) -> Result<Self, DatasetError> {
        let written: Vec<Written<'_>> = serde_json::from_slice(&text).map_err(|error| {
            problem(format!("{error}; expected a list with an object per feed"))
        })?;
        let mut feeds = Vec::with_capacity(written.len());
        for (number, feed) in written.iter().enumerate() {
            let mut places = BTreeMap::new();
            for input in &signature.inputs {
                let Some(entry) = feed.get(&input.name) else {
                    let found = feed.keys().cloned().collect();
                    return Err(DatasetError::Missing { input: input.name.clone(), found });
                };
                let array = entry.array().map_err(|what| {
                    problem(format!("`{}` of feed {number} is {what}", input.name))
                })?;
                let start = array.as_ptr() as usize - text.as_ptr() as usize;
                places.insert(input.name.clone(), start..start + array.len());
            }
            feeds.push(places);
        }
        if feeds.is_empty() {
            return Err(DatasetError::Empty);
        }
        let found = Self { signature, text, feeds };
        // What is wrong with the first feed is said before any work.
        found.feed(0)?;
        Ok(found)
    }

    fn feed(&self, index: usize) -> Result<Inputs, DatasetError> {
        let mut feed = Inputs::new();
        for input in &self.signature.inputs {
            let name = &input.name;
            let unreadable = |problem| DatasetError::Npy { name: name.clone(), problem };
            let base64 = &self.text[self.feeds[index][name].clone()];
            let bytes: Bytes = STANDARD
                .decode(base64)
                .map_err(|error| {
                    problem(format!("`{name}` of feed {index} is no base64: {error}"))
                })?
                .into();
            let tensor = match bytes.starts_with(ZIP) {
                true => Archive::new(Extent { bytes, place: None })?
                    .column(0)
                    .and_then(|column| column.whole().map_err(|error| error.to_string())),
                false => npy::tensor(bytes),
            };
            let tensor = tensor.map_err(unreadable)?;
            input.fit_whole(tensor.elem_type(), tensor.dims())?;
            feed.insert(name.clone(), tensor);
        }
        Ok(feed)
    }
}

impl<'a> Entry<'a> {
    /// The base64 of the array, or what there is instead.
    fn array(&self) -> Result<&'a str, String> {
        let Self::Object { array, polygraphy_class, old_class } = self else {
            return Err("no object".to_owned());
        };
        match (polygraphy_class.as_deref(), old_class, array) {
            (Some("ndarray"), _, Some(payload)) | (None, Some(_), Some(payload)) => match payload {
                Payload::Base64(text) => Ok(text),
                Payload::Other(_) => Err("an array whose data is not in base64".to_owned()),
            },
            (Some("ndarray"), _, None) => Err("an array without data".to_owned()),
            (Some(other), ..) => Err(format!("of class `{other}`, known is `ndarray`")),
            _ => Err("an object without a class".to_owned()),
        }
    }
}

impl Source for Feeds {
    fn len(&self) -> usize {
        self.feeds.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Inputs, DatasetError> {
        stack::join(range.map(|index| self.feed(index)).collect::<Result<_, _>>()?)
    }

    fn is_whole(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::signature::Expected;
    use lapidary_ir::{ElemType, Tensor};

    fn open(text: &str) -> Result<Feeds, DatasetError> {
        let elem_type = Some(ElemType::FLOAT);
        let input = Expected { name: "input".to_owned(), elem_type, shape: None };
        Feeds::new(text.to_owned().into(), Signature { inputs: vec![input] })
    }

    fn refusal(text: &str) -> String {
        open(text).expect_err("it is refused").to_string()
    }

    // Written by Polygraphy 0.53.6: save_json([{"input": numpy.arange(4, dtype="float32").reshape(1, 4)}], path)
    const ARRAY: &str = "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBl\
        JzogKDEsIDQpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoA\
        AAAAAACAPwAAAEAAAEBA";

    #[test]
    fn reads_what_polygraphy_saves() {
        for class in
            ["polygraphy_class\": \"ndarray", "__polygraphy_encoded_ndarray\": \"constructor"]
        {
            let text = format!("[{{\"input\": {{\"array\": \"{ARRAY}\", \"{class}\"}}}}]");
            let feeds = open(&text).expect("it is understood");
            let expected = Tensor::new(&[1, 4], &[0.0f32, 1.0, 2.0, 3.0]);
            assert!(feeds.read(0..1).expect("one feed")["input"].same_content(&expected));
        }
    }

    #[test]
    fn what_is_something_else_is_named() {
        let of = |entry: &str| refusal(&format!("[{{\"input\": {entry}}}]"));
        assert!(of("3").ends_with("`input` of feed 0 is no object"), "{}", of("3"));
        let torch = of("{\"tensor\": \"UEsDBA==\", \"polygraphy_class\": \"Tensor\"}");
        assert!(torch.ends_with("of class `Tensor`, known is `ndarray`"), "{torch}");
        let old = of("{\"array\": \"\\u0093NUMPY\", \"polygraphy_class\": \"ndarray\"}");
        assert!(old.ends_with("an array whose data is not in base64"), "{old}");
        let broken = of("{\"array\": \"%%\", \"polygraphy_class\": \"ndarray\"}");
        assert!(broken.contains("is no base64"), "{broken}");
        assert!(refusal("{\"lst\": []}").contains("expected a list with an object per feed"));
        assert!(refusal("[{\"other\": 1}]").contains("no array is named `input`"));
        assert_eq!(refusal("[]"), "there are no samples");
    }
}
