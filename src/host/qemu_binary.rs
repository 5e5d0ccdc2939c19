//! What a QEMU binary says of itself without being run.
//!
//! `--version` prints a string constant, so the version stands in the file as
//! `QEMU emulator version 7.2.22 (…`. The same pass over the bytes tells whether the
//! AppleSMC device was compiled in. Measured with Debian's QEMU 7.2.22.

use std::io::{self, Read};

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::Version;

/// Device type that passes ask for and that some builds leave out (RHEL).
pub(crate) const APPLE_SMC: &str = "isa-applesmc";

/// What was read from one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// `None`: no QEMU binary, or a wrapper that starts one.
    pub(crate) version: Option<Version>,
    /// Whether `isa-applesmc` is compiled in; `None` when this is no QEMU executable.
    pub(crate) apple_smc: Option<bool>,
    /// `e_machine` of the ELF header: the architecture this runs on.
    pub(crate) elf_machine: Option<u16>,
}

const VERSION: &[u8] = b"QEMU emulator version ";

/// Up to QEMU 7.0 the ACPI tables name the type on every x86 build, so the device's own warning
/// is looked for as well; it reads the same from 1.0 on.
const WARNING: &[u8] = b"Using AppleSMC with invalid key";

const CHUNK: usize = 256 * 1024;

/// Longer than any text looked for, so that none is missed where two chunks meet.
const OVERLAP: usize = 128;

/// A debug build of QEMU has about 200 MB.
const LIMIT: u64 = 1 << 30;

/// Reads a whole file once, in constant memory.
pub(crate) fn scan(source: impl Read) -> io::Result<Reading> {
    let mut source = source.take(LIMIT);
    let (version, name, warning) = (
        Finder::new(VERSION),
        Finder::new(APPLE_SMC),
        Finder::new(WARNING),
    );
    let mut reading = Reading::default();
    let (mut named, mut warns) = (false, false);
    let mut window = vec![0; OVERLAP + CHUNK];
    let mut kept = 0;
    let mut first = true;
    loop {
        let length = kept + fill(&mut source, window.get_mut(kept..).unwrap_or_default())?;
        let bytes = window.get(..length).unwrap_or_default();
        if first {
            reading.elf_machine = elf_machine(bytes);
            first = false;
        }
        let at_end = length < window.len();
        if reading.version.is_none() {
            reading.version = version.find_iter(bytes).find_map(|at| {
                let text = bytes.get(at + VERSION.len()..).unwrap_or_default();
                // A number cut off by the chunk is read again with the next one.
                (at_end || text.len() >= OVERLAP / 2)
                    .then(|| number(text))
                    .flatten()
            });
        }
        named = named || name.find(bytes).is_some();
        warns = warns || warning.find(bytes).is_some();
        if at_end || (reading.version.is_some() && named && warns) {
            break;
        }
        kept = OVERLAP;
        window.copy_within(length - OVERLAP..length, 0);
    }
    if let (Some(version), Some(_)) = (reading.version, reading.elf_machine) {
        let named_by_acpi = version < Version::new(7, 1, 0);
        reading.apple_smc = Some(named && (warns || !named_by_acpi));
    }
    Ok(reading)
}

/// The version at the start of `text`, up to the first byte that belongs to none.
fn number(text: &[u8]) -> Option<Version> {
    let end = text
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'.'));
    let text = text.get(..end.unwrap_or(text.len()))?;
    std::str::from_utf8(text)
        .ok()?
        .trim_end_matches('.')
        .parse()
        .ok()
}

/// The version in what `--version` printed.
pub(crate) fn printed_version(output: &[u8]) -> Option<Version> {
    let at = memchr::memmem::find(output, VERSION)?;
    number(output.get(at + VERSION.len()..)?)
}

/// ELF specification: magic, then byte order at 5, `e_machine` at 18.
fn elf_machine(bytes: &[u8]) -> Option<u16> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let machine: [u8; 2] = bytes.get(18..20)?.try_into().ok()?;
    let big_endian = bytes.get(5) == Some(&2);
    Some(if big_endian {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    })
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const X86_64: u16 = 62;

    fn binary(version: &str, more: &[&[u8]], padding: usize) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(X86_64.to_le_bytes());
        bytes.resize(20 + padding, b'-');
        bytes.extend(VERSION);
        bytes.extend(version.as_bytes());
        for text in more {
            bytes.push(0);
            bytes.extend(*text);
        }
        bytes
    }

    fn reading(version: Option<Version>, apple_smc: Option<bool>) -> Reading {
        let elf_machine = apple_smc.map(|_| X86_64);
        Reading {
            version,
            apple_smc,
            elf_machine,
        }
    }

    #[test]
    fn version_and_device_are_read() {
        let device: &[&[u8]] = &[APPLE_SMC.as_bytes(), WARNING];
        for (name, bytes, expected) in [
            (
                "debian",
                binary("7.2.22 (Debian 1:7.2+dfsg)\n", device, 0),
                (Some((7, 2, 22)), Some(true)),
            ),
            (
                "plain",
                binary("10.0.2\n", device, 0),
                (Some((10, 0, 2)), Some(true)),
            ),
            (
                "two numbers",
                binary("9.1\0", device, 0),
                (Some((9, 1, 0)), Some(true)),
            ),
            (
                "full stop",
                binary("9.1.0.\0", device, 0),
                (Some((9, 1, 0)), Some(true)),
            ),
            (
                "rhel 9",
                binary("9.1.0 (qemu-kvm-9.1.0-15.el9)\n", &[], 0),
                (Some((9, 1, 0)), Some(false)),
            ),
            (
                "rhel 8, type named by ACPI",
                binary("6.2.0 (x)\n", &device[..1], 0),
                (Some((6, 2, 0)), Some(false)),
            ),
            (
                "reworded warning",
                binary("11.0.0\n", &device[..1], 0),
                (Some((11, 0, 0)), Some(true)),
            ),
            (
                "script",
                b"#!/bin/sh\necho QEMU emulator version 8.2.1\n".to_vec(),
                (Some((8, 2, 1)), None),
            ),
            (
                "wrapper",
                b"#!/bin/sh\nexec qemu-system-x86_64\n".to_vec(),
                (None, None),
            ),
            (
                "no number",
                b"QEMU emulator version %s\n".to_vec(),
                (None, None),
            ),
            (
                "second one counts",
                b"QEMU emulator version %s QEMU emulator version 5.2.0".to_vec(),
                (Some((5, 2, 0)), None),
            ),
            ("empty", vec![], (None, None)),
        ] {
            let version = expected
                .0
                .map(|(major, minor, micro)| Version::new(major, minor, micro));
            assert_eq!(
                scan(bytes.as_slice()).unwrap(),
                reading(version, expected.1),
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_is_missed_where_chunks_meet() {
        for padding in (CHUNK - 100..CHUNK + OVERLAP + 100).step_by(7) {
            let bytes = binary("7.2.22 (x)", &[APPLE_SMC.as_bytes(), WARNING], padding);
            let expected = reading(Some(Version::new(7, 2, 22)), Some(true));
            assert_eq!(scan(bytes.as_slice()).unwrap(), expected, "{padding}");
        }
    }

    #[test]
    fn output_of_a_run() {
        let debian = b"QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright (c) 2003-2022\n";
        assert_eq!(printed_version(debian), Some(Version::new(7, 2, 22)));
        assert_eq!(printed_version(b"QEMU emulator version unknown"), None);
        assert_eq!(printed_version(b""), None);
    }
}
