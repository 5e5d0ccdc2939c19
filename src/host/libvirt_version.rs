//! The installed libvirt's version, without loading or asking it.
//!
//! libvirt writes its version into the shared library's file name: 9.0.0 is
//! `libvirt.so.0.9000.0`, 11.3.0 is `libvirt.so.0.11003.0`. This is the client library; the
//! daemon of the same machine is practically always of the same build.

use std::path::{Path, PathBuf};

use super::Version;
use super::tree::Tree;

const DIRECTORIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/run/current-system/sw/lib",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib64",
    "/usr/local/lib",
];

/// What every program links to; a link to the versioned file.
const SONAME: &str = "libvirt.so.0";

/// The version of the first libvirt found; `None` when there is none.
pub(crate) fn probe(tree: &Tree) -> Option<Version> {
    let directories = DIRECTORIES.iter().map(Path::new);
    let linked = directories.clone().find_map(|directory| {
        let soname = directory.join(SONAME);
        tree.metadata(&soname).ok()?;
        let versioned = |path: PathBuf| from_file_name(path.file_name()?.to_str()?);
        // The link itself tells, unless it leads to another one.
        tree.link_target(&soname)
            .and_then(versioned)
            .or_else(|| versioned(tree.real_path(&soname).ok()?))
    });
    if linked.is_some() || tree.is_machine() {
        return linked;
    }
    // A tree that was copied without its links. On the live machine, where no program could
    // use such a library, reading these directories would only cost time.
    directories
        .filter_map(|directory| tree.names(directory).ok())
        .find_map(|names| {
            names
                .iter()
                .filter_map(|name| from_file_name(name.to_str()?))
                .max()
        })
}

/// Reads `libvirt.so.0.MAJORMINOR.MICRO`, where the middle number is major × 1000 + minor.
pub fn from_file_name(name: &str) -> Option<Version> {
    let (number, micro) = name.strip_prefix("libvirt.so.0.")?.split_once('.')?;
    let number: u32 = number.parse().ok()?;
    Some(Version::new(
        number / 1000,
        number % 1000,
        micro.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn file_names() {
        for (name, expected) in [
            ("libvirt.so.0.9000.0", Some((9, 0, 0))),
            ("libvirt.so.0.11003.0", Some((11, 3, 0))),
            ("libvirt.so.0.1002.9", Some((1, 2, 9))),
            ("libvirt.so.0.10010.2", Some((10, 10, 2))),
            ("libvirt.so.0", None),
            ("libvirt.so", None),
            ("libvirt-qemu.so.0.9000.0", None),
            ("libvirt.so.0.9000.0.dpkg-new", None),
            ("libvirt.so.0.x.0", None),
        ] {
            let expected = expected.map(|(major, minor, micro)| Version::new(major, minor, micro));
            assert_eq!(from_file_name(name), expected, "{name}");
        }
    }

    #[test]
    fn found_by_its_link_or_by_its_name() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        assert_eq!(probe(&tree), None);
        let store = keep.path().join("nix/store/x-libvirt-11.7.0/lib");
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join("libvirt.so.0.11007.0"), "").unwrap();
        let profile = keep.path().join("run/current-system/sw/lib");
        fs::create_dir_all(&profile).unwrap();
        symlink(
            "/nix/store/x-libvirt-11.7.0/lib/libvirt.so.0.11007.0",
            profile.join(SONAME),
        )
        .unwrap();
        assert_eq!(probe(&tree), Some(Version::new(11, 7, 0)));

        fs::remove_file(profile.join(SONAME)).unwrap();
        fs::create_dir_all(keep.path().join("usr/lib64")).unwrap();
        for name in [
            "libvirt.so.0.9000.0",
            "libvirt.so.0.10001.0",
            "libvirt-lxc.so.0.12000.0",
        ] {
            fs::write(keep.path().join("usr/lib64").join(name), "").unwrap();
        }
        assert_eq!(probe(&tree), Some(Version::new(10, 1, 0)));
    }
}
