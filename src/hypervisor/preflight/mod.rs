//! Trying a definition before it replaces a working one.
//!
//! A copy of the machine with nothing of the real one in it ([`throwaway()`]) is started paused,
//! QEMU is asked what it really has, and the copy is destroyed. A definition that QEMU does not
//! start, or builds otherwise than it reads, is then known before it is stored. What the
//! copy lacks is listed, because it was not tried.

mod arguments;
mod devices;
mod expect;
mod probe;
mod throwaway;
mod tree;

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::capabilities::is_local;
use super::{Hypervisor, HypervisorError};
use crate::document::{Document, DocumentError};

pub use throwaway::{IMAGE_SIZE, Options, Throwaway, throwaway};

/// What came out of trying a definition that started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the copy ran with hardware virtualization.
    pub kvm: bool,
    /// What was compared.
    pub checks: Vec<Check>,
    /// What the copy lacked and so was not tried, one clause each.
    pub left_out: Vec<String>,
}

impl Report {
    /// Nothing that could be checked is wrong.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.ok != Some(false))
    }
}

/// One thing the definition promises and QEMU was asked about. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `CPU vendor`.
    pub what: String,
    /// What the definition says.
    pub expected: String,
    /// What QEMU says.
    pub found: String,
    /// Whether they agree; `None` when that cannot be known here.
    pub ok: Option<bool>,
}

impl Check {
    fn of(what: &str, expected: String, found: String) -> Check {
        let ok = Some(expected == found);
        Check {
            what: what.to_owned(),
            expected,
            found,
            ok,
        }
    }
}

impl fmt::Display for expect::Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expect::Topology {
            sockets,
            dies,
            cores,
            threads,
        } = self;
        write!(
            f,
            "{sockets} sockets, {dies} dies, {cores} cores, {threads} threads"
        )
    }
}

/// A definition could not be tried, or does not start.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// It is no domain.
    #[error("the definition cannot be read")]
    Definition(#[from] DocumentError),
    /// Only QEMU can be asked what it has.
    #[error(
        "a domain of type '{domain_type}' on a {driver} connection cannot be tried: that takes QEMU"
    )]
    NotQemu {
        /// The domain's type.
        domain_type: String,
        /// The connection's driver.
        driver: String,
    },
    /// QEMU or libvirt refuse the copy.
    #[error("the changed domain does not start")]
    DoesNotStart {
        /// Why.
        #[source]
        source: HypervisorError,
        /// What the copy lacked all the same.
        left_out: Vec<String>,
    },
    /// The connection failed otherwise.
    #[error("the trial could not be finished")]
    Connection(#[source] HypervisorError),
    /// No place for the files of the copy.
    #[error("cannot create '{}' for the trial", path.display())]
    Scratch {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Tries a definition on a connection.
///
/// `scratch` is the directory in which a directory for the copy's files is made and removed again;
/// see [`scratch_parent`].
///
/// # Errors
/// [`PreflightError::DoesNotStart`] is the finding this is made for; the others say why there is none.
pub fn run(
    hypervisor: &dyn Hypervisor,
    definition: &str,
    scratch: Option<&Path>,
) -> Result<Report, PreflightError> {
    let document = Document::parse_domain(definition)?;
    let domain_type = document.root().attribute("type").unwrap_or_default();
    let driver = hypervisor.driver().map_err(PreflightError::Connection)?;
    let kvm = match (driver.as_str(), domain_type) {
        ("QEMU", "kvm") => true,
        ("QEMU", "qemu") => false,
        _ => {
            return Err(PreflightError::NotQemu {
                domain_type: domain_type.to_owned(),
                driver,
            });
        }
    };
    let name = document.text_at(&["name"]).unwrap_or("unnamed");
    // The same for every trial of one domain: libvirt keeps a log file per name, which is no longer
    // than a file's name can be.
    let short = (0..=name.len().min(150))
        .rev()
        .find_map(|end| name.get(..end))
        .unwrap_or_default();
    let name = format!("virt-patch-preflight-{short}");
    let by_name = |name: &str, kvm| attempt(hypervisor, definition, name, scratch, kvm);
    let attempt = |kvm| match by_name(&name, kvm) {
        // Another trial of it is under way.
        Err(PreflightError::DoesNotStart { source, .. }) if is_taken(&source) => {
            by_name(&format!("{name}-{}", std::process::id()), kvm)
        }
        answer => answer,
    };
    match attempt(kvm) {
        Err(PreflightError::DoesNotStart { source, .. }) if kvm && is_about_kvm(&source) => {
            attempt(false)
        }
        answer => answer,
    }
}

fn is_taken(error: &HypervisorError) -> bool {
    let message = error.libvirt().map(|error| error.message.as_str());
    message.is_some_and(|message| {
        message.contains("virt-patch-preflight-") && message.contains("already")
    })
}

/// Where a copy's files can be, so that QEMU's own user reaches them: nowhere for a
/// connection that leads to another host.
pub fn scratch_parent(uri: &str) -> Option<PathBuf> {
    /// Where disk images live; every confinement lets QEMU in there.
    const IMAGES: &str = "/var/lib/libvirt/images";
    if !is_local(uri) {
        return None;
    }
    let system = uri.contains("/system") && rustix::process::geteuid().is_root();
    Some(if system && Path::new(IMAGES).is_dir() {
        PathBuf::from(IMAGES)
    } else {
        std::env::temp_dir()
    })
}

/// Removes the files of the trials of this process that are under way: for a signal handler's
/// thread, after which the process ends and libvirt destroys the copies. No trial starts any more.
pub fn clean_up() {
    let scratches = scratches();
    for path in scratches.iter() {
        remove(path);
    }
    // What waits for it is a trial that would make files again.
    std::mem::forget(scratches);
}

fn attempt(
    hypervisor: &dyn Hypervisor,
    definition: &str,
    name: &str,
    scratch: Option<&Path>,
    kvm: bool,
) -> Result<Report, PreflightError> {
    let uuid = random_uuid()?;
    let scratch = scratch
        .map(|parent| Scratch::make(parent, &uuid))
        .transpose()?;
    let options = Options {
        name: name.to_owned(),
        uuid,
        kvm,
        scratch: scratch.as_ref().map(|scratch| scratch.path.clone()),
    };
    let copy = throwaway(definition, &options)?;
    copy.images.iter().try_for_each(|image| make_image(image))?;
    let mut expected = expect::expected(definition, kvm)?;
    let running = match hypervisor.create_transient(&copy.xml) {
        Ok(uuid) => Running { hypervisor, uuid },
        Err(source) if source.is_connection_lost() => {
            return Err(PreflightError::Connection(source));
        }
        Err(source) => {
            return Err(PreflightError::DoesNotStart {
                source: without_warnings(source),
                left_out: copy.left_out,
            });
        }
    };
    if copy.left_out.iter().any(|what| what == throwaway::ONE_VCPU) {
        (expected.vcpus, expected.topology) = (None, None);
    }
    let checks = probe::checks(&expected, &mut |command| {
        hypervisor.monitor(&running.uuid, command)
    })
    .map_err(PreflightError::Connection)?;
    Ok(Report {
        kvm,
        checks,
        left_out: copy.left_out,
    })
}

/// libvirt repeats all that QEMU printed; that emulation lacks features, once per processor, is
/// no news.
fn without_warnings(error: HypervisorError) -> HypervisorError {
    let HypervisorError::Libvirt { doing, mut source } = error else {
        return error;
    };
    let lines = source.message.lines();
    let told: Vec<_> = lines
        .filter(|line| !line.contains(" warning: TCG doesn't support requested feature"))
        .collect();
    if !told.is_empty() {
        source.message = told.join("\n");
    }
    HypervisorError::Libvirt { doing, source }
}

/// The failure may be the host's missing virtualization and not the definition's fault.
fn is_about_kvm(error: &HypervisorError) -> bool {
    let message = error
        .libvirt()
        .map(|error| error.message.to_ascii_lowercase());
    message.is_some_and(|message| {
        // What works without KVM's interrupt controller is left out then, so emulation would excuse this.
        !message.contains("eim=on requires")
            && (message.contains("kvm") || message.contains("hardware virtualization"))
    })
}

fn random_uuid() -> Result<String, PreflightError> {
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    match fs::read_to_string(SOURCE) {
        Ok(uuid) => Ok(uuid.trim().to_owned()),
        Err(source) => Err(PreflightError::Scratch {
            path: SOURCE.into(),
            source,
        }),
    }
}

fn make_image(path: &Path) -> Result<(), PreflightError> {
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    made.and_then(|image| image.set_len(IMAGE_SIZE))
        .map_err(|source| PreflightError::Scratch {
            path: path.to_owned(),
            source,
        })
}

/// The directory of one copy, removed with everything in it. Locked as long as its process lives: one
/// that nobody holds was left behind by a process that was killed.
struct Scratch {
    path: PathBuf,
    _lock: Option<File>,
}

/// What the directories of copies are called, before the UUID.
const SCRATCH: &str = "virt-patch-preflight-";

/// Those that are there, for [`clean_up`].
static SCRATCHES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn scratches() -> MutexGuard<'static, Vec<PathBuf>> {
    SCRATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scratch {
    fn make(parent: &Path, uuid: &str) -> Result<Scratch, PreflightError> {
        remove_stale(parent);
        let path = parent.join(format!("{SCRATCH}{uuid}"));
        let mut scratches = scratches();
        // QEMU's own user must get through, and only through.
        match DirBuilder::new().mode(0o711).create(&path) {
            Ok(()) => {
                scratches.push(path.clone());
                // On a file system without locks it may be left behind, and harms nobody.
                let _lock = File::open(&path)
                    .ok()
                    .filter(|file| file.try_lock().is_ok());
                Ok(Scratch { path, _lock })
            }
            Err(source) => Err(PreflightError::Scratch { path, source }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
        scratches().retain(|path| *path != self.path);
    }
}

/// Removes what processes left behind that were killed in the middle of a trial: libvirt has destroyed
/// their copies, and nothing else knows of the files.
fn remove_stale(parent: &Path) {
    /// A new one is locked well within this.
    const YOUNG: Duration = Duration::from_secs(60);
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH);
        // Not through a link, and not what another user made.
        let is_ours = is_scratch
            && fs::symlink_metadata(&path).is_ok_and(|metadata| {
                let age = metadata
                    .modified()
                    .ok()
                    .and_then(|made| made.elapsed().ok());
                metadata.is_dir()
                    && metadata.uid() == rustix::process::geteuid().as_raw()
                    && age.is_some_and(|age| age > YOUNG)
            });
        if is_ours
            && let Ok(directory) = File::open(&path)
            && directory.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// The daemon may just be making a file in there.
fn remove(directory: &Path) {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => return,
        }
    }
}

/// A running copy, destroyed whatever happens; libvirt destroys it when the connection ends.
struct Running<'h> {
    hypervisor: &'h dyn Hypervisor,
    uuid: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.hypervisor.destroy(&self.uuid);
    }
}

#[cfg(test)]
mod tests;
