//! What a firmware or disk image is: format by its magic bytes, size as the guest sees it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::foreign::{self, Foreign};
use super::tree::{Tree, is_absent};
use super::{FileFact, ImageFormat};

/// First bytes of qcow, qcow2 and qcow3 files; the version follows as a big-endian u32.
const QCOW_MAGIC: &[u8] = b"QFI\xfb";

/// First bytes of LUKS 1 and 2.
const LUKS_MAGIC: &[u8] = b"LUKS\xba\xbe";

/// Lengths of raw VARS of 2 and 4 MiB builds. No qcow2 file has one of them, nor that of a CODE of 4 MiB builds: it
/// comes in clusters of 64 KiB, three at least.
const RAW_VARS: [u64; 2] = [131_072, 540_672];
const RAW_CODE: u64 = 3_653_632;

/// Length of a raw CODE of 2 MiB builds, and of 30 clusters.
const RAW_OR_CLUSTERS: u64 = 1_966_080;

/// What is found at a path where an image is expected.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A regular file. Format and size are `None` when its bytes cannot be read or its format
    /// is none that this crate knows.
    Image(FileFact),
    /// A block device; its contents are not looked at.
    Device,
    /// A character device.
    Character,
    /// A directory.
    Directory,
    /// A FIFO or socket.
    Special,
    /// A link that leads nowhere but to itself.
    Loop,
    /// Nothing; with the target when the path itself is a link.
    Missing(Option<PathBuf>),
    /// It cannot be told (permissions, I/O errors).
    Unknown(io::ErrorKind),
}

/// As a clause about the path: `does not exist`.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Image(_) => write!(f, "is an image"),
            Found::Device => write!(f, "is a block device"),
            Found::Character | Found::Special => write!(f, "is no regular file"),
            Found::Directory => write!(f, "is a directory"),
            Found::Loop => write!(f, "is a loop of links"),
            Found::Missing(None) => write!(f, "does not exist"),
            Found::Missing(Some(target)) => {
                write!(
                    f,
                    "is a link to '{}', which does not exist",
                    target.display()
                )
            }
            Found::Unknown(kind) => write!(f, "cannot be read ({kind})"),
        }
    }
}

/// Looks for firmware, at each path once: builds share their VARS templates.
pub(crate) struct Images<'t> {
    tree: &'t Tree,
    /// By path as it was written: paths compare part by part, which takes long.
    seen: RefCell<BTreeMap<OsString, Found>>,
}

impl<'t> Images<'t> {
    pub(crate) fn of(tree: &'t Tree) -> Self {
        Images {
            tree,
            seen: RefCell::default(),
        }
    }

    /// As [`look`]; what was found there the first time.
    pub(crate) fn look(&self, path: &Path) -> Found {
        if let Some(found) = self.seen.borrow().get(path.as_os_str()) {
            return found.clone();
        }
        let found = self
            .by_length(path)
            .unwrap_or_else(|| look(self.tree, path));
        let mut seen = self.seen.borrow_mut();
        seen.insert(path.as_os_str().to_owned(), found.clone());
        found
    }

    /// What needs no look inside: nothing at all, and images whose length is that of firmware.
    fn by_length(&self, path: &Path) -> Option<Found> {
        // Whoever ships qcow2 images calls them so.
        let is_raw = |length: u64| {
            RAW_VARS.contains(&length)
                || length == RAW_CODE
                || (length == RAW_OR_CLUSTERS && path.extension().is_some_and(|end| end == "fd"))
        };
        match self.tree.entry(path) {
            Ok(entry) if entry.is_file() && is_raw(entry.len()) => Some(Found::Image(FileFact {
                exists: true,
                format: Some(ImageFormat::Raw),
                size: Some(entry.len()),
                ..FileFact::default()
            })),
            Err(error) if is_absent(&error) => {
                Some(Found::Missing(self.tree.dangling(path, &error)))
            }
            _ => None,
        }
    }

    /// The length of a raw file needs no permission to read it.
    pub(crate) fn file_length(&self, path: &Path) -> Option<u64> {
        self.tree.metadata(path).ok().map(|metadata| metadata.len())
    }
}

/// Looks at `path`, following links.
pub(crate) fn look(tree: &Tree, path: &Path) -> Found {
    let error = match tree.open(path) {
        Ok((file, metadata)) => {
            return Found::Image(read(file, metadata.len()).unwrap_or(FileFact {
                exists: true,
                ..FileFact::default()
            }));
        }
        Err(error) => error,
    };
    if is_absent(&error) {
        return Found::Missing(tree.dangling(path, &error));
    }
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return Found::Loop;
    }
    match tree.metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => Found::Directory,
        Ok(kind) if kind.is_block_device() => Found::Device,
        Ok(kind) if kind.is_char_device() => Found::Character,
        Ok(kind) if !kind.is_file() => Found::Special,
        Ok(_) => Found::Image(FileFact {
            exists: true,
            size: tree
                .metadata(path)
                .ok()
                .and_then(|file| raw_vars(file.len())),
            ..FileFact::default()
        }),
        Err(error) if is_absent(&error) => Found::Missing(tree.link_target(path)),
        Err(error) => Found::Unknown(error.kind()),
    }
}

/// The length of a file that cannot be read, where it is that of a raw variable store of firmware:
/// a qcow2 file has another.
fn raw_vars(length: u64) -> Option<u64> {
    RAW_VARS.contains(&length).then_some(length)
}

/// What the first and the last bytes of a file say.
fn read(mut file: File, length: u64) -> io::Result<FileFact> {
    let mut head = Vec::with_capacity(128);
    (&mut file).take(foreign::HEAD).read_to_end(&mut head)?;
    let mut tail = [0; foreign::TAIL as usize];
    if let Some(offset) = length.checked_sub(foreign::TAIL) {
        file.read_exact_at(&mut tail, offset)?;
    }
    let mut fact = FileFact {
        exists: true,
        foreign: Foreign::of(&head, &tail),
        encrypted: is_encrypted(&head),
        ..FileFact::default()
    };
    if fact.foreign.is_none() {
        (fact.format, fact.size) = judge(&head, length);
        // The magic of qcow2 with a version of its own.
        fact.foreign = fact.format.is_none().then_some(Foreign::Unknown);
    }
    Ok(fact)
}

/// LUKS, or by the qcow2 specification: the encryption method at byte 32, 0 for none.
fn is_encrypted(header: &[u8]) -> bool {
    let is_qcow2 = judge(header, 0).0 == Some(ImageFormat::Qcow2);
    let method = header.get(32..36).unwrap_or_default();
    header.starts_with(LUKS_MAGIC) || (is_qcow2 && method.iter().any(|byte| *byte != 0))
}

/// qcow2 specification: version at byte 4, virtual size at byte 24, both big-endian.
fn judge(header: &[u8], length: u64) -> (Option<ImageFormat>, Option<u64>) {
    if !header.starts_with(QCOW_MAGIC) {
        return (Some(ImageFormat::Raw), Some(length));
    }
    let version = header
        .get(4..8)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes);
    if !matches!(version, Some(2 | 3)) {
        return (None, None);
    }
    let size = header
        .get(24..32)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_be_bytes);
    (Some(ImageFormat::Qcow2), size)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn qcow2(version: u32, size: u64) -> Vec<u8> {
        let mut bytes = QCOW_MAGIC.to_vec();
        bytes.extend(version.to_be_bytes());
        bytes.extend([0; 16]);
        bytes.extend(size.to_be_bytes());
        bytes
    }

    #[test]
    fn format_and_size_come_from_the_bytes() {
        use ImageFormat::{Qcow2, Raw};
        for (name, header, length, expected) in [
            ("raw", vec![0; 32], 540_672, (Some(Raw), Some(540_672))),
            ("empty", vec![], 0, (Some(Raw), Some(0))),
            (
                "qcow2",
                qcow2(2, 3_653_632),
                200_000,
                (Some(Qcow2), Some(3_653_632)),
            ),
            (
                "qcow3",
                qcow2(3, 540_672),
                200_000,
                (Some(Qcow2), Some(540_672)),
            ),
            ("qcow", qcow2(1, 540_672), 200_000, (None, None)),
            (
                "cut off",
                qcow2(3, 1)[..20].to_vec(),
                20,
                (Some(Qcow2), None),
            ),
            ("only the magic", QCOW_MAGIC.to_vec(), 4, (None, None)),
        ] {
            assert_eq!(judge(&header, length), expected, "{name}");
        }
    }

    #[test]
    fn images_of_others_are_named() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        let at = |offset: usize, magic: &[u8]| {
            let mut bytes = vec![0; 2048];
            bytes[offset..offset + magic.len()].copy_from_slice(magic);
            bytes
        };
        for (bytes, name) in [
            (at(0, b"KDMV"), Some("VMDK")),
            (at(0, b"# Disk DescriptorFile\n"), Some("VMDK")),
            (at(64, b"\x7f\x10\xda\xbe"), Some("VDI")),
            (at(0, b"conectix"), Some("VHD")),
            (at(2048 - 512, b"conectix"), Some("VHD")),
            (at(2048 - 512, b"koly"), Some("DMG")),
            (at(0, b"vhdxfile"), Some("VHDX")),
            (qcow2(1, 0), Some("qcow version 1")),
            (qcow2(4, 0), Some("qcow of an unknown version")),
            (QCOW_MAGIC.to_vec(), Some("qcow of an unknown version")),
            (at(0, b"\x1f\x8b\x08"), Some("gzip")),
            (at(512, b"EFI PART"), None),
            (qcow2(3, 5), None),
            (b"QED".to_vec(), None),
        ] {
            fs::write(keep.path().join("image"), &bytes).unwrap();
            let Found::Image(fact) = look(&tree, Path::new("/image")) else {
                panic!("no image");
            };
            assert_eq!(fact.foreign.map(|one| one.to_string()).as_deref(), name);
            assert_eq!(fact.format.is_none(), name.is_some(), "{name:?}");
        }
    }

    #[test]
    fn encrypted_images_are_told() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        let method = |version: u32, method: u32| {
            let mut bytes = qcow2(version, 1 << 20);
            bytes.extend(method.to_be_bytes());
            bytes
        };
        for (bytes, encrypted) in [
            (b"LUKS\xba\xbe\0\x01".to_vec(), true),
            (b"LUKS\xba\xbe\0\x02".to_vec(), true),
            (b"LUKS".to_vec(), false),
            (method(3, 2), true),
            (method(2, 1), true),
            (method(3, 0), false),
            (qcow2(3, 1), false),
            (vec![1; 512], false),
        ] {
            fs::write(keep.path().join("image"), &bytes).unwrap();
            let Found::Image(fact) = look(&tree, Path::new("/image")) else {
                panic!("no image");
            };
            assert_eq!(fact.encrypted, encrypted, "{bytes:?}");
            assert!(fact.format.is_some(), "{bytes:?}");
        }
    }

    #[test]
    fn firmware_of_the_usual_length_is_not_opened() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        // The magic tells who looked inside.
        for (name, length, format) in [
            ("OVMF_VARS.fd", 131_072, ImageFormat::Raw),
            ("OVMF_VARS_4M.fd", 540_672, ImageFormat::Raw),
            ("OVMF_CODE_4M.fd", 3_653_632, ImageFormat::Raw),
            ("OVMF_CODE.fd", 1_966_080, ImageFormat::Raw),
            ("OVMF_CODE.qcow2", 1_966_080, ImageFormat::Qcow2),
            ("OVMF_VARS.qcow2", 196_608, ImageFormat::Qcow2),
        ] {
            let at = keep.path().join(name);
            fs::write(&at, qcow2(3, 1 << 20)).unwrap();
            let file = fs::OpenOptions::new().write(true).open(&at).unwrap();
            file.set_len(length).unwrap();
            let path = Path::new("/").join(name);
            let Found::Image(fact) = Images::of(&tree).look(&path) else {
                panic!("no image");
            };
            assert_eq!(fact.format, Some(format), "{name}");
        }
    }

    #[test]
    fn what_is_no_image_says_so() {
        let keep = tempfile::tempdir().unwrap();
        let at = |name: &str| keep.path().join(name);
        fs::write(at("image"), "12345").unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink("image", at("link")).unwrap();
        symlink("gone", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let fact = FileFact {
            exists: true,
            size: Some(5),
            format: Some(ImageFormat::Raw),
            ..FileFact::default()
        };
        // As a directory that stands for `/`, and on the machine itself.
        let root = keep.path().to_str().unwrap();
        for (tree, prefix) in [
            (Tree::at(keep.path()).unwrap(), ""),
            (Tree::machine(), root),
        ] {
            let images = Images::of(&tree);
            let both = |name: &str| {
                let path = format!("{prefix}{name}");
                let path = Path::new(&path);
                [look(&tree, path), images.look(path)]
            };
            for name in ["/image", "/link"] {
                for found in both(name) {
                    assert!(matches!(found, Found::Image(found) if found == fact));
                }
            }
            for (name, reason) in [
                ("/absent", "does not exist"),
                ("/absent/below", "does not exist"),
                ("/image/below", "does not exist"),
                ("/directory", "is a directory"),
                ("/dangling", "is a link to 'gone', which does not exist"),
                ("/loop", "is a loop of links"),
            ] {
                for found in both(name) {
                    assert_eq!(found.to_string(), reason, "{prefix}{name}");
                }
            }
        }
        let live = look(&Tree::machine(), Path::new("/dev/null"));
        assert_eq!(live.to_string(), "is no regular file");
    }
}
