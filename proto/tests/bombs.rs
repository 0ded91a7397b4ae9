//! Files of 10 MB that ask for gigabytes.

use std::time::{Duration, Instant};

use lapidary_proto::{Bytes, ReadError, ReadOptions, Resource, decode};

/// What refusing may take; without optimization only that it ends.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 2 });

const SIZE: usize = 10_000_000;

/// `unit` over and over, inside the given fields from the innermost to the model.
fn bomb(unit: &[u8], fields: &[u8]) -> Bytes {
    let mut bytes = unit.repeat(SIZE / unit.len());
    for field in fields {
        let mut outer = vec![field << 3 | 2];
        let mut length = bytes.len();
        while length > 0x7f {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.append(&mut bytes);
        bytes = outer;
    }
    Bytes::from(bytes)
}

/// The most memory this process has had, in bytes, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[test]
fn small_files_do_not_become_gigabytes() {
    let bombs = [
        ("empty attributes", bomb(&[0x2a, 0], &[1, 7])),
        ("empty nodes", bomb(&[0x0a, 0], &[7])),
        ("empty initializers", bomb(&[0x2a, 0], &[7])),
        ("nodes with one empty attribute", bomb(&[0x0a, 2, 0x2a, 0], &[7])),
        ("empty input names", bomb(&[0x0a, 0], &[1, 7])),
        ("empty string elements", bomb(&[0x32, 0], &[5, 7])),
        ("metadata", bomb(&[0x72, 0], &[])),
        ("functions", bomb(&[0xca, 1, 0], &[])),
    ];
    for (name, bytes) in bombs {
        let start = Instant::now();
        let error = decode(bytes, &ReadOptions::default()).expect_err(name);
        assert!(start.elapsed() < PATIENCE, "{name} took {:?}", start.elapsed());
        let ReadError::Limit { source, .. } = error else { panic!("{name}: {error}") };
        assert_eq!(source.resource, Resource::DecodedBytes, "{name}");
    }
    // Packed numbers of one byte each are within the limits, and this is what they cost.
    decode(bomb(&[1], &[7, 5, 7]), &ReadOptions::default())
        .expect("eight bytes per byte are allowed");
    if let Some(peak) = peak() {
        assert!(peak < 400 << 20, "{peak} bytes at the peak");
    }
}

#[test]
fn unknown_fields_cost_no_more_than_known_ones() {
    let mut bytes = Vec::with_capacity(SIZE);
    for number in 100_u32.. {
        if bytes.len() > SIZE {
            break;
        }
        let mut key = number << 3;
        while key > 0x7f {
            bytes.push((key & 0x7f) as u8 | 0x80);
            key >>= 7;
        }
        bytes.extend([key as u8, 0]);
    }
    let options = ReadOptions { allow_unknown_fields: true, ..ReadOptions::default() };
    let error = decode(bytes.into(), &options).expect_err("there are too many different fields");
    assert!(matches!(error, ReadError::Limit { .. }), "{error}");
}
