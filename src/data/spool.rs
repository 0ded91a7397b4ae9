//! Bytes that have to be made anew: few in memory, many in a temporary file without a name.
use super::column::Extent;
use lapidary_proto::map;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// More than this does not stay in memory.
const IN_MEMORY: u64 = 1 << 20;

/// The `length` bytes that `fill` writes.
pub(super) fn spool(
    length: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Extent> {
    spool_beyond(IN_MEMORY, length, fill)
}

fn spool_beyond(
    limit: u64,
    length: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Extent> {
    if length <= limit {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        fill(&mut bytes)?;
        return Ok(bytes.into());
    }
    let mut writer = BufWriter::new(tempfile::tempfile()?);
    fill(&mut writer)?;
    let file = writer.into_inner()?;
    Ok(Extent { bytes: map(&file)?, place: Some((Arc::new(file), 0)) })
}

#[cfg(test)]
mod tests {
    use super::spool_beyond;

    #[test]
    fn the_same_bytes_come_back_from_memory_and_from_a_file() {
        for limit in [10, 3] {
            let bytes = spool_beyond(limit, 4, |writer| writer.write_all(b"abcd"));
            assert_eq!(bytes.expect("the temporary folder can be written to").bytes, "abcd");
        }
    }
}
