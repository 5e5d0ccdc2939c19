//! What virt-patch needs of a hypervisor connection, as a trait and plain data.
//!
//! Nothing here links libvirt. The one implementation of [`Connector`] and [`Hypervisor`] that
//! does lives in the `virt-patch-libvirt` binary, so filters start without loading it and
//! everything that decides something is tested without a daemon. The trait holds what is used
//! and nothing more; it knows nothing of passes, diffs or questions.

use std::fmt;

use serde::Serialize;

use crate::host::Version;

pub mod backup;
pub mod blame;
pub mod capabilities;
pub mod compare;
mod error;
pub mod facts;
mod host_lock;
mod overtaken;
pub mod preflight;
pub mod redefine;
pub mod sibling;
mod xml;

pub use error::{HypervisorError, LibvirtError};

/// Opens connections.
pub trait Connector {
    /// Connects to `uri`, or, when it is `None`, to what libvirt itself would choose
    /// (`LIBVIRT_DEFAULT_URI`, then `uri_default` of libvirt.conf, then the first driver that answers).
    fn open(&self, uri: Option<&str>, mode: Mode) -> Result<Box<dyn Hypervisor>, HypervisorError>;
}

/// How much a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Reads capabilities and definitions. libvirt gives neither secrets nor domain
    /// capabilities to such a connection, and defines nothing.
    ReadOnly,
    /// Everything; on a system daemon this may ask for authorization.
    ReadWrite,
}

/// One open connection. It is closed, and what [`Hypervisor::create_transient`] started is
/// destroyed, when the value is dropped.
pub trait Hypervisor {
    /// The URI in use, with libvirt's defaults and aliases resolved: `qemu:///system`.
    fn uri(&self) -> Result<String, HypervisorError>;

    /// How the connection was opened.
    fn mode(&self) -> Mode;

    /// Name of the driver as libvirt spells it: `QEMU`, `TEST`, `LXC`, `Xen`, …
    fn driver(&self) -> Result<String, HypervisorError>;

    /// Version of the libvirt that stores the definitions, which for a remote connection is
    /// not the version of the library at hand.
    fn libvirt_version(&self) -> Result<Version, HypervisorError>;

    /// Version of the hypervisor itself: QEMU's for the QEMU driver, that of the emulator for
    /// the host's architecture.
    fn hypervisor_version(&self) -> Result<Version, HypervisorError>;

    /// Host name of the machine that runs the domains.
    fn host_name(&self) -> Result<String, HypervisorError>;

    /// Capabilities XML: host processor, NUMA cells, emulators and their machine types.
    fn capabilities(&self) -> Result<String, HypervisorError>;

    /// Domain capabilities XML: loaders and CPU models of one emulator and machine type.
    /// A read-only connection is refused ([`HypervisorError::ReadOnly`]).
    fn domain_capabilities(&self, of: &MachineQuery<'_>) -> Result<String, HypervisorError>;

    /// The `<cpu>` of capabilities with every feature its model stands for spelled out.
    fn expand_cpu(&self, cpu: &str) -> Result<String, HypervisorError>;

    /// SMBIOS information of the host as XML; the processor's marketing name is in it.
    fn system_information(&self) -> Result<String, HypervisorError>;

    /// All domains, in the order of their names.
    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError>;

    /// The domain a user means by `given`, as virsh decides it: a number is first an ID of a
    /// running domain, then a UUID (with or without dashes) is tried, then a name.
    fn find(&self, given: &str) -> Result<DomainInfo, HypervisorError>;

    /// The inactive definition of a domain: what its next start will use, never the
    /// live XML of a running one.
    fn definition(&self, uuid: &str, secrets: Secrets) -> Result<String, HypervisorError>;

    /// Defines a domain, checked against libvirt's schema, and returns its UUID. An error means that
    /// it was not defined, or that the connection was lost.
    fn define(&self, xml: &str) -> Result<String, HypervisorError>;

    /// Defines a domain as libvirt itself once printed it. Without the schema: that refuses domains
    /// which were defined without it, and they must come back nevertheless.
    fn define_again(&self, printed: &str) -> Result<String, HypervisorError>;

    /// Removes an inactive domain's definition. Its NVRAM file, disks and snapshots are never
    /// touched: libvirt refuses where it would have to.
    fn undefine(&self, uuid: &str) -> Result<(), HypervisorError>;

    /// The command line libvirt would run for this definition, without starting anything.
    fn to_native(&self, xml: &str) -> Result<String, HypervisorError>;

    /// Starts a transient domain, paused, which is destroyed when this connection ends for
    /// whatever reason. Returns its UUID.
    fn create_transient(&self, xml: &str) -> Result<String, HypervisorError>;

    /// Sends one QMP command (JSON) to a running QEMU domain and returns its answer (JSON).
    fn monitor(&self, uuid: &str, command: &str) -> Result<String, HypervisorError>;

    /// Ends a running domain at once.
    fn destroy(&self, uuid: &str) -> Result<(), HypervisorError>;
}

/// Whether passwords are part of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// With VNC and SPICE passwords and cookies: the only form that may be defined again.
    /// A read-only connection is refused.
    Included,
    /// Without them: good for looking, not for defining.
    Omitted,
}

/// What domain capabilities are asked for. An absent part is libvirt's own choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachineQuery<'a> {
    /// Path of the emulator.
    pub emulator: Option<&'a str>,
    /// Guest architecture, e.g. `x86_64`.
    pub arch: Option<&'a str>,
    /// Machine type or alias, e.g. `q35`.
    pub machine: Option<&'a str>,
    /// Domain type: `kvm` or `qemu`.
    pub domain_type: Option<&'a str>,
}

/// One domain as its connection knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainInfo {
    /// Its name.
    pub name: String,
    /// Its UUID in lower case with dashes.
    pub uuid: String,
    /// Its ID while it runs.
    pub id: Option<u32>,
    /// What it is doing.
    pub state: State,
    /// It has a stored definition; a transient domain is gone when it stops.
    pub persistent: bool,
    /// libvirt starts it with the host.
    pub autostart: bool,
    /// Its next start restores a saved machine, with the hardware it was saved with.
    pub has_managed_save: bool,
    /// Number of its snapshots.
    pub snapshots: u32,
}

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// On, and its processors run.
    Running,
    /// On, and its processors are stopped.
    Paused,
    /// Off.
    Shutoff,
    /// On in another way: shutting down, suspended by the guest, crashed and kept.
    Other,
}

impl State {
    /// A QEMU process exists for the domain, so a new definition waits for the next start.
    pub fn is_active(self) -> bool {
        self != State::Shutoff
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Shutoff => "shut off",
            State::Other => "in another state",
        })
    }
}
