//! Disk images that are neither raw nor qcow2, told by their magic bytes, so that a message can name
//! what was given.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A file format that a Mac's disk does not have here. Source of the magic bytes: QEMU's block drivers
/// (block/*.c), for disk images of macOS the trailer of its own format, for the rest file(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Foreign {
    /// The first qcow.
    Qcow,
    /// A qcow of a version that there is not.
    Unknown,
    /// VMware.
    Vmdk,
    /// VirtualBox.
    Vdi,
    /// Virtual PC.
    Vhd,
    /// Hyper-V.
    Vhdx,
    /// QEMU's own of 2010.
    Qed,
    /// Parallels.
    Parallels,
    /// Apple's compressed disk image, as installers come in.
    Dmg,
    /// Compressed.
    Gzip,
    /// Compressed.
    Xz,
    /// An archive.
    Zip,
}

/// How many bytes from the start of a file [`Foreign::of`] looks at.
pub(super) const HEAD: u64 = 72;
/// How many bytes from the end.
pub(super) const TAIL: u64 = 512;

impl Foreign {
    /// Tells it from the first and last bytes of a file.
    pub(super) fn of(head: &[u8], tail: &[u8]) -> Option<Foreign> {
        const HEADS: &[(usize, &[u8], Foreign)] = &[
            (0, b"QFI\xfb\0\0\0\x01", Foreign::Qcow),
            (0, b"KDMV", Foreign::Vmdk),
            (0, b"COWD", Foreign::Vmdk),
            (0, b"# Disk DescriptorFile", Foreign::Vmdk),
            (64, b"\x7f\x10\xda\xbe", Foreign::Vdi),
            (0, b"conectix", Foreign::Vhd),
            (0, b"vhdxfile", Foreign::Vhdx),
            (0, b"QED\0", Foreign::Qed),
            (0, b"WithoutFreeSpace", Foreign::Parallels),
            (0, b"WithouFreSpacExt", Foreign::Parallels),
            (0, b"\x1f\x8b\x08", Foreign::Gzip),
            (0, b"\xfd7zXZ\0", Foreign::Xz),
            (0, b"PK\x03\x04", Foreign::Zip),
        ];
        const TAILS: &[(&[u8], Foreign)] = &[(b"koly", Foreign::Dmg), (b"conectix", Foreign::Vhd)];
        let by_head = HEADS.iter().find(|(offset, magic, _)| {
            head.get(*offset..)
                .is_some_and(|bytes| bytes.starts_with(magic))
        });
        let by_tail = || TAILS.iter().find(|(magic, _)| tail.starts_with(magic));
        by_head
            .map(|(.., format)| *format)
            .or_else(|| by_tail().map(|(_, format)| *format))
    }

    /// Something that is unpacked; `qemu-img convert` reads all others that are known.
    pub fn is_packed(self) -> bool {
        matches!(self, Foreign::Gzip | Foreign::Xz | Foreign::Zip)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Qcow => "qcow version 1",
            Foreign::Unknown => "qcow of an unknown version",
            Foreign::Vmdk => "VMDK",
            Foreign::Vdi => "VDI",
            Foreign::Vhd => "VHD",
            Foreign::Vhdx => "VHDX",
            Foreign::Qed => "QED",
            Foreign::Parallels => "Parallels",
            Foreign::Dmg => "DMG",
            Foreign::Gzip => "gzip",
            Foreign::Xz => "xz",
            Foreign::Zip => "zip",
        })
    }
}
