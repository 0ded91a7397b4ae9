//! The two places where this crate vouches for memory itself: a file seen as bytes, and a buffer lent to the encoder.
#![expect(unsafe_code, reason = "memory maps and BufMut have no safe interface")]

use std::fs::File;
use std::io::{self, Write};

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes};
use memmap2::Mmap;

/// The contents of an open file as memory that is read when it is touched. The file must not shrink meanwhile.
///
/// # Errors
/// When the operating system refuses the map.
pub fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: the map is private to this process and read-only. Its contents change only if another process changes the
    // file meanwhile, which the caller accepts by asking for a map; this crate itself never writes to a file in place.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}

/// Bytes collected before they are written.
const BUFFER: usize = 64 << 10;

/// Payloads at least this long go to the writer from where they are.
const DIRECT: usize = 4 << 10;

/// What the encoder writes into: a small buffer in front of a writer, passed by by large payloads.
pub(crate) struct Stream<W> {
    writer: W,
    buffer: Vec<u8>,
    written: u64,
    /// The first failure; everything after it is dropped.
    failure: Option<io::Error>,
}

impl<W: Write> Stream<W> {
    /// A stream in front of `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, buffer: Vec::with_capacity(BUFFER), written: 0, failure: None }
    }

    /// Writes what is left in the buffer; returns the bytes written in all, or the first failure.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.flush_buffer();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.written),
        }
    }

    fn flush_buffer(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
    }

    fn write_through(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        match self.writer.write_all(bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(failure) => self.failure = Some(failure),
        }
    }
}

// SAFETY: `chunk_mut` returns the unused capacity of `buffer`, at least one byte of it, and `advance_mut` makes exactly
// the bytes that its caller initialized there part of the buffer.
unsafe impl<W: Write> BufMut for Stream<W> {
    fn remaining_mut(&self) -> usize {
        usize::MAX
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        if self.buffer.len() == self.buffer.capacity() {
            self.flush_buffer();
        }
        self.buffer.spare_capacity_mut().into()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        assert!(count <= self.buffer.capacity() - self.buffer.len(), "advanced past the chunk");
        // SAFETY: the caller has initialized `count` bytes of the chunk, and the line above checks that they are ours.
        unsafe { self.buffer.set_len(self.buffer.len() + count) }
    }

    fn put<T: Buf>(&mut self, mut source: T) {
        while source.has_remaining() {
            let chunk = source.chunk();
            let length = chunk.len();
            self.put_slice(chunk);
            source.advance(length);
        }
    }

    fn put_slice(&mut self, source: &[u8]) {
        if source.len() > self.buffer.capacity() - self.buffer.len() || source.len() >= DIRECT {
            self.flush_buffer();
        }
        if source.len() >= DIRECT {
            return self.write_through(source);
        }
        self.buffer.extend_from_slice(source);
    }
}
