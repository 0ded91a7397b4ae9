//! Writing: the same bytes as encoding in memory, whole files or none.

use std::fs;
use std::path::Path;

use crate::samples;
use lapidary_proto::onnx::{GraphProto, ModelProto, TensorProto, tensor_proto};
use lapidary_proto::{
    Bytes, ExternalData, ReadOptions, WriteError, encode, read, write, write_with_external,
};

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn writes_what_encoding_in_memory_gives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    let mut initializer: Vec<TensorProto> =
        [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 200_000]
            .map(|length| samples::tensor("w", length))
            .into();
    // Many small ones fill the buffer at every alignment of its end.
    initializer.extend((0..400).map(|length| samples::tensor("s", length)));
    initializer
        .push(TensorProto { int64_data: (-40_000..40_000).collect(), ..TensorProto::default() });
    initializer.push(TensorProto {
        string_data: vec![Bytes::from(vec![7; 5000]); 3],
        ..TensorProto::default()
    });
    let large = samples::model(GraphProto {
        doc_string: Some("long ".repeat(40_000)),
        initializer,
        ..GraphProto::default()
    });
    for model in [ModelProto::default(), samples::mixed(), large] {
        let bytes = write(&model, &path).expect("the model can be written");
        assert_eq!(bytes, encode(&model).len() as u64);
        assert!(fs::read(&path).expect("the file is there") == encode(&model));
    }
    assert_eq!(names_in(folder.path()), ["m.onnx"]);
}

#[test]
fn replaces_the_file_it_was_read_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    write(&samples::mixed(), &path).expect("the model can be written");
    let mut file = read(&path, &ReadOptions::default()).expect("the model is valid");
    file.model.producer_name = Some("another".to_owned());
    write(&file.model, &path).expect("the model can be written");
    write(&ModelProto::default(), &path).expect("the model can be written");
    let large = &file.model.graph.as_ref().expect("the model has a graph").initializer[1];
    assert_eq!(
        large.raw_data(),
        samples::tensor("large", 70_000).raw_data(),
        "the map outlives the name"
    );
}

#[test]
fn leaves_the_old_file_when_the_model_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    fs::write(&path, "old").expect("the file can be written");
    let too_large = TensorProto { raw_data: Some(zeros(1 << 30)), ..TensorProto::default() };
    let too_large =
        samples::model(GraphProto { initializer: vec![too_large; 2], ..GraphProto::default() });
    let error = write(&too_large, &path).expect_err("the model is over 2 GiB");
    assert!(matches!(error, WriteError::TooLarge { bytes } if bytes > 2 << 30), "{error}");
    assert!(error.to_string().contains("`write_with_external`"), "{error}");

    let mut graph = GraphProto::default();
    for _ in 0..65 {
        graph = GraphProto {
            node: vec![samples::node_with_graph("n", graph)],
            ..GraphProto::default()
        };
    }
    let error = write(&samples::model(graph), &path).expect_err("the model is nested too deep");
    assert!(matches!(error, WriteError::TooDeep { .. }), "{error}");

    assert_eq!(fs::read(&path).expect("the file is there"), b"old");
    assert_eq!(names_in(folder.path()), ["m.onnx"]);
}

/// Zeros that take no memory until they are touched.
fn zeros(length: usize) -> Bytes {
    Bytes::from(vec![0; length])
}

#[test]
fn refuses_places_where_no_file_can_be() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("missing/m.onnx");
    for path in [missing.as_path(), folder.path(), Path::new("/"), Path::new("")] {
        let error = write(&samples::mixed(), path).expect_err("there can be no file");
        assert!(matches!(error, WriteError::Io { .. } | WriteError::FileName { .. }), "{error}");
        write_with_external(&samples::mixed(), path, 1024).expect_err("there can be no file");
    }
    assert!(names_in(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn keeps_the_mode_of_a_replaced_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    write(&samples::mixed(), &path).expect("the model can be written");
    let mode =
        |path: &Path| fs::metadata(path).expect("the file is there").permissions().mode() & 0o777;
    fs::write(folder.path().join("plain"), "").expect("the file can be written");
    assert_eq!(
        mode(&path),
        mode(&folder.path().join("plain")),
        "a new file is like any other new file"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("the mode can be set");
    write(&samples::mixed(), &path).expect("the model can be written");
    assert_eq!(mode(&path), 0o640);
}

#[cfg(unix)]
#[test]
fn replaces_a_link_and_not_what_it_leads_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (blob, link) = (folder.path().join("blob"), folder.path().join("m.onnx"));
    fs::write(&blob, "old").expect("the file can be written");
    std::os::unix::fs::symlink("blob", &link).expect("the link can be made");
    write(&samples::mixed(), &link).expect("the model can be written");
    assert_eq!(fs::read(&blob).expect("the file is there"), b"old");
    assert_eq!(fs::read(&link).expect("the file is there"), encode(&samples::mixed()));
}

/// The tensors of a graph and of the graphs in it, with their bytes.
fn resolve(graph: &mut GraphProto, external: &ExternalData) {
    let in_nodes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let (mut tensors, mut graphs) = (Vec::new(), Vec::new());
    for attribute in in_nodes {
        tensors.extend(attribute.t.as_deref_mut());
        graphs.extend(attribute.g.as_deref_mut());
    }
    for tensor in tensors.into_iter().chain(&mut graph.initializer) {
        if tensor.data_location() == tensor_proto::DataLocation::External {
            tensor.raw_data = Some(external.tensor_bytes(tensor).expect("the data was written"));
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    for graph in graphs {
        resolve(graph, external);
    }
}

#[test]
fn external_data_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    let mut model = samples::mixed();
    let graph = model.graph.as_mut().expect("the model has a graph");
    graph.initializer.push(samples::tensor("pages", 1 << 20));
    graph.initializer.push(samples::tensor("last", 5000));

    let written = write_with_external(&model, &path, 4096).expect("the model can be written");
    assert_eq!(written.tensors, 6);
    assert_eq!(written.data_path.as_deref(), Some(folder.path().join("m.onnx.data").as_path()));
    assert_eq!(names_in(folder.path()), ["m.onnx", "m.onnx.data"]);
    let size =
        |name: &str| fs::metadata(folder.path().join(name)).expect("the file is there").len();
    assert_eq!((written.model_bytes, written.data_bytes), (size("m.onnx"), size("m.onnx.data")));

    let mut file = read(&path, &ReadOptions::default()).expect("the model is valid");
    let graph = file.model.graph.as_mut().expect("the model has a graph");
    for tensor in &graph.initializer {
        let entry = |key| {
            tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value())
        };
        let Some(offset) = entry("offset") else { continue };
        let offset: u64 = offset.parse().expect("the offset is a number");
        let alignment = if tensor.name() == "pages" { 4096 } else { 64 };
        assert!(offset.is_multiple_of(alignment), "{} is at {offset}", tensor.name());
        assert_eq!(entry("location"), Some("m.onnx.data"));
    }
    resolve(graph, &file.external);
    assert_eq!(file.model, model);
    assert_eq!(encode(&file.model), encode(&model));
}

#[test]
fn writes_the_same_two_files_every_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    let mut runs = Vec::new();
    for _ in 0..2 {
        write_with_external(&samples::mixed(), &path, 1024).expect("the model can be written");
        runs.push(
            [&path, &folder.path().join("m.onnx.data")]
                .map(|path| fs::read(path).expect("the file is there")),
        );
    }
    assert!(runs[0] == runs[1]);
}

#[test]
fn writes_no_data_file_for_a_model_of_small_tensors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    let written =
        write_with_external(&samples::mixed(), &path, 1 << 20).expect("the model can be written");
    assert_eq!((written.data_path, written.data_bytes, written.tensors), (None, 0, 0));
    assert_eq!(names_in(folder.path()), ["m.onnx"]);
    assert_eq!(fs::read(&path).expect("the file is there"), encode(&samples::mixed()));
}

#[test]
fn refuses_to_replace_the_data_of_tensors_it_has_not_loaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    write_with_external(&samples::mixed(), &path, 1024).expect("the model can be written");
    let before = fs::read(folder.path().join("m.onnx.data")).expect("the file is there");
    let mut file = read(&path, &ReadOptions::default()).expect("the model is valid");
    let graph = file.model.graph.as_mut().expect("the model has a graph");
    graph.initializer.push(samples::tensor("new", 5000));
    let error = write_with_external(&file.model, &path, 1024).expect_err("the data is still there");
    assert!(matches!(&error, WriteError::DataInUse { tensor, .. } if tensor == "large"), "{error}");
    assert!(before == fs::read(folder.path().join("m.onnx.data")).expect("the file is there"));
}

#[test]
fn the_data_file_is_named_by_us_and_not_by_the_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    let mut tensor = samples::tensor("w", 5000);
    tensor.external_data = samples::external("", &[("location", "../../elsewhere")]).external_data;
    let model = samples::model(GraphProto { initializer: vec![tensor], ..GraphProto::default() });
    write_with_external(&model, &path, 1024).expect("the model can be written");
    assert_eq!(names_in(folder.path()), ["m.onnx", "m.onnx.data"]);
}

#[test]
fn leaves_the_old_pair_when_the_model_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    fs::create_dir(&path).expect("the folder can be made");
    fs::write(folder.path().join("m.onnx.data"), "old").expect("the file can be written");
    write_with_external(&samples::mixed(), &path, 1024).expect_err("a folder is in the way");
    assert_eq!(fs::read(folder.path().join("m.onnx.data")).expect("the file is there"), b"old");
    assert_eq!(names_in(folder.path()), ["m.onnx", "m.onnx.data"]);
}

#[test]
fn thirty_nested_graphs_around_many_tensors_are_written_in_a_moment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let initializer = (0..2000).map(|i| samples::tensor(&format!("w{i}"), 8)).collect();
    let mut graph = GraphProto { initializer, ..GraphProto::default() };
    for _ in 0..32 {
        graph = GraphProto {
            node: vec![samples::node_with_graph("n", graph)],
            ..GraphProto::default()
        };
    }
    let model = samples::model(graph);
    let start = std::time::Instant::now();
    write(&model, &folder.path().join("m.onnx")).expect("the model can be written");
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
