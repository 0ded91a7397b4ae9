//! The protobuf wire format: keys, variable-length integers and lengths, read from a slice.

use thiserror::Error;

/// Why bytes are not protobuf.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireProblem {
    /// The value continues behind the end of its message or of the file.
    #[error("it needs {needed} bytes, its message has {available} left")]
    Truncated {
        /// Bytes the value takes.
        needed: u64,
        /// Bytes before the end.
        available: u64,
    },
    /// A variable-length integer has more than 64 bits.
    #[error("it is an integer of more than 64 bits")]
    LongVarint,
    /// A key names field 0 or a field above 2²⁹ − 1.
    #[error("{0} is not a field key")]
    Key(u64),
    /// A wire type protobuf does not define.
    #[error("wire type {0} does not exist")]
    WireType(u8),
    /// A known field is stored as a value of another kind.
    #[error("its wire type is {found}, expected {expected}")]
    OtherWireType {
        /// The wire type in the file.
        found: u8,
        /// The wire type of the field.
        expected: u8,
    },
    /// Packed numbers do not fill their length.
    #[error("{bytes} bytes of packed elements end inside an element")]
    PackedRest {
        /// Length of the packed elements.
        bytes: u64,
    },
    /// The end of a group that was never begun, or of another one.
    #[error("a group ends that did not begin")]
    GroupEnd,
    /// Groups inside groups, deeper than any writer makes.
    #[error("groups are nested too deep")]
    GroupDepth,
}

pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
pub(crate) const FIXED32: u8 = 5;

/// Groups inside an unknown group that are followed.
const GROUP_DEPTH: usize = 100;

/// A position in a slice.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads an integer that ends at or before `end`.
    pub(crate) fn varint(&mut self, end: usize) -> Result<u64, WireProblem> {
        if let Some(&byte) = self.bytes.get(self.at).filter(|byte| self.at < end && **byte < 0x80) {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let &[byte] = self.take(1, end)? else { return Err(WireProblem::LongVarint) };
            if shift == 63 && byte > 1 {
                return Err(WireProblem::LongVarint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireProblem::LongVarint)
    }

    /// Reads the number and wire type that begin a field.
    pub(crate) fn key(&mut self, end: usize) -> Result<(u32, u8), WireProblem> {
        let key = self.varint(end)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        Ok((number.ok_or(WireProblem::Key(key))?, (key & 7) as u8))
    }

    /// Reads a length and checks that as many bytes follow.
    pub(crate) fn length(&mut self, end: usize) -> Result<usize, WireProblem> {
        let needed = self.varint(end)?;
        let available = end - self.at;
        match usize::try_from(needed) {
            Ok(length) if length <= available => Ok(length),
            _ => Err(WireProblem::Truncated { needed, available: available as u64 }),
        }
    }

    /// Moves over `length` bytes and returns them.
    pub(crate) fn take(&mut self, length: usize, end: usize) -> Result<&'a [u8], WireProblem> {
        let available = end.saturating_sub(self.at);
        let rest = self.bytes.get(self.at..end).unwrap_or_default();
        let taken = rest
            .get(..length)
            .ok_or(WireProblem::Truncated { needed: length as u64, available: available as u64 })?;
        self.at += length;
        Ok(taken)
    }

    /// Moves over the value of a field that is not known.
    pub(crate) fn skip(
        &mut self,
        number: u32,
        wire_type: u8,
        end: usize,
    ) -> Result<(), WireProblem> {
        let mut groups = Vec::new();
        let (mut number, mut wire_type) = (number, wire_type);
        loop {
            match wire_type {
                VARINT => drop(self.varint(end)?),
                FIXED64 => drop(self.take(8, end)?),
                FIXED32 => drop(self.take(4, end)?),
                LENGTH => {
                    let length = self.length(end)?;
                    self.take(length, end)?;
                }
                GROUP if groups.len() == GROUP_DEPTH => return Err(WireProblem::GroupDepth),
                GROUP => groups.push(number),
                GROUP_END if groups.pop() != Some(number) => return Err(WireProblem::GroupEnd),
                GROUP_END => {}
                other => return Err(WireProblem::WireType(other)),
            }
            if groups.is_empty() {
                return Ok(());
            }
            (number, wire_type) = self.key(end)?;
        }
    }
}
