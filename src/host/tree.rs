//! A file tree that stands for `/`: the live machine, or a directory given by the user.
//!
//! Every path here is written as the host itself would write it (`/usr/share/OVMF`). In a
//! directory that stands for `/`, symbolic links, absolute ones included, and `..` are resolved
//! inside it, so nothing outside is ever read. This module knows files, not what they mean.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

/// The kernel's own limit on links in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The live machine, or a directory that stands for `/`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    root: Option<PathBuf>,
}

impl Tree {
    /// The live machine.
    pub(crate) fn machine() -> Self {
        Tree { root: None }
    }

    /// A directory that stands for `/`.
    ///
    /// # Errors
    /// When it does not exist, is not a directory or cannot be reached.
    pub(crate) fn at(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Tree { root: Some(root) })
    }

    /// Whether this is the live machine, where programs may be run.
    pub(crate) fn is_machine(&self) -> bool {
        self.root.is_none()
    }

    /// The path of the same file with every link resolved, as the host would write it.
    pub(crate) fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.root {
            None => fs::canonicalize(path),
            Some(root) => Ok(Path::new("/").join(resolve(root, path)?)),
        }
    }

    /// What the path names after following links.
    pub(crate) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        match &self.root {
            None => fs::metadata(path),
            Some(root) => fs::symlink_metadata(root.join(resolve(root, path)?)),
        }
    }

    /// Where the link at `path` points for which [`Tree::open`] or [`Tree::entry`] gave `error`; `None`
    /// when there is none.
    pub(crate) fn dangling(&self, path: &Path, error: &io::Error) -> Option<PathBuf> {
        let is_link = error.get_ref().is_some_and(|inner| inner.is::<Dangling>());
        (is_link || !self.is_machine())
            .then(|| self.link_target(path))
            .flatten()
    }

    /// Where the link at `path` itself points; `None` when it is no link.
    pub(crate) fn link_target(&self, path: &Path) -> Option<PathBuf> {
        match &self.root {
            None => fs::read_link(path).ok(),
            Some(root) => {
                let parent = resolve(root, path.parent()?).ok()?;
                fs::read_link(root.join(parent).join(path.file_name()?)).ok()
            }
        }
    }

    /// The file names in a directory, in no particular order.
    pub(crate) fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        // Few names are expected: the standard library makes room for a thousand.
        let mut room = [MaybeUninit::uninit(); 4096];
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(self.on_disk(directory)?, flags, Mode::empty())?;
        let mut entries = RawDir::new(opened, &mut room);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Opens a regular file for reading, with its metadata.
    ///
    /// # Errors
    /// Besides those of opening: [`io::ErrorKind::InvalidInput`] for anything that is not a
    /// regular file. A FIFO would block and merely opening some devices has effects (a watchdog
    /// starts), so neither is ever opened.
    pub(crate) fn open(&self, path: &Path) -> io::Result<(File, Metadata)> {
        let on_disk = self.on_disk(path)?;
        // The kernel's own files are harmless, and many are read.
        if !self.is_kernels(path) && !self.there(&on_disk)?.is_file() {
            return Err(not_regular());
        }
        let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
        if !self.is_machine() {
            flags |= OFlags::NOFOLLOW;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(on_disk)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok((file, metadata))
    }

    /// As [`Tree::metadata`], with an error for a link that leads nowhere which [`Tree::dangling`] tells.
    pub(crate) fn entry(&self, path: &Path) -> io::Result<Metadata> {
        self.there(&self.on_disk(path)?)
    }

    /// The path itself is looked at first, so that a place where nothing is costs one look.
    fn there(&self, on_disk: &Path) -> io::Result<Metadata> {
        let entry = fs::symlink_metadata(on_disk)?;
        if !entry.is_symlink() || !self.is_machine() {
            return Ok(entry);
        }
        fs::metadata(on_disk).map_err(|error| match is_absent(&error) {
            true => io::Error::new(error.kind(), Dangling),
            false => error,
        })
    }

    /// The first `limit` bytes of a regular file.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let (file, metadata) = self.open(path)?;
        // What the kernel makes up, in /proc, says that it is empty.
        let limit = match metadata.len() {
            0 => limit,
            length => limit.min(length),
        };
        // One more than the length, so that the end is seen without growing.
        let expected = metadata.len().clamp(4095, 1 << 20).min(limit) + 1;
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A small text file without surrounding blanks; `None` when it cannot be read.
    pub(crate) fn word(&self, path: &Path) -> Option<String> {
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if self.is_kernels(path) {
            // One read has all of such a file, unless it fills the room; there may be one for each processor.
            let mut room = [0; 512];
            let length = File::open(path).ok()?.read(&mut room).ok()?;
            if let Some(read) = room.get(..length).filter(|_| length < room.len()) {
                return Some(word(read));
            }
        }
        Some(word(&self.read(path, 64 * 1024).ok()?))
    }

    /// Whether it is one of the files that the kernel makes up and a probe reads. A path that leads on from there
    /// (`/proc/self/root/dev/…`, `/sys/../dev/…`), as a definition may name one, is none.
    fn is_kernels(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_encoded_bytes();
        let is_up = |step: &[u8]| step == b"..";
        self.is_machine()
            && match path.strip_prefix(b"/sys/devices/") {
                Some(rest) => !rest.split(|byte| *byte == b'/').any(is_up),
                None => matches!(path, b"/proc/cpuinfo" | b"/proc/meminfo"),
            }
    }

    fn on_disk(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.root {
            None => Ok(path.to_owned()),
            Some(root) => Ok(root.join(resolve(root, path)?)),
        }
    }
}

/// Whether an error says that nothing is there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A link that is there and leads to nothing.
#[derive(Debug, thiserror::Error)]
#[error("a link that leads nowhere")]
struct Dangling;

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Resolves `path` as a process chrooted into `root` would see it; the answer is relative to
/// `root` and has no links in it.
fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    let mut pending = reversed(path);
    let mut links = 0;
    while let Some(step) = pending.pop() {
        let Step::Name(name) = step else {
            real.pop();
            continue;
        };
        let candidate = root.join(&real).join(&name);
        if !fs::symlink_metadata(&candidate)?.is_symlink() {
            real.push(name);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = fs::read_link(&candidate)?;
        if target.is_absolute() {
            real.clear();
        }
        pending.extend(reversed(&target));
    }
    Ok(real)
}

enum Step {
    Up,
    Name(OsString),
}

fn reversed(path: &Path) -> Vec<Step> {
    let steps = path
        .components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(Step::Name(name.to_owned())),
            Component::ParentDir => Some(Step::Up),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
    steps.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::os::unix::fs::symlink;

    use super::*;

    fn scene() -> (tempfile::TempDir, Tree) {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("usr/share")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("usr/share/file"), " inside \n").unwrap();
        let tree = Tree::at(&root).unwrap();
        (outside, tree)
    }

    fn link(tree: &Tree, target: &str, at: &str) {
        symlink(target, tree.root.as_ref().unwrap().join(at)).unwrap();
    }

    #[test]
    fn links_are_resolved_inside_the_root() {
        let (_keep, tree) = scene();
        link(&tree, "/usr/share/file", "etc/absolute");
        link(&tree, "../usr/share/file", "etc/relative");
        link(&tree, "/usr/share", "etc/directory");
        link(&tree, "../../../../../usr/share/file", "etc/too-far-up");
        link(&tree, "absolute", "etc/chain");
        for path in [
            "/usr/share/file",
            "usr/share/file",
            "/etc/absolute",
            "/etc/relative",
            "/etc/directory/file",
            "/etc/directory/../share/./file",
            "/etc/too-far-up",
            "/etc/chain",
            "/../../usr/share/file",
        ] {
            assert_eq!(
                tree.word(Path::new(path)).as_deref(),
                Some("inside"),
                "{path}"
            );
            assert_eq!(
                tree.real_path(Path::new(path)).unwrap(),
                Path::new("/usr/share/file"),
                "{path}"
            );
        }
    }

    #[test]
    fn nothing_outside_the_root_is_reached() {
        let (keep, tree) = scene();
        link(&tree, "../../secret", "etc/up");
        link(
            &tree,
            keep.path().join("secret").to_str().unwrap(),
            "etc/absolute",
        );
        link(&tree, keep.path().to_str().unwrap(), "etc/directory");
        for path in [
            "/etc/up",
            "/../secret",
            "/etc/absolute",
            "/etc/directory/secret",
        ] {
            let error = tree.read(Path::new(path), 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
        }
    }

    /// Opening some devices has effects, and a definition may name one by a path that looks like the kernel's.
    #[test]
    fn the_kernels_files_are_those_that_are_read() {
        let tree = Tree::machine();
        for (path, is_kernels) in [
            ("/sys/devices/system/cpu/online", true),
            ("/proc/cpuinfo", true),
            ("/proc/meminfo", true),
            ("/proc/self/root/dev/null", false),
            ("/sys/devices/../../dev/null", false),
            ("/sys/../dev/null", false),
            ("/proc/../dev/null", false),
            ("/dev/null", false),
        ] {
            let path = Path::new(path);
            assert_eq!(tree.is_kernels(path), is_kernels, "{}", path.display());
            let is_refused = tree
                .open(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput);
            assert!(is_kernels || is_refused, "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let (_keep, tree) = scene();
        let root = tree.root.clone().unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            root.join("etc/fifo"),
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        link(&tree, "loop", "etc/loop");
        link(&tree, "nowhere", "etc/dangling");
        for (path, errno) in [
            ("/etc/fifo", None),
            ("/etc", None),
            ("/etc/loop", Some(Errno::LOOP)),
            ("/etc/dangling", Some(Errno::NOENT)),
            ("/usr/share/file/below", Some(Errno::NOTDIR)),
        ] {
            let error = tree.open(Path::new(path)).map(drop).unwrap_err();
            match errno {
                Some(errno) => {
                    assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()), "{path}");
                }
                None => assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}"),
            }
        }
    }

    #[test]
    fn only_a_directory_can_stand_for_the_root() {
        let (keep, _) = scene();
        assert!(Tree::at(&keep.path().join("secret")).is_err());
        assert!(Tree::at(&keep.path().join("absent")).is_err());
    }
}
