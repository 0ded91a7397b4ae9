//! The repository's own models: trained weights, real exporters.
use super::At::{Readers, Source};
use super::{At, removes_from};
use crate::Context;
use crate::driver::run_to_fixpoint;
use crate::pipeline::OPTIMIZE;
use crate::prune::Grain;
use lapidary_ir::Model;
use lapidary_ir::proto::{ReadOptions, read};
use std::path::Path;

/// A fixture as the optimizer leaves it, or as it is.
fn fixture(name: &str, optimized: bool) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
    let file = read(&path, &ReadOptions::default()).expect("the fixture can be read");
    let mut model = Model::decode(file.model, &|_| Err("there is no other file".into()))
        .expect("the fixture is a model");
    model.graph.infer();
    if optimized {
        let mut context = Context::default();
        run_to_fixpoint(OPTIMIZE, &mut model, &mut context).expect("the fixture is optimized");
    }
    model
}

/// Channels that can go by group, as `removable/size`.
fn told(name: &str, optimized: bool, ways: &[At], grain: Grain) -> String {
    let found = removes_from(&fixture(name, optimized), ways, grain);
    let counts = found.lines().filter_map(|line| line.rsplit_once(": "));
    counts.map(|(_, counts)| counts.replace(" of ", "/")).collect::<Vec<_>>().join(" ")
}

#[test]
fn residual_networks() {
    for name in ["digits_resnet_unfused_op17.onnx", "digits_resnet_dynamo_op18.onnx"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(name, true, &[Source, Readers], Grain::Heads), @"16/16 16/16 32/32 32/32 32/32 64/64 64/64 0/10");
        }
    }
    insta::assert_snapshot!(told("digits_resnet_unfused_op17.onnx", false, &[Source, Readers], Grain::Heads), @"16/16 16/16 32/32 32/32 32/32 64/64 64/64 0/10");
}

#[test]
fn inverted_residual_networks() {
    for name in ["digits_mobilenetv2_unfused_op17.onnx", "digits_mobilenetv2_dynamo_op18.onnx"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(name, true, &[Source, Readers], Grain::Heads), @"16/16 64/64 24/24 96/96 96/96 32/32 128/128 128/128 48/48 128/128 0/10");
        }
    }
}

#[test]
fn transformers_by_heads_and_by_places() {
    for name in ["digits_transformer_unfused_op17.onnx", "digits_transformer_dynamo_op18.onnx"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(name, true, &[Source, Readers], Grain::Heads), @"0/64 4/4 128/128 4/4 128/128 0/10");
            insta::assert_snapshot!(told(name, true, &[Source], Grain::Places), @"0/64 16/16 16/16 128/128 16/16 16/16 128/128 0/10");
        }
    }
}

#[test]
fn fake_quantized_networks() {
    insta::assert_snapshot!(told("qat_digits_op17.onnx", false, &[Readers], Grain::Heads), @"16/16 32/32 0/10");
}
