//! The connection itself: [`Connector`] and [`Hypervisor`] through the `virt` crate.
//!
//! The only file of the project that touches libvirt. It translates calls, flags and errors and
//! decides nothing.

use std::collections::HashSet;
use std::sync::Once;
use std::thread;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::sys;
use virt_patch::host::Version;
use virt_patch::hypervisor::{
    Connector, DomainInfo, Hypervisor, HypervisorError, LibvirtError, MachineQuery, Mode, Secrets,
    State,
};

/// Opens libvirt connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Libvirt;

impl Connector for Libvirt {
    fn open(&self, uri: Option<&str>, mode: Mode) -> Result<Box<dyn Hypervisor>, HypervisorError> {
        prepare_library();
        let cannot = |source| HypervisorError::Connect {
            uri: uri.map(str::to_owned),
            source,
        };
        if let Some(uri) = uri {
            without_nul(uri).map_err(cannot)?;
        }
        let connect = match mode {
            Mode::ReadOnly => Connect::open_read_only(uri),
            Mode::ReadWrite => Connect::open(uri),
        }
        .map_err(|error| cannot(of_libvirt(&error)))?;
        // Drivers inside this process (test:///) have no transport to keep alive, so a refusal is fine.
        let _ = connect.set_keep_alive(KEEP_ALIVE_SECONDS, KEEP_ALIVE_COUNT);
        Ok(Box::new(Connection { connect, mode }))
    }
}

/// A peer that is silent for interval × count seconds is gone; calls then fail instead of
/// waiting forever. The values are those of libvirt's own daemons.
const KEEP_ALIVE_SECONDS: i32 = 5;
const KEEP_ALIVE_COUNT: u32 = 5;

/// Once per process, before the first connection: libvirt's habit of printing errors is
/// switched off, and its event loop, which keep-alive needs, runs in a thread of its own.
fn prepare_library() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        virt::error::clear_error_callback();
        if virt::event::event_register_default_impl().is_ok() {
            thread::spawn(|| while virt::event::event_run_default_impl().is_ok() {});
        }
    });
}

struct Connection {
    connect: Connect,
    mode: Mode,
}

impl Hypervisor for Connection {
    fn uri(&self) -> Result<String, HypervisorError> {
        self.connect
            .uri()
            .map_err(|e| translate(e, || "read the URI of the connection".to_owned()))
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn driver(&self) -> Result<String, HypervisorError> {
        self.connect
            .driver_type()
            .map_err(|e| translate(e, || "read the driver of the connection".to_owned()))
    }

    fn libvirt_version(&self) -> Result<Version, HypervisorError> {
        let number = self
            .connect
            .lib_version()
            .map_err(|e| translate(e, || "read libvirt's version".to_owned()))?;
        Ok(version(number))
    }

    fn hypervisor_version(&self) -> Result<Version, HypervisorError> {
        let number = self
            .connect
            .hyp_version()
            .map_err(|e| translate(e, || "read the hypervisor's version".to_owned()))?;
        Ok(version(number))
    }

    fn host_name(&self) -> Result<String, HypervisorError> {
        self.connect
            .hostname()
            .map_err(|e| translate(e, || "read the host name".to_owned()))
    }

    fn capabilities(&self) -> Result<String, HypervisorError> {
        self.connect
            .capabilities()
            .map_err(|e| translate(e, || "read the capabilities of the host".to_owned()))
    }

    fn domain_capabilities(&self, of: &MachineQuery<'_>) -> Result<String, HypervisorError> {
        let doing = || "read domain capabilities".to_owned();
        self.must_write(doing)?;
        for text in [of.emulator, of.arch, of.machine, of.domain_type]
            .into_iter()
            .flatten()
        {
            without_nul(text).map_err(|source| failed(source, doing))?;
        }
        self.connect
            .domain_capabilities(of.emulator, of.arch, of.machine, of.domain_type, 0)
            .map_err(|e| translate(e, doing))
    }

    fn expand_cpu(&self, cpu: &str) -> Result<String, HypervisorError> {
        self.connect
            .baseline_cpu(&[cpu], sys::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES)
            .map_err(|e| translate(e, || "list the features of the host's processor".to_owned()))
    }

    fn system_information(&self) -> Result<String, HypervisorError> {
        self.connect
            .sys_info(0)
            .map_err(|e| translate(e, || "read the SMBIOS information of the host".to_owned()))
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        // One call per question instead of several per domain: on a slow connection
        // the number of domains must not multiply the time.
        let persistent = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_PERSISTENT)?;
        let running = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_RUNNING)?;
        let paused = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_PAUSED)?;
        let autostart = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?;
        let saved = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)?;
        let with_snapshots = self.uuids(sys::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)?;
        let mut found = Vec::new();
        for domain in self.list(0)? {
            let uuid = uuid_of(&domain)?;
            let id = domain.id();
            let state = match id {
                _ if running.contains(&uuid) => State::Running,
                _ if paused.contains(&uuid) => State::Paused,
                Some(_) => State::Other,
                None => State::Shutoff,
            };
            found.push(DomainInfo {
                name: domain.name().map_err(|e| translate(e, reading))?,
                id,
                state,
                persistent: persistent.contains(&uuid),
                autostart: autostart.contains(&uuid),
                has_managed_save: saved.contains(&uuid),
                snapshots: if with_snapshots.contains(&uuid) {
                    domain.num_snapshots(0).unwrap_or(1)
                } else {
                    0
                },
                uuid,
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn find(&self, given: &str) -> Result<DomainInfo, HypervisorError> {
        let doing = || format!("look for domain '{given}'");
        without_nul(given).map_err(|source| failed(source, doing))?;
        if let Ok(id) = given.parse::<i32>()
            && let Ok(id) = u32::try_from(id)
            && let Some(domain) = absent(self.connect.lookup_domain_by_id(id), doing)?
        {
            return information(&domain);
        }
        if looks_like_uuid(given)
            && let Some(domain) = absent(self.connect.lookup_domain_by_uuid_string(given), doing)?
        {
            return information(&domain);
        }
        match absent(self.connect.lookup_domain_by_name(given), doing)? {
            Some(domain) => information(&domain),
            None => Err(HypervisorError::NoDomain {
                given: given.to_owned(),
                uri: self.uri()?,
            }),
        }
    }

    fn definition(&self, uuid: &str, secrets: Secrets) -> Result<String, HypervisorError> {
        let flags = match secrets {
            Secrets::Omitted => sys::VIR_DOMAIN_XML_INACTIVE,
            Secrets::Included => {
                self.must_write(|| "read the secrets of a domain".to_owned())?;
                sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE
            }
        };
        self.lookup(uuid)?
            .xml_desc(flags)
            .map_err(|e| translate(e, reading))
    }

    fn define(&self, xml: &str) -> Result<String, HypervisorError> {
        self.define_with(xml, sys::VIR_DOMAIN_DEFINE_VALIDATE)
    }

    fn define_again(&self, printed: &str) -> Result<String, HypervisorError> {
        self.define_with(printed, 0)
    }

    fn undefine(&self, uuid: &str) -> Result<(), HypervisorError> {
        let doing = || "undefine the domain".to_owned();
        self.must_write(doing)?;
        let domain = self.lookup(uuid)?;
        match domain.undefine_flags(sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) {
            // A driver without NVRAM does not know the flag either.
            Err(error) if error.code().to_raw() == sys::VIR_ERR_INVALID_ARG => domain.undefine(),
            answer => answer,
        }
        .map_err(|e| translate(e, doing))
    }

    fn to_native(&self, xml: &str) -> Result<String, HypervisorError> {
        let doing = || "translate the definition into a command line".to_owned();
        self.must_write(doing)?;
        self.connect
            .domain_xml_to_native("qemu-argv", xml, 0)
            .map_err(|e| translate(e, doing))
    }

    fn create_transient(&self, xml: &str) -> Result<String, HypervisorError> {
        let doing = || "start a transient domain".to_owned();
        self.must_write(doing)?;
        let flags = sys::VIR_DOMAIN_START_PAUSED
            | sys::VIR_DOMAIN_START_AUTODESTROY
            | sys::VIR_DOMAIN_START_VALIDATE;
        let domain = self
            .connect
            .create_domain_xml(xml, flags)
            .map_err(|e| translate(e, doing))?;
        uuid_of(&domain)
    }

    fn monitor(&self, uuid: &str, command: &str) -> Result<String, HypervisorError> {
        let doing = || "ask QEMU over its monitor".to_owned();
        self.must_write(doing)?;
        self.lookup(uuid)?
            .qemu_monitor_command(command, 0)
            .map_err(|e| translate(e, doing))
    }

    fn destroy(&self, uuid: &str) -> Result<(), HypervisorError> {
        let doing = || "destroy the domain".to_owned();
        self.must_write(doing)?;
        self.lookup(uuid)?
            .destroy()
            .map_err(|e| translate(e, doing))
    }
}

impl Connection {
    fn list(
        &self,
        flags: sys::virConnectListAllDomainsFlags,
    ) -> Result<Vec<Domain>, HypervisorError> {
        self.connect
            .list_all_domains(flags)
            .map_err(|e| translate(e, || "list the domains".to_owned()))
    }

    fn uuids(
        &self,
        flags: sys::virConnectListAllDomainsFlags,
    ) -> Result<HashSet<String>, HypervisorError> {
        self.list(flags)?.iter().map(uuid_of).collect()
    }

    fn define_with(
        &self,
        xml: &str,
        flags: sys::virDomainDefineFlags,
    ) -> Result<String, HypervisorError> {
        let doing = || "define the domain".to_owned();
        self.must_write(doing)?;
        let domain = self
            .connect
            .define_domain_xml_flags(xml, flags)
            .map_err(|e| translate(e, doing))?;
        // It is defined: nothing that could fail may be asked of it here.
        uuid_of(&domain)
    }

    fn lookup(&self, uuid: &str) -> Result<Domain, HypervisorError> {
        let doing = || format!("look for domain '{uuid}'");
        without_nul(uuid).map_err(|source| failed(source, doing))?;
        match absent(self.connect.lookup_domain_by_uuid_string(uuid), doing)? {
            Some(domain) => Ok(domain),
            None => Err(HypervisorError::NoDomain {
                given: uuid.to_owned(),
                uri: self.uri()?,
            }),
        }
    }

    fn must_write(&self, doing: impl FnOnce() -> String) -> Result<(), HypervisorError> {
        match self.mode {
            Mode::ReadWrite => Ok(()),
            Mode::ReadOnly => Err(HypervisorError::ReadOnly { doing: doing() }),
        }
    }
}

fn information(domain: &Domain) -> Result<DomainInfo, HypervisorError> {
    let fail = |e| translate(e, reading);
    let state = match domain.info().map_err(fail)?.state.to_raw() {
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED => State::Running,
        sys::VIR_DOMAIN_PAUSED => State::Paused,
        sys::VIR_DOMAIN_SHUTOFF => State::Shutoff,
        sys::VIR_DOMAIN_CRASHED if domain.id().is_none() => State::Shutoff,
        _ => State::Other,
    };
    let persistent = domain.is_persistent().map_err(fail)?;
    Ok(DomainInfo {
        name: domain.name().map_err(fail)?,
        uuid: uuid_of(domain)?,
        id: domain.id(),
        state,
        persistent,
        // A transient domain has neither, and some drivers know neither.
        autostart: persistent && absent_support(domain.autostart())?.unwrap_or(false),
        has_managed_save: persistent
            && absent_support(domain.has_managed_save(0))?.unwrap_or(false),
        snapshots: absent_support(domain.num_snapshots(0))?.unwrap_or(0),
    })
}

fn uuid_of(domain: &Domain) -> Result<String, HypervisorError> {
    domain.uuid_string().map_err(|e| translate(e, reading))
}

fn reading() -> String {
    "read the domain".to_owned()
}

/// `None` instead of the error that says a domain does not exist.
fn absent<T>(
    answer: Result<T, virt::error::Error>,
    doing: impl FnOnce() -> String,
) -> Result<Option<T>, HypervisorError> {
    match answer.map_err(|e| translate(e, doing)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_no_domain() => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None` instead of the error that says a driver does not know the call.
fn absent_support<T>(answer: Result<T, virt::error::Error>) -> Result<Option<T>, HypervisorError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code().to_raw() == sys::VIR_ERR_NO_SUPPORT => Ok(None),
        Err(error) => Err(translate(error, reading)),
    }
}

fn translate(error: virt::error::Error, doing: impl FnOnce() -> String) -> HypervisorError {
    failed(of_libvirt(&error), doing)
}

fn failed(source: LibvirtError, doing: impl FnOnce() -> String) -> HypervisorError {
    HypervisorError::Libvirt {
        doing: doing(),
        source,
    }
}

fn of_libvirt(error: &virt::error::Error) -> LibvirtError {
    LibvirtError {
        code: error.code().to_raw(),
        domain: error.domain().to_raw(),
        message: error.message().to_owned(),
    }
}

/// The `virt` crate panics where a text for C has a NUL byte in it.
fn without_nul(text: &str) -> Result<(), LibvirtError> {
    if !text.contains('\0') {
        return Ok(());
    }
    Err(LibvirtError {
        code: sys::VIR_ERR_INVALID_ARG,
        domain: sys::VIR_FROM_NONE,
        message: "the text contains a NUL byte".to_owned(),
    })
}

/// 32 hexadecimal digits; libvirt takes dashes anywhere between them.
fn looks_like_uuid(text: &str) -> bool {
    let mut digits = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        if !byte.is_ascii_hexdigit() {
            return false;
        }
        digits += 1;
    }
    digits == 32
}

/// libvirt packs versions as major × 1000000 + minor × 1000 + micro.
fn version(number: u32) -> Version {
    Version::new(number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}
