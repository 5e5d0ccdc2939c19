//! The library: patches and profiles that can be called by name.
//!
//! There are three places, the first that has a name wins: the user's directory, the machine's,
//! and the binary itself. A name with a `/` in it, or with the ending of its kind, is a file. This
//! module finds and reads; what a patch means is decided in [`crate::merge`], what a profile
//! means in [`crate::profile`].

pub mod facts;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::document::Input;
use crate::text;

/// The patches in the binary: name and text, in the order of a machine's parts.
pub const SHIPPED: &[(&str, &str)] = &[
    ("native-cpu", include_str!("../../patches/native-cpu.xml")),
    ("hyperv", include_str!("../../patches/hyperv.xml")),
    ("local-time", include_str!("../../patches/local-time.xml")),
    ("kvm-hidden", include_str!("../../patches/kvm-hidden.xml")),
    (
        "shared-memory",
        include_str!("../../patches/shared-memory.xml"),
    ),
    ("hugepages", include_str!("../../patches/hugepages.xml")),
    ("virtiofs", include_str!("../../patches/virtiofs.xml")),
    ("guest-agent", include_str!("../../patches/guest-agent.xml")),
    (
        "serial-console",
        include_str!("../../patches/serial-console.xml"),
    ),
    (
        "spice-no-listen",
        include_str!("../../patches/spice-no-listen.xml"),
    ),
    ("spice-agent", include_str!("../../patches/spice-agent.xml")),
    ("usb-tablet", include_str!("../../patches/usb-tablet.xml")),
    ("rng", include_str!("../../patches/rng.xml")),
    ("tpm", include_str!("../../patches/tpm.xml")),
    ("no-balloon", include_str!("../../patches/no-balloon.xml")),
    ("vfio-basics", include_str!("../../patches/vfio-basics.xml")),
];

/// What can be called by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A merge patch, `NAME.xml`.
    Patch,
    /// A profile, `NAME.toml`.
    Profile,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Patch => "patch",
            Kind::Profile => "profile",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Kind::Patch => ".xml",
            Kind::Profile => ".toml",
        }
    }

    fn shipped(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Patch => SHIPPED,
            Kind::Profile => crate::profile::SHIPPED,
        }
    }
}

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The binary.
    Shipped,
    /// A file.
    File(PathBuf),
}

/// Something of the library, or of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name; of a file the name without directories and ending.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its text.
    pub text: String,
}

impl Item {
    /// What messages call it: the path of a file, the name of what is shipped.
    pub fn shown(&self) -> String {
        match &self.origin {
            Origin::Shipped => self.name.clone(),
            Origin::File(path) => path.display().to_string(),
        }
    }
}

/// Why a patch or profile is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Nothing has this name.
    #[error("unknown {} '{name}'", .kind.word())]
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The name as given.
        name: String,
        /// The nearest there is.
        nearest: Option<String>,
        /// All there are.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("cannot read the {} '{}'", .kind.word(), .path.display())]
    Read {
        /// What was looked for.
        kind: Kind,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// No patch is anywhere near; a disk image given by mistake is.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// The places patches and profiles are called from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Library {
    /// Directories, the first one wins. Those that do not exist are empty.
    pub directories: Vec<PathBuf>,
}

impl Library {
    /// `$XDG_CONFIG_HOME/virt-patch/patches` (`~/.config` where it is not set) and
    /// `/etc/virt-patch/patches`.
    pub fn standard() -> Library {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        // A relative path there is to be ignored, says the specification.
        let config = variable("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".config")));
        let directories = config
            .into_iter()
            .chain([PathBuf::from("/etc")])
            .map(|directory| directory.join("virt-patch/patches"))
            .collect();
        Library { directories }
    }

    /// What is called `given`: a file, relative to `base`, or a name.
    ///
    /// # Errors
    /// Nothing is called so (with the nearest), or it cannot be read.
    pub fn find(&self, kind: Kind, given: &str, base: &Path) -> Result<Item, LibraryError> {
        if is_file(kind, given) {
            return read(kind, &base.join(given));
        }
        for directory in &self.directories {
            let path = directory.join(format!("{given}{}", kind.ending()));
            match read(kind, &path) {
                Err(LibraryError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                // The directory of somebody else, as a daemon's HOME often is: nothing is said to be
                // in there. A file that can be seen and not read is an error.
                Err(LibraryError::Read { source, .. })
                    if source.kind() == io::ErrorKind::PermissionDenied
                        && fs::symlink_metadata(&path).is_err() => {}
                other => return other,
            }
        }
        let shipped = kind.shipped().iter();
        let found = shipped
            .clone()
            .find(|(name, _)| name.eq_ignore_ascii_case(given));
        match found {
            Some(item) => Ok(shipped_item(item)),
            None => match self.in_other_case(kind, given) {
                Some(path) => read(kind, &path),
                None => Err(self.unknown(kind, given)),
            },
        }
    }

    /// The first file whose name differs in nothing but capital letters: names of passes and of what
    /// is shipped do not tell these apart either.
    fn in_other_case(&self, kind: Kind, given: &str) -> Option<PathBuf> {
        let name = format!("{given}{}", kind.ending());
        let is_it = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|other| other.eq_ignore_ascii_case(name.as_str()))
        };
        let directories = self.directories.iter();
        directories
            .flat_map(|directory| files(kind, directory).unwrap_or_default())
            .find(is_it)
    }

    /// Everything that can be called by name: what is shipped first, then the directories from the
    /// machine's to the user's; what another of the same name hides is left out. And what of that
    /// cannot be read.
    pub fn all(&self, kind: Kind) -> (Vec<Item>, Vec<LibraryError>) {
        let mut errors = Vec::new();
        let mut items: Vec<Item> = kind.shipped().iter().map(shipped_item).collect();
        for directory in self.directories.iter().rev() {
            let paths = files(kind, directory).unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            });
            for path in paths {
                match read(kind, &path) {
                    Ok(item) => {
                        items.retain(|other| other.name != item.name);
                        items.push(item);
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        (items, errors)
    }

    /// The places after the one that has this file.
    pub fn beyond(&self, file: &Path) -> Library {
        let own = |directory: &PathBuf| Some(directory.as_path()) == file.parent();
        let directories = match self.directories.iter().position(own) {
            Some(own) => self.directories.iter().skip(own + 1).cloned().collect(),
            None => self.directories.clone(),
        };
        Library { directories }
    }

    fn unknown(&self, kind: Kind, given: &str) -> LibraryError {
        // A directory that cannot be read has nothing to suggest.
        let mut known: Vec<String> = self
            .directories
            .iter()
            .filter_map(|directory| files(kind, directory).ok())
            .flatten()
            .map(|path| stem(&path))
            .collect();
        known.extend(kind.shipped().iter().map(|(name, _)| (*name).to_owned()));
        LibraryError::Unknown {
            kind,
            name: given.to_owned(),
            nearest: text::nearest(given, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }
    }
}

/// Whether a name as typed means a file.
pub fn is_file(kind: Kind, given: &str) -> bool {
    given.contains('/') || given.ends_with(kind.ending())
}

fn shipped_item((name, text): &(&str, &str)) -> Item {
    Item {
        name: (*name).to_owned(),
        origin: Origin::Shipped,
        text: (*text).to_owned(),
    }
}

fn read(kind: Kind, path: &Path) -> Result<Item, LibraryError> {
    let error = |source| LibraryError::Read {
        kind,
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    if bytes.len() as u64 > MAX_SIZE {
        let message = format!("it is larger than 16 MiB, which no {} is", kind.word());
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    let text = match (kind, bytes.is_empty()) {
        // An empty file is explained by whoever reads it.
        (Kind::Patch, false) => Input::decode(&bytes)
            .map(|input| input.text)
            .map_err(|cause| error(io::Error::new(io::ErrorKind::InvalidData, cause)))?,
        _ => String::from_utf8(bytes)
            .map_err(|cause| error(io::Error::new(io::ErrorKind::InvalidData, cause)))?,
    };
    Ok(Item {
        name: stem(path),
        origin: Origin::File(path.to_owned()),
        text,
    })
}

/// The files of a kind in a directory, in the order of their names.
fn files(kind: Kind, directory: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let error = |source| LibraryError::Read {
        kind,
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // See `Library::find`.
        Err(_) if fs::symlink_metadata(directory).is_err() => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // What begins with a dot is an editor's.
        if name.is_some_and(|name| name.ends_with(kind.ending()) && !name.starts_with('.')) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Two directories, and one that does not exist.
    fn library() -> (tempfile::TempDir, Library) {
        let keep = tempfile::tempdir().unwrap();
        let at = |name: &str| keep.path().join(name);
        for (file, text) in [
            ("user/mine.xml", "<acpi/>"),
            ("user/both.xml", "<apic/>"),
            ("user/.hidden.xml", "<apic/>"),
            ("user/my.toml", "passes = []"),
            ("machine/both.xml", "<pae/>"),
            ("machine/theirs.xml", "<pae/>"),
        ] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), text).unwrap();
        }
        let directories = vec![at("user"), at("none"), at("machine")];
        (keep, Library { directories })
    }

    #[test]
    fn names_are_looked_up_in_order_and_paths_are_files() {
        let (keep, library) = library();
        let find = |given: &str| {
            let item = library.find(Kind::Patch, given, keep.path()).unwrap();
            (item.name, item.text)
        };
        let is = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(find("mine"), is("mine", "<acpi/>"));
        assert_eq!(find("both"), is("both", "<apic/>"));
        assert_eq!(find("theirs"), is("theirs", "<pae/>"));
        assert_eq!(find("machine/both.xml"), is("both", "<pae/>"));
        assert_eq!(find("./machine/both.xml"), is("both", "<pae/>"));
        let profile = library.find(Kind::Profile, "my", keep.path()).unwrap();
        assert_eq!(profile.text, "passes = []");
        let shipped = library
            .find(Kind::Profile, "MACPRO7,1", keep.path())
            .unwrap();
        assert_eq!(
            (shipped.shown().as_str(), shipped.origin),
            ("macpro7,1", Origin::Shipped)
        );
        let (all, errors) = library.all(Kind::Patch);
        assert!(errors.is_empty());
        let names: Vec<String> = all
            .into_iter()
            .filter(|item| item.origin != Origin::Shipped)
            .map(|item| format!("{}={}", item.name, item.text))
            .collect();
        assert_eq!(names, ["theirs=<pae/>", "both=<apic/>", "mine=<acpi/>"]);
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let (keep, library) = library();
        let error = library.find(Kind::Patch, "teirs", keep.path()).unwrap_err();
        assert_eq!(error.to_string(), "unknown patch 'teirs'");
        let LibraryError::Unknown { nearest, known, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(nearest.as_deref(), Some("theirs"));
        assert!(known.contains(&"mine".to_owned()));
        let error = library
            .find(Kind::Patch, "./none.xml", keep.path())
            .unwrap_err();
        assert!(
            matches!(error, LibraryError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
        );
    }
}
