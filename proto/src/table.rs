//! What the scan knows about every message: generated from the same descriptors as the Rust types.

/// A message type of the format.
pub(crate) struct Message {
    /// The name in the format, `TypeProto.Tensor` for a nested one.
    pub(crate) name: &'static str,
    /// Bytes one decoded message takes, without what it points to.
    pub(crate) size: usize,
    /// The field with number `n` at index `n`.
    pub(crate) fields: &'static [Option<Field>],
}

/// A field of a message.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
}

/// What a field holds, as far as the wire and the decoded form tell kinds apart.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// An integer or enum that decodes to `size` bytes.
    Varint { size: usize },
    /// `float`.
    Fixed32,
    /// `double`.
    Fixed64,
    /// Text, copied by decoding.
    String,
    /// A payload that decoding only points to.
    Bytes,
    /// The message at `index` of the table, behind a pointer if `boxed`.
    Message { index: usize, boxed: bool },
}

impl Message {
    /// The field with this number, if the format has one.
    pub(crate) fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.get(usize::try_from(number).ok()?)?.as_ref()
    }
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));
