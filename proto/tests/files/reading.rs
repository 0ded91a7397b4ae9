//! Reading: what is accepted is kept, what is refused is refused by name.

use std::fs;
use std::path::Path;

use crate::samples;
use lapidary_proto::onnx::{GraphProto, ModelProto, NodeProto};
use lapidary_proto::{
    Bytes, Foreign, Limits, NotOnnx, OpenError, ReadError, ReadOptions, Resource, WireProblem,
    decode, encode, read,
};

fn refused(bytes: &[u8]) -> ReadError {
    decode(Bytes::copy_from_slice(bytes), &ReadOptions::default())
        .expect_err("these bytes are not a model")
}

/// A length-delimited field.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = payload.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_model_survives_decoding_and_encoding_byte_for_byte() {
    let bytes = encode(&samples::mixed());
    let (model, unknown) =
        decode(bytes.clone(), &ReadOptions::default()).expect("the model is valid");
    assert_eq!(model, samples::mixed());
    assert_eq!(encode(&model), bytes);
    assert!(unknown.is_empty());
}

#[test]
fn raw_data_points_into_the_bytes_it_was_decoded_from() {
    let bytes = encode(&samples::mixed());
    let (model, _) = decode(bytes.clone(), &ReadOptions::default()).expect("the model is valid");
    let graph = model.graph.expect("the model has a graph");
    assert!(bytes.as_ptr_range().contains(&graph.initializer[1].raw_data().as_ptr()));
}

#[test]
fn a_mapped_file_and_a_read_file_are_the_same_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.onnx");
    fs::write(&path, encode(&samples::mixed())).expect("the file can be written");
    for options in [ReadOptions::default(), ReadOptions::untrusted()] {
        let file = read(&path, &options).expect("the model is valid");
        assert_eq!(file.model, samples::mixed());
        assert_eq!(file.bytes_len, encode(&samples::mixed()).len() as u64);
    }
}

#[test]
fn names_what_a_file_that_is_not_onnx_looks_like() {
    let cases: [(&[u8], NotOnnx); 8] = [
        (b"", NotOnnx::Empty),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", NotOnnx::Foreign(Foreign::Image)),
        (b"hello, this is not a model\n", NotOnnx::Foreign(Foreign::Text)),
        (b"<!DOCTYPE html><html>", NotOnnx::Foreign(Foreign::Html)),
        (b"version https://git-lfs.github.com/spec/v1\n", NotOnnx::Foreign(Foreign::GitLfsPointer)),
        (b"PK\x03\x04\0\0", NotOnnx::Foreign(Foreign::Zip)),
        (b"\x18\0\0\0ORTM\0\0", NotOnnx::Foreign(Foreign::OrtFormat)),
        (b"\x08\x0a", NotOnnx::NoGraph),
    ];
    for (bytes, expected) in cases {
        let ReadError::NotOnnx { reason, .. } = refused(bytes) else {
            panic!("expected {expected:?}")
        };
        assert_eq!(reason, expected);
    }
}

#[test]
fn refuses_a_folder_and_a_missing_file_by_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = read(folder.path(), &ReadOptions::default()).expect_err("a folder is not a model");
    assert!(matches!(error, ReadError::Open(OpenError::NotAFile { found: "a folder", .. })));
    let error = read(Path::new("no/such.onnx"), &ReadOptions::default())
        .expect_err("there is no such file");
    assert!(error.to_string() == "cannot read `no/such.onnx`", "{error}");
}

#[test]
fn refuses_an_unknown_field_by_name_and_place() {
    // Node with field 31 = 5, inside a graph.
    let bytes = field(7, &field(1, &[0xf8, 0x01, 5]));
    assert_eq!(
        refused(&bytes).to_string(),
        "`model in memory` has a field this version does not know: field 31 of NodeProto at byte 4; \
         allow unknown fields to drop it"
    );
}

#[test]
fn drops_unknown_fields_if_allowed_and_reports_them() {
    let node = [0xf8, 0x01, 5, 0xf8, 0x01, 6, 0xfb, 0x01, 0x08, 1, 0xfc, 0x01];
    let bytes = field(7, &field(1, &node));
    let options = ReadOptions { allow_unknown_fields: true, ..ReadOptions::default() };
    let (model, unknown) = decode(bytes.into(), &options).expect("unknown fields are allowed");
    assert_eq!(
        model.graph,
        Some(GraphProto { node: vec![NodeProto::default()], ..GraphProto::default() })
    );
    let [unknown] = &unknown[..] else { panic!("one field, three times: {unknown:?}") };
    assert_eq!(
        (unknown.message, unknown.number, unknown.offset, unknown.occurrences),
        ("NodeProto", 31, 4, 3)
    );
}

#[test]
fn names_the_field_that_is_not_utf8() {
    let mut model = samples::mixed();
    model.doc_string = Some("documentation".to_owned());
    let mut bytes = encode(&model).to_vec();
    let offset = bytes.windows(5).position(|word| word == b"small").expect("the name is there");
    bytes[offset + 2] = 0xff;
    assert_eq!(
        refused(&bytes).to_string(),
        format!(
            "`model in memory` is not an ONNX model: `graph.initializer[0].name` at byte {} is not UTF-8 text",
            offset + 2
        )
    );
}

#[test]
fn names_the_field_a_file_ends_in() {
    let bytes = encode(&samples::mixed());
    let cut = refused(&bytes[..bytes.len() / 2]);
    let ReadError::NotOnnx { reason: NotOnnx::Malformed { field, problem, .. }, .. } = cut else {
        panic!("{cut}")
    };
    assert_eq!(field, "graph");
    assert!(matches!(problem, WireProblem::Truncated { .. }));
}

#[test]
fn refuses_wrong_wire_types_keys_and_groups() {
    let cases: [(&[u8], WireProblem); 7] = [
        (&[0x0a, 0], WireProblem::OtherWireType { found: 2, expected: 0 }),
        (&[0x00, 1], WireProblem::Key(0)),
        (
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            WireProblem::LongVarint,
        ),
        (&[0xfc, 0x01], WireProblem::GroupEnd),
        (&[0xfe, 0x01], WireProblem::WireType(6)),
        (&[0x08], WireProblem::Truncated { needed: 1, available: 0 }),
        (
            &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            WireProblem::Truncated { needed: u64::MAX, available: 0 },
        ),
    ];
    for (bytes, expected) in cases {
        // A control character in front keeps the bytes from being taken for text.
        let bytes = [&[0x08, 0x01], bytes].concat();
        let ReadError::NotOnnx { reason: NotOnnx::Malformed { problem, .. }, .. } = refused(&bytes)
        else {
            panic!("expected {expected:?}")
        };
        assert_eq!(problem, expected);
    }
}

#[test]
fn an_unknown_group_is_followed_only_so_deep() {
    let mut bytes = vec![0x08, 0x01];
    bytes.extend([0xfb, 0x01].repeat(100_000));
    let error = refused(&bytes);
    assert!(error.to_string().contains("groups are nested too deep"), "{error}");
}

fn nested(depth: usize) -> ModelProto {
    let mut graph =
        GraphProto { initializer: vec![samples::tensor("w", 4)], ..GraphProto::default() };
    for _ in 0..depth {
        graph = GraphProto {
            node: vec![samples::node_with_graph("n", graph)],
            ..GraphProto::default()
        };
    }
    samples::model(graph)
}

#[test]
fn follows_subgraphs_to_the_limit_and_no_further() {
    for depth in [30, 32] {
        let (model, _) =
            decode(encode(&nested(depth)), &ReadOptions::default()).expect("the depth is allowed");
        assert_eq!(model, nested(depth));
    }
    for depth in [33, 34, 200] {
        let error = refused(&encode(&nested(depth)));
        let ReadError::Limit { source, .. } = error else { panic!("{error}") };
        assert_eq!((source.resource, source.allowed), (Resource::SubgraphDepth, 32));
    }
}

#[test]
fn a_raised_subgraph_limit_still_stops_before_the_decoder_does() {
    let options = ReadOptions {
        limits: Limits { subgraph_depth: u64::MAX, ..Limits::default() },
        ..ReadOptions::default()
    };
    let error = decode(encode(&nested(60)), &options).expect_err("the decoder has its own bound");
    let ReadError::Limit { source, .. } = error else { panic!("{error}") };
    assert_eq!((source.resource, source.allowed), (Resource::MessageDepth, 100));
}

#[test]
fn limits_names_but_not_documentation() {
    let long = "n".repeat((64 << 10) + 1);
    let mut model = samples::mixed();
    model.doc_string = Some(long.clone());
    decode(encode(&model), &ReadOptions::default()).expect("documentation may be long");
    model.producer_name = Some(long);
    let error = refused(&encode(&model));
    assert_eq!(error.to_string(), "`model in memory` is over a limit");
    let cause = std::error::Error::source(&error).expect("the limit is the cause");
    assert_eq!(
        cause.to_string(),
        "bytes in one name exceed the limit of 65536 at byte 2 (`producer_name`)"
    );
}

#[test]
fn limits_the_number_of_messages() {
    let options = ReadOptions {
        limits: Limits { messages: 5, ..Limits::default() },
        ..ReadOptions::default()
    };
    let error =
        decode(encode(&samples::mixed()), &options).expect_err("the model has more messages");
    assert!(
        matches!(error, ReadError::Limit { source, .. } if source.resource == Resource::Messages)
    );
}

#[test]
fn no_truncation_panics_and_every_accepted_one_ends_between_fields() {
    let bytes = encode(&samples::mixed());
    let ends: Vec<usize> = (0..bytes.len())
        .filter(|end| decode(bytes.slice(..*end), &ReadOptions::default()).is_ok())
        .collect();
    // Behind the graph there is only one more field, the operator set.
    assert_eq!(ends.len(), 1);
}

#[test]
fn no_flipped_bit_panics_and_what_is_accepted_stays_itself() {
    let original = encode(&samples::model(GraphProto {
        node: vec![samples::constant("c", samples::tensor("t", 3))],
        ..samples::mixed().graph.expect("the model has a graph")
    }));
    let head = original.len().min(400);
    let places = samples::noise(60_000, 7);
    for pair in places.chunks_exact(3) {
        let mut bytes = original.to_vec();
        let place = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        let place = if pair[2] & 8 == 0 { place % head } else { bytes.len() - 1 - place % head };
        bytes[place] ^= 1 << (pair[2] & 7);
        for allow_unknown_fields in [false, true] {
            let options = ReadOptions { allow_unknown_fields, ..ReadOptions::default() };
            let Ok((model, _)) = decode(Bytes::from(bytes.clone()), &options) else { continue };
            let (again, _) =
                decode(encode(&model), &options).expect("what was written can be read");
            assert_eq!(encode(&again), encode(&model));
        }
    }
}
