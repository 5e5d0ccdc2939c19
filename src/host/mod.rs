//! Host facts: what a pass may know about the machine that runs the domain.
//!
//! [`Facts`] is plain data. It comes from the local machine ([`local`]), from a
//! libvirt connection or from a saved JSON file, and goes out as the same JSON, so a plan
//! made here for a machine there is the plan that machine would make itself. Passes read
//! facts and never probe; nothing in this file knows about XML or libvirt.

pub mod cpu;
mod cpuinfo;
mod descriptors;
pub mod emulator;
mod emulator_cache;
pub mod firmware;
mod foreign;
mod image;
pub mod json;
pub mod known_places;
pub mod libvirt_version;
pub mod local;
mod qemu_binary;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

pub use foreign::Foreign;

/// Everything known about one host. An unknown fact is `null` or absent in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Processor topology and identity.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu: Cpu,
    /// Usable memory of the host in KiB (`MemTotal` of /proc/meminfo, or libvirt's node info).
    pub memory_kib: Option<u64>,
    /// Whether guests can run with hardware virtualization (/dev/kvm opens, or libvirt offers
    /// the domain type `kvm`).
    pub kvm: Option<bool>,
    /// UEFI builds for x86_64 guests whose files exist, best first: the order of the host's
    /// QEMU firmware descriptors, then of the known places of the distributions.
    /// `None`: nobody looked. Builds that are unfit for macOS (secure boot, …) are listed too,
    /// with their flags; choosing is the firmware pass's work.
    pub firmware: Option<Vec<Firmware>>,
    /// Places and descriptors that were looked at and gave no usable build, and why.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub firmware_passed_over: Vec<PassedOver>,
    /// QEMU emulators, the one libvirt would choose first.
    #[serde(deserialize_with = "null_is_default")]
    pub emulators: Vec<Emulator>,
    /// Guest CPU models the emulator offers; `None` when nobody asked libvirt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_models: Option<Vec<CpuModel>>,
    /// libvirt can choose a UEFI build by itself (`<os firmware='efi'>`); `None` when nobody asked, and on
    /// this machine, whose descriptors are read instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_autoselection: Option<bool>,
    /// Version of the libvirt that will store the definition.
    pub libvirt: Option<Version>,
    /// Files that the domain names (loader, nvram template, nvram, disk images …) as they are
    /// on the host. A path that is absent here was not looked at.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub files: BTreeMap<String, FileFact>,
}

/// The host's processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// CPUID vendor string: `AuthenticAMD`, `GenuineIntel`, `HygonGenuine`, …
    pub vendor: Option<String>,
    /// Marketing name, e.g. `AMD Ryzen 9 5950X 16-Core Processor`.
    pub model: Option<String>,
    /// Sockets in the machine.
    pub sockets: Option<u32>,
    /// Dies per socket.
    pub dies: Option<u32>,
    /// Cores per die (the larger number where dies differ).
    pub cores: Option<u32>,
    /// Threads per core (the larger number where cores differ, as on hybrid processors).
    pub threads: Option<u32>,
    /// Online logical processors, grouped by core, in the order of their first member:
    /// `[[0,16],[1,17]]`. Empty when unknown.
    #[serde(deserialize_with = "null_is_default")]
    pub siblings: Vec<Vec<u32>>,
    /// Logical processors that exist but are offline.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub offline: Vec<u32>,
    /// Hybrid processors only: the logical processors on efficient cores.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub efficient: Vec<u32>,
    /// CPU flags as Linux spells them (`sse4_2`, `avx2`, `constant_tsc`, …); `None` when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
}

/// One UEFI build: a CODE image and the VARS template that belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firmware {
    /// Path of the CODE image (libvirt's `<loader>`).
    pub code: String,
    /// Format of the CODE image.
    pub code_format: ImageFormat,
    /// Path of the VARS template (libvirt's `<nvram template=…>`).
    pub vars: String,
    /// Format of the VARS template.
    pub vars_format: ImageFormat,
    /// Size of the CODE image as the guest sees it (virtual size for qcow2), in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_size: Option<u64>,
    /// Size of the VARS template as the guest sees it, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vars_size: Option<u64>,
    /// The build implements Secure Boot.
    pub secure_boot: bool,
    /// The VARS template has keys enrolled, so Secure Boot is on from the first start.
    pub enrolled_keys: bool,
    /// The build needs System Management Mode.
    pub smm: bool,
    /// Machine type globs the build is for (`pc-q35-*`); empty means any.
    #[serde(deserialize_with = "null_is_default")]
    pub machines: Vec<String>,
    /// File name of the descriptor, or `known place: DISTRIBUTION` (several that share the place
    /// are separated by `; `).
    pub source: String,
}

/// Something that was looked at for firmware and not used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassedOver {
    /// Descriptor path, image path or directory.
    pub place: String,
    /// Why it was passed over, as a clause: `does not exist`, `needs SMM`.
    pub reason: String,
}

/// Format of a firmware or disk image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Plain bytes.
    #[default]
    Raw,
    /// QEMU copy-on-write version 2 or 3.
    Qcow2,
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageFormat::Raw => "raw",
            ImageFormat::Qcow2 => "qcow2",
        })
    }
}

/// One QEMU binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Emulator {
    /// Path as a domain's `<emulator>` names it.
    pub path: String,
    /// Guest architecture, e.g. `x86_64`.
    pub arch: String,
    /// QEMU's version; `None` when it could not be read.
    pub version: Option<Version>,
    /// Devices that passes ask for and this build of QEMU is known not to have
    /// (RHEL builds without `isa-applesmc`).
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub missing_devices: Vec<String>,
    /// Machine types, when known (libvirt's capabilities list them).
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub machines: Vec<Machine>,
}

/// One machine type of an emulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Name or alias: `pc-q35-7.2`, `q35`.
    pub name: String,
    /// The versioned name an alias stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// Largest number of vCPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_vcpus: Option<u32>,
    /// QEMU has announced its removal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
}

/// One CPU model a guest can be given, as libvirt's domain capabilities list them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuModel {
    /// Name, e.g. `Cascadelake-Server` or (libvirt 10.10 and newer) `Cascadelake-Server-v5`.
    pub name: String,
    /// Whether a guest with it starts on this host; `None` when libvirt does not know.
    pub usable: Option<bool>,
    /// The versioned name this one is another spelling of (`Westmere-v2` for `Westmere-IBRS`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
}

/// What is known of a file on the host that the domain names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFact {
    /// Whether it exists, as something that can be an image.
    pub exists: bool,
    /// Size as the guest sees it (virtual size for qcow2), in bytes; `None` when unreadable.
    pub size: Option<u64>,
    /// Image format by its magic bytes; `None` when unreadable or [`FileFact::foreign`].
    pub format: Option<ImageFormat>,
    /// The format, when it is one of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Foreign>,
    /// The bytes that the guest would see are encrypted: LUKS, or a qcow2 image with encryption.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// What there is, when it is no regular file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Which file it is, by whatever path: the numbers of its file system and inode. Known of the
    /// machine this runs on only.
    #[serde(skip)]
    pub identity: Option<(u64, u64)>,
}

/// What is at a path instead of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A disk, partition or volume: an image exists there.
    Block,
    /// Any other device, such as a keyboard: no image exists there.
    Character,
    /// No image exists there either.
    Directory,
    /// A FIFO or socket: no image exists there.
    Special,
}

/// A dotted version, compared number by number: `7.2.22`, `9.0.0`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; 0 when absent.
    pub micro: u32,
}

impl Version {
    /// A version from its numbers.
    pub const fn new(major: u32, minor: u32, micro: u32) -> Self {
        Version {
            major,
            minor,
            micro,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// The text is not a dotted version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a version like 9.0.0")]
pub struct BadVersion(String);

impl FromStr for Version {
    type Err = BadVersion;

    /// Reads one to three dotted numbers; anything after the third number is a mistake.
    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let bad = || BadVersion(text.to_owned());
        let mut numbers = [0u32; 3];
        for (index, part) in text.trim().split('.').enumerate() {
            let slot = numbers.get_mut(index).ok_or_else(bad)?;
            *slot = part.parse().map_err(|_| bad())?;
        }
        let [major, minor, micro] = numbers;
        Ok(Version {
            major,
            minor,
            micro,
        })
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `null` means unknown, which for a list or a struct is its empty value.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
