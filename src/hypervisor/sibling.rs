//! Becoming `virt-patch-libvirt`, the same program with libvirt linked in.
//!
//! Loading libvirt costs about ten milliseconds and 57 shared libraries, which a filter or a
//! hook must not pay. So the plain program does without, and replaces itself by its sibling
//! when, and only when, a command needs a connection.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the program that has libvirt linked in.
pub const NAME: &str = "virt-patch-libvirt";

/// The sibling could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SiblingError {
    /// There is none.
    #[error(
        "this virt-patch was installed without libvirt support: '{NAME}' is not in {}",
        places(looked_in)
    )]
    Missing {
        /// Directories that were searched.
        looked_in: Vec<PathBuf>,
    },
    /// It is there and does not run; a libvirt library that is not installed looks like this
    /// only in the sibling's own message.
    #[error("cannot run '{}'", path.display())]
    Exec {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Replaces this process by the sibling with the given arguments (without the program name).
/// Environment, standard streams and working directory stay as they are, so nothing may have
/// been read from stdin before. Returns only when that failed.
pub fn become_sibling<I, S>(arguments: I) -> SiblingError
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let looked_in = env::current_exe()
        .map(|program| candidates(&program))
        .unwrap_or_default();
    let Some(path) = find(&looked_in) else {
        return SiblingError::Missing { looked_in };
    };
    let source = Command::new(&path)
        .arg0("virt-patch")
        .args(arguments)
        .exec();
    SiblingError::Exec { path, source }
}

/// Beside the program, or in the libexec directory of the same prefix.
fn candidates(program: &Path) -> Vec<PathBuf> {
    let Some(directory) = program.parent() else {
        return Vec::new();
    };
    let mut found = vec![directory.to_owned()];
    if let Some(prefix) = directory.parent() {
        found.push(prefix.join("libexec/virt-patch"));
    }
    found
}

fn find(directories: &[PathBuf]) -> Option<PathBuf> {
    directories
        .iter()
        .map(|directory| directory.join(NAME))
        .find(|path| path.is_file())
}

fn places(directories: &[PathBuf]) -> String {
    let quoted: Vec<_> = directories
        .iter()
        .map(|place| format!("'{}'", place.display()))
        .collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::fs;

    #[test]
    fn it_is_looked_for_beside_the_program_first() {
        let prefix = tempfile::tempdir().unwrap();
        let (bin, libexec) = (
            prefix.path().join("bin"),
            prefix.path().join("libexec/virt-patch"),
        );
        let directories = candidates(&bin.join("virt-patch"));
        assert_eq!(directories, [bin.clone(), libexec.clone()]);
        assert_eq!(find(&directories), None);
        for directory in [libexec, bin] {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(NAME), "").unwrap();
            assert_eq!(find(&directories), Some(directory.join(NAME)));
        }
    }

    #[test]
    fn a_missing_sibling_is_explained() {
        let error = SiblingError::Missing {
            looked_in: vec!["/a".into(), "/b".into()],
        };
        assert_eq!(
            error.to_string(),
            "this virt-patch was installed without libvirt support: \
             'virt-patch-libvirt' is not in '/a' or '/b'"
        );
    }
}
