//! The walk over the wire format that comes before decoding.
//!
//! Decoding allocates by what the file claims and drops what it does not know. The scan reads the same bytes without
//! allocating, jumps over payloads, and answers first: is this protobuf, what would decoding cost, what would it lose.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::limits::{LimitError, Limits, Resource};
use crate::table::{Field, GRAPH, Kind, MESSAGES, MODEL, Message};
use crate::wire::{Cursor, FIXED32, FIXED64, LENGTH, VARINT, WireProblem};

/// Messages inside the model that the decoder follows.
const MESSAGE_DEPTH: usize = 100;

/// One more than the largest field number of any message.
const FIELDS: usize = {
    let (mut most, mut i) = (0, 0);
    while i < MESSAGES.len() {
        if MESSAGES[i].fields.len() > most {
            most = MESSAGES[i].fields.len();
        }
        i += 1;
    }
    most
};

/// A field that `onnx.proto` does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The message type it is in, such as `NodeProto`.
    pub message: &'static str,
    /// Its number.
    pub number: u32,
    /// Position of its first occurrence in the file, in bytes.
    pub offset: u64,
    /// How often the file has it.
    pub occurrences: u64,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {} of {} at byte {}", self.number, self.message, self.offset)
    }
}

/// Why the scan refuses a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScanError {
    /// The bytes do not follow the wire format.
    #[error("`{field}` at byte {offset}: {problem}")]
    Malformed {
        /// The field, from the model down: `graph.node[3].name`.
        field: String,
        /// Position in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: WireProblem,
    },
    /// A string is not UTF-8.
    #[error("`{field}` at byte {offset} is not UTF-8 text")]
    NotUtf8 {
        /// The field, from the model down.
        field: String,
        /// Position of the first wrong byte in the file.
        offset: u64,
    },
    /// A field that decoding would lose.
    #[error("{0} is not known; allow unknown fields to drop it")]
    UnknownField(UnknownField),
    /// The file asks for more than it may.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// Walks the wire format of a model and returns the fields that decoding will drop.
///
/// With `allow_unknown_fields` unset the first unknown field is an error and the list is empty.
pub fn scan(
    bytes: &[u8],
    limits: &Limits,
    allow_unknown_fields: bool,
) -> Result<Vec<UnknownField>, ScanError> {
    let mut scan = Scan {
        cursor: Cursor { bytes, at: 0 },
        limits,
        allowed: limits.decoded_bytes(bytes.len() as u64),
        decoded: 0,
        messages: 0,
        frames: Vec::new(),
        unknown: allow_unknown_fields.then(BTreeMap::new),
    };
    scan.frames.push(Frame::new(MODEL, bytes.len()));
    scan.run()?;
    Ok(scan.unknown.unwrap_or_default().into_values().collect())
}

/// A message whose end has not been reached.
struct Frame {
    message: &'static Message,
    is_graph: bool,
    end: usize,
    /// Number of the field being read.
    current: u32,
    /// Elements seen of each repeated field.
    counts: [u32; FIELDS],
}

impl Frame {
    fn new(message: usize, end: usize) -> Self {
        Self {
            message: &MESSAGES[message],
            is_graph: message == GRAPH,
            end,
            current: 0,
            counts: [0; FIELDS],
        }
    }
}

struct Scan<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    /// Bytes that decoding may allocate.
    allowed: u64,
    /// Bytes that decoding will allocate for what has been read.
    decoded: u64,
    messages: u64,
    frames: Vec<Frame>,
    /// Unknown fields by message and number, if they are allowed.
    unknown: Option<BTreeMap<(&'static str, u32), UnknownField>>,
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Result<(), ScanError> {
        while let Some(frame) = self.frames.last_mut() {
            let end = frame.end;
            if self.cursor.at == end {
                self.frames.pop();
                continue;
            }
            let start = self.cursor.at;
            frame.current = 0;
            let key = self.cursor.key(end);
            let (number, wire_type) = key.map_err(|problem| self.malformed(start, problem))?;
            let Some(frame) = self.frames.last_mut() else { break };
            frame.current = number;
            let message = frame.message;
            match message.field(number) {
                Some(field) => self.known(field, wire_type, start, end)?,
                None => self.unknown(message.name, number, wire_type, start, end)?,
            }
        }
        Ok(())
    }

    fn known(
        &mut self,
        field: &'static Field,
        wire_type: u8,
        start: usize,
        end: usize,
    ) -> Result<(), ScanError> {
        let expected = match field.kind {
            Kind::Varint { .. } => VARINT,
            Kind::Fixed32 => FIXED32,
            Kind::Fixed64 => FIXED64,
            Kind::String | Kind::Bytes | Kind::Message { .. } => LENGTH,
        };
        if wire_type == LENGTH && field.repeated && expected != LENGTH {
            return self.packed(field, start, end);
        }
        if wire_type != expected {
            return Err(
                self.malformed(start, WireProblem::OtherWireType { found: wire_type, expected })
            );
        }
        match field.kind {
            Kind::Varint { size } => {
                self.cursor.varint(end).map_err(|problem| self.malformed(start, problem))?;
                self.elements(field, size, 1, start)
            }
            Kind::Fixed32 => {
                self.cursor.take(4, end).map_err(|problem| self.malformed(start, problem))?;
                self.elements(field, 4, 1, start)
            }
            Kind::Fixed64 => {
                self.cursor.take(8, end).map_err(|problem| self.malformed(start, problem))?;
                self.elements(field, 8, 1, start)
            }
            Kind::Bytes => {
                self.payload(start, end)?;
                self.elements(field, size_of::<crate::Bytes>(), 1, start)
            }
            Kind::String => {
                let text = self.payload(start, end)?;
                self.elements(field, size_of::<String>(), 1, start)?;
                self.text(field, text, start)
            }
            Kind::Message { index, boxed } => self.message(field, index, boxed, start, end),
        }
    }

    /// A length and the bytes it covers.
    fn payload(&mut self, start: usize, end: usize) -> Result<&'a [u8], ScanError> {
        let taken = self.cursor.length(end).and_then(|length| self.cursor.take(length, end));
        taken.map_err(|problem| self.malformed(start, problem))
    }

    /// Numbers one after the other behind a common length.
    fn packed(&mut self, field: &'static Field, start: usize, end: usize) -> Result<(), ScanError> {
        let payload = self.payload(start, end)?;
        let (size, elements, whole) = match field.kind {
            Kind::Fixed32 => (4, payload.len() / 4, payload.len().is_multiple_of(4)),
            Kind::Fixed64 => (8, payload.len() / 8, payload.len().is_multiple_of(8)),
            Kind::Varint { size } => {
                let ends = payload.iter().filter(|byte| **byte < 0x80).count();
                (size, ends, payload.last().is_none_or(|byte| *byte < 0x80))
            }
            Kind::String | Kind::Bytes | Kind::Message { .. } => (0, 0, true),
        };
        if !whole {
            let problem = WireProblem::PackedRest { bytes: payload.len() as u64 };
            return Err(self.malformed(start, problem));
        }
        self.elements(field, size, elements, start)
    }

    /// Enters a message.
    fn message(
        &mut self,
        field: &'static Field,
        index: usize,
        boxed: bool,
        start: usize,
        end: usize,
    ) -> Result<(), ScanError> {
        let length = self.cursor.length(end).map_err(|problem| self.malformed(start, problem))?;
        self.messages += 1;
        if self.messages > self.limits.messages {
            return Err(self.over(Resource::Messages, self.limits.messages, start));
        }
        if self.frames.len() > MESSAGE_DEPTH {
            return Err(self.over(Resource::MessageDepth, MESSAGE_DEPTH as u64, start));
        }
        self.elements(field, MESSAGES[index].size, 1, start)?;
        if boxed && !field.repeated {
            self.allocate(MESSAGES[index].size, start)?;
        }
        if index == GRAPH {
            let outer = self.frames.iter().filter(|frame| frame.is_graph).count() as u64;
            if outer > self.limits.subgraph_depth {
                return Err(self.over(Resource::SubgraphDepth, self.limits.subgraph_depth, start));
            }
        }
        self.frames.push(Frame::new(index, self.cursor.at + length));
        Ok(())
    }

    /// Checks a string and counts its copy.
    fn text(&mut self, field: &'static Field, text: &[u8], start: usize) -> Result<(), ScanError> {
        let is_name = !matches!(field.name, "doc_string" | "value");
        if is_name && text.len() as u64 > self.limits.name_bytes {
            return Err(self.over(Resource::NameBytes, self.limits.name_bytes, start));
        }
        self.allocate(text.len(), start)?;
        let Err(problem) = std::str::from_utf8(text) else { return Ok(()) };
        let offset = self.cursor.at - text.len() + problem.valid_up_to();
        Err(ScanError::NotUtf8 { field: self.path(), offset: offset as u64 })
    }

    /// Counts what the vector of a repeated field grows by. A vector starts with four elements and then doubles.
    fn elements(
        &mut self,
        field: &Field,
        size: usize,
        added: usize,
        start: usize,
    ) -> Result<(), ScanError> {
        if !field.repeated || added == 0 {
            return Ok(());
        }
        let capacity = |elements: usize| match elements {
            0 => 0,
            elements => elements.next_power_of_two().max(4),
        };
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let Some(count) = frame.counts.get_mut(frame.current as usize) else { return Ok(()) };
        let before = *count as usize;
        let after = before.saturating_add(added);
        *count = u32::try_from(after).unwrap_or(u32::MAX);
        self.allocate((capacity(after) - capacity(before)).saturating_mul(size), start)
    }

    fn allocate(&mut self, bytes: usize, start: usize) -> Result<(), ScanError> {
        self.decoded = self.decoded.saturating_add(bytes as u64);
        if self.decoded > self.allowed {
            return Err(self.over(Resource::DecodedBytes, self.allowed, start));
        }
        Ok(())
    }

    fn unknown(
        &mut self,
        message: &'static str,
        number: u32,
        wire_type: u8,
        start: usize,
        end: usize,
    ) -> Result<(), ScanError> {
        let field = UnknownField { message, number, offset: start as u64, occurrences: 1 };
        self.cursor
            .skip(number, wire_type, end)
            .map_err(|problem| self.malformed(start, problem))?;
        let Some(unknown) = &mut self.unknown else { return Err(ScanError::UnknownField(field)) };
        if let Some(known) = unknown.get_mut(&(message, number)) {
            known.occurrences += 1;
            return Ok(());
        }
        unknown.insert((message, number), field);
        self.allocate(2 * size_of::<UnknownField>(), start)
    }

    fn malformed(&self, start: usize, problem: WireProblem) -> ScanError {
        ScanError::Malformed { field: self.path(), offset: start as u64, problem }
    }

    fn over(&self, resource: Resource, allowed: u64, start: usize) -> ScanError {
        LimitError { resource, allowed, offset: start as u64, field: self.path() }.into()
    }

    /// The field being read, from the model down, with the index of each element.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            let Some(field) = frame.message.field(frame.current) else { break };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(field.name);
            let count = frame.counts.get(frame.current as usize).copied().unwrap_or(0);
            if field.repeated
                && matches!(field.kind, Kind::Message { .. } | Kind::String | Kind::Bytes)
            {
                path.push_str(&format!("[{}]", count.saturating_sub(1)));
            }
        }
        if path.is_empty() {
            path.push_str("ModelProto");
        }
        path
    }
}
