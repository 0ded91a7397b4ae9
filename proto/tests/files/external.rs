//! External data: found where it may be, refused everywhere else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::samples::external;
use lapidary_proto::onnx::TensorProto;
use lapidary_proto::{Bytes, ExternalData, ExternalError, OpenError, ReadOptions};
use tempfile::TempDir;

/// A folder `model/` with `m.onnx` and `w.bin`, and a secret outside of it.
fn layout() -> (TempDir, PathBuf) {
    let outer = tempfile::tempdir().expect("a temporary folder");
    let folder = outer.path().join("model");
    fs::create_dir_all(folder.join("part")).expect("the folder can be made");
    fs::create_dir(outer.path().join("model_evil")).expect("the folder can be made");
    for (path, content) in [
        ("model/m.onnx", "model"),
        ("model/w.bin", "0123456789"),
        ("model/part/p.bin", "part"),
        ("model_evil/s.bin", "secret"),
        ("secret", "secret"),
    ] {
        fs::write(outer.path().join(path), content).expect("the file can be written");
    }
    (outer, folder)
}

fn open(folder: &Path) -> ExternalData {
    ExternalData::of_model(&folder.join("m.onnx"), &ReadOptions::default())
}

fn located(location: &str) -> TensorProto {
    external("w", &[("location", location)])
}

#[test]
fn reads_a_slice_of_a_file_beside_the_model() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("location", "w.bin")], "0123456789"),
        (&[("location", "./w.bin"), ("offset", "4")], "456789"),
        (&[("location", "w.bin"), ("offset", "2"), ("length", "3")], "234"),
        (&[("location", "w.bin"), ("offset", "10")], ""),
        (&[("location", "w.bin"), ("length", "0")], ""),
        (&[("location", "w.bin"), ("checksum", "0"), ("length", "10")], "0123456789"),
        (&[("location", "part/p.bin")], "part"),
    ];
    for (entries, expected) in cases {
        let bytes = data.tensor_bytes(&external("w", entries)).expect("the data is there");
        assert_eq!(bytes, expected.as_bytes(), "{entries:?}");
    }
}

#[test]
fn tensors_of_one_file_share_one_map() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    let first = data.tensor_bytes(&located("w.bin")).expect("the data is there");
    let second = data.tensor_bytes(&located("./w.bin")).expect("the data is there");
    assert_eq!(first.as_ptr(), second.as_ptr());
}

#[test]
fn refuses_a_path_that_leaves_the_folder() {
    let (outer, folder) = layout();
    let data = open(&folder);
    let absolute = outer.path().join("secret");
    let tricks = [
        "../secret",
        "part/../../secret",
        "junk/../../secret",
        "part/..",
        "../model_evil/s.bin",
        "..",
        ".",
        "./",
        "",
        "/",
        "..\\secret",
        "part\\..\\..\\secret",
        "C:\\secret",
        "C:secret",
        "\\\\host\\share",
        "w.bin\0",
        "*/_ORT_MEM_ADDR_/*",
        "_ORT_MEM_ADDR_",
        absolute.to_str().expect("the path is text"),
    ];
    for trick in tricks {
        let error = data.tensor_bytes(&located(trick)).expect_err(trick);
        assert!(matches!(error, ExternalError::Location { .. }), "{trick:?}: {error}");
    }
    let without = data.tensor_bytes(&external("w", &[])).expect_err("there is no location");
    assert_eq!(without.to_string(), "tensor `w`: external location `` is empty");
}

#[cfg(unix)]
#[test]
fn refuses_links_that_leave_the_folder() {
    use std::os::unix::fs::symlink;
    let (outer, folder) = layout();
    symlink("../secret", folder.join("link.bin")).expect("the link can be made");
    symlink(outer.path().join("model_evil"), folder.join("linked")).expect("the link can be made");
    symlink("..", folder.join("up")).expect("the link can be made");
    let data = open(&folder);
    for trick in ["link.bin", "linked/s.bin", "up/secret", "up/model_evil/s.bin"] {
        let error = data.tensor_bytes(&located(trick)).expect_err(trick);
        assert!(matches!(error, ExternalError::Outside { .. }), "{trick:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn reads_the_layout_of_the_hugging_face_cache() {
    use std::os::unix::fs::symlink;
    let outer = tempfile::tempdir().expect("a temporary folder");
    let (blobs, snapshot) = (outer.path().join("blobs"), outer.path().join("snapshots/abc/onnx"));
    fs::create_dir_all(&blobs).expect("the folder can be made");
    fs::create_dir_all(&snapshot).expect("the folder can be made");
    fs::write(blobs.join("sha1"), "model").expect("the file can be written");
    fs::write(blobs.join("sha2"), "weights").expect("the file can be written");
    symlink("../../../blobs/sha1", snapshot.join("m.onnx")).expect("the link can be made");
    symlink("../../../blobs/sha2", snapshot.join("m.onnx_data")).expect("the link can be made");

    let tensor = located("m.onnx_data");
    assert_eq!(open(&snapshot).tensor_bytes(&tensor).expect("the cache is allowed"), "weights");
    let untrusted = ExternalData::of_model(&snapshot.join("m.onnx"), &ReadOptions::untrusted());
    assert!(matches!(untrusted.tensor_bytes(&tensor), Err(ExternalError::Link { .. })));
}

#[cfg(unix)]
#[test]
fn untrusted_models_get_no_hard_links() {
    let (outer, folder) = layout();
    fs::hard_link(outer.path().join("secret"), folder.join("hard.bin"))
        .expect("the link can be made");
    let data = ExternalData::of_model(&folder.join("m.onnx"), &ReadOptions::untrusted());
    assert!(matches!(data.tensor_bytes(&located("hard.bin")), Err(ExternalError::Link { .. })));
    assert_eq!(data.tensor_bytes(&located("w.bin")).expect("it is a plain file"), "0123456789");
}

#[test]
fn searches_the_roots_it_is_given() {
    let (outer, folder) = layout();
    let roots = ReadOptions {
        external_roots: vec![outer.path().join("model_evil")],
        ..ReadOptions::default()
    };
    for data in
        [ExternalData::of_model(&folder.join("m.onnx"), &roots), ExternalData::of_roots(&roots)]
    {
        assert_eq!(data.tensor_bytes(&located("s.bin")).expect("the root is allowed"), "secret");
    }
    let without = ExternalData::of_roots(&ReadOptions::default());
    let error =
        without.tensor_bytes(&located("w.bin")).expect_err("a model in memory has no folder");
    assert!(matches!(error, ExternalError::Missing { .. }), "{error}");
}

#[test]
fn says_what_is_missing_where_and_what_to_do() {
    let (_outer, folder) = layout();
    let error =
        open(&folder).tensor_bytes(&located("m.onnx.data")).expect_err("the file is not there");
    let message = error.to_string();
    let start = format!("tensor `w`: external file `m.onnx.data` is not in `{}`", folder.display());
    assert!(message.starts_with(&start), "{message}");
    assert!(
        message.ends_with("; put it there or name its folder as an external root"),
        "{message}"
    );
}

#[test]
fn refuses_ranges_that_are_not_in_the_file() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    let max = u64::MAX.to_string();
    for (offset, length) in
        [("0", "11"), ("11", "0"), ("5", "6"), ("1", &*max), (&*max, "1"), (&*max, &*max)]
    {
        let tensor =
            external("w", &[("location", "w.bin"), ("offset", offset), ("length", length)]);
        let error = data.tensor_bytes(&tensor).expect_err("the range is too long");
        assert!(matches!(error, ExternalError::Short { file_bytes: 10, .. }), "{error}");
    }
    let tensor = external("w", &[("location", "w.bin"), ("offset", "11")]);
    let error = data.tensor_bytes(&tensor).expect_err("the offset is behind the end");
    assert!(matches!(error, ExternalError::Short { .. }), "{error}");
}

#[test]
fn refuses_offsets_and_lengths_that_are_not_numbers_of_bytes() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    for value in ["-1", "+1", "", " 1", "0x10", "1e3", "9223372036854775808000", "١"] {
        for key in ["offset", "length"] {
            let error = data
                .tensor_bytes(&external("w", &[("location", "w.bin"), (key, value)]))
                .expect_err(value);
            assert!(matches!(error, ExternalError::Number { .. }), "{value:?}: {error}");
        }
    }
}

#[test]
fn refuses_keys_that_are_unknown_or_repeated() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    let unknown = external("w", &[("location", "w.bin"), ("basepath", "/etc")]);
    assert!(matches!(data.tensor_bytes(&unknown), Err(ExternalError::Key { .. })));
    let twice = external("w", &[("location", "w.bin"), ("location", "part/p.bin")]);
    assert!(matches!(data.tensor_bytes(&twice), Err(ExternalError::Twice { .. })));
}

#[test]
fn refuses_tensors_that_are_not_purely_external() {
    let (_outer, folder) = layout();
    let data = open(&folder);
    let inline = TensorProto { data_location: None, ..located("w.bin") };
    assert!(matches!(data.tensor_bytes(&inline), Err(ExternalError::NotExternal { .. })));
    let both = TensorProto { raw_data: Some(Bytes::from_static(b"x")), ..located("w.bin") };
    assert!(matches!(data.tensor_bytes(&both), Err(ExternalError::Both { .. })));
    let strings = TensorProto { data_type: Some(8), ..located("w.bin") };
    assert!(matches!(data.tensor_bytes(&strings), Err(ExternalError::Strings { .. })));
}

#[test]
fn refuses_a_folder_in_place_of_a_file() {
    let (_outer, folder) = layout();
    let error = open(&folder).tensor_bytes(&located("part")).expect_err("a folder has no bytes");
    assert!(
        matches!(error, ExternalError::Open { source: OpenError::NotAFile { .. }, .. }),
        "{error}"
    );
}
