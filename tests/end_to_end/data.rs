//! Samples of every kind, through the program and the library.
use crate::program::{fixture, lapidary};
use lapidary::ir::proto::{onnx, prost::Message};
use lapidary::ir::{ElemType, Model, Tensor};
use lapidary::{DataOptions, Dataset, Interpolation, Preprocess, Resize};
use ndarray::{Array1, Array4, Axis, s};
use ndarray_npy::{NpzReader, NpzWriter, WriteNpyExt};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use tempfile::tempdir;

const MODEL: &str = "fixtures/digits_resnet_dynamo_op18.onnx";

/// The mean and the standard deviation of the digits.
const NORMALIZED: [&str; 6] = ["--scale", "1/240", "--mean", "0.305", "--std", "0.376"];

fn digits() -> (Array4<f32>, Array1<i64>) {
    let mut npz = NpzReader::new(File::open(fixture("digits_test.npz")).unwrap()).unwrap();
    (npz.by_name("input").unwrap(), npz.by_name("y").unwrap())
}

/// What `verify` says of the model against itself on `data`.
fn verify(data: &Path, options: &[&str]) -> Value {
    let arguments = ["--json", "verify", MODEL, MODEL, "--data", data.to_str().unwrap()];
    let run = lapidary(arguments.iter().chain(options)).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["outputs"][0]["max_abs"], 0.0, "{report}");
    report
}

/// The message of a run on `data` that ends with `code`.
#[track_caller]
fn refusal(data: &Path, options: &[&str], code: i32) -> String {
    let arguments = ["verify", MODEL, MODEL, "--data", data.to_str().unwrap()];
    let run = lapidary(arguments.iter().chain(options));
    run.fails_with(code, data.parent().unwrap())
}

/// A digit as an 8-bit PNG: sixteenths become steps of 15.
fn write_digit(path: &Path, digit: ndarray::ArrayView2<'_, f32>) {
    let grey: Vec<u8> = digit.iter().map(|x| ((x * 0.376 + 0.305) * 240.0).round() as u8).collect();
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&grey).unwrap();
}

#[test]
fn folders_of_arrays_are_their_samples_one_after_the_other() {
    let (x, y) = digits();
    let whole = verify(&fixture("digits_test.npz"), &["--samples", "20"]);
    let folder = tempdir().unwrap();
    let (npy, npz) = (folder.path().join("npy"), folder.path().join("npz"));
    fs::create_dir(&npy).unwrap();
    fs::create_dir(&npz).unwrap();
    for index in 0..20 {
        let path = npy.join(format!("{index:03}.npy"));
        x.index_axis(Axis(0), index).write_npy(File::create(path).unwrap()).unwrap();
    }
    // Batches of 3, 7 and 10, with and without compression.
    for (name, compressed, range) in [("a", true, 0..3), ("b", false, 3..10), ("c", true, 10..20)] {
        let file = File::create(npz.join(format!("{name}.npz"))).unwrap();
        let mut writer =
            if compressed { NpzWriter::new_compressed(file) } else { NpzWriter::new(file) };
        writer.add_array("input", &x.slice(s![range.clone(), .., .., ..])).unwrap();
        writer.add_array("y", &y.slice(s![range])).unwrap();
        writer.finish().unwrap();
    }
    let labels = folder.path().join("labels.npy");
    y.slice(s![..20]).write_npy(File::create(&labels).unwrap()).unwrap();
    for report in [verify(&npz, &[]), verify(&npy, &["--labels", labels.to_str().unwrap()])] {
        assert_eq!(report["samples"], 20);
        assert_eq!(report["accuracy"], whole["accuracy"]);
    }
    let graph =
        lapidary::open(Path::new(&fixture("digits_resnet_dynamo_op18.onnx")), &Default::default());
    let graph = graph.unwrap().model.graph;
    let options = DataOptions::default();
    let [one, other] = [&npy, &npz].map(|path| Dataset::read(path, &graph, &options).unwrap());
    assert!(one.stacked().unwrap()["input"].same_content(&other.stacked().unwrap()["input"]));
    let across = other.batch(2..12).unwrap();
    let expected: Vec<f32> = x.slice(s![2..12, .., .., ..]).iter().copied().collect();
    assert!(across["input"].same_content(&Tensor::new(&[10, 1, 8, 8], &expected)));
    assert!(other.sample(19).unwrap()["input"].same_content(&one.sample(19).unwrap()["input"]));
    fs::write(npz.join("d.npz"), "no archive").unwrap();
    insta::assert_snapshot!(refusal(&npz, &[], 3), @"LP0304  × the data `FOLDER/npz` can't be used `d.npz`: the archive can't be read: invalid Zip archive: Could not find EOCD help: save the arrays again with numpy.savez: numbers or booleans, no objects");
}

/// A float `TensorProto` of digits.
fn proto(name: &str, digits: ndarray::ArrayView4<'_, f32>) -> Vec<u8> {
    let tensor = onnx::TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(onnx::tensor_proto::DataType::Float as i32),
        dims: digits.shape().iter().map(|&dim| dim as i64).collect(),
        float_data: digits.iter().copied().collect(),
        ..onnx::TensorProto::default()
    };
    tensor.encode_to_vec()
}

#[test]
fn test_data_of_onnx_feeds_by_name_or_by_number() {
    let (x, _) = digits();
    let parent = tempdir().unwrap();
    let folder = parent.path().join("model");
    for (number, name, range) in [(0, "input", 0..2), (1, "", 2..3), (10, "other", 3..6)] {
        let set = folder.join(format!("test_data_set_{number}"));
        fs::create_dir_all(&set).unwrap();
        let tensor = proto(name, x.slice(s![range, .., .., ..]));
        fs::write(set.join("input_0.pb"), tensor).unwrap();
        fs::write(set.join("output_0.pb"), "not read").unwrap();
    }
    assert_eq!(verify(&folder, &[])["samples"], 3);
    assert_eq!(verify(&folder.join("test_data_set_1"), &[])["samples"], 1);
    let out = parent.path().join("q.onnx");
    let data = folder.to_str().unwrap();
    lapidary(["quantize", MODEL, "--data", data, "-o", out.to_str().unwrap()]).succeeds();
    let set = folder.join("test_data_set_0");
    fs::write(set.join("input_0.pb"), [0xff; 7]).unwrap();
    insta::assert_snapshot!(refusal(&folder, &[], 3), @"LP0304  × the data `FOLDER/model` can't be used `test_data_set_0/input_0.pb`: it is no TensorProto: failed to decode Protobuf message: invalid varint help: write inputs as test_data_set_0/input_0.pb with onnx.numpy_helper.from_array");
    let square = proto("input", x.slice(s![..1, .., ..4, ..]));
    fs::write(set.join("input_0.pb"), square).unwrap();
    insta::assert_snapshot!(refusal(&folder, &[], 3), @"LP0304  × the data `FOLDER/model` can't be used `test_data_set_0`: array `input` has shape [1, 1, 4, 8], the input takes [batch, 1, 8, 8] help: save the arrays as the model takes them, preprocessed, samples along axis 0");
    fs::remove_file(set.join("input_0.pb")).unwrap();
    assert!(refusal(&folder, &[], 3).contains("no array is named `input`"));
}

#[test]
fn inputs_saved_by_polygraphy_are_feeds() {
    use base64::Engine as _;
    let (x, _) = digits();
    let folder = tempdir().unwrap();
    let path = folder.path().join("inputs.json");
    let feed = |range: std::ops::Range<usize>| {
        let mut npy = Vec::new();
        x.slice(s![range, .., .., ..]).write_npy(&mut npy).unwrap();
        let array = base64::engine::general_purpose::STANDARD.encode(npy);
        serde_json::json!({"input": {"array": array, "polygraphy_class": "ndarray"}})
    };
    let text = serde_json::to_string_pretty(&[feed(0..1), feed(1..4)]).unwrap();
    fs::write(&path, text).unwrap();
    assert_eq!(verify(&path, &[])["samples"], 2);
    assert_eq!(verify(&path, &["--samples", "1"])["samples"], 1);
    fs::write(&path, r#"{"lst": [], "polygraphy_class": "RunResults"}"#).unwrap();
    insta::assert_snapshot!(refusal(&path, &[], 3), @"LP0304  × the data `FOLDER/inputs.json` can't be used it does not hold inputs as Polygraphy saves them: invalid type: map, expected a sequence at line 1 column 0; expected a list with an object per feed help: write the file with `polygraphy run --save-inputs FILE.json`, or give an .npz");
    let tensor = r#"[{"input": {"tensor": "UEsD", "polygraphy_class": "Tensor"}}]"#;
    fs::write(&path, tensor).unwrap();
    insta::assert_snapshot!(refusal(&path, &[], 3), @"LP0304  × the data `FOLDER/inputs.json` can't be used it does not hold inputs as Polygraphy saves them: `input` of feed 0 is of class `Tensor`, known is `ndarray` help: write the file with `polygraphy run --save-inputs FILE.json`, or give an .npz");
}

#[test]
fn sub_folders_of_images_are_classes() {
    let (x, y) = digits();
    let whole = verify(&fixture("digits_test.npz"), &[]);
    let folder = tempdir().unwrap();
    for (index, label) in y.iter().enumerate() {
        let class = folder.path().join(label.to_string());
        fs::create_dir_all(&class).unwrap();
        write_digit(&class.join(format!("{index}.png")), x.slice(s![index, 0, .., ..]));
    }
    let report = verify(folder.path(), &NORMALIZED);
    assert_eq!(report["samples"], 360);
    assert_eq!(report["accuracy"], whole["accuracy"]);
    assert!(report["warnings"].is_null(), "{report}");
    let out = folder.path().join("small.onnx");
    let (data, out) = (folder.path().to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["compress", MODEL, "--data", data, "--samples", "50", "--test", data];
    let rest = ["--quantize", "int8", "--max-drop", "2", "-o", out];
    lapidary(arguments.iter().chain(&rest).chain(&NORMALIZED)).succeeds();
}

#[test]
fn labels_of_images_stand_in_a_file() {
    let (x, y) = digits();
    let folder = tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let mut lines = "file,label\n".to_owned();
    for index in 0..10 {
        write_digit(&images.join(format!("{index}.png")), x.slice(s![index, 0, .., ..]));
        lines += &format!("{index}.png,{}\n", y[index]);
    }
    assert!(verify(&images, &NORMALIZED)["accuracy"].is_null());
    let file = folder.path().join("list.csv");
    fs::write(&file, &lines).unwrap();
    let given = ["--labels", file.to_str().unwrap()];
    let given = verify(&images, &[&NORMALIZED[..], &given].concat());
    fs::write(images.join("labels.csv"), &lines).unwrap();
    let beside = verify(&images, &NORMALIZED);
    assert!(given["accuracy"].as_f64().unwrap() >= 0.9, "{given}");
    assert_eq!(given["accuracy"], beside["accuracy"]);
    fs::write(images.join("labels.csv"), lines.replace("7.png", "seven.png")).unwrap();
    insta::assert_snapshot!(refusal(&images, &NORMALIZED, 3), @"LP0304  × the data `FOLDER/images` can't be used labels: `7.png` has none help: one line per sample, `file,label` or the label alone in the order of the samples, labels being the numbers of the classes from 0");
}

#[test]
fn images_of_another_size_say_what_to_do() {
    let images = fixture("images");
    insta::assert_snapshot!(refusal(&images, &[], 3), @"LP0304  × the data `FOLDER/images` can't be used `grey/a.jpg`: after preprocessing the image is [1, 57, 41], the input `input` takes [1, 8, 8] help: --resize 256 --center-crop 224 give images one size; --layout tells where the channels are");
    assert_eq!(verify(&images, &["--resize", "10", "--center-crop", "8"])["samples"], 5);
    let folder = tempdir().unwrap();
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    insta::assert_snapshot!(refusal(&broken, &[], 3), @"LP0304  × the data `FOLDER/broken` can't be used the folder has no .npz, .npy, .jpg, .jpeg or .png files and no test_data_set_* help: save the arrays with numpy.savez(path, input_name=array, …)");
    fs::write(broken.join("a.png"), "no image").unwrap();
    insta::assert_snapshot!(refusal(&broken, &[], 3), @"LP0304  × the data `FOLDER/broken` can't be used `a.png`: the image can't be decoded: it is neither JPEG nor PNG help: convert the image to an 8-bit JPEG or PNG");
}

#[test]
fn options_for_images_need_images() {
    let folder = tempdir().unwrap();
    let arguments = ["verify", MODEL, MODEL, "--data", "fixtures/digits_test.npz"];
    let run = lapidary(arguments.iter().chain(&["--preprocess", "imagenet"]));
    insta::assert_snapshot!(run.fails_with(2, folder.path()), @"LP0201  × options for images are given, and the samples are no images help: leave them out, or give a folder of .jpg, .jpeg or .png files");
}

#[test]
fn unusual_numbers_are_warned_of() {
    let images = fixture("images");
    let options = ["--resize", "8x8", "--preprocess", "none"];
    let arguments = ["--json", "verify", MODEL, MODEL, "--data", images.to_str().unwrap()];
    let run = lapidary(arguments.iter().chain(&options)).succeeds();
    assert!(
        run.stderr.starts_with("warning: the samples of `input` look like raw"),
        "{}",
        run.stderr
    );
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(run.stderr.trim_end(), format!("warning: {}", warnings[0].as_str().unwrap()));
    for usual in ["imagenet", "cifar10", "tf", "clip", "efficientnet-lite", "caffe"] {
        let options = ["--resize", "8x8", "--center-crop", "8", "--preprocess", usual];
        let report = verify(&images, &[&options[..], &["--channels", "grey"]].concat());
        assert!(report["warnings"].is_null(), "{usual}: {report}");
    }
}

/// A model that gives its input back.
fn identity(elem_type: ElemType, dims: [i64; 4]) -> Model {
    use onnx::tensor_shape_proto::{Dimension, dimension::Value};
    use onnx::type_proto;
    let dim = |dim| Dimension { value: Some(Value::DimValue(dim)), ..Dimension::default() };
    let shape = onnx::TensorShapeProto { dim: dims.map(dim).to_vec() };
    let tensor = type_proto::Tensor { elem_type: Some(elem_type.0), shape: Some(shape) };
    let value = |name: &str| onnx::ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(onnx::TypeProto {
            value: Some(type_proto::Value::TensorType(tensor.clone())),
            ..onnx::TypeProto::default()
        }),
        ..onnx::ValueInfoProto::default()
    };
    let node = onnx::NodeProto {
        op_type: Some("Identity".to_owned()),
        input: vec!["image".to_owned()],
        output: vec!["same".to_owned()],
        ..onnx::NodeProto::default()
    };
    let graph = onnx::GraphProto {
        name: Some("g".to_owned()),
        node: vec![node],
        input: vec![value("image")],
        output: vec![value("same")],
        ..onnx::GraphProto::default()
    };
    let opset = onnx::OperatorSetIdProto { version: Some(17), ..Default::default() };
    let proto = onnx::ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![opset],
        ..onnx::ModelProto::default()
    };
    Model::decode(proto, &|_| Err("no other files".into())).unwrap()
}

#[test]
fn images_are_prepared_as_pillow_and_torchvision_do() {
    let mut npz = NpzReader::new(File::open(fixture("images.npz")).unwrap()).unwrap();
    let graph = identity(ElemType::UINT8, [1, 3, 16, 16]).graph;
    for (name, interpolation) in
        [("bilinear", Interpolation::Bilinear), ("bicubic", Interpolation::Bicubic)]
    {
        let expected: Array4<u8> = npz.by_name(name).unwrap();
        let images = Preprocess {
            resize: Some(Resize::Shorter(24)),
            crop: Some((16, 16)),
            interpolation,
            ..Preprocess::default()
        };
        let options = DataOptions { images, ..DataOptions::default() };
        let data = Dataset::read(&fixture("images"), &graph, &options).unwrap();
        assert_eq!(data.labels(), Some(&[0, 0, 1, 1, 1][..]));
        for (index, expected) in expected.outer_iter().enumerate() {
            let found = data.sample(index).unwrap()["image"].to_vec::<u8>().unwrap();
            let differences: Vec<u8> =
                expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).collect();
            let largest = differences.iter().max().copied();
            // Lossless files, which come second in their folders and last, are the same bytes; colours at
            // half the resolution are blended with another rounding than in libjpeg-turbo.
            let allowed = [1, 0, 2, 0, 0][index];
            assert!(largest <= Some(allowed), "image {index}: {largest:?}");
            let far = differences.iter().filter(|&&difference| difference > 1).count();
            assert!(far * 50 < differences.len(), "image {index}: {far} values");
        }
    }
}

#[test]
fn presets_reach_the_model_in_its_layout_and_type() {
    let read = |elem_type, dims, name: &str| {
        let images = Preprocess::preset(name).unwrap();
        let options = DataOptions { images, limit: Some(2), ..DataOptions::default() };
        let graph = identity(elem_type, dims).graph;
        Dataset::read(&fixture("images"), &graph, &options)
    };
    let nchw = read(ElemType::FLOAT, [1, 3, 224, 224], "imagenet").unwrap();
    let nhwc = read(ElemType::FLOAT, [1, 224, 224, 3], "imagenet").unwrap();
    let (nchw, nhwc) = (nchw.stacked().unwrap(), nhwc.stacked().unwrap());
    assert_eq!(
        (nchw["image"].dims(), nhwc["image"].dims()),
        (&[2, 3, 224, 224][..], &[2, 224, 224, 3][..])
    );
    let (nchw, nhwc) = (nchw["image"].to_f32().unwrap(), nhwc["image"].to_f32().unwrap());
    let plane = 224 * 224;
    assert!((0..plane).all(|pixel| (0..3).all(|c| nchw[c * plane + pixel] == nhwc[pixel * 3 + c])));
    let half = read(ElemType::FLOAT16, [1, 3, 224, 224], "imagenet").unwrap().sample(0).unwrap();
    assert_eq!(half["image"].elem_type(), ElemType::FLOAT16);
    let refused = read(ElemType::UINT8, [1, 3, 224, 224], "imagenet").unwrap_err();
    assert!(refused.to_string().contains("takes bytes"), "{refused}");
}
