//! Remembers what was read from QEMU binaries, so that a filter does not read 20 MB each time.
//!
//! One small JSON file below the user's cache directory. An entry counts only for the very same
//! file (real path, device, inode, size, times). Whatever goes wrong, the answer is read anew;
//! nothing here ever fails or is reported.
//!
//! It is no way in for others: every directory and the file itself are opened without following
//! links, must belong to this user and be writable by nobody else, and are then used by handle,
//! so `sudo` with another user's HOME reads and writes nothing there.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::qemu_binary::Reading;

const DIRECTORY: &str = "virt-patch";
const FILE: &str = "emulators.json";
const LIMIT: u64 = 256 * 1024;

/// Raised whenever [`super::qemu_binary`] reads something new or differently.
const FORMAT: u32 = 1;

/// Enough for every QEMU on a machine; the oldest go first.
const MAX_ENTRIES: usize = 32;

/// The cache below one cache directory ($XDG_CACHE_HOME).
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    home: PathBuf,
}

/// Identity of one state of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds; the second pair is of the last change to the inode, which no
    /// tool that restores times can set.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Key {
    /// `real_path` without links; metadata of the open file.
    pub(crate) fn new(real_path: PathBuf, metadata: &Metadata) -> Self {
        Key {
            path: real_path,
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Document {
    format: u32,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: Key,
    reading: Reading,
}

impl Cache {
    pub(crate) fn new(home: PathBuf) -> Self {
        Cache { home }
    }

    /// What was remembered for this file.
    pub(crate) fn get(&self, key: &Key) -> Option<Reading> {
        let document = load(&self.directory(false)?)?;
        document
            .entries
            .into_iter()
            .find(|entry| entry.key == *key)
            .map(|entry| entry.reading)
    }

    /// Remembers a reading, in place of older ones of the same path.
    pub(crate) fn put(&self, key: Key, reading: Reading) -> Option<()> {
        let directory = self.directory(true)?;
        let mut document = load(&directory).unwrap_or_default();
        document.format = FORMAT;
        document.entries.retain(|entry| entry.key.path != key.path);
        document.entries.push(Entry { key, reading });
        let excess = document.entries.len().saturating_sub(MAX_ENTRIES);
        document.entries.drain(..excess);
        store(&directory, &serde_json::to_vec(&document).ok()?)
    }

    /// Our directory, made when asked for and its parent is this user's own.
    fn directory(&self, make: bool) -> Option<OwnedFd> {
        if make && rustix::fs::stat(&self.home).is_err() {
            private_directory(CWD, self.home.parent()?, OFlags::empty())?;
            rustix::fs::mkdir(&self.home, Mode::RWXU).ok()?;
        }
        let home = private_directory(CWD, &self.home, OFlags::empty())?;
        if make {
            // Fails when it exists, which the next line finds out.
            let _ = rustix::fs::mkdirat(&home, DIRECTORY, Mode::RWXU);
        }
        private_directory(&home, Path::new(DIRECTORY), OFlags::NOFOLLOW)
    }
}

fn private_directory(
    parent: impl std::os::fd::AsFd,
    path: &Path,
    flags: OFlags,
) -> Option<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, path, flags, Mode::empty()).ok()?;
    is_private(&directory).then_some(directory)
}

fn is_private(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        let others_write = Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH);
        stat.st_uid == rustix::process::geteuid().as_raw() && !others_write
    })
}

fn load(directory: &OwnedFd) -> Option<Document> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, FILE, flags, Mode::empty()).ok()?;
    if !is_private(&file) {
        return None;
    }
    // As much as there usually is, read at once.
    let mut text = Vec::with_capacity(4096);
    File::from(file).take(LIMIT).read_to_end(&mut text).ok()?;
    let document: Document = serde_json::from_slice(&text).ok()?;
    (document.format == FORMAT).then_some(document)
}

/// Writes beside the file and renames, so that a reader sees the old or the new one.
fn store(directory: &OwnedFd, bytes: &[u8]) -> Option<()> {
    let temporary = format!(".{FILE}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR).ok()?;
    let written = File::from(file).write_all(bytes).is_ok()
        && rustix::fs::renameat(directory, &temporary, directory, FILE).is_ok();
    if !written {
        let _ = rustix::fs::unlinkat(directory, &temporary, AtFlags::empty());
    }
    written.then_some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::super::Version;
    use super::*;

    struct Scene {
        keep: tempfile::TempDir,
        cache: Cache,
        key: Key,
    }

    fn scene() -> Scene {
        let keep = tempfile::tempdir().unwrap();
        let binary = keep.path().join("qemu");
        fs::write(&binary, "binary").unwrap();
        let key = Key::new(binary.clone(), &fs::metadata(&binary).unwrap());
        Scene {
            cache: Cache::new(keep.path().join("cache")),
            key,
            keep,
        }
    }

    fn reading() -> Reading {
        Reading {
            version: Some(Version::new(7, 2, 22)),
            apple_smc: Some(true),
            elf_machine: Some(62),
        }
    }

    #[test]
    fn remembers_one_state_of_one_file() {
        let Scene { keep, cache, key } = scene();
        assert_eq!(cache.get(&key), None);
        cache.put(key.clone(), reading()).unwrap();
        assert_eq!(cache.get(&key), Some(reading()));
        let mut touched = key.clone();
        touched.modified.1 ^= 1;
        assert_eq!(cache.get(&touched), None);
        cache.put(touched.clone(), Reading::default()).unwrap();
        assert_eq!(cache.get(&touched), Some(Reading::default()));
        assert_eq!(cache.get(&key), None, "one entry per path");
        let left: Vec<_> = fs::read_dir(keep.path().join("cache/virt-patch"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["emulators.json"]);
    }

    #[test]
    fn stays_small() {
        let Scene {
            keep: _keep,
            cache,
            key,
        } = scene();
        for number in 0..MAX_ENTRIES + 5 {
            let path = PathBuf::from(format!("/qemu-{number}"));
            cache
                .put(
                    Key {
                        path,
                        ..key.clone()
                    },
                    reading(),
                )
                .unwrap();
        }
        assert_eq!(
            load(&cache.directory(false).unwrap())
                .unwrap()
                .entries
                .len(),
            MAX_ENTRIES
        );
        assert_eq!(
            cache.get(&Key {
                path: "/qemu-0".into(),
                ..key.clone()
            }),
            None
        );
        assert_eq!(
            cache.get(&Key {
                path: "/qemu-9".into(),
                ..key
            }),
            Some(reading())
        );
    }

    #[test]
    fn a_broken_file_is_replaced() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"format":0,"entries":[]}"#,
            r#"{"format":1}"#,
            "\0\u{ff}",
        ] {
            let Scene { keep, cache, key } = scene();
            cache.put(key.clone(), reading()).unwrap();
            fs::write(keep.path().join("cache/virt-patch/emulators.json"), text).unwrap();
            assert_eq!(cache.get(&key), None, "{text}");
            cache.put(key.clone(), reading()).unwrap();
            assert_eq!(cache.get(&key), Some(reading()), "{text}");
        }
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        for path in [
            "cache",
            "cache/virt-patch",
            "cache/virt-patch/emulators.json",
        ] {
            let Scene { keep, cache, key } = scene();
            cache.put(key.clone(), reading()).unwrap();
            let path = keep.path().join(path);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode | 0o020)).unwrap();
            assert_eq!(
                cache.get(&key),
                None,
                "writable by the group: {}",
                path.display()
            );
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(cache.get(&key), Some(reading()));
            if rustix::process::geteuid().is_root() {
                chown(&path, Some(65534), None).unwrap();
                assert_eq!(cache.get(&key), None, "somebody else's: {}", path.display());
            }
        }
    }

    #[test]
    fn links_are_not_followed_and_nothing_is_made_through_them() {
        let Scene { keep, cache, key } = scene();
        let elsewhere = keep.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(keep.path().join("cache")).unwrap();
        symlink(&elsewhere, keep.path().join("cache/virt-patch")).unwrap();
        assert_eq!(cache.put(key.clone(), reading()), None);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);

        fs::remove_file(keep.path().join("cache/virt-patch")).unwrap();
        cache.put(key.clone(), reading()).unwrap();
        let file = keep.path().join("cache/virt-patch/emulators.json");
        fs::rename(&file, elsewhere.join("there.json")).unwrap();
        symlink(elsewhere.join("there.json"), &file).unwrap();
        assert_eq!(cache.get(&key), None);
        let before = fs::read(elsewhere.join("there.json")).unwrap();
        cache.put(key.clone(), Reading::default()).unwrap();
        assert_eq!(fs::read(elsewhere.join("there.json")).unwrap(), before);
        assert_eq!(cache.get(&key), Some(Reading::default()));
    }

    #[test]
    fn no_place_to_write_is_no_error() {
        let Scene { keep, key, .. } = scene();
        fs::write(keep.path().join("file"), "").unwrap();
        for home in ["file", "file/below", "absent/below"] {
            let cache = Cache::new(keep.path().join(home));
            assert_eq!(
                (cache.put(key.clone(), reading()), cache.get(&key)),
                (None, None),
                "{home}"
            );
        }
    }
}
