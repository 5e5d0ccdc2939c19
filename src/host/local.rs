//! Facts of the machine this runs on, or of a directory that stands for one.

use std::env;
use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::emulator_cache::Cache;
use super::image::Found;
use super::tree::Tree;
use super::{Device, Emulator, Facts, FileFact, Version};
use super::{cpu, cpuinfo, emulator, firmware, image, libvirt_version};

/// Which firmware builds a run asks about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WantedBuilds {
    /// None.
    #[default]
    None,
    /// The first that is fit: those with a descriptor, and the known places of the distributions only if none of
    /// these is in all that matters to a q35 guest.
    FirstFit,
    /// All there are.
    All,
}

/// Which facts a run needs; nothing is done for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Wanted {
    /// [`Facts::cpu`].
    pub cpu: bool,
    /// [`Facts::memory_kib`].
    pub memory: bool,
    /// [`Facts::firmware`] and [`Facts::firmware_passed_over`].
    pub firmware: WantedBuilds,
    /// [`Facts::emulators`].
    pub emulators: bool,
    /// [`Facts::kvm`].
    pub kvm: bool,
    /// [`Facts::libvirt`].
    pub libvirt: bool,
}

impl Wanted {
    /// No facts at all.
    pub const NONE: Wanted = Wanted {
        cpu: false,
        memory: false,
        firmware: WantedBuilds::None,
        emulators: false,
        kvm: false,
        libvirt: false,
    };

    /// Every fact.
    pub const ALL: Wanted = Wanted {
        cpu: true,
        memory: true,
        firmware: WantedBuilds::All,
        emulators: true,
        kvm: true,
        libvirt: true,
    };
}

/// A directory cannot stand for a host.
#[derive(Debug, thiserror::Error)]
#[error("cannot take '{path}' as the host's root directory")]
pub struct RootError {
    path: String,
    source: std::io::Error,
}

/// The local machine, or a directory that stands for `/` of another one.
#[derive(Debug, Clone)]
pub struct Local {
    tree: Tree,
    config_home: Option<PathBuf>,
    cache: Option<Cache>,
}

impl Local {
    /// The machine this runs on.
    ///
    /// The user's own firmware descriptors count unless this runs as root: libvirt's session
    /// daemon reads them, the system daemon does not; see [`Local::with_config_home`].
    pub fn machine() -> Self {
        let home = absolute("HOME");
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let config_home = absolute("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let cache_home = absolute("XDG_CACHE_HOME").or_else(|| below_home(".cache"));
        let is_root = rustix::process::geteuid().is_root();
        Local {
            tree: Tree::machine(),
            config_home: config_home.filter(|_| !is_root),
            cache: cache_home.map(Cache::new),
        }
    }

    /// A directory that stands for `/`. Links, absolute ones too, are followed inside it;
    /// nothing outside is read, nothing in it is run, nothing is written.
    ///
    /// # Errors
    /// When `path` is not a directory or cannot be reached.
    pub fn root(path: impl AsRef<Path>) -> Result<Self, RootError> {
        let path = path.as_ref();
        let tree = Tree::at(path).map_err(|source| RootError {
            path: path.display().to_string(),
            source,
        })?;
        Ok(Local {
            tree,
            config_home: None,
            cache: None,
        })
    }

    /// Whose firmware descriptors count besides the system's: those below the given
    /// $XDG_CONFIG_HOME for a session daemon (`qemu:///session`), `None` for the system daemon
    /// (`qemu:///system`).
    #[must_use]
    pub fn with_config_home(self, config_home: Option<PathBuf>) -> Self {
        Local {
            config_home,
            ..self
        }
    }

    /// Where what was read from emulators is remembered, below the given $XDG_CACHE_HOME;
    /// `None`: nowhere. A directory that is not this user's own is not used.
    #[must_use]
    pub fn with_cache_home(self, cache_home: Option<PathBuf>) -> Self {
        Local {
            cache: cache_home.map(Cache::new),
            ..self
        }
    }

    /// Looks. Never fails: what cannot be read is unknown.
    pub fn probe(&self, wanted: &Wanted) -> Facts {
        let tree = &self.tree;
        let mut facts = Facts::default();
        if wanted.cpu {
            facts.cpu = cpu::probe(tree);
        }
        if wanted.memory {
            facts.memory_kib = memory_kib(tree);
        }
        if wanted.firmware != WantedBuilds::None {
            let config_home = self.config_home.as_deref();
            let (builds, passed_over) = firmware::probe(tree, config_home, wanted.firmware);
            facts.firmware = Some(builds);
            facts.firmware_passed_over = passed_over;
        }
        if wanted.emulators {
            facts.emulators = emulator::probe(tree, self.cache.as_ref());
        }
        if wanted.kvm {
            facts.kvm = kvm(tree, facts.cpu.features.as_deref());
        }
        if wanted.libvirt {
            facts.libvirt = libvirt_version::probe(tree);
        }
        facts
    }

    /// One file that the domain names; `None` when it cannot be told, as without permission.
    ///
    /// A directory, a socket or any other thing that QEMU cannot use as an image counts as not
    /// existing. Block devices exist, with unknown size and format: they are not opened.
    pub fn file(&self, path: &str) -> Option<FileFact> {
        if !path.starts_with('/') {
            return Some(FileFact::default());
        }
        let identity = || {
            let metadata = self.tree.metadata(Path::new(path)).ok()?;
            self.tree
                .is_machine()
                .then(|| (metadata.dev(), metadata.ino()))
        };
        match image::look(&self.tree, Path::new(path)) {
            Found::Image(fact) => Some(FileFact {
                identity: identity(),
                ..fact
            }),
            Found::Device => Some(FileFact {
                exists: true,
                device: Some(Device::Block),
                identity: identity(),
                ..FileFact::default()
            }),
            Found::Character => Some(no_image(Device::Character)),
            Found::Directory => Some(no_image(Device::Directory)),
            Found::Special => Some(no_image(Device::Special)),
            Found::Loop | Found::Missing(_) => Some(FileFact::default()),
            Found::Unknown(_) => None,
        }
    }

    /// An emulator that a domain names, which may be anywhere; `None` when there is none. It is
    /// read, and run only if it is one of [`emulator::USUAL_PLACES`].
    pub fn emulator(&self, path: &str) -> Option<Emulator> {
        emulator::look(&self.tree, self.cache.as_ref(), path)
    }

    /// The version of an emulator that a domain names; see [`Local::emulator`].
    pub fn version_of(&self, path: &str) -> Option<Version> {
        self.emulator(path)?.version
    }
}

fn no_image(device: Device) -> FileFact {
    FileFact {
        device: Some(device),
        ..FileFact::default()
    }
}

/// The XDG base directory specification: relative paths are to be ignored.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn memory_kib(tree: &Tree) -> Option<u64> {
    let text = tree.word(Path::new("/proc/meminfo"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim_end()
        .parse()
        .ok()
        .filter(|kib| *kib > 0)
}

/// Whether guests can run with KVM.
///
/// On the machine: /dev/kvm opens for reading and writing, and the processor has the
/// virtualization instructions KVM needs (`svm`, `vmx`; an x86 processor without either can
/// have the device all the same, inside some virtual machines, where guests then hang).
/// KVM_GET_API_VERSION would need an ioctl that rustix offers only as `unsafe`; it also answers
/// on such machines. A directory that stands for `/` tells when its /proc/cpuinfo lacks these
/// instructions, or it has a /dev/kvm; an unpacked image has neither, and its host is unknown.
fn kvm(tree: &Tree, flags: Option<&[String]>) -> Option<bool> {
    let device = Path::new("/dev/kvm");
    let virtualizes = |flags: &[String]| flags.iter().any(|flag| flag == "svm" || flag == "vmx");
    let of_cpuinfo = || cpuinfo::CpuInfo::read_first(tree).and_then(|info| info.flags);
    let processor = match flags {
        Some(flags) => Some(virtualizes(flags)),
        None => of_cpuinfo().map(|flags| virtualizes(&flags)),
    };
    if !tree.is_machine() {
        let there = tree.metadata(device).is_ok();
        return match processor {
            Some(false) => Some(false),
            _ => there.then_some(true),
        };
    }
    let opens = OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .is_ok();
    Some(opens && processor.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;

    use super::super::ImageFormat;
    use super::*;

    fn put(keep: &tempfile::TempDir, path: &str, text: &str) {
        let path = keep.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn only_a_directory_can_be_a_root() {
        let keep = tempfile::tempdir().unwrap();
        put(&keep, "/file", "");
        for name in ["file", "absent", "file/below"] {
            let path = keep.path().join(name);
            let error = Local::root(&path).unwrap_err();
            let expected = format!(
                "cannot take '{}' as the host's root directory",
                path.display()
            );
            assert_eq!(error.to_string(), expected);
            assert!(std::error::Error::source(&error).is_some());
        }
    }

    #[test]
    fn an_empty_root_knows_nothing_and_does_not_fail() {
        let keep = tempfile::tempdir().unwrap();
        let facts = Local::root(keep.path()).unwrap().probe(&Wanted::ALL);
        assert_eq!((facts.firmware, facts.kvm), (Some(vec![]), None));
        assert_eq!((facts.memory_kib, facts.libvirt), (None, None));
        assert_eq!(facts.cpu, super::super::Cpu::default());
        assert!(facts.emulators.is_empty());
    }

    #[test]
    fn only_what_is_wanted_is_looked_at() {
        assert_eq!(Local::machine().probe(&Wanted::NONE), Facts::default());
        let keep = tempfile::tempdir().unwrap();
        put(
            &keep,
            "/proc/meminfo",
            "MemTotal:       65839000 kB\nMemFree:   1 kB\n",
        );
        put(&keep, "/dev/kvm", "");
        let local = Local::root(keep.path()).unwrap();
        let memory = local.probe(&Wanted {
            memory: true,
            ..Wanted::NONE
        });
        assert_eq!(
            memory,
            Facts {
                memory_kib: Some(65_839_000),
                ..Facts::default()
            }
        );
        let kvm = local.probe(&Wanted {
            kvm: true,
            ..Wanted::NONE
        });
        assert_eq!(
            kvm,
            Facts {
                kvm: Some(true),
                ..Facts::default()
            }
        );
    }

    #[test]
    fn strange_meminfo_is_unknown() {
        for text in [
            "",
            "MemTotal: many kB\n",
            "MemTotal: 0 kB\n",
            "MemTotal: 12\n",
            "Mem\n",
        ] {
            let keep = tempfile::tempdir().unwrap();
            put(&keep, "/proc/meminfo", text);
            let tree = Tree::at(keep.path()).unwrap();
            assert_eq!(memory_kib(&tree), None, "{text}");
        }
    }

    #[test]
    fn files_that_a_domain_names() {
        let keep = tempfile::tempdir().unwrap();
        put(&keep, "/var/lib/nvram/vm_VARS.fd", "12345");
        let local = Local::root(keep.path()).unwrap();
        let present = FileFact {
            exists: true,
            size: Some(5),
            format: Some(ImageFormat::Raw),
            ..FileFact::default()
        };
        assert_eq!(local.file("/var/lib/nvram/vm_VARS.fd"), Some(present));
        for path in ["/absent", "var/lib/nvram/vm_VARS.fd", ""] {
            assert_eq!(local.file(path), Some(FileFact::default()), "{path}");
        }
        let socket = keep.path().join("socket");
        std::os::unix::net::UnixListener::bind(socket).unwrap();
        for (path, device) in [
            ("/var/lib/nvram", Device::Directory),
            ("/socket", Device::Special),
        ] {
            assert_eq!(local.file(path), Some(no_image(device)), "{path}");
        }
        if !rustix::process::geteuid().is_root() {
            let closed = keep.path().join("var/lib/nvram");
            fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000))
                .unwrap();
            assert_eq!(local.file("/var/lib/nvram/vm_VARS.fd"), None);
            fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .unwrap();
        }
    }
}
