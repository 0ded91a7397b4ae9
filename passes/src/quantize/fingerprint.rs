//! Telling models apart.
use lapidary_ir::Model;
use lapidary_ir::proto::onnx;
use lapidary_ir::proto::prost::Message;
use std::fmt;

/// A number that models with other operators, other connections or other weights do not share, but
/// for one chance in 2¹²⁸. It is no protection against somebody who makes two models share one.
///
/// Names of nodes, documentation, what made the model, and inferred types do not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let mut hash = Hash::new();
        hash.bytes(bytes);
        hash.finish()
    }

    /// The fingerprint of a model.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let onnx::ModelProto { opset_import, mut functions, graph, .. } = model.encode();
        let mut hash = Hash::new();
        for import in &opset_import {
            hash.bytes(&import.encode_to_vec());
        }
        for function in &mut functions {
            function.doc_string = None;
            function.node.iter_mut().for_each(anonymous);
            hash.bytes(&function.encode_to_vec());
        }
        let Some(mut graph) = graph else { return hash.finish() };
        for input in &graph.input {
            hash.bytes(&input.encode_to_vec());
        }
        for output in &graph.output {
            hash.bytes(output.name().as_bytes());
        }
        for node in &mut graph.node {
            anonymous(node);
            hash.bytes(&node.encode_to_vec());
        }
        for tensor in &mut graph.initializer {
            let data = tensor.raw_data.take();
            tensor.doc_string = None;
            hash.bytes(&tensor.encode_to_vec());
            hash.bytes(data.as_deref().unwrap_or_default());
        }
        hash.finish()
    }
}

fn anonymous(node: &mut onnx::NodeProto) {
    node.name = None;
    node.doc_string = None;
    node.metadata_props.clear();
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of Fowler, Noll and Vo, over words of 64 bits instead of bytes: h ← (h ⊕ word) · prime.
struct Hash(u128);

impl Hash {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn word(&mut self, word: u64) {
        self.0 =
            (self.0 ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }

    /// Bytes and their number, so that what is behind them can't pass for a part of them.
    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;

    fn of(source: &str) -> Fingerprint {
        Fingerprint::of(&model(source))
    }

    const SOURCE: &str = "
        g (float[2,2] x) => (float[2,2] y)
        <float[2,2] w = {1, 2, 3, 4}>
        {
            m = MatMul(x, w)
            y = Relu(m)
        }
    ";

    #[test]
    fn weights_operators_and_connections_count() {
        let changes = [("4}", "5}"), ("Relu", "Neg"), ("MatMul(x, w)", "MatMul(w, x)")];
        for (from, to) in changes {
            let (first, second) = (of(SOURCE), of(&SOURCE.replace(from, to)));
            assert_ne!(first, second, "{from} → {to}");
        }
        assert_ne!(of(SOURCE), of(&SOURCE.replace("{1, 2, 3, 4}", "{1, 2, 4, 3}")));
    }

    #[test]
    fn names_of_nodes_and_inferred_types_do_not_count() {
        let first = Fingerprint::of(&crate::testing::parse(SOURCE));
        assert_eq!(first, of(SOURCE));
        assert_eq!(first, of(&SOURCE.replace("m = MatMul", "[product] m = MatMul")));
    }

    #[test]
    fn the_end_of_bytes_counts() {
        let of = |parts: &[&[u8]]| {
            let mut hash = Hash::new();
            parts.iter().for_each(|part| hash.bytes(part));
            hash.finish()
        };
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"a"]), of(&[b"a\0"]));
        assert_ne!(of(&[b""]), of(&[]));
        assert_ne!(of(&[b"12345678abcdefgh"]), of(&[b"abcdefgh12345678"]));
    }
}
