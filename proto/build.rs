//! Generates the Rust types of `onnx.proto` and the table of its fields that the scan before decoding reads.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use protox::Compiler;
use protox::prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// Singular message fields kept behind a pointer: without it an attribute weighs 1.5 kB and types are infinite.
const BOXED: [&str; 7] = [
    "AttributeProto.t",
    "AttributeProto.g",
    "AttributeProto.tp",
    "AttributeProto.sparse_tensor",
    "TypeProto.Sequence.elem_type",
    "TypeProto.Map.value_type",
    "TypeProto.Optional.elem_type",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=onnx.proto");
    let mut compiler = Compiler::new(["."])?;
    compiler.include_source_info(true).open_file("onnx.proto")?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("table.rs"), table(&compiler.descriptor_pool())?)?;

    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    for field in BOXED {
        config.boxed(format!(".onnx.{field}"));
    }
    config.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The Rust source of the table: for every message, its fields at the index of their number.
fn table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let messages: Vec<MessageDescriptor> = pool.all_messages().collect();
    let index = |message: &MessageDescriptor| messages.iter().position(|other| other == message);
    let mut source = String::from("pub(crate) static MESSAGES: &[Message] = &[\n");
    for message in &messages {
        let path = rust_path(message);
        writeln!(
            source,
            "Message {{ name: {:?}, size: size_of::<{path}>(), fields: &[",
            short_name(message)
        )?;
        let last = message.fields().map(|field| field.number()).max().unwrap_or(0);
        for number in 0..=last {
            let Some(field) = message.get_field(number) else {
                source.push_str("None,\n");
                continue;
            };
            let kind = match field.kind() {
                Kind::Message(child) => {
                    let boxed = BOXED
                        .contains(&format!("{}.{}", short_name(message), field.name()).as_str());
                    format!(
                        "Kind::Message {{ index: {}, boxed: {boxed} }}",
                        index(&child).ok_or("unknown message")?
                    )
                }
                Kind::String => "Kind::String".to_owned(),
                Kind::Bytes => "Kind::Bytes".to_owned(),
                Kind::Float => "Kind::Fixed32".to_owned(),
                Kind::Double => "Kind::Fixed64".to_owned(),
                Kind::Int32 | Kind::Enum(_) => "Kind::Varint { size: 4 }".to_owned(),
                Kind::Int64 | Kind::Uint64 => "Kind::Varint { size: 8 }".to_owned(),
                other => {
                    return Err(format!("field {} has kind {other:?}", field.full_name()).into());
                }
            };
            let (name, repeated) = (field.name(), field.is_list());
            writeln!(
                source,
                "Some(Field {{ name: {name:?}, kind: {kind}, repeated: {repeated} }}),"
            )?;
        }
        source.push_str("] },\n");
    }
    source.push_str("];\n");
    let root = pool.get_message_by_name("onnx.ModelProto").as_ref().and_then(index);
    writeln!(source, "pub(crate) const MODEL: usize = {};", root.ok_or("no ModelProto")?)?;
    let graph = pool.get_message_by_name("onnx.GraphProto").as_ref().and_then(index);
    writeln!(source, "pub(crate) const GRAPH: usize = {};", graph.ok_or("no GraphProto")?)?;
    Ok(source)
}

/// `TypeProto.Tensor` for the message `onnx.TypeProto.Tensor`.
fn short_name(message: &MessageDescriptor) -> String {
    message.full_name().trim_start_matches("onnx.").to_owned()
}

/// `crate::onnx::type_proto::Tensor` for the message `onnx.TypeProto.Tensor`.
fn rust_path(message: &MessageDescriptor) -> String {
    let mut path = format!("crate::onnx::{}", message.name());
    let mut inner = message.clone();
    while let Some(parent) = inner.parent_message() {
        path = path.replacen(
            "crate::onnx::",
            &format!("crate::onnx::{}::", snake_case(parent.name())),
            1,
        );
        inner = parent;
    }
    path
}

/// `type_proto` for `TypeProto`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
