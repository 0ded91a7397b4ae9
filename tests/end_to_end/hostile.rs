//! Bad input: a clear message, the right exit code, no panic, the old output untouched.
use crate::program::{fixture, lapidary};
use lapidary::ir::proto::{onnx, prost::Message};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

const OLD: &str = "the old output";

/// Optimizes `bytes` as a file and returns the message; the output must stay as it was.
#[track_caller]
fn optimize(bytes: &[u8], code: i32) -> String {
    let folder = tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    fs::write(&model, bytes).unwrap();
    optimize_file(&folder, &model, code)
}

#[track_caller]
fn optimize_file(folder: &TempDir, model: &Path, code: i32) -> String {
    let out = folder.path().join("out.onnx");
    fs::write(&out, OLD).unwrap();
    let run = lapidary(["optimize".as_ref(), model.as_os_str(), "-o".as_ref(), out.as_os_str()]);
    let message = run.fails_with(code, folder.path());
    assert_eq!(fs::read_to_string(&out).unwrap(), OLD, "the old output is untouched");
    message
}

fn fixture_bytes() -> Vec<u8> {
    fs::read(fixture("digits_resnet_dynamo_op18.onnx")).unwrap()
}

fn fixture_model() -> onnx::ModelProto {
    onnx::ModelProto::decode(fixture_bytes().as_slice()).unwrap()
}

#[test]
fn a_missing_file_is_an_input_error() {
    let folder = tempdir().unwrap();
    let model = folder.path().join("nothing.onnx");
    insta::assert_snapshot!(optimize_file(&folder, &model, 5));
}

#[test]
fn an_empty_file_is_no_model() {
    insta::assert_snapshot!(optimize(b"", 3));
}

#[test]
fn a_text_file_is_no_model() {
    insta::assert_snapshot!(optimize(b"hello, this is not a model\n", 3));
}

#[test]
fn a_truncated_file_names_the_place() {
    let bytes = fixture_bytes();
    insta::assert_snapshot!(optimize(&bytes[..bytes.len() / 2], 3));
}

#[test]
fn random_bytes_are_refused() {
    let mut state = 1u64;
    let bytes: Vec<u8> = (0..4096)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let message = optimize(&bytes, 3);
    assert!(message.contains("the model can't be read"), "{message}");
}

#[test]
fn flipped_bytes_never_panic() {
    let bytes = fixture_bytes();
    let folder = tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    for step in 0..40usize {
        let mut mutant = bytes.clone();
        // Structure sits at both ends of the file, weights between.
        let at = if step % 2 == 0 { step * 97 } else { bytes.len() - 1 - step * 61 };
        mutant[at] ^= 0x55;
        fs::write(&model, mutant).unwrap();
        let run = lapidary(["inspect".as_ref(), model.as_os_str()]);
        assert!([0, 3, 4].contains(&run.code), "exit code {} at byte {at}", run.code);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
}

#[test]
fn data_that_does_not_fit_its_dimensions_names_the_initializer() {
    let mut model = fixture_model();
    let initializer = &mut model.graph.as_mut().unwrap().initializer[0];
    initializer.dims = vec![1 << 33, 1 << 33];
    initializer.name = Some("weight".to_owned());
    let message = optimize(&model.encode_to_vec(), 3);
    assert!(message.contains("initializer `weight`"), "{message}");
}

#[test]
fn a_missing_external_file_is_named_with_the_tensor() {
    let mut model = fixture_model();
    let initializer = &mut model.graph.as_mut().unwrap().initializer[0];
    initializer.raw_data = None;
    initializer.data_location = Some(onnx::tensor_proto::DataLocation::External as i32);
    initializer.external_data = vec![onnx::StringStringEntryProto {
        key: Some("location".to_owned()),
        value: Some("weights.data".to_owned()),
    }];
    let message = optimize(&model.encode_to_vec(), 3);
    assert!(message.contains("weights.data"), "{message}");
}

#[test]
fn a_cycle_is_named() {
    let mut model = fixture_model();
    let graph = model.graph.as_mut().unwrap();
    let last = graph.node.last().unwrap().output[0].clone();
    graph.node[0].input[0] = last;
    let message = optimize(&model.encode_to_vec(), 3);
    assert!(message.contains("cycle"), "{message}");
}

#[test]
fn an_unknown_operator_passes_through_and_the_rest_is_verified() {
    let mut model = fixture_model();
    let graph = model.graph.as_mut().unwrap();
    let relu = graph.node.iter_mut().find(|node| node.op_type() == "Relu").unwrap();
    relu.op_type = Some("Mystery".to_owned());
    relu.domain = Some("example.mystery".to_owned());
    model.opset_import.push(onnx::OperatorSetIdProto {
        domain: Some("example.mystery".to_owned()),
        version: Some(1),
    });
    let folder = tempdir().unwrap();
    let (path, out) = (folder.path().join("model.onnx"), folder.path().join("out.onnx"));
    fs::write(&path, model.encode_to_vec()).unwrap();
    let run = lapidary(["optimize".as_ref(), path.as_os_str(), "-o".as_ref(), out.as_os_str()]);
    let report = run.succeeds().stdout;
    assert!(report.contains("the same by construction"), "{report}");
    assert!(!report.contains("not executed"), "{report}");
    let written = onnx::ModelProto::decode(fs::read(&out).unwrap().as_slice()).unwrap();
    let nodes = written.graph.unwrap().node;
    assert!(nodes.iter().any(|node| node.op_type() == "Mystery"));
    let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    let run = lapidary(["optimize", path, "-o", out, "--verify", "full"]);
    let report = run.succeeds().stdout;
    assert!(report.contains("not executed: the built-in runtime"), "{report}");
}

/// Quantizes a fixture with the arrays of an .npz and returns the message.
#[track_caller]
fn quantize_with(write: impl FnOnce(&mut NpzWriter<fs::File>), code: i32) -> String {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data.npz");
    let mut npz = NpzWriter::new(fs::File::create(&data).unwrap());
    write(&mut npz);
    npz.finish().unwrap();
    let (model, out) = (fixture("digits_resnet_dynamo_op18.onnx"), folder.path().join("out.onnx"));
    fs::write(&out, OLD).unwrap();
    let run = lapidary([
        "quantize".as_ref(),
        model.as_os_str(),
        "-o".as_ref(),
        out.as_os_str(),
        "--data".as_ref(),
        data.as_os_str(),
    ]);
    assert_eq!(fs::read_to_string(&out).unwrap(), OLD, "the old output is untouched");
    run.fails_with(code, folder.path())
}

#[test]
fn an_npz_with_other_names_lists_what_it_has() {
    let array = Array4::<f32>::zeros((2, 1, 8, 8));
    insta::assert_snapshot!(quantize_with(|npz| npz.add_array("images", &array).unwrap(), 3));
}

#[test]
fn an_npz_with_another_shape_says_which_is_expected() {
    let array = Array4::<f32>::zeros((2, 8, 8, 1));
    insta::assert_snapshot!(quantize_with(|npz| npz.add_array("input", &array).unwrap(), 3));
}

#[test]
fn an_npz_with_another_type_says_which_is_expected() {
    let array = Array4::<f64>::zeros((2, 1, 8, 8));
    insta::assert_snapshot!(quantize_with(|npz| npz.add_array("input", &array).unwrap(), 3));
}

#[test]
fn labels_of_another_count_are_refused() {
    let (array, labels) = (Array4::<f32>::zeros((2, 1, 8, 8)), Array1::<i64>::zeros(3));
    let write = |npz: &mut NpzWriter<fs::File>| {
        npz.add_array("input", &array).unwrap();
        npz.add_array("y", &labels).unwrap();
    };
    insta::assert_snapshot!(quantize_with(write, 3));
}

#[test]
fn functions_that_multiply_when_inlined_meet_a_limit() {
    let call = |name: String, input: &str, output: &str| onnx::NodeProto {
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        op_type: Some(name),
        domain: Some("bomb".to_owned()),
        ..onnx::NodeProto::default()
    };
    let import = |domain: &str| onnx::OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(if domain.is_empty() { 18 } else { 1 }),
    };
    let function = |depth: usize| onnx::FunctionProto {
        name: Some(format!("f{depth}")),
        domain: Some("bomb".to_owned()),
        input: vec!["a".to_owned()],
        output: vec!["c".to_owned()],
        node: vec![
            call(format!("f{}", depth + 1), "a", "b"),
            call(format!("f{}", depth + 1), "b", "c"),
        ],
        opset_import: vec![import(""), import("bomb")],
        ..onnx::FunctionProto::default()
    };
    let mut model = fixture_model();
    model.opset_import.push(import("bomb"));
    model.functions = (0..60).map(function).collect();
    let graph = model.graph.as_mut().unwrap();
    let input = graph.input[0].name.clone().unwrap();
    graph.node.insert(0, call("f0".to_owned(), &input, "unused"));
    let folder = tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    fs::write(&file, model.encode_to_vec()).unwrap();
    let out = folder.path().join("out.onnx");
    let arguments = ["optimize", "--inline", file.to_str().unwrap(), "-o", out.to_str().unwrap()];
    assert!(lapidary(arguments).fails_with(4, folder.path()).contains("more than"));
    assert!(!out.exists());
}
