//! Writing a file where it stands: the whole new text or the old one, never half of either.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{
    Gid, Mode, Uid, XattrFlags, fchmod, fchown, fsetxattr, getxattr, getxattr_query, listxattr,
    listxattr_query,
};

use super::errors::Advice;

/// A file that is to be written where it stands, as it was when it was read.
pub(crate) struct InPlace {
    /// What was named, for messages.
    shown: String,
    /// The file itself: links on the way are followed.
    path: PathBuf,
    bytes: Vec<u8>,
}

impl InPlace {
    /// Remembers a file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<InPlace> {
        let shown = path.display().to_string();
        let cannot = || format!("cannot read '{shown}'");
        let real = path.canonicalize().with_context(cannot)?;
        if !fs::metadata(&real).with_context(cannot)?.is_file() {
            return Err(Advice::new(
                format!("'{shown}' is not a regular file, so it cannot be changed in place"),
                "leave out --in-place: the patched definition goes to standard output",
            )
            .into());
        }
        Ok(InPlace {
            bytes: fs::read(&real).with_context(cannot)?,
            path: real,
            shown,
        })
    }

    /// What stands in it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts `new` into the place of the file, with its mode and owner. A file that says this
    /// already is not touched.
    pub(crate) fn replace(&self, new: &[u8]) -> anyhow::Result<bool> {
        if self.bytes == new {
            return Ok(false);
        }
        self.write(new)
            .with_context(|| format!("cannot change '{}' in place", self.shown))?;
        Ok(true)
    }

    fn write(&self, new: &[u8]) -> anyhow::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let metadata = fs::metadata(&self.path)?;
        // Whoever may not write the file does not replace it either.
        OpenOptions::new().write(true).open(&self.path)?;
        let mut temporary = Temporary::beside(&self.path)?;
        temporary.file.write_all(new)?;
        keep_owner(&temporary.file, &metadata)?;
        // After the owner, whose change takes set-user-ID away.
        fchmod(&temporary.file, Mode::from_raw_mode(metadata.mode()))?;
        // After the mode, whose group bits are the mask of an access list.
        keep_attributes(&temporary.file, &self.path)?;
        temporary.file.sync_all()?;
        if fs::read(&self.path)? != self.bytes {
            return Err(Advice::new(
                "somebody else has changed it in the meantime",
                "run it again",
            )
            .into());
        }
        fs::rename(&temporary.path, &self.path)?;
        temporary.done = true;
        // The new name is on the disk when its directory is. Some file systems cannot do that.
        if let Ok(directory) = File::open(directory) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

fn keep_owner(file: &File, old: &fs::Metadata) -> anyhow::Result<()> {
    let new = file.metadata()?;
    let uid = (new.uid() != old.uid()).then(|| Uid::from_raw(old.uid()));
    let gid = (new.gid() != old.gid()).then(|| Gid::from_raw(old.gid()));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(file, uid, gid).with_context(|| {
        Advice::new(
            "its owner cannot be kept",
            "it belongs to somebody else: run this as that user or as root",
        )
    })
}

/// The access list, what the user noted, and SELinux's label: the last as far as the policy lets one.
fn keep_attributes(file: &File, old: &Path) -> anyhow::Result<()> {
    let Ok(size) = listxattr_query(old) else {
        // A file system without any.
        return Ok(());
    };
    let mut names = vec![0; size];
    let size = listxattr(old, names.as_mut_slice())?;
    names.truncate(size);
    for name in names.split(|byte| *byte == 0) {
        let is_users = name.starts_with(b"user.") || name == b"system.posix_acl_access";
        if !is_users && name != b"security.selinux" {
            continue;
        }
        let mut value = vec![0; getxattr_query(old, name)?];
        let size = getxattr(old, name, value.as_mut_slice())?;
        value.truncate(size);
        let set = fsetxattr(file, name, &value, XattrFlags::empty());
        set.or_else(|error| if is_users { Err(error) } else { Ok(()) })
            .with_context(|| {
                Advice::new(
                    format!(
                        "its extended attribute {} cannot be kept",
                        String::from_utf8_lossy(name)
                    ),
                    "leave out --in-place: the patched definition goes to standard output",
                )
            })?;
    }
    Ok(())
}

/// A new file that goes away again unless it is renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Temporary {
    /// In the same directory, so that renaming is one step.
    fn beside(path: &Path) -> io::Result<Temporary> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A long name leaves no room for more.
        let name: String = name.chars().take(50).collect();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..100 {
            let name = format!(".{name}.{}-{attempt}.virt-patch", std::process::id());
            let path = path.with_file_name(name);
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    return Ok(Temporary {
                        path,
                        file,
                        done: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.done {
            // It is empty or half written, and nobody else knows its name.
            let _ = fs::remove_file(&self.path);
        }
    }
}
