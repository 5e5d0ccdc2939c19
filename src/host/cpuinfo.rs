//! Reading /proc/cpuinfo.
//!
//! Who the processor is comes from here and nowhere else; how it is laid out only when sysfs
//! does not say ([`super::cpu`] decides). Field names are those of Linux on x86; on other
//! architectures nearly everything stays unknown.

use std::io::{self, Read};
use std::path::Path;

use super::tree::Tree;

const PATH: &str = "/proc/cpuinfo";

/// Far more than any machine has (a processor takes about 2.5 KiB).
const LIMIT: u64 = 64 << 20;

/// What /proc/cpuinfo says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CpuInfo {
    pub(crate) vendor: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) flags: Option<Vec<String>>,
    pub(crate) processors: Vec<Processor>,
}

/// One logical processor of /proc/cpuinfo.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Processor {
    pub(crate) id: u32,
    /// `physical id`: the socket.
    pub(crate) package: Option<i64>,
    /// `core id`: unique within a die, not always within a socket.
    pub(crate) core: Option<i64>,
    /// `siblings`: online logical processors in the socket.
    pub(crate) siblings: Option<u32>,
    /// `cpu cores`: cores in the socket.
    pub(crate) cores: Option<u32>,
}

impl CpuInfo {
    /// Everything. The kernel writes about 2.5 KiB per logical processor for this.
    pub(crate) fn read(tree: &Tree) -> Option<CpuInfo> {
        let bytes = tree.read(Path::new(PATH), LIMIT).ok()?;
        Some(parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Only the first logical processor: who it is, without paying for the others.
    pub(crate) fn read_first(tree: &Tree) -> Option<CpuInfo> {
        let (mut file, _) = tree.open(Path::new(PATH)).ok()?;
        let bytes = first_record(&mut file).ok()?;
        Some(parse(&String::from_utf8_lossy(&bytes)))
    }
}

fn first_record(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(8 * 1024);
    let mut chunk = [0; 4 * 1024];
    loop {
        let length = source.read(&mut chunk)?;
        let searched = bytes.len().saturating_sub(1);
        bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let tail = bytes.get(searched..).unwrap_or_default();
        if let Some(end) = memchr::memmem::find(tail, b"\n\n") {
            bytes.truncate(searched + end + 1);
            return Ok(bytes);
        }
        if length == 0 || bytes.len() as u64 > LIMIT {
            return Ok(bytes);
        }
    }
}

fn parse(text: &str) -> CpuInfo {
    let mut info = CpuInfo::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let (key, value) = (key.trim_end(), value.trim());
        if key == "processor" {
            if let Ok(id) = value.parse() {
                info.processors.push(Processor {
                    id,
                    ..Processor::default()
                });
            }
            continue;
        }
        match key {
            "vendor_id" => set(&mut info.vendor, value),
            "model name" => set(&mut info.model, value),
            "flags" if info.flags.is_none() => {
                info.flags = Some(value.split_ascii_whitespace().map(str::to_owned).collect());
            }
            _ => {}
        }
        let Some(processor) = info.processors.last_mut() else {
            continue;
        };
        match key {
            "physical id" => processor.package = value.parse().ok(),
            "core id" => processor.core = value.parse().ok(),
            "siblings" => processor.siblings = value.parse().ok(),
            "cpu cores" => processor.cores = value.parse().ok(),
            _ => {}
        }
    }
    info
}

fn set(slot: &mut Option<String>, value: &str) {
    if slot.is_none() && !value.is_empty() {
        *slot = Some(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const TWO: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 5\n\
        physical id\t: 0\nsiblings\t: 2\ncore id\t\t: 0\ncpu cores\t: 1\nflags\t\t: fpu sse4_2\n\n\
        processor\t: 1\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 5\n\
        physical id\t: 0\nsiblings\t: 2\ncore id\t\t: 0\ncpu cores\t: 1\nflags\t\t: fpu avx2\n\n";

    #[test]
    fn reads_identity_once_and_every_processor() {
        let info = parse(TWO);
        assert_eq!(info.vendor.as_deref(), Some("AuthenticAMD"));
        assert_eq!(info.model.as_deref(), Some("AMD Ryzen 5"));
        assert_eq!(info.flags.unwrap(), ["fpu", "sse4_2"]);
        let second = Processor {
            id: 1,
            package: Some(0),
            core: Some(0),
            siblings: Some(2),
            cores: Some(1),
        };
        assert_eq!(info.processors.last(), Some(&second));
        assert_eq!(info.processors.len(), 2);
    }

    #[test]
    fn the_first_record_ends_at_the_blank_line_wherever_reads_are_cut() {
        struct Slowly<'a>(&'a [u8], usize);
        impl Read for Slowly<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = self.1.min(self.0.len()).min(buffer.len());
                let (head, tail) = self.0.split_at(length);
                buffer[..length].copy_from_slice(head);
                self.0 = tail;
                Ok(length)
            }
        }
        let expected = &TWO.as_bytes()[..=TWO.find("\n\n").unwrap()];
        for step in [1, 2, 3, 7, 100, 4096] {
            assert_eq!(
                first_record(&mut Slowly(TWO.as_bytes(), step)).unwrap(),
                expected,
                "{step}"
            );
        }
        assert_eq!(first_record(&mut Slowly(b"no end", 4)).unwrap(), b"no end");
    }

    #[test]
    fn other_architectures_leave_nearly_everything_unknown() {
        let arm = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd\n\
            CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nRevision\t: c03112\n";
        let info = parse(arm);
        assert_eq!((info.vendor, info.model, info.flags), (None, None, None));
        assert_eq!(info.processors, [Processor::default()]);
    }

    #[test]
    fn nonsense_is_unknown() {
        for text in [
            "",
            ":",
            "processor",
            "processor : x\n",
            "physical id : 0\n",
            "\u{fffd}:\n",
        ] {
            assert_eq!(parse(text), CpuInfo::default(), "{text}");
        }
    }
}
